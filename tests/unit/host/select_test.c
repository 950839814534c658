/* Selection against a naive sort of the same rows. */
#include "../base/support.h"

#include "host/result.h"
#include "host/select.h"

#define ROWS_MAX  6000
#define BYTES_MAX ((size_t)64 << 20)

/* A row as the naive side keeps it. */
struct kept_row {
    int64_t window_start;
    struct value order;
    uint32_t group;
};

static struct kept_row rows[ROWS_MAX];

/* Writes a VALUES row: one group (a text with `group` in it, so that bytes order as numbers do),
 * one result. */
static void add(struct selection *selection, const struct kept_row *row, bool ordered)
{
    char group[16];
    (void)snprintf(group, sizeof(group), "g%06u", row->group);
    struct buf *out = selection_room(selection, 256);
    if (out == NULL) {
        return;
    }
    size_t start = out->len;
    buf_put_u32(out, 0);
    buf_put_i64(out, row->window_start);
    buf_put_i64(out, row->window_start + 60);
    buf_put_u8(out, 0);
    buf_put_u32(out, 0);
    uint8_t key[32];
    struct buf key_out = buf_of(key, sizeof(key));
    value_put(&key_out, value_of_text(bytes_of_string(group)));
    buf_put_string(out, buf_bytes(&key_out));
    uint32_t order_offset = (uint32_t)(out->len - start);
    value_put(out, row->order);
    struct buf len = buf_of(out->data + start, sizeof(uint32_t));
    buf_put_u32(&len, (uint32_t)(out->len - start - sizeof(uint32_t)));
    selection_add(selection, start, row->window_start, ordered ? order_offset : 0);
}

static int compare_orders(const struct value *a, const struct value *b, bool descending)
{
    if (a->kind == VALUE_NULL || b->kind == VALUE_NULL) {
        return (a->kind == VALUE_NULL) - (b->kind == VALUE_NULL);
    }
    bool comparable = false;
    int order = value_compare(*a, *b, &comparable);
    if (!comparable) {
        order = a->kind < b->kind ? -1 : 1;
    }
    return descending ? -order : order;
}

static bool
before(const struct kept_row *a, const struct kept_row *b, bool ordered, bool descending)
{
    int order = ordered ? compare_orders(&a->order, &b->order, descending) : 0;
    if (order == 0) {
        order = (a->window_start > b->window_start) - (a->window_start < b->window_start);
        order = !ordered && descending ? -order : order;
    }
    return order != 0 ? order < 0 : a->group < b->group;
}

static void naive_sort(struct kept_row *all, size_t count, bool ordered, bool descending)
{
    for (size_t gap = count / 2; gap > 0; gap /= 2) { /* Shell's, for a few thousand rows */
        for (size_t n = gap; n < count; n++) {
            struct kept_row row = all[n];
            size_t at = n;
            for (; at >= gap && before(&row, &all[at - gap], ordered, descending); at -= gap) {
                all[at] = all[at - gap];
            }
            all[at] = row;
        }
    }
}

static struct value random_value(uint64_t *random, uint64_t kinds)
{
    int64_t number = (int64_t)random_below(random, 40) - 20;
    switch (random_below(random, kinds)) {
    case 0:
        return value_of_nano((int128)number * NANO_PER_UNIT);
    case 1:
        return value_null();
    case 2:
        return value_of_real((double)number / 3.0);
    case 3:
        return value_of_text(bytes_slice(BYTES("abcdefgh"), (size_t)(number + 20) % 8, 1));
    case 4:
        return value_of_time(number);
    default:
        return value_of_bool(number > 0);
    }
}

static void assert_rows(struct bytes actual, const struct kept_row *expected, size_t count)
{
    struct reader in = reader_of(actual);
    struct result_row row;
    for (size_t n = 0; n < count; n++) {
        char group[16];
        (void)snprintf(group, sizeof(group), "g%06u", expected[n].group);
        struct value value;
        assert_true(result_next(&in, &row));
        struct reader key = reader_of(row.group_key);
        assert_true(value_read(&key, &value));
        assert_bytes(value.text, group);
        assert_int_equal(row.window_start, expected[n].window_start);
    }
    assert_false(result_next(&in, &row));
    assert_false(in.bad);
}

/* The best `keep` of `count` random rows. */
static void check(uint64_t *random, size_t count, size_t keep, bool ordered, bool descending)
{
    struct selection selection;
    uint64_t kinds = 1 + random_below(random, 6);
    selection_init(&selection, keep, descending, BYTES_MAX);
    for (size_t n = 0; n < count; n++) {
        rows[n] = (struct kept_row){.window_start = (int64_t)random_below(random, 5) * 60,
                                    .order = random_value(random, kinds),
                                    .group = (uint32_t)(n * 7919 % 1000000)};
        add(&selection, &rows[n], ordered);
    }
    assert_int_equal(selection.err, OK);
    assert_int_equal(selection.added, count);
    uint64_t taken;
    struct buf result = selection_take(&selection, &taken);
    naive_sort(rows, count, ordered, descending);
    assert_int_equal(taken, count < keep ? count : keep);
    assert_rows(buf_bytes(&result), rows, taken);
    free(result.data);
    selection_deinit(&selection);
}

static void the_first_so_many_are_those_of_a_naive_sort(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("select");
    const size_t counts[] = {0, 1, 2, 3, 100, 1023, 1024, 1025, 3000, ROWS_MAX};
    const size_t keeps[] = {0, 1, 2, 10, 999, 1024, SIZE_MAX};
    for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
        for (size_t m = 0; m < sizeof(keeps) / sizeof(keeps[0]); m++) {
            check(&random, counts[n], keeps[m], (n + m) % 2 == 0, m % 3 == 0);
            check(&random, counts[n], keeps[m], (n + m) % 2 == 1, m % 3 == 1);
        }
    }
}

static void rows_without_a_value_come_last_either_way(void **state)
{
    (void)state;
    for (int descending = 0; descending < 2; descending++) {
        struct selection selection;
        selection_init(&selection, SIZE_MAX, descending == 1, BYTES_MAX);
        const struct kept_row given[] = {
            {.order = value_null(), .group = 1},
            {.order = value_of_nano(5), .group = 2},
            {.order = value_of_nano(-5), .group = 3},
        };
        for (size_t n = 0; n < 3; n++) {
            add(&selection, &given[n], true);
        }
        uint64_t count;
        struct buf result = selection_take(&selection, &count);
        struct kept_row expected[] = {given[2], given[1], given[0]};
        if (descending == 1) {
            expected[0] = given[1];
            expected[1] = given[2];
        }
        assert_rows(buf_bytes(&result), expected, 3);
        free(result.data);
        selection_deinit(&selection);
    }
}

static void what_is_not_kept_does_not_take_memory_for_ever(void **state)
{
    (void)state;
    uint64_t random = 5;
    struct selection selection;
    selection_init(&selection, 10, true, (size_t)256 << 10);
    for (size_t n = 0; n < 100000; n++) {
        struct kept_row row = {.order = random_value(&random, 1), .group = (uint32_t)n};
        add(&selection, &row, true);
    }
    assert_int_equal(selection.err, OK);
    uint64_t count;
    struct buf result = selection_take(&selection, &count);
    assert_int_equal(count, 10);
    free(result.data);
    selection_deinit(&selection);
}

static void more_bytes_than_allowed_is_an_error_and_no_crash(void **state)
{
    (void)state;
    struct selection selection;
    selection_init(&selection, SIZE_MAX, false, 8192);
    for (uint32_t n = 0; n < 1000; n++) {
        add(&selection, &(struct kept_row){.order = value_of_nano(n), .group = n}, true);
    }
    assert_int_equal(selection.err, ERR_LIMIT);
    uint64_t count;
    struct buf result = selection_take(&selection, &count);
    free(result.data);
    selection_deinit(&selection);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_so_many_are_those_of_a_naive_sort),
        cmocka_unit_test(rows_without_a_value_come_last_either_way),
        cmocka_unit_test(what_is_not_kept_does_not_take_memory_for_ever),
        cmocka_unit_test(more_bytes_than_allowed_is_an_error_and_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
