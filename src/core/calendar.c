/* The calendar: see calendar.h for the picture and the invariants.
 *
 * How an item travels:
 *
 *   calendar_add --> a bucket --spread--> a bucket of a lower level --open--> fresh --sort--> a run --> out
 *        |                       |                                              ^
 *        +-----------------------+------- at or before the origin -------------+
 *
 * Runs are kept few as in a merge sort: a new one is merged with every run that is not longer than
 * itself, so an item is merged O(log items) times at most, and in the usual case (a bucket of a
 * few timers, with nothing near) never. */
#include "core/calendar.h"

#include "base/check.h"

#define DIGIT_BITS 6
#define LINE_BYTES 64
#define SPARES     2
#define NARROW_MAX 2 /* a bucket of this level (4 ms) or below becomes a run when it is one chunk */

_Static_assert(sizeof(struct calendar_item) == 16, "an item is 16 bytes");
_Static_assert(sizeof(struct calendar_chunk) == CALENDAR_CHUNK_BYTES, "a chunk fills its class");
_Static_assert(CALENDAR_BUCKETS == 1 << DIGIT_BITS, "a bucket per digit");
_Static_assert(CALENDAR_LEVELS *DIGIT_BITS >= 64, "the digits cover int64");

/* Rising with the time, without a sign. */
static uint64_t key_of(int64_t time)
{
    return (uint64_t)time ^ (UINT64_C(1) << 63);
}

static int64_t time_of(uint64_t key)
{
    return (int64_t)(key ^ (UINT64_C(1) << 63));
}

static uint64_t tie_of(struct calendar_item item)
{
    return (uint64_t)item.arming << 32 | item.timer;
}

static bool is_before(struct calendar_item a, struct calendar_item b)
{
    return a.time < b.time || (a.time == b.time && tie_of(a) < tie_of(b));
}

/* --- chunks --- */

static struct calendar_chunk *chunk_new(struct calendar *calendar)
{
    struct calendar_chunk *chunk = heap_alloc(calendar->heap, sizeof(*chunk));
    if (chunk != NULL) {
        chunk->next = NULL;
        chunk->begin = 0;
        chunk->end = 0;
        calendar->chunks++;
    }
    return chunk;
}

static void chunk_free(struct calendar *calendar, struct calendar_chunk *chunk)
{
    if (calendar->spare_count < SPARES) {
        chunk->next = calendar->spare;
        calendar->spare = chunk;
        calendar->spare_count++;
        return;
    }
    calendar->chunks--;
    heap_free(calendar->heap, chunk, sizeof(*chunk));
}

/* Chunks of a list lie anywhere; while one is read, the next comes nearer. NULL is allowed. */
static void chunk_prefetch(const struct calendar_chunk *chunk)
{
    const uint8_t *at = (const uint8_t *)chunk;
    for (uint32_t line = 0; at != NULL && line < CALENDAR_CHUNK_BYTES; line += LINE_BYTES) {
        __builtin_prefetch(at + line);
    }
}

static bool fill_spares(struct calendar *calendar)
{
    while (calendar->spare_count < SPARES) {
        struct calendar_chunk *chunk = chunk_new(calendar);
        if (chunk == NULL) {
            return false;
        }
        chunk->next = calendar->spare;
        calendar->spare = chunk;
        calendar->spare_count++;
    }
    return true;
}

static struct calendar_chunk *spare_pop(struct calendar *calendar)
{
    struct calendar_chunk *chunk = calendar->spare;
    CHECK(chunk != NULL);
    calendar->spare = chunk->next;
    calendar->spare_count--;
    chunk->next = NULL;
    chunk->begin = 0;
    chunk->end = 0;
    return chunk;
}

/* --- lists --- */

static bool
list_add(struct calendar *calendar, struct calendar_list *list, struct calendar_item item)
{
    struct calendar_chunk *last = list->last;
    if (last == NULL || last->end == CALENDAR_CHUNK_ITEMS) {
        struct calendar_chunk *chunk = chunk_new(calendar);
        if (chunk == NULL) {
            return false;
        }
        if (last == NULL) {
            list->first = chunk;
            list->least = item.time;
        } else {
            last->next = chunk;
        }
        list->last = chunk;
        last = chunk;
    }
    last->items[last->end++] = item;
    list->least = item.time < list->least ? item.time : list->least;
    return true;
}

/* Hangs all of `more` behind `list`. */
static void list_join(struct calendar_list *list, struct calendar_list more)
{
    if (list->first == NULL) {
        *list = more;
    } else if (more.first != NULL) {
        list->last->next = more.first;
        list->last = more.last;
        list->least = more.least < list->least ? more.least : list->least;
    }
}

static void list_free(struct calendar *calendar, struct calendar_chunk *chunk)
{
    while (chunk != NULL) {
        struct calendar_chunk *next = chunk->next;
        chunk_free(calendar, chunk);
        chunk = next;
    }
}

/* --- runs --- */

static struct calendar_item head_of(const struct calendar_run *run)
{
    return run->first->items[run->first->begin];
}

static struct calendar_item run_pop(struct calendar *calendar, struct calendar_run *run)
{
    struct calendar_chunk *chunk = run->first;
    struct calendar_item item = chunk->items[chunk->begin++];
    run->count--;
    if (chunk->begin == chunk->end) {
        run->first = chunk->next;
        chunk_free(calendar, chunk);
    }
    return item;
}

/* Both become one. The spares suffice: at any moment what is free (the room in the last chunk written,
 * the places read in the two first chunks, the spares) is two chunks or more, and when no room was left
 * for an item, the two chunks being read would both be empty, hence free. */
static struct calendar_run
runs_merge(struct calendar *calendar, struct calendar_run a, struct calendar_run b)
{
    CHECK(calendar->spare_count == SPARES);
    struct calendar_run merged = {.first = spare_pop(calendar), .count = a.count + b.count};
    struct calendar_chunk *last = merged.first;
    while (a.count + b.count > 0) {
        if (last->end == CALENDAR_CHUNK_ITEMS) {
            last->next = spare_pop(calendar);
            last = last->next;
        }
        bool from_b = a.count == 0 || (b.count > 0 && is_before(head_of(&b), head_of(&a)));
        last->items[last->end++] = run_pop(calendar, from_b ? &b : &a);
    }
    CHECK(calendar->spare_count == SPARES);
    return merged;
}

static void run_add(struct calendar *calendar, struct calendar_run run)
{
    uint32_t n = 0;
    while (n < calendar->run_count) {
        struct calendar_run other = calendar->runs[n];
        if (other.count > run.count && calendar->run_count < CALENDAR_RUNS) {
            n++;
            continue;
        }
        calendar->runs[n] = calendar->runs[--calendar->run_count];
        run = runs_merge(calendar, other, run);
        n = 0;
    }
    calendar->runs[calendar->run_count++] = run;
}

static void chunk_sort(struct calendar_chunk *chunk)
{
    for (uint32_t n = chunk->begin + 1U; n < chunk->end; n++) {
        struct calendar_item item = chunk->items[n];
        uint32_t at = n;
        while (at > chunk->begin && is_before(item, chunk->items[at - 1])) {
            chunk->items[at] = chunk->items[at - 1];
            at--;
        }
        chunk->items[at] = item;
    }
}

/* Cuts from `rest` as many chunks as follow each other in order. */
static struct calendar_run cut_run(struct calendar_chunk **rest)
{
    struct calendar_chunk *chunk = *rest;
    struct calendar_run run = {.first = chunk};
    chunk_sort(chunk);
    for (;;) {
        run.count += (uint64_t)chunk->end - chunk->begin;
        struct calendar_chunk *next = chunk->next;
        if (next != NULL) {
            chunk_sort(next);
        }
        if (next == NULL || is_before(next->items[next->begin], chunk->items[chunk->end - 1])) {
            *rest = next;
            chunk->next = NULL;
            return run;
        }
        chunk = next;
    }
}

static void sort_fresh(struct calendar *calendar)
{
    struct calendar_chunk *rest = calendar->fresh.first;
    calendar->fresh = (struct calendar_list){0};
    while (rest != NULL) {
        run_add(calendar, cut_run(&rest));
    }
}

/* --- the wheel --- */

struct bucket_place {
    uint32_t level; /* CALENDAR_LEVELS: none */
    uint32_t digit;
};

/* Where a time behind the origin belongs. */
static struct bucket_place place_of(int64_t origin, int64_t time)
{
    uint64_t key = key_of(time);
    uint64_t differ = key ^ key_of(origin);
    uint32_t level = (63U - (uint32_t)__builtin_clzll(differ)) / DIGIT_BITS;
    uint32_t digit = (uint32_t)(key >> (level * DIGIT_BITS)) % CALENDAR_BUCKETS;
    return (struct bucket_place){.level = level, .digit = digit};
}

static bool item_file(struct calendar *calendar, struct calendar_item item)
{
    if (item.time <= calendar->origin) {
        return list_add(calendar, &calendar->fresh, item);
    }
    struct bucket_place place = place_of(calendar->origin, item.time);
    if (!list_add(calendar, &calendar->buckets[place.level][place.digit], item)) {
        return false;
    }
    calendar->occupied[place.level] |= UINT64_C(1) << place.digit;
    return true;
}

/* The bucket with the least times: on the lowest level in use, since a time on a level differs from the
 * origin in a lower digit than all on the levels above. */
static struct bucket_place first_bucket(const struct calendar *calendar)
{
    struct bucket_place place = {0};
    while (place.level < CALENDAR_LEVELS && calendar->occupied[place.level] == 0) {
        place.level++;
    }
    if (place.level < CALENDAR_LEVELS) {
        place.digit = (uint32_t)__builtin_ctzll(calendar->occupied[place.level]);
    }
    return place;
}

static struct calendar_list bucket_empty(struct calendar *calendar, struct bucket_place place)
{
    struct calendar_list list = calendar->buckets[place.level][place.digit];
    calendar->buckets[place.level][place.digit] = (struct calendar_list){0};
    calendar->occupied[place.level] &= ~(UINT64_C(1) << place.digit);
    return list;
}

/* Everything that the bucket at `place` had, and what has been spread from it, becomes fresh. */
static void gather(struct calendar *calendar, struct bucket_place place, struct calendar_list rest)
{
    list_join(&calendar->fresh, rest);
    for (struct bucket_place at = first_bucket(calendar); at.level < place.level;
         at = first_bucket(calendar)) {
        list_join(&calendar->fresh, bucket_empty(calendar, at));
    }
}

/* The last time that belongs to a bucket which holds `time`. */
static int64_t bucket_end(struct bucket_place place, int64_t time)
{
    uint32_t bits = place.level * DIGIT_BITS;
    return time_of(key_of(time) | ((UINT64_C(1) << bits) - 1));
}

/* Moves a bucket's items to lower levels. With no memory for that all of them become fresh. */
static void spread(struct calendar *calendar, struct bucket_place place, struct calendar_list list)
{
    calendar->origin = list.least;
    while (list.first != NULL) {
        struct calendar_chunk *chunk = list.first;
        chunk_prefetch(chunk->next);
        while (chunk->begin < chunk->end && item_file(calendar, chunk->items[chunk->begin])) {
            chunk->begin++;
        }
        if (chunk->begin < chunk->end) {
            gather(calendar, place, list);
            calendar->origin = bucket_end(place, list.least);
            return;
        }
        list.first = chunk->next;
        chunk_free(calendar, chunk);
    }
}

/* Opens the first bucket, if it has something due. To be called when nothing is near. */
static bool open_first(struct calendar *calendar, int64_t until)
{
    struct bucket_place place = first_bucket(calendar);
    if (place.level == CALENDAR_LEVELS ||
        calendar->buckets[place.level][place.digit].least > until) {
        return false;
    }
    struct calendar_list list = bucket_empty(calendar, place);
    CHECK(list.least > calendar->origin);
    if (place.level == 0 || (place.level <= NARROW_MAX && list.first == list.last)) {
        calendar->origin = bucket_end(place, list.least);
        calendar->fresh = list;
    } else {
        spread(calendar, place, list);
    }
    CHECK(calendar->fresh.first != NULL);
    return true;
}

/* --- the face --- */

void calendar_init(struct calendar *calendar, struct heap *heap, int64_t now)
{
    *calendar = (struct calendar){.heap = heap, .origin = now};
}

void calendar_begin(struct calendar *calendar, int64_t now)
{
    CHECK(calendar->count == 0 && calendar->run_count == 0);
    calendar->origin = now;
}

bool calendar_add(struct calendar *calendar, struct calendar_item item)
{
    if (!fill_spares(calendar) || !item_file(calendar, item)) {
        return false;
    }
    calendar->count++;
    return true;
}

static struct calendar_run *least_run(struct calendar *calendar)
{
    struct calendar_run *least = &calendar->runs[0];
    for (uint32_t n = 1; n < calendar->run_count; n++) {
        if (is_before(head_of(&calendar->runs[n]), head_of(least))) {
            least = &calendar->runs[n];
        }
    }
    return least;
}

bool calendar_take(struct calendar *calendar, int64_t until, struct calendar_item *item)
{
    sort_fresh(calendar);
    if (calendar->run_count == 0) {
        if (!open_first(calendar, until)) {
            return false;
        }
        sort_fresh(calendar);
    }
    struct calendar_run *run = least_run(calendar);
    if (head_of(run).time > until) {
        return false;
    }
    *item = run_pop(calendar, run);
    if (run->count == 0) {
        *run = calendar->runs[--calendar->run_count];
    }
    calendar->count--;
    return true;
}

int64_t calendar_next_due(const struct calendar *calendar)
{
    int64_t least = calendar->fresh.first != NULL ? calendar->fresh.least : INT64_MAX;
    for (uint32_t n = 0; n < calendar->run_count; n++) {
        int64_t time = head_of(&calendar->runs[n]).time;
        least = time < least ? time : least;
    }
    if (calendar->fresh.first != NULL || calendar->run_count > 0) {
        return least;
    }
    struct bucket_place place = first_bucket(calendar);
    return place.level < CALENDAR_LEVELS ? calendar->buckets[place.level][place.digit].least
                                         : INT64_MAX;
}

void calendar_clear(struct calendar *calendar)
{
    list_free(calendar, calendar->fresh.first);
    for (uint32_t n = 0; n < calendar->run_count; n++) {
        list_free(calendar, calendar->runs[n].first);
    }
    for (struct bucket_place place = first_bucket(calendar); place.level < CALENDAR_LEVELS;
         place = first_bucket(calendar)) {
        list_free(calendar, bucket_empty(calendar, place).first);
    }
    while (calendar->spare_count > 0) {
        calendar->chunks--;
        heap_free(calendar->heap, spare_pop(calendar), sizeof(struct calendar_chunk));
    }
    CHECK(calendar->chunks == 0);
    calendar_init(calendar, calendar->heap, calendar->origin);
}

/* --- validation --- */

struct tally {
    uint64_t items;
    uint64_t chunks;
};

static void validate_chunk(const struct calendar_chunk *chunk, struct tally *tally)
{
    CHECK(chunk->begin < chunk->end);
    CHECK(chunk->end <= CALENDAR_CHUNK_ITEMS);
    tally->items += (uint64_t)chunk->end - chunk->begin;
    tally->chunks++;
}

static void validate_list(const struct calendar_list *list, struct tally *tally)
{
    const struct calendar_chunk *last = NULL;
    int64_t least = INT64_MAX;
    for (const struct calendar_chunk *chunk = list->first; chunk != NULL; chunk = chunk->next) {
        validate_chunk(chunk, tally);
        for (uint32_t n = chunk->begin; n < chunk->end; n++) {
            least = chunk->items[n].time < least ? chunk->items[n].time : least;
        }
        last = chunk;
    }
    CHECK(list->last == last);
    CHECK(last == NULL || list->least == least);
}

static void
validate_run(const struct calendar *calendar, const struct calendar_run *run, struct tally *tally)
{
    struct tally own = {0};
    CHECK(run->first != NULL);
    struct calendar_item before = head_of(run);
    for (const struct calendar_chunk *chunk = run->first; chunk != NULL; chunk = chunk->next) {
        validate_chunk(chunk, &own);
        for (uint32_t n = chunk->begin; n < chunk->end; n++) {
            CHECK(!is_before(chunk->items[n], before));
            CHECK(chunk->items[n].time <= calendar->origin);
            before = chunk->items[n];
        }
    }
    CHECK(own.items == run->count);
    tally->items += own.items;
    tally->chunks += own.chunks;
}

static void validate_places(const struct calendar *calendar, struct bucket_place place)
{
    const struct calendar_list *list = &calendar->buckets[place.level][place.digit];
    for (const struct calendar_chunk *chunk = list->first; chunk != NULL; chunk = chunk->next) {
        for (uint32_t n = chunk->begin; n < chunk->end; n++) {
            CHECK(chunk->items[n].time > calendar->origin);
            struct bucket_place right = place_of(calendar->origin, chunk->items[n].time);
            CHECK(right.level == place.level);
            CHECK(right.digit == place.digit);
        }
    }
}

void calendar_validate(const struct calendar *calendar)
{
    struct tally tally = {0};
    validate_list(&calendar->fresh, &tally);
    for (const struct calendar_chunk *chunk = calendar->fresh.first; chunk != NULL;
         chunk = chunk->next) {
        for (uint32_t n = chunk->begin; n < chunk->end; n++) {
            CHECK(chunk->items[n].time <= calendar->origin);
        }
    }
    CHECK(calendar->run_count <= CALENDAR_RUNS);
    for (uint32_t n = 0; n < calendar->run_count; n++) {
        validate_run(calendar, &calendar->runs[n], &tally);
    }
    for (uint32_t level = 0; level < CALENDAR_LEVELS; level++) {
        for (uint32_t digit = 0; digit < CALENDAR_BUCKETS; digit++) {
            const struct calendar_list *list = &calendar->buckets[level][digit];
            CHECK((calendar->occupied[level] >> digit & 1) == (list->first != NULL));
            validate_list(list, &tally);
            validate_places(calendar, (struct bucket_place){level, digit});
        }
    }
    CHECK(tally.items == calendar->count);
    uint32_t spares = 0;
    for (const struct calendar_chunk *chunk = calendar->spare; chunk != NULL; chunk = chunk->next) {
        spares++;
    }
    CHECK(spares == calendar->spare_count);
    CHECK(spares <= SPARES);
    CHECK(tally.chunks + spares == calendar->chunks);
}
