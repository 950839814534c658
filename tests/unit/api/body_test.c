/* Bodies on their way in, and events on theirs: their limits, one by one and all together. */
#include "api/body.h"

#include "adapters/codec/codec.h"
#include "api/call.h"
#include "fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KIB   ((size_t)1024)
#define BATCH "Content-Type: application/cloudevents-batch+json\n"
#define LINES "Content-Type: application/x-ndjson\n"

static struct fake_client *client;

static int setup(void **state)
{
    client = malloc(sizeof(*client));
    fake_client_init(client);
    *state = client;
    return 0;
}

static int teardown(void **state)
{
    fake_client_deinit(*state);
    free(*state);
    return 0;
}

static uint8_t text[256 * 1024];

static struct http_request request_of(uint64_t length)
{
    return (struct http_request){.length_known = true, .content_length = length};
}

static void a_body_holds_its_share_of_the_budget_until_its_end(void **state)
{
    (void)state;
    struct budget budget = {.bytes_max = 100 * KIB};
    struct http_request request = request_of(60 * KIB);
    struct body first;
    struct body second;
    assert_int_equal(body_init(&first, &budget, codec_port(), &request, 64 * KIB), OK);
    assert_int_equal(body_init(&second, &budget, codec_port(), &request, 64 * KIB), OK);
    assert_int_equal(budget.used_bytes, 0); /* a length alone holds nothing */
    assert_int_equal(body_gather(&first, bytes_of(text, 60 * KIB), 60 * KIB), OK);
    assert_true(budget.used_bytes >= 60 * KIB);
    size_t held = budget.used_bytes;
    assert_int_equal(body_gather(&second, bytes_of(text, 60 * KIB), 60 * KIB), ERR_OVERLOADED);
    assert_int_equal(budget.used_bytes, held);
    body_deinit(&first);
    assert_int_equal(budget.used_bytes, 0);
    assert_int_equal(body_gather(&second, bytes_of(text, 60 * KIB), 60 * KIB), OK);
    body_deinit(&second);
    assert_int_equal(budget.used_bytes, 0);
}

static void a_body_at_its_limit_is_taken_and_one_byte_more_is_not(void **state)
{
    (void)state;
    for (size_t step = 1000; step <= 64 * KIB; step += 9000) {
        struct budget budget = {.bytes_max = 1024 * KIB};
        struct http_request request = {.has_body = true};
        struct body body;
        assert_int_equal(body_init(&body, &budget, codec_port(), &request, 64 * KIB), OK);
        for (size_t at = 0; at < 64 * KIB; at += step) {
            size_t len = 64 * KIB - at < step ? 64 * KIB - at : step;
            assert_int_equal(body_gather(&body, bytes_of(text, len), 0), OK);
        }
        assert_int_equal(body.whole.len, 64 * KIB);
        assert_int_equal(body_gather(&body, bytes_of(text, 1), 0), ERR_TOO_LARGE);
        body_deinit(&body);
        assert_int_equal(budget.used_bytes, 0);
    }
    struct budget budget = {.bytes_max = 1024 * KIB};
    struct body body;
    struct http_request request = request_of(64 * KIB + 1);
    assert_int_equal(body_init(&body, &budget, codec_port(), &request, 64 * KIB), ERR_TOO_LARGE);
    body_deinit(&body);
}

static void one_coding_is_understood_and_no_coding_of_a_coding(void **state)
{
    (void)state;
    static const struct {
        const char *first;
        const char *second;
        enum err err;
    } cases[] = {
        {"gzip", NULL, OK},
        {"X-GZIP", NULL, OK},
        {"zstd", NULL, OK},
        {"identity", NULL, OK},
        {"", NULL, OK},
        {"gzip, gzip", NULL, ERR_MEDIA_TYPE},
        {"gzip", "gzip", ERR_MEDIA_TYPE},
        {"gzip", "identity", ERR_MEDIA_TYPE},
        {"identity", "gzip", ERR_MEDIA_TYPE},
        {"br", NULL, ERR_MEDIA_TYPE},
        {"deflate", NULL, ERR_MEDIA_TYPE},
        {"gzip;q=1", NULL, ERR_MEDIA_TYPE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_field fields[2] = {
            {BYTES("Content-Encoding"), bytes_of_string(cases[i].first)}};
        struct http_request request = {.has_body = true, .fields = fields, .field_count = 1};
        if (cases[i].second != NULL) {
            fields[1] =
                (struct http_field){BYTES("content-encoding"), bytes_of_string(cases[i].second)};
            request.field_count = 2;
        }
        struct budget budget = {.bytes_max = 1024 * KIB};
        struct body body;
        assert_int_equal(body_init(&body, &budget, codec_port(), &request, KIB), cases[i].err);
        body_deinit(&body);
    }
}

/* A frame that asks for a window of 8 MiB, and one byte of text. */
static void a_window_that_a_decoder_takes_counts(void **state)
{
    (void)state;
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68, 0x08, 0x00, 0x00, 'x'};
    static const struct {
        size_t budget_bytes;
        enum err err;
    } cases[] = {{16 * 1024 * KIB, OK}, {1024 * KIB, ERR_OVERLOADED}};
    struct http_field field = {BYTES("Content-Encoding"), BYTES("zstd")};
    struct http_request request = {.has_body = true, .fields = &field, .field_count = 1};
    for (size_t i = 0; i < 2; i++) {
        struct budget budget = {.bytes_max = cases[i].budget_bytes};
        struct body body;
        assert_int_equal(body_init(&body, &budget, codec_port(), &request, 64 * KIB), OK);
        assert_in_range(budget.used_bytes, 1, 1024 * KIB);
        struct bytes part = bytes_of(frame, sizeof(frame));
        assert_int_equal(body_gather(&body, part, 0), cases[i].err);
        assert_true(budget.used_bytes >= 8 * 1024 * KIB);
        body_deinit(&body);
        assert_int_equal(budget.used_bytes, 0);
    }
}

static void a_decoder_that_finds_no_room_is_none(void **state)
{
    (void)state;
    static const char *const encodings[] = {"gzip", "zstd"};
    for (size_t i = 0; i < 2; i++) {
        struct http_field field = {BYTES("Content-Encoding"), bytes_of_string(encodings[i])};
        struct http_request request = {.has_body = true, .fields = &field, .field_count = 1};
        struct budget budget = {.bytes_max = KIB};
        struct body body;
        assert_int_equal(body_init(&body, &budget, codec_port(), &request, KIB), ERR_OVERLOADED);
        body_deinit(&body);
        assert_int_equal(budget.used_bytes, 0);
    }
}

static void too_many_bodies_at_once_are_told_to_wait(void **state)
{
    (void)state;
    memset(text, ' ', sizeof(text));
    client->api->held.bytes_max = 100 * KIB;
    fake_head(client, "POST", "/v1/events", BATCH, (const char *)text, 0);
    client->current.request.length_known = false;
    for (int i = 0; i < 20 && client->status == 0; i++) {
        fake_body(client, text, 10 * KIB);
    }
    assert_int_equal(client->status, 429);
    assert_true(client->closed);
    assert_true(fake_field(client, "Retry-After: 1\n"));
    assert_int_equal(client->api->held.used_bytes, 0);
    assert_int_equal(fake_call(client, "POST", "/v1/events", BATCH, "[]"), 200);
}

static void too_many_streams_at_once_are_told_to_wait(void **state)
{
    (void)state;
    memset(text, 'x', sizeof(text));
    client->api->held.bytes_max = 100 * KIB;
    fake_head(client, "POST", "/v1/events", LINES, (const char *)text, 0);
    client->current.request.length_known = false;
    for (int i = 0; i < 20 && client->status == 0; i++) {
        fake_body(client, text, 10 * KIB);
    }
    assert_int_equal(client->status, 429);
    assert_int_equal(client->api->held.used_bytes, 0);
    assert_int_equal(fake_call(client, "POST", "/v1/events", LINES, ""), 200);
    assert_int_equal(client->api->held.used_bytes, 0);
}

/* Sends one event and goes, before the engine has answered. */
static void leave_one(const char *form)
{
    static const char event[] =
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}\n";
    static const char batch[] =
        "[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}]";
    const char *body = strcmp(form, BATCH) == 0 ? batch : event;
    fake_head(client, "POST", "/v1/events", form, body, strlen(body));
    fake_body(client, body, strlen(body));
    fake_end(client);
    fake_gone(client);
}

static void events_count_until_the_engine_has_them(void **state)
{
    (void)state;
    static const char *const forms[] = {BATCH, LINES};
    for (size_t i = 0; i < 2; i++) {
        client->api->held.bytes_max = 400 * KIB;
        client->status = 0;
        uint32_t taken = 0;
        for (; taken < 20 && client->status == 0; taken++) {
            leave_one(forms[i]);
        }
        assert_in_range(taken, 3, 7); /* an event has 64 KiB of memory at least */
        assert_int_equal(client->status, 429);
        assert_true(client->api->held.used_bytes <= 400 * KIB);
        (void)fake_gateway_deliver(client->gateway);
        assert_int_equal(client->api->held.used_bytes, 0);
        assert_int_equal(fake_call(client, "POST", "/v1/events", BATCH, "[]"), 200);
    }
}

/* Kept memory that is larger than needed counts as what it is, and isn't used where that is too much. */
static void memory_that_is_kept_counts_while_it_is_used(void **state)
{
    (void)state;
    memset(text, ' ', sizeof(text));
    fake_head(client, "POST", "/v1/events", BATCH, (const char *)text, 0);
    client->current.request.length_known = false;
    fake_body(client, "[", 1);
    fake_body(client, text, 160 * KIB);
    fake_body(client, "]", 1);
    fake_end(client);
    assert_int_equal(client->status, 200);
    assert_int_equal(client->api->held.used_bytes, 0);
    assert_int_equal(client->api->spare_count, 1);
    client->status = 0;
    leave_one(BATCH);
    assert_true(client->api->held.used_bytes >= 160 * KIB);
    assert_int_equal(client->api->spare_count, 0);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->api->spare_count, 1);
    client->api->held.bytes_max = 100 * KIB;
    leave_one(BATCH);
    assert_int_equal(client->status, 0);
    assert_in_range(client->api->held.used_bytes, 64 * KIB, 100 * KIB);
    assert_int_equal(client->api->spare_count, 1);
    (void)fake_gateway_deliver(client->gateway);
    assert_int_equal(client->api->held.used_bytes, 0);
}

static void a_peer_that_goes_gives_its_share_back(void **state)
{
    (void)state;
    static const char *const forms[] = {BATCH, LINES};
    for (size_t i = 0; i < 2; i++) {
        fake_head(client, "POST", "/v1/events", forms[i], (const char *)text, 0);
        client->current.request.length_known = false;
        fake_body(client, text, 10 * KIB);
        assert_true(client->api->held.used_bytes >= 10 * KIB);
        fake_gone(client);
        assert_int_equal(client->api->held.used_bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_holds_its_share_of_the_budget_until_its_end),
        cmocka_unit_test(a_body_at_its_limit_is_taken_and_one_byte_more_is_not),
        cmocka_unit_test(one_coding_is_understood_and_no_coding_of_a_coding),
        cmocka_unit_test(a_window_that_a_decoder_takes_counts),
        cmocka_unit_test(a_decoder_that_finds_no_room_is_none),
        cmocka_unit_test_setup_teardown(events_count_until_the_engine_has_them, setup, teardown),
        cmocka_unit_test_setup_teardown(
            memory_that_is_kept_counts_while_it_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_bodies_at_once_are_told_to_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_streams_at_once_are_told_to_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_goes_gives_its_share_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
