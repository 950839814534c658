/* The durable log in local files: one directory, one writer, many readers (ports/log.h).
 *
 *     data_dir/log/00000000000000000000.log    segments, named by the position of their first frame
 *     data_dir/log/spare-0                     prepared or recycled files
 *     data_dir/log/<position>.log.torn         what a crash left, never acknowledged
 *
 * Bytes: docs/formats/log.md. The writing side (log_file_port, close) belongs to one thread;
 * readers may live in any, each in one at a time. The caller holds the directory's lock. */
#pragma once

#include "adapters/log_file/log_format.h"
#include "ports/disk.h"
#include "ports/log.h"

#define LOG_SEGMENT_BYTES_DEFAULT (64u * 1024 * 1024)
#define LOG_SEGMENT_BYTES_MIN     (64u * 1024)

struct log_file;

struct log_file_options {
    struct disk_folder data; /* the data directory */
    uint64_t segment_bytes;  /* a multiple of LOG_BLOCK; 0: the default */
    int64_t retain_us;       /* segments are kept this long, 0: default, 7 days ... */
    uint64_t retain_bytes;   /* ... or until the log is larger, 0: default, 20 GiB */
    int64_t seal_after_us;   /* idle this long, a seal frame is written; 0: default, 200 ms */
    uint8_t instance[LOG_INSTANCE_BYTES]; /* written into a new log */
    uint64_t verify_from; /* position of the newest good snapshot: frames from here on are proved at
                             start, and everything below was durable; 0: all of them */
    bool accept_loss;     /* salvage: give up what is damaged instead of refusing to start */
    void (*durable)(void *ctx, struct log_frame *frame);
    void *durable_ctx;
};

/* How opening went. */
struct log_file_start {
    uint64_t position; /* where appending goes on; all frames below are durable */
    uint64_t oldest;   /* the oldest frame kept */
    uint8_t instance[LOG_INSTANCE_BYTES];
    bool created;        /* there was no log before */
    bool clean;          /* the last run ended in order */
    uint64_t torn_bytes; /* kept aside in *.torn: never acknowledged (or given up: accept_loss) */
    uint64_t lost_from;  /* accept_loss: positions from here ... */
    uint64_t lost_to;    /* ... to here were given up, as far as is known; the same: none */
    int exit_code;       /* on failure: 75 damaged, 78 the directory can't be used */
};

/* Recovers and opens the log. On failure error->text says what, where (file, offset, positions) and
 * start->exit_code with which code to end; nothing on disk was changed then but by accept_loss. */
enum err log_file_open(const struct log_file_options *options,
                       struct log_file **log,
                       struct log_file_start *start,
                       struct error *error) MUST_CHECK;

/* Closes; no frame may be in flight, no reader open. `clean`: end with a CLEAN_SHUTDOWN seal. */
void log_file_close(struct log_file *log, bool clean);

struct log_port log_file_port(struct log_file *log);
struct log_reader_port log_file_reader_port(struct log_file *log);

/* The largest frame (capacity of log_frame.data that can be used) with these segments. */
uint64_t log_file_frame_bytes_max(const struct log_file *log);
