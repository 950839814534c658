/* Bytes on the wire and what must come of them: the strictness of RFC 9112 as a table, and the same
 * answers for every way to cut a request into pieces.
 *
 * Cut in two everywhere and byte by byte: all of them. Cut in three everywhere: those of up to
 * THREE_PARTS_BYTES, or, when TIDEMARK_LONG is set, all. */
#include "http_fixture.h"
#include "http_wire_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define THREE_PARTS_BYTES 44
#define ANSWER_BYTES      4096
#define BYTES_MAX         512

static size_t case_count(void)
{
    return wire_head_case_count + wire_framing_case_count;
}

static const struct wire_case *case_at(size_t i)
{
    return i < wire_head_case_count ? &wire_head_cases[i]
                                    : &wire_framing_cases[i - wire_head_case_count];
}

static bool long_run(void)
{
    const char *wanted = getenv("TIDEMARK_LONG");
    return wanted != NULL && strcmp(wanted, "1") == 0;
}

static const char next_request[] = "GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n";

static void check_case(struct fixture *fixture, const struct wire_case *wire)
{
    struct client client = client_connect(fixture);
    struct bytes body;
    size_t last = 0;
    client_send(fixture, &client, wire->bytes);
    client_settle(fixture, &client);
    if (wire->closes) {
        client_await_close(fixture, &client);
    } else {
        client_send(fixture, &client, bytes_of_string(next_request));
        client_settle(fixture, &client);
        last = 1;
    }
    size_t count = client_responses(&client);
    /* The unannounced cases: first a good answer, then the refusal of what follows. */
    int status = client_response(&client, count == 0 ? 0 : count - 1 - last, &body);
    if (status != wire->status || client.closed != wire->closes || client.reset ||
        client.len == 0) {
        print_error("%s (RFC %s): %d, %s%s\n%.*s\n",
                    wire->name,
                    wire->rule,
                    status,
                    client.closed ? "closed" : "open",
                    client.reset ? ", reset" : "",
                    (int)client.len,
                    (const char *)client.in);
        fail();
    }
    if (!wire->closes) {
        assert_int_equal(client_response(&client, 1, &body), 200);
        assert_memory_equal(body.data, "GET /next  localhost ", body.len);
    }
    client_close(&client);
    fixture_turn(fixture);
}

static void each_request_of_the_table_gets_its_answer(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    for (size_t i = 0; i < case_count(); i++) {
        check_case(&fixture, case_at(i));
    }
    assert_int_equal(http_server_connections(fixture.server), 0);
    fixture_close(&fixture);
    (void)printf("# totals: http_cases=%zu\n", case_count());
}

/* What comes behind the last answer of a connection is never read as a request, whether it came
 * with it or later. */
static void nothing_behind_a_refusal_is_a_request(void **state)
{
    struct fixture fixture;
    size_t refused = 0;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, false);
    for (size_t i = 0; i < case_count(); i++) {
        const struct wire_case *wire = case_at(i);
        for (int together = 0; wire->closes && together < 2; together++) {
            uint8_t space[1024];
            struct buf out = buf_of(space, sizeof(space));
            struct client client = client_pair(&fixture);
            buf_put_bytes(&out, wire->bytes);
            if (together == 0) {
                client_send(&fixture, &client, buf_bytes(&out));
                client_settle(&fixture, &client);
                out.len = 0;
            }
            buf_put_text(&out, next_request);
            assert_false(out.overflow);
            client_send(&fixture, &client, buf_bytes(&out));
            client_settle(&fixture, &client);
            if (client_received(&client, "GET /next") || !client_received(&client, "HTTP/1.1 ") ||
                !client_received(&client, "\r\nConnection: close\r\n")) {
                print_error(
                    "%s (RFC %s): %.*s\n", wire->name, wire->rule, (int)client.len, client.in);
                fail();
            }
            client_close(&client);
            fixture_turn(&fixture);
            refused++;
        }
    }
    assert_true(refused >= 300);
    fixture_close(&fixture);
}

/* The whole conversation, the client closing its side at the end. */
static size_t
converse(struct fixture *fixture, struct bytes bytes, const size_t *cuts, uint8_t *out)
{
    struct client client = client_pair(fixture);
    size_t at = 0;
    for (const size_t *cut = cuts; at < bytes.len; cut++) {
        size_t end = *cut;
        client_send(fixture, &client, bytes_of(bytes.data + at, end - at));
        client_settle(fixture, &client);
        at = end;
    }
    /* Whether a 100 is due depends on what has arrived by then, and on nothing else. */
    struct bytes interim = BYTES("HTTP/1.1 100 Continue\r\n\r\n");
    bool continued = client.len >= interim.len && memcmp(client.in, interim.data, interim.len) == 0;
    size_t from = continued ? interim.len : 0;
    size_t len = client.len - from;
    assert_true(len <= ANSWER_BYTES);
    memcpy(out, client.in + from, len);
    client_close(&client);
    fixture_turn(fixture);
    return len;
}

/* What the whole request got, to compare with what its pieces get. */
struct reference {
    const char *name;
    struct bytes bytes;
    size_t len;
    uint8_t answer[ANSWER_BYTES];
};

static void compare(struct fixture *fixture, const struct reference *reference, const size_t *cuts)
{
    uint8_t answer[ANSWER_BYTES];
    size_t len = converse(fixture, reference->bytes, cuts, answer);
    if (len != reference->len || memcmp(answer, reference->answer, len) != 0) {
        print_error("%s, cut at %zu and %zu: %.*s\nwhole: %.*s\n",
                    reference->name,
                    cuts[0],
                    cuts[1],
                    (int)len,
                    (const char *)answer,
                    (int)reference->len,
                    (const char *)reference->answer);
        fail();
    }
}

static struct reference reference_of(struct fixture *fixture, const char *name, struct bytes bytes)
{
    struct reference reference = {.name = name, .bytes = bytes};
    assert_true(bytes.len <= BYTES_MAX);
    reference.len = converse(fixture, bytes, &bytes.len, reference.answer);
    assert_true(reference.len > 0);
    return reference;
}

static void cut_in_two(struct fixture *fixture, const struct reference *reference)
{
    for (size_t at = 1; at < reference->bytes.len; at++) {
        compare(fixture, reference, (size_t[]){at, reference->bytes.len});
    }
}

static void cut_in_three(struct fixture *fixture, const struct reference *reference, size_t step)
{
    size_t len = reference->bytes.len;
    for (size_t first = 1; first < len; first += step) {
        for (size_t second = first + 1; second < len; second += step) {
            compare(fixture, reference, (size_t[]){first, second, len});
        }
    }
}

static void cut_everywhere(struct fixture *fixture, const struct reference *reference)
{
    size_t each[BYTES_MAX];
    for (size_t i = 0; i < reference->bytes.len; i++) {
        each[i] = i + 1;
    }
    compare(fixture, reference, each);
}

/* Every split of every request, good or bad: a refused request is refused with the same words. */
static void the_answer_does_not_depend_on_how_the_bytes_are_cut(void **state)
{
    struct fixture fixture;
    size_t in_three = 0;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, false);
    for (size_t i = 0; i < case_count(); i++) {
        const struct wire_case *wire = case_at(i);
        struct reference reference = reference_of(&fixture, wire->name, wire->bytes);
        cut_in_two(&fixture, &reference);
        cut_everywhere(&fixture, &reference);
        if (long_run() || wire->bytes.len <= THREE_PARTS_BYTES) {
            cut_in_three(&fixture, &reference, 1);
            in_three++;
        }
    }
    assert_true(in_three >= 50);
    fixture_close(&fixture);
}

static void pipelined_requests_give_the_same_answers_for_every_cut(void **state)
{
    static const char text[] =
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        "GET /b?q HTTP/1.1\r\nHost: b\r\n\r\n\r\n"
        "PUT /c HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;x\r\nde\r\n0\r\nX: y\r\n\r\n"
        "GET /empty HTTP/1.1\r\nHost: d\r\n\r\n"
        "POST /early HTTP/1.1\r\nHost: e\r\nContent-Length: 5\r\n\r\n01234"
        "POST /part HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n"
        "1\r\nx\r\n3\r\nyyy\r\n0\r\n\r\n"
        "DELETE /g HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n";
    struct fixture fixture;
    struct bytes bytes = bytes_of(text, sizeof(text) - 1);
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, false);
    struct reference reference = reference_of(&fixture, "a pipeline", bytes);
    assert_int_equal(fixture.heads, 7);
    assert_int_equal(fixture.ends, 5);
    cut_in_two(&fixture, &reference);
    cut_in_three(&fixture, &reference, long_run() ? 1 : 7);
    cut_everywhere(&fixture, &reference);
    fixture_close(&fixture);
}

/* A request with generated parts. */
struct maker {
    uint8_t data[64 * 1024];
    struct buf out;
};

static void put_many(struct buf *out, char byte, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_put_u8(out, (uint8_t)byte);
    }
}

static int status_of(struct fixture *fixture, const struct buf *request)
{
    assert_false(request->overflow);
    struct client client = client_connect(fixture);
    struct bytes body;
    client_send(fixture, &client, buf_bytes(request));
    client_settle(fixture, &client);
    int status = client_response(&client, 0, &body);
    if (status >= 400) {
        client_await_close(fixture, &client);
        assert_true(client.closed);
    }
    client_close(&client);
    fixture_turn(fixture);
    return status;
}

static int target_of(struct fixture *fixture, size_t target_len)
{
    static struct maker maker;
    maker.out = buf_of(maker.data, sizeof(maker.data));
    buf_put_text(&maker.out, "GET /");
    put_many(&maker.out, 'a', target_len - 1);
    buf_put_text(&maker.out, " HTTP/1.1\r\nHost: a\r\n\r\n");
    return status_of(fixture, &maker.out);
}

static void targets_are_limited_to_8_KiB(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    assert_int_equal(target_of(&fixture, 8192), 200);
    assert_int_equal(target_of(&fixture, 8193), 414);
    assert_int_equal(target_of(&fixture, 9000), 414);
    assert_int_equal(target_of(&fixture, 40000), 414);
    fixture_close(&fixture);
}

static int line_of(struct fixture *fixture, size_t line_len, size_t lines, bool finished)
{
    static struct maker maker;
    maker.out = buf_of(maker.data, sizeof(maker.data));
    buf_put_text(&maker.out, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 0; i < lines; i++) {
        buf_put_text(&maker.out, "X: ");
        put_many(&maker.out, 'a', line_len - 5);
        if (finished || i + 1 < lines) {
            buf_put_text(&maker.out, "\r\n");
        }
    }
    buf_put_text(&maker.out, finished ? "\r\n" : "");
    return status_of(fixture, &maker.out);
}

static void field_lines_are_limited_to_8_KiB_and_heads_to_16_KiB(void **state)
{
    const size_t before = sizeof("GET / HTTP/1.1\r\nHost: a\r\n") - 1;
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    assert_int_equal(line_of(&fixture, 8192, 1, true), 200);
    assert_int_equal(line_of(&fixture, 8193, 1, true), 431);
    assert_int_equal(line_of(&fixture, 20000, 1, false), 431);
    size_t line_len = (16384 - before - 2) / 4;
    assert_int_equal((16384 - before - 2) % 4, 1);
    assert_int_equal(line_of(&fixture, line_len, 4, true), 200);
    assert_int_equal(line_of(&fixture, line_len + 1, 4, true), 431);
    fixture_close(&fixture);
}

static int fields_of(struct fixture *fixture, size_t count)
{
    static struct maker maker;
    maker.out = buf_of(maker.data, sizeof(maker.data));
    buf_put_text(&maker.out, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 1; i < count; i++) {
        buf_put_text(&maker.out, "X: y\r\n");
    }
    buf_put_text(&maker.out, "\r\n");
    return status_of(fixture, &maker.out);
}

static void there_may_be_64_fields_and_no_more(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    assert_int_equal(fields_of(&fixture, 64), 200);
    assert_int_equal(fields_of(&fixture, 65), 431);
    fixture_close(&fixture);
}

static int chunk_of(struct fixture *fixture, size_t extension_len, size_t trailers)
{
    static struct maker maker;
    maker.out = buf_of(maker.data, sizeof(maker.data));
    buf_put_text(&maker.out, CHUNKED "1;");
    put_many(&maker.out, 'e', extension_len);
    buf_put_text(&maker.out, "\r\nx\r\n0\r\n");
    for (size_t i = 0; i < trailers; i++) {
        buf_put_text(&maker.out, "X: y\r\n");
    }
    buf_put_text(&maker.out, "\r\n");
    return status_of(fixture, &maker.out);
}

static void chunk_extensions_and_trailers_are_limited(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture, (struct http_server_options){0}, true);
    assert_int_equal(chunk_of(&fixture, 1024, 0), 200);
    assert_int_equal(chunk_of(&fixture, 1025, 0), 400);
    assert_int_equal(chunk_of(&fixture, 0, 64), 200);
    assert_int_equal(chunk_of(&fixture, 0, 65), 431);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_of_the_table_gets_its_answer),
        cmocka_unit_test(nothing_behind_a_refusal_is_a_request),
        cmocka_unit_test(the_answer_does_not_depend_on_how_the_bytes_are_cut),
        cmocka_unit_test(pipelined_requests_give_the_same_answers_for_every_cut),
        cmocka_unit_test(targets_are_limited_to_8_KiB),
        cmocka_unit_test(field_lines_are_limited_to_8_KiB_and_heads_to_16_KiB),
        cmocka_unit_test(there_may_be_64_fields_and_no_more),
        cmocka_unit_test(chunk_extensions_and_trailers_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
