/* The embeddable library: include/tidemark.h on top of core/collect.
 *
 * Here is what the core may not have, malloc, and what a stranger's call needs: arguments that are
 * looked at, and a guard against a callback that calls back. The windows themselves are the core's.
 *
 *     idle ---emit: a window is ready---> handing over ---callback returned---> idle
 *                                              |
 *                                    everything else: TIDEMARK_BUSY
 *
 * Events are handed over where they lie: tidemark_event shows what collect_event is. The assertions
 * below keep the two the same. */
#include <tidemark.h>

#include <stdlib.h>

#include "apps/version.h"
#include "base/check.h"
#include "core/collect.h"

struct tidemark_ingestor {
    struct collect *collect;
    bool one_window_per_call;
    bool handing_over;
};

#define SAME_PLACE(member)                                                                         \
    _Static_assert(offsetof(struct tidemark_event, member) ==                                      \
                       offsetof(struct collect_event, member),                                     \
                   "an event of the core is an event of the library")

SAME_PLACE(next);
SAME_PLACE(data);
SAME_PLACE(len);
SAME_PLACE(timestamp);
SAME_PLACE(partition);
_Static_assert(sizeof(struct tidemark_event) == sizeof(struct collect_event), "nothing more");
_Static_assert(TIDEMARK_PARTITIONS_MAX == COLLECT_PARTITIONS_MAX, "as the header says");

static void *allocate(void *ctx, size_t size_bytes)
{
    (void)ctx;
    return malloc(size_bytes);
}

static void release(void *ctx, void *block, size_t size_bytes)
{
    (void)ctx;
    (void)size_bytes;
    free(block);
}

static enum tidemark_result result_of(enum collect_outcome outcome)
{
    switch (outcome) {
    case COLLECT_OK:
        return TIDEMARK_OK;
    case COLLECT_LATE:
        return TIDEMARK_LATE;
    case COLLECT_BACKWARDS:
        return TIDEMARK_BACKWARDS;
    case COLLECT_UNKNOWN_PARTITION:
        return TIDEMARK_UNKNOWN_PARTITION;
    case COLLECT_FULL:
        return TIDEMARK_FULL;
    case COLLECT_NO_MEMORY:
        return TIDEMARK_NO_MEMORY;
    case COLLECT_INVALID:
        return TIDEMARK_INVALID;
    }
    CHECK(false);
    return TIDEMARK_INVALID;
}

static bool options_ok(const struct tidemark_options *options)
{
    for (size_t n = 0; n < sizeof(options->reserved) / sizeof(options->reserved[0]); n++) {
        if (options->reserved[n] != 0) {
            return false;
        }
    }
    return true;
}

/* The ingestor itself counts as well: what is left is for the core. */
static size_t limit_for_core(const struct tidemark_options *options)
{
    uint64_t limit = options->memory_limit_bytes;
    if (limit == 0) {
        limit = TIDEMARK_MEMORY_DEFAULT_BYTES;
    }
    if (limit > SIZE_MAX) {
        limit = SIZE_MAX;
    }
    size_t own = sizeof(struct tidemark_ingestor);
    return limit > own ? (size_t)limit - own : 0;
}

static enum tidemark_result create(struct tidemark_ingestor **ingestor,
                                   const struct collect_settings *settings)
{
    struct tidemark_ingestor *made = malloc(sizeof(*made));
    if (made == NULL) {
        return TIDEMARK_NO_MEMORY;
    }
    *made = (struct tidemark_ingestor){.collect = NULL};
    struct collect_memory memory = {.allocate = allocate, .release = release};
    enum tidemark_result result = result_of(collect_create(&made->collect, settings, memory));
    if (result != TIDEMARK_OK) {
        free(made);
        return result;
    }
    *ingestor = made;
    return TIDEMARK_OK;
}

struct tidemark_ingestor *tidemark_ingestor_create(const uint32_t *partitions,
                                                   size_t count,
                                                   int64_t window_size,
                                                   const struct tidemark_options *options,
                                                   enum tidemark_result *result)
{
    const struct tidemark_options defaults = {.report_empty_windows = false};
    const struct tidemark_options *chosen = options != NULL ? options : &defaults;
    struct tidemark_ingestor *ingestor = NULL;
    enum tidemark_result done = TIDEMARK_INVALID;
    if (options_ok(chosen)) {
        done = create(&ingestor,
                      &(struct collect_settings){
                          .partitions = partitions,
                          .partition_count = count,
                          .window_size = window_size,
                          .limit_bytes = limit_for_core(chosen),
                          .report_empty = chosen->report_empty_windows,
                      });
    }
    if (ingestor != NULL) {
        ingestor->one_window_per_call = chosen->one_window_per_call;
    }
    if (result != NULL) {
        *result = done;
    }
    return ingestor;
}

/* What is wrong with a call that changes the ingestor; OK when nothing is. */
static enum tidemark_result admit(const struct tidemark_ingestor *ingestor)
{
    if (ingestor == NULL) {
        return TIDEMARK_INVALID;
    }
    return ingestor->handing_over ? TIDEMARK_BUSY : TIDEMARK_OK;
}

enum tidemark_result tidemark_ingestor_ingest(struct tidemark_ingestor *ingestor,
                                              uint32_t partition,
                                              int64_t timestamp,
                                              const void *data,
                                              size_t len)
{
    enum tidemark_result result = admit(ingestor);
    if (result != TIDEMARK_OK) {
        return result;
    }
    if (data == NULL && len > 0) {
        return TIDEMARK_INVALID;
    }
    return result_of(collect_ingest(ingestor->collect, partition, timestamp, data, len));
}

enum tidemark_result tidemark_ingestor_advance_watermark(struct tidemark_ingestor *ingestor,
                                                         uint32_t partition,
                                                         int64_t timestamp)
{
    enum tidemark_result result = admit(ingestor);
    if (result != TIDEMARK_OK) {
        return result;
    }
    return result_of(collect_advance(ingestor->collect, partition, timestamp));
}

/* Hands over the window that was taken; whether the callback wants to go on. */
static bool hand_over(struct tidemark_ingestor *ingestor,
                      const struct collect_window *taken,
                      tidemark_window_callback callback,
                      void *context)
{
    struct tidemark_window window = {
        .start = taken->start,
        .end = taken->end,
        .first = (const struct tidemark_event *)(const void *)taken->first,
        .event_count = taken->event_count,
    };
    ingestor->handing_over = true;
    bool go_on = callback(&window, context) == 0;
    CHECK(ingestor->handing_over);
    ingestor->handing_over = false;
    return go_on;
}

enum tidemark_result tidemark_ingestor_emit(struct tidemark_ingestor *ingestor,
                                            tidemark_window_callback callback,
                                            void *context)
{
    enum tidemark_result result = admit(ingestor);
    if (result != TIDEMARK_OK) {
        return result;
    }
    if (callback == NULL) {
        return TIDEMARK_INVALID;
    }
    size_t empty_count = 0;
    bool go_on = true;
    struct collect_window taken;
    while (go_on && collect_take(ingestor->collect, &taken)) {
        go_on = hand_over(ingestor, &taken, callback, context);
        empty_count += taken.event_count == 0;
        collect_release(ingestor->collect);
        go_on = go_on && !ingestor->one_window_per_call;
        go_on = go_on && empty_count < TIDEMARK_EMPTY_PER_CALL_MAX;
    }
    return collect_ready(ingestor->collect) ? TIDEMARK_MORE : TIDEMARK_OK;
}

enum tidemark_result tidemark_ingestor_destroy(struct tidemark_ingestor *ingestor)
{
    if (ingestor == NULL) {
        return TIDEMARK_OK;
    }
    if (ingestor->handing_over) {
        return TIDEMARK_BUSY;
    }
    collect_destroy(ingestor->collect);
    free(ingestor);
    return TIDEMARK_OK;
}

int64_t tidemark_ingestor_watermark(const struct tidemark_ingestor *ingestor)
{
    CHECK(ingestor != NULL);
    return collect_watermark(ingestor->collect);
}

uint64_t tidemark_ingestor_used_bytes(const struct tidemark_ingestor *ingestor)
{
    CHECK(ingestor != NULL);
    return sizeof(*ingestor) + collect_used_bytes(ingestor->collect);
}

const char *tidemark_error_text(enum tidemark_result result)
{
    switch (result) {
    case TIDEMARK_OK:
        return "done";
    case TIDEMARK_MORE:
        return "done, and a further window is ready";
    case TIDEMARK_LATE:
        return "the event is older than the watermark";
    case TIDEMARK_BACKWARDS:
        return "the watermark would go back";
    case TIDEMARK_UNKNOWN_PARTITION:
        return "there is no such partition";
    case TIDEMARK_FULL:
        return "the memory limit is reached";
    case TIDEMARK_NO_MEMORY:
        return "the system has no memory left";
    case TIDEMARK_BUSY:
        return "called from inside the window callback";
    case TIDEMARK_INVALID:
        return "an argument is invalid";
    }
    return "no result of this library";
}

const char *tidemark_version(void)
{
    return TIDEMARK_VERSION;
}
