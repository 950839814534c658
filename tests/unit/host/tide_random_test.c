/* Tide against a naive model of the same rules, and against itself by way of the log and of saved
 * bytes. Random streams with several declared sources. */
#include "../base/saved.h"
#include "../base/support.h"

#include "tide_bench.h"

#define SOURCES 6 /* "0" is never declared */

static const char *const names[SOURCES] = {"0", "1", "2", "3", "4", "5"};

/* --- the naive model --- */

struct naive_lane {
    bool declared; /* for the default lane: heard or not, it is there */
    bool heard;
    bool final;
    bool idle;
    bool is_explicit;
    int64_t disorder;
    int64_t watermark;
    int64_t max_time;
    int64_t last_heard;
};

struct naive {
    int64_t watermark;
    int64_t before_final;
    struct naive_lane lanes[SOURCES]; /* [0]: the default lane */
};

static void naive_init(struct naive *naive)
{
    *naive = (struct naive){.watermark = WATERMARK_NONE, .before_final = WATERMARK_NONE};
    for (uint32_t n = 0; n < SOURCES; n++) {
        naive->lanes[n] = (struct naive_lane){
            .disorder = TIDE_DISORDER_US, .watermark = WATERMARK_NONE, .max_time = WATERMARK_NONE};
    }
}

/* W from nothing but the lanes as they stand. */
static void naive_settle(struct naive *naive)
{
    int64_t least = WATERMARK_FINAL;
    bool any = false;
    bool unfinished = false;
    bool finished = false;
    for (uint32_t n = 0; n < SOURCES; n++) {
        const struct naive_lane *lane = &naive->lanes[n];
        bool present = n == 0 ? lane->heard || lane->final : lane->declared;
        unfinished = unfinished || (present && !lane->final);
        finished = finished || (present && lane->final);
        if (present && !lane->final && !lane->idle) {
            least = lane->watermark < least ? lane->watermark : least;
            any = true;
        }
    }
    if (any) {
        naive->watermark =
            naive->watermark == WATERMARK_FINAL ? naive->before_final : naive->watermark;
        naive->watermark = least > naive->watermark ? least : naive->watermark;
    } else if (finished && !unfinished && naive->watermark != WATERMARK_FINAL) {
        naive->before_final = naive->watermark;
        naive->watermark = WATERMARK_FINAL;
    } else if (unfinished) { /* all idle: not below them all */
        int64_t least_idle = WATERMARK_FINAL;
        for (uint32_t n = 0; n < SOURCES; n++) {
            const struct naive_lane *lane = &naive->lanes[n];
            bool waits = lane->idle && !lane->final && (n == 0 || lane->declared);
            least_idle = waits && lane->watermark < least_idle ? lane->watermark : least_idle;
        }
        naive->watermark = least_idle > naive->watermark ? least_idle : naive->watermark;
    }
}

static struct naive_lane *naive_lane(struct naive *naive, const char *name)
{
    uint32_t number = (uint32_t)(name[0] - '0');
    return naive->lanes[number].declared ? &naive->lanes[number] : &naive->lanes[0];
}

static void naive_say(
    struct naive *naive, int64_t arrival, const struct said *rows, uint32_t count, int64_t *stamps)
{
    for (uint32_t n = 0; n < count; n++) { /* who speaks takes part before the first is judged */
        struct naive_lane *lane = naive_lane(naive, rows[n].source);
        lane->heard = true;
        lane->idle = false;
        lane->last_heard = arrival;
    }
    naive_settle(naive);
    for (uint32_t n = 0; n < count; n++) {
        struct naive_lane *lane = naive_lane(naive, rows[n].source);
        stamps[n] = naive->watermark;
        if (rows[n].time_us > lane->max_time) {
            lane->max_time = rows[n].time_us;
        }
        int64_t watermark = lane->max_time - lane->disorder;
        if (!lane->is_explicit && watermark > lane->watermark) {
            lane->watermark = watermark;
        }
        naive_settle(naive);
    }
}

static void naive_tick(struct naive *naive, int64_t now)
{
    for (uint32_t n = 0; n < SOURCES; n++) {
        struct naive_lane *lane = &naive->lanes[n];
        bool present = n == 0 ? lane->heard : lane->declared;
        if (present && !lane->final && now - lane->last_heard > TIDE_IDLE_AFTER_US) {
            lane->idle = true;
        }
    }
    if (naive->watermark != WATERMARK_FINAL) {
        naive_settle(naive);
    }
}

/* --- a random life --- */

struct life {
    struct bench bench;
    struct naive naive;
    uint64_t random;
    int64_t now;
    bool ticks; /* sources fall idle */
};

static void step_say(struct life *life)
{
    struct said rows[BENCH_ROWS_MAX];
    int64_t expected[BENCH_ROWS_MAX];
    uint32_t count = 1 + (uint32_t)random_below(&life->random, 12);
    for (uint32_t n = 0; n < count; n++) {
        /* Old enough that no source is live: then only events and producers move W. */
        int64_t behind = US_PER_HOUR + (int64_t)random_below(&life->random, 40) * US_PER_SECOND;
        rows[n] = (struct said){names[random_below(&life->random, SOURCES)], life->now - behind};
    }
    bench_say(&life->bench, life->now, rows, count);
    naive_say(&life->naive, life->now, rows, count, expected);
    assert_int_equal(life->bench.stamp_count, count);
    for (uint32_t n = 0; n < count; n++) {
        assert_int_equal(life->bench.stamps[n], expected[n]);
    }
}

static void step_declare(struct life *life, uint32_t which)
{
    struct naive_lane *lane = &life->naive.lanes[which];
    bool is_new = !lane->declared;
    bool is_explicit = random_below(&life->random, 3) == 0;
    (void)bench_declare(
        &life->bench, life->now, names[which], is_explicit ? LANE_EXPLICIT : LANE_BOUNDED);
    if (is_new) {
        *lane = (struct naive_lane){.declared = true,
                                    .disorder = TIDE_DISORDER_US,
                                    .watermark = WATERMARK_NONE,
                                    .max_time = WATERMARK_NONE,
                                    .last_heard = life->now};
    }
    lane->is_explicit = is_explicit;
    if (!is_explicit && lane->max_time != WATERMARK_NONE &&
        lane->max_time - lane->disorder > lane->watermark) {
        lane->watermark = lane->max_time - lane->disorder;
    }
    naive_settle(&life->naive);
}

static void step_command(struct life *life, uint32_t which)
{
    struct naive_lane *lane = &life->naive.lanes[which];
    if (which != 0 && !lane->declared) {
        return;
    }
    const char *name = which == 0 ? "*" : names[which];
    uint64_t kind = random_below(&life->random, 4);
    if (kind == 0) {
        bench_command(&life->bench, life->now, name, LANE_FINISH, 0);
        lane->final = true;
    } else if (kind == 1) {
        bench_command(&life->bench, life->now, name, LANE_REOPEN, 0);
        lane->final = false;
        lane->idle = false;
        lane->last_heard = life->now;
    } else if (!lane->final) {
        int64_t time =
            life->now - US_PER_HOUR + (int64_t)random_below(&life->random, 60) * US_PER_SECOND;
        bench_command(&life->bench, life->now, name, LANE_ADVANCE, time);
        lane->heard = true;
        lane->idle = false;
        lane->last_heard = life->now;
        lane->watermark = time > lane->watermark ? time : lane->watermark;
        lane->max_time = time > lane->max_time ? time : lane->max_time;
    }
    naive_settle(&life->naive);
}

static void step(struct life *life)
{
    uint32_t which = (uint32_t)random_below(&life->random, SOURCES);
    uint64_t what = random_below(&life->random, 20);
    life->now += (int64_t)random_below(&life->random, 15) * US_PER_SECOND;
    if (what < 12) {
        step_say(life);
    } else if (what < 14 && which != 0) {
        step_declare(life, which);
    } else if (what == 14 && which != 0 && life->naive.lanes[which].declared) {
        bench_forget(&life->bench, names[which]);
        life->naive.lanes[which] = (struct naive_lane){0};
        naive_settle(&life->naive);
    } else if (what == 15) {
        step_command(life, which);
    } else if (what < 18 && life->ticks) {
        (void)tide_tick(&life->bench.tide, (struct clock_time){life->now}, true);
        naive_tick(&life->naive, life->now);
    } else if (what == 19) {
        (void)bench_pulse(&life->bench, life->now);
    }
    assert_int_equal(life->bench.tide.watermark, life->naive.watermark);
}

static void life_begin(struct life *life, uint64_t seed, bool ticks)
{
    *life = (struct life){.random = seed, .now = S(0), .ticks = ticks};
    bench_init(&life->bench);
    naive_init(&life->naive);
}

static void assert_same_lanes(const struct tide *a, const struct tide *b)
{
    assert_int_equal(a->watermark, b->watermark);
    assert_int_equal(a->lane_count, b->lane_count);
    for (uint32_t n = 0; n < a->lane_count; n++) {
        struct lane_info x;
        struct lane_info y;
        assert_int_equal(a->lanes[n].used, b->lanes[n].used);
        assert_int_equal(a->lanes[n].final, b->lanes[n].final);
        tide_lane_info(a, n, &x);
        tide_lane_info(b, n, &y);
        assert_true(bytes_equal(x.name, y.name));
        assert_int_equal(x.version, y.version);
        assert_int_equal(x.watermark, y.watermark);
        assert_int_equal(x.max_time, y.max_time);
        assert_int_equal(x.heard, y.heard);
        assert_int_equal(x.last_heard.us, y.last_heard.us);
        assert_int_equal(x.recent_lag_us, y.recent_lag_us);
        assert_int_equal(x.source.kind, y.source.kind);
        assert_int_equal(x.source.disorder_us, y.source.disorder_us);
        assert_int_equal(x.source.idle_after_us, y.source.idle_after_us);
        assert_int_equal(x.source.max_future_skew_us, y.source.max_future_skew_us);
    }
}

static void stamps_are_those_of_a_naive_recomputation(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("naive");
    for (uint64_t round = 0; round < 60; round++) {
        struct life life;
        life_begin(&life, seed + round, round % 2 == 1);
        for (uint32_t n = 0; n < 300; n++) {
            step(&life);
        }
        bench_deinit(&life.bench);
    }
}

static void a_replay_comes_to_the_same_lanes_and_watermark(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("replay");
    for (uint64_t round = 0; round < 60; round++) {
        struct life life;
        life_begin(&life, seed + round, false);
        uint64_t steps = 1 + random_below(&life.random, 200);
        for (uint64_t n = 0; n < steps; n++) {
            step(&life);
        }
        struct tide copy;
        bench_replay(&life.bench, &copy);
        assert_same_lanes(&life.bench.tide, &copy);
        tide_deinit(&copy);
        bench_deinit(&life.bench);
    }
}

/* Which lanes were idle is not in the log; but what the records say is not taken back. */
static void a_replay_never_falls_below_a_watermark_that_was_written(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("replay with idle lanes");
    for (uint64_t round = 0; round < 60; round++) {
        struct life life;
        life_begin(&life, seed + round, true);
        uint64_t steps = 1 + random_below(&life.random, 200);
        for (uint64_t n = 0; n < steps; n++) {
            step(&life);
        }
        life.now += US_PER_SECOND;
        step_say(&life);
        int64_t written = life.bench.stamps[life.bench.stamp_count - 1];
        struct tide copy;
        bench_replay(&life.bench, &copy);
        assert_true(copy.watermark >= written);
        assert_true(copy.watermark <= life.bench.tide.watermark);
        tide_deinit(&copy);
        bench_deinit(&life.bench);
    }
}

/* --- saved bytes --- */

static struct buf save(const struct tide *tide)
{
    static uint8_t kept[1 << 16];
    static uint8_t buffer[4096];
    struct buf out = buf_of(kept, sizeof(kept));
    struct writer writer = {
        .buf = buf_of(buffer, sizeof(buffer)), .flush = saved_take, .ctx = &out};
    tide_save(tide, &writer);
    writer_flush(&writer);
    assert_false(out.overflow);
    return out;
}

static bool load(struct tide *tide, struct bytes saved)
{
    struct reader in = reader_of(saved);
    struct loader loader = {.read = saved_give, .ctx = &in};
    assert_true(tide_init(tide, 7));
    return tide_load(tide, &loader) && reader_left(&in) == 0;
}

static void what_is_saved_is_what_is_loaded(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("save");
    for (uint64_t round = 0; round < 30; round++) {
        struct life life;
        life_begin(&life, seed + round, true);
        for (uint32_t n = 0; n < 100; n++) {
            step(&life);
        }
        struct tide copy;
        struct buf saved = save(&life.bench.tide);
        assert_true(load(&copy, buf_bytes(&saved)));
        assert_same_lanes(&life.bench.tide, &copy);
        tide_deinit(&copy);
        bench_deinit(&life.bench);
    }
}

static void bytes_that_are_cut_short_are_refused(void **state)
{
    (void)state;
    struct life life;
    life_begin(&life, 3, false);
    (void)bench_declare(&life.bench, S(0), "1", LANE_BOUNDED);
    (void)bench_declare(&life.bench, S(0), "2", LANE_EXPLICIT);
    bench_say_one(&life.bench, S(1), "1", S(1));
    struct buf saved = save(&life.bench.tide);
    for (size_t len = 0; len < saved.len; len++) {
        struct tide copy;
        assert_false(load(&copy, bytes_of(saved.data, len)));
        tide_deinit(&copy);
    }
    bench_deinit(&life.bench);
}

static void a_lane_that_was_free_when_saved_can_be_taken_after_loading(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    (void)bench_declare(&bench, S(0), "1", LANE_BOUNDED);
    (void)bench_declare(&bench, S(0), "2", LANE_BOUNDED);
    bench_forget(&bench, "1");
    struct buf saved = save(&bench.tide);
    struct bench other;
    bench_init(&other);
    tide_deinit(&other.tide);
    assert_true(load(&other.tide, buf_bytes(&saved)));
    assert_int_equal(bench_declare(&other, S(1), "3", LANE_BOUNDED), 1);
    assert_int_equal(tide_lane_of(&other.tide, BYTES("2")), 2);
    assert_int_equal(tide_lane_of(&other.tide, BYTES("3")), 1);
    bench_deinit(&other);
    bench_deinit(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stamps_are_those_of_a_naive_recomputation),
        cmocka_unit_test(a_replay_comes_to_the_same_lanes_and_watermark),
        cmocka_unit_test(a_replay_never_falls_below_a_watermark_that_was_written),
        cmocka_unit_test(what_is_saved_is_what_is_loaded),
        cmocka_unit_test(bytes_that_are_cut_short_are_refused),
        cmocka_unit_test(a_lane_that_was_free_when_saved_can_be_taken_after_loading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
