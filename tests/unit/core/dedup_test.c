/* Deduplication against a naive set.
 *
 * What must always hold, whatever is forgotten: once a fingerprint was admitted as new, it is never
 * new again as long as it comes with the same time; and one that was never admitted is never said
 * to have been seen. */
#include "../base/support.h"

#include "base/hash.h"
#include "core/dedup.h"
#include "model/clock.h"

#define REGION_BYTES ((size_t)64 << 20)
#define KEYS         20000

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

static uint64_t fingerprint_of(uint32_t key)
{
    return hash64_mix(key, 12345);
}

static void nothing_is_forgotten_while_there_is_room(void **state)
{
    (void)state;
    static bool seen[KEYS];
    uint64_t random = seed_of_run("exactness");
    struct dedup dedup;
    uint64_t count = 0;
    memset(seen, 0, sizeof(seen));
    dedup_init(&dedup, &heap, (struct dedup_limits){(size_t)32 << 20, US_PER_HOUR});
    for (uint32_t round = 0; round < 100000; round++) {
        uint32_t key = (uint32_t)random_below(&random, KEYS);
        /* Rising on the whole, so that generations are cut; a repetition has another time. */
        int64_t time = (int64_t)round * 100000 - (int64_t)random_below(&random, 60000000);
        enum dedup_outcome outcome = dedup_admit(&dedup, fingerprint_of(key), time);
        assert_int_equal(outcome, seen[key] ? DEDUP_SEEN : DEDUP_NEW);
        count += !seen[key];
        seen[key] = true;
    }
    assert_true(dedup.generation_count > 3);
    assert_int_equal(dedup_count(&dedup), count);
    assert_int_equal(dedup.evicted, 0);
    assert_true(dedup.floor == INT64_MIN);
    dedup_validate(&dedup);
}

static void extreme_times_and_fingerprints_are_taken(void **state)
{
    (void)state;
    static const int64_t times[] = {INT64_MIN, -1, 0, INT64_MAX - 1, INT64_MAX, INT64_MIN};
    struct dedup dedup;
    dedup_init(&dedup, &heap, (struct dedup_limits){(size_t)1 << 20, 1});
    for (uint32_t n = 0; n < 6; n++) {
        assert_int_equal(dedup_admit(&dedup, UINT64_MAX - n, times[n]), DEDUP_NEW);
        assert_int_equal(dedup_admit(&dedup, UINT64_MAX - n, times[n]), DEDUP_SEEN);
        dedup_validate(&dedup);
    }
    assert_int_equal(dedup_admit(&dedup, 0, 5), DEDUP_NEW); /* 0 is a fingerprint like others */
    assert_int_equal(dedup_admit(&dedup, 0, 5), DEDUP_SEEN);
    dedup_validate(&dedup);
}

/* What a random run remembers of a key. */
struct known {
    int64_t time;
    bool admitted;
};

static struct known known[KEYS];

static int64_t time_of(uint32_t key)
{
    return (int64_t)key * US_PER_SECOND;
}

/* One event of a stream that moves along the keys, with repetitions from far behind. */
static void admit_one(struct dedup *dedup, uint64_t *random, uint32_t front)
{
    uint32_t reach = random_below(random, 4) == 0 ? front : (front < 50 ? front : 50);
    uint32_t key = front - (uint32_t)random_below(random, reach + 1);
    int64_t floor = dedup->floor;
    enum dedup_outcome outcome = dedup_admit(dedup, fingerprint_of(key), time_of(key));
    assert_true(dedup->floor >= floor);
    switch (outcome) {
    case DEDUP_NEW:
        assert_false(known[key].admitted);
        assert_true(time_of(key) >= floor);
        known[key].admitted = true;
        break;
    case DEDUP_SEEN:
        assert_true(known[key].admitted);
        break;
    case DEDUP_UNVERIFIABLE:
        break; /* but see nothing_is_unverifiable_without_a_reason */
    }
}

static void nothing_is_new_twice_whatever_is_forgotten(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("forgetting");
    uint64_t evicted = 0;
    for (uint32_t round = 0; round < 30; round++) {
        struct heap own;
        struct dedup dedup;
        heap_init(&own, region, (size_t)96 * 1024 + random_below(&random, 400000) / 64 * 64);
        dedup_init(
            &dedup,
            &own,
            (struct dedup_limits){8192 + random_below(&random, 200000),
                                  (int64_t)(1 + random_below(&random, 2000)) * US_PER_SECOND});
        memset(known, 0, sizeof(known));
        for (uint32_t step = 0; step < 10000; step++) {
            admit_one(&dedup, &random, step);
            if (random_below(&random, 200) == 0) {
                int64_t keep = (int64_t)random_below(&random, 500) * US_PER_SECOND;
                dedup_expire(&dedup, time_of(step) - US_PER_MINUTE, keep);
                dedup_validate(&dedup);
            }
        }
        heap_validate(&own);
        evicted += dedup.evicted;
    }
    assert_true(evicted > 0);
}

static void nothing_is_unverifiable_without_a_reason(void **state)
{
    (void)state;
    struct dedup dedup;
    dedup_init(&dedup, &heap, (struct dedup_limits){65536, US_PER_HOUR});
    for (uint32_t key = 0; key < KEYS; key++) {
        int64_t floor = dedup.floor;
        enum dedup_outcome outcome = dedup_admit(&dedup, fingerprint_of(key), time_of(key));
        assert_int_equal(outcome, DEDUP_NEW);
        if (key > 0 && time_of(key - 1) >= floor) {
            outcome = dedup_admit(&dedup, fingerprint_of(key - 1), time_of(key - 1));
            assert_int_equal(outcome,
                             time_of(key - 1) < dedup.floor ? DEDUP_UNVERIFIABLE : DEDUP_SEEN);
        }
    }
    assert_true(dedup.evicted > 0);
    /* A good part of the budget is in use: what it holds can be verified. */
    assert_true(dedup_count(&dedup) > 65536 / 16 / 4);
}

static void the_budget_holds_when_time_goes_on(void **state)
{
    (void)state;
    struct dedup dedup;
    size_t budget = 256 * 1024;
    dedup_init(&dedup, &heap, (struct dedup_limits){budget, US_PER_DAY});
    for (uint32_t key = 0; key < 200000; key++) {
        (void)dedup_admit(&dedup, fingerprint_of(key), (int64_t)key);
        assert_true(dedup.bytes <= budget);
        assert_true(dedup.generation_count <= DEDUP_GENERATIONS_MAX);
    }
    assert_true(dedup.evicted > 10);
    dedup_validate(&dedup);
}

static void a_generation_goes_only_when_the_watermark_left_it_behind(void **state)
{
    (void)state;
    struct dedup dedup;
    dedup_init(&dedup, &heap, (struct dedup_limits){(size_t)1 << 20, US_PER_HOUR});
    for (uint32_t key = 0; key < 4 * 3600; key++) {
        assert_int_equal(dedup_admit(&dedup, fingerprint_of(key), time_of(key)), DEDUP_NEW);
    }
    uint32_t generations = dedup.generation_count;
    assert_true(generations > 4);
    dedup_expire(&dedup, WATERMARK_NONE, 0);
    dedup_expire(&dedup, 0, 0);
    assert_int_equal(dedup.generation_count, generations);
    for (int64_t second = 0; second < 8 * 3600; second += 60) {
        int64_t watermark = second * US_PER_SECOND;
        int64_t keep = second % 120 == 0 ? 0 : 2 * US_PER_HOUR;
        int64_t end = dedup.generations[0]->end;
        dedup_expire(&dedup, watermark, keep);
        int64_t reach = keep > US_PER_HOUR ? keep : US_PER_HOUR;
        assert_true(dedup.floor == INT64_MIN || dedup.floor + US_PER_HOUR < watermark);
        if (keep != 0 && time_add(end, reach) >= watermark) {
            assert_int_equal(dedup.generations[0]->end, end);
        }
        dedup_validate(&dedup);
    }
    assert_int_equal(dedup.generation_count, 1); /* the open one stays for ever */
    assert_int_equal(dedup.evicted, 0);
    assert_int_equal(dedup_admit(&dedup, fingerprint_of(1), time_of(1)), DEDUP_UNVERIFIABLE);
    uint32_t last = 4 * 3600 - 1;
    assert_int_equal(dedup_admit(&dedup, fingerprint_of(last), time_of(last)), DEDUP_SEEN);
}

static void a_final_watermark_forgets(void)
{
    struct dedup dedup;
    dedup_init(&dedup, &heap, (struct dedup_limits){1000, 1000});
    dedup_expire(&dedup, WATERMARK_FINAL, 0);
}

static void a_final_watermark_is_no_reason_to_forget(void **state)
{
    (void)state;
    assert_true(dies(a_final_watermark_forgets));
}

/* When there is no memory for a new generation, the open one goes on. */
static void a_new_generation_without_memory_costs_no_events(void **state)
{
    (void)state;
    struct heap own;
    struct dedup dedup;
    heap_init(&own, region, (size_t)64 * 1024);
    dedup_init(&dedup, &own, (struct dedup_limits){(size_t)1 << 20, US_PER_MINUTE});
    for (uint32_t key = 0; key < 500; key++) {
        assert_int_equal(dedup_admit(&dedup, fingerprint_of(key), 0), DEDUP_NEW);
    }
    void *taken[64];
    uint32_t count = 0;
    for (size_t size = 16384; size >= 1024; size /= 2) {
        while (count < 64 && (taken[count] = heap_alloc(&own, size)) != NULL) {
            count++;
        }
    }
    uint32_t admitted = 0;
    for (uint32_t key = 500; key < 600; key++) {
        admitted +=
            dedup_admit(&dedup, fingerprint_of(key), US_PER_HOUR + time_of(key)) == DEDUP_NEW;
    }
    assert_true(admitted > 0);
    dedup_validate(&dedup);
}

/* --- saved bytes --- */

struct saved {
    uint8_t data[4 << 20];
    size_t len;
    size_t at;
};

static struct saved saved;

static void saved_flush(void *ctx, struct bytes part)
{
    struct saved *own = ctx;
    assert_true(part.len <= sizeof(own->data) - own->len);
    memcpy(own->data + own->len, part.data, part.len);
    own->len += part.len;
}

static bool saved_read(void *ctx, void *into, size_t len)
{
    struct saved *own = ctx;
    if (len > own->len - own->at) {
        return false;
    }
    memcpy(into, own->data + own->at, len);
    own->at += len;
    return true;
}

static uint64_t save(const struct dedup *dedup, bool digest)
{
    static uint8_t memory[4096];
    struct writer writer = {.buf = buf_of(memory, sizeof(memory)),
                            .flush = saved_flush,
                            .ctx = &saved,
                            .digest = digest};
    saved.len = 0;
    saved.at = 0;
    dedup_save(dedup, &writer);
    writer_flush(&writer);
    return hash64(bytes_of(saved.data, saved.len), 0);
}

static void what_was_saved_comes_back_and_goes_on_alike(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("save and load");
    for (uint32_t round = 0; round < 20; round++) {
        struct dedup dedup;
        struct dedup back;
        struct dedup_limits limits = {8192 + random_below(&random, 100000), 300 * US_PER_SECOND};
        dedup_init(&dedup, &heap, limits);
        dedup_init(&back, &heap, limits);
        memset(known, 0, sizeof(known));
        uint32_t middle = (uint32_t)random_below(&random, 6000);
        for (uint32_t step = 0; step < middle; step++) {
            admit_one(&dedup, &random, step);
        }
        uint64_t digest = save(&dedup, true);
        (void)save(&dedup, false);
        struct loader loader = {.read = saved_read, .ctx = &saved};
        assert_true(dedup_load(&back, &loader));
        assert_int_equal(saved.at, saved.len);
        dedup_validate(&back);
        assert_true(back.sum == dedup.sum);
        assert_true(back.bytes == dedup.bytes);
        assert_true(save(&back, true) == digest);
        for (uint32_t step = middle; step < middle + 3000; step++) {
            uint32_t key = step - (uint32_t)random_below(&random, 60) % (step + 1);
            assert_int_equal(dedup_admit(&dedup, fingerprint_of(key), time_of(key)),
                             dedup_admit(&back, fingerprint_of(key), time_of(key)));
        }
        assert_true(save(&back, true) == save(&dedup, true));
        heap_init(&heap, region, REGION_BYTES);
    }
}

static void truncated_bytes_do_not_load(void **state)
{
    (void)state;
    struct dedup dedup;
    dedup_init(&dedup, &heap, (struct dedup_limits){100000, US_PER_HOUR});
    for (uint32_t key = 0; key < 40; key++) {
        (void)dedup_admit(&dedup, fingerprint_of(key), time_of(key) * 100);
    }
    (void)save(&dedup, false);
    size_t whole = saved.len;
    for (size_t len = 0; len < whole; len++) {
        struct heap own;
        heap_init(&own, (uint8_t *)region + REGION_BYTES / 2, (size_t)1 << 20);
        struct dedup back;
        dedup_init(&back, &own, (struct dedup_limits){100000, US_PER_HOUR});
        struct loader loader = {.read = saved_read, .ctx = &saved};
        saved.len = len;
        saved.at = 0;
        assert_false(dedup_load(&back, &loader));
    }
}

static void garbled_bytes_are_survived(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("garbled");
    struct dedup dedup;
    dedup_init(&dedup, &heap, (struct dedup_limits){100000, US_PER_HOUR});
    for (uint32_t key = 0; key < 40; key++) {
        (void)dedup_admit(&dedup, fingerprint_of(key), time_of(key) * 100);
    }
    for (uint32_t round = 0; round < 3000; round++) {
        struct heap own;
        heap_init(&own, (uint8_t *)region + REGION_BYTES / 2, (size_t)1 << 20);
        struct dedup back;
        dedup_init(&back, &own, (struct dedup_limits){100000, US_PER_HOUR});
        (void)save(&dedup, false);
        saved.data[random_below(&random, saved.len)] = (uint8_t)random_next(&random);
        struct loader loader = {.read = saved_read, .ctx = &saved};
        (void)dedup_load(&back, &loader);
        heap_validate(&own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            nothing_is_forgotten_while_there_is_room, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            extreme_times_and_fingerprints_are_taken, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            nothing_is_new_twice_whatever_is_forgotten, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            nothing_is_unverifiable_without_a_reason, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(the_budget_holds_when_time_goes_on, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_generation_goes_only_when_the_watermark_left_it_behind, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_final_watermark_is_no_reason_to_forget, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_new_generation_without_memory_costs_no_events, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            what_was_saved_comes_back_and_goes_on_alike, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(truncated_bytes_do_not_load, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(garbled_bytes_are_survived, open_heap, close_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
