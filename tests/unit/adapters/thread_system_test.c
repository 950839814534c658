/* A thread with short slices is a normal one in all else. */
#include "adapters/thread_system/thread_system.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static struct sched_attr look(void)
{
    struct sched_attr attr = {0};
    assert_int_equal(syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0), 0);
    return attr;
}

static void short_slices_change_nothing_else(void **state)
{
    (void)state;
    struct sched_attr before = look();
    thread_ask_short_slices();
    struct sched_attr after = look();
    assert_int_equal(after.sched_policy, before.sched_policy);
    assert_int_equal(after.sched_nice, before.sched_nice);
    assert_int_equal(after.sched_priority, before.sched_priority);
    if (before.sched_runtime == 0) {
        printf("this kernel knows no slices of normal threads\n");
        return;
    }
    assert_true(after.sched_runtime > 0 && after.sched_runtime <= before.sched_runtime);
    assert_true((after.sched_flags & SCHED_FLAG_RESET_ON_FORK) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(short_slices_change_nothing_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
