/* The sort of a window: every short sequence, and random long ones, against order and stability. */
#include "core/collect_event.h"

#include "../base/support.h"

#define EVENTS 3000

/* Chains the events in the order of the array, which `partition` records. */
static struct collect_event *chain(struct collect_event *events, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        events[n].partition = (uint32_t)n;
        events[n].next = n + 1 < count ? &events[n + 1] : NULL;
    }
    return count > 0 ? events : NULL;
}

static void assert_sorted(const struct collect_event *first, size_t count)
{
    size_t seen = 0;
    const struct collect_event *last = NULL;
    for (const struct collect_event *event = first; event != NULL; event = event->next) {
        if (last != NULL) {
            assert_true(last->timestamp <= event->timestamp);
            assert_true(last->timestamp < event->timestamp || last->partition < event->partition);
        }
        last = event;
        seen++;
    }
    assert_int_equal(seen, count);
}

static void every_short_sequence_is_ordered_by_time_then_arrival(void **state)
{
    (void)state;
    /* All sequences of up to seven events with four timestamps. */
    for (size_t count = 0; count <= 7; count++) {
        for (uint32_t sequence = 0; sequence < 1U << (2 * count); sequence++) {
            struct collect_event events[7];
            for (size_t n = 0; n < count; n++) {
                events[n].timestamp = (int64_t)(sequence >> (2 * n) & 3) - 2;
            }
            assert_sorted(collect_event_sort(chain(events, count)), count);
        }
    }
}

static void random_sequences_are_ordered_by_time_then_arrival(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("collect_event");
    static struct collect_event events[EVENTS];
    for (uint32_t round = 0; round < 200; round++) {
        size_t count = random_below(&seed, EVENTS + 1);
        uint64_t range = 1 + random_below(&seed, 1U << random_below(&seed, 16));
        bool nearly = random_below(&seed, 2) == 0;
        for (size_t n = 0; n < count; n++) {
            events[n].timestamp = (int64_t)random_below(&seed, range) + (nearly ? (int64_t)n : 0);
        }
        assert_sorted(collect_event_sort(chain(events, count)), count);
    }
}

static void falling_and_extreme_times_are_ordered(void **state)
{
    (void)state;
    static struct collect_event events[EVENTS];
    for (size_t n = 0; n < EVENTS; n++) {
        events[n].timestamp = -(int64_t)n;
    }
    assert_sorted(collect_event_sort(chain(events, EVENTS)), EVENTS);
    events[0].timestamp = INT64_MAX;
    events[1].timestamp = 0;
    events[2].timestamp = INT64_MIN;
    events[3].timestamp = INT64_MAX;
    const struct collect_event *first = collect_event_sort(chain(events, 4));
    assert_sorted(first, 4);
    assert_ptr_equal(first, &events[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_sequence_is_ordered_by_time_then_arrival),
        cmocka_unit_test(random_sequences_are_ordered_by_time_then_arrival),
        cmocka_unit_test(falling_and_extreme_times_are_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
