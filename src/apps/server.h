/* A server to talk to: one connection, and its problems in people's words. */
#pragma once

#include "adapters/http_client/http_client.h"
#include "apps/commands.h"

struct server {
    struct http_client *client;
    struct http_url url;
};

/* From --url and --timeout. 0, or the exit code after the complaint. */
int server_open(struct server *server, const struct settings *settings) MUST_CHECK;
void server_close(struct server *server);

/* Sends it and waits for the answer. 0 when there is one, of whatever status; else the exit code
 * after the complaint. */
int server_ask(struct server *server,
               const struct http_client_request *request,
               struct http_client_response *response) MUST_CHECK;

/* GET that must be answered with 200 and JSON; a refusal is said. */
int server_get(struct server *server,
               const char *target,
               struct http_client_response *response) MUST_CHECK;

/* Says what a response of status >= 400 says: title, detail, hint. Returns the exit code. `sql`:
 * the text that line and column belong to; data NULL: none. */
int problem_complain(const struct http_client_response *response, struct bytes sql);

/* The exit code that a response of status >= 400 ends with. */
int problem_exit_code(int status);
