/* The ordered set: exhaustive for small sets, random for large ones. */
#include "core/collect_tree.h"

#include "../base/support.h"

#define KEYS_SMALL 6
#define NODES      5000

static void keys_come_out_in_order_however_they_went_in(void **state)
{
    (void)state;
    /* All 6^6 sequences of six keys; of a repeated one only the first is inserted. */
    for (uint32_t sequence = 0; sequence < 46656; sequence++) {
        struct collect_node nodes[KEYS_SMALL];
        struct collect_node *root = NULL;
        uint32_t digits = sequence;
        size_t count = 0;
        for (size_t n = 0; n < KEYS_SMALL; n++, digits /= KEYS_SMALL) {
            int64_t key = (int64_t)(digits % KEYS_SMALL) - 3;
            if (collect_tree_find(root, key) == NULL) {
                nodes[count].key = key;
                collect_tree_insert(&root, &nodes[count++]);
                assert_int_equal(collect_tree_validate(root), count);
            }
        }
        int64_t last = INT64_MIN;
        for (; count > 0; count--) {
            const struct collect_node *first = collect_tree_first(root);
            assert_ptr_equal(first, collect_tree_take_first(&root));
            assert_true(first->key > last);
            last = first->key;
            assert_int_equal(collect_tree_validate(root), count - 1);
        }
        assert_null(root);
    }
}

static void an_empty_tree_has_no_first_node(void **state)
{
    (void)state;
    struct collect_node *root = NULL;
    assert_null(collect_tree_first(root));
    assert_null(collect_tree_take_first(&root));
    assert_null(collect_tree_find(root, 0));
    assert_int_equal(collect_tree_validate(root), 0);
}

static void the_lowest_and_the_highest_key_are_keys_like_others(void **state)
{
    (void)state;
    struct collect_node nodes[3] = {{.key = INT64_MAX}, {.key = INT64_MIN}, {.key = 0}};
    struct collect_node *root = NULL;
    for (size_t n = 0; n < 3; n++) {
        collect_tree_insert(&root, &nodes[n]);
    }
    assert_int_equal(collect_tree_validate(root), 3);
    assert_ptr_equal(collect_tree_find(root, INT64_MIN), &nodes[1]);
    assert_ptr_equal(collect_tree_find(root, INT64_MAX), &nodes[0]);
    assert_ptr_equal(collect_tree_take_first(&root), &nodes[1]);
}

static void rising_keys_make_a_flat_tree(void **state)
{
    (void)state;
    static struct collect_node nodes[NODES];
    struct collect_node *root = NULL;
    for (size_t n = 0; n < NODES; n++) {
        nodes[n].key = (int64_t)n;
        collect_tree_insert(&root, &nodes[n]);
    }
    assert_int_equal(collect_tree_validate(root), NODES);
    assert_true(root->height <= 14); /* 2^13 > 5000: a chain would be 5000 */
}

static void random_work_leaves_what_a_table_says(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("collect_tree");
    static struct collect_node nodes[1024];
    bool present[1024] = {false};
    struct collect_node *root = NULL;
    size_t count = 0;
    for (uint32_t step = 0; step < 20000; step++) {
        size_t key = random_below(&seed, 1024);
        assert_int_equal(collect_tree_find(root, (int64_t)key) != NULL, present[key]);
        if (!present[key]) {
            nodes[key].key = (int64_t)key;
            collect_tree_insert(&root, &nodes[key]);
            present[key] = true;
            count++;
        } else {
            int64_t lowest = collect_tree_take_first(&root)->key;
            for (int64_t lower = 0; lower < lowest; lower++) {
                assert_false(present[lower]);
            }
            assert_true(present[lowest]);
            present[lowest] = false;
            count--;
        }
        if (step % 16 == 0) {
            assert_int_equal(collect_tree_validate(root), count);
        }
    }
}

static void insert_a_key_twice(void)
{
    struct collect_node nodes[2] = {{.key = 7}, {.key = 7}};
    struct collect_node *root = NULL;
    collect_tree_insert(&root, &nodes[0]);
    collect_tree_insert(&root, &nodes[1]);
}

static void a_key_that_comes_twice_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies(insert_a_key_twice));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_out_in_order_however_they_went_in),
        cmocka_unit_test(an_empty_tree_has_no_first_node),
        cmocka_unit_test(the_lowest_and_the_highest_key_are_keys_like_others),
        cmocka_unit_test(rising_keys_make_a_flat_tree),
        cmocka_unit_test(random_work_leaves_what_a_table_says),
        cmocka_unit_test(a_key_that_comes_twice_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
