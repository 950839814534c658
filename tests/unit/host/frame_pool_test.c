/* Frames of two sizes: a trickle never takes the last large one while there are small ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/frame_pool.h"

#define LARGE_BYTES ((size_t)4 * 1024 * 1024)
#define LITTLE      ((size_t)1000)
#define MUCH        ((size_t)1024 * 1024)

static struct frame_pool pool;

static int start(void **state)
{
    (void)state;
    return frame_pool_init(&pool, LARGE_BYTES) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    frame_pool_deinit(&pool);
    return 0;
}

static struct frame *take(size_t bytes)
{
    struct frame *frame = frame_pool_find(&pool, bytes);
    if (frame != NULL) {
        frame->free = false;
    }
    return frame;
}

static void large_ones_come_first_and_the_last_of_them_last(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < FRAMES_LARGE - 1; n++) {
        assert_int_equal(take(LITTLE)->log.capacity, LARGE_BYTES);
    }
    for (uint32_t n = FRAMES_LARGE; n < FRAMES_MAX; n++) {
        assert_int_equal(take(LITTLE)->log.capacity, FRAME_SMALL_BYTES);
    }
    struct frame *last = frame_pool_find_large(&pool);
    assert_non_null(last);
    assert_ptr_equal(take(LITTLE), last);
    assert_null(take(LITTLE));
    assert_null(frame_pool_find_large(&pool));
    assert_false(frame_pool_all_free(&pool));
}

static void what_needs_a_large_one_finds_it_behind_any_trickle(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < FRAMES_MAX - 1; n++) {
        (void)take(LITTLE);
    }
    assert_int_equal(take(MUCH)->log.capacity, LARGE_BYTES);
    assert_null(take(LITTLE));
    pool.frames[FRAMES_MAX - 1]->free = true;
    assert_null(take(MUCH));
    assert_ptr_equal(take(LITTLE), pool.frames[FRAMES_MAX - 1]);
}

static void where_all_are_small_all_are_alike(void **state)
{
    (void)state;
    frame_pool_deinit(&pool);
    assert_true(frame_pool_init(&pool, 64 * 1024));
    assert_true(frame_pool_all_free(&pool));
    for (uint32_t n = 0; n < FRAMES_MAX; n++) {
        assert_int_equal(take(LITTLE)->log.capacity, 64 * 1024);
    }
    assert_null(take(LITTLE));
    assert_null(frame_pool_find(&pool, 64 * 1024)); /* its header takes a part */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(large_ones_come_first_and_the_last_of_them_last),
        TEST(what_needs_a_large_one_finds_it_behind_any_trickle),
        TEST(where_all_are_small_all_are_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
