/* Sources as resources, and the watermark over all of them.
 *
 *   write  propose ─► inspect ─► answer with the source as it is now
 *   read   inspect ─► answer */
#include "api/sources.h"

#include "api/config.h"
#include "api/cursor.h"
#include "api/lane_text.h"
#include "api/problem.h"
#include "base/check.h"

#define DISORDER_DEFAULT_US   (5 * US_PER_SECOND)
#define IDLE_AFTER_DEFAULT_US (30 * US_PER_SECOND)
#define SKEW_DEFAULT_US       (5 * US_PER_MINUTE)
#define DURATION_MAX_US       (366 * US_PER_DAY)

static bool name_check(struct call *call)
{
    if (call->name.len > SOURCE_NAME_MAX) {
        call_fail_member(call, ERR_LIMIT, BYTES("name"), "a source is at most 1,024 bytes long");
        return false;
    }
    return true;
}

static void inspect_lanes(struct call *call, struct bytes name, void (*then)(struct call *call))
{
    struct inspection *inspection = call_inspection(call, INSPECT_LANES);
    if (inspection != NULL) {
        inspection->name = name;
        call_inspect(call, then);
    }
}

static bool inspection_good(struct call *call)
{
    if (call->inspection->err != OK) {
        call_fail(call, call->inspection->err, NULL);
        return false;
    }
    return true;
}

static void list_back(struct call *call)
{
    uint64_t offset = 0;
    uint32_t limit = 0;
    if (!inspection_good(call) || !cursor_limit(call, &limit) || !cursor_read(call, &offset, 1)) {
        return;
    }
    const struct lane_info **lanes = lanes_sorted(call, call->inspection);
    if (lanes == NULL) {
        return;
    }
    struct out *out = &call->api->out;
    size_t count = call->inspection->lane_count;
    size_t at = offset < count ? (size_t)offset : count;
    size_t end = limit < count - at ? at + limit : count;
    out_clear(out);
    out_text(out, "{\"items\":[");
    for (size_t i = at; i < end; i++) {
        out_comma(out);
        source_put_json(out, lanes[i]);
    }
    cursor_end_at(call, end, count);
    call_answer_json(call);
}

void sources_list(struct call *call)
{
    uint64_t offset = 0;
    uint32_t limit = 0;
    if (!cursor_limit(call, &limit)) {
        return;
    }
    if (cursor_read(call, &offset, 1)) {
        inspect_lanes(call, (struct bytes){0}, list_back);
    }
}

static void one_answer(struct call *call)
{
    const struct proposal *proposal = call->proposal;
    if (!inspection_good(call)) {
        return;
    }
    if (call->inspection->lane_count == 0) {
        call_fail(call, ERR_UNKNOWN_SOURCE, NULL);
        return;
    }
    const struct lane_info *info = &call->inspection->lanes[0];
    struct answer answer;
    answer_init(&answer, proposal != NULL && proposal->created ? 201 : 200, "application/json");
    answer_version_tag(&answer, info->version);
    if (proposal != NULL) {
        answer_as_of(&answer, proposal->as_of);
    }
    out_clear(&call->api->out);
    source_put_json(&call->api->out, info);
    call_answer(call, &answer);
}

void sources_get(struct call *call)
{
    inspect_lanes(call, call->name, one_answer);
}

static void write_back(struct call *call)
{
    const struct proposal *proposal = call->proposal;
    if (proposal->err != OK) {
        call_fail(call, proposal->err, proposal->detail);
        return;
    }
    inspect_lanes(call, call->name, one_answer);
}

static bool kind_read(struct call *call, const struct config_member *member, enum lane_kind *kind)
{
    if (!member->given || bytes_equal(member->text, BYTES("bounded"))) {
        *kind = LANE_BOUNDED;
        return true;
    }
    if (bytes_equal(member->text, BYTES("explicit"))) {
        *kind = LANE_EXPLICIT;
        return true;
    }
    call_fail_member(call, ERR_UNPROCESSABLE, BYTES("watermark"), "it is bounded or explicit");
    return false;
}

void sources_put(struct call *call)
{
    struct config_member members[] = {
        {.name = "watermark"},
        {.name = "disorder"},
        {.name = "idle_after"},
        {.name = "max_future_skew"},
    };
    struct source source = {
        .disorder_us = DISORDER_DEFAULT_US,
        .idle_after_us = IDLE_AFTER_DEFAULT_US,
        .max_future_skew_us = SKEW_DEFAULT_US,
        .name = call->name,
    };
    if (!name_check(call) || !config_read(call, members, 4) ||
        !kind_read(call, &members[0], &source.kind) ||
        !config_duration(call, &members[1], DURATION_MAX_US, &source.disorder_us) ||
        !config_duration(call, &members[2], DURATION_MAX_US, &source.idle_after_us) ||
        !config_duration(call, &members[3], DURATION_MAX_US, &source.max_future_skew_us)) {
        return;
    }
    struct proposal *proposal = call_proposal(call, PROPOSE_SOURCE);
    if (proposal != NULL && config_condition(call, &proposal->condition)) {
        proposal->name = call->name;
        proposal->source = source;
        call_propose(call, write_back);
    }
}

void sources_delete(struct call *call)
{
    config_drop(call, PROPOSE_FORGET);
}

void sources_watermark(struct call *call)
{
    struct config_member members[] = {{.name = "time"}, {.name = "final", .is_bool = true}};
    int64_t time = 0;
    if (!config_read(call, members, 2)) {
        return;
    }
    if (members[0].given == members[1].given) {
        call_fail(call, ERR_UNPROCESSABLE, "give either time or final");
        return;
    }
    if (!config_time(call, &members[0], &time)) {
        return;
    }
    struct proposal *proposal = call_proposal(call, PROPOSE_LANE);
    if (proposal == NULL || !config_condition(call, &proposal->condition)) {
        return;
    }
    proposal->name = call->name;
    proposal->time = time;
    proposal->command = members[0].given   ? LANE_ADVANCE
                        : members[1].value ? LANE_FINISH
                                           : LANE_REOPEN;
    call_propose(call, write_back);
}

static void put_holders(struct out *out, const struct lane_info **lanes, size_t count)
{
    out_text(out, ",\"held_by\":[");
    for (size_t i = 0; i < count; i++) {
        if (!lanes[i]->holds) {
            continue;
        }
        out_comma(out);
        out_text(out, "{\"source\":");
        out_string(out, lanes[i]->name);
        out_member(out, "watermark");
        out_watermark(out, lanes[i]->watermark);
        out_member(out, "why");
        out_string_text(out, hold_reason_text(lanes[i]->why));
        out_char(out, '}');
    }
    out_char(out, ']');
}

static void overall_back(struct call *call)
{
    if (!inspection_good(call)) {
        return;
    }
    const struct lane_info **lanes = lanes_sorted(call, call->inspection);
    if (lanes == NULL) {
        return;
    }
    struct out *out = &call->api->out;
    size_t count = call->inspection->lane_count;
    out_clear(out);
    out_text(out, "{\"watermark\":");
    out_watermark(out, call->inspection->watermark);
    put_holders(out, lanes, count);
    out_text(out, ",\"lanes\":[");
    for (size_t i = 0; i < count; i++) {
        out_comma(out);
        lane_put_json(out, lanes[i]);
    }
    out_text(out, "]}");
    call_answer_json(call);
}

void sources_overall(struct call *call)
{
    inspect_lanes(call, (struct bytes){0}, overall_back);
}
