/* The server as a whole: order, many connections, limits, ends. */
#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_US  1000000LL
#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: a\r\n"
#define NO_OPTIONS ((struct http_server_options){0})

static void a_response_has_a_date_a_length_and_no_server_field(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, GET("/x"));
    static const char expected[] =
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Content-Length: 10\r\n\r\nGET /x  a ";
    assert_int_equal(client.len, sizeof(expected) - 1);
    assert_memory_equal(client.in, expected, client.len);
    fixture_advance(&fixture, SECOND_US);
    client_say(&fixture, &client, GET("/x"));
    assert_true(client_received(&client, "Date: Sun, 06 Nov 1994 08:49:38 GMT"));
    client_close(&client);
    fixture_close(&fixture);
}

static void head_and_204_have_no_body(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(
        &fixture, &client, "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" GET("/empty") GET("/close"));
    client_await_close(&fixture, &client);
    static const char expected[] =
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 11\r\n\r\n"
        "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 14\r\n"
        "Connection: close\r\n\r\nGET /close  a ";
    assert_int_equal(client.len, sizeof(expected) - 1);
    assert_memory_equal(client.in, expected, client.len);
    client_close(&client);
    fixture_close(&fixture);
}

static void a_value_with_control_characters_begins_no_new_line(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, GET("/bad-field"));
    assert_true(client_received(&client, "X-Name: a  Set-Cookie: b\r\n"));
    client_close(&client);
    fixture_close(&fixture);
}

static void pipelined_requests_are_answered_in_one_send(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, ""); /* the connection is known to the loop */
    client_send(&fixture, &client, BYTES(GET("/1") GET("/2") GET("/3") GET("/4")));
    http_server_poll(fixture.server, 0);
    client_read(&client);
    assert_int_equal(client_responses(&client), 4);
    client_expect(&client, 0, 200, "GET /1  a ");
    client_expect(&client, 3, 200, "GET /4  a ");
    client_close(&client);
    fixture_close(&fixture);
}

static void requests_behind_one_that_waits_wait_too(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, GET("/async?1") GET("/2") GET("/async?3"));
    assert_int_equal(fixture.heads, 1);
    assert_int_equal(client.len, 0);
    assert_false(http_server_idle(fixture.server));
    client_say(&fixture, &client, GET("/4"));
    fixture_answer(&fixture);
    client_settle(&fixture, &client);
    assert_int_equal(fixture.heads, 3);
    assert_int_equal(client_responses(&client), 2);
    fixture_answer(&fixture);
    client_settle(&fixture, &client);
    assert_int_equal(client_responses(&client), 4);
    client_expect(&client, 0, 200, "GET /async 1 a ");
    client_expect(&client, 1, 200, "GET /2  a ");
    client_expect(&client, 2, 200, "GET /async 3 a ");
    client_expect(&client, 3, 200, "GET /4  a ");
    assert_true(http_server_idle(fixture.server));
    client_close(&client);
    fixture_close(&fixture);
}

static void answers_of_many_connections_do_not_mix(void **state)
{
    enum { CLIENTS = 40 };
    struct fixture fixture;
    struct client clients[CLIENTS];
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    for (int i = 0; i < CLIENTS; i++) {
        char request[128];
        clients[i] = client_pair(&fixture);
        (void)snprintf(request,
                       sizeof(request),
                       "POST /async?%d HTTP/1.1\r\nHost: h%d\r\nContent-Length: 2\r\n\r\n%02d",
                       i,
                       i,
                       i);
        client_say(&fixture, &clients[i], request);
    }
    for (int i = 0; i < CLIENTS; i++) {
        fixture_answer(&fixture);
    }
    for (int i = 0; i < CLIENTS; i++) {
        char body[128];
        (void)snprintf(body, sizeof(body), "POST /async %d h%d %02d", i, i, i);
        client_settle(&fixture, &clients[i]);
        client_expect(&clients[i], 0, 200, body);
        client_close(&clients[i]);
    }
    fixture_close(&fixture);
}

/* So that answers of the engine aren't kept by whoever asks after them. */
static void a_turn_ends_after_a_millisecond_and_the_next_goes_on(void **state)
{
    enum { CLIENTS = 3 };
    struct fixture fixture;
    struct client clients[CLIENTS];
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_pair(&fixture);
    }
    fixture_turn(&fixture);
    for (int i = 0; i < CLIENTS; i++) {
        const struct bytes request = BYTES(GET("/slow"));
        assert_int_equal(send(clients[i].fd, request.data, request.len, 0), request.len);
    }
    for (int i = 0; i < CLIENTS; i++) {
        http_server_poll(fixture.server, 0);
        assert_int_equal(fixture.heads, i + 1);
        assert_int_equal(http_server_behind(fixture.server), i + 1 < CLIENTS);
        for (int n = 0; n < CLIENTS; n++) {
            client_read(&clients[n]);
        }
        size_t answered = 0;
        for (int n = 0; n < CLIENTS; n++) {
            answered += client_responses(&clients[n]);
        }
        assert_int_equal(answered, i + 1);
    }
    for (int i = 0; i < CLIENTS; i++) {
        client_close(&clients[i]);
    }
    fixture_close(&fixture);
}

static void send_text(const struct client *client, const char *text)
{
    assert_int_equal(send(client->fd, text, strlen(text), 0), strlen(text));
}

/* A stop of the process between two turns that share a harvest: what came meanwhile is in time. */
static void a_process_that_stood_still_calls_nobody_late(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client busy[2] = {client_pair(&fixture), client_pair(&fixture)};
    struct client half = client_pair(&fixture);
    client_say(&fixture, &half, POST("/half") "Content-Length: 2\r\n\r\na");
    send_text(&busy[0], GET("/slow"));
    send_text(&busy[1], GET("/slow"));
    http_server_poll(fixture.server, 0);
    assert_true(http_server_behind(fixture.server));
    fixture.boot_us += 3600 * SECOND_US;
    send_text(&half, "b");
    client_settle(&fixture, &half);
    client_expect(&half, 0, 200, "POST /half  a ab");
    for (int i = 0; i < 2; i++) {
        client_read(&busy[i]);
        assert_int_equal(client_responses(&busy[i]), 1);
        client_close(&busy[i]);
    }
    client_close(&half);
    fixture_close(&fixture);
}

static void a_peer_that_closed_its_side_still_gets_its_answer(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = client_connect(&fixture);
    client_say(&fixture, &client, GET("/async"));
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    client_settle(&fixture, &client);
    assert_int_equal(fixture.gones, 0);
    fixture_answer(&fixture);
    client_await_close(&fixture, &client);
    assert_true(client.closed);
    assert_int_equal(client_responses(&client), 1);
    client_close(&client);
    fixture_close(&fixture);
}

static void an_end_that_comes_with_the_last_request_is_seen(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = client_connect(&fixture);
    client_send(&fixture, &client, BYTES(GET("/x")));
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    client_await_close(&fixture, &client);
    assert_true(client.closed);
    client_expect(&client, 0, 200, "GET /x  a ");
    client_close(&client);
    fixture_close(&fixture);
}

static void reset_connection(struct client *client)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
    client_close(client);
}

static void a_reset_makes_a_waiting_exchange_gone(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = client_connect(&fixture);
    client_say(&fixture, &client, GET("/async"));
    reset_connection(&client);
    fixture_turn(&fixture);
    assert_int_equal(fixture.gones, 1);
    assert_int_equal(http_server_connections(fixture.server), 0);
    fixture_close(&fixture);
}

static void a_reset_at_any_byte_ends_the_exchange_once_and_completes_nothing(void **state)
{
    static const char sized[] = POST("/x") "Content-Length: 10\r\n\r\n0123456789";
    static const char chunked[] =
        POST("/x") "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n";
    const char *texts[] = {sized, chunked};
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(texts[i]);
        for (size_t cut = 0; cut < len; cut++) {
            struct client client = client_connect(&fixture);
            uint32_t heads = fixture.heads;
            uint32_t gones = fixture.gones;
            uint32_t ends = fixture.ends;
            client_send(&fixture, &client, bytes_of(texts[i], cut));
            client_settle(&fixture, &client);
            reset_connection(&client);
            fixture_turn(&fixture);
            assert_int_equal(fixture.gones - gones, fixture.heads - heads);
            assert_int_equal(fixture.ends, ends);
            assert_int_equal(http_server_connections(fixture.server), 0);
        }
    }
    assert_true(fixture.gones > 0);
    fixture_close(&fixture);
}

static void the_connection_above_the_limit_is_told_so(void **state)
{
    struct fixture fixture;
    struct bytes body;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){.connections_max = 2}, true);
    struct client first = client_connect(&fixture);
    struct client second = client_connect(&fixture);
    struct client third = client_connect(&fixture);
    client_settle(&fixture, &third);
    assert_true(third.closed);
    assert_int_equal(client_response(&third, 0, &body), 503);
    assert_int_equal(http_server_connections(fixture.server), 2);
    client_say(&fixture, &first, GET("/x"));
    assert_int_equal(client_responses(&first), 1);
    client_close(&second);
    fixture_turn(&fixture);
    client_close(&third);
    third = client_connect(&fixture);
    client_say(&fixture, &third, GET("/x"));
    client_expect(&third, 0, 200, "GET /x  a ");
    client_close(&first);
    client_close(&third);
    fixture_close(&fixture);
}

static void accepting_pauses_when_descriptors_run_out(void **state)
{
    struct fixture fixture;
    struct rlimit before;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    /* So that the client's socket exists before there are none left. */
    struct client waiting[2];
    waiting[0] = client_connect(&fixture);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int spare = dup(0);
    int used = dup(0);
    (void)close(used);
    (void)close(spare);
    struct rlimit tight = {.rlim_cur = (rlim_t)spare + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    waiting[1] = client_connect(&fixture);
    assert_int_equal(http_server_connections(fixture.server), 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    fixture_turn(&fixture);
    assert_int_equal(http_server_connections(fixture.server), 1); /* it does not try again yet */
    fixture_advance(&fixture, SECOND_US / 10);
    fixture_turn(&fixture);
    assert_int_equal(http_server_connections(fixture.server), 2);
    client_say(&fixture, &waiting[1], GET("/x"));
    assert_int_equal(client_responses(&waiting[1]), 1);
    client_close(&waiting[0]);
    client_close(&waiting[1]);
    fixture_close(&fixture);
}

/* Descriptors for so many more than are open now, until it is undone. */
static struct rlimit descriptors_tighten(rlim_t more)
{
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = dup(0);
    (void)close(lowest);
    struct rlimit tight = {.rlim_cur = (rlim_t)lowest + more, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    return before;
}

static void a_server_of_several_leaves_the_others_their_share_of_descriptors(void **state)
{
    enum { SERVERS = 4, MORE = 160, CLIENTS = MORE / 4 };
    struct fixture greedy;
    struct fixture late;
    struct client clients[CLIENTS];
    (void)state;
    struct http_server_options options = {.servers = SERVERS};
    struct rlimit before = descriptors_tighten(MORE);
    fixture_open(&greedy, options, true);
    fixture_open(&late, options, true);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_connect(&greedy);
    }
    uint32_t kept = http_server_connections(greedy.server);
    assert_true(kept > 0);
    assert_true(kept <= MORE / SERVERS);
    assert_true(kept < CLIENTS);
    struct client guest = client_connect(&late);
    client_say(&late, &guest, GET("/x"));
    client_expect(&guest, 0, 200, "GET /x  a ");
    client_close(&guest);
    /* Its own idle ones give way, as they do in a server that is alone. */
    fixture_advance(&greedy, 2 * SECOND_US);
    guest = client_connect(&greedy);
    client_say(&greedy, &guest, GET("/x"));
    client_expect(&guest, 0, 200, "GET /x  a ");
    assert_int_equal(http_server_connections(greedy.server), kept);
    client_close(&guest);
    for (int i = 0; i < CLIENTS; i++) {
        client_close(&clients[i]);
    }
    fixture_close(&late);
    fixture_close(&greedy);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void after_stop_accepting_what_is_open_ends_well(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client idle = client_connect(&fixture);
    struct client busy = client_connect(&fixture);
    struct client half = client_connect(&fixture);
    client_say(&fixture, &busy, GET("/async"));
    client_say(&fixture, &half, "GET /x HTT");
    http_server_stop_accepting(fixture.server);
    client_await_close(&fixture, &idle);
    assert_true(idle.closed);
    assert_int_equal(idle.len, 0);
    assert_int_equal(http_server_connections(fixture.server), 2);
    assert_false(http_server_idle(fixture.server));
    fixture_answer(&fixture);
    client_await_close(&fixture, &busy);
    assert_true(client_received(&busy, "Connection: close\r\n"));
    client_say(&fixture, &half, "P/1.1\r\nHost: a\r\n\r\n");
    client_await_close(&fixture, &half);
    client_expect(&half, 0, 200, "GET /x  a ");
    assert_true(http_server_idle(fixture.server));
    assert_int_equal(http_server_connections(fixture.server), 0);
    client_close(&idle);
    client_close(&busy);
    client_close(&half);
    fixture_close(&fixture);
}

static void destroying_ends_what_waits(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = client_connect(&fixture);
    struct client other = client_connect(&fixture);
    client_say(&fixture, &client, GET("/async"));
    client_say(&fixture, &other, POST("/x") "Content-Length: 5\r\n\r\n12");
    fixture_close(&fixture);
    assert_int_equal(fixture.gones, 2);
    client_close(&client);
    client_close(&other);
}

static void queues_are_bounded_over_all_connections(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){.buffer_bytes_max = 8192}, false);
    struct client client = client_pair(&fixture);
    struct client other = client_pair(&fixture);
    client_say(&fixture, &client, "GET / HTTP/1.1\r\nX: ");
    client_say(&fixture, &other, "GET / HTTP/1.1\r\nX: ");
    struct client third = client_pair(&fixture);
    client_say(&fixture, &third, "GET / HTTP/1.1\r\nX: ");
    assert_true(third.closed || third.reset);
    assert_int_equal(http_server_connections(fixture.server), 2);
    client_close(&client);
    client_close(&other);
    client_close(&third);
    fixture_close(&fixture);
}

static void on_watch(void *ctx)
{
    uint64_t value = 0;
    int *fd = ctx;
    assert_int_equal(read(*fd, &value, sizeof(value)), sizeof(value));
    *fd = -1;
}

static void a_watched_descriptor_wakes_the_loop(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    int seen = fd;
    assert_true(fd >= 0);
    assert_true(http_server_watch(fixture.server, fd, on_watch, &seen));
    http_server_poll(fixture.server, -1);
    assert_int_equal(seen, -1);
    int more[HTTP_SERVER_WATCHES_MAX];
    for (int i = 1; i <= HTTP_SERVER_WATCHES_MAX; i++) {
        more[i - 1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        bool room = i < HTTP_SERVER_WATCHES_MAX;
        assert_int_equal(http_server_watch(fixture.server, more[i - 1], NULL, NULL), room);
    }
    fixture_close(&fixture);
    for (int i = 0; i < HTTP_SERVER_WATCHES_MAX; i++) {
        (void)close(more[i]);
    }
    (void)close(fd);
}

/* xorshift: tests need no more. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static const char *random_request(uint64_t *seed)
{
    static const char *requests[] = {
        GET("/x"),
        GET("/async"),
        GET("/large?70"),
        GET("/empty"),
        POST("/x") "Content-Length: 5\r\n\r\n01234",
        POST("/async") "Transfer-Encoding: chunked\r\n\r\n2\r\n01\r\n0\r\n\r\n",
        POST("/early") "Content-Length: 5\r\n\r\n01234",
        POST("/part") "Transfer-Encoding: chunked\r\n\r\n2\r\n01\r\n3\r\n234\r\n0\r\n\r\n",
        POST("/early-close") "Content-Length: 5\r\n\r\n01234",
        POST("/x") "Content-Length: 5\r\n\r\n01",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        GET("/close"),
    };
    /* The good ones more often than those that end the connection. */
    uint64_t kinds = next_random(seed) % 4 == 0 ? sizeof(requests) / sizeof(requests[0]) : 8;
    return requests[next_random(seed) % kinds];
}

static void any_mix_of_clients_keeps_the_invariants(void **state)
{
    enum { CLIENTS = 12, STEPS = 20000 };
    struct fixture fixture;
    struct client clients[CLIENTS] = {0};
    const char *rest[CLIENTS] = {0};
    uint64_t seed = 20240607;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    fixture_open(&fixture, NO_OPTIONS, false);
    for (int i = 0; i < STEPS; i++) {
        size_t n = (size_t)(next_random(&seed) % CLIENTS);
        struct client *client = &clients[n];
        if (client->in == NULL) {
            *client = client_pair(&fixture);
            rest[n] = "";
        }
        uint64_t choice = next_random(&seed) % 100;
        if (choice < 70) {
            rest[n] = *rest[n] == '\0' ? random_request(&seed) : rest[n];
            size_t len = strlen(rest[n]);
            size_t part = 1 + (size_t)(next_random(&seed) % len);
            ssize_t sent = send(client->fd, rest[n], part, MSG_NOSIGNAL | MSG_DONTWAIT);
            rest[n] += sent > 0 ? (size_t)sent : 0;
        } else if (choice < 80) {
            client_read(client);
            client->len = 0;
        } else if (choice < 92 && fixture.waiting != NULL) {
            fixture_answer(&fixture);
        } else if (choice < 93 || client->closed || client->reset) {
            client_close(client);
        } else if (choice < 94) {
            (void)shutdown(client->fd, SHUT_WR);
        } else if (choice == 99) {
            fixture_advance(&fixture, (int64_t)(next_random(&seed) % (2 * SECOND_US)));
        }
        http_server_poll(fixture.server, 0);
        http_server_validate(fixture.server);
    }
    print_message("%u heads, %u ends, %u gone\n", fixture.heads, fixture.ends, fixture.gones);
    assert_true(fixture.heads > 1000);
    assert_true(fixture.ends > 500);
    assert_true(fixture.gones > 10);
    fixture_close(&fixture);
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i].in != NULL) {
            client_close(&clients[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_has_a_date_a_length_and_no_server_field),
        cmocka_unit_test(head_and_204_have_no_body),
        cmocka_unit_test(a_value_with_control_characters_begins_no_new_line),
        cmocka_unit_test(pipelined_requests_are_answered_in_one_send),
        cmocka_unit_test(requests_behind_one_that_waits_wait_too),
        cmocka_unit_test(a_turn_ends_after_a_millisecond_and_the_next_goes_on),
        cmocka_unit_test(a_process_that_stood_still_calls_nobody_late),
        cmocka_unit_test(answers_of_many_connections_do_not_mix),
        cmocka_unit_test(a_peer_that_closed_its_side_still_gets_its_answer),
        cmocka_unit_test(an_end_that_comes_with_the_last_request_is_seen),
        cmocka_unit_test(a_reset_makes_a_waiting_exchange_gone),
        cmocka_unit_test(a_reset_at_any_byte_ends_the_exchange_once_and_completes_nothing),
        cmocka_unit_test(the_connection_above_the_limit_is_told_so),
        cmocka_unit_test(accepting_pauses_when_descriptors_run_out),
        cmocka_unit_test(a_server_of_several_leaves_the_others_their_share_of_descriptors),
        cmocka_unit_test(after_stop_accepting_what_is_open_ends_well),
        cmocka_unit_test(destroying_ends_what_waits),
        cmocka_unit_test(queues_are_bounded_over_all_connections),
        cmocka_unit_test(a_watched_descriptor_wakes_the_loop),
        cmocka_unit_test(any_mix_of_clients_keeps_the_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
