#include "support.h"

#include "base/err.h"

static void every_error_has_a_name_a_status_and_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        enum err err = (enum err)i;
        assert_non_null(err_name(err));
        assert_true(strlen(err_name(err)) > 1);
        assert_true(strlen(err_text(err)) > 5);
        int status = err_status(err);
        assert_true(err == OK ? status == 200 : status >= 400 && status < 600);
    }
}

static void names_are_unique_and_fit_into_a_urn(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        const char *name = err_name((enum err)i);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(name));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(name, err_name((enum err)j));
        }
    }
}

static void the_list_is_sorted_by_status(void **state)
{
    (void)state;
    for (int i = OK + 1; i < ERR_COUNT; i++) {
        assert_true(err_status((enum err)(i - 1)) <= err_status((enum err)i));
    }
}

static void known_rows_are_where_they_belong(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_JSON), "invalid-json");
    assert_int_equal(err_status(ERR_JSON), 400);
    assert_string_equal(err_name(ERR_NO_SPACE), "no-space");
    assert_int_equal(err_status(ERR_NO_SPACE), 507);
    assert_string_equal(err_text(ERR_METHOD), "This resource does not take that method");
}

static void name_of_no_error(void)
{
    (void)err_name(ERR_COUNT);
}

static void an_error_beyond_the_list_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies(name_of_no_error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name_a_status_and_a_sentence),
        cmocka_unit_test(names_are_unique_and_fit_into_a_urn),
        cmocka_unit_test(the_list_is_sorted_by_status),
        cmocka_unit_test(known_rows_are_where_they_belong),
        cmocka_unit_test(an_error_beyond_the_list_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
