/* A client and its server in one, without sockets: requests as text, responses kept. */
#pragma once

#include "api/api.h"
#include "fake_gateway.h"

struct exchange_text {
    struct http_request request;
    struct http_field fields[HTTP_FIELDS_MAX];
    struct http_exchange exchange;
};

struct fake_client {
    struct gateway *gateway;
    struct api *api;
    struct http_handler handler;
    struct exchange_text current;
    int responses;
    int status; /* of the response last given; 0: none */
    bool closed;
    bool paused;
    uint32_t pauses;
    bool streaming; /* a response was begun and not ended; `body` is what was pushed so far */
    uint32_t pushes;
    size_t backlog; /* how much waits for the peer, as pushes are told */
    void (*on_response)(struct fake_client *client); /* called once, inside the next response */
    char body[1 << 24];
    size_t body_len;
    char fields[2048]; /* "Name: value\n" each */
};

void fake_client_init(struct fake_client *client);
void fake_client_deinit(struct fake_client *client);

/* The parts of an exchange. target: path and query. headers: "Name: value\n..." or "". */
void fake_head(struct fake_client *client,
               const char *method,
               const char *target,
               const char *headers,
               const char *body,
               size_t body_len);
void fake_body(struct fake_client *client, const void *part, size_t len);
void fake_end(struct fake_client *client);
void fake_gone(struct fake_client *client);

/* A whole exchange, the engine answering: returns the status. Host is localhost unless given. */
int fake_call(struct fake_client *client,
              const char *method,
              const char *target,
              const char *headers,
              const char *body);

/* Of the last response. */
bool fake_has(const struct fake_client *client, const char *text);   /* in its body */
bool fake_field(const struct fake_client *client, const char *line); /* "Name: value" */
