/* Episodes of HOLD: when they are told, and when not; the same on any number of engines and from
 * saved bytes. Times are seconds. */
#include "watch_world.h"

#include "model/timeout.h"

#define OVERDUE                                                                                    \
    "CREATE TIMEOUT overdue AS AFTER type = 'start' EXPECT type = 'stop' "                         \
    "WITHIN INTERVAL '10 seconds' PER subject "
#define DEAF     (PULSE_HOLD | PULSE_DEAF)
#define REFUSING (PULSE_HOLD | PULSE_REFUSING)

#define STORY(test) cmocka_unit_test_setup_teardown(test, start, end)

static struct world world;

static int start(void **state)
{
    (void)state;
    struct world_options options = world_options(4, 3);
    world_init(&world, &options);
    world.clock = 100;
    return 0;
}

static int end(void **state)
{
    (void)state;
    world_deinit(&world);
    return 0;
}

/* A pulse at that second, which says so. */
static void pulse_at(int64_t second, uint8_t flags)
{
    world.clock = second;
    world.flags = flags;
    world_pulse(&world, 0);
}

/* One command on "k" in partition 1; by events, or by the engine's clock. */
static void command(enum timeout_op op, enum timeout_clock clock)
{
    static uint8_t memory[4096];
    struct timeout_command asked = {.op = op, .key = BYTES("k")};
    if (op == TIMEOUT_CREATE) {
        asked.clock = clock;
        asked.has_deadline = true;
        asked.deadline = 1000 * US_PER_SECOND;
        asked.on_exists = TIMEOUT_REPLACE;
    }
    struct buf out = buf_of(memory, sizeof(memory));
    size_t body_start = timeouts_begin(&out, 1);
    timeout_command_put(&out, &asked, 1);
    record_end(&out, body_start);
    timeouts_stamp(&out, body_start, (struct clock_time){world.clock * US_PER_SECOND}, 0);
    assert_false(out.overflow);
    world_records(&world, buf_bytes(&out));
}

/* When a pulse is needed to tell it: the same in all engines, and they ask for it. */
static int64_t next_due(void)
{
    int64_t due = lagging_next_due(&world.engines[0]->lagging);
    for (uint32_t n = 0; n < world.options.engine_count; n++) {
        assert_int_equal(lagging_next_due(&world.engines[n]->lagging), due);
        assert_true(engine_next_due(world.engines[n]).clock <= due);
    }
    return due;
}

static void it_is_told_after_a_second_and_once_more_when_it_is_over(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE);
    pulse_at(100, DEAF);
    assert_int_equal(next_due(), 101 * US_PER_SECOND + 1);
    pulse_at(101, DEAF); /* exactly a second */
    assert_told(&world, "");
    pulse_at(102, DEAF);
    assert_told(&world, "holds 100..102 why 64\n");
    assert_int_equal(next_due(), INT64_MAX);
    pulse_at(103, REFUSING);
    pulse_at(500, DEAF);
    assert_told(&world, "");
    pulse_at(501, 0);
    assert_told(&world, "held 100..501 why 72\n"); /* all reasons that there were */
    pulse_at(502, 0);
    assert_told(&world, "");
    pulse_at(503, DEAF);
    pulse_at(505, DEAF);
    assert_told(&world, "holds 503..505 why 64\n"); /* another one */
}

static void a_short_one_is_not_told(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE);
    pulse_at(100, REFUSING);
    pulse_at(200, 0);
    assert_told(&world, "");
    pulse_at(300, REFUSING);
    pulse_at(301, REFUSING);
    pulse_at(302, 0);
    assert_told(&world, "");
    assert_int_equal(next_due(), INT64_MAX);
}

static void a_process_that_stood_still_is_told_at_once(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE);
    pulse_at(100, PULSE_HOLD | PULSE_RESUMED);
    assert_told(&world, "holds 100..100 why 32\n");
    pulse_at(101, 0);
    assert_told(&world, "held 100..101 why 32\n");
}

static void a_log_that_tells_no_reasons_has_no_episodes(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE);
    pulse_at(100, PULSE_HOLD);
    pulse_at(200, PULSE_HOLD);
    pulse_at(300, 0);
    assert_told(&world, "");
    assert_int_equal(next_due(), INT64_MAX);
}

static void it_is_told_only_where_something_waits_by_events(void **state)
{
    (void)state;
    world_rule(&world, OVERDUE " CLOCK PROCESSING");
    command(TIMEOUT_CREATE, TIMEOUT_BY_PROCESSING);
    pulse_at(100, DEAF);
    pulse_at(110, DEAF);
    assert_told(&world, "");
    assert_int_equal(next_due(), INT64_MAX);
    command(TIMEOUT_CREATE, TIMEOUT_BY_EVENTS); /* in another partition than the one that tells */
    pulse_at(111, DEAF);
    assert_told(&world, "holds 100..111 why 64\n");
    command(TIMEOUT_COMPLETE, TIMEOUT_BY_EVENTS);
    pulse_at(112, DEAF);
    pulse_at(113, 0);
    assert_told(&world, "held 100..113 why 64\n"); /* what was told ends, whatever waits then */
    pulse_at(120, DEAF);
    pulse_at(130, DEAF);
    pulse_at(140, 0);
    assert_told(&world, "");
    command(TIMEOUT_CREATE, TIMEOUT_BY_EVENTS);
    command(TIMEOUT_CREATE, TIMEOUT_BY_PROCESSING); /* in its place */
    pulse_at(150, DEAF);
    pulse_at(160, DEAF);
    assert_told(&world, "");
    pulse_at(161, 0);
    uint32_t rule = world_rule(&world,
                               "CREATE SILENCE q AS EXPECT type = 'r' "
                               "EVERY INTERVAL '10 seconds' PER subject");
    pulse_at(170, DEAF);
    world_drop(&world, rule);
    pulse_at(180, DEAF);
    assert_told(&world, "");
}

/* Who looks into the log for the fate of an event follows the shared part, with no partition of its own. */
static void an_engine_without_partitions_follows_and_tells_nothing(void **state)
{
    (void)state;
    struct engine *follower = malloc(sizeof(*follower));
    void *region = aligned_alloc(64, (size_t)4 << 20);
    assert_non_null(follower);
    assert_non_null(region);
    engine_init(follower, &world.engines[0]->limits, region, (size_t)4 << 20);
    for (uint64_t ordinal = 1; ordinal <= 3; ordinal++) {
        const struct pulse pulse = {.ordinal = ordinal,
                                    .clock = {(int64_t)ordinal * 10 * US_PER_SECOND},
                                    .flags = ordinal < 3 ? DEAF : 0};
        engine_flush(follower, &pulse);
        engine_pulse(follower, &pulse, NULL);
        engine_validate(follower);
        assert_int_equal(follower->lagging.holding, ordinal < 3);
    }
    free(region);
    free(follower);
}

/* Saved in every phase: what follows is the same as without. */
static void saved_bytes_go_on_where_it_was_on_any_number_of_engines(void **state)
{
    (void)state;
    static struct world copy;
    static const struct {
        int64_t second;
        uint8_t flags;
    } pulses[] = {{100, DEAF}, {101, DEAF}, {102, REFUSING}, {103, DEAF}, {104, 0}, {105, 0}};
    const size_t count = sizeof(pulses) / sizeof(pulses[0]);
    world_rule(&world, OVERDUE);
    char told[2][4096];
    for (size_t cut = 0; cut < count; cut++) {
        if (cut > 0) {
            pulse_at(pulses[cut - 1].second, pulses[cut - 1].flags);
        }
        uint32_t engines = 1 + (uint32_t)cut % 3;
        world_copy(&world, engines, &copy);
        assert_true(world_digest(&copy) == world_digest(&world));
        assert_int_equal(lagging_next_due(&copy.engines[engines - 1]->lagging), next_due());
        struct world kept;
        world_copy(&world, 3, &kept);
        told[0][0] = '\0';
        told[1][0] = '\0';
        struct world *both[2] = {&copy, &kept};
        for (int n = 0; n < 2; n++) {
            for (size_t at = cut; at < count; at++) {
                both[n]->clock = pulses[at].second;
                both[n]->flags = pulses[at].flags;
                world_pulse(both[n], 0);
            }
            (void)snprintf(told[n], sizeof(told[n]), "%s", world_told(both[n]));
        }
        assert_string_equal(told[0], told[1]);
        assert_true(world_digest(&copy) == world_digest(&kept));
        world_deinit(&copy);
        world_deinit(&kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(it_is_told_after_a_second_and_once_more_when_it_is_over),
        STORY(a_short_one_is_not_told),
        STORY(a_process_that_stood_still_is_told_at_once),
        STORY(a_log_that_tells_no_reasons_has_no_episodes),
        STORY(it_is_told_only_where_something_waits_by_events),
        STORY(an_engine_without_partitions_follows_and_tells_nothing),
        STORY(saved_bytes_go_on_where_it_was_on_any_number_of_engines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
