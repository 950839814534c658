/* One connection: early answers, back-pressure both ways, deadlines. */
#include "http_fixture.h"

#include "adapters/http_server/http_connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SECOND_US  1000000LL
#define GET(path)  "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: a\r\n"
#define NO_OPTIONS ((struct http_server_options){0})

static void a_client_that_expects_100_is_told_to_continue(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, POST("/x") "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(client.len, strlen("HTTP/1.1 100 Continue\r\n\r\n"));
    assert_memory_equal(client.in, "HTTP/1.1 100 Continue\r\n\r\n", client.len);
    client_say(&fixture, &client, "ab");
    client_expect(&client, 0, 200, "POST /x  a ab");
    assert_false(client.closed);
    /* One that did not wait needs no 100. */
    size_t before = client.len;
    client_say(&fixture, &client, POST("/x") "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab");
    assert_memory_equal(client.in + before, "HTTP/1.1 200", 12);
    /* One that is refused must not be taken up on a body it may not send: the connection ends. */
    client_say(
        &fixture, &client, POST("/early") "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    client_await_close(&fixture, &client);
    assert_true(client.closed);
    client_expect(&client, 2, 413, "early");
    client_close(&client);
    fixture_close(&fixture);
}

static void an_early_answer_keeps_the_connection_when_little_is_left(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, POST("/early") "Content-Length: 10\r\n\r\n");
    client_expect(&client, 0, 413, "early");
    client_say(&fixture, &client, "0123456789" GET("/next"));
    client_expect(&client, 1, 200, "GET /next  a ");
    assert_int_equal(fixture.parts, 0);
    client_say(&fixture, &client, POST("/part") "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    client_expect(&client, 2, 400, "part");
    client_say(&fixture, &client, "3\r\nyyy\r\n0\r\n\r\n" GET("/next"));
    client_expect(&client, 3, 200, "GET /next  a ");
    assert_int_equal(fixture.parts, 1);
    client_close(&client);
    fixture_close(&fixture);
}

static void an_early_answer_to_a_large_body_ends_the_connection(void **state)
{
    static uint8_t data[1000];
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    memset(data, 'x', sizeof(data));
    struct client client = client_connect(&fixture);
    client_say(&fixture, &client, POST("/early") "Content-Length: 100000000\r\n\r\n");
    for (int i = 0; i < 50; i++) {
        client_send(&fixture, &client, bytes_of(data, sizeof(data)));
        client_settle(&fixture, &client);
    }
    client_await_close(&fixture, &client);
    assert_true(client.closed); /* its side; it reads on for a while */
    assert_true(client_received(&client, "Connection: close\r\n"));
    client_expect(&client, 0, 413, "early");
    assert_int_equal(http_server_connections(fixture.server), 1);
    fixture_advance(&fixture, 3 * SECOND_US);
    assert_int_equal(http_server_connections(fixture.server), 0);
    client_close(&client);
    /* Chunked, so that nobody knows how much will come. */
    client = client_connect(&fixture);
    client_say(&fixture, &client, POST("/early") "Transfer-Encoding: chunked\r\n\r\n");
    static uint8_t much[0x10000];
    for (int i = 0; i < 300 && !client.closed; i++) { /* 19 MiB */
        client_send(&fixture, &client, BYTES("10000\r\n"));
        client_send(&fixture, &client, bytes_of(much, sizeof(much)));
        client_send(&fixture, &client, BYTES("\r\n"));
        client_settle(&fixture, &client);
    }
    client_await_close(&fixture, &client);
    assert_true(client.closed);
    client_expect(&client, 0, 413, "early");
    assert_int_equal(fixture.parts, 0);
    client_close(&client);
    fixture_close(&fixture);
}

static void a_paused_body_is_not_read(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture,
              &client,
              POST("/pause") "Transfer-Encoding: chunked\r\n\r\n"
                             "1\r\na\r\n1\r\nb\r\n0\r\n\r\n" GET("/next"));
    assert_int_equal(fixture.parts, 1);
    assert_non_null(fixture.paused);
    fixture_advance(&fixture, 3600 * SECOND_US); /* no deadline runs */
    assert_int_equal(fixture.parts, 1);
    struct http_exchange *exchange = fixture.paused;
    fixture.paused = NULL;
    fixture.port.ops->resume(fixture.port.server, exchange);
    client_settle(&fixture, &client);
    assert_int_equal(fixture.parts, 2);
    client_expect(&client, 0, 200, "POST /pause  a ab");
    client_expect(&client, 1, 200, "GET /next  a ");
    client_close(&client);
    fixture_close(&fixture);
}

static void a_paused_upload_holds_back_its_sender(void **state)
{
    static uint8_t data[8 * 1024 * 1024];
    struct fixture fixture;
    size_t sent = 0;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = client_connect(&fixture);
    client_say(&fixture, &client, POST("/pause") "Content-Length: 8388608\r\n\r\n");
    for (int i = 0; i < 100; i++) {
        ssize_t step = send(client.fd, data + sent, sizeof(data) - sent, MSG_DONTWAIT);
        sent += step > 0 ? (size_t)step : 0;
        fixture_turn(&fixture);
    }
    assert_true(sent < sizeof(data));
    assert_true(fixture.body_bytes <= HTTP_READ_BODY_BYTES);
    struct http_exchange *exchange = fixture.paused;
    fixture.paused = NULL;
    fixture.port.ops->resume(fixture.port.server, exchange);
    client_send(&fixture, &client, bytes_of(data + sent, sizeof(data) - sent));
    client_await_responses(&fixture, &client, 1);
    assert_int_equal(fixture.body_bytes, sizeof(data));
    client_close(&client);
    fixture_close(&fixture);
}

static void a_large_response_reaches_a_reader_that_reads(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, true);
    struct client client = client_connect(&fixture);
    client_say(&fixture, &client, GET("/large?900") GET("/large?20") GET("/large?900"));
    client_await_responses(&fixture, &client, 3);
    client_close(&client);
    fixture_close(&fixture);
}

static void a_reader_too_slow_for_what_it_asked_is_dropped(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){.out_bytes_max = 100000}, false);
    struct client client = client_pair(&fixture);
    client_send(&fixture, &client, BYTES(GET("/large?3000")));
    fixture_turn(&fixture);
    assert_int_equal(http_server_connections(fixture.server), 0);
    client_settle(&fixture, &client);
    assert_true(client.closed || client.reset);
    client_close(&client);
    fixture_close(&fixture);
}

static void a_client_that_reads_nothing_is_not_served_ahead(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    for (int i = 0; i < 100; i++) {
        client_send(&fixture, &client, BYTES(GET("/large?60")));
        fixture_turn(&fixture);
    }
    assert_true(fixture.heads < 50);
    /* Then it reads, and everything comes, in order. */
    while (client_responses(&client) < 50) {
        size_t before = client.len;
        client_settle(&fixture, &client);
        assert_true(client.len > before);
    }
    client_close(&client);
    fixture_close(&fixture);
}

static void a_client_that_takes_nothing_for_30_seconds_is_dropped(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_send(&fixture, &client, BYTES(GET("/large?900")));
    fixture_turn(&fixture);
    fixture_advance(&fixture, 29 * SECOND_US);
    assert_int_equal(http_server_connections(fixture.server), 1);
    fixture_advance(&fixture, 2 * SECOND_US);
    assert_int_equal(http_server_connections(fixture.server), 0);
    client_close(&client);
    fixture_close(&fixture);
}

static void a_head_must_come_within_10_seconds(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    fixture_advance(&fixture, 20 * SECOND_US); /* nothing of it came yet: idle */
    for (int i = 0; i < 9; i++) {
        client_say(&fixture, &client, i == 0 ? "GET / HTTP/1.1\r\n" : "X: y\r\n");
        fixture_advance(&fixture, SECOND_US);
    }
    assert_int_equal(client.len, 0);
    fixture_advance(&fixture, SECOND_US);
    client_await_close(&fixture, &client);
    struct bytes body;
    assert_int_equal(client_response(&client, 0, &body), 408);
    assert_true(client.closed);
    client_close(&client);
    fixture_close(&fixture);
}

static void an_idle_connection_ends_after_60_seconds(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    fixture_advance(&fixture, 50 * SECOND_US);
    client_say(&fixture, &client, GET("/x"));
    fixture_advance(&fixture, 59 * SECOND_US);
    client_say(&fixture, &client, GET("/x"));
    assert_int_equal(client_responses(&client), 2);
    fixture_advance(&fixture, 60 * SECOND_US);
    client_settle(&fixture, &client);
    assert_true(client.closed);
    assert_int_equal(client_responses(&client), 2);
    client_close(&client);
    fixture_close(&fixture);
}

static void a_body_must_come_with_1_kB_per_second(void **state)
{
    static uint8_t data[20000];
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    memset(data, 'x', sizeof(data));
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, POST("/x") "Content-Length: 100000\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        fixture_advance(&fixture, 9 * SECOND_US);
        client_send(&fixture, &client, bytes_of(data, 10000));
        fixture_turn(&fixture);
        fixture_advance(&fixture, SECOND_US);
        client_settle(&fixture, &client);
        assert_int_equal(client.len, 0);
    }
    client_send(&fixture, &client, bytes_of(data, 9999));
    fixture_turn(&fixture);
    assert_int_equal(fixture.gones, 0);
    fixture_advance(&fixture, 10 * SECOND_US);
    client_await_close(&fixture, &client);
    struct bytes body;
    assert_int_equal(fixture.gones, 1);
    assert_int_equal(client_response(&client, 0, &body), 408);
    client_close(&client);
    fixture_close(&fixture);
}

static void an_exchange_that_waits_has_no_deadline_here(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, NO_OPTIONS, false);
    struct client client = client_pair(&fixture);
    client_say(&fixture, &client, GET("/async"));
    fixture_advance(&fixture, 3600 * SECOND_US);
    assert_int_equal(fixture.gones, 0);
    fixture_answer(&fixture);
    client_settle(&fixture, &client);
    assert_int_equal(client_responses(&client), 1);
    client_close(&client);
    fixture_close(&fixture);
}

static void an_idle_connection_takes_less_than_4_KiB(void **state)
{
    (void)state;
    assert_true(sizeof(struct http_connection) < 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_expects_100_is_told_to_continue),
        cmocka_unit_test(an_early_answer_keeps_the_connection_when_little_is_left),
        cmocka_unit_test(an_early_answer_to_a_large_body_ends_the_connection),
        cmocka_unit_test(a_paused_body_is_not_read),
        cmocka_unit_test(a_paused_upload_holds_back_its_sender),
        cmocka_unit_test(a_large_response_reaches_a_reader_that_reads),
        cmocka_unit_test(a_reader_too_slow_for_what_it_asked_is_dropped),
        cmocka_unit_test(a_client_that_reads_nothing_is_not_served_ahead),
        cmocka_unit_test(a_client_that_takes_nothing_for_30_seconds_is_dropped),
        cmocka_unit_test(a_head_must_come_within_10_seconds),
        cmocka_unit_test(an_idle_connection_ends_after_60_seconds),
        cmocka_unit_test(a_body_must_come_with_1_kB_per_second),
        cmocka_unit_test(an_exchange_that_waits_has_no_deadline_here),
        cmocka_unit_test(an_idle_connection_takes_less_than_4_KiB),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
