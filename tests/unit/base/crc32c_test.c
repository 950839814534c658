#include "support.h"

#include "base/hash.h"
#include "base/simd.h"

/* RFC 3720 appendix B.4 */
static void known_values(void)
{
    uint8_t data[32];
    memset(data, 0, sizeof(data));
    assert_int_equal(crc32c(0, bytes_of(data, 32)), 0x8a9136aaU);
    memset(data, 0xff, sizeof(data));
    assert_int_equal(crc32c(0, bytes_of(data, 32)), 0x62a8ab43U);
    for (uint8_t i = 0; i < 32; i++) {
        data[i] = i;
    }
    assert_int_equal(crc32c(0, bytes_of(data, 32)), 0x46dd794eU);
    for (uint8_t i = 0; i < 32; i++) {
        data[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(crc32c(0, bytes_of(data, 32)), 0x113fdb5cU);
    assert_int_equal(crc32c(0, BYTES("123456789")), 0xe3069283U);
    assert_int_equal(crc32c(0, (struct bytes){0}), 0);
}

static bool has_hardware(void)
{
    return __builtin_cpu_supports("sse4.2");
}

static void tables_give_the_known_values(void **state)
{
    (void)state;
    crc32c_init(false);
    known_values();
}

static void the_instruction_gives_the_known_values(void **state)
{
    (void)state;
    if (!has_hardware()) {
        skip();
    }
    crc32c_init(true);
    known_values();
}

static void all_ways_agree_on_any_length_and_start(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("crc32c");
    uint8_t data[300];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)random_next(&random);
    }
    for (size_t from = 0; from < 16; from++) {
        for (size_t len = 0; len + from <= sizeof(data); len++) {
            struct bytes part = bytes_of(data + from, len);
            uint32_t before = (uint32_t)random_next(&random);
            uint32_t expected = ~crc32c_by_bits(~before, part.data, part.len);
            crc32c_init(false);
            assert_int_equal(crc32c(before, part), expected);
            if (has_hardware()) {
                crc32c_init(true);
                assert_int_equal(crc32c(before, part), expected);
            }
        }
    }
}

static void a_checksum_can_be_continued_anywhere(void **state)
{
    (void)state;
    struct bytes all = BYTES("The tide mark is the line that the highest water left.");
    for (int hardware = 0; hardware <= (has_hardware() ? 1 : 0); hardware++) {
        crc32c_init(hardware != 0);
        for (size_t i = 0; i <= all.len; i++) {
            uint32_t crc = crc32c(0, bytes_slice(all, 0, i));
            crc = crc32c(crc, bytes_slice(all, i, all.len - i));
            assert_int_equal(crc, crc32c(0, all));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_give_the_known_values),
        cmocka_unit_test(the_instruction_gives_the_known_values),
        cmocka_unit_test(all_ways_agree_on_any_length_and_start),
        cmocka_unit_test(a_checksum_can_be_continued_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
