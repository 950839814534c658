/* Responses without an end: begun, pushed part by part, ended or left. */
#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define ASYNC      "GET /async HTTP/1.1\r\nHost: a\r\n\r\n"
#define NO_OPTIONS ((struct http_server_options){0})

static void parts_arrive_as_they_are_pushed_and_the_end_closes(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, ASYNC ASYNC);
    fixture_stream_begin(&fixture);
    client_settle(&fixture, &client);
    static const char head[] =
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Content-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    assert_int_equal(client.len, sizeof(head) - 1);
    assert_memory_equal(client.in, head, client.len);
    assert_int_equal(fixture_stream_push(&fixture, BYTES("one ")), 4);
    client_settle(&fixture, &client);
    assert_int_equal(fixture_stream_push(&fixture, (struct bytes){0}), 0);
    assert_true(client_received(&client, "\r\n\r\none "));
    (void)fixture_stream_push(&fixture, BYTES("two"));
    fixture_stream_end(&fixture);
    client_await_close(&fixture, &client);
    assert_true(client_received(&client, "\r\n\r\none two"));
    assert_int_equal(fixture.heads, 1); /* what was pipelined behind it is not begun */
    assert_int_equal(fixture.gones, 0);
    client_close(&client);
    fixture_close(&fixture);
}

static void a_peer_that_closes_ends_the_stream(void **state)
{
    struct fixture fixture;
    (void)state;
    for (int half = 0; half < 2; half++) {
        fixture_open(&fixture, NO_OPTIONS, false);
        struct client client = client_pair(&fixture);
        client_say(&fixture, &client, ASYNC);
        fixture_stream_begin(&fixture);
        client_settle(&fixture, &client);
        assert_int_equal(fixture.gones, 0);
        assert_int_equal(shutdown(client.fd, half ? SHUT_WR : SHUT_RDWR), 0);
        fixture_turn(&fixture);
        assert_int_equal(fixture.gones, 1);
        assert_int_equal(http_server_connections(fixture.server), 0);
        client_close(&client);
        fixture_close(&fixture);
    }
}

static void a_reader_that_lets_too_much_wait_is_dropped(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){.out_bytes_max = 64 * 1024}, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, ASYNC);
    fixture_stream_begin(&fixture);
    static uint8_t part[8192];
    size_t waiting = 0;
    int pushes = 0;
    memset(part, 'x', sizeof(part));
    while (fixture.gones == 0 && pushes < 10000) {
        size_t now = fixture_stream_push(&fixture, bytes_of(part, sizeof(part)));
        assert_true(now <= 64 * 1024 + sizeof(part));
        waiting = now > waiting ? now : waiting;
        fixture_turn(&fixture);
        pushes++;
    }
    assert_int_equal(fixture.gones, 1);
    assert_true(waiting > 32 * 1024); /* it could be seen before */
    client_close(&client);
    fixture_close(&fixture);
}

static void destroying_the_server_ends_streams(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, ASYNC);
    fixture_stream_begin(&fixture);
    assert_false(http_server_idle(fixture.server));
    fixture_close(&fixture);
    assert_int_equal(fixture.gones, 1);
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_arrive_as_they_are_pushed_and_the_end_closes),
        cmocka_unit_test(a_peer_that_closes_ends_the_stream),
        cmocka_unit_test(a_reader_that_lets_too_much_wait_is_dropped),
        cmocka_unit_test(destroying_the_server_ends_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
