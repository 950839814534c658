/* The same records give the same state: with any number of runners, from the beginning or from a
 * snapshot, up to any position, over a log that behaves badly. */
#include "../unit/base/support.h"

#include "story.h"

static struct story story;

static int tear_down(void **state)
{
    (void)state;
    story_end(&story);
    return 0;
}

#define LATE_ARRIVALS                                                                              \
    "CREATE METRIC arrivals AS SELECT subject AS airport, count(*) AS n "                          \
    "FROM TUMBLE(events, time, INTERVAL '10 seconds') GROUP BY subject "                           \
    "ALLOW LATENESS INTERVAL '20 seconds'"

static const char *const subjects[] = {"ATL", "JFK", "ORD", "SFO", "LAX", "DEN", "SEA"};

/* A random event around the time `second`: some late, some repeated. */
static void random_event(uint64_t *random, uint64_t second, char *text, size_t size)
{
    uint64_t back =
        random_below(random, 8) == 0 ? random_below(random, 60) : random_below(random, 5);
    uint64_t at = second > back ? second - back : 0;
    const char *subject = subjects[random_below(random, 7)];
    const char *source = random_below(random, 3) == 0 ? "ua/" : "";
    (void)snprintf(text,
                   size,
                   "%s%llu:%s@%llu",
                   source,
                   (unsigned long long)random_below(random, 300),
                   subject,
                   (unsigned long long)at);
}

/* A life of `seconds`: definitions, a declared source, events that disorder and repeat. */
static void live(uint64_t seed, uint32_t seconds)
{
    uint64_t random = seed;
    for (uint32_t second = 1; second <= seconds; second++) {
        if (second == 3) {
            story_define(&story, LATE_ARRIVALS, DEFINE_CREATE);
        } else if (second == 10) {
            story_source(&story, "ua", LANE_BOUNDED);
        } else if (second == seconds / 2) {
            story_define(&story,
                         "CREATE METRIC all_of_them AS SELECT count(*) AS n, min(time) AS t "
                         "FROM TUMBLE(events, time, INTERVAL '1 minute')",
                         DEFINE_CREATE);
        } else if (second == seconds * 3 / 4) {
            story_lane(&story, "ua", LANE_FINISH, 0);
        }
        for (uint64_t n = random_below(&random, 4); n > 0; n--) {
            char text[STORY_EVENTS_MAX];
            size_t len = 0;
            for (uint64_t m = 1 + random_below(&random, 4); m > 0; m--) {
                random_event(&random, second, text + len, sizeof(text) - len);
                len += strlen(text + len);
                text[len++] = ' ';
            }
            text[len - 1] = '\0';
            (void)story_send(&story, text, random_below(&random, 2) == 0);
        }
        story_pass(&story, 1);
    }
    world_drain(&story.world);
}

/* The process dies and another one replays; its digest before anything new happens. */
static uint64_t replayed_digest(const struct world_options *options)
{
    world_stop(&story.world);
    memory_log_crash(&story.machine.log, false);
    assert_true(world_start(&story.world, &story.machine, options));
    return world_digest(&story.world);
}

static void any_number_of_runners_gives_the_same_digest(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 1, .partitions = 6});
    live(1, 90);
    uint64_t digest = world_digest(&story.world);
    for (uint32_t runners = 1; runners <= 6; runners++) {
        struct world_options options = {
            .runners = runners, .partitions = 6, .ignore_snapshots = true};
        assert_int_equal(replayed_digest(&options), digest);
    }
}

static void three_live_runners_are_replayed_by_one(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 3, .partitions = 5});
    live(2, 90);
    story.trace_len = 0;
    story_fates(&story, "arrivals");
    story_values(&story, "arrivals");
    story_values(&story, "all_of_them");
    static char before[STORY_TRACE_MAX];
    memcpy(before, story.trace, sizeof(before));
    uint64_t digest = world_digest(&story.world);
    assert_int_equal(replayed_digest(&(struct world_options){.runners = 1, .partitions = 5}),
                     digest);
    story_settle(&story);
    story.trace_len = 0;
    story_fates(&story, "arrivals");
    story_values(&story, "arrivals");
    story_values(&story, "all_of_them");
    assert_string_equal(story.trace, before);
}

/* The rows without their revisions, which tell how often somebody looked, not what was counted. */
static void strip_revisions(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        if (from[0] == ' ' && from[1] == 'r' && from[2] >= '0' && from[2] <= '9') {
            from += 2;
            while (*from >= '0' && *from <= '9') {
                from++;
            }
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* The same events, so many at a time and with so many proposals before the sequencer's turn. */
static void gather(uint32_t at_a_time, uint32_t proposals, char *result)
{
    uint64_t random = 99;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, LATE_ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 1);
    char text[4096];
    size_t len = 0;
    for (uint32_t n = 1; n <= 600; n++) {
        random_event(&random, n / 3, text + len, sizeof(text) - len);
        len += strlen(text + len);
        text[len++] = ' ';
        if (n % at_a_time == 0) {
            text[len - 1] = '\0';
            len = 0;
            (void)story_send(&story, text, false);
        }
        if (n % (at_a_time * proposals) == 0) {
            story_pass(&story, 0.05);
        }
    }
    world_drain(&story.world);
    story.trace_len = 0;
    story_fates(&story, "arrivals");
    story_values(&story, "arrivals");
    (void)snprintf(result, STORY_TRACE_MAX, "%s", story.trace);
    strip_revisions(result);
}

static void what_is_counted_does_not_depend_on_how_events_are_gathered(void **state)
{
    (void)state;
    static char expected[STORY_TRACE_MAX];
    static char actual[STORY_TRACE_MAX];
    gather(1, 1, expected);
    const uint32_t sizes[][2] = {{1, 10}, {3, 1}, {12, 1}, {60, 1}, {12, 10}};
    for (uint32_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
        story_end(&story);
        gather(sizes[n][0], sizes[n][1], actual);
        assert_string_equal(actual, expected);
    }
    assert_non_null(strstr(expected, "dropped"));
    assert_null(strstr(expected, "dropped 0"));
    assert_null(strstr(expected, "corrected 0"));
}

static void take_snapshot(void)
{
    const struct ticket *ticket =
        world_propose(&story.world, &(struct proposal){.kind = PROPOSE_SNAPSHOT});
    world_settle(&story.world);
    world_settle(&story.world);
    assert_string_equal(story_outcome(ticket), "OK");
}

static void a_snapshot_and_the_log_behind_it_give_what_the_whole_log_gives(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    live(3, 60);
    take_snapshot();
    live(4, 60); /* definitions are repeated: unchanged */
    uint64_t digest = world_digest(&story.world);
    assert_int_equal(replayed_digest(&(struct world_options){.runners = 3}), digest);
    assert_true(story.world.replay_from > 0);
    uint64_t behind = story.world.replayed;
    assert_int_equal(replayed_digest(&(struct world_options){.ignore_snapshots = true}), digest);
    assert_int_equal(story.world.replay_from, 0);
    assert_true(story.world.replayed > behind);
}

static void a_replay_up_to_a_position_gives_the_state_of_then(void **state)
{
    (void)state;
    uint64_t positions[6];
    uint64_t digests[6];
    story_begin(&story, &(struct world_options){.runners = 2});
    for (uint32_t n = 0; n < 6; n++) {
        live(10 + n, 20);
        positions[n] = story.world.sequencer.position;
        digests[n] = world_digest(&story.world);
        if (n % 2 == 1) {
            take_snapshot();
        }
    }
    for (uint32_t n = 0; n < 6; n++) {
        struct world_options options = {.replay_until = positions[n]};
        assert_int_equal(replayed_digest(&options), digests[n]);
        options.ignore_snapshots = true;
        assert_int_equal(replayed_digest(&options), digests[n]);
    }
}

static void frames_of_the_logs_own_between_ours_change_nothing(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story.machine.log.own_frame_bytes = 8192;
    live(5, 40);
    take_snapshot();
    live(6, 40);
    uint64_t digest = world_digest(&story.world);
    assert_int_equal(replayed_digest(&(struct world_options){.runners = 2}), digest);
    assert_int_equal(replayed_digest(&(struct world_options){.ignore_snapshots = true}), digest);
}

static void a_metrics_position_is_the_same_live_and_replayed(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story.machine.log.own_frame_bytes = 8192;
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    const struct ticket *live_info = world_inspect(&story.world, INSPECT_METRICS, "arrivals");
    story_settle(&story);
    uint64_t position = live_info->inspection.metrics[0].position;
    story_restart(&story, &(struct world_options){0});
    const struct ticket *info = world_inspect(&story.world, INSPECT_METRICS, "arrivals");
    story_settle(&story);
    assert_int_equal(info->inspection.metrics[0].position, position);
}

static void a_reader_that_is_short_of_memory_for_a_moment_loses_nothing(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    live(7, 30);
    uint64_t digest = world_digest(&story.world);
    story.machine.log.short_reads = 3;
    assert_int_equal(replayed_digest(&(struct world_options){0}), digest);
}

static void start_without_the_snapshot(void)
{
    static struct world other;
    world_stop(&story.world);
    (void)world_start(&other, &story.machine, &(struct world_options){.ignore_snapshots = true});
}

static void a_log_whose_beginning_is_gone_is_not_taken_for_the_whole(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story.machine.log.trims = true;
    live(8, 30);
    take_snapshot();
    live(9, 30);
    assert_true(story.machine.log.frames[0].position > 0);
    uint64_t digest = world_digest(&story.world);
    assert_int_equal(replayed_digest(&(struct world_options){0}), digest);
    assert_true(dies(start_without_the_snapshot));
}

static void many_restarts_keep_everything(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    for (uint32_t n = 0; n < 20; n++) {
        story_tell(&story, "ATL@1");
        if (n % 5 == 0) {
            story_pass(&story, 0.1);
            take_snapshot();
        }
        story_restart(&story, &(struct world_options){.runners = 1 + n % 3});
    }
    story.trace_len = 0;
    story_values(&story, "arrivals");
    ASSERT_STORY(&story, "arrivals: [0 ATL 20]\n");
    assert_int_equal(world_stat(&story.world, "unique", ""), 20);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_number_of_runners_gives_the_same_digest),
        TEST(three_live_runners_are_replayed_by_one),
        TEST(what_is_counted_does_not_depend_on_how_events_are_gathered),
        TEST(a_snapshot_and_the_log_behind_it_give_what_the_whole_log_gives),
        TEST(a_replay_up_to_a_position_gives_the_state_of_then),
        TEST(frames_of_the_logs_own_between_ours_change_nothing),
        TEST(a_metrics_position_is_the_same_live_and_replayed),
        TEST(a_reader_that_is_short_of_memory_for_a_moment_loses_nothing),
        TEST(a_log_whose_beginning_is_gone_is_not_taken_for_the_whole),
        TEST(many_restarts_keep_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
