#include "support.h"

#include "base/simd.h"

static void wide_search_finds_what_the_narrow_one_finds(void **state)
{
    (void)state;
    uint8_t data[80];
    for (size_t len = 0; len <= sizeof(data); len++) {
        for (size_t special = 0; special <= len; special++) {
            for (unsigned byte = 0; byte < 256; byte += special % 16 == 3 ? 1 : 51) {
                memset(data, 'a', sizeof(data));
                if (special < len) {
                    data[special] = (uint8_t)byte;
                }
                assert_ptr_equal(plain_end(data, data + len), plain_end_portable(data, data + len));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_search_finds_what_the_narrow_one_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
