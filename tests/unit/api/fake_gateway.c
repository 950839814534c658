#include "fake_gateway.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_CAP ((size_t)64 * 1024 * 1024)
#define ROWS_CAP    ((size_t)1024 * 1024)

void fake_gateway_init(struct gateway *gateway)
{
    memset(gateway, 0, sizeof(*gateway));
    gateway->facts = (struct gateway_facts){
        .seed = 42,
        .partitions = 16,
        .runner_count = 2,
        .dedup_horizon_us = US_PER_DAY,
        .started = {1700000000000000},
    };
    gateway->now_us = 1700000000000000; /* 2023-11-14T22:13:20Z */
    gateway->skew_us = 5 * US_PER_MINUTE;
    gateway->ready = true;
    gateway->position = 0x1000;
    gateway->records = buf_of(malloc(RECORDS_CAP), RECORDS_CAP);
    gateway->runner_count = 2;
    catalog_init(&gateway->catalog);
    answers_init(&gateway->answers, &(struct answers_limits){0}, gateway->facts.seed);
    for (size_t i = 0; i < RUNNERS_MAX; i++) {
        gateway->rows[i] = buf_of(malloc(ROWS_CAP), ROWS_CAP);
    }
}

void fake_gateway_deinit(struct gateway *gateway)
{
    free(gateway->records.data);
    catalog_deinit(&gateway->catalog);
    answers_deinit(&gateway->answers);
    for (size_t i = 0; i < RUNNERS_MAX; i++) {
        free(gateway->rows[i].data);
    }
}

const struct gateway_facts *gateway_facts(const struct gateway *gateway)
{
    return &gateway->facts;
}

struct clock_time gateway_now(const struct gateway *gateway)
{
    return (struct clock_time){gateway->now_us};
}

bool gateway_ready(const struct gateway *gateway)
{
    return gateway->ready;
}

struct event_time gateway_time_limit(const struct gateway *gateway, struct bytes source)
{
    (void)source;
    return (struct event_time){gateway->now_us + gateway->skew_us};
}

uint64_t gateway_feed_count(const struct gateway *gateway)
{
    return gateway->feed_count;
}

struct gateway_counters *gateway_counters(struct gateway *gateway)
{
    return &gateway->counters;
}

struct gateway_counters gateway_counters_sum(const struct gateway *gateway)
{
    return gateway->counters;
}

static enum err send(struct gateway *gateway, struct letter *letter, enum letter_kind kind)
{
    CHECK(gateway->queue_len < sizeof(gateway->queue) / sizeof(gateway->queue[0]));
    letter->kind = kind;
    gateway->queue[gateway->queue_len++] = letter;
    return OK;
}

static enum err post(struct gateway *gateway, struct letter *letter, enum letter_kind kind)
{
    return gateway->refuse != OK ? gateway->refuse : send(gateway, letter, kind);
}

static enum err ask(struct gateway *gateway, struct letter *letter, enum letter_kind kind)
{
    return gateway->refuse_questions != OK ? gateway->refuse_questions
                                           : post(gateway, letter, kind);
}

enum err gateway_claim(struct gateway *gateway, struct claim *claim)
{
    claim->err = OK;
    claim->answer = (struct bytes){0};
    return (claim->kind == CLAIM_GIVE_BACK ? send : post)(gateway, &claim->letter, LETTER_CLAIM);
}

enum err gateway_propose(struct gateway *gateway, struct proposal *proposal)
{
    bool ends_claim = proposal->kind == PROPOSE_ANSWER;
    return (ends_claim ? send : post)(gateway, &proposal->letter, LETTER_PROPOSAL);
}

enum err gateway_inspect(struct gateway *gateway, struct inspection *inspection)
{
    return (inspection->owed ? send : ask)(gateway, &inspection->letter, LETTER_INSPECTION);
}

enum err gateway_query(struct gateway *gateway, struct query *query)
{
    return ask(gateway, &query->letter, LETTER_QUERY);
}

enum err gateway_scan(struct gateway *gateway, struct scan *scan)
{
    return post(gateway, &scan->letter, LETTER_SCAN);
}

static struct fake_metric *metric_find(struct gateway *gateway, struct bytes name, bool add)
{
    struct fake_metric *free_one = NULL;
    for (size_t i = 0; i < FAKE_TABLE; i++) {
        struct fake_metric *metric = &gateway->metrics[i];
        if (metric->used && bytes_equal(bytes_of(metric->name, metric->name_len), name)) {
            return metric;
        }
        free_one = !metric->used && free_one == NULL ? metric : free_one;
    }
    if (add && free_one != NULL) {
        memcpy(free_one->name, name.data, name.len);
        free_one->name_len = name.len;
        return free_one;
    }
    return NULL;
}

static struct fake_source *source_find(struct gateway *gateway, struct bytes name, bool add)
{
    struct fake_source *free_one = NULL;
    for (size_t i = 0; i < FAKE_TABLE; i++) {
        struct fake_source *source = &gateway->sources[i];
        if (source->used && bytes_equal(bytes_of(source->name, source->name_len), name)) {
            return source;
        }
        free_one = !source->used && free_one == NULL ? source : free_one;
    }
    if (add && free_one != NULL) {
        memcpy(free_one->name, name.data, name.len);
        free_one->name_len = name.len;
        return free_one;
    }
    return NULL;
}

static enum err define(struct gateway *gateway, struct proposal *proposal)
{
    struct fake_metric *metric = metric_find(gateway, proposal->name, true);
    CHECK(metric != NULL);
    uint32_t version = metric->used ? metric->version : 0;
    if (!condition_holds(&proposal->condition, version)) {
        return ERR_PRECONDITION;
    }
    bool same = metric->used && bytes_equal(bytes_of(metric->definition, metric->definition_len),
                                            proposal->definition);
    proposal->version = version;
    if (same || (metric->used && proposal->mode == DEFINE_IF_NOT_EXISTS)) {
        return OK;
    }
    if (metric->used && proposal->mode == DEFINE_CREATE) {
        return ERR_CONFLICT;
    }
    CHECK(proposal->definition.len <= sizeof(metric->definition));
    memcpy(metric->definition, proposal->definition.data, proposal->definition.len);
    metric->definition_len = proposal->definition.len;
    proposal->created = !metric->used;
    proposal->changed = true;
    metric->used = true;
    metric->version = version + 1;
    proposal->version = metric->version;
    return OK;
}

static enum err declare(struct gateway *gateway, struct proposal *proposal)
{
    struct fake_source *source = source_find(gateway, proposal->name, true);
    CHECK(source != NULL);
    uint32_t version = source->used ? source->version : 0;
    if (!condition_holds(&proposal->condition, version)) {
        return ERR_PRECONDITION;
    }
    proposal->created = !source->used;
    proposal->changed = true;
    source->watermark = source->used ? source->watermark : WATERMARK_NONE;
    source->used = true;
    source->version = version + 1;
    source->source = proposal->source;
    proposal->version = source->version;
    return OK;
}

static enum err lane(struct gateway *gateway, struct proposal *proposal)
{
    struct fake_source *source = source_find(gateway, proposal->name, false);
    if (source == NULL) {
        return ERR_UNKNOWN_SOURCE;
    }
    if (!condition_holds(&proposal->condition, source->version)) {
        return ERR_PRECONDITION;
    }
    if (proposal->command == LANE_ADVANCE) {
        if (proposal->time < source->watermark) {
            return ERR_WATERMARK_BACKWARDS;
        }
        source->watermark = proposal->time;
    } else {
        source->watermark = proposal->command == LANE_FINISH ? WATERMARK_FINAL : WATERMARK_NONE;
    }
    return OK;
}

static void commands_take(struct gateway *gateway, struct proposal *proposal)
{
    struct reader frame = reader_of(proposal->records);
    struct record record;
    struct timeouts_reader commands;
    CHECK(record_next(&frame, proposal->records.data, &record));
    CHECK(record.kind == RECORD_TIMEOUTS);
    CHECK(timeouts_open(record.body, &commands));
    CHECK(commands.count == proposal->event_count);
    while (timeouts_next(&commands)) {
        size_t answers = sizeof(gateway->results) / sizeof(gateway->results[0]);
        CHECK(timeout_command_read(&commands, &gateway->command));
        proposal->results[commands.index] = gateway->results[gateway->commands % answers];
        gateway->command_partition = commands.partition;
        gateway->commands++;
    }
    CHECK(!commands.commands.bad);
    struct buf texts = buf_of(gateway->command_bytes, sizeof(gateway->command_bytes));
    struct bytes *slices[] = {&gateway->command.key, &gateway->command.data};
    for (size_t i = 0; i < 2; i++) {
        size_t at = texts.len;
        size_t len = slices[i]->len < 1024 ? slices[i]->len : 1024;
        buf_put(&texts, slices[i]->data, len);
        *slices[i] = bytes_of(texts.data + at, len);
    }
}

static void consumer_take(struct gateway *gateway, const struct proposal *proposal)
{
    CHECK(gateway->consumer_count < FAKE_TABLE);
    char *name = gateway->consumer_names[gateway->consumer_count];
    memcpy(name, proposal->name.data, proposal->name.len);
    gateway->consumers[gateway->consumer_count++] =
        (struct consumer_info){.name = bytes_of(name, proposal->name.len),
                               .place = proposal->feed_place,
                               .acked = {gateway->now_us}};
}

/* As the sequencer does: decided, written, applied. */
static enum err take_rule(struct gateway *gateway, struct proposal *proposal)
{
    static uint8_t memory[2 * RULE_BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    catalog_propose(&gateway->catalog, proposal, (struct clock_time){gateway->now_us}, &out);
    struct reader reader = reader_of(buf_bytes(&out));
    struct record record;
    while (record_next(&reader, memory, &record)) {
        catalog_apply(&gateway->catalog, &record, gateway->position);
    }
    return proposal->err;
}

/* As the sequencer does: decided, written, applied, durable. */
static enum err answer_take(struct gateway *gateway, struct proposal *proposal)
{
    static uint8_t memory[KEPT_ANSWER_BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    answers_propose(&gateway->answers, proposal, (struct clock_time){gateway->now_us}, &out);
    struct reader reader = reader_of(buf_bytes(&out));
    struct record record;
    while (record_next(&reader, memory, &record)) {
        answers_apply(&gateway->answers, &record, 0);
    }
    return proposal->err;
}

static enum err proposal_take(struct gateway *gateway, struct proposal *proposal)
{
    struct fake_metric *metric = NULL;
    struct fake_source *source = NULL;
    switch (proposal->kind) {
    case PROPOSE_EVENTS:
        buf_put_bytes(&gateway->records, proposal->records);
        CHECK(!gateway->records.overflow);
        proposal->duplicates = proposal->wants_applied ? gateway->duplicates : 0;
        proposal->late = proposal->wants_applied ? gateway->late : 0;
        return OK;
    case PROPOSE_DEFINE:
        return define(gateway, proposal);
    case PROPOSE_DROP:
        metric = metric_find(gateway, proposal->name, false);
        if (metric == NULL) {
            return ERR_UNKNOWN_METRIC;
        }
        metric->used = false;
        proposal->changed = true;
        return OK;
    case PROPOSE_SOURCE:
        return declare(gateway, proposal);
    case PROPOSE_FORGET:
        source = source_find(gateway, proposal->name, false);
        if (source == NULL) {
            return ERR_UNKNOWN_SOURCE;
        }
        source->used = false;
        return OK;
    case PROPOSE_LANE:
        return lane(gateway, proposal);
    case PROPOSE_TIMEOUTS:
        commands_take(gateway, proposal);
        return OK;
    case PROPOSE_CONSUMER:
        consumer_take(gateway, proposal);
        return OK;
    case PROPOSE_RULE_DEFINE:
    case PROPOSE_RULE_DROP:
        return take_rule(gateway, proposal);
    case PROPOSE_ANSWER:
        return answer_take(gateway, proposal);
    case PROPOSE_SNAPSHOT:
        return OK;
    }
    return ERR_INTERNAL;
}

static void answer_proposal(struct gateway *gateway, struct proposal *proposal)
{
    gateway->proposals++;
    proposal->err = gateway->propose_result;
    if (proposal->err == OK) {
        proposal->err = proposal_take(gateway, proposal);
    }
    proposal->as_of = ++gateway->position;
    gateway->last = *proposal;
}

static void put_rules(struct gateway *gateway, struct inspection *inspection)
{
    bool all = inspection->name.data == NULL;
    for (uint32_t n = 0; n < gateway->catalog.rules.count; n++) {
        const struct catalog_entry *entry = &gateway->catalog.rules.entries[n];
        CHECK(inspection->rule_count < FAKE_TABLE);
        if (all || bytes_equal(entry->name, inspection->name)) {
            inspection->rules[inspection->rule_count++] = entry->info;
        }
    }
    if (!all && inspection->kind == INSPECT_RULES && inspection->rule_count == 0) {
        inspection->err = ERR_UNKNOWN_RULE;
    }
}

/* One block: the metrics, the rules and the lanes. Their texts are the gateway's. */
static void answer_inspection(struct gateway *gateway, struct inspection *inspection)
{
    struct metric_info *metrics =
        calloc(FAKE_TABLE, 2 * sizeof(struct metric_info) + sizeof(struct lane_info));
    struct lane_info *lanes = (struct lane_info *)(void *)(metrics + 2 * FAKE_TABLE);
    bool all = inspection->name.data == NULL;
    inspection->memory = metrics;
    inspection->metrics = metrics;
    inspection->rules = metrics + FAKE_TABLE;
    inspection->lanes = lanes;
    inspection->watermark = 1699999995000000;
    for (size_t i = 0; i < FAKE_TABLE; i++) {
        struct fake_metric *metric = &gateway->metrics[i];
        struct bytes name = bytes_of(metric->name, metric->name_len);
        if (metric->used && (all || bytes_equal(name, inspection->name))) {
            metrics[inspection->metric_count++] = (struct metric_info){
                .metric = (uint32_t)i,
                .version = metric->version,
                .created = {1700000000000000},
                .definition = bytes_of(metric->definition, metric->definition_len),
            };
        }
        struct fake_source *source = &gateway->sources[i];
        name = bytes_of(source->name, source->name_len);
        if (source->used && (all || bytes_equal(name, inspection->name))) {
            lanes[inspection->lane_count++] = (struct lane_info){
                .name = name,
                .source = source->source,
                .version = source->version,
                .watermark = source->watermark,
                .holds = source->watermark == WATERMARK_NONE,
                .why = source->watermark == WATERMARK_NONE ? HOLD_NO_EVENT : HOLD_NONE,
            };
        }
    }
    if (!all && inspection->kind == INSPECT_METRICS && inspection->metric_count == 0) {
        inspection->err = ERR_UNKNOWN_METRIC;
    }
    if (!all && inspection->kind == INSPECT_LANES && inspection->lane_count == 0) {
        inspection->err = ERR_UNKNOWN_SOURCE;
    }
    if (inspection->kind == INSPECT_CONSUMERS) {
        inspection->consumers = gateway->consumers;
        inspection->consumer_count = gateway->consumer_count;
        for (size_t i = 0; !all && i < gateway->consumer_count; i++) {
            if (bytes_equal(gateway->consumers[i].name, inspection->name)) {
                inspection->consumers = &gateway->consumers[i];
                inspection->consumer_count = 1;
                break;
            }
            inspection->consumer_count =
                i + 1 < gateway->consumer_count ? gateway->consumer_count : 0;
        }
    }
    put_rules(gateway, inspection);
    inspection->log_durable_end = gateway->position;
    inspection->log_segments = 2;
    inspection->snapshot_position = UINT64_MAX;
}

/* The rows of a runner's feed behind the place, up to the limit. */
static void answer_feed(const struct query *query, struct query_answer *answer)
{
    struct reader rows = reader_of(buf_bytes(&answer->rows));
    struct feed_row row;
    size_t kept = 0;
    answer->row_count = 0;
    answer->next_place = UINT32_MAX;
    for (const uint8_t *start = rows.at; feed_row_next(&rows, &row); start = rows.at) {
        if (feed_place_compare(row.place, query->feed_place) <= 0) {
            continue;
        }
        if (answer->row_count == query->limit) {
            answer->next_place = 0;
            break;
        }
        size_t len = (size_t)(rows.at - start);
        memmove(answer->rows.data + kept, start, len);
        kept += len;
        answer->row_count++;
    }
    answer->rows.len = kept;
}

static void answer_query(struct gateway *gateway, struct query *query)
{
    struct fake_metric *metric = metric_find(gateway, query->metric, false);
    query->runner_count = gateway->runner_count;
    for (uint32_t i = 0; i < gateway->runner_count; i++) {
        struct query_answer *answer = &query->answers[i];
        size_t len = gateway->rows[i].len;
        answer->rows = buf_of(malloc(len + 1), len + 1);
        buf_put_bytes(&answer->rows, buf_bytes(&gateway->rows[i]));
        answer->row_count = gateway->row_counts[i];
        answer->as_of = gateway->position + i;
        answer->next_place = gateway->next_place;
        answer->ordinal = gateway->feed_ordinal;
        answer->forgotten = gateway->feed_forgotten;
        if (query->kind == QUERY_FEED) {
            answer_feed(query, answer);
        }
        answer->watermark = 1699999995000000 + i;
        if (metric != NULL) {
            answer->definition = malloc(metric->definition_len);
            memcpy(answer->definition, metric->definition, metric->definition_len);
            answer->definition_len = metric->definition_len;
        } else if (query->kind == QUERY_VALUES) {
            answer->err = ERR_UNKNOWN_METRIC;
        }
        if (gateway->query_err != OK) {
            answer->err = gateway->query_err;
            (void)snprintf(answer->detail, DETAIL_BYTES, "%s", gateway->query_detail);
        }
    }
    gateway->last_query = *query;
}

static void answer_scan(struct gateway *gateway, struct scan *scan)
{
    gateway->last_scan = *scan;
    if (gateway->scan_items != NULL) {
        size_t len = strlen(gateway->scan_items);
        scan->items = buf_of(malloc(len + 1), len + 1);
        buf_put_text(&scan->items, gateway->scan_items);
    }
    if (scan->kind == SCAN_FATE) {
        scan->limit = gateway->scan_items != NULL ? 1 : 0;
    }
    scan->more = gateway->scan_more;
    scan->at_position = 7;
    scan->at_record = 8;
    scan->at_row = 9;
}

size_t fake_gateway_deliver(struct gateway *gateway)
{
    size_t delivered = 0;
    while (gateway->queue_len > 0) {
        struct letter *letter = gateway->queue[0];
        gateway->queue_len--;
        memmove(gateway->queue, gateway->queue + 1, gateway->queue_len * sizeof(letter));
        if (letter->kind == LETTER_PROPOSAL) {
            answer_proposal(gateway, (struct proposal *)(void *)letter);
        } else if (letter->kind == LETTER_CLAIM) {
            answers_claim(&gateway->answers,
                          (struct claim *)(void *)letter,
                          (struct clock_time){gateway->now_us},
                          0);
        } else if (letter->kind == LETTER_INSPECTION) {
            answer_inspection(gateway, (struct inspection *)(void *)letter);
        } else if (letter->kind == LETTER_QUERY) {
            answer_query(gateway, (struct query *)(void *)letter);
        } else {
            CHECK(letter->kind == LETTER_SCAN);
            answer_scan(gateway, (struct scan *)(void *)letter);
        }
        letter->done(letter);
        delivered++;
    }
    return delivered;
}

void fake_events_begin(struct fake_events *events, const struct gateway *gateway)
{
    events->frame = reader_of(buf_bytes(&gateway->records));
    events->begin = gateway->records.data;
    events->open = false;
}

bool fake_events_next(struct fake_events *events, struct event *event)
{
    struct batch_row row;
    while (!events->open || !batch_next_row(&events->cursor, &row)) {
        struct record record;
        if (!record_next(&events->frame, events->begin, &record)) {
            CHECK(!events->frame.bad);
            return false;
        }
        CHECK(record.kind == RECORD_EVENTS);
        bool good = batch_open(record.body, &events->batch) &&
                    batch_read_words(&events->batch, events->words, &events->word_count);
        CHECK(good);
        batch_cursor_init(&events->cursor, &events->batch);
        events->open = true;
    }
    bool good = batch_row_event(&events->batch, events->words, events->word_count, &row, event);
    CHECK(good);
    return true;
}

void fake_row(struct gateway *gateway,
              uint32_t runner,
              int64_t start_us,
              uint8_t flags,
              struct value group,
              struct value result)
{
    uint8_t text[512];
    struct buf key = buf_of(text, sizeof(text));
    struct buf *rows = &gateway->rows[runner];
    size_t start = rows->len;
    value_put(&key, group);
    buf_put_u32(rows, 0);
    buf_put_i64(rows, start_us);
    buf_put_i64(rows, start_us + US_PER_MINUTE);
    buf_put_u8(rows, flags);
    buf_put_u32(rows, 0);
    buf_put_string(rows, buf_bytes(&key));
    value_put(rows, result);
    struct buf length = buf_of(rows->data + start, 4);
    buf_put_u32(&length, (uint32_t)(rows->len - start - 4));
    gateway->row_counts[runner]++;
}

void fake_stat(struct gateway *gateway,
               uint32_t runner,
               const char *counter,
               const char *metric,
               int64_t value)
{
    struct buf *rows = &gateway->rows[runner];
    size_t start = rows->len;
    buf_put_u32(rows, 0);
    buf_put_string(rows, bytes_of_string(counter));
    buf_put_string(rows, bytes_of_string(metric));
    buf_put_i64(rows, value);
    struct buf length = buf_of(rows->data + start, 4);
    buf_put_u32(&length, (uint32_t)(rows->len - start - 4));
}

void fake_engine_note(struct gateway *gateway, struct feed_place place, bool holding, uint32_t why)
{
    uint8_t space[128];
    struct buf note = buf_of(space, sizeof(space));
    buf_put_u8(&note, NOTE_ENGINE_LAGGING);
    buf_put_i64(&note, gateway->now_us);
    buf_put_u64(&note, 77);
    buf_put_u8(&note, holding ? NOTE_HOLDING : 0);
    buf_put_u32(&note, 0);
    buf_put_u32(&note, why);
    buf_put_i64(&note, 0);
    buf_put_i64(&note, gateway->now_us - US_PER_SECOND);
    buf_put_i64(&note, 0);
    buf_put_string(&note, (struct bytes){0});
    buf_put_string(&note, BYTES("engine"));
    buf_put_string(&note, (struct bytes){0});
    feed_row_put(&gateway->rows[0], place, buf_bytes(&note));
    gateway->row_counts[0]++;
}

void fake_note(struct gateway *gateway, uint32_t runner, struct feed_place place, const char *key)
{
    uint8_t space[512];
    struct buf note = buf_of(space, sizeof(space));
    buf_put_u8(&note, NOTE_TIMEOUT_FIRED);
    buf_put_i64(&note, gateway->now_us);
    buf_put_u64(&note, 77);
    buf_put_u8(&note, 0);
    buf_put_u32(&note, 0);
    buf_put_u32(&note, 1);
    buf_put_i64(&note, gateway->now_us);
    buf_put_i64(&note, gateway->now_us - US_PER_SECOND);
    buf_put_i64(&note, gateway->now_us - US_PER_SECOND);
    buf_put_string(&note, (struct bytes){0});
    buf_put_string(&note, bytes_of_string(key));
    buf_put_string(&note, BYTES("{\"a\":1}"));
    feed_row_put(&gateway->rows[runner], place, buf_bytes(&note));
    gateway->row_counts[runner]++;
}
