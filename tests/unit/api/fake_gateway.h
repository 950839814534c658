/* The engine as the API's tests need it: one thread, letters answered when the test says so. It
 * keeps what was proposed, small tables of metrics and sources, a catalogue of rules, and rows that
 * the test puts in. */
#pragma once

#include "host/answers.h"
#include "host/catalog.h"
#include "host/gateway.h"
#include "host/result.h"
#include "host/timeout_rows.h"
#include "model/batch.h"
#include "model/definition.h"

#define FAKE_TABLE 16

struct fake_metric {
    bool used;
    uint32_t version;
    uint8_t name[64];
    size_t name_len;
    uint8_t definition[8192];
    size_t definition_len;
};

struct fake_source {
    bool used;
    uint32_t version;
    uint8_t name[64];
    size_t name_len;
    struct source source;
    int64_t watermark;
};

struct gateway {
    struct gateway_facts facts;
    struct gateway_counters counters;
    int64_t now_us;
    int64_t skew_us;
    bool ready;
    enum err refuse;           /* what the next questions are refused with, at once */
    enum err refuse_questions; /* inspections and queries */
    enum err propose_result;   /* what proposals come back with */
    uint64_t position;
    struct letter *queue[256];
    size_t queue_len;
    struct buf records; /* of all events proposed */
    uint32_t proposals;
    uint64_t duplicates; /* for wants_applied */
    uint64_t late;
    struct proposal last; /* a copy of the proposal answered last */
    struct fake_metric metrics[FAKE_TABLE];
    struct fake_source sources[FAKE_TABLE];
    struct catalog catalog; /* the rules in it */
    struct answers answers; /* for requests with a key */
    uint32_t runner_count;
    struct buf rows[RUNNERS_MAX]; /* what each runner answers queries with */
    uint64_t row_counts[RUNNERS_MAX];
    enum err query_err;
    const char *query_detail;
    uint32_t next_place; /* of all queries' answers */
    uint64_t feed_count;
    uint64_t feed_ordinal; /* the last pulse that the runners know of */
    struct feed_place feed_forgotten;
    struct timeout_command command; /* the last one proposed; its texts are in `command_bytes` */
    uint8_t command_bytes[4096];
    uint32_t command_partition;
    uint32_t commands;
    struct timeout_result results[4]; /* what commands come back with, in turn */
    struct consumer_info consumers[FAKE_TABLE];
    size_t consumer_count;
    char consumer_names[FAKE_TABLE][64];
    struct query last_query; /* a copy: pointers only good for the comparison of plain members */
    const char *scan_items;
    bool scan_more;
    struct scan last_scan;
};

void fake_gateway_init(struct gateway *gateway);
void fake_gateway_deinit(struct gateway *gateway);

/* Answers all letters under way, and those that the answers lead to; returns how many. */
size_t fake_gateway_deliver(struct gateway *gateway);

/* The events that were proposed, decoded one by one: false at the end. */
struct fake_events {
    struct reader frame;
    const uint8_t *begin;
    struct batch batch;
    struct batch_cursor cursor;
    struct batch_word words[BATCH_WORDS_MAX];
    uint32_t word_count;
    bool open;
};
void fake_events_begin(struct fake_events *events, const struct gateway *gateway);
bool fake_events_next(struct fake_events *events, struct event *event);

/* Appends a VALUES row to a runner's answer: `group` and `results` as values. */
void fake_row(struct gateway *gateway,
              uint32_t runner,
              int64_t start_us,
              uint8_t flags,
              struct value group,
              struct value result);
/* Appends a note to a runner's feed: what a QUERY_FEED behind its place sees. */
void fake_note(struct gateway *gateway, uint32_t runner, struct feed_place place, const char *key);

/* The same for a note of the engine about itself; `why`: enum pulse_flags. */
void fake_engine_note(struct gateway *gateway, struct feed_place place, bool holding, uint32_t why);

void fake_stat(struct gateway *gateway,
               uint32_t runner,
               const char *counter,
               const char *metric,
               int64_t value);
