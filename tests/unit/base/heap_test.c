#include "support.h"

#include "base/heap.h"

#define REGION_BYTES (1 << 20)

static _Alignas(64) uint8_t region[REGION_BYTES];

static void class_sizes_lose_no_more_than_promised(void **state)
{
    (void)state;
    assert_int_equal(heap_class_size(0), 16);
    assert_int_equal(heap_class_size(64), 64);
    assert_int_equal(heap_class_size(65), 128);
    assert_int_equal(heap_class_size(256), 256);
    assert_int_equal(heap_class_size(257), 320);
    size_t previous = 0;
    for (size_t size = 1; size < 100000; size++) {
        size_t bytes = heap_class_size(size);
        assert_true(bytes >= size);
        assert_true(bytes >= previous);
        assert_int_equal(bytes % (size >= 64 ? 64 : 16), 0);
        assert_int_equal(heap_class_size(bytes), bytes);
        if (size > 256) {
            assert_true((bytes - size) * 5 <= bytes);
        }
        previous = bytes;
    }
}

static void blocks_are_aligned(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, region, sizeof(region));
    for (size_t size = 1; size < 700; size += 7) {
        void *block = heap_alloc(&heap, size);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % (size >= 64 ? 64 : 16), 0);
    }
    heap_validate(&heap);
}

static void a_freed_block_is_the_next_of_its_class(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, region, sizeof(region));
    void *a = heap_alloc(&heap, 1000);
    void *b = heap_alloc(&heap, 1000);
    heap_free(&heap, a, 1000);
    heap_free(&heap, b, 1000);
    heap_free(&heap, NULL, 1000);
    assert_int_equal(heap.used_bytes, 0);
    assert_ptr_equal(heap_alloc(&heap, 900), b);
    assert_ptr_equal(heap_alloc(&heap, 1024), a);
    assert_int_equal(heap.used_bytes, 2048);
    heap_validate(&heap);
}

static void zeroed_memory_is_zero_even_when_it_was_used(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, region, sizeof(region));
    uint8_t *block = heap_alloc(&heap, 100);
    memset(block, 0xff, 100);
    heap_free(&heap, block, 100);
    block = heap_alloc_zero(&heap, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(block[i], 0);
    }
}

static void a_used_up_region_gives_null_and_goes_on(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, region, 1024);
    assert_null(heap_alloc(&heap, 1025));
    assert_null(heap_alloc(&heap, SIZE_MAX));
    assert_null(heap_alloc_zero(&heap, SIZE_MAX / 2));
    void *block = heap_alloc(&heap, 1024);
    assert_non_null(block);
    assert_null(heap_alloc(&heap, 1));
    heap_free(&heap, block, 1024);
    assert_null(heap_alloc(&heap, 1)); /* it stays a block of its class */
    assert_ptr_equal(heap_alloc(&heap, 1000), block);
    heap_validate(&heap);
}

static void what_is_left_can_be_had_in_one_block(void **state)
{
    (void)state;
    for (size_t limit = 16; limit < 3000; limit += 16) {
        struct heap heap;
        heap_init(&heap, region, limit);
        (void)heap_alloc(&heap, limit % 176 / 4 + 1);
        size_t left = heap_left(&heap);
        if (left > 0) {
            assert_non_null(heap_alloc(&heap, left));
        }
        heap_validate(&heap);
        heap_init(&heap, region, limit);
        (void)heap_alloc(&heap, limit % 176 / 4 + 1);
        assert_null(heap_alloc(&heap, heap_left(&heap) + 1));
    }
}

struct live {
    uint8_t *block;
    size_t size;
    uint8_t fill;
};

static void live_check_and_free(struct heap *heap, struct live *live)
{
    for (size_t i = 0; i < live->size; i++) {
        assert_int_equal(live->block[i], live->fill);
    }
    heap_free(heap, live->block, live->size);
    live->block = NULL;
}

static void random_use_keeps_the_invariants_and_the_content(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("heap");
    struct heap heap;
    heap_init(&heap, region, sizeof(region));
    static struct live lives[200];
    memset(lives, 0, sizeof(lives));
    size_t refused = 0;
    for (int i = 0; i < 50000; i++) {
        struct live *live = &lives[random_below(&random, 200)];
        if (live->block != NULL) {
            live_check_and_free(&heap, live);
        } else {
            live->size = random_below(&random, (uint64_t)1 << random_below(&random, 16));
            live->fill = (uint8_t)random_next(&random);
            live->block = heap_alloc(&heap, live->size);
            refused += live->block == NULL;
            if (live->block != NULL) {
                memset(live->block, live->fill, live->size);
            }
        }
        if (i % 500 == 0) {
            heap_validate(&heap);
        }
    }
    size_t used = 0;
    for (size_t i = 0; i < 200; i++) {
        used += lives[i].block != NULL ? heap_class_size(lives[i].size) : 0;
    }
    assert_int_equal(heap.used_bytes, used);
    assert_true(refused < 50000);
    heap_validate(&heap);
}

static void the_same_calls_give_the_same_offsets(void **state)
{
    (void)state;
    static _Alignas(64) uint8_t other[65536];
    struct heap a;
    struct heap b;
    heap_init(&a, region, sizeof(other));
    heap_init(&b, other, sizeof(other));
    uint64_t random = seed_of_run("offsets");
    for (int i = 0; i < 400; i++) {
        size_t size = random_below(&random, 500);
        uint8_t *in_a = heap_alloc(&a, size);
        uint8_t *in_b = heap_alloc(&b, size);
        assert_int_equal(in_a == NULL, in_b == NULL);
        if (in_a != NULL) {
            assert_int_equal(in_a - region, in_b - other);
        }
        if (i % 3 == 0) {
            heap_free(&a, in_a, size);
            heap_free(&b, in_b, size);
        }
    }
}

static void free_outside(void)
{
    struct heap heap;
    heap_init(&heap, region, 1024);
    (void)heap_alloc(&heap, 64);
    heap_free(&heap, region + 512, 64);
}

static void free_twice(void)
{
    struct heap heap;
    heap_init(&heap, region, 1024);
    void *block = heap_alloc(&heap, 64);
    heap_free(&heap, block, 64);
    heap_free(&heap, block, 64);
}

static void a_wrong_free_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies(free_outside));
    assert_true(dies(free_twice));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_sizes_lose_no_more_than_promised),
        cmocka_unit_test(blocks_are_aligned),
        cmocka_unit_test(a_freed_block_is_the_next_of_its_class),
        cmocka_unit_test(zeroed_memory_is_zero_even_when_it_was_used),
        cmocka_unit_test(a_used_up_region_gives_null_and_goes_on),
        cmocka_unit_test(what_is_left_can_be_had_in_one_block),
        cmocka_unit_test(random_use_keeps_the_invariants_and_the_content),
        cmocka_unit_test(the_same_calls_give_the_same_offsets),
        cmocka_unit_test(a_wrong_free_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
