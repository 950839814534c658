#include "support.h"

#include "base/bignum.h"

/* a as a number, if it fits. */
static uint64_t small(const struct bignum *a)
{
    assert_true(a->count <= 1);
    return a->count == 0 ? 0 : a->limb[0];
}

static struct bignum number(uint64_t value)
{
    struct bignum n;
    bignum_set(&n, value);
    return n;
}

static void small_numbers_are_what_they_seem(void **state)
{
    (void)state;
    struct bignum n = number(0);
    assert_true(bignum_is_zero(&n));
    assert_int_equal(bignum_bits(&n), 0);
    bignum_shift_left(&n, 100);
    assert_true(bignum_is_zero(&n));
    bignum_multiply(&n, 7, 9);
    assert_int_equal(small(&n), 9);
    bignum_multiply_pow10(&n, 18);
    assert_true(small(&n) == 9000000000000000000U);
    n = number(1);
    assert_int_equal(bignum_bits(&n), 1);
    bignum_shift_left(&n, 63);
    assert_int_equal(bignum_bits(&n), 64);
    bignum_shift_left(&n, 1);
    assert_int_equal(bignum_bits(&n), 65);
    assert_int_equal(n.count, 2);
}

static void ten_to_the_nth_has_its_known_length(void **state)
{
    (void)state;
    struct bignum n = number(1);
    bignum_multiply_pow10(&n, 1095);
    assert_int_equal(bignum_bits(&n), 3638); /* floor(1095 * log2(10)) + 1 */
    for (uint32_t power = 0; power < 300; power++) {
        struct bignum at_once = number(1);
        struct bignum one_by_one = number(1);
        bignum_multiply_pow10(&at_once, power);
        for (uint32_t i = 0; i < power; i++) {
            bignum_multiply(&one_by_one, 10, 0);
        }
        assert_int_equal(bignum_compare(&at_once, &one_by_one), 0);
    }
}

static struct bignum random_number(uint64_t *random)
{
    struct bignum n = number(random_next(random));
    for (uint64_t i = random_below(random, 20); i > 0; i--) {
        bignum_multiply(&n, random_next(random) | 1, random_next(random));
    }
    bignum_shift_left(&n, (uint32_t)random_below(random, 200));
    return n;
}

static void sums_and_differences_undo_each_other(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("bignum");
    for (int i = 0; i < 5000; i++) {
        struct bignum a = random_number(&random);
        struct bignum b = random_number(&random);
        struct bignum sum = a;
        bignum_add(&sum, &b);
        assert_true(bignum_compare(&sum, &a) > 0 || bignum_is_zero(&b));
        assert_int_equal(bignum_compare(&a, &b), -bignum_compare(&b, &a));
        struct bignum rest = sum;
        bignum_subtract(&rest, &b);
        assert_int_equal(bignum_compare(&rest, &a), 0);
        bignum_subtract(&rest, &a);
        assert_true(bignum_is_zero(&rest));
        bignum_subtract(&sum, &a);
        assert_int_equal(bignum_compare(&sum, &b), 0);
    }
}

static void shifting_is_multiplying_by_two(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("shift");
    for (uint32_t bits = 0; bits < 400; bits++) {
        struct bignum shifted = random_number(&random);
        struct bignum doubled = shifted;
        uint32_t before = bignum_bits(&shifted);
        bignum_shift_left(&shifted, bits);
        assert_int_equal(bignum_bits(&shifted), before == 0 ? 0 : before + bits);
        for (uint32_t i = 0; i < bits; i++) {
            bignum_multiply(&doubled, 2, 0);
        }
        assert_int_equal(bignum_compare(&shifted, &doubled), 0);
    }
}

static void subtract_too_much(void)
{
    struct bignum a = number(1);
    struct bignum b = number(2);
    bignum_subtract(&a, &b);
}

static void grow_too_large(void)
{
    struct bignum a = number(1);
    bignum_multiply_pow10(&a, 1300);
}

static void shift_too_far(void)
{
    struct bignum a = number(1);
    bignum_shift_left(&a, 4096);
}

static void leaving_the_range_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies(subtract_too_much));
    assert_true(dies(grow_too_large));
    assert_true(dies(shift_too_far));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_numbers_are_what_they_seem),
        cmocka_unit_test(ten_to_the_nth_has_its_known_length),
        cmocka_unit_test(sums_and_differences_undo_each_other),
        cmocka_unit_test(shifting_is_multiplying_by_two),
        cmocka_unit_test(leaving_the_range_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
