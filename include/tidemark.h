/* Tidemark, the embeddable part: events of several partitions, collected into tumbling windows.
 *
 * You feed events and watermarks in; windows come out, each once, when nothing older can come.
 *
 *     static int print(const struct tidemark_window *window, void *context)
 *     {
 *         const struct tidemark_event *event = window->first;
 *         for (; event != NULL; event = event->next) {
 *             ...
 *         }
 *         return 0;
 *     }
 *
 *     const uint32_t partitions[] = {0, 1};
 *     struct tidemark_ingestor *ingestor =
 *         tidemark_ingestor_create(partitions, 2, 60, NULL, NULL);
 *     tidemark_ingestor_ingest(ingestor, 0, 12, "a", 1);
 *     tidemark_ingestor_ingest(ingestor, 1, 75, "b", 1);
 *     tidemark_ingestor_advance_watermark(ingestor, 0, 121);
 *     tidemark_ingestor_advance_watermark(ingestor, 1, 130);
 *     tidemark_ingestor_emit(ingestor, print, NULL);            [0, 60), then [60, 120)
 *     tidemark_ingestor_destroy(ingestor);
 *
 * Time: a timestamp is a signed 64-bit number in a unit of your choice, the same for timestamps,
 * watermarks and the window's size: seconds, microseconds, offsets. No clock is ever read. Windows
 * are [k * size, (k + 1) * size) for every integer k, below zero too; all 64-bit values are fine.
 *
 * Watermarks: a partition's watermark says that nothing older will come in it; at first it is
 * INT64_MIN. The global watermark is the lowest of all partitions', so a partition that says
 * nothing holds all windows back. Neither ever falls.
 *
 * Threads: an ingestor is used by one thread at a time. Any number of them may exist; they share
 * nothing.
 *
 * What returns a negative tidemark_result has changed nothing. */
#ifndef TIDEMARK_H
#define TIDEMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TIDEMARK_API __attribute__((visibility("default")))
#else
#define TIDEMARK_API
#endif

/* The most partitions that an ingestor may have. */
#define TIDEMARK_PARTITIONS_MAX 1048576

/* memory_limit_bytes, when no other is given, and when there shall be none. */
#define TIDEMARK_MEMORY_DEFAULT_BYTES   1073741824
#define TIDEMARK_MEMORY_UNLIMITED_BYTES UINT64_MAX

/* One call of tidemark_ingestor_emit reports at most so many empty windows. */
#define TIDEMARK_EMPTY_PER_CALL_MAX 1048576

enum tidemark_result {
    TIDEMARK_OK = 0,
    TIDEMARK_MORE = 1,               /* emit: done, and a further window is ready */
    TIDEMARK_LATE = -1,              /* the event is older than a watermark */
    TIDEMARK_BACKWARDS = -2,         /* the watermark is further already */
    TIDEMARK_UNKNOWN_PARTITION = -3, /* the ingestor was made without it */
    TIDEMARK_FULL = -4,              /* memory_limit_bytes is reached: emit, then try again */
    TIDEMARK_NO_MEMORY = -5,         /* the system gave no memory */
    TIDEMARK_BUSY = -6,              /* called from inside a window callback */
    TIDEMARK_INVALID = -7            /* an argument that is never right */
};

/* What create takes beside the necessary. Set all of it to zero, then what you want. */
struct tidemark_options {
    /* Windows without an event are handed over, too: from the window that holds the first global
     * watermark on, or the earliest event if that is older. Otherwise they are skipped. */
    bool report_empty_windows;
    /* Each call of emit hands over one window at most. */
    bool one_window_per_call;
    /* All memory that the ingestor asks for, in bytes, without the allocator's own overhead. 0
     * means TIDEMARK_MEMORY_DEFAULT_BYTES. An event takes 40 bytes and its data, rounded up to 8; a
     * window at least 336 bytes; a partition 56. */
    uint64_t memory_limit_bytes;
    uint64_t reserved[4]; /* zero */
};

/* An event in a window. It and its data belong to the ingestor, until the callback returns. */
struct tidemark_event {
    const struct tidemark_event *next; /* NULL: this was the last */
    const void *data;                  /* a copy of what was given, aligned to 8 bytes; not NULL */
    size_t len;                        /* of the data, in bytes */
    int64_t timestamp;
    uint32_t partition;
};

struct tidemark_window {
    int64_t start; /* inclusive. Would it lie below INT64_MIN, it is INT64_MIN */
    int64_t end;   /* exclusive */
    const struct tidemark_event *first; /* by timestamp, equal ones as they came; NULL when empty */
    size_t event_count;
};

/* Is handed one window, with the context given to emit. Returns 0 to go on; anything else makes
 * emit stop after this window, which counts as handed over. Must return: no longjmp, no C++
 * exception. Of this ingestor it may call tidemark_ingestor_watermark and
 * tidemark_ingestor_used_bytes only; the rest returns TIDEMARK_BUSY. */
typedef int (*tidemark_window_callback)(const struct tidemark_window *window, void *context);

struct tidemark_ingestor;

/* Makes an ingestor for `count` partitions with these ids, any numbers, each once, in any order;
 * the array is copied. window_size > 0. options may be NULL: all zero.
 *
 * Returns NULL when it can't; then *result, unless result is NULL, says why: TIDEMARK_INVALID (no
 * partition, too many, one twice, a size below 1, a reserved option), TIDEMARK_FULL (the limit is
 * too low for the partitions alone), TIDEMARK_NO_MEMORY. Else *result is TIDEMARK_OK, and the
 * caller owns the ingestor, until tidemark_ingestor_destroy. O(count log count). */
TIDEMARK_API struct tidemark_ingestor *
tidemark_ingestor_create(const uint32_t *partitions,
                         size_t count,
                         int64_t window_size,
                         const struct tidemark_options *options,
                         enum tidemark_result *result);

/* Takes an event into the window that its timestamp falls into. `len` bytes at `data` are copied;
 * data may be NULL when len is 0.
 *
 * TIDEMARK_LATE: the timestamp is lower than the partition's watermark or the global one; a
 * timestamp equal to the watermark is in time. Also TIDEMARK_UNKNOWN_PARTITION, TIDEMARK_FULL,
 * TIDEMARK_NO_MEMORY, TIDEMARK_BUSY, TIDEMARK_INVALID. O(log open windows + log partitions). */
TIDEMARK_API enum tidemark_result tidemark_ingestor_ingest(struct tidemark_ingestor *ingestor,
                                                           uint32_t partition,
                                                           int64_t timestamp,
                                                           const void *data,
                                                           size_t len);

/* Says that no event older than `timestamp` will come in this partition. It may jump as far as it
 * likes. INT64_MAX ends the partition: it holds nothing back any more.
 *
 * TIDEMARK_BACKWARDS: the partition's watermark is higher, and stays. The same again is
 * TIDEMARK_OK. Also TIDEMARK_UNKNOWN_PARTITION, TIDEMARK_BUSY, TIDEMARK_INVALID. No window is
 * handed over before emit is called. O(log partitions). */
TIDEMARK_API enum tidemark_result tidemark_ingestor_advance_watermark(
    struct tidemark_ingestor *ingestor, uint32_t partition, int64_t timestamp);

/* Hands each window whose end is not above the global watermark to the callback, oldest first, each
 * once, and gives its memory back. With one_window_per_call: the oldest such window only.
 *
 * TIDEMARK_OK: no further window is ready. TIDEMARK_MORE: there is one, and the next call goes on;
 * it is returned after one window of one_window_per_call, after the callback stopped, or after
 * TIDEMARK_EMPTY_PER_CALL_MAX empty windows, which bounds the work that a far jump of the watermark
 * makes. TIDEMARK_BUSY, TIDEMARK_INVALID. Needs no memory, so it can't fail half-way.
 *
 * O(log open windows) for each window and O(n log n) for its n events, O(n) if they came in order.
 */
TIDEMARK_API enum tidemark_result tidemark_ingestor_emit(struct tidemark_ingestor *ingestor,
                                                         tidemark_window_callback callback,
                                                         void *context);

/* Frees the ingestor and all events it still holds; windows that were not handed over are lost.
 * NULL is TIDEMARK_OK. TIDEMARK_BUSY: called from inside its callback; it lives on. */
TIDEMARK_API enum tidemark_result tidemark_ingestor_destroy(struct tidemark_ingestor *ingestor);

/* The global watermark; INT64_MIN until every partition has one. The ingestor must not be NULL. */
TIDEMARK_API int64_t tidemark_ingestor_watermark(const struct tidemark_ingestor *ingestor);

/* What counts toward memory_limit_bytes now. The ingestor must not be NULL. */
TIDEMARK_API uint64_t tidemark_ingestor_used_bytes(const struct tidemark_ingestor *ingestor);

/* One line for people, without a full stop; never NULL, also for numbers that are no result. The
 * text is constant. */
TIDEMARK_API const char *tidemark_error_text(enum tidemark_result result);

/* The version of the library that runs, as in "0.1.0". The text is constant. */
TIDEMARK_API const char *tidemark_version(void);

#ifdef __cplusplus
}
#endif

#endif
