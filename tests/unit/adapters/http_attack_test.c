/* Clients that mean harm: they dawdle, take next to nothing, crowd the server out. Under a clock
 * that the test moves, so that nothing here waits. */
#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#define SECOND_US      1000000LL
#define GET(path)      "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST_OF(count) "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: " count "\r\n"
#define NO_OPTIONS     ((struct http_server_options){0})
#define CLIENTS_MAX    64

static struct client connect_and_say(struct fixture *fixture, const char *text)
{
    struct client client = client_connect(fixture);
    client_say(fixture, &client, text);
    return client;
}

/* Takes up to len bytes that wait for the client, and forgets them. */
static size_t take(struct client *client, size_t len)
{
    uint8_t space[4096];
    ssize_t got = recv(client->fd, space, len < sizeof(space) ? len : sizeof(space), MSG_DONTWAIT);
    return got > 0 ? (size_t)got : 0;
}

static void a_body_that_was_announced_and_never_comes_is_a_timeout(void **state)
{
    struct fixture fixture;
    struct bytes body;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = connect_and_say(&fixture, POST_OF("5") "Expect: 100-continue\r\n\r\n");
    assert_true(client_received(&client, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(client_responses(&client), 0);
    fixture_advance(&fixture, 11 * SECOND_US);
    client_await_close(&fixture, &client);
    assert_int_equal(client_response(&client, 0, &body), 408);
    assert_true(client.closed);
    assert_int_equal(fixture.gones, 1);
    assert_int_equal(fixture.ends, 0);
    client_close(&client);
    fixture_close(&fixture);
}

/* One byte each second keeps no head and no body alive. */
static void drip(const char *begin, const char *rest, int seconds_max, int status)
{
    struct fixture fixture;
    struct bytes body;
    int seconds = 0;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = connect_and_say(&fixture, begin);
    for (size_t i = 0; client_responses(&client) == 0 && seconds <= seconds_max; i++, seconds++) {
        client_send(&fixture, &client, bytes_of(rest + i % strlen(rest), 1));
        fixture_advance(&fixture, SECOND_US);
        client_settle(&fixture, &client);
    }
    assert_true(seconds <= seconds_max);
    client_await_close(&fixture, &client);
    assert_int_equal(client_response(&client, 0, &body), status);
    assert_true(client.closed);
    client_close(&client);
    fixture_turn(&fixture);
    assert_int_equal(http_server_connections(fixture.server), 0);
    fixture_close(&fixture);
}

static void requests_that_drip_are_given_up(void **state)
{
    (void)state;
    drip("GET / HTT", "P/1.1", 12, 408);
    drip("GET / HTTP/1.1\r\n", "X: y\r\n", 12, 408);
    drip("\r\n", "GET / HTTP/1.1\r\n", 12, 408);
    drip(POST_OF("100000") "\r\n", "body", 12, 408);
    drip(
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 12, 408);
    drip("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
         "X: y\r\n",
         12,
         408);
}

static void a_body_at_its_least_rate_is_served(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = connect_and_say(&fixture, POST_OF("60000") "\r\n");
    static uint8_t kilobyte[1000];
    memset(kilobyte, 'x', sizeof(kilobyte));
    for (int i = 0; i < 60; i++) {
        assert_int_equal(client_responses(&client), 0);
        client_send(&fixture, &client, bytes_of(kilobyte, sizeof(kilobyte)));
        fixture_turn(&fixture);
        fixture_advance(&fixture, i < 59 ? SECOND_US : 0);
    }
    client_await_responses(&fixture, &client, 1);
    struct bytes body;
    assert_int_equal(client_response(&client, 0, &body), 200);
    client_close(&client);
    fixture_close(&fixture);
}

/* A client whose socket takes little, and that has asked for much. */
static struct client slow_reader(struct fixture *fixture, int receive_bytes)
{
    struct client client = client_connect(fixture);
    assert_int_equal(
        setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes)), 0);
    for (int i = 0; i < 20; i++) {
        client_send(fixture, &client, bytes_of_string(GET("/large?900")));
    }
    fixture_turn(fixture);
    return client;
}

/* How long a client is served that takes so many bytes each second. */
static int seconds_served(size_t taken_per_second)
{
    struct fixture fixture;
    int seconds = 0;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = slow_reader(&fixture, 4096);
    while (http_server_connections(fixture.server) == 1 && seconds < 200) {
        (void)take(&client, taken_per_second);
        (void)usleep(1000); /* of the kernel's time, to move what was made room for */
        fixture_advance(&fixture, SECOND_US);
        seconds++;
    }
    client_close(&client);
    fixture_close(&fixture);
    return seconds;
}

static void a_reader_of_less_than_a_kilobyte_a_second_is_dropped(void **state)
{
    static const size_t rates[] = {1, 10, 100, 300, 500};
    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        int seconds = seconds_served(rates[i]);
        assert_true(seconds >= 29);
        assert_true(seconds <= 62);
    }
}

static void a_reader_that_is_slow_but_reads_is_kept(void **state)
{
    struct fixture fixture;
    size_t taken = 0;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = slow_reader(&fixture, 65536);
    for (int seconds = 0; seconds < 200; seconds++) {
        taken += take(&client, 4096);
        (void)usleep(1000);
        fixture_turn(&fixture);
        fixture_advance(&fixture, SECOND_US);
        assert_int_equal(http_server_connections(fixture.server), 1);
    }
    assert_true(taken > 200 * 1000);
    client_close(&client);
    fixture_close(&fixture);
}

static void a_head_request_is_refused_without_content(void **state)
{
    static const char *const texts[] = {
        "HEAD / HTTP/1.1\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n",
        "HEAD /# HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct client client = connect_and_say(&fixture, texts[i]);
        client_await_close(&fixture, &client);
        assert_true(client.len > 4);
        assert_memory_equal(client.in, "HTTP/1.1 400 ", 13);
        assert_memory_equal(client.in + client.len - 4, "\r\n\r\n", 4);
        const uint8_t *end = memmem(client.in, client.len, "\r\n\r\n", 4);
        assert_ptr_equal(end, client.in + client.len - 4);
        client_close(&client);
    }
    fixture_close(&fixture);
}

static void the_longest_idle_makes_room_for_the_newest(void **state)
{
    struct fixture fixture;
    struct bytes body;
    struct client idle[4];
    (void)state;
    fixture_open(&fixture, (struct http_server_options){.connections_max = 4}, true);
    for (size_t i = 0; i < 4; i++) {
        idle[i] = client_connect(&fixture);
        fixture_advance(&fixture, SECOND_US);
    }
    client_say(&fixture, &idle[0], GET("/x")); /* so the second is the longest idle */
    struct client fresh = connect_and_say(&fixture, GET("/fresh"));
    assert_int_equal(client_response(&fresh, 0, &body), 200);
    client_await_close(&fixture, &idle[1]);
    assert_true(idle[1].closed);
    assert_int_equal(http_server_connections(fixture.server), 4);
    client_say(&fixture, &idle[0], GET("/x"));
    assert_int_equal(client_responses(&idle[0]), 2);
    client_close(&fresh);
    for (size_t i = 0; i < 4; i++) {
        client_close(&idle[i]);
    }
    fixture_close(&fixture);
}

static void a_connection_at_work_never_makes_room(void **state)
{
    struct fixture fixture;
    struct bytes body;
    struct client busy[3];
    (void)state;
    fixture_open(&fixture, (struct http_server_options){.connections_max = 3}, true);
    busy[0] = connect_and_say(&fixture, GET("/async"));
    busy[1] = connect_and_say(&fixture, POST_OF("5") "\r\nab");
    busy[2] = connect_and_say(&fixture, "GET / HT");
    fixture_advance(&fixture, 5 * SECOND_US);
    struct client fresh = connect_and_say(&fixture, GET("/fresh"));
    client_await_close(&fixture, &fresh);
    assert_int_equal(client_response(&fresh, 0, &body), 503);
    fixture_answer(&fixture);
    client_say(&fixture, &busy[0], "");
    client_say(&fixture, &busy[1], "cde");
    client_say(&fixture, &busy[2], "TP/1.1\r\nHost: a\r\n\r\n");
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(client_response(&busy[i], 0, &body), 200);
        client_close(&busy[i]);
    }
    client_close(&fresh);
    fixture_close(&fixture);
}

/* The server's side of a connection, by its own port. */
static bool is_of_server(const struct fixture *fixture, int fd)
{
    struct sockaddr_in own = {0};
    socklen_t len = sizeof(own);
    return getsockname(fd, (struct sockaddr *)(void *)&own, &len) == 0 &&
           own.sin_family == AF_INET && ntohs(own.sin_port) == fixture->tcp_port;
}

static void a_flood_leaves_descriptors_for_files(void **state)
{
    struct fixture fixture;
    struct rlimit before;
    struct client crowd[CLIENTS_MAX];
    size_t gave_way = 0;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit tight = {.rlim_cur = 100, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    fixture_open(&fixture, NO_OPTIONS, true);
    /* The clients are in this process too: they may have more. */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        crowd[i] = client_connect(&fixture);
        client_send(&fixture, &crowd[i], bytes_of_string(i % 2 == 0 ? GET("/async") : ""));
        fixture_turn(&fixture);
        for (int fd = 75; fd < 1000; fd++) {
            assert_false(is_of_server(&fixture, fd));
        }
        fixture_advance(&fixture, i % 4 == 3 ? SECOND_US : 0);
    }
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        client_settle(&fixture, &crowd[i]);
        gave_way += crowd[i].closed;
    }
    assert_true(gave_way > 0);
    assert_true(http_server_connections(fixture.server) > 10);
    while (fixture.waiting != NULL) {
        fixture_answer(&fixture);
    }
    fixture_turn(&fixture);
    struct client fresh = client_connect(&fixture);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        client_close(&crowd[i]);
    }
    client_close(&fresh);
    fixture_turn(&fixture);
    fresh = connect_and_say(&fixture, GET("/fresh"));
    assert_int_equal(client_responses(&fresh), 1);
    client_close(&fresh);
    fixture_close(&fixture);
}

/* Resets in the middle of everything, thousands of them, and then a good client. */
static void a_thousand_resets_leave_nothing_behind(void **state)
{
    static const char text[] =
        POST_OF("5") "\r\nabcde" GET("/large?100") GET("/async") POST_OF("50") "\r\n01234";
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    for (size_t round = 0; round < 1000; round++) {
        struct client client = client_connect(&fixture);
        client_send(&fixture, &client, bytes_of(text, round % sizeof(text)));
        if (round % 3 != 0) {
            fixture_turn(&fixture);
        }
        (void)setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
        client_close(&client);
        fixture_turn(&fixture);
    }
    for (int i = 0; i < 100 && http_server_connections(fixture.server) > 0; i++) {
        (void)usleep(1000);
        fixture_turn(&fixture);
    }
    assert_int_equal(http_server_connections(fixture.server), 0);
    assert_null(fixture.waiting);
    struct client good = connect_and_say(&fixture, GET("/good"));
    assert_int_equal(client_responses(&good), 1);
    client_close(&good);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_was_announced_and_never_comes_is_a_timeout),
        cmocka_unit_test(requests_that_drip_are_given_up),
        cmocka_unit_test(a_body_at_its_least_rate_is_served),
        cmocka_unit_test(a_reader_of_less_than_a_kilobyte_a_second_is_dropped),
        cmocka_unit_test(a_reader_that_is_slow_but_reads_is_kept),
        cmocka_unit_test(a_head_request_is_refused_without_content),
        cmocka_unit_test(the_longest_idle_makes_room_for_the_newest),
        cmocka_unit_test(a_connection_at_work_never_makes_room),
        cmocka_unit_test(a_flood_leaves_descriptors_for_files),
        cmocka_unit_test(a_thousand_resets_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
