/* See oracle.h. Slow and plain on purpose; times here are far from the ends of 64 bits. */
#include "oracle.h"

#include <string.h>

bool oracle_is_duplicate(const struct script *script, uint32_t event)
{
    const struct script_event *own = &script->events[event];
    for (uint32_t n = 0; n < event; n++) {
        if (script->events[n].source == own->source && script->events[n].id == own->id) {
            return true;
        }
    }
    return false;
}

bool oracle_concerns(const struct script_metric *metric, const struct script_event *event)
{
    return event->step > metric->from && event->step < metric->to;
}

static int64_t window_start(const struct script_metric *metric, int64_t time)
{
    int64_t start = time - time % metric->window_us;
    return start > time ? start - metric->window_us : start;
}

static bool passes(const struct script_metric *metric, const struct script_event *event)
{
    if (metric->filter == FILTER_TYPE_1) {
        return event->type == 1;
    }
    if (metric->filter == FILTER_X_LARGE) {
        return event->x == X_NUMBER && event->x_milli > 10000;
    }
    return true;
}

bool oracle_is_sealed(const struct script *script,
                      const struct script_metric *metric,
                      int64_t start,
                      uint32_t step)
{
    for (uint32_t n = 0; n < script->seal_count; n++) {
        const struct script_seal *seal = &script->seals[n];
        if (seal->step > metric->from && seal->step < step && start <= seal->max_time) {
            return true;
        }
    }
    return false;
}

bool oracle_is_closed(const struct script *script,
                      const struct script_metric *metric,
                      int64_t start,
                      int64_t watermark)
{
    return oracle_is_sealed(script, metric, start, script->step_count) ||
           start + metric->window_us <= watermark;
}

bool oracle_is_final(const struct script *script,
                     const struct script_metric *metric,
                     int64_t start,
                     int64_t watermark)
{
    return oracle_is_sealed(script, metric, start, script->step_count) ||
           start + metric->window_us + metric->lateness_us <= watermark;
}

enum oracle_fate
oracle_fate(const struct script *script, const struct script_metric *metric, uint32_t event)
{
    const struct script_event *own = &script->events[event];
    if (!passes(metric, own)) {
        return ORACLE_FILTERED;
    }
    int64_t start = window_start(metric, own->time);
    if (oracle_is_sealed(script, metric, start, own->step)) {
        return ORACLE_LATE_DROPPED;
    }
    if (start + metric->window_us > own->watermark) {
        return ORACLE_COUNTED;
    }
    bool in_time = start + metric->window_us + metric->lateness_us > own->watermark;
    return in_time ? ORACLE_LATE_CORRECTED : ORACLE_LATE_DROPPED;
}

static struct oracle_row *row_of(const struct script_metric *metric,
                                 const struct script_event *event,
                                 struct oracle_result *result)
{
    struct oracle_row wanted = {.start = window_start(metric, event->time)};
    bool by_type = metric->group == GROUP_TYPE || metric->group == GROUP_SOURCE_TYPE;
    wanted.type = by_type ? event->type : 0;
    wanted.source = metric->group == GROUP_SOURCE_TYPE ? event->source : 0;
    wanted.subject = metric->group == GROUP_SUBJECT ? event->subject : 0;
    for (uint32_t n = 0; n < result->row_count; n++) {
        struct oracle_row *row = &result->rows[n];
        if (row->start == wanted.start && row->source == wanted.source &&
            row->type == wanted.type && row->subject == wanted.subject) {
            return row;
        }
    }
    wanted.min_id = UINT32_MAX;
    result->rows[result->row_count] = wanted;
    return &result->rows[result->row_count++];
}

static void count(struct oracle_row *row, const struct script_event *event)
{
    row->count++;
    row->count_type_1 += event->type == 1;
    row->count_x += event->x == X_NUMBER || event->x == X_TEXT;
    row->min_id = event->id < row->min_id ? event->id : row->min_id;
    row->max_subject = event->subject > row->max_subject ? event->subject : row->max_subject;
    if (event->x == X_NUMBER) {
        bool first = row->number_count == 0;
        row->min_milli = first || event->x_milli < row->min_milli ? event->x_milli : row->min_milli;
        row->max_milli = first || event->x_milli > row->max_milli ? event->x_milli : row->max_milli;
        row->sum_milli += event->x_milli;
        row->number_count++;
    }
}

void oracle_run(const struct script *script,
                const struct script_metric *metric,
                struct oracle_result *result)
{
    memset(result->fates, 0, sizeof(result->fates));
    result->row_count = 0;
    for (uint32_t n = 0; n < script->event_count; n++) {
        const struct script_event *event = &script->events[n];
        if (!oracle_concerns(metric, event) || oracle_is_duplicate(script, n)) {
            continue;
        }
        enum oracle_fate fate = oracle_fate(script, metric, n);
        result->fates[fate]++;
        if (fate == ORACLE_COUNTED || fate == ORACLE_LATE_CORRECTED) {
            count(row_of(metric, event, result), event);
        }
    }
}
