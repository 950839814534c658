/* The table of keys: found by rule, hash and text, also among keys whose hashes are alike. */
#include "../base/support.h"

#include "core/watch_keys.h"

#define KEYS_MAX 400
#define ALIKE    5 /* keys share the lower half of their hash, by fives */
#define TEXT_MAX 16
#define RULES    2
#define TABLE_END                                                                                  \
    1024 /* hashes begin at the end of the table now and then, and go on at its beginning */

struct known {
    struct watch_key *key;
    uint64_t hash;
    char text[TEXT_MAX];
    uint32_t rule;
};

static uint8_t region[4 << 20] __attribute__((aligned(64)));
static struct heap heap;
static struct watch watch;
static struct known known[KEYS_MAX];

static void start(void)
{
    heap_init(&heap, region, sizeof(region));
    watch_init(&watch, &heap, (struct watch_limits){1, 1, sizeof(region)});
    memset(known, 0, sizeof(known));
    for (uint32_t n = 0; n < KEYS_MAX; n++) {
        uint64_t low = n % 2 == 0 ? n / ALIKE : TABLE_END - 1 - n / ALIKE % 4;
        uint64_t high = n % 3 == 0 ? 7 : n; /* some whole hashes are equal */
        known[n].hash = high << 32 | low;
        known[n].rule = n % RULES;
        (void)snprintf(known[n].text, sizeof(known[n].text), "key-%u", n);
    }
}

static struct watch_key *find(const struct known *one)
{
    return watch_key_find(&watch, one->rule, one->hash, bytes_of_string(one->text));
}

static void check_all(void)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < KEYS_MAX; n++) {
        assert_ptr_equal(find(&known[n]), known[n].key);
        const struct watch_place *guess = watch_place_prefetch(&watch, known[n].hash);
        assert_true(known[n].key == NULL || guess != NULL);
        count += known[n].key != NULL;
    }
    assert_int_equal(watch.key_count, count);
}

static void keys_come_and_go_and_are_found_by_all_of_their_hash_and_text(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("watch_keys_test");
    start();
    check_all();
    for (uint32_t step = 0; step < 4000; step++) {
        struct known *one = &known[random_below(&random, KEYS_MAX)];
        if (one->key == NULL) {
            one->key = watch_key_add(&watch, one->rule, one->hash, bytes_of_string(one->text));
            assert_non_null(one->key);
            assert_bytes(watch_key_text(one->key), one->text);
        } else {
            watch_key_settle(&watch, one->key); /* it has nothing, so it goes */
            one->key = NULL;
        }
        if (step % 100 == 0) {
            check_all();
        }
    }
    check_all();
}

static void places_are_taken_again_the_last_one_first(void **state)
{
    (void)state;
    start();
    for (uint32_t n = 0; n < 4; n++) {
        known[n].key =
            watch_key_add(&watch, known[n].rule, known[n].hash, bytes_of_string(known[n].text));
        assert_int_equal(known[n].key->place, n);
    }
    watch_key_settle(&watch, known[1].key);
    watch_key_settle(&watch, known[2].key);
    for (uint32_t n = 4; n < 7; n++) {
        known[n].key =
            watch_key_add(&watch, known[n].rule, known[n].hash, bytes_of_string(known[n].text));
    }
    assert_int_equal(known[4].key->place, 2);
    assert_int_equal(known[5].key->place, 1);
    assert_int_equal(known[6].key->place, 4);
}

static void a_table_without_keys_has_no_guess(void **state)
{
    (void)state;
    start();
    watch_slot_prefetch(&watch, 1);
    assert_null(watch_place_prefetch(&watch, 1));
    assert_null(find(&known[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_and_go_and_are_found_by_all_of_their_hash_and_text),
        cmocka_unit_test(places_are_taken_again_the_last_one_first),
        cmocka_unit_test(a_table_without_keys_has_no_guess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
