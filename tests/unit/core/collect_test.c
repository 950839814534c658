/* The state machine under its library: memory that fails or is limited, and its invariants. What
 * windows come out of it is in tests/unit/library. */
#include "core/collect.h"

#include "../base/support.h"

/* Memory that counts, and fails once `fail_in` more requests were granted. */
struct counted {
    size_t bytes;
    size_t blocks;
    uint64_t requests;
    uint64_t fail_in; /* UINT64_MAX = never */
};

static void *counted_allocate(void *ctx, size_t size_bytes)
{
    struct counted *counted = ctx;
    if (counted->requests == counted->fail_in) {
        return NULL;
    }
    counted->requests++;
    counted->bytes += size_bytes;
    counted->blocks++;
    return malloc(size_bytes);
}

static void counted_release(void *ctx, void *block, size_t size_bytes)
{
    struct counted *counted = ctx;
    assert_non_null(block);
    assert_true(counted->bytes >= size_bytes);
    counted->bytes -= size_bytes;
    counted->blocks--;
    memset(block, 0xdd, size_bytes);
    free(block);
}

static struct collect_memory memory_of(struct counted *counted)
{
    return (struct collect_memory){counted_allocate, counted_release, counted};
}

static const uint32_t TWO[] = {7, 4000000000};

static struct collect_settings settings(size_t limit_bytes)
{
    return (struct collect_settings){
        .partitions = TWO,
        .partition_count = 2,
        .window_size = 60,
        .limit_bytes = limit_bytes,
    };
}

static struct collect *made(struct counted *counted, size_t limit_bytes)
{
    *counted = (struct counted){.fail_in = UINT64_MAX};
    struct collect *collect = NULL;
    struct collect_settings chosen = settings(limit_bytes);
    assert_int_equal(collect_create(&collect, &chosen, memory_of(counted)), COLLECT_OK);
    collect_validate(collect);
    return collect;
}

static void assert_all_given_back(struct collect *collect, const struct counted *counted)
{
    collect_destroy(collect);
    assert_int_equal(counted->bytes, 0);
    assert_int_equal(counted->blocks, 0);
}

/* Takes all windows that are ready; returns how many events they had. */
static size_t take_all(struct collect *collect)
{
    size_t count = 0;
    struct collect_window window;
    while (collect_take(collect, &window)) {
        count += window.event_count;
        collect_release(collect);
        collect_validate(collect);
    }
    assert_false(collect_ready(collect));
    return count;
}

static void settings_out_of_range_are_refused(void **state)
{
    (void)state;
    static const uint32_t twice[] = {1, 2, 1};
    struct collect_settings bad[5];
    for (size_t n = 0; n < 5; n++) {
        bad[n] = settings(SIZE_MAX);
    }
    bad[0].partitions = NULL;
    bad[1].partition_count = 0;
    bad[2].window_size = 0;
    bad[3].partition_count = COLLECT_PARTITIONS_MAX + 1;
    bad[4].partitions = twice;
    bad[4].partition_count = 3;
    for (size_t n = 0; n < 5; n++) {
        struct counted counted = {.fail_in = UINT64_MAX};
        struct collect *collect = NULL;
        assert_int_equal(collect_create(&collect, &bad[n], memory_of(&counted)), COLLECT_INVALID);
        assert_null(collect);
        assert_int_equal(counted.blocks, 0);
    }
}

static void every_allocation_of_create_may_fail(void **state)
{
    (void)state;
    enum collect_outcome outcome = COLLECT_NO_MEMORY;
    uint64_t fail_in = 0;
    for (; outcome != COLLECT_OK; fail_in++) {
        struct counted counted = {.fail_in = fail_in};
        struct collect *collect = NULL;
        struct collect_settings chosen = settings(SIZE_MAX);
        outcome = collect_create(&collect, &chosen, memory_of(&counted));
        assert_true(outcome == COLLECT_OK || outcome == COLLECT_NO_MEMORY);
        assert_all_given_back(collect, &counted);
    }
    assert_true(fail_in > 3);
}

static void a_limit_below_the_partitions_is_full(void **state)
{
    (void)state;
    enum collect_outcome outcome = COLLECT_FULL;
    size_t limit_bytes = 0;
    for (; outcome != COLLECT_OK; limit_bytes++) {
        struct counted counted = {.fail_in = UINT64_MAX};
        struct collect *collect = NULL;
        struct collect_settings chosen = settings(limit_bytes);
        outcome = collect_create(&collect, &chosen, memory_of(&counted));
        assert_true(outcome == COLLECT_OK || outcome == COLLECT_FULL);
        if (outcome == COLLECT_OK) {
            assert_int_equal(collect_used_bytes(collect), limit_bytes);
        }
        assert_all_given_back(collect, &counted);
    }
    assert_true(limit_bytes > 100);
}

static void every_allocation_of_ingest_may_fail_and_changes_nothing(void **state)
{
    (void)state;
    struct counted counted;
    struct collect *collect = made(&counted, SIZE_MAX);
    static const uint8_t data[3000] = {1};
    size_t refused = 0;
    size_t accepted = 0;
    for (size_t n = 0; n < 200; n++) {
        int64_t timestamp = (int64_t)(n * 7 % 1000);
        size_t len = n * 41 % sizeof(data);
        enum collect_outcome outcome = COLLECT_NO_MEMORY;
        for (uint64_t granted = 0; outcome != COLLECT_OK; granted++) {
            size_t used_bytes = collect_used_bytes(collect);
            counted.fail_in = counted.requests + granted;
            outcome = collect_ingest(collect, 7, timestamp, data, len);
            counted.fail_in = UINT64_MAX;
            collect_validate(collect);
            if (outcome != COLLECT_OK) {
                assert_int_equal(outcome, COLLECT_NO_MEMORY);
                assert_int_equal(collect_used_bytes(collect), used_bytes);
                /* What was granted before the failure went back. */
                assert_int_equal(counted.bytes, used_bytes);
                counted.requests = 0;
                refused++;
            }
        }
        accepted++;
    }
    assert_true(refused > 40);
    assert_int_equal(collect_advance(collect, 7, INT64_MAX), COLLECT_OK);
    assert_int_equal(collect_advance(collect, 4000000000, INT64_MAX), COLLECT_OK);
    counted.fail_in = counted.requests; /* taking windows asks for no memory */
    assert_int_equal(take_all(collect), accepted);
    assert_all_given_back(collect, &counted);
}

static void the_limit_holds_and_taking_windows_makes_room(void **state)
{
    (void)state;
    struct counted counted;
    struct collect *collect = made(&counted, 20000);
    static const uint8_t data[20000] = {1};
    size_t len = 100;
    size_t empty_bytes = collect_used_bytes(collect);
    for (int64_t round = 0; round < 50; round++) {
        size_t accepted = 0;
        while (collect_ingest(collect, 7, round * 60, data, len) == COLLECT_OK) {
            accepted++;
            assert_true(counted.bytes <= 20000);
            assert_int_equal(counted.bytes, collect_used_bytes(collect));
        }
        size_t full_bytes = collect_used_bytes(collect);
        assert_int_equal(collect_ingest(collect, 7, round * 60, data, len), COLLECT_FULL);
        assert_int_equal(collect_ingest(collect, 7, round * 60, data, SIZE_MAX), COLLECT_FULL);
        assert_int_equal(collect_ingest(collect, 7, round * 60 + 600000, data, sizeof(data)),
                         COLLECT_FULL);
        assert_int_equal(collect_used_bytes(collect), full_bytes);
        collect_validate(collect);
        assert_true(accepted > 50);
        assert_int_equal(collect_advance(collect, 7, (round + 1) * 60), COLLECT_OK);
        assert_int_equal(collect_advance(collect, 4000000000, (round + 1) * 60), COLLECT_OK);
        assert_int_equal(take_all(collect), accepted);
        assert_int_equal(collect_used_bytes(collect), empty_bytes);
    }
    assert_all_given_back(collect, &counted);
}

static void a_taken_window_goes_with_the_rest_at_the_end(void **state)
{
    (void)state;
    struct counted counted;
    struct collect *collect = made(&counted, SIZE_MAX);
    for (int64_t n = 0; n < 100; n++) {
        assert_int_equal(collect_ingest(collect, 7, n * 10, "x", 1), COLLECT_OK);
    }
    assert_int_equal(collect_advance(collect, 7, 500), COLLECT_OK);
    assert_int_equal(collect_advance(collect, 4000000000, 500), COLLECT_OK);
    struct collect_window window;
    assert_true(collect_take(collect, &window));
    assert_all_given_back(collect, &counted);
}

static void ingest_while_a_window_is_taken(void)
{
    struct counted counted;
    struct collect *collect = made(&counted, SIZE_MAX);
    (void)collect_ingest(collect, 7, 1, NULL, 0);
    (void)collect_advance(collect, 7, 60);
    (void)collect_advance(collect, 4000000000, 60);
    struct collect_window window;
    if (collect_take(collect, &window)) {
        (void)collect_ingest(collect, 7, 100, NULL, 0);
    }
}

static void release_what_was_not_taken(void)
{
    struct counted counted;
    collect_release(made(&counted, SIZE_MAX));
}

static void misuse_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies(ingest_while_a_window_is_taken));
    assert_true(dies(release_what_was_not_taken));
}

static void the_watermark_is_the_lowest_of_many_partitions(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("collect");
    for (size_t count = 1; count <= 40; count++) {
        uint32_t ids[40];
        int64_t marks[40];
        for (size_t n = 0; n < count; n++) {
            ids[n] = (uint32_t)(n * 2654435761U);
            marks[n] = INT64_MIN;
        }
        struct counted counted = {.fail_in = UINT64_MAX};
        struct collect *collect = NULL;
        struct collect_settings chosen = settings(SIZE_MAX);
        chosen.partitions = ids;
        chosen.partition_count = count;
        assert_int_equal(collect_create(&collect, &chosen, memory_of(&counted)), COLLECT_OK);
        for (size_t step = 0; step < 20 * count; step++) {
            size_t n = random_below(&seed, count);
            int64_t to = (int64_t)random_below(&seed, 1000) - 500;
            enum collect_outcome outcome = collect_advance(collect, ids[n], to);
            assert_int_equal(outcome, to < marks[n] ? COLLECT_BACKWARDS : COLLECT_OK);
            marks[n] = to < marks[n] ? marks[n] : to;
            int64_t lowest = INT64_MAX;
            for (size_t other = 0; other < count; other++) {
                lowest = marks[other] < lowest ? marks[other] : lowest;
            }
            assert_true(collect_watermark(collect) == lowest);
            collect_validate(collect);
        }
        assert_all_given_back(collect, &counted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_out_of_range_are_refused),
        cmocka_unit_test(every_allocation_of_create_may_fail),
        cmocka_unit_test(a_limit_below_the_partitions_is_full),
        cmocka_unit_test(every_allocation_of_ingest_may_fail_and_changes_nothing),
        cmocka_unit_test(the_limit_holds_and_taking_windows_makes_room),
        cmocka_unit_test(a_taken_window_goes_with_the_rest_at_the_end),
        cmocka_unit_test(misuse_is_a_bug),
        cmocka_unit_test(the_watermark_is_the_lowest_of_many_partitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
