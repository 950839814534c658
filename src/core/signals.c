/* Signals: see signals.h. */
#include "core/signals.h"

#include "base/check.h"
#include "base/hash.h"

#define SIGNAL_HEAD_BYTES   64 /* all but the key, at most */
#define SIGNALS_BYTES_FIRST 1024
#define NANO_PER_UNIT       1000000000
#define AHEAD_BYTES         64 /* the line behind the one that the next signal begins in */

/* One rule and one event: what is worked out once. */
struct match {
    struct engine *engine;
    struct partition *partition;
    const struct arrived *arrived;
    struct watch_rule *rule;
    uint16_t place;
    bool keyed; /* key and hash are known */
    struct bytes key;
    uint64_t hash;
};

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int signal_place_compare(const struct log_place *a, const struct log_place *b)
{
    int order = compare_u64(a->frame, b->frame);
    order = order != 0 ? order : compare_u64(a->record, b->record);
    return order != 0 ? order : compare_u64(a->row, b->row);
}

uint64_t signal_hash(const struct engine *engine, uint32_t rule_id, struct bytes key)
{
    return timeout_rule_hash(rule_id, key, engine->limits.seed);
}

uint32_t signal_shard(const struct engine *engine, uint64_t hash)
{
    return timeout_partition(hash, engine->limits.partitions);
}

/* Room for one more signal; NULL when the partition's memory is used up. */
static struct buf *room(struct partition *partition, struct buf *buf, size_t need)
{
    if (need > buf->cap - buf->len) {
        size_t cap = buf->cap == 0 ? SIGNALS_BYTES_FIRST : buf->cap * 2;
        while (cap - buf->len < need) {
            cap *= 2;
        }
        uint8_t *data = heap_alloc(&partition->heap, cap);
        if (data == NULL) {
            return NULL;
        }
        if (buf->len > 0) {
            memcpy(data, buf->data, buf->len);
        }
        heap_free(&partition->heap, buf->data, buf->cap);
        *buf = (struct buf){.data = data, .len = buf->len, .cap = cap};
    }
    return buf;
}

/* False: the event has no key by this rule, or none that can be used. */
static bool find_key(struct match *match)
{
    struct engine *engine = match->engine;
    if (!match->keyed) {
        enum program_text found = program_eval_text(
            match->rule->rule.key, match->arrived->event, &engine->scratch, &match->key);
        if (found == PROGRAM_TEXT_NULL) {
            return false;
        }
        if (found == PROGRAM_TEXT_TOO_LONG || match->key.len > WATCH_KEY_MAX) {
            match->partition->watch.parts[match->place]->unusable++;
            return false;
        }
        match->keyed = true;
        match->hash = signal_hash(engine, match->rule->id, match->key);
    }
    return true;
}

/* The span that a START waits; false when WITHIN has no such value for this event. */
static bool find_within(struct match *match, int64_t *within_us)
{
    const struct rule *rule = &match->rule->rule;
    *within_us = rule->within_us;
    if (rule->within.len == 0) {
        return true;
    }
    struct value value = program_eval(rule->within, match->arrived->event, &match->engine->scratch);
    double real = value.kind == VALUE_DOUBLE ? value.real : -1;
    if (value.kind == VALUE_NUMBER) {
        int128 whole = value.nano / NANO_PER_UNIT;
        bool fits = whole > 0 && whole <= RULE_SPAN_MAX_US;
        *within_us = fits ? (int64_t)whole : 0;
        return fits;
    }
    bool fits = real >= 1 && real <= (double)RULE_SPAN_MAX_US;
    *within_us = fits ? (int64_t)real : 0;
    return fits;
}

static void put(struct match *match, enum signal_kind kind)
{
    struct partition *partition = match->partition;
    struct watch_part *part = partition->watch.parts[match->place];
    int64_t within_us = 0;
    if (!find_key(match)) {
        return;
    }
    if (kind == SIGNAL_START && !find_within(match, &within_us)) {
        part->unusable++;
        return;
    }
    struct engine *engine = match->engine;
    uint32_t shard = signal_shard(engine, match->hash);
    uint32_t parity = (uint32_t)(engine->pulse_ordinal + 1) & 1;
    struct buf *buf = &engine->deltas[parity][partition->number][shard].signals;
    if (room(partition, buf, SIGNAL_HEAD_BYTES + match->key.len) == NULL) {
        part->lost++;
        return;
    }
    const struct event *event = match->arrived->event;
    bool by_events = match->rule->rule.clock == TIMEOUT_BY_EVENTS;
    buf_put_u8(buf, (uint8_t)kind);
    buf_put_u16(buf, match->place);
    buf_put_u64(buf, match->hash);
    buf_put_i64(buf, by_events ? event->time.us : event->arrival.us);
    if (kind == SIGNAL_START) {
        buf_put_i64(buf, within_us);
    }
    buf_put_u64(buf, match->arrived->place->frame);
    buf_put_u32(buf, match->arrived->place->record);
    buf_put_u32(buf, match->arrived->place->row);
    buf_put_string(buf, match->key);
    CHECK(!buf->overflow);
    /* There is a row of signals for each pair of partitions, too many for the cache to foresee that they
     * grow: a store that misses holds up all that come after it. */
    __builtin_prefetch(buf->data + buf->len + AHEAD_BYTES, 1);
}

static bool passes(const struct match *match, struct bytes program)
{
    return program.len > 0 &&
           program_passes(program, match->arrived->event, &match->engine->scratch);
}

void signals_match(struct engine *engine,
                   struct partition *partition,
                   const struct arrived *arrived)
{
    for (uint32_t place = 0; place < engine->rule_end; place++) {
        struct watch_rule *rule = &engine->rules[place];
        if (rule->id == 0) {
            continue;
        }
        struct match match = {.engine = engine,
                              .partition = partition,
                              .arrived = arrived,
                              .rule = rule,
                              .place = (uint16_t)place};
        engine->scratch.used = 0;
        if (arrived->verifiable && passes(&match, rule->rule.after)) {
            put(&match, SIGNAL_START);
        }
        if (passes(&match, rule->rule.heartbeat)) {
            put(&match, SIGNAL_HEARTBEAT);
        }
        if (passes(&match, rule->rule.expect)) {
            put(&match, SIGNAL_EXPECT);
        }
        if (passes(&match, rule->rule.cancel)) {
            put(&match, SIGNAL_CANCEL);
        }
    }
}

void signals_clear(struct engine *engine, uint32_t partition)
{
    uint32_t parity = (uint32_t)(engine->pulse_ordinal + 1) & 1;
    for (uint32_t shard = 0; shard < engine->limits.partitions; shard++) {
        engine->deltas[parity][partition][shard].signals.len = 0;
    }
}

bool signal_next(struct reader *in, struct signal *signal)
{
    if (reader_left(in) == 0) {
        return false;
    }
    *signal = (struct signal){.kind = (enum signal_kind)read_u8(in)};
    signal->rule = read_u16(in);
    signal->hash = read_u64(in);
    signal->time = read_i64(in);
    signal->within_us = signal->kind == SIGNAL_START ? read_i64(in) : 0;
    signal->place.frame = read_u64(in);
    signal->place.record = read_u32(in);
    signal->place.row = read_u32(in);
    signal->key = read_string(in);
    return !in->bad;
}
