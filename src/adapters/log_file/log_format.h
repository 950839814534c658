/* The bytes of the log on disk: segment header blocks and frame headers (docs/formats/log.md).
 *
 * Pure functions: nothing here opens, reads or writes a file. */
#pragma once

#include "base/err.h"
#include "ports/log.h"

#define LOG_BLOCK          4096u /* frames begin at multiples of it; so does every write */
#define LOG_FORMAT_VERSION 1u
#define LOG_NAME_BYTES     32 /* "00000000000000000000.log" and its zero byte */
#define LOG_INSTANCE_BYTES 16

enum log_frame_flag {
    LOG_FLAG_SEAL = 1,      /* no records: it only carries the frontier */
    LOG_FLAG_CLEAN = 2,     /* the process ended in order after this frame */
    LOG_FLAG_CONTINUES = 4, /* the last frame of its segment; the next segment exists */
};
#define LOG_FLAGS_KNOWN (LOG_FLAG_SEAL | LOG_FLAG_CLEAN | LOG_FLAG_CONTINUES)

/* What a frame header says. */
struct log_frame_header {
    uint16_t flags;
    uint32_t body_len;
    uint64_t position;   /* where the frame begins in the endless log */
    uint64_t seq;        /* one more than that of the frame before */
    uint64_t durable_to; /* everything below was durable when this frame was submitted */
    uint64_t prev_hash;  /* log_frame_hash of the frame before */
    uint64_t body_hash;
    uint32_t record_count;
};

enum log_segment_flag {
    LOG_SEGMENT_RECOVERED = 1, /* opened by a recovery: the segment before has no CONTINUES seal */
    LOG_SEGMENT_REUSED = 2,    /* the file may hold frames of a former life */
};

/* What a segment's first block says. */
struct log_segment_header {
    uint32_t flags;
    uint8_t instance[LOG_INSTANCE_BYTES];
    uint64_t number;        /* one more than that of the segment before */
    uint64_t base;          /* position of its first frame */
    uint64_t salt;          /* random; part of every checksum in this segment */
    uint64_t prev_hash;     /* log_frame_hash of the last frame before base */
    uint64_t first_seq;     /* seq of its first frame */
    uint64_t durable_to;    /* everything below was durable when the segment was opened */
    uint64_t segment_bytes; /* size of the file, this block included */
    uint64_t prev_end; /* where the segment before ends: base, but after an accepted loss less */
};

enum log_header_state {
    LOG_HEADER_VALID,
    LOG_HEADER_ZERO,    /* all zero bytes: never used */
    LOG_HEADER_VERSION, /* of another format version */
    LOG_HEADER_BAD,
};

/* Bytes that a frame with this body takes on disk. */
static inline uint64_t log_frame_bytes(uint64_t body_len)
{
    return (LOG_FRAME_HEADER + body_len + LOG_BLOCK - 1) / LOG_BLOCK * LOG_BLOCK;
}

void log_frame_encode(uint8_t *out, const struct log_frame_header *header, uint64_t salt);

/* Reads LOG_FRAME_HEADER bytes; false when they are no frame header of a segment with this salt. */
bool log_frame_decode(const uint8_t *in, uint64_t salt, struct log_frame_header *header);

/* What the next frame carries as prev_hash: over the encoded header, which covers the body's hash.
 */
uint64_t log_frame_hash(const uint8_t *in, uint64_t salt);

uint64_t log_body_hash(struct bytes body, uint64_t salt);

/* Writes LOG_BLOCK bytes. */
void log_segment_encode(uint8_t *out, const struct log_segment_header *header);

/* Reads LOG_BLOCK bytes. `version` is set to the version found when the magic is right. */
enum log_header_state
log_segment_decode(const uint8_t *in, struct log_segment_header *header, uint32_t *version);

/* "00000000000000065536.log" for base 65536. */
void log_segment_name(char name[LOG_NAME_BYTES], uint64_t base);

/* False when the name is not exactly one that log_segment_name makes. */
bool log_segment_parse_name(const char *name, uint64_t *base);
