/* GET /metrics: figures in the text format of Prometheus (version 0.0.4).
 *
 *   this thread's view of all threads' counters ─┐
 *   inspect (log, frames, pulses) ───────────────┼─► one page
 *   ask the runners (counters per metric) ───────┘
 *
 * While the engine starts, only the first part is given: a scraper must not go blind then. Labels
 * are names of metrics, rules and states alone, which are identifiers: nothing needs escaping. */
#include "api/info.h"

#include "api/problem.h"
#include "api/stats.h"

#include <string.h>

struct figure {
    const char *name;
    const char *type;
    const char *help;
};

static void put_head(struct out *out, const struct figure *figure)
{
    out_text(out, "# HELP tidemark_");
    out_text(out, figure->name);
    out_char(out, ' ');
    out_text(out, figure->help);
    out_text(out, "\n# TYPE tidemark_");
    out_text(out, figure->name);
    out_char(out, ' ');
    out_text(out, figure->type);
    out_char(out, '\n');
}

static void put_figure(struct out *out, const char *const words[3], uint64_t value)
{
    const struct figure figure = {words[0], words[1], words[2]};
    put_head(out, &figure);
    out_text(out, "tidemark_");
    out_text(out, figure.name);
    out_char(out, ' ');
    out_u64(out, value);
    out_char(out, '\n');
}

static void counter(struct out *out, const char *name, const char *help, uint64_t value)
{
    put_figure(out, (const char *const[3]){name, "counter", help}, value);
}

static void gauge(struct out *out, const char *name, const char *help, uint64_t value)
{
    put_figure(out, (const char *const[3]){name, "gauge", help}, value);
}

static void put_threads(struct call *call)
{
    struct out *out = &call->api->out;
    struct gateway_counters sum = gateway_counters_sum(call->api->gateway);
    out_clear(out);
    gauge(out,
          "ready",
          "1 when the engine serves, 0 while it starts or drains.",
          gateway_ready(call->api->gateway) ? 1 : 0);
    counter(out, "events_accepted_total", "Events answered as accepted.", sum.events_accepted);
    counter(out, "events_refused_total", "Events answered as refused.", sum.events_refused);
    counter(out, "http_requests_total", "Requests answered.", sum.requests);
    counter(out,
            "http_requests_refused_total",
            "Requests answered with 400 or more.",
            sum.requests_refused);
    counter(out,
            "http_requests_shed_total",
            "Requests answered with 429: too much was under way.",
            sum.requests_shed);
    counter(out, "http_body_bytes_total", "Bytes of request bodies.", sum.bytes_in);
}

static void put_answers(struct out *out, const struct inspection *inspection)
{
    gauge(out,
          "idempotency_keys_in_use",
          "Requests with an Idempotency-Key that are being worked on.",
          inspection->answers_in_use);
    gauge(out,
          "idempotency_answers_kept",
          "Answers kept for requests that are repeated with their key.",
          inspection->answers_kept);
    gauge(out, "idempotency_answers_bytes", "Bytes of them.", inspection->answers_bytes);
    counter(out,
            "idempotency_answers_kept_total",
            "Answers that were kept since the start.",
            inspection->answers_taken);
    counter(out,
            "idempotency_answers_forgotten_total",
            "Answers forgotten since the start: too old, or too many.",
            inspection->answers_gone);
    counter(out,
            "idempotency_answers_replayed_total",
            "Repeated requests that were answered with a kept answer.",
            inspection->answers_replays);
}

static void put_status(struct out *out, const struct inspection *inspection)
{
    gauge(out, "log_oldest_position", "Oldest position that is kept.", inspection->log_oldest);
    gauge(out,
          "log_durable_position",
          "Everything before it is durable.",
          inspection->log_durable_end);
    gauge(out, "log_bytes", "Bytes that the log takes on disk.", inspection->log_bytes);
    gauge(out, "log_segments", "Segments of the log.", inspection->log_segments);
    gauge(out,
          "log_full",
          "1 when the disk is full and ingest is refused.",
          inspection->log_full ? 1 : 0);
    counter(out,
            "log_slow_writes_total",
            "Writes of the log that took a second or more.",
            inspection->slow_writes);
    counter(out,
            "snapshots_damaged_total",
            "Snapshots that were found damaged since the start and passed over.",
            inspection->snapshots_damaged);
    gauge(out,
          "payload_memory_bytes",
          "Keys and data of timeouts that are in memory, as last looked at.",
          inspection->payloads.memory_bytes);
    counter(out,
            "payload_written_bytes_total",
            "Keys and data of timeouts written to the disk to make room in memory.",
            inspection->payloads.written_bytes);
    counter(out,
            "payload_failures_total",
            "Such writes that failed: what they were to write stayed in memory.",
            inspection->payloads.failures);
    counter(out,
            "clock_steps_total",
            "Steps of the wall clock that were seen since the start.",
            inspection->clock_steps);
    int64_t off_us = inspection->clock_ahead_us;
    gauge(out,
          "clock_off_microseconds",
          "How far the engine's clock is from the wall clock, ahead or behind.",
          (uint64_t)(off_us < 0 ? -off_us : off_us));
    put_answers(out, inspection);
    counter(out, "frames_total", "Frames written.", inspection->frames);
    counter(out, "pulses_total", "Pulses written.", inspection->pulses);
    counter(out, "log_events_total", "Events written.", inspection->events);
}

/* The runners' counters that are shown, and as what; others are the engine's own business. */
struct shown {
    const char *stat;
    struct figure figure;
};

static const struct shown shown[] = {
    {"counted", {"metric_counted_total", "counter", "Events counted by the metric."}},
    {"filtered", {"metric_filtered_total", "counter", "Events that its filter passed over."}},
    {"late_corrected",
     {"metric_late_corrected_total", "counter", "Late events that corrected a closed window."}},
    {"late_dropped", {"metric_late_dropped_total", "counter", "Events too late for the metric."}},
    {"overflowed",
     {"metric_overflowed_total", "counter", "Events in the group of all beyond the limit."}},
    {"lost", {"metric_lost_total", "counter", "Events that no memory was left for."}},
    {"rows", {"metric_rows", "gauge", "Rows kept: one per window and group."}},
    {"unique", {"events_unique_total", "counter", "Events seen for the first time."}},
    {"duplicates", {"events_duplicate_total", "counter", "Events seen before."}},
    {"unverifiable",
     {"events_unverifiable_total", "counter", "Events older than the memory of duplicates."}},
    {"late_kept", {"late_events_kept", "gauge", "Late events that can be read back."}},
    {"late_forgotten",
     {"late_events_forgotten_total", "counter", "Late events that can't be read back any more."}},
    {"dedup_entries", {"dedup_entries", "gauge", "Events remembered, to know their duplicates."}},
    {"dedup_bytes", {"dedup_bytes", "gauge", "Bytes of that memory."}},
    {"dedup_evicted",
     {"dedup_evicted_total", "counter", "Generations forgotten early, for lack of memory."}},
    {"state_bytes", {"state_bytes", "gauge", "Bytes of state."}},
    {"timeouts", {"timeouts", "gauge", "Explicit timeouts in each state."}},
    {"timeouts_bytes",
     {"timeouts_bytes", "gauge", "Memory of explicit timeouts, of their budget."}},
    {"timeouts_cold",
     {"timeouts_cold_bytes",
      "gauge",
      "Their keys and data, in memory or on disk, of their budget."}},
    {"timeouts_fired", {"timeouts_fired_total", "counter", "Explicit timeouts that fired."}},
    {"timeouts_no_room",
     {"timeouts_no_room_total", "counter", "Commands refused with 507: no room for timeouts."}},
    {"rule_pending", {"rule_pending", "gauge", "Instances of the rule that wait."}},
    {"rule_fired", {"rule_fired_total", "counter", "Firings of the rule."}},
    {"rule_retracted", {"rule_retracted_total", "counter", "Firings taken back."}},
    {"rule_lost", {"rule_lost_total", "counter", "Signals that no memory was left for."}},
    {"rule_unusable",
     {"rule_unusable_total", "counter", "Events that match, but have no usable key or WITHIN."}},
    {"feed_kept", {"notifications_kept", "gauge", "Notifications that can be read."}},
    {"feed_forgotten",
     {"notifications_forgotten_total", "counter", "Notifications that can't be read any more."}},
    {"feed_lost",
     {"notifications_lost_total", "counter", "Notifications that no memory was left for."}},
};

/* Each (counter, metric) once, at its first occurrence over all runners. */
static bool seen_before(const struct query *query,
                        uint32_t answer,
                        const uint8_t *row_at,
                        const struct stat_row *row)
{
    for (uint32_t i = 0; i <= answer; i++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[i].rows));
        struct stat_row other;
        while (!(i == answer && rows.at == row_at) && stat_next(&rows, &other)) {
            if (bytes_equal(other.counter, row->counter) &&
                bytes_equal(other.metric, row->metric)) {
                return true;
            }
        }
    }
    return false;
}

/* What a counter is about, if it is about something. */
static const char *label_of(const char *stat)
{
    if (strncmp(stat, "rule_", strlen("rule_")) == 0) {
        return "rule";
    }
    return strcmp(stat, "timeouts") == 0 ? "state" : "metric";
}

static void
put_sample(struct out *out, const struct query *query, const struct shown *row, struct bytes metric)
{
    out_text(out, "tidemark_");
    out_text(out, row->figure.name);
    if (metric.len > 0) {
        out_char(out, '{');
        out_text(out, label_of(row->stat));
        out_text(out, "=\"");
        out_bytes(out, metric);
        out_text(out, "\"}");
    }
    out_char(out, ' ');
    out_i64(out, stats_sum(query, row->stat, metric));
    out_char(out, '\n');
}

static void put_counter(struct out *out, const struct query *query, const struct shown *wanted)
{
    bool headed = false;
    for (uint32_t i = 0; i < query->runner_count; i++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[i].rows));
        struct stat_row row;
        const uint8_t *at = rows.at;
        for (; stat_next(&rows, &row); at = rows.at) {
            if (!bytes_equal(row.counter, bytes_of_string(wanted->stat)) ||
                seen_before(query, i, at, &row)) {
                continue;
            }
            if (!headed) {
                put_head(out, &wanted->figure);
                headed = true;
            }
            put_sample(out, query, wanted, row.metric);
        }
    }
}

static void page_answer(struct call *call)
{
    struct answer answer;
    answer_init(&answer, 200, "text/plain; version=0.0.4; charset=utf-8");
    call_answer(call, &answer);
}

static void stats_back(struct call *call)
{
    struct out *out = &call->api->out;
    const char *detail = NULL;
    put_threads(call);
    if (call->inspection->err == OK) {
        put_status(out, call->inspection);
    }
    if (query_err(call->query, &detail) == OK) {
        for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
            put_counter(out, call->query, &shown[i]);
        }
    }
    page_answer(call);
}

static void status_back(struct call *call)
{
    struct query *query = call_query(call, QUERY_STATS);
    if (query != NULL) {
        query->deadline.us = gateway_now(call->api->gateway).us + US_PER_SECOND;
        call_ask_runners(call, stats_back);
    }
}

void info_prometheus(struct call *call)
{
    if (!gateway_ready(call->api->gateway)) {
        put_threads(call);
        page_answer(call);
        return;
    }
    if (call_inspection(call, INSPECT_STATUS) != NULL) {
        call_inspect(call, status_back);
    }
}
