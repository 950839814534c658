/* Lanes in JSON: see lane_text.h. */
#include "api/lane_text.h"

#include "api/problem.h"
#include "api/sort.h"

const char *hold_reason_text(enum hold_reason reason)
{
    switch (reason) {
    case HOLD_NONE:
        return "";
    case HOLD_NO_EVENT:
        return "no event yet";
    case HOLD_SLOW:
        return "slow";
    case HOLD_EXPLICIT:
        return "explicit";
    case HOLD_DEAF:
        return "deaf";
    }
    return "";
}

static void put_flag(struct out *out, const char *name, bool value)
{
    out_member(out, name);
    out_bool(out, value);
}

/* The members that the source's object and the lane's own have in common. */
static void put_lane_members(struct out *out, const struct lane_info *info)
{
    out_member(out, "watermark");
    out_watermark(out, info->watermark);
    out_member(out, "max_time");
    out_watermark(out, info->heard ? info->max_time : WATERMARK_NONE);
    out_member(out, "last_heard");
    if (info->last_heard.us == 0) {
        out_text(out, "null");
    } else {
        out_time(out, info->last_heard.us);
    }
    out_member(out, "recent_lag");
    out_duration(out, info->recent_lag_us > 0 ? info->recent_lag_us : 0);
    put_flag(out, "idle", info->idle);
    put_flag(out, "deaf", info->deaf);
    put_flag(out, "live", info->live);
    put_flag(out, "final", info->watermark == WATERMARK_FINAL);
}

void lane_put_json(struct out *out, const struct lane_info *info)
{
    out_text(out, "{\"source\":");
    out_string(out, info->name);
    put_lane_members(out, info);
    put_flag(out, "holds", info->holds);
    out_char(out, '}');
}

void source_put_json(struct out *out, const struct lane_info *info)
{
    out_text(out, "{\"name\":");
    out_string(out, info->name);
    out_member(out, "watermark");
    out_string_text(out, info->source.kind == LANE_EXPLICIT ? "explicit" : "bounded");
    out_member(out, "disorder");
    out_duration(out, info->source.disorder_us);
    out_member(out, "idle_after");
    out_duration(out, info->source.idle_after_us);
    out_member(out, "max_future_skew");
    out_duration(out, info->source.max_future_skew_us);
    out_member(out, "version");
    out_u64(out, info->version);
    out_member(out, "lane");
    out_char(out, '{');
    put_lane_members(out, info);
    out_text(out, "}}");
}

static int by_name(const void *a, const void *b, const void *ctx)
{
    (void)ctx;
    const struct lane_info *left = a;
    const struct lane_info *right = b;
    bool left_default = bytes_equal(left->name, BYTES("*"));
    bool right_default = bytes_equal(right->name, BYTES("*"));
    if (left_default || right_default) {
        return (right_default ? 1 : 0) - (left_default ? 1 : 0);
    }
    return bytes_compare(left->name, right->name);
}

const struct lane_info **lanes_sorted(struct call *call, const struct inspection *inspection)
{
    size_t count = inspection->lane_count;
    const void **items = memory_take(&call->memory, (count + 1) * sizeof(*items));
    const void **scratch = memory_take(&call->memory, (count + 1) * sizeof(*scratch));
    const struct lane_info **lanes = memory_take(&call->memory, (count + 1) * sizeof(*lanes));
    if (items == NULL || scratch == NULL || lanes == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for the list of lanes");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        items[i] = &inspection->lanes[i];
    }
    sort_stable(items, scratch, count, by_name, NULL);
    for (size_t i = 0; i < count; i++) {
        lanes[i] = items[i];
    }
    return lanes;
}
