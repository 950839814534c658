/* Rows against a naive table. */
#include "../base/support.h"

#include "base/hash.h"
#include "core/rows.h"

#define REGION_BYTES ((size_t)64 << 20)

static struct heap heap;
static void *region;

static int open_heap(void **state)
{
    (void)state;
    region = aligned_alloc(64, REGION_BYTES);
    if (region == NULL) {
        return -1;
    }
    heap_init(&heap, region, REGION_BYTES);
    return 0;
}

static int close_heap(void **state)
{
    (void)state;
    free(region);
    return 0;
}

static uint64_t hash_of(struct bytes key)
{
    return hash64(key, 7);
}

static struct row *find(const struct rows *rows, struct bytes key)
{
    return rows_find(rows, key, hash_of(key));
}

static struct row *add(struct rows *rows, struct bytes key)
{
    return rows_add(rows, key, hash_of(key));
}

/* The nth key; of many lengths, among them 0 (n = 0). */
static struct bytes key_of(uint32_t n)
{
    static uint8_t memory[ROW_KEY_MAX + 8];
    size_t len = n == 0 ? 0 : n % 1000 == 0 ? sizeof(memory) : 4 + n % 29;
    memset(memory, (int)(n % 251), len);
    for (size_t i = 0; i < 4 && i < len; i++) {
        memory[i] = (uint8_t)(n >> (8 * i));
    }
    return bytes_of(memory, len);
}

static uint64_t *counter(struct row *row)
{
    return (uint64_t *)(void *)row->accumulators;
}

static void a_hundred_thousand_keys_keep_their_own_counts(void **state)
{
    (void)state;
    static uint64_t counts[100000];
    static uint32_t order[100000];
    uint64_t random = seed_of_run("keys");
    struct rows rows;
    uint32_t added = 0;
    memset(counts, 0, sizeof(counts));
    rows_init(&rows, &heap, 16);
    for (uint32_t round = 0; round < 400000; round++) {
        uint32_t n = (uint32_t)random_below(&random, 100000);
        struct bytes key = key_of(n);
        struct row *row = find(&rows, key);
        assert_int_equal(row != NULL, counts[n] != 0);
        if (row == NULL) {
            row = add(&rows, key);
            assert_non_null(row);
            assert_int_equal(counter(row)[0] + counter(row)[1] + row->revision + row->flags, 0);
            order[added++] = n;
        }
        assert_true(bytes_equal(row_key(&rows, row), key));
        counter(row)[0]++;
        counter(row)[1] += n;
        counts[n]++;
    }
    rows_validate(&rows);
    assert_int_equal(rows.row_count, added);
    struct rows_cursor cursor = {0};
    uint32_t walked = 0;
    for (struct row *row; (row = rows_next(&rows, &cursor)) != NULL;) {
        uint32_t n = order[walked++]; /* they come as they arrived */
        assert_true(bytes_equal(row_key(&rows, row), key_of(n)));
        assert_true(counter(row)[0] == counts[n]);
        assert_true(counter(row)[1] == counts[n] * n);
    }
    assert_int_equal(walked, added);
    rows_deinit(&rows);
    heap_validate(&heap);
    assert_int_equal(heap.used_bytes, 0);
}

static void every_step_of_a_small_table_is_valid(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("small tables");
    for (uint32_t round = 0; round < 60; round++) {
        struct rows rows;
        rows_init(&rows, &heap, (uint32_t)random_below(&random, 20) * 8);
        bool there[300] = {false};
        for (uint32_t step = 0; step < 200; step++) {
            uint32_t n = (uint32_t)random_below(&random, 300);
            assert_int_equal(find(&rows, key_of(n)) != NULL, there[n]);
            if (!there[n]) {
                assert_non_null(add(&rows, key_of(n)));
                there[n] = true;
            }
            if (random_below(&random, 100) == 0) {
                rows_clear(&rows);
                memset(there, 0, sizeof(there));
                struct rows_cursor cursor = {0};
                assert_null(rows_next(&rows, &cursor));
            }
            rows_validate(&rows);
        }
        rows_deinit(&rows);
        rows_validate(&rows);
        assert_int_equal(heap.used_bytes, 0);
    }
}

/* All hashes alike: slots and tags say nothing, only the keys do. */
static void keys_of_one_hash_are_told_apart(void **state)
{
    (void)state;
    static const uint64_t hashes[] = {0, UINT64_MAX, UINT64_C(0xffffffff) << 32, 5};
    for (size_t n = 0; n < sizeof(hashes) / sizeof(hashes[0]); n++) {
        struct rows rows;
        rows_init(&rows, &heap, 8);
        for (uint32_t i = 0; i < 300; i++) {
            assert_null(rows_find(&rows, key_of(i), hashes[n]));
            struct row *row = rows_add(&rows, key_of(i), hashes[n]);
            assert_non_null(row);
            *counter(row) = i;
        }
        for (uint32_t i = 0; i < 300; i++) {
            assert_int_equal(*counter(rows_find(&rows, key_of(i), hashes[n])), i);
        }
        rows_validate(&rows);
        rows_deinit(&rows);
    }
}

static void rows_without_accumulators_or_keys_are_rows(void **state)
{
    (void)state;
    struct rows rows;
    struct bytes none = {0};
    rows_init(&rows, &heap, 0);
    assert_null(find(&rows, none));
    struct row *row = add(&rows, none);
    assert_non_null(row);
    assert_ptr_equal(find(&rows, none), row);
    assert_int_equal(row_key(&rows, row).len, 0);
    assert_null(find(&rows, BYTES("a")));
    rows_validate(&rows);
    rows_deinit(&rows);
}

static void keys_up_to_the_longest_fit_whatever_the_accumulators(void **state)
{
    (void)state;
    static uint8_t key[ROW_KEY_MAX + 8];
    for (uint32_t accumulators = 0; accumulators <= 2560; accumulators += 8) {
        struct rows rows;
        rows_init(&rows, &heap, accumulators);
        struct row *row = add(&rows, bytes_of(key, sizeof(key)));
        assert_non_null(row);
        memset(row->accumulators, 0xff, accumulators);
        assert_non_null(add(&rows, bytes_of(key, sizeof(key) - 1)));
        assert_non_null(add(&rows, bytes_of(key, 0)));
        assert_ptr_equal(find(&rows, bytes_of(key, sizeof(key))), row);
        rows_validate(&rows);
        rows_deinit(&rows);
        assert_int_equal(heap.used_bytes, 0);
    }
}

static void a_row_stays_where_it_is(void **state)
{
    (void)state;
    static struct row *places[5000];
    struct rows rows;
    rows_init(&rows, &heap, 8);
    for (uint32_t n = 0; n < 5000; n++) {
        places[n] = add(&rows, key_of(n));
        assert_int_equal((uintptr_t)places[n] % 8, 0);
    }
    for (uint32_t n = 0; n < 5000; n++) {
        assert_ptr_equal(find(&rows, key_of(n)), places[n]);
    }
    rows_deinit(&rows);
}

static void a_cleared_table_takes_no_new_memory_for_the_same_again(void **state)
{
    (void)state;
    struct rows rows;
    rows_init(&rows, &heap, 24);
    size_t used = 0;
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t n = 0; n < 3000; n++) {
            assert_null(find(&rows, key_of(n)));
            struct row *row = add(&rows, key_of(n));
            assert_non_null(row);
            assert_int_equal(*counter(row), 0); /* nothing of the round before */
            *counter(row) = n + 1;
        }
        assert_true(round == 0 || heap.used_bytes == used);
        used = heap.used_bytes;
        rows_clear(&rows);
        rows_validate(&rows);
        assert_int_equal(rows.row_count, 0);
        assert_null(find(&rows, key_of(3)));
    }
    rows_deinit(&rows);
    assert_int_equal(heap.used_bytes, 0);
}

static void a_burst_does_not_keep_its_memory_for_ever(void **state)
{
    (void)state;
    struct rows rows;
    rows_init(&rows, &heap, 8);
    for (uint32_t n = 0; n < 50000; n++) {
        assert_non_null(add(&rows, key_of(n)));
    }
    rows_clear(&rows);
    size_t burst = heap.used_bytes;
    assert_non_null(add(&rows, key_of(1)));
    rows_clear(&rows);
    assert_true(heap.used_bytes < burst / 100);
    assert_non_null(add(&rows, key_of(1)));
    rows_validate(&rows);
    rows_deinit(&rows);
    assert_int_equal(heap.used_bytes, 0);
}

/* Heaps of every size: what was added stays, what finds no room says so, again and again. */
static void a_table_whose_memory_runs_out_stays_valid(void **state)
{
    (void)state;
    uint8_t *small = aligned_alloc(64, 65536);
    assert_non_null(small);
    uint32_t most = 0;
    for (size_t bytes = 64; bytes <= 65536; bytes += 192) {
        struct heap own;
        struct rows rows;
        heap_init(&own, small, bytes);
        rows_init(&rows, &own, 40);
        uint32_t added = 0;
        while (added < 2000 && add(&rows, key_of(added)) != NULL) {
            added++;
        }
        rows_validate(&rows);
        if (added < 2000) {
            assert_null(add(&rows, key_of(added)));
        }
        assert_int_equal(rows.row_count, added);
        for (uint32_t n = 0; n < added; n++) {
            assert_non_null(find(&rows, key_of(n)));
        }
        assert_true(added == 2000 || find(&rows, key_of(added)) == NULL);
        rows_validate(&rows);
        rows_clear(&rows);
        for (uint32_t n = 0; n < added; n++) {
            assert_non_null(add(&rows, key_of(n)));
        }
        rows_validate(&rows);
        rows_deinit(&rows);
        heap_validate(&own);
        assert_int_equal(own.used_bytes, 0);
        most = added > most ? added : most;
    }
    assert_true(most > 300);
    free(small);
}

static struct rows doomed;

static void add_too_long(void)
{
    static uint8_t key[ROW_KEY_MAX + 9];
    (void)add(&doomed, bytes_of(key, sizeof(key)));
}

static void a_key_beyond_the_longest_is_a_bug(void **state)
{
    (void)state;
    rows_init(&doomed, &heap, 8);
    assert_true(dies(add_too_long));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_hundred_thousand_keys_keep_their_own_counts, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            every_step_of_a_small_table_is_valid, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(keys_of_one_hash_are_told_apart, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            rows_without_accumulators_or_keys_are_rows, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            keys_up_to_the_longest_fit_whatever_the_accumulators, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(a_row_stays_where_it_is, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_cleared_table_takes_no_new_memory_for_the_same_again, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_burst_does_not_keep_its_memory_for_ever, open_heap, close_heap),
        cmocka_unit_test(a_table_whose_memory_runs_out_stays_valid),
        cmocka_unit_test_setup_teardown(a_key_beyond_the_longest_is_a_bug, open_heap, close_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
