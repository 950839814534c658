#include "memory_log.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define ALIGN 4096u

void memory_log_init(struct memory_log *log)
{
    *log = (struct memory_log){0};
}

void memory_log_deinit(struct memory_log *log)
{
    for (size_t n = 0; n < log->count; n++) {
        free(log->frames[n].body);
    }
    free(log->pending.body);
    free(log->frames);
}

/* --- writing --- */

static enum err log_submit(void *ctx, struct log_frame *frame)
{
    struct memory_log *log = ctx;
    CHECK(log->in_flight == NULL);
    CHECK(frame->body_len > 0 && frame->record_count > 0);
    CHECK(frame->body_len <= frame->capacity - LOG_FRAME_HEADER);
    if (log->refuses) {
        log->refusals++;
        return ERR_NO_SPACE;
    }
    uint64_t bytes = (LOG_FRAME_HEADER + frame->body_len + ALIGN - 1) / ALIGN * ALIGN;
    frame->position = log->end + log->own_frame_bytes;
    frame->end = frame->position + bytes;
    memset(frame->data, 0xa5, LOG_FRAME_HEADER); /* the log's own */
    log->pending = (struct memory_frame){.position = frame->position,
                                         .end = frame->end,
                                         .record_count = frame->record_count,
                                         .body = malloc(frame->body_len),
                                         .body_len = frame->body_len};
    CHECK(log->pending.body != NULL);
    memcpy(log->pending.body, frame->data + LOG_FRAME_HEADER, frame->body_len);
    log->in_flight = frame;
    log->polls_left = log->polls_to_durable;
    log->submits++;
    return OK;
}

static void keep_pending(struct memory_log *log)
{
    if (log->count == log->cap) {
        log->cap = log->cap == 0 ? 64 : log->cap * 2;
        log->frames = realloc(log->frames, log->cap * sizeof(*log->frames));
        CHECK(log->frames != NULL);
    }
    log->frames[log->count++] = log->pending;
    log->end = log->pending.end;
    log->pending.body = NULL;
}

static void log_poll(void *ctx)
{
    struct memory_log *log = ctx;
    if (log->in_flight == NULL) {
        return;
    }
    log->polls_left -= log->polls_left > 0;
    if (log->polls_left > 0) {
        return;
    }
    struct log_frame *frame = log->in_flight;
    CHECK(frame->body_len == log->pending.body_len); /* it stayed untouched */
    CHECK(memcmp(frame->data + LOG_FRAME_HEADER, log->pending.body, frame->body_len) == 0);
    keep_pending(log);
    log->in_flight = NULL;
    log->durable(log->durable_ctx, frame);
}

static void log_trim(void *ctx, uint64_t position)
{
    struct memory_log *log = ctx;
    size_t gone = 0;
    while (log->trims && gone < log->count && log->frames[gone].end <= position) {
        free(log->frames[gone].body);
        gone++;
    }
    log->count -= gone;
    if (gone > 0) {
        memmove(log->frames, log->frames + gone, log->count * sizeof(*log->frames));
    }
}

static void log_idle(void *ctx, int64_t clock_us)
{
    (void)ctx;
    (void)clock_us;
}

static void log_status(void *ctx, struct log_status *status)
{
    const struct memory_log *log = ctx;
    *status = (struct log_status){
        .oldest = log->count > 0 ? log->frames[0].position : log->end,
        .durable_end = log->end,
        .bytes_on_disk = log->end,
        .segment_count = 1,
        .full = log->full,
    };
}

static const struct log_ops log_ops = {
    .submit = log_submit,
    .poll = log_poll,
    .trim = log_trim,
    .idle = log_idle,
    .status = log_status,
};

struct log_port memory_log_port(struct memory_log *log)
{
    return (struct log_port){.ops = &log_ops, .ctx = log};
}

void memory_log_crash(struct memory_log *log, bool keep_in_flight)
{
    if (log->in_flight != NULL && keep_in_flight) {
        keep_pending(log);
    }
    free(log->pending.body);
    log->pending.body = NULL;
    log->in_flight = NULL;
}

/* --- reading --- */

struct memory_reader {
    struct memory_log *log;
    uint64_t position;
};

static void *reader_open(void *ctx, uint64_t position)
{
    struct memory_reader *reader = malloc(sizeof(*reader));
    if (reader != NULL) {
        *reader = (struct memory_reader){.log = ctx, .position = position};
    }
    return reader;
}

static enum err reader_next(void *handle, struct log_view *view)
{
    struct memory_reader *reader = handle;
    struct memory_log *log = reader->log;
    if (log->on_read != NULL) {
        log->on_read(log->on_read_ctx);
    }
    if (log->short_reads > 0) {
        log->short_reads--;
        return ERR_OVERLOADED;
    }
    if (log->count > 0 && log->trims && reader->position < log->frames[0].position) {
        reader->position = log->frames[0].position;
        return ERR_UNAVAILABLE;
    }
    size_t low = 0;
    size_t high = log->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->frames[middle].position < reader->position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == log->count) {
        return ERR_NOT_FOUND;
    }
    const struct memory_frame *frame = &log->frames[low];
    *view = (struct log_view){.position = frame->position,
                              .end = frame->end,
                              .record_count = frame->record_count,
                              .body = bytes_of(frame->body, frame->body_len)};
    reader->position = frame->end;
    return OK;
}

static void reader_close(void *handle)
{
    free(handle);
}

static const struct log_reader_ops reader_ops = {
    .open = reader_open,
    .next = reader_next,
    .close = reader_close,
};

struct log_reader_port memory_log_reader_port(struct memory_log *log)
{
    return (struct log_reader_port){.ops = &reader_ops, .ctx = log};
}
