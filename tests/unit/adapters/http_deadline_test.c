#include "adapters/http_server/http_deadline.h"

#include "model/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void deadlines_expire_in_order_and_once(void **state)
{
    struct http_deadlines deadlines;
    struct http_deadline idle = {0};
    struct http_deadline header = {0};
    struct http_deadline other = {0};
    enum http_deadline_kind kind;
    (void)state;
    http_deadlines_init(&deadlines);
    assert_true(http_deadlines_next_us(&deadlines) == INT64_MAX);
    http_deadline_arm(&deadlines, &idle, HTTP_DEADLINE_IDLE, 0);
    http_deadline_arm(&deadlines, &header, HTTP_DEADLINE_HEADER, 5);
    http_deadline_arm(&deadlines, &other, HTTP_DEADLINE_HEADER, 7);
    assert_int_equal(http_deadlines_next_us(&deadlines), 10 * US_PER_SECOND + 5);
    assert_null(http_deadlines_expire(&deadlines, 10 * US_PER_SECOND + 4, &kind));
    assert_ptr_equal(http_deadlines_expire(&deadlines, 10 * US_PER_SECOND + 5, &kind), &header);
    assert_int_equal(kind, HTTP_DEADLINE_HEADER);
    assert_int_equal(header.kind, HTTP_DEADLINE_NONE);
    assert_null(http_deadlines_expire(&deadlines, 10 * US_PER_SECOND + 5, &kind));
    http_deadline_arm(&deadlines, &other, HTTP_DEADLINE_HEADER, 10 * US_PER_SECOND);
    assert_null(http_deadlines_expire(&deadlines, 15 * US_PER_SECOND, &kind));
    http_deadline_disarm(&other);
    http_deadline_disarm(&other);
    assert_int_equal(http_deadlines_next_us(&deadlines), 60 * US_PER_SECOND);
    assert_ptr_equal(http_deadlines_expire(&deadlines, INT64_MAX, &kind), &idle);
    assert_null(http_deadlines_expire(&deadlines, INT64_MAX, &kind));
}

static void lists_can_be_moved_and_walked(void **state)
{
    struct http_link from;
    struct http_link to;
    struct http_link links[3] = {0};
    (void)state;
    http_list_init(&from);
    http_list_init(&to);
    http_list_move(&from, &to);
    assert_true(http_list_empty(&to));
    for (int i = 0; i < 3; i++) {
        http_list_append(&from, &links[i]);
    }
    http_list_move(&from, &to);
    assert_true(http_list_empty(&from));
    http_list_remove(&links[1]);
    http_list_remove(&links[1]);
    assert_false(http_link_listed(&links[1]));
    assert_ptr_equal(http_list_first(&to), &links[0]);
    http_list_remove(&links[0]);
    assert_ptr_equal(http_list_first(&to), &links[2]);
    http_list_remove(&links[2]);
    assert_null(http_list_first(&to));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_expire_in_order_and_once),
        cmocka_unit_test(lists_can_be_moved_and_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
