#include "support.h"

#include "base/hash.h"

static void the_hash_is_xxh3_on_every_machine(void **state)
{
    (void)state;
    /* Published XXH3-64 values of the empty input. */
    assert_true(hash64(BYTES(""), 0) == 0x2d06800538d394c2U);
    assert_true(hash64((struct bytes){0}, 0) == 0x2d06800538d394c2U);
}

static void the_seed_changes_the_hash(void **state)
{
    (void)state;
    assert_true(hash64(BYTES("tide"), 1) != hash64(BYTES("tide"), 2));
    assert_true(hash64_pair(BYTES("a"), BYTES("b"), 1) != hash64_pair(BYTES("a"), BYTES("b"), 2));
}

static void the_border_of_a_pair_is_part_of_the_key(void **state)
{
    (void)state;
    struct bytes all = BYTES("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    uint64_t seen[31];
    for (size_t i = 0; i <= all.len; i++) {
        seen[i] = hash64_pair(bytes_slice(all, 0, i), bytes_slice(all, i, all.len - i), 7);
        for (size_t j = 0; j < i; j++) {
            assert_true(seen[i] != seen[j]);
        }
    }
    assert_true(hash64_pair(BYTES("x"), BYTES("y"), 7) != hash64_pair(BYTES("y"), BYTES("x"), 7));
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void many_similar_pairs_do_not_collide(void **state)
{
    (void)state;
    enum { SOURCES = 100, IDS = 1000 };
    uint64_t *seen = test_malloc(SOURCES * IDS * sizeof(*seen));
    uint64_t seed = seed_of_run("pairs");
    for (int i = 0; i < SOURCES * IDS; i++) {
        char source[32];
        char id[32];
        int source_len = snprintf(source, sizeof(source), "/airports/%d", i / IDS);
        int id_len = snprintf(id, sizeof(id), "2013-%d", i % IDS);
        seen[i] =
            hash64_pair(bytes_of(source, (size_t)source_len), bytes_of(id, (size_t)id_len), seed);
    }
    qsort(seen, SOURCES * IDS, sizeof(*seen), compare_u64);
    for (int i = 1; i < SOURCES * IDS; i++) {
        assert_true(seen[i] != seen[i - 1]);
    }
    test_free(seen);
}

static void mixing_a_number_in_spreads_over_all_bits(void **state)
{
    (void)state;
    uint64_t ones = 0;
    uint64_t zeros = 0;
    for (uint64_t i = 0; i < 64; i++) {
        uint64_t hash = hash64_mix(12345, i);
        ones |= hash;
        zeros |= ~hash;
        assert_true(hash != hash64_mix(12345, i + 1));
    }
    assert_true(ones == UINT64_MAX);
    assert_true(zeros == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_xxh3_on_every_machine),
        cmocka_unit_test(the_seed_changes_the_hash),
        cmocka_unit_test(the_border_of_a_pair_is_part_of_the_key),
        cmocka_unit_test(many_similar_pairs_do_not_collide),
        cmocka_unit_test(mixing_a_number_in_spreads_over_all_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
