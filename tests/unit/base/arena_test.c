#include "support.h"

#include "base/arena.h"

static void blocks_are_aligned_and_apart(void **state)
{
    (void)state;
    _Alignas(16) uint8_t data[256];
    struct arena arena = arena_of(data + 3, sizeof(data) - 3);
    uint8_t *previous_end = data;
    for (size_t size = 1; size < 20; size += 3) {
        uint8_t *block = arena_alloc(&arena, size);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 16, 0);
        assert_true(block >= previous_end);
        memset(block, 0xaa, size);
        previous_end = block + size;
    }
    assert_true(previous_end <= data + sizeof(data));
}

static void a_request_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    _Alignas(16) uint8_t data[64];
    struct arena arena = arena_of(data, sizeof(data));
    assert_non_null(arena_alloc(&arena, 33));
    size_t used = arena.used;
    assert_null(arena_alloc(&arena, 17));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_int_equal(arena.used, used);
    assert_non_null(arena_alloc(&arena, 16));
    assert_int_equal(arena.used, 64);
    assert_null(arena_alloc(&arena, 1));
}

static void a_reset_gives_all_memory_back(void **state)
{
    (void)state;
    _Alignas(16) uint8_t data[64];
    struct arena arena = arena_of(data, sizeof(data));
    void *first = arena_alloc(&arena, 64);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 64), first);
}

static void a_copy_is_equal_and_elsewhere(void **state)
{
    (void)state;
    _Alignas(16) uint8_t data[16];
    struct arena arena = arena_of(data, sizeof(data));
    struct bytes copy = arena_copy(&arena, BYTES("tidemark"));
    assert_bytes(copy, "tidemark");
    assert_ptr_equal(copy.data, data);
    assert_null(arena_copy(&arena, BYTES("tidemark")).data);
    arena_reset(&arena);
    assert_non_null(arena_copy(&arena, (struct bytes){0}).data);
}

static void an_arena_without_memory_has_none_to_give(void **state)
{
    (void)state;
    struct arena arena = arena_of(NULL, 0);
    assert_null(arena_alloc(&arena, 0));
    assert_null(arena_alloc(&arena, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_and_apart),
        cmocka_unit_test(a_request_that_does_not_fit_changes_nothing),
        cmocka_unit_test(a_reset_gives_all_memory_back),
        cmocka_unit_test(a_copy_is_equal_and_elsewhere),
        cmocka_unit_test(an_arena_without_memory_has_none_to_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
