#include "support.h"

#include "base/check.h"

static void check_true(void)
{
    CHECK(1 + 1 == 2);
}

static void check_false(void)
{
    volatile int one = 1;
    CHECK(one == 2);
}

static void a_check_ends_the_process_only_when_it_fails(void **state)
{
    (void)state;
    assert_false(dies(check_true));
    assert_true(dies(check_false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_ends_the_process_only_when_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
