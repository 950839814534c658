#include "support.h"

#include "base/text.h"

#include <math.h>

static uint64_t bits_of(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* What is not exact must be the very double that libc reads. */
static void assert_like_libc(const char *text)
{
    struct decimal decimal;
    double expected = strtod(text, NULL);
    bool ok = decimal_parse(bytes_of_string(text), &decimal);
    if (ok != (isfinite(expected) != 0)) {
        fail_msg("%s: finite?", text);
    }
    if (ok && !decimal.exact && bits_of(decimal.real) != bits_of(expected)) {
        fail_msg("%s: %a instead of %a", text, decimal.real, expected);
    }
}

static void hard_cases_are_rounded_correctly(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977"
        "587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854"
        "845"
        "817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711"
        "559"
        "699508093042880177904174497791",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977"
        "587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854"
        "845"
        "817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711"
        "559"
        "699508093042880177904174497792",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "2.2250738585072014e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.47032822920623272088284396434110686182e-324",
        "2.47032822920623272088284396434110686183e-324",
        "1e-323",
        "1e-325",
        "-1e-400",
        "1e309",
        "-1e310",
        "1e999",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "9007199254740993e-10",
        "9007199254740992.99999999999999999999999999",
        "9007199254740993.0000000000000000000000001",
        "6.631236846766476e-316",
        "3.2378839133029012895883524125015321748630094396e-319",
        "8.10109172351e-10",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "1.00000000000000033306690738754696212708950042724609375",
        "0.500000000000000166533453693773481063544750213623046875",
        "10000000000000000000000000000000000000000e-5",
        "1e22",
        "1e23",
        "123456789012345678e22",
        "0.000000000000000000000000000000000000000000000000000000000000000000012345678901234567890",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_like_libc(texts[i]);
    }
}

static void thousands_of_digits_are_rounded_correctly(void **state)
{
    (void)state;
    /* 1 + 2^-53 is halfway between two doubles; the last of many digits decides. */
    char text[3000];
    const char *half = "1.00000000000000011102230246251565404236316680908203125";
    for (size_t zeros = 700; zeros < 2900; zeros += 73) {
        size_t len = strlen(half);
        memcpy(text, half, len);
        memset(text + len, '0', zeros);
        text[len + zeros] = '1';
        text[len + zeros + 1] = '\0';
        assert_like_libc(text);
        text[len + zeros] = '\0';
        assert_like_libc(text);
    }
}

static void random_numbers_are_read_like_libc_reads_them(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("decimal");
    for (int i = 0; i < 30000; i++) {
        char text[128];
        uint64_t bits = random_next(&random);
        double value = 0;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value)) {
            continue;
        }
        (void)snprintf(text, sizeof(text), "%.*e", (int)random_below(&random, 40), value);
        assert_like_libc(text);
        (void)snprintf(text,
                       sizeof(text),
                       "%llu.%llue%d",
                       (unsigned long long)bits,
                       (unsigned long long)random_next(&random),
                       (int)random_below(&random, 660) - 350);
        assert_like_libc(text);
    }
}

static void halfway_points_go_to_the_even_double(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("halfway");
    for (int i = 0; i < 10000; i++) {
        /* An odd multiple of 2^(exponent - 1) between two doubles, written exactly. */
        uint64_t mantissa = random_next(&random) >> 11 | (uint64_t)1 << 52;
        int exponent = (int)random_below(&random, 100) - 80;
        char text[256];
        long double halfway = ldexpl((long double)(2 * mantissa + 1), exponent - 1);
        (void)snprintf(text, sizeof(text), "%.100Lf", halfway);
        assert_like_libc(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_cases_are_rounded_correctly),
        cmocka_unit_test(thousands_of_digits_are_rounded_correctly),
        cmocka_unit_test(random_numbers_are_read_like_libc_reads_them),
        cmocka_unit_test(halfway_points_go_to_the_even_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
