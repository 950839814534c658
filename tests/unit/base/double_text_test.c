#include "support.h"

#include "base/text.h"

#include <math.h>

static void assert_put(double value, const char *expected)
{
    uint8_t data[32];
    struct buf out = buf_of(data, sizeof(data));
    double_put(&out, value);
    assert_false(out.overflow);
    assert_bytes(buf_bytes(&out), expected);
}

static void known_doubles_have_their_known_text(void **state)
{
    (void)state;
    assert_put(0.0, "0");
    assert_put(-0.0, "0");
    assert_put(1.0, "1");
    assert_put(-1.5, "-1.5");
    assert_put(0.1, "0.1");
    assert_put(0.1 + 0.2, "0.30000000000000004");
    assert_put(1.0 / 3.0, "0.3333333333333333");
    assert_put(100.0, "100");
    assert_put(1200.0, "1200");
    assert_put(9007199254740991.0, "9007199254740991");
    assert_put(9007199254740992.0, "9007199254740992");
    assert_put(72057594037927936.0, "72057594037927940");
    assert_put(1e16, "10000000000000000");
    assert_put(99999999999999984.0, "99999999999999980");
    assert_put(1e17, "1e+17");
    assert_put(1.25e300, "1.25e+300");
    assert_put(1e22, "1e+22");
    assert_put(1e23, "1e+23");
    assert_put(9.5e-3, "0.0095");
    assert_put(1.5e-6, "0.0000015");
    assert_put(1.5e-7, "1.5e-7");
    assert_put(5e-324, "5e-324");
    assert_put(2.2250738585072014e-308, "2.2250738585072014e-308");
    assert_put(1.7976931348623157e308, "1.7976931348623157e+308");
    assert_put(9.109383702e-31, "9.109383702e-31");
    assert_put(2251799813685248.5, "2251799813685248.5");
    assert_put(5.9604644775390625e-8, "5.960464477539063e-8"); /* a tie goes up */
    assert_put(2e-44, "2e-44");
}

static void what_json_lacks_is_null(void **state)
{
    (void)state;
    assert_put((double)NAN, "null");
    assert_put(-(double)NAN, "null");
    assert_put((double)INFINITY, "null");
    assert_put(-(double)INFINITY, "null");
}

/* Digits, without sign, point, exponent and zeros on both ends. */
static size_t significant(const char *text)
{
    char digits[64];
    size_t len = 0;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text >= '0' && *text <= '9' && (len > 0 || *text != '0')) {
            digits[len++] = *text;
        }
    }
    while (len > 0 && digits[len - 1] == '0') {
        len--;
    }
    return len;
}

/* Reads back, has as few digits as printf needs at least, and is the nearest text of that length.
 */
static void assert_shortest(double value)
{
    uint8_t data[33] = {0};
    struct buf out = buf_of(data, 32);
    double_put(&out, value);
    assert_false(out.overflow);
    char *text = (char *)data;
    double back = strtod(text, NULL);
    if (memcmp(&back, &value, sizeof(value)) != 0) {
        fail_msg("%a as %s reads back as %a", value, text, back);
    }
    char reference[64];
    int precision = 0;
    do {
        precision++;
        (void)snprintf(reference, sizeof(reference), "%.*e", precision - 1, value);
    } while (strtod(reference, NULL) != value);
    if (significant(text) > significant(reference)) {
        fail_msg("%s is longer than %s", text, reference);
    }
    /* At equal length printf's is the nearest; of two equally near ones (long double tells
     * distances to some percent) either is right. */
    if (significant(text) == significant(reference)) {
        long double distance = fabsl(strtold(text, NULL) - (long double)value);
        long double smallest = fabsl(strtold(reference, NULL) - (long double)value);
        assert_true(distance <= smallest * 1.05L);
    }
}

static void random_doubles_read_back_from_the_shortest_text(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("double");
    for (int i = 0; i < 30000; i++) {
        uint64_t bits = random_next(&random);
        double value = 0;
        memcpy(&value, &bits, sizeof(value));
        if (isfinite(value)) {
            assert_shortest(value);
        }
        assert_shortest((double)random_below(&random, 1000000000) / 1000.0 + 0.001);
        assert_shortest((double)(random_next(&random) >> 1) / 7.0);
        assert_shortest((double)(int64_t)(bits >> random_below(&random, 63)) + 0.5);
    }
}

static void powers_of_two_and_their_neighbours_read_back(void **state)
{
    (void)state;
    for (int exponent = -1074; exponent < 1024; exponent++) {
        double value = ldexp(1.0, exponent);
        assert_shortest(value);
        assert_shortest(nextafter(value, (double)INFINITY));
        if (nextafter(value, 0) > 0) {
            assert_shortest(-nextafter(value, 0));
        }
    }
}

static void powers_of_ten_and_their_neighbours_read_back(void **state)
{
    (void)state;
    for (int exponent = -323; exponent <= 308; exponent++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "1e%d", exponent);
        double value = strtod(text, NULL);
        assert_shortest(value);
        assert_shortest(nextafter(value, (double)INFINITY));
        assert_shortest(nextafter(value, 0));
    }
}

static void a_text_reads_back_through_decimal_parse_too(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("both ways");
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_next(&random);
        double value = 0;
        memcpy(&value, &bits, sizeof(value));
        uint8_t data[32];
        struct buf out = buf_of(data, sizeof(data));
        double_put(&out, value);
        struct decimal back;
        if (!isfinite(value)) {
            continue;
        }
        assert_true(decimal_parse(buf_bytes(&out), &back));
        if (!back.exact) {
            assert_memory_equal(&back.real, &value, sizeof(value));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_doubles_have_their_known_text),
        cmocka_unit_test(what_json_lacks_is_null),
        cmocka_unit_test(random_doubles_read_back_from_the_shortest_text),
        cmocka_unit_test(powers_of_two_and_their_neighbours_read_back),
        cmocka_unit_test(powers_of_ten_and_their_neighbours_read_back),
        cmocka_unit_test(a_text_reads_back_through_decimal_parse_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
