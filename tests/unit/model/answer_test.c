/* Kept answers as records: each comes back as it was, and what can't be sent is refused. */
#include "../base/support.h"

#include "model/answer.h"

static uint8_t memory[KEPT_ANSWER_BYTES_MAX + 4096];

static struct kept_answer sample(void)
{
    struct kept_answer answer = {
        .kept = {-7},
        .request.half = {UINT64_MAX - 1, 3},
        .key = BYTES("8e03978e-40d5-43dd-bc93-6894a57f9324"),
        .status = 201,
        .field_count = 2,
        .body = BYTES("{\"a\":1}\n\0"),
    };
    answer.fields[0] = (struct kept_field){BYTES("Content-Type"), BYTES("application/json")};
    answer.fields[1] = (struct kept_field){BYTES("ETag"), BYTES("\"\t\xff\"")};
    return answer;
}

static struct bytes put(const struct kept_answer *answer)
{
    struct buf out = buf_of(memory, sizeof(memory));
    struct record record = {0};
    kept_answer_put(&out, answer);
    assert_false(out.overflow);
    assert_true(out.len <= kept_answer_bytes_max(answer));
    struct reader frame = reader_of(buf_bytes(&out));
    assert_true(record_next(&frame, memory, &record));
    assert_int_equal(record.kind, RECORD_ANSWER);
    assert_int_equal(reader_left(&frame), 0);
    return record.body;
}

static void assert_same(const struct kept_answer *a, const struct kept_answer *b)
{
    assert_int_equal(a->kept.us, b->kept.us);
    assert_true(fingerprint_equal(a->request, b->request));
    assert_true(bytes_equal(a->key, b->key));
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->field_count, b->field_count);
    for (uint32_t n = 0; n < a->field_count; n++) {
        assert_true(bytes_equal(a->fields[n].name, b->fields[n].name));
        assert_true(bytes_equal(a->fields[n].value, b->fields[n].value));
    }
    assert_true(bytes_equal(a->body, b->body));
}

static void an_answer_comes_back(void **state)
{
    (void)state;
    struct kept_answer given = sample();
    struct kept_answer back;
    assert_true(kept_answer_read(put(&given), &back));
    assert_same(&given, &back);
    given.field_count = 0;
    given.body = (struct bytes){0};
    given.status = 204;
    assert_true(kept_answer_read(put(&given), &back));
    assert_same(&given, &back);
}

static void an_answer_without_all_before_its_body_is_refused(void **state)
{
    (void)state;
    struct kept_answer given = sample();
    struct kept_answer back;
    struct bytes body = put(&given);
    for (size_t len = 0; len < body.len; len++) {
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, body.data, len);
        assert_int_equal(kept_answer_read(bytes_of(exact, len), &back),
                         len >= body.len - given.body.len);
        free(exact);
    }
}

static void any_byte_may_change_and_what_is_read_is_written_the_same(void **state)
{
    (void)state;
    static uint8_t copy[4096];
    struct kept_answer given = sample();
    struct kept_answer back;
    struct bytes body = put(&given);
    size_t len = body.len;
    memcpy(copy, body.data, len);
    for (size_t at = 0; at < len; at++) {
        uint8_t former = copy[at];
        for (uint32_t value = 0; value < 256; value++) {
            copy[at] = (uint8_t)value;
            if (kept_answer_read(bytes_of(copy, len), &back)) {
                assert_true(bytes_equal(put(&back), bytes_of(copy, len)));
            }
        }
        copy[at] = former;
    }
}

static void the_order_of_the_log_sets_the_time(void **state)
{
    (void)state;
    struct kept_answer given = sample();
    struct kept_answer back;
    struct bytes body = put(&given);
    struct buf whole = buf_of(memory, sizeof(memory));
    whole.len = RECORD_HEADER_BYTES + body.len;
    kept_answer_stamp(&whole, RECORD_HEADER_BYTES, (struct clock_time){1234567});
    assert_true(kept_answer_read(body, &back));
    given.kept.us = 1234567;
    assert_same(&given, &back);
}

static void keys_are_visible_and_short(void **state)
{
    (void)state;
    static char longest[IDEMPOTENCY_KEY_MAX + 1];
    memset(longest, 'k', sizeof(longest));
    assert_true(idempotency_key_valid(bytes_of(longest, IDEMPOTENCY_KEY_MAX)));
    assert_false(idempotency_key_valid(bytes_of(longest, IDEMPOTENCY_KEY_MAX + 1)));
    assert_false(idempotency_key_valid((struct bytes){0}));
    for (uint32_t c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        assert_int_equal(idempotency_key_valid(bytes_of(&byte, 1)), c > 0x20 && c < 0x7f);
    }
}

/* Writes the sample with one byte of its text changed; the record is as long as before. */
static bool reads_with(const char *text, char wanted)
{
    struct kept_answer given = sample();
    struct kept_answer back;
    struct bytes body = put(&given);
    char *found = memmem(memory + RECORD_HEADER_BYTES, body.len, text, strlen(text));
    assert_non_null(found);
    *found = wanted;
    return kept_answer_read(body, &back);
}

static void what_cannot_be_sent_is_refused(void **state)
{
    (void)state;
    assert_true(reads_with("Content-Type", 'K'));
    assert_false(reads_with("Content-Type", ' '));
    assert_false(reads_with("Content-Type", '\n'));
    assert_false(reads_with("application/json", '\r'));
    assert_false(reads_with("application/json", '\0'));
    assert_false(reads_with("8e03", ' '));
    static const uint16_t bad[] = {0, 100, 199, 600, UINT16_MAX};
    for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
        struct kept_answer given = sample();
        given.status = bad[n];
        assert_false(kept_answer_read(put(&given), &given));
    }
}

static void a_record_has_a_size_that_it_cannot_pass(void **state)
{
    (void)state;
    static uint8_t large[KEPT_ANSWER_BYTES_MAX];
    struct kept_answer given = sample();
    given.body = bytes_of(large, sizeof(large));
    size_t excess = kept_answer_bytes_max(&given) - KEPT_ANSWER_BYTES_MAX;
    given.body.len -= excess;
    struct kept_answer back;
    struct bytes body = put(&given);
    assert_true(kept_answer_read(body, &back));
    assert_int_equal(back.body.len, given.body.len);
    assert_false(kept_answer_read(bytes_of(body.data, KEPT_ANSWER_BYTES_MAX), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_back),
        cmocka_unit_test(an_answer_without_all_before_its_body_is_refused),
        cmocka_unit_test(any_byte_may_change_and_what_is_read_is_written_the_same),
        cmocka_unit_test(the_order_of_the_log_sets_the_time),
        cmocka_unit_test(keys_are_visible_and_short),
        cmocka_unit_test(what_cannot_be_sent_is_refused),
        cmocka_unit_test(a_record_has_a_size_that_it_cannot_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
