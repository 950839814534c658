/* Reading what the rules over the stream watch: the instances of a key, or a page of a partition.
 *
 * Each runner answers for its own partitions. A page ends between two keys, so that the instances of a
 * key, which are bounded, are always told together. */
#include "base/check.h"
#include "core/rules.h"
#include "core/signals.h"
#include "host/read.h"
#include "host/timeout_rows.h"

#include <stdlib.h>

/* The rule that is asked for, with its definition in the answer; NULL, and the answer says why. */
static const struct watch_rule *
rule_of(struct engine *engine, const struct query *query, struct query_answer *answer)
{
    const struct watch_rule *rule = engine_rule(engine, query->metric);
    if (rule == NULL) {
        answer->err = ERR_UNKNOWN_RULE;
        return NULL;
    }
    answer->definition = malloc(rule->encoded.len);
    if (answer->definition == NULL) {
        answer->err = ERR_UNAVAILABLE;
        return NULL;
    }
    memcpy(answer->definition, rule->encoded.data, rule->encoded.len);
    answer->definition_len = rule->encoded.len;
    answer->version = rule->version;
    answer->watermark = rule->watermark;
    return rule;
}

/* What is due is told by the clock of who asks: while the engine holds there may be no pulse for long. */
static struct watch_turn turn_of(const struct engine *engine, const struct query *query)
{
    struct watch_turn turn = rules_now(engine);
    turn.clock = query->now.us > turn.clock.us ? query->now : turn.clock;
    return turn;
}

static bool view_wanted(const struct query *query, const struct watch_view *view)
{
    bool state =
        query->timeout_states == 0 || ((query->timeout_states >> view->object.state) & 1) != 0;
    bool due = query->due_before == INT64_MAX || view->object.deadline < query->due_before;
    return state && due;
}

/* All wanted instances of a key; false when there was no room. */
static bool put_key(struct query_answer *answer,
                    const struct query *query,
                    const struct watch_turn *now,
                    const struct watch_key *key)
{
    struct watch_view view;
    const struct watch_instance *at = NULL;
    while (watch_view_next(key, now, &at, &view)) {
        if (query->kind == QUERY_WATCHES && !view_wanted(query, &view)) {
            continue;
        }
        struct buf *out = answer_room(answer, TIMEOUT_ROW_BYTES_MAX + view.key.len);
        if (out == NULL) {
            return false;
        }
        struct timeout_row row = {.object = view.object, .key = view.key};
        timeout_row_put(out, &row);
        CHECK(!out->overflow);
        answer->row_count++;
    }
    return true;
}

void read_watch(struct engine *engine, const struct query *query, struct query_answer *answer)
{
    const struct watch_rule *rule = rule_of(engine, query, answer);
    if (rule == NULL) {
        return;
    }
    uint64_t hash = signal_hash(engine, rule->id, query->key);
    const struct partition *partition = engine->partitions[signal_shard(engine, hash)];
    if (partition == NULL) {
        return;
    }
    uint32_t place = (uint32_t)(rule - engine->rules);
    const struct watch_key *key = watch_look(&partition->watch, place, hash, query->key);
    if (key != NULL) {
        struct watch_turn now = turn_of(engine, query);
        (void)put_key(answer, query, &now, key);
    }
}

static bool begins_with(struct bytes text, struct bytes prefix)
{
    return text.len >= prefix.len && bytes_equal(bytes_of(text.data, prefix.len), prefix);
}

/* The rows of a key that may not fit any more are the first ones of the next page. */
static bool has_room(const struct query_answer *answer, struct bytes key)
{
    size_t most = 2 * WATCH_PER_KEY_MAX * (TIMEOUT_ROW_BYTES_MAX + key.len);
    return answer->row_count == 0 || answer->rows.len + most <= READ_BYTES_MAX;
}

void read_watches(struct engine *engine, const struct query *query, struct query_answer *answer)
{
    answer->next_place = UINT32_MAX;
    const struct watch_rule *rule = rule_of(engine, query, answer);
    bool own = query->partition < engine->limits.partitions &&
               engine->partitions[query->partition] != NULL;
    if (rule == NULL || !own) {
        return;
    }
    const struct watch *watch = &engine->partitions[query->partition]->watch;
    struct watch_turn now = turn_of(engine, query);
    uint32_t rule_place = (uint32_t)(rule - engine->rules);
    uint32_t place = query->timeout_place;
    uint32_t end = place > UINT32_MAX - READ_PLACES_MAX ? UINT32_MAX : place + READ_PLACES_MAX;
    while (true) {
        uint32_t before = place;
        const struct watch_key *key = watch_next(watch, rule_place, end, &place);
        if (key == NULL) {
            answer->next_place = place < watch->place_count ? place : UINT32_MAX;
            return;
        }
        struct bytes text = watch_text(key);
        if (!begins_with(text, query->prefix)) {
            continue;
        }
        if (answer->row_count >= query->limit || !has_room(answer, text)) {
            answer->next_place = before;
            return;
        }
        if (!put_key(answer, query, &now, key)) {
            return;
        }
    }
}

void read_watch_counts(struct engine *engine,
                       const struct query *query,
                       struct query_answer *answer)
{
    const struct watch_rule *rule = rule_of(engine, query, answer);
    uint64_t counts[WATCH_STATES] = {0};
    if (rule == NULL) {
        return;
    }
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct partition *partition = engine->partitions[n];
        for (uint32_t state = 0; partition != NULL && state < WATCH_STATES; state++) {
            counts[state] += partition->watch.parts[rule - engine->rules]->counts[state];
        }
    }
    for (uint32_t state = 0; state < WATCH_STATES; state++) {
        answer_count(answer, state, counts[state]);
    }
}
