/* A server, its clients and a handler that does as the path says, all on the test's one thread and
 * under a clock that the test moves. */
#pragma once

#include "adapters/http_server/http_server.h"

#define FIXTURE_OUT_BYTES (4 * 1024 * 1024)

/* What the handler keeps of one exchange. */
struct fixture_call {
    struct fixture_call *next; /* of those that wait */
    struct http_exchange *exchange;
    uint8_t *body;
    size_t body_len;
    bool responded;
    bool gone;
};

struct fixture {
    struct http_server *server;
    struct http_server_port port;
    struct http_handler handler;
    int64_t boot_us;
    int64_t wall_us;
    uint16_t tcp_port;
    struct fixture_call *waiting; /* newest first: "/async" */
    uint32_t heads;
    uint32_t ends;
    uint32_t gones;
    uint32_t parts;
    uint64_t body_bytes;
    struct http_exchange *paused; /* the last that paused */
};

/* A client's side of a connection, with all that it received. */
struct client {
    int fd;
    uint8_t *in;
    size_t len;
    size_t cap;  /* up to FIXTURE_OUT_BYTES */
    bool closed; /* by the server, in order */
    bool reset;
};

/* Options: handler, clock, listen_fds are filled in. listening: on a loopback port. */
void fixture_open(struct fixture *fixture, struct http_server_options options, bool listening);
void fixture_close(struct fixture *fixture);

/* Some turns of the loop that wait for nothing, with all invariants checked after each. */
void fixture_turn(struct fixture *fixture);

void fixture_advance(struct fixture *fixture, int64_t us);

/* Through a pair of sockets, or over loopback. */
struct client client_pair(struct fixture *fixture);
struct client client_connect(struct fixture *fixture);
void client_close(struct client *client);

/* Sends all of it; turns the loop while the socket is full. */
void client_send(struct fixture *fixture, struct client *client, struct bytes bytes);

/* Reads what is there. */
void client_read(struct client *client);

/* Turns and reads until nothing more comes without waiting: enough for what is small or goes
 * through a pair of sockets; over loopback the kernel may take its time with much. */
void client_settle(struct fixture *fixture, struct client *client);

/* Turns and reads until the server closed, for some seconds at most. */
void client_await_close(struct fixture *fixture, struct client *client);

/* Turns and reads until so many final responses came, for some seconds at most. */
void client_await_responses(struct fixture *fixture, struct client *client, size_t count);

/* The status of the n-th final response received (0: the first), or 0. Fills in its body. */
int client_response(const struct client *client, size_t n, struct bytes *body);

/* How many complete final responses came. */
size_t client_responses(const struct client *client);

/* Sends the text and settles. */
void client_say(struct fixture *fixture, struct client *client, const char *text);

/* Whether the text stands anywhere in what was received. */
bool client_received(const struct client *client, const char *text);

/* Asserts that the n-th final response has this status and this body. */
void client_expect(const struct client *client, size_t n, int status, const char *body);

/* Begins a response without an end for the only exchange that waits, pushes text, ends it. */
void fixture_stream_begin(struct fixture *fixture);
size_t fixture_stream_push(struct fixture *fixture, struct bytes part);
void fixture_stream_end(struct fixture *fixture);

/* Responds to the oldest exchange that waits. */
void fixture_answer(struct fixture *fixture);
