/* Encoding and decoding of segment and frame headers.
 *
 *     segment block (4096 bytes)               frame header (64 bytes)
 *      0 magic "TIDESEG1"      48 salt          0 magic "TDFR"     32 durable_to
 *      8 version u32           56 prev_hash     4 version u16      40 prev_hash
 *     12 flags u32             64 first_seq     6 flags u16        48 body_hash
 *     16 instance 16 bytes     72 durable_to    8 CRC-32C          56 record_count u32
 *     32 number u64            80 segment_bytes 12 body_len u32    60 zero u32
 *     40 base u64              88 prev_end      16 position u64
 *                       96-4091 zeros           24 seq u64
 *                            4092 CRC-32C
 *
 * Invariants:
 *  1. Everything is little endian and written field by field.
 *  2. A frame header is only valid under the salt of its segment, so what a recycled file still
 *     holds of its former life never parses.
 *  3. A decoder refuses what it does not know: versions, flags, non-zero reserved bytes. */
#include "adapters/log_file/log_format.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

#define FRAME_MAGIC    0x52464454u /* "TDFR" */
#define FRAME_CRC_AT   8
#define SEGMENT_CRC_AT (LOG_BLOCK - 4)
#define NAME_DIGITS    20

static const char segment_magic[8] = {'T', 'I', 'D', 'E', 'S', 'E', 'G', '1'};

static uint32_t frame_crc(const uint8_t *in, uint64_t salt)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c((uint32_t)(salt ^ (salt >> 32)), bytes_of(in, FRAME_CRC_AT));
    crc = crc32c(crc, bytes_of(zero, sizeof zero));
    return crc32c(crc, bytes_of(in + FRAME_CRC_AT + 4, LOG_FRAME_HEADER - FRAME_CRC_AT - 4));
}

static void put_crc(uint8_t *at, uint32_t crc)
{
    struct buf buf = buf_of(at, 4);
    buf_put_u32(&buf, crc);
}

static uint32_t get_crc(const uint8_t *at)
{
    struct reader reader = reader_of(bytes_of(at, 4));
    return read_u32(&reader);
}

void log_frame_encode(uint8_t *out, const struct log_frame_header *header, uint64_t salt)
{
    CHECK((header->flags & ~(unsigned)LOG_FLAGS_KNOWN) == 0);
    CHECK(header->position % LOG_BLOCK == 0);
    CHECK(header->durable_to <= header->position);
    struct buf buf = buf_of(out, LOG_FRAME_HEADER);
    buf_put_u32(&buf, FRAME_MAGIC);
    buf_put_u16(&buf, LOG_FORMAT_VERSION);
    buf_put_u16(&buf, header->flags);
    buf_put_u32(&buf, 0);
    buf_put_u32(&buf, header->body_len);
    buf_put_u64(&buf, header->position);
    buf_put_u64(&buf, header->seq);
    buf_put_u64(&buf, header->durable_to);
    buf_put_u64(&buf, header->prev_hash);
    buf_put_u64(&buf, header->body_hash);
    buf_put_u32(&buf, header->record_count);
    buf_put_u32(&buf, 0);
    CHECK(!buf.overflow && buf.len == LOG_FRAME_HEADER);
    put_crc(out + FRAME_CRC_AT, frame_crc(out, salt));
}

bool log_frame_decode(const uint8_t *in, uint64_t salt, struct log_frame_header *header)
{
    struct reader reader = reader_of(bytes_of(in, LOG_FRAME_HEADER));
    uint32_t magic = read_u32(&reader);
    if (magic != FRAME_MAGIC) {
        return false;
    }
    uint16_t version = read_u16(&reader);
    header->flags = read_u16(&reader);
    uint32_t crc = read_u32(&reader);
    header->body_len = read_u32(&reader);
    header->position = read_u64(&reader);
    header->seq = read_u64(&reader);
    header->durable_to = read_u64(&reader);
    header->prev_hash = read_u64(&reader);
    header->body_hash = read_u64(&reader);
    header->record_count = read_u32(&reader);
    uint32_t reserved = read_u32(&reader);
    CHECK(!reader.bad);
    if (crc != frame_crc(in, salt) || version != LOG_FORMAT_VERSION || reserved != 0) {
        return false;
    }
    bool sealed = (header->flags & LOG_FLAG_SEAL) != 0;
    return (header->flags & ~(unsigned)LOG_FLAGS_KNOWN) == 0 &&
           (!sealed || header->record_count == 0) && header->position % LOG_BLOCK == 0 &&
           header->durable_to <= header->position &&
           header->body_len <= LOG_FRAME_BYTES_MAX - LOG_FRAME_HEADER;
}

uint64_t log_frame_hash(const uint8_t *in, uint64_t salt)
{
    return hash64(bytes_of(in, LOG_FRAME_HEADER), salt);
}

uint64_t log_body_hash(struct bytes body, uint64_t salt)
{
    return hash64(body, salt);
}

void log_segment_encode(uint8_t *out, const struct log_segment_header *header)
{
    CHECK(header->base % LOG_BLOCK == 0);
    CHECK(header->durable_to <= header->base && header->prev_end <= header->base);
    memset(out, 0, LOG_BLOCK);
    struct buf buf = buf_of(out, SEGMENT_CRC_AT);
    buf_put(&buf, segment_magic, sizeof segment_magic);
    buf_put_u32(&buf, LOG_FORMAT_VERSION);
    buf_put_u32(&buf, header->flags);
    buf_put(&buf, header->instance, sizeof header->instance);
    buf_put_u64(&buf, header->number);
    buf_put_u64(&buf, header->base);
    buf_put_u64(&buf, header->salt);
    buf_put_u64(&buf, header->prev_hash);
    buf_put_u64(&buf, header->first_seq);
    buf_put_u64(&buf, header->durable_to);
    buf_put_u64(&buf, header->segment_bytes);
    buf_put_u64(&buf, header->prev_end);
    CHECK(!buf.overflow);
    put_crc(out + SEGMENT_CRC_AT, crc32c(0, bytes_of(out, SEGMENT_CRC_AT)));
}

static bool all_zero(const uint8_t *in, size_t len)
{
    return in[0] == 0 && memcmp(in, in + 1, len - 1) == 0;
}

enum log_header_state
log_segment_decode(const uint8_t *in, struct log_segment_header *header, uint32_t *version)
{
    *version = 0;
    if (all_zero(in, LOG_BLOCK)) {
        return LOG_HEADER_ZERO;
    }
    struct reader reader = reader_of(bytes_of(in, SEGMENT_CRC_AT));
    struct bytes magic = read_bytes(&reader, sizeof segment_magic);
    if (!bytes_equal(magic, bytes_of(segment_magic, sizeof segment_magic))) {
        return LOG_HEADER_BAD;
    }
    *version = read_u32(&reader);
    if (get_crc(in + SEGMENT_CRC_AT) != crc32c(0, bytes_of(in, SEGMENT_CRC_AT))) {
        return LOG_HEADER_BAD;
    }
    if (*version != LOG_FORMAT_VERSION) {
        return LOG_HEADER_VERSION;
    }
    header->flags = read_u32(&reader);
    struct bytes instance = read_bytes(&reader, sizeof header->instance);
    memcpy(header->instance, instance.data, sizeof header->instance);
    header->number = read_u64(&reader);
    header->base = read_u64(&reader);
    header->salt = read_u64(&reader);
    header->prev_hash = read_u64(&reader);
    header->first_seq = read_u64(&reader);
    header->durable_to = read_u64(&reader);
    header->segment_bytes = read_u64(&reader);
    header->prev_end = read_u64(&reader);
    CHECK(!reader.bad);
    bool known = (header->flags & ~(unsigned)(LOG_SEGMENT_RECOVERED | LOG_SEGMENT_REUSED)) == 0;
    bool aligned = header->base % LOG_BLOCK == 0 && header->segment_bytes % LOG_BLOCK == 0;
    bool ordered = header->durable_to <= header->base && header->prev_end <= header->base;
    return known && aligned && ordered && header->segment_bytes >= 3 * (uint64_t)LOG_BLOCK
               ? LOG_HEADER_VALID
               : LOG_HEADER_BAD;
}

void log_segment_name(char name[LOG_NAME_BYTES], uint64_t base)
{
    memset(name, '0', NAME_DIGITS);
    for (int i = NAME_DIGITS - 1; base != 0; i--) {
        name[i] = (char)('0' + base % 10);
        base /= 10;
    }
    memcpy(name + NAME_DIGITS, ".log", 5);
}

bool log_segment_parse_name(const char *name, uint64_t *base)
{
    struct bytes text = bytes_of_string(name);
    if (text.len != NAME_DIGITS + 4 || memcmp(name + NAME_DIGITS, ".log", 4) != 0) {
        return false;
    }
    return u64_parse(bytes_of(name, NAME_DIGITS), base);
}
