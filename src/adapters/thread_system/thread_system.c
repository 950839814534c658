#include "adapters/thread_system/thread_system.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 100000 /* the shortest that the scheduler gives */

void thread_ask_short_slices(void)
{
    struct sched_attr wish = {
        .size = sizeof(wish),
        .sched_policy = SCHED_NORMAL,
        .sched_flags = SCHED_FLAG_RESET_ON_FORK,
        .sched_nice = getpriority(PRIO_PROCESS, 0),
        .sched_runtime = SLICE_NS,
    };
    (void)syscall(SYS_sched_setattr, 0, &wish, 0);
}
