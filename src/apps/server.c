/* Talking to a server: see server.h. */
#include "apps/server.h"

#include "apps/answer_json.h"
#include "apps/say.h"

#include <string.h>

#define PROBLEM_TEXT_MAX 600

int server_open(struct server *server, const struct settings *settings)
{
    struct error error;
    *server = (struct server){0};
    if (http_url_parse(setting_text(settings, OPTION_URL), &server->url, &error) != OK) {
        complain("--url: %s", error.text);
        return EXIT_CODE_USAGE;
    }
    server->client = http_client_create(&server->url, setting_number(settings, OPTION_TIMEOUT));
    if (server->client == NULL) {
        complain("there is no memory left");
        return EXIT_CODE_NO_MEMORY;
    }
    return EXIT_CODE_OK;
}

void server_close(struct server *server)
{
    http_client_destroy(server->client);
    server->client = NULL;
}

int server_ask(struct server *server,
               const struct http_client_request *request,
               struct http_client_response *response)
{
    enum err err = http_client_exchange(server->client, request, response);
    if (err == OK) {
        return EXIT_CODE_OK;
    }
    complain("%s", http_client_error(server->client));
    if (err == ERR_UNAVAILABLE) {
        note("Is a server running there? `tidemark serve` starts one.\n");
    }
    return EXIT_CODE_UNREACHABLE;
}

int server_get(struct server *server, const char *target, struct http_client_response *response)
{
    const struct http_client_request request = {.method = "GET", .target = target};
    int code = server_ask(server, &request, response);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (response->status != 200) {
        return problem_complain(response, (struct bytes){0});
    }
    if (!json_text_valid(response->body)) {
        complain(
            "%s:%s answered with something that is not JSON", server->url.host, server->url.port);
        return EXIT_CODE_UNREACHABLE;
    }
    return EXIT_CODE_OK;
}

/* Line number `number` of a text; empty when there is none. */
static struct bytes text_line(struct bytes text, int64_t number)
{
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.data);
        if (number-- == 1) {
            return bytes_slice(text, 0, len);
        }
        len += end == NULL ? 0 : 1;
        text = bytes_slice(text, len, text.len - len);
    }
    return (struct bytes){0};
}

/*     3 | FROM TUMBEL(events, time, INTERVAL '1 hour')
 *       |      ^ */
static void caret_print(struct bytes sql, int64_t line_number, int64_t column)
{
    struct bytes line = text_line(sql, line_number);
    if (line.len == 0 || column < 1 || (uint64_t)column > line.len + 1) {
        return;
    }
    note("%5lld | %.*s\n      | ", (long long)line_number, (int)line.len, (const char *)line.data);
    for (size_t i = 0; i + 1 < (size_t)column; i++) {
        /* Tabs stay tabs, and the later bytes of a character take no place. */
        bool later = (line.data[i] & 0xc0) == 0x80;
        note("%s", line.data[i] == '\t' ? "\t" : later ? "" : " ");
    }
    note("^\n");
}

int problem_exit_code(int status)
{
    return status == 429 || status >= 500 ? EXIT_CODE_UNREACHABLE : EXIT_CODE_REFUSED;
}

int problem_complain(const struct http_client_response *response, struct bytes sql)
{
    char title[PROBLEM_TEXT_MAX];
    char detail[PROBLEM_TEXT_MAX];
    char hint[PROBLEM_TEXT_MAX];
    char member[PROBLEM_TEXT_MAX];
    struct bytes body = response->body;
    if (!json_text_valid(body)) {
        complain("the server answered with status %d", response->status);
        return problem_exit_code(response->status);
    }
    json_member_text(body, "title", title, sizeof(title));
    json_member_text(body, "detail", detail, sizeof(detail));
    json_member_text(body, "hint", hint, sizeof(hint));
    json_member_text(body, "member", member, sizeof(member));
    /* "it is processing or event" says little before one knows what. */
    complain("%s%s%s%s%s",
             member,
             member[0] != '\0' ? ": " : "",
             detail[0] != '\0' ? "" : title,
             detail,
             title[0] == '\0' && detail[0] == '\0' ? "the server refused" : "");
    caret_print(sql, json_member_number(body, "line", 0), json_member_number(body, "column", 0));
    if (hint[0] != '\0') {
        note("Hint: %s\n", hint);
    }
    return problem_exit_code(response->status);
}
