/* Tumbling windows over partitions: see collect.h for the picture and the invariants.
 *
 * A window keeps its events in the order of arrival, each followed by its data, in chunks that
 * double from CHUNK_BYTES_MIN to CHUNK_BYTES_MAX; an event that is larger has a chunk for itself.
 *
 *     window ---> chunk | event | data | event | data |  free  |
 *                   |
 *                   +-> chunk | event | data ...
 *
 * The events are a chain through all chunks, too. A window is sorted when it is taken, in that
 * chain, and only if an event came out of order.
 *
 * The lowest watermark is the root of a tree in an array: partition n is the leaf count + n, the
 * parent of i is i / 2, and each inner place holds the lower of its two children. */
#include "core/collect.h"

#include <stdalign.h>
#include <string.h>

#include "base/check.h"
#include "core/collect_tree.h"

#define CHUNK_BYTES_MIN 256U
#define CHUNK_BYTES_MAX 65536U

struct chunk {
    struct chunk *next;
    size_t size_bytes; /* with this head */
    size_t used_bytes;
};

struct window {
    struct collect_node node; /* key: the index */
    struct chunk *first_chunk;
    struct chunk *last_chunk;
    struct collect_event *first;
    struct collect_event *last;
    size_t event_count;
    bool in_order;
};

struct partition {
    struct collect_node node; /* key: the id */
    size_t leaf;              /* its place in lowest[] */
};

struct collect {
    struct collect_memory memory;
    size_t used_bytes;
    size_t limit_bytes;
    int64_t window_size;
    bool report_empty;
    bool started;       /* there is a watermark, so next_index is known */
    int64_t next_index; /* the first window that was not yet reported */
    size_t partition_count;
    struct partition *partitions;
    struct collect_node *partition_root;
    int64_t *lowest; /* [1] is the watermark, [count..2*count) are the partitions' */
    struct collect_node *window_root;
    struct window *recent; /* where the last event went; NULL or in the tree */
    struct window *taken;  /* not in the tree; NULL while an empty window is taken */
    bool is_taken;
};

_Static_assert(sizeof(struct chunk) % alignof(struct collect_event) == 0,
               "the first event of a chunk is aligned");
_Static_assert(sizeof(struct collect_event) % 8 == 0, "data is aligned to 8 bytes");
_Static_assert(offsetof(struct window, node) == 0, "a node is its window");
_Static_assert(offsetof(struct partition, node) == 0, "a node is its partition");

static struct window *window_of(struct collect_node *node)
{
    return (struct window *)(void *)node;
}

/* Toward negative infinity. */
static int64_t floor_divide(int64_t dividend, int64_t divisor)
{
    int64_t quotient = dividend / divisor;
    return dividend % divisor < 0 ? quotient - 1 : quotient;
}

/* Invariant 3 is kept here and in give_back. */
static enum collect_outcome take_memory(struct collect *collect, size_t size_bytes, void **block)
{
    CHECK(collect->used_bytes <= collect->limit_bytes);
    if (size_bytes > collect->limit_bytes - collect->used_bytes) {
        return COLLECT_FULL;
    }
    void *taken = collect->memory.allocate(collect->memory.ctx, size_bytes);
    if (taken == NULL) {
        return COLLECT_NO_MEMORY;
    }
    CHECK((uintptr_t)taken % alignof(struct collect_event) == 0);
    collect->used_bytes += size_bytes;
    *block = taken;
    return COLLECT_OK;
}

static void give_back(struct collect *collect, void *block, size_t size_bytes)
{
    if (block == NULL) {
        return;
    }
    CHECK(collect->used_bytes >= size_bytes);
    collect->used_bytes -= size_bytes;
    collect->memory.release(collect->memory.ctx, block, size_bytes);
}

static bool settings_ok(const struct collect_settings *settings)
{
    return settings->partitions != NULL && settings->partition_count > 0 &&
           settings->partition_count <= COLLECT_PARTITIONS_MAX && settings->window_size > 0;
}

static enum collect_outcome add_partitions(struct collect *collect, const uint32_t *ids)
{
    size_t count = collect->partition_count;
    void *block = NULL;
    enum collect_outcome outcome = take_memory(collect, count * sizeof(struct partition), &block);
    if (outcome != COLLECT_OK) {
        return outcome;
    }
    collect->partitions = block;
    outcome = take_memory(collect, 2 * count * sizeof(int64_t), &block);
    if (outcome != COLLECT_OK) {
        return outcome;
    }
    collect->lowest = block;
    for (size_t n = 0; n < count; n++) {
        if (collect_tree_find(collect->partition_root, ids[n]) != NULL) {
            return COLLECT_INVALID;
        }
        collect->partitions[n] = (struct partition){.node.key = ids[n], .leaf = count + n};
        collect_tree_insert(&collect->partition_root, &collect->partitions[n].node);
        collect->lowest[n] = INT64_MIN;
        collect->lowest[count + n] = INT64_MIN;
    }
    return COLLECT_OK;
}

enum collect_outcome collect_create(struct collect **collect,
                                    const struct collect_settings *settings,
                                    struct collect_memory memory)
{
    CHECK(memory.allocate != NULL);
    CHECK(memory.release != NULL);
    if (!settings_ok(settings)) {
        return COLLECT_INVALID;
    }
    struct collect seed = {
        .memory = memory,
        .limit_bytes = settings->limit_bytes,
        .window_size = settings->window_size,
        .report_empty = settings->report_empty,
        .partition_count = settings->partition_count,
    };
    void *block = NULL;
    enum collect_outcome outcome = take_memory(&seed, sizeof(seed), &block);
    if (outcome != COLLECT_OK) {
        return outcome;
    }
    struct collect *made = block;
    *made = seed;
    outcome = add_partitions(made, settings->partitions);
    if (outcome != COLLECT_OK) {
        collect_destroy(made);
        return outcome;
    }
    *collect = made;
    return COLLECT_OK;
}

static void window_free(struct collect *collect, struct window *window)
{
    struct chunk *chunk = window->first_chunk;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        give_back(collect, chunk, chunk->size_bytes);
        chunk = next;
    }
    give_back(collect, window, sizeof(*window));
}

void collect_destroy(struct collect *collect)
{
    if (collect == NULL) {
        return;
    }
    if (collect->is_taken) {
        collect_release(collect);
    }
    struct collect_node *node = collect_tree_take_first(&collect->window_root);
    while (node != NULL) {
        window_free(collect, window_of(node));
        node = collect_tree_take_first(&collect->window_root);
    }
    give_back(collect, collect->lowest, 2 * collect->partition_count * sizeof(int64_t));
    give_back(collect, collect->partitions, collect->partition_count * sizeof(struct partition));
    CHECK(collect->used_bytes == sizeof(*collect));
    struct collect_memory memory = collect->memory;
    memory.release(memory.ctx, collect, sizeof(*collect));
}

static struct partition *partition_find(const struct collect *collect, uint32_t id)
{
    return (struct partition *)(void *)collect_tree_find(collect->partition_root, id);
}

/* What an event takes in a chunk; false when no memory could hold it. */
static bool event_bytes(size_t len, size_t *size_bytes)
{
    if (len > SIZE_MAX / 4) {
        return false;
    }
    size_t padded = (len + alignof(struct collect_event) - 1) / alignof(struct collect_event) *
                    alignof(struct collect_event);
    *size_bytes = sizeof(struct collect_event) + padded;
    return true;
}

/* Makes room for `needed` bytes in the window's last chunk. */
static enum collect_outcome
window_reserve(struct collect *collect, struct window *window, size_t needed)
{
    const struct chunk *last = window->last_chunk;
    if (last != NULL && last->size_bytes - last->used_bytes >= needed) {
        return COLLECT_OK;
    }
    size_t size_bytes = last == NULL ? CHUNK_BYTES_MIN : 2 * last->size_bytes;
    if (size_bytes > CHUNK_BYTES_MAX) {
        size_bytes = CHUNK_BYTES_MAX;
    }
    if (size_bytes < sizeof(struct chunk) + needed) {
        size_bytes = sizeof(struct chunk) + needed;
    }
    void *block = NULL;
    enum collect_outcome outcome = take_memory(collect, size_bytes, &block);
    if (outcome != COLLECT_OK) {
        return outcome;
    }
    struct chunk *chunk = block;
    *chunk = (struct chunk){.size_bytes = size_bytes, .used_bytes = sizeof(*chunk)};
    if (window->last_chunk == NULL) {
        window->first_chunk = chunk;
    } else {
        window->last_chunk->next = chunk;
    }
    window->last_chunk = chunk;
    return COLLECT_OK;
}

/* The window of this index with room for one more event; it is made when it isn't there. */
static enum collect_outcome
window_obtain(struct collect *collect, int64_t index, size_t needed, struct window **window)
{
    if (collect->recent == NULL || collect->recent->node.key != index) {
        collect->recent = window_of(collect_tree_find(collect->window_root, index));
    }
    if (collect->recent != NULL) {
        *window = collect->recent;
        return window_reserve(collect, collect->recent, needed);
    }
    void *block = NULL;
    enum collect_outcome outcome = take_memory(collect, sizeof(struct window), &block);
    if (outcome != COLLECT_OK) {
        return outcome;
    }
    struct window *made = block;
    *made = (struct window){.node.key = index, .in_order = true};
    outcome = window_reserve(collect, made, needed);
    if (outcome != COLLECT_OK) {
        window_free(collect, made);
        return outcome;
    }
    collect_tree_insert(&collect->window_root, &made->node);
    collect->recent = made;
    *window = made;
    return COLLECT_OK;
}

/* Appends the event, whose data is yet to be copied behind it. */
static struct collect_event *window_append(struct window *window, size_t size_bytes)
{
    struct chunk *chunk = window->last_chunk;
    CHECK(chunk->size_bytes - chunk->used_bytes >= size_bytes);
    struct collect_event *event = (void *)((uint8_t *)chunk + chunk->used_bytes);
    chunk->used_bytes += size_bytes;
    if (window->last == NULL) {
        window->first = event;
    } else {
        window->last->next = event;
    }
    window->last = event;
    window->event_count++;
    return event;
}

enum collect_outcome collect_ingest(
    struct collect *collect, uint32_t partition, int64_t timestamp, const void *data, size_t len)
{
    CHECK(!collect->is_taken);
    CHECK(data != NULL || len == 0);
    const struct partition *from = partition_find(collect, partition);
    if (from == NULL) {
        return COLLECT_UNKNOWN_PARTITION;
    }
    /* The watermark of the whole is not above it, so this is the stricter of the two. */
    CHECK(collect->lowest[1] <= collect->lowest[from->leaf]);
    if (timestamp < collect->lowest[from->leaf]) {
        return COLLECT_LATE;
    }
    size_t size_bytes = 0;
    if (!event_bytes(len, &size_bytes)) {
        return COLLECT_FULL;
    }
    struct window *window = NULL;
    int64_t index = floor_divide(timestamp, collect->window_size);
    enum collect_outcome outcome = window_obtain(collect, index, size_bytes, &window);
    if (outcome != COLLECT_OK) {
        return outcome;
    }
    if (window->last != NULL && timestamp < window->last->timestamp) {
        window->in_order = false;
    }
    struct collect_event *event = window_append(window, size_bytes);
    *event = (struct collect_event){
        .data = event + 1,
        .len = len,
        .timestamp = timestamp,
        .partition = partition,
    };
    if (len > 0) {
        memcpy(event + 1, data, len);
    }
    return COLLECT_OK;
}

/* Empty windows are reported from the first watermark on, or from the first event if that is
 * earlier. Nothing earlier can come any more. */
static void start(struct collect *collect)
{
    const struct collect_node *first = collect_tree_first(collect->window_root);
    int64_t index = floor_divide(collect->lowest[1], collect->window_size);
    collect->next_index = first != NULL && first->key < index ? first->key : index;
    collect->started = true;
}

enum collect_outcome collect_advance(struct collect *collect, uint32_t partition, int64_t timestamp)
{
    CHECK(!collect->is_taken);
    const struct partition *of = partition_find(collect, partition);
    if (of == NULL) {
        return COLLECT_UNKNOWN_PARTITION;
    }
    int64_t *lowest = collect->lowest;
    if (timestamp < lowest[of->leaf]) {
        return COLLECT_BACKWARDS;
    }
    int64_t before = lowest[1];
    lowest[of->leaf] = timestamp;
    for (size_t n = of->leaf / 2; n > 0; n /= 2) {
        lowest[n] = lowest[2 * n] < lowest[2 * n + 1] ? lowest[2 * n] : lowest[2 * n + 1];
    }
    CHECK(lowest[1] >= before);
    if (!collect->started && lowest[1] > INT64_MIN) {
        start(collect);
    }
    return COLLECT_OK;
}

int64_t collect_watermark(const struct collect *collect)
{
    return collect->lowest[1];
}

size_t collect_used_bytes(const struct collect *collect)
{
    return collect->used_bytes;
}

/* The index of the oldest window that was neither taken nor is to be skipped; false when none is
 * ready. (k + 1) * size <= watermark is k < floor(watermark / size). */
static bool next_ready(const struct collect *collect, int64_t *index)
{
    if (!collect->started) {
        return false;
    }
    int64_t ready_end = floor_divide(collect->lowest[1], collect->window_size);
    if (collect->report_empty) {
        *index = collect->next_index;
        return collect->next_index < ready_end;
    }
    const struct collect_node *first = collect_tree_first(collect->window_root);
    if (first == NULL) {
        return false;
    }
    *index = first->key;
    return first->key < ready_end;
}

bool collect_ready(const struct collect *collect)
{
    int64_t index = 0;
    return next_ready(collect, &index);
}

static struct collect_window window_bounds(const struct collect *collect, int64_t index)
{
    struct collect_window bounds = {.start = INT64_MIN};
    int64_t start = 0;
    if (!__builtin_mul_overflow(index, collect->window_size, &start)) {
        bounds.start = start;
    } else {
        CHECK(index < 0); /* only the window that holds INT64_MIN begins below it */
    }
    bool too_high = __builtin_mul_overflow(index + 1, collect->window_size, &bounds.end);
    CHECK(!too_high); /* the end is not above the watermark */
    return bounds;
}

bool collect_take(struct collect *collect, struct collect_window *window)
{
    CHECK(!collect->is_taken);
    int64_t index = 0;
    if (!next_ready(collect, &index)) {
        return false;
    }
    *window = window_bounds(collect, index);
    CHECK(window->end <= collect->lowest[1]);
    collect->is_taken = true;
    collect->next_index = index + 1;
    const struct collect_node *first = collect_tree_first(collect->window_root);
    if (first == NULL || first->key != index) {
        CHECK(collect->report_empty);
        CHECK(first == NULL || first->key > index);
        return true;
    }
    struct window *taken = window_of(collect_tree_take_first(&collect->window_root));
    if (!taken->in_order) {
        taken->first = collect_event_sort(taken->first);
    }
    if (collect->recent == taken) {
        collect->recent = NULL;
    }
    collect->taken = taken;
    window->first = taken->first;
    window->event_count = taken->event_count;
    return true;
}

void collect_release(struct collect *collect)
{
    CHECK(collect->is_taken);
    if (collect->taken != NULL) {
        window_free(collect, collect->taken);
    }
    collect->taken = NULL;
    collect->is_taken = false;
}

/* CHECKs the chunks of a window; returns the bytes they take. */
static size_t chunks_validate(const struct window *window)
{
    size_t bytes = 0;
    for (const struct chunk *chunk = window->first_chunk; chunk != NULL; chunk = chunk->next) {
        CHECK(chunk->used_bytes <= chunk->size_bytes);
        CHECK((chunk->next == NULL) == (chunk == window->last_chunk));
        bytes += chunk->size_bytes;
    }
    return bytes;
}

static void events_validate(const struct collect *collect, const struct window *window)
{
    size_t count = 0;
    bool in_order = true;
    const struct collect_event *last = NULL;
    for (const struct collect_event *event = window->first; event != NULL; event = event->next) {
        CHECK(floor_divide(event->timestamp, collect->window_size) == window->node.key);
        CHECK(partition_find(collect, event->partition) != NULL);
        in_order = in_order && (last == NULL || last->timestamp <= event->timestamp);
        last = event;
        count++;
    }
    CHECK(count > 0);
    CHECK(count == window->event_count);
    CHECK(last == window->last);
    CHECK(in_order == window->in_order);
}

/* CHECKs all windows, without recursion; returns the bytes they take. */
static size_t windows_validate(const struct collect *collect)
{
    /* A node goes and leaves its two children: one more than the way down. */
    struct collect_node *open[COLLECT_TREE_DEPTH_MAX + 2] = {collect->window_root};
    uint32_t depth = collect->window_root != NULL;
    size_t bytes = 0;
    while (depth > 0) {
        CHECK(depth <= COLLECT_TREE_DEPTH_MAX);
        struct collect_node *node = open[--depth];
        const struct window *window = window_of(node);
        events_validate(collect, window);
        bytes += sizeof(*window) + chunks_validate(window);
        open[depth] = node->child[0];
        depth += node->child[0] != NULL;
        open[depth] = node->child[1];
        depth += node->child[1] != NULL;
    }
    return bytes;
}

static void watermarks_validate(const struct collect *collect)
{
    size_t count = collect->partition_count;
    CHECK(collect_tree_validate(collect->partition_root) == count);
    int64_t lowest = INT64_MAX;
    for (size_t n = 0; n < count; n++) {
        lowest = collect->lowest[count + n] < lowest ? collect->lowest[count + n] : lowest;
    }
    CHECK(lowest == collect->lowest[1]);
    CHECK(collect->started == (lowest > INT64_MIN));
}

void collect_validate(const struct collect *collect)
{
    CHECK(!collect->is_taken);
    watermarks_validate(collect);
    collect_tree_validate(collect->window_root);
    const struct collect_node *first = collect_tree_first(collect->window_root);
    CHECK(!collect->started || first == NULL || first->key >= collect->next_index);
    size_t fixed = sizeof(*collect) +
                   collect->partition_count * (sizeof(struct partition) + 2 * sizeof(int64_t));
    CHECK(collect->used_bytes == fixed + windows_validate(collect));
    CHECK(collect->used_bytes <= collect->limit_bytes);
    const struct window *recent = collect->recent;
    CHECK(recent == NULL ||
          collect_tree_find(collect->window_root, recent->node.key) == &recent->node);
}
