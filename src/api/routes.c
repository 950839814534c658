/* The route table, and how a path is matched against it.
 *
 * Paths are compared segment by segment, still percent-encoded, so that an encoded slash in a name
 * stays inside its segment.
 *
 * Invariants:
 *  1. Each (method, path) occurs once.
 *  2. GET serves HEAD as well; OPTIONS is answered for every known path. */
#include "api/routes.h"

#include "api/events_read.h"
#include "api/info.h"
#include "api/ingest.h"
#include "api/metrics.h"
#include "api/notifications.h"
#include "api/rules.h"
#include "api/sources.h"
#include "api/sql.h"
#include "api/timeouts.h"
#include "api/values.h"
#include "base/check.h"

#define KIB              (1024ull)
#define MIB              (1024 * KIB)
#define BODY_IGNORED_MAX (64 * KIB)
#define BODY_CONFIG_MAX  (64 * KIB)
#define BODY_SQL_MAX     MIB

/* clang-format off */
const struct route routes[] = {
    {HTTP_GET, "/healthz", info_healthz, "", BODY_NONE, BODY_IGNORED_MAX, true,
     "Alive"},
    {HTTP_GET, "/readyz", info_readyz, "", BODY_NONE, BODY_IGNORED_MAX, true,
     "Recovered and serving"},
    {HTTP_GET, "/metrics", info_prometheus, "", BODY_NONE, BODY_IGNORED_MAX, true,
     "The server's own figures, for Prometheus"},
    {HTTP_GET, "/openapi.json", info_openapi, "", BODY_NONE, BODY_IGNORED_MAX, true,
     "This description"},
    {HTTP_GET, "/v1/info", info_get, "", BODY_NONE, BODY_IGNORED_MAX, false,
     "Version, features, partitions, log position, limits"},
    {HTTP_POST, "/v1/events", ingest_run, "ack", BODY_EVENTS, INGEST_BATCH_BYTES_MAX, false,
     "Takes CloudEvents: one, a batch, binary mode, or a stream of lines"},
    {HTTP_GET, "/v1/events", events_list,
     "type source subject from to limit cursor", BODY_NONE, BODY_IGNORED_MAX, false,
     "Reads the raw log back"},
    {HTTP_GET, "/v1/events/fate", events_fate, "source id", BODY_NONE, BODY_IGNORED_MAX, false,
     "What became of one event"},
    {HTTP_GET, "/v1/late", events_late,
     "metric type source subject from to limit cursor", BODY_NONE, BODY_IGNORED_MAX, false,
     "The events that came too late to count"},
    {HTTP_POST, "/v1/sql", sql_run, "dry_run", BODY_SQL, BODY_SQL_MAX, false,
     "Runs statements of the metric language"},
    {HTTP_GET, "/v1/metrics", metrics_list, "limit cursor", BODY_NONE, BODY_IGNORED_MAX, false,
     "All metrics"},
    {HTTP_GET, "/v1/metrics/{name}", metrics_get, "", BODY_NONE, BODY_IGNORED_MAX, false,
     "One metric"},
    {HTTP_PUT, "/v1/metrics/{name}", metrics_put, "dry_run", BODY_SQL, BODY_SQL_MAX, false,
     "Creates or replaces a metric"},
    {HTTP_DELETE, "/v1/metrics/{name}", metrics_delete, "", BODY_NONE, BODY_IGNORED_MAX, false,
     "Drops a metric"},
    {HTTP_GET, "/v1/metrics/{name}/values", values_get,
     "from to window order_by limit cursor final min_as_of *", BODY_NONE, BODY_IGNORED_MAX, false,
     "The metric's windows; <column>= filters"},
    {HTTP_GET, "/v1/rules", rules_list, "limit cursor", BODY_NONE, BODY_IGNORED_MAX, false,
     "All rules: timeouts and silences"},
    {HTTP_GET, "/v1/rules/{name}", rules_get, "", BODY_NONE, BODY_IGNORED_MAX, false,
     "One rule"},
    {HTTP_PUT, "/v1/rules/{name}", rules_put, "dry_run", BODY_SQL, BODY_SQL_MAX, false,
     "Creates or replaces a rule"},
    {HTTP_DELETE, "/v1/rules/{name}", rules_delete, "", BODY_NONE, BODY_IGNORED_MAX, false,
     "Drops a rule"},
    {HTTP_GET, "/v1/sources", sources_list, "limit cursor", BODY_NONE, BODY_IGNORED_MAX, false,
     "All declared sources, and the default lane *"},
    {HTTP_GET, "/v1/sources/{name}", sources_get, "", BODY_NONE, BODY_IGNORED_MAX, false,
     "One source"},
    {HTTP_PUT, "/v1/sources/{name}", sources_put, "", BODY_JSON, BODY_CONFIG_MAX, false,
     "Declares a source"},
    {HTTP_DELETE, "/v1/sources/{name}", sources_delete, "", BODY_NONE, BODY_IGNORED_MAX, false,
     "Gives a source back to the default lane"},
    {HTTP_POST, "/v1/sources/{name}/watermark", sources_watermark, "", BODY_JSON, BODY_CONFIG_MAX,
     false, "What a producer says about its own watermark"},
    {HTTP_POST, "/v1/timeouts", timeouts_create, "", BODY_COMMAND, TIMEOUT_BODY_BYTES_MAX, false,
     "Creates a timeout"},
    {HTTP_GET, "/v1/timeouts", timeouts_list, "state due_before prefix rule limit cursor", BODY_NONE,
     BODY_IGNORED_MAX, false,
     "All timeouts, or those of a state, with a prefix, due before a time"},
    {HTTP_GET, "/v1/timeouts:count", timeouts_count, "rule", BODY_NONE, BODY_IGNORED_MAX, false,
     "How many timeouts there are in each state"},
    {HTTP_GET, "/v1/timeouts:due", timeouts_due, "from span count clock", BODY_NONE,
     BODY_IGNORED_MAX, false,
     "How many pending timeouts are due in each of some spans of time"},
    {HTTP_POST, "/v1/timeouts:batch", timeouts_batch, "", BODY_COMMANDS, TIMEOUT_BATCH_BYTES_MAX,
     false, "Up to 10,000 commands on timeouts, one a line"},
    {HTTP_GET, "/v1/timeouts/{name}", timeouts_get, "consistency rule", BODY_NONE, BODY_IGNORED_MAX,
     false, "One timeout"},
    {HTTP_POST, "/v1/timeouts/{name}/complete", timeouts_complete, "rule", BODY_COMMAND,
     TIMEOUT_BODY_BYTES_MAX, false,
     "What was awaited has come; before its timeout was created, it is remembered"},
    {HTTP_POST, "/v1/timeouts/{name}/cancel", timeouts_cancel, "rule", BODY_COMMAND,
     TIMEOUT_BODY_BYTES_MAX, false, "It is awaited no more"},
    {HTTP_POST, "/v1/timeouts/{name}/heartbeat", timeouts_heartbeat, "rule", BODY_COMMAND,
     TIMEOUT_BODY_BYTES_MAX, false, "A timeout's time begins anew"},
    {HTTP_GET, "/v1/notifications", notifications_get, "type subject after wait limit consumer",
     BODY_NONE, BODY_IGNORED_MAX, false,
     "The feed: a page, waited for if need be, or server-sent events"},
    {HTTP_POST, "/v1/notifications:ack", notifications_ack, "", BODY_JSON, BODY_CONFIG_MAX, false,
     "A consumer has seen all notifications up to a cursor"},
    {HTTP_GET, "/v1/notifications/consumers", notifications_consumers, "limit cursor", BODY_NONE,
     BODY_IGNORED_MAX, false, "All consumers, and how far each is"},
    {HTTP_DELETE, "/v1/notifications/consumers/{name}", notifications_forget, "", BODY_NONE,
     BODY_IGNORED_MAX, false, "Forgets a consumer and its position"},
    {HTTP_GET, "/v1/watermark", sources_overall, "", BODY_NONE, BODY_IGNORED_MAX, false,
     "The watermark over all lanes, and who holds it"},
};
/* clang-format on */

const size_t route_count = sizeof(routes) / sizeof(routes[0]);

static struct bytes segment_cut(struct bytes *path)
{
    CHECK(path->len > 0 && path->data[0] == '/');
    struct bytes rest = bytes_slice(*path, 1, path->len - 1);
    const uint8_t *slash = rest.len == 0 ? NULL : memchr(rest.data, '/', rest.len);
    size_t len = slash == NULL ? rest.len : (size_t)(slash - rest.data);
    *path = bytes_slice(rest, len, rest.len - len);
    return bytes_slice(rest, 0, len);
}

static bool path_matches(const char *pattern_text, struct bytes path, struct bytes *name)
{
    struct bytes pattern = bytes_of_string(pattern_text);
    while (pattern.len > 0 && path.len > 0) {
        struct bytes wanted = segment_cut(&pattern);
        struct bytes given = segment_cut(&path);
        if (bytes_equal(wanted, BYTES("{name}"))) {
            if (given.len == 0) {
                return false;
            }
            *name = given;
        } else if (!bytes_equal(wanted, given)) {
            return false;
        }
    }
    return pattern.len == 0 && path.len == 0;
}

static const char *method_text(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
        return "GET, HEAD";
    case HTTP_HEAD:
        return "HEAD";
    case HTTP_POST:
        return "POST";
    case HTTP_PUT:
        return "PUT";
    case HTTP_PATCH:
        return "PATCH";
    case HTTP_DELETE:
        return "DELETE";
    case HTTP_OPTIONS:
    case HTTP_OTHER:
        return "OPTIONS";
    }
    return "";
}

void route_find(struct bytes path, enum http_method method, struct route_match *match)
{
    *match = (struct route_match){0};
    enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    struct buf allow = buf_of(match->allow, sizeof(match->allow) - 1);
    if (path.len == 0 || path.data[0] != '/') {
        return;
    }
    for (size_t i = 0; i < route_count; i++) {
        struct bytes name = {0};
        if (!path_matches(routes[i].path, path, &name)) {
            continue;
        }
        match->path_known = true;
        buf_put_text(&allow, method_text(routes[i].method));
        buf_put_text(&allow, ", ");
        if (routes[i].method == wanted) {
            match->route = &routes[i];
            match->name = name;
        }
    }
    if (match->path_known) {
        buf_put_text(&allow, "OPTIONS");
    }
    CHECK(!allow.overflow);
    match->allow[allow.len] = '\0';
}

bool route_takes(const struct route *route, struct bytes param)
{
    struct bytes names = bytes_of_string(route->params);
    while (names.len > 0) {
        const uint8_t *space = memchr(names.data, ' ', names.len);
        size_t len = space == NULL ? names.len : (size_t)(space - names.data);
        struct bytes name = bytes_slice(names, 0, len);
        if (bytes_equal(name, param) || bytes_equal(name, BYTES("*"))) {
            return true;
        }
        size_t skip = space == NULL ? len : len + 1;
        names = bytes_slice(names, skip, names.len - skip);
    }
    return false;
}
