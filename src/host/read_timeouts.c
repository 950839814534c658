/* Reading timeouts and the feed: what is asked is answered in bounded work, and says where to go on.
 *
 * Each runner answers for its own partitions: of one timeout, or a page of a partition, all but one
 * runner say nothing. */
#include "base/check.h"
#include "core/timeouts.h"
#include "host/read.h"
#include "host/timeout_rows.h"

/* --- timeouts --- */

static struct timeouts *timeouts_of(const struct engine *engine, uint32_t partition)
{
    bool own = partition < engine->limits.partitions && engine->partitions[partition] != NULL;
    return own ? &engine->partitions[partition]->timeouts : NULL;
}

/* False when there was no room for the row. */
static bool put_view(struct query_answer *answer, const struct timeout_view *view)
{
    size_t need = TIMEOUT_ROW_BYTES_MAX + view->key.len + view->data.len;
    struct buf *out = answer_room(answer, need);
    if (out == NULL) {
        return false;
    }
    struct timeout_row row = {.object = view->object, .key = view->key, .data = view->data};
    timeout_row_put(out, &row);
    CHECK(!out->overflow);
    answer->row_count++;
    return true;
}

/* What is due is told by the clock of who asks: while the engine holds there may be no pulse for long. */
static struct timeouts_time now_of(const struct timeouts *timeouts, const struct query *query)
{
    struct timeouts_time now = timeouts->now;
    now.clock = query->now.us > now.clock.us ? query->now : now.clock;
    return now;
}

void read_timeout(struct engine *engine, const struct query *query, struct query_answer *answer)
{
    uint64_t hash = timeout_hash(query->key, engine->limits.seed);
    const struct timeouts *timeouts =
        timeouts_of(engine, timeout_partition(hash, engine->limits.partitions));
    if (timeouts == NULL) {
        return;
    }
    struct timeout_view view;
    struct timeouts_time now = now_of(timeouts, query);
    timeouts_look(timeouts, query->key, &now, &view);
    if (view.object.state != TIMEOUT_ABSENT) {
        (void)put_view(answer, &view);
    }
}

static bool view_wanted(const struct query *query, const struct timeout_view *view)
{
    bool state =
        query->timeout_states == 0 || ((query->timeout_states >> view->object.state) & 1) != 0;
    bool due = query->due_before == INT64_MAX || view->object.deadline < query->due_before;
    bool prefix = view->key.len >= query->prefix.len &&
                  bytes_equal(bytes_of(view->key.data, query->prefix.len), query->prefix);
    return state && due && prefix;
}

/* A row that is too much for the rest of the answer is the first one of the next page. */
static bool has_room(const struct query_answer *answer, const struct timeout_view *view)
{
    size_t need = TIMEOUT_ROW_BYTES_MAX + view->key.len + view->data.len;
    return answer->row_count == 0 || answer->rows.len + need <= READ_BYTES_MAX;
}

void read_timeouts(struct engine *engine, const struct query *query, struct query_answer *answer)
{
    answer->next_place = UINT32_MAX;
    const struct timeouts *timeouts = timeouts_of(engine, query->partition);
    if (timeouts == NULL) {
        return;
    }
    struct timeout_view view;
    uint32_t place = query->timeout_place;
    uint32_t begin = place;
    struct timeouts_time now = now_of(timeouts, query);
    while (true) {
        uint32_t before = place;
        bool enough = answer->row_count >= query->limit || before - begin >= READ_PLACES_MAX;
        if (!timeouts_walk(timeouts, &place, &now, &view)) {
            return;
        }
        bool wanted = view_wanted(query, &view);
        if (enough || (wanted && !has_room(answer, &view))) {
            answer->next_place = before;
            return;
        }
        if (wanted && !put_view(answer, &view)) {
            return;
        }
    }
}

void answer_count(struct query_answer *answer, uint32_t index, uint64_t count)
{
    struct buf *out = answer_room(answer, COUNT_ROW_BYTES);
    if (out != NULL) {
        count_row_put(out, (struct count_row){.index = index, .count = count});
        answer->row_count++;
    }
}

void read_timeout_counts(struct engine *engine,
                         const struct query *query,
                         struct query_answer *answer)
{
    if (query->metric.data != NULL) {
        read_watch_counts(engine, query, answer);
        return;
    }
    uint64_t counts[TIMEOUT_STATES] = {0};
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct timeouts *timeouts = timeouts_of(engine, n);
        for (uint32_t state = 0; timeouts != NULL && state < TIMEOUT_STATES; state++) {
            counts[state] += timeouts->counts[state];
        }
    }
    for (uint32_t state = 0; state < TIMEOUT_STATES; state++) {
        answer_count(answer, state, counts[state]);
    }
}

/* What the partitions have told, and keep. */
static void read_feed_stats(const struct engine *engine, struct query_answer *answer)
{
    uint64_t kept = 0;
    uint64_t forgotten = 0;
    uint64_t lost = 0;
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        if (engine->partitions[n] != NULL) {
            kept += engine->partitions[n]->feed.count;
            forgotten += engine->partitions[n]->feed.forgotten_count;
            lost += engine->partitions[n]->feed.lost;
        }
    }
    answer_stat(answer, "feed_kept", (struct bytes){0}, kept);
    answer_stat(answer, "feed_forgotten", (struct bytes){0}, forgotten);
    answer_stat(answer, "feed_lost", (struct bytes){0}, lost);
}

void read_timeout_stats(const struct engine *engine, struct query_answer *answer)
{
    uint64_t counts[TIMEOUT_STATES] = {0};
    struct timer_cost used = {0};
    uint64_t fired = 0;
    uint64_t no_room = 0;
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct timeouts *timeouts = timeouts_of(engine, n);
        for (uint32_t state = 0; timeouts != NULL && state < TIMEOUT_STATES; state++) {
            counts[state] += timeouts->counts[state];
        }
        used = timeouts == NULL ? used : cost_sum(used, timeouts->used);
        fired += timeouts == NULL ? 0 : timeouts->fired_total;
        no_room += timeouts == NULL ? 0 : timeouts->no_room_total;
    }
    /* Explicit ones are never retracted. */
    for (uint32_t state = TIMEOUT_PENDING; state < TIMEOUT_RETRACTED; state++) {
        const char *name = timeout_state_name((enum timeout_state)state);
        answer_stat(answer, "timeouts", bytes_of_string(name), counts[state]);
    }
    answer_stat(answer, "timeouts_bytes", (struct bytes){0}, used.bytes);
    answer_stat(answer, "timeouts_cold", (struct bytes){0}, used.cold);
    answer_stat(answer, "timeouts_fired", (struct bytes){0}, fired);
    answer_stat(answer, "timeouts_no_room", (struct bytes){0}, no_room);
    read_feed_stats(engine, answer);
}

void read_timeouts_due(struct engine *engine,
                       const struct query *query,
                       struct query_answer *answer)
{
    uint64_t counts[READ_SPANS_MAX] = {0};
    if (query->limit == 0 || query->limit > READ_SPANS_MAX || query->span_us <= 0) {
        answer->err = ERR_LIMIT;
        return;
    }
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct timeouts *timeouts = timeouts_of(engine, n);
        if (timeouts != NULL) {
            timeouts_histogram(
                timeouts, query->clock, query->from, query->span_us, counts, query->limit);
        }
    }
    for (uint32_t span = 0; span < query->limit; span++) {
        answer_count(answer, span, counts[span]);
    }
}

/* --- the feed --- */

/* The partitions' feeds as one: the next entry of each. */
struct feed_heads {
    const struct feed_entry *next[PARTITIONS_MAX];
    uint32_t count;
};

static void heads_init(struct feed_heads *heads, struct engine *engine, struct feed_place place)
{
    heads->count = engine->limits.partitions;
    for (uint32_t n = 0; n < heads->count; n++) {
        struct partition *partition = engine->partitions[n];
        heads->next[n] = partition == NULL ? NULL : feed_after(&partition->feed, place);
    }
}

/* Whose entry comes first; heads->count: there is none. Numbers count within a partition's pulse, so
 * ordinal and partition decide. */
static uint32_t heads_first(const struct feed_heads *heads)
{
    uint32_t first = heads->count;
    for (uint32_t n = 0; n < heads->count; n++) {
        bool before =
            heads->next[n] != NULL &&
            (first == heads->count || heads->next[n]->ordinal < heads->next[first]->ordinal);
        first = before ? n : first;
    }
    return first;
}

static bool
put_entry(struct query_answer *answer, uint32_t partition, const struct feed_entry *entry)
{
    size_t need = FEED_ROW_BYTES_MAX + entry->len;
    if (answer->row_count > 0 && answer->rows.len + need > READ_BYTES_MAX) {
        return false;
    }
    struct buf *out = answer_room(answer, need);
    if (out == NULL) {
        return false;
    }
    struct feed_place place = {entry->ordinal, partition, entry->number};
    feed_row_put(out, place, feed_entry_bytes(entry));
    CHECK(!out->overflow);
    answer->row_count++;
    return true;
}

void read_feed(struct engine *engine, const struct query *query, struct query_answer *answer)
{
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct partition *partition = engine->partitions[n];
        if (partition != NULL &&
            feed_place_compare(partition->feed.forgotten, answer->forgotten) > 0) {
            answer->forgotten = partition->feed.forgotten;
        }
    }
    answer->ordinal = engine->pulse_ordinal;
    struct feed_heads heads;
    heads_init(&heads, engine, query->feed_place);
    for (uint32_t first; (first = heads_first(&heads)) < heads.count;) {
        if (answer->row_count == query->limit || !put_entry(answer, first, heads.next[first])) {
            return; /* next_place stays 0: there are more */
        }
        heads.next[first] = heads.next[first]->next;
    }
    answer->next_place = UINT32_MAX;
}
