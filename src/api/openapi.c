/* GET /openapi.json: the route table in the words of OpenAPI 3.1. What it says is true because it
 * is what is dispatched; shapes of bodies are described where the table knows them. */
#include "api/info.h"
#include "api/routes.h"

static const char *method_name(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
        return "get";
    case HTTP_POST:
        return "post";
    case HTTP_PUT:
        return "put";
    case HTTP_PATCH:
        return "patch";
    case HTTP_DELETE:
        return "delete";
    case HTTP_HEAD:
        return "head";
    case HTTP_OPTIONS:
    case HTTP_OTHER:
        break;
    }
    return "options";
}

static void put_parameter(struct out *out, struct bytes name, const char *place, bool required)
{
    out_comma(out);
    out_text(out, "{\"name\":");
    out_string(out, name);
    out_member(out, "in");
    out_string_text(out, place);
    out_member(out, "required");
    out_bool(out, required);
    out_text(out, ",\"schema\":{\"type\":\"string\"}}");
}

/* <column>= filters: an object whose members are parameters of their own. */
static void put_any_parameter(struct out *out)
{
    out_comma(out);
    out_text(out,
             "{\"name\":\"filters\",\"in\":\"query\",\"style\":\"form\",\"explode\":true,"
             "\"schema\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}}");
}

static void put_parameters(struct out *out, const struct route *route)
{
    struct bytes names = bytes_of_string(route->params);
    out_text(out, ",\"parameters\":[");
    if (strstr(route->path, "{name}") != NULL) {
        put_parameter(out, BYTES("name"), "path", true);
    }
    if (route_takes_key(route)) {
        put_parameter(out, BYTES("Idempotency-Key"), "header", false);
    }
    while (names.len > 0) {
        const uint8_t *space = memchr(names.data, ' ', names.len);
        size_t len = space == NULL ? names.len : (size_t)(space - names.data);
        struct bytes name = bytes_slice(names, 0, len);
        if (bytes_equal(name, BYTES("*"))) {
            put_any_parameter(out);
        } else {
            put_parameter(out, name, "query", false);
        }
        size_t skip = space == NULL ? len : len + 1;
        names = bytes_slice(names, skip, names.len - skip);
    }
    out_char(out, ']');
}

static void put_content(struct out *out, const char *const *types, bool required, size_t count)
{
    out_text(out, ",\"requestBody\":{\"required\":");
    out_bool(out, required);
    out_text(out, ",\"content\":{");
    for (size_t i = 0; i < count; i++) {
        out_member(out, types[i]);
        out_text(out, "{}");
    }
    out_text(out, "}}");
}

static void put_body(struct out *out, const struct route *route)
{
    static const char *const json[] = {"application/json"};
    static const char *const lines[] = {"application/x-ndjson"};
    static const char *const sql[] = {"text/plain", "application/json"};
    static const char *const events[] = {"application/cloudevents+json",
                                         "application/cloudevents-batch+json",
                                         "application/x-ndjson",
                                         "*/*"};
    switch (route->body) {
    case BODY_NONE:
        return;
    case BODY_JSON:
    case BODY_COMMAND:
        put_content(out, json, route->body == BODY_JSON, 1);
        return;
    case BODY_COMMANDS:
        put_content(out, lines, true, 1);
        return;
    case BODY_SQL:
        put_content(out, sql, true, 2);
        return;
    case BODY_EVENTS:
        put_content(out, events, true, 4);
        return;
    }
}

static void put_operation(struct out *out, const struct route *route)
{
    out_member(out, method_name(route->method));
    out_text(out, "{\"summary\":");
    out_string_text(out, route->summary);
    put_parameters(out, route);
    put_body(out, route);
    out_text(out,
             ",\"responses\":{\"2XX\":{\"description\":\"It went well\"},\"default\":{"
             "\"description\":\"A problem (RFC 9457)\",\"content\":{"
             "\"application/problem+json\":{\"schema\":{\"$ref\":"
             "\"#/components/schemas/Problem\"}}}}}}");
}

static bool same_path(const struct route *a, const struct route *b)
{
    return bytes_equal(bytes_of_string(a->path), bytes_of_string(b->path));
}

void info_openapi(struct call *call)
{
    struct out *out = &call->api->out;
    out_clear(out);
    out_text(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Tidemark\",\"version\":");
    out_string_text(out, call->api->version);
    out_text(out, "},\"paths\":{");
    for (size_t i = 0; i < route_count; i++) {
        /* Routes of one path stand together in the table. */
        if (i > 0 && same_path(&routes[i], &routes[i - 1])) {
            continue;
        }
        out_member(out, routes[i].path);
        out_char(out, '{');
        for (size_t k = i; k < route_count && same_path(&routes[i], &routes[k]); k++) {
            put_operation(out, &routes[k]);
        }
        out_char(out, '}');
    }
    out_text(out,
             "},\"components\":{\"schemas\":{\"Problem\":{\"type\":\"object\",\"properties\":{"
             "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
             "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},"
             "\"member\":{\"type\":\"string\"},\"line\":{\"type\":\"integer\"},"
             "\"column\":{\"type\":\"integer\"},\"hint\":{\"type\":\"string\"}},"
             "\"required\":[\"type\",\"title\",\"status\"]}}}}");
    call_answer_json(call);
}
