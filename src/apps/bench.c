/* tidemark bench: choosing the part, and telling results. */
#include "apps/bench.h"

#include "apps/answer_json.h"
#include "apps/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void json_line(FILE *file, const char *name, double value, const char *unit)
{
    struct utsname machine = {0};
    const char *commit = getenv("BENCH_COMMIT");
    (void)uname(&machine);
    (void)fprintf(file,
                  "{\"commit\":\"%.40s\",\"machine\":\"%s, %ld cores\",\"name\":\"%s\","
                  "\"value\":%.6g,\"unit\":\"%s\"}\n",
                  commit != NULL ? commit : "",
                  machine.machine,
                  sysconf(_SC_NPROCESSORS_ONLN),
                  name,
                  value,
                  unit);
}

void bench_result(const struct settings *settings, const char *name, double value, const char *unit)
{
    const char *path = setting_text(settings, OPTION_BENCH_JSON);
    bool many = value >= 10000;
    if (many) {
        say("%-32s %14s %s\n", name, amount_count((uint64_t)value).text, unit);
    } else {
        say("%-32s %14.3f %s\n", name, value, unit);
    }
    if (path[0] == '\0') {
        return;
    }
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "ae");
    if (file == NULL) {
        complain("--json: %s can't be written: %s", path, strerrordesc_np(errno));
        return;
    }
    json_line(file, name, value, unit);
    if (file != stdout && fclose(file) != 0) {
        complain("--json: %s can't be written: %s", path, strerrordesc_np(errno));
    }
}

void bench_latencies(const struct settings *settings,
                     const char *name,
                     const struct histogram *histogram)
{
    static const struct {
        const char *suffix;
        double part;
    } parts[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    char full[80];
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        text_put(full, sizeof(full), "%s_%s", name, parts[i].suffix);
        bench_result(
            settings, full, (double)histogram_percentile(histogram, parts[i].part) / 1000, "ms");
    }
}

int bench_say(struct server *server, const char *method, const char *target, const char *json)
{
    struct http_client_response response;
    bool is_sql = strcmp(target, "/v1/sql") == 0;
    const struct http_client_request request = {
        .method = method,
        .target = target,
        .content_type = is_sql ? "text/plain" : "application/json",
        .body = bytes_of_string(json),
    };
    int code = server_ask(server, &request, &response);
    if (code == EXIT_CODE_OK && response.status >= 300) {
        code = problem_complain(&response, is_sql ? request.body : (struct bytes){0});
    }
    return code;
}

int bench_lane_open(struct server *server, const char *disorder)
{
    char json[120];
    text_put(json, sizeof(json), "{\"watermark\":\"bounded\",\"disorder\":\"%s\"}", disorder);
    int code = bench_say(server, "PUT", "/v1/sources/%2A", json);
    return code == EXIT_CODE_OK
               ? bench_say(server, "POST", "/v1/sources/%2A/watermark", "{\"final\":false}")
               : code;
}

int bench_lane_final(struct server *server, const char *metric)
{
    char target[160];
    struct http_client_response response;
    const struct http_client_request final = {
        .method = "POST",
        .target = "/v1/sources/%2A/watermark",
        .content_type = "application/json",
        .body = BYTES("{\"final\":true}"),
    };
    int code = server_ask(server, &final, &response);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (response.status >= 300) {
        return problem_complain(&response, (struct bytes){0});
    }
    struct bytes token = http_reply_field(&response.head, "Tidemark-As-Of");
    text_put(target,
             sizeof(target),
             "/v1/metrics/%s/values?limit=1&min_as_of=%.*s",
             metric,
             (int)token.len,
             token.len > 0 ? (const char *)token.data : "");
    return server_get(server, target, &response);
}

int bench_sql(struct server *server, const char *sql)
{
    return bench_say(server, "POST", "/v1/sql", sql);
}

int bench_figure(struct server *server, const char *name, double *value)
{
    struct http_client_response response;
    const struct http_client_request request = {.method = "GET", .target = "/metrics"};
    size_t len = strlen(name);
    int code = server_ask(server, &request, &response);
    *value = 0;
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct bytes rest = response.body;
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        size_t line = end == NULL ? rest.len : (size_t)(end - rest.data);
        if (line > len && memcmp(rest.data, name, len) == 0 && rest.data[len] == ' ') {
            char number[64];
            text_put(number,
                     sizeof(number),
                     "%.*s",
                     (int)(line - len - 1),
                     (const char *)rest.data + len + 1);
            *value = strtod(number, NULL);
            return EXIT_CODE_OK;
        }
        line += end == NULL ? 0 : 1;
        rest = bytes_slice(rest, line, rest.len - line);
    }
    return EXIT_CODE_OK;
}

int bench_command(const struct command *command)
{
    static const struct {
        const char *name;
        int (*run)(const struct command *command);
        size_t files;
    } parts[] = {
        {"gen", bench_gen, 1},
        {"j1", bench_j1, 1},
        {"open-loop", bench_open_loop, 0},
        {"singles", bench_singles, 0},
        {"groups", bench_groups, 0},
        {"overload", bench_overload, 0},
        {"timeouts", bench_timeouts, 0},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (command->argument_count > 0 && strcmp(command->arguments[0], parts[i].name) == 0) {
            if (command->argument_count != 1 + parts[i].files) {
                complain("bench %s takes %s",
                         parts[i].name,
                         parts[i].files == 1 ? "one FILE" : "no file");
                return EXIT_CODE_USAGE;
            }
            return parts[i].run(command);
        }
    }
    complain(
        "bench needs one of: gen FILE, j1 FILE, open-loop, singles, groups, overload, "
        "timeouts");
    note("`tidemark help bench` says more.\n");
    return EXIT_CODE_USAGE;
}
