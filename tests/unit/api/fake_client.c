#include "fake_client.h"

#include "adapters/codec/codec.h"
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
respond(void *server, struct http_exchange *exchange, const struct http_response *response)
{
    struct fake_client *client = server;
    CHECK(exchange == &client->current.exchange);
    client->responses++;
    client->status = response->status;
    client->closed = response->close;
    CHECK(response->body.len < sizeof(client->body));
    if (response->body.len > 0) {
        memcpy(client->body, response->body.data, response->body.len);
    }
    client->body_len = response->body.len;
    client->body[response->body.len] = '\0';
    client->fields[0] = '\0';
    for (size_t i = 0; i < response->field_count; i++) {
        size_t used = strlen(client->fields);
        (void)snprintf(client->fields + used,
                       sizeof(client->fields) - used,
                       "%.*s: %.*s\n",
                       (int)response->fields[i].name.len,
                       (const char *)response->fields[i].name.data,
                       (int)response->fields[i].value.len,
                       (const char *)response->fields[i].value.data);
    }
    void (*hook)(struct fake_client *) = client->on_response;
    client->on_response = NULL;
    if (hook != NULL) {
        hook(client);
    }
}

static void on_pause(void *server, struct http_exchange *exchange)
{
    struct fake_client *client = server;
    CHECK(exchange == &client->current.exchange);
    CHECK(!client->paused);
    client->paused = true;
    client->pauses++;
}

static void on_resume(void *server, struct http_exchange *exchange)
{
    struct fake_client *client = server;
    CHECK(exchange == &client->current.exchange);
    CHECK(client->paused);
    client->paused = false;
}

static void
on_begin(void *server, struct http_exchange *exchange, const struct http_response *response)
{
    struct fake_client *client = server;
    CHECK(!client->streaming);
    respond(server, exchange, response);
    client->streaming = true;
}

static size_t on_push(void *server, struct http_exchange *exchange, struct bytes part)
{
    struct fake_client *client = server;
    CHECK(exchange == &client->current.exchange);
    CHECK(client->streaming);
    CHECK(part.len < sizeof(client->body) - client->body_len);
    if (part.len > 0) {
        memcpy(client->body + client->body_len, part.data, part.len);
        client->body_len += part.len;
        client->body[client->body_len] = '\0';
        client->pushes++;
    }
    return client->backlog;
}

static void on_end(void *server, struct http_exchange *exchange)
{
    struct fake_client *client = server;
    CHECK(exchange == &client->current.exchange);
    CHECK(client->streaming);
    client->streaming = false;
}

void fake_client_init(struct fake_client *client)
{
    static const struct http_server_ops ops = {
        .respond = respond,
        .pause = on_pause,
        .resume = on_resume,
        .begin = on_begin,
        .push = on_push,
        .end = on_end,
    };
    static const char *const hosts[] = {"tidemark.example:7070"};
    memset(client, 0, sizeof(*client));
    client->gateway = malloc(sizeof(*client->gateway));
    fake_gateway_init(client->gateway);
    const struct api_options options = {
        .gateway = client->gateway,
        .codec = codec_port(),
        .version = "1.2.3",
        .allowed_hosts = hosts,
        .allowed_host_count = 1,
    };
    client->api = api_create(&options);
    CHECK(client->api != NULL);
    api_bind(client->api, (struct http_server_port){&ops, client});
    client->handler = api_handler(client->api);
}

void fake_client_deinit(struct fake_client *client)
{
    (void)fake_gateway_deliver(client->gateway);
    CHECK(api_open_requests(client->api) == 0);
    api_destroy(client->api);
    fake_gateway_deinit(client->gateway);
    free(client->gateway);
}

static enum http_method method_of(const char *text)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], text) == 0) {
            return (enum http_method)i;
        }
    }
    return HTTP_OTHER;
}

static void fields_parse(struct exchange_text *text, const char *headers)
{
    struct http_request *request = &text->request;
    while (*headers != '\0') {
        const char *colon = strchr(headers, ':');
        const char *end = strchr(headers, '\n');
        CHECK(colon != NULL);
        CHECK(end != NULL);
        struct http_field field = {bytes_of(headers, (size_t)(colon - headers)),
                                   bytes_of(colon + 2, (size_t)(end - colon - 2))};
        text->fields[request->field_count++] = field;
        headers = end + 1;
    }
    request->fields = text->fields;
    struct bytes host = http_field_find(request, "Host");
    request->host = host.data != NULL ? host : BYTES("localhost:7070");
}

void fake_head(struct fake_client *client,
               const char *method,
               const char *target,
               const char *headers,
               const char *body,
               size_t body_len)
{
    struct exchange_text *text = &client->current;
    memset(text, 0, sizeof(*text));
    client->status = 0;
    client->paused = false;
    const char *question = strchr(target, '?');
    size_t path_len = question == NULL ? strlen(target) : (size_t)(question - target);
    text->request = (struct http_request){
        .method = method_of(method),
        .path = bytes_of(target, path_len),
        .query = question == NULL ? (struct bytes){0} : bytes_of_string(question + 1),
        .has_body = body != NULL,
        .length_known = body != NULL,
        .content_length = body_len,
    };
    fields_parse(text, headers);
    text->exchange = (struct http_exchange){.request = &text->request};
    client->handler.head(client->handler.ctx, &text->exchange);
}

void fake_body(struct fake_client *client, const void *part, size_t len)
{
    if (client->status == 0) {
        client->handler.body(client->handler.ctx, &client->current.exchange, bytes_of(part, len));
    }
}

void fake_end(struct fake_client *client)
{
    if (client->status == 0) {
        client->handler.end(client->handler.ctx, &client->current.exchange);
    }
}

void fake_gone(struct fake_client *client)
{
    if (client->status == 0 || client->streaming) {
        client->streaming = false;
        client->handler.gone(client->handler.ctx, &client->current.exchange);
    }
}

int fake_call(struct fake_client *client,
              const char *method,
              const char *target,
              const char *headers,
              const char *body)
{
    size_t len = body == NULL ? 0 : strlen(body);
    int before = client->responses;
    fake_head(client, method, target, headers, body, len);
    /* In two parts, so that nothing relies on getting the whole. */
    if (len > 1) {
        fake_body(client, body, len / 2);
        fake_body(client, body + len / 2, len - len / 2);
    } else if (len == 1) {
        fake_body(client, body, len);
    }
    fake_end(client);
    (void)fake_gateway_deliver(client->gateway);
    CHECK(client->responses == before + 1);
    return client->status;
}

bool fake_has(const struct fake_client *client, const char *text)
{
    return strstr(client->body, text) != NULL;
}

bool fake_field(const struct fake_client *client, const char *line)
{
    return strstr(client->fields, line) != NULL;
}
