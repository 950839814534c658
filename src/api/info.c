/* Health and facts: alive, ready, what this is and where its log stands. */
#include "api/info.h"

#include "api/ingest.h"
#include "api/problem.h"
#include "base/json.h"
#include "model/definition.h"

void info_healthz(struct call *call)
{
    out_clear(&call->api->out);
    out_text(&call->api->out, "{\"status\":\"alive\"}");
    call_answer_json(call);
}

void info_readyz(struct call *call)
{
    if (!gateway_ready(call->api->gateway)) {
        call_fail(call, ERR_UNAVAILABLE, "not ready: the log is being replayed, or it is draining");
        return;
    }
    out_clear(&call->api->out);
    out_text(&call->api->out, "{\"status\":\"ready\"}");
    call_answer_json(call);
}

/* A UUID's usual form. */
static void put_instance(struct out *out, const uint8_t instance[16])
{
    uint8_t digits[2 * HEX64_BYTES];
    uint64_t halves[2] = {0};
    for (size_t i = 0; i < 16; i++) {
        halves[i / 8] = halves[i / 8] << 8 | instance[i];
    }
    hex64_put(digits, halves[0]);
    hex64_put(digits + HEX64_BYTES, halves[1]);
    static const size_t ends[] = {8, 12, 16, 20, 32};
    size_t start = 0;
    out_char(out, '"');
    for (size_t i = 0; i < 5; i++) {
        out_text(out, i == 0 ? "" : "-");
        out_bytes(out, bytes_of(digits + start, ends[i] - start));
        start = ends[i];
    }
    out_char(out, '"');
}

static void put_log(struct out *out, const struct inspection *inspection)
{
    out_text(out, ",\"log\":{\"oldest\":");
    out_u64(out, inspection->log_oldest);
    out_member(out, "durable_end");
    out_u64(out, inspection->log_durable_end);
    out_member(out, "bytes");
    out_u64(out, inspection->log_bytes);
    out_member(out, "segments");
    out_u64(out, inspection->log_segments);
    out_member(out, "full");
    out_bool(out, inspection->log_full);
    out_text(out, "},\"snapshot\":");
    if (inspection->snapshot_position == UINT64_MAX) {
        out_text(out, "null");
        return;
    }
    out_text(out, "{\"position\":");
    out_u64(out, inspection->snapshot_position);
    out_member(out, "taken");
    out_time(out, inspection->snapshot_taken.us);
    out_char(out, '}');
}

static void put_limit(struct out *out, const char *name, uint64_t value)
{
    out_member(out, name);
    out_u64(out, value);
}

static void put_limits(struct out *out)
{
    out_text(out, ",\"limits\":{");
    put_limit(out, "event_bytes", EVENT_BYTES_MAX);
    put_limit(out, "batch_bytes", INGEST_BATCH_BYTES_MAX);
    put_limit(out, "json_depth", JSON_DEPTH_MAX);
    put_limit(out, "list_items", LIST_LIMIT_MAX);
    put_limit(out, "metric_columns", DEFINITION_COLUMNS_MAX);
    put_limit(out, "metric_text_bytes", DEFINITION_TEXT_MAX);
    put_limit(out, "groups_per_metric", DEFINITION_GROUPS_DEFAULT);
    put_limit(out, "source_bytes", SOURCE_NAME_MAX);
    put_limit(out, "sources", LANES_MAX - 1);
    put_limit(out, "timeout_key_bytes", TIMEOUT_KEY_MAX);
    put_limit(out, "timeout_data_bytes", TIMEOUT_DATA_MAX);
    put_limit(out, "timeout_batch", TIMEOUT_COMMANDS_MAX);
    put_limit(out, "idempotency_key_bytes", IDEMPOTENCY_KEY_MAX);
    put_limit(out, "idempotency_answer_bytes", KEPT_ANSWER_BYTES_MAX);
    out_char(out, '}');
}

static void get_back(struct call *call)
{
    const struct inspection *inspection = call->inspection;
    const struct gateway_facts *facts = gateway_facts(call->api->gateway);
    struct out *out = &call->api->out;
    if (inspection->err != OK) {
        call_fail(call, inspection->err, NULL);
        return;
    }
    out_clear(out);
    out_text(out, "{\"version\":");
    out_string_text(out, call->api->version);
    out_member(out, "partitions");
    out_u64(out, facts->partitions);
    out_member(out, "threads");
    out_u64(out, facts->runner_count);
    out_member(out, "instance");
    put_instance(out, facts->instance);
    out_member(out, "started");
    out_time(out, facts->started.us);
    put_log(out, inspection);
    out_member(out, "dedup_horizon");
    out_duration(out, facts->dedup_horizon_us);
    out_text(out,
             ",\"features\":[\"events\",\"sources\",\"metrics\",\"values\",\"late\",\"fate\","
             "\"timeouts\",\"rules\",\"notifications\",\"idempotency-keys\"]");
    put_limits(out);
    out_char(out, '}');
    call_answer_json(call);
}

void info_get(struct call *call)
{
    if (call_inspection(call, INSPECT_STATUS) != NULL) {
        call_inspect(call, get_back);
    }
}
