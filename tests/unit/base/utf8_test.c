#include "support.h"

#include "base/json.h"
#include "base/utf8.h"

/* The definition, by decoding: slow and plain. */
static bool valid_slowly(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t more = at[i] < 0x80 ? 0 : at[i] >> 5 == 6 ? 1 : at[i] >> 4 == 14 ? 2 : 3;
        if (at[i] >= 0x80 && (at[i] < 0xc0 || at[i] >= 0xf8)) {
            return false;
        }
        uint32_t code = more == 0 ? at[i] : at[i] & (0x3fU >> more);
        if (i + more >= len) {
            return false;
        }
        for (size_t j = 1; j <= more; j++) {
            if (at[i + j] >> 6 != 2) {
                return false;
            }
            code = code << 6 | (at[i + j] & 0x3fU);
        }
        static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
        if (code < smallest[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            return false;
        }
        i += more + 1;
    }
    return true;
}

static void every_character_is_valid_in_its_one_form(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        if (code >= 0xd800 && code <= 0xdfff) {
            continue;
        }
        uint8_t bytes[4];
        size_t len = utf8_encode(code, bytes);
        assert_int_equal(utf8_char_len(bytes, bytes + len), len);
        assert_true(valid_slowly(bytes, len));
        if (len > 1) {
            assert_int_equal(utf8_char_len(bytes, bytes + len - 1), 0);
        }
    }
}

static void all_short_byte_strings_are_judged_as_defined(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1U << 24; i++) {
        uint8_t bytes[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        /* Plain first bytes add nothing new. */
        if (bytes[0] >= 0x70 && utf8_valid(bytes_of(bytes, 3)) != valid_slowly(bytes, 3)) {
            fail_msg("%06x", i);
        }
    }
}

static void four_byte_strings_are_judged_as_defined(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1U << 24; i++) {
        /* All leads and second bytes, and the edges of the others. */
        static const uint8_t edges[16] = {0x00,
                                          0x41,
                                          0x7f,
                                          0x80,
                                          0x81,
                                          0x8f,
                                          0x90,
                                          0x9f,
                                          0xa0,
                                          0xa1,
                                          0xbe,
                                          0xbf,
                                          0xc0,
                                          0xe0,
                                          0xf0,
                                          0xff};
        uint8_t bytes[4] = {
            (uint8_t)(i >> 16), (uint8_t)(i >> 8), edges[i >> 4 & 15], edges[i & 15]};
        if (bytes[0] >= 0xe0 && utf8_valid(bytes_of(bytes, 4)) != valid_slowly(bytes, 4)) {
            fail_msg("%06x", i);
        }
    }
}

static void random_mixtures_are_judged_as_defined(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("utf8");
    size_t valid = 0;
    for (int i = 0; i < 100000; i++) {
        uint8_t text[64];
        size_t len = 0;
        while (len < 40) {
            uint32_t code = (uint32_t)random_below(&random, 1U << random_below(&random, 21));
            bool surrogate = code >= 0xd800 && code <= 0xdfff;
            len += surrogate ? 0 : utf8_encode(code, text + len);
        }
        if (random_below(&random, 2) == 0) {
            text[random_below(&random, len)] = (uint8_t)random_next(&random);
        }
        bool expected = valid_slowly(text, len);
        valid += expected;
        assert_int_equal(utf8_valid(bytes_of(text, len)), expected);
    }
    assert_true(valid > 40000 && valid < 100000);
}

static void the_empty_text_is_valid(void **state)
{
    (void)state;
    assert_true(utf8_valid((struct bytes){0}));
    assert_true(utf8_valid(BYTES("")));
}

static void encode_a_surrogate(void)
{
    uint8_t out[4];
    (void)utf8_encode(0xd800, out);
}

static void a_surrogate_can_not_be_encoded(void **state)
{
    (void)state;
    assert_true(dies(encode_a_surrogate));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_valid_in_its_one_form),
        cmocka_unit_test(all_short_byte_strings_are_judged_as_defined),
        cmocka_unit_test(four_byte_strings_are_judged_as_defined),
        cmocka_unit_test(random_mixtures_are_judged_as_defined),
        cmocka_unit_test(the_empty_text_is_valid),
        cmocka_unit_test(a_surrogate_can_not_be_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
