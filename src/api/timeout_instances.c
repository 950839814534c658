/* GET /v1/timeouts/{key}?rule=name: what a rule over the stream makes of one key.
 *
 * Each start is an instance of its own, so a key may have many. The answer is the one that started last,
 * and "instances" are all of them, the newest first. Commands with ?rule= are in timeouts.c. */
#include "api/problem.h"
#include "api/sort.h"
#include "api/stats.h"
#include "api/timeout_text.h"
#include "api/timeouts.h"
#include "base/check.h"
#include "host/timeout_rows.h"

#include <stdlib.h>

/* All instances, in an order of their own. */
struct instances {
    size_t count;
    struct timeout_row *rows;
    const void **sorted;
    const void **scratch;
};

static int newest_first(const void *a, const void *b, const void *ctx)
{
    (void)ctx;
    int64_t left = ((const struct timeout_row *)a)->object.event_time.us;
    int64_t right = ((const struct timeout_row *)b)->object.event_time.us;
    return (left < right) - (left > right);
}

static void instances_free(struct instances *instances)
{
    free(instances->rows);
    free(instances->sorted);
    free(instances->scratch);
}

/* False: there is no memory. The rows borrow from the query's answers. */
static bool instances_gather(const struct query *query, struct instances *instances)
{
    size_t most = 0;
    *instances = (struct instances){0};
    for (uint32_t n = 0; n < query->runner_count; n++) {
        most += query->answers[n].row_count;
    }
    instances->rows = calloc(most + 1, sizeof(*instances->rows));
    instances->sorted = calloc(most + 1, sizeof(*instances->sorted));
    instances->scratch = calloc(most + 1, sizeof(*instances->scratch));
    if (instances->rows == NULL || instances->sorted == NULL || instances->scratch == NULL) {
        return false;
    }
    for (uint32_t n = 0; n < query->runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[n].rows));
        struct timeout_row *row = &instances->rows[instances->count];
        while (instances->count < most && timeout_row_next(&rows, row)) {
            instances->sorted[instances->count++] = row;
            row = &instances->rows[instances->count];
        }
        CHECK(!rows.bad); /* a runner wrote them */
    }
    sort_stable(instances->sorted, instances->scratch, instances->count, newest_first, NULL);
    return true;
}

static void put_instances(struct out *out, struct bytes rule, const struct instances *instances)
{
    const struct timeout_row *newest = instances->sorted[0];
    out_clear(out);
    out_char(out, '{');
    timeout_put_instance(out, rule, newest->key, &newest->object);
    out_text(out, ",\"instances\":[");
    for (size_t i = 0; i < instances->count; i++) {
        const struct timeout_row *row = instances->sorted[i];
        out_comma(out);
        out_char(out, '{');
        timeout_put_instance(out, rule, row->key, &row->object);
        out_char(out, '}');
    }
    out_text(out, "]}");
}

static void instances_back(struct call *call)
{
    struct instances instances;
    if (timeout_query_refused(call)) {
        return;
    }
    if (!instances_gather(call->query, &instances)) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this answer");
    } else if (instances.count == 0) {
        call_fail(call, ERR_UNKNOWN_TIMEOUT, "the rule has no instance of this key");
    } else {
        struct answer answer;
        answer_init(&answer, 200, "application/json");
        answer_field(&answer, "Cache-Control", BYTES("no-cache"));
        put_instances(&call->api->out, call->query->metric, &instances);
        call_answer(call, &answer);
    }
    instances_free(&instances);
}

void timeout_instances_get(struct call *call, struct bytes rule)
{
    struct query *query = call_query(call, QUERY_WATCH);
    if (query != NULL) {
        query->metric = rule;
        query->key = call->name;
        call_ask_runners(call, instances_back);
    }
}
