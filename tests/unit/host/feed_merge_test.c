/* The answers of several runners as one feed: nothing is shown before what might still come ahead. */
#include "../base/support.h"

#include "host/feed_merge.h"

static struct query query;
static uint8_t memory[RUNNERS_MAX][4096];

/* The bytes of a note, as core/feed.h says. */
static struct bytes note_of(const char *key)
{
    static uint8_t bytes[128];
    struct buf out = buf_of(bytes, sizeof(bytes));
    buf_put_u8(&out, NOTE_TIMEOUT_FIRED);
    buf_put_i64(&out, 5); /* clock */
    buf_put_u64(&out, 6); /* position */
    buf_put_u8(&out, 0);  /* flags */
    buf_put_u32(&out, 0); /* rule */
    buf_put_u32(&out, 1); /* generation */
    buf_put_i64(&out, 4); /* deadline */
    buf_put_i64(&out, 3); /* started */
    buf_put_i64(&out, 3); /* last seen */
    buf_put_string(&out, (struct bytes){0});
    buf_put_string(&out, bytes_of_string(key));
    buf_put_string(&out, (struct bytes){0});
    assert_false(out.overflow);
    return buf_bytes(&out);
}

static void put(uint32_t runner, struct feed_place place)
{
    char key[32];
    (void)snprintf(key, sizeof(key), "%u-%u", place.partition, place.number);
    feed_row_put(&query.answers[runner].rows, place, note_of(key));
    assert_false(query.answers[runner].rows.overflow);
}

/* The answer of a runner that knows of this pulse; `more`: it was cut short. */
static void answer(uint32_t runner, uint64_t ordinal, bool more)
{
    query.answers[runner] = (struct query_answer){
        .rows = buf_of(memory[runner], sizeof(memory[runner])),
        .ordinal = ordinal,
        .next_place = more ? 0 : UINT32_MAX,
    };
    query.runner_count = runner + 1;
}

static void expect(const struct feed_place *places, uint32_t count)
{
    struct feed_merge merge;
    struct feed_row row;
    feed_merge_init(&merge, &query);
    for (uint32_t n = 0; n < count; n++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "%u-%u", places[n].partition, places[n].number);
        assert_true(feed_merge_next(&merge, &row));
        assert_int_equal(feed_place_compare(row.place, places[n]), 0);
        assert_true(bytes_equal(row.note.key, bytes_of_string(key)));
    }
    assert_false(feed_merge_next(&merge, &row));
    assert_false(feed_merge_next(&merge, &row));
}

static void answers_are_merged_by_pulse_partition_and_number(void **state)
{
    (void)state;
    answer(0, 9, false);
    put(0, (struct feed_place){7, 0, 0});
    put(0, (struct feed_place){7, 2, 0});
    put(0, (struct feed_place){9, 0, 0});
    answer(1, 9, false);
    answer(2, 9, false);
    put(2, (struct feed_place){7, 1, 0});
    put(2, (struct feed_place){7, 1, 1});
    put(2, (struct feed_place){8, 3, 0});
    expect(
        (const struct feed_place[]){
            {7, 0, 0}, {7, 1, 0}, {7, 1, 1}, {7, 2, 0}, {8, 3, 0}, {9, 0, 0}},
        6);
}

static void what_a_slower_runner_may_still_tell_holds_the_rest_back(void **state)
{
    (void)state;
    answer(0, 8, false);
    put(0, (struct feed_place){7, 1, 0});
    put(0, (struct feed_place){8, 1, 0});
    answer(1, 7, false);
    put(1, (struct feed_place){7, 0, 0});
    expect((const struct feed_place[]){{7, 0, 0}, {7, 1, 0}}, 2);
}

static void an_answer_that_was_cut_short_holds_the_rest_back(void **state)
{
    (void)state;
    answer(0, 9, true);
    put(0, (struct feed_place){5, 0, 0});
    put(0, (struct feed_place){6, 0, 0});
    answer(1, 9, false);
    put(1, (struct feed_place){5, 1, 0});
    put(1, (struct feed_place){7, 1, 0});
    expect((const struct feed_place[]){{5, 0, 0}, {5, 1, 0}, {6, 0, 0}}, 3);
}

static void of_nothing_there_is_nothing(void **state)
{
    (void)state;
    answer(0, 3, false);
    answer(1, 3, false);
    expect(NULL, 0);
}

static void the_last_place_that_any_runner_gave_up_counts(void **state)
{
    (void)state;
    answer(0, 9, false);
    answer(1, 9, false);
    answer(2, 9, false);
    assert_int_equal(feed_forgotten(&query).ordinal, 0);
    query.answers[1].forgotten = (struct feed_place){4, 1, 7};
    query.answers[2].forgotten = (struct feed_place){4, 2, 0};
    assert_int_equal(feed_forgotten(&query).partition, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_merged_by_pulse_partition_and_number),
        cmocka_unit_test(what_a_slower_runner_may_still_tell_holds_the_rest_back),
        cmocka_unit_test(an_answer_that_was_cut_short_holds_the_rest_back),
        cmocka_unit_test(of_nothing_there_is_nothing),
        cmocka_unit_test(the_last_place_that_any_runner_gave_up_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
