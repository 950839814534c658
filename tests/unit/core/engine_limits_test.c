/* The engine where something is short: groups, memory, retention, what deduplication remembers; and
 * metrics on chosen sources. */
#include "rig.h"

#include "core/shard.h"

#define EVENTS_MAX 64

/* Events that are made and sent one by one or in batches; ids go up. */
struct feeder {
    struct rig *rig;
    uint32_t next_id;
    uint32_t count;
    struct event events[EVENTS_MAX];
    int64_t watermarks[EVENTS_MAX];
    char ids[EVENTS_MAX][16];
    char subjects[EVENTS_MAX][16];
};

static struct rig rig;
static struct feeder feed;

static void start(const struct rig_options *options)
{
    rig_init(&rig, options);
    memset(&feed, 0, sizeof(feed));
    feed.rig = &rig;
}

static void feed_flush(void)
{
    if (feed.count > 0) {
        rig_send(feed.rig, feed.events, feed.watermarks, feed.count);
        feed.count = 0;
    }
}

static void pulse(void)
{
    feed_flush();
    struct lane_state lane = {.watermark = rig.watermark, .max_time = rig.max_time};
    rig_send_pulse(feed.rig, &lane, 1);
}

static struct event *feed_event(int64_t time, struct bytes source, uint32_t subject)
{
    if (feed.count == EVENTS_MAX) {
        feed_flush();
    }
    uint32_t n = feed.count++;
    rig_id_text(feed.ids[n], feed.next_id++);
    rig_subject_text(feed.subjects[n], subject);
    feed.watermarks[n] = rig.watermark;
    feed.events[n] = (struct event){
        .id = bytes_of_string(feed.ids[n]),
        .source = source,
        .type = BYTES("type-1"),
        .subject = bytes_of_string(feed.subjects[n]),
        .data = BYTES("{\"x\":1}"),
        .time = {time},
        .flags = EVENT_HAS_DATA | EVENT_HAS_TIME | EVENT_HAS_SUBJECT,
    };
    rig.max_time = time > rig.max_time ? time : rig.max_time;
    return &feed.events[n];
}

static struct script_metric metric_of(uint32_t id, enum script_group group, const char *with)
{
    return (struct script_metric){
        .id = id, .window_us = US_PER_MINUTE, .group = group, .with = with};
}

/* What all rows of a metric hold together. */
struct totals {
    uint64_t windows;
    uint64_t rows;
    uint64_t count;
    uint64_t overflow_rows;
    uint64_t overflow_count;
    uint64_t overflowed;
    uint64_t lost;
    struct fates fates;
    int64_t first_start;
};

static struct totals totals_of(const struct rig *own, uint32_t id)
{
    struct totals totals = {.first_start = INT64_MAX};
    uint32_t place = rig_place(own, id);
    assert_true(place < METRICS_MAX);
    for (uint32_t n = 0; n < own->options.partitions; n++) {
        const struct metric *metric = &own->owners[n]->metrics[place];
        const struct metric_part *part = own->owners[n]->partitions[n]->parts[place];
        totals.overflowed += part->overflowed;
        totals.lost += part->lost;
        totals.fates.counted += part->fates.counted;
        totals.fates.late_corrected += part->fates.late_corrected;
        totals.fates.late_dropped += part->fates.late_dropped;
        totals.fates.filtered += part->fates.filtered;
        for (uint32_t at = 0; at < part->window_count; at++) {
            const struct window *window = &part->windows[at];
            assert_true(window->rows.row_count > 0);
            totals.windows++;
            totals.first_start =
                window->start < totals.first_start ? window->start : totals.first_start;
            struct rows_cursor cursor = {0};
            for (struct row *row; (row = rows_next(&window->rows, &cursor)) != NULL;) {
                struct value value = accumulate_result(&metric->layout, row->accumulators, 0, 1);
                uint64_t count = (uint64_t)(value.nano / NANO_PER_UNIT);
                bool overflow = (row->flags & ROW_OVERFLOW) != 0;
                totals.rows++;
                totals.count += count;
                totals.overflow_rows += overflow;
                totals.overflow_count += overflow ? count : 0;
            }
        }
    }
    return totals;
}

/* --- groups --- */

static void groups_beyond_the_limit_share_the_overflow_row(void **state)
{
    (void)state;
    struct rig_options options = rig_options(1, 1, 1);
    struct script_metric metric = metric_of(1, GROUP_SUBJECT, "WITH (groups_max = 100)");
    start(&options);
    rig_send_define(&rig, &metric);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t n = 0; n < 500; n++) {
            (void)feed_event(1000, BYTES("/s"), n);
        }
        pulse();
    }
    struct totals totals = totals_of(&rig, 1);
    assert_int_equal(totals.count, 1500);
    assert_int_equal(totals.windows, 1);
    assert_int_equal(totals.overflow_rows, 1);
    assert_in_range(totals.rows, 101, 130); /* a shard may take a little more than its share */
    assert_int_equal(totals.overflow_count, 3 * (500 - (totals.rows - 1)));
    assert_int_equal(totals.overflowed, totals.overflow_count); /* one delta per group and pulse */
    assert_int_equal(totals.lost, 0);

    struct rig copy;
    assert_true(rig_copy(&rig, 1, &copy));
    assert_true(rig_digest(&copy) == rig_digest(&rig));
    for (uint32_t n = 400; n < 600; n++) {
        feed.rig = n % 2 == 0 ? &rig : &copy; /* the same event to both */
        feed.next_id = n % 2 == 0 ? feed.next_id : feed.next_id - 1;
        (void)feed_event(1000, BYTES("/s"), n / 2);
        feed_flush();
    }
    feed.rig = &copy;
    pulse();
    feed.rig = &rig;
    pulse();
    assert_int_equal(totals_of(&copy, 1).count, 1600);
    assert_int_equal(totals_of(&copy, 1).overflow_rows, 1);
    assert_true(rig_digest(&copy) == rig_digest(&rig));
    rig_deinit(&copy);
    rig_deinit(&rig);
}

static void the_limit_holds_for_each_window(void **state)
{
    (void)state;
    struct rig_options options = rig_options(1, 1, 1);
    struct script_metric metric = metric_of(1, GROUP_SUBJECT, "WITH (groups_max = 64)");
    start(&options);
    rig_send_define(&rig, &metric);
    for (uint32_t n = 0; n < 300; n++) {
        (void)feed_event(US_PER_MINUTE * (n / 50), BYTES("/s"), n);
    }
    pulse();
    struct totals totals = totals_of(&rig, 1);
    assert_int_equal(totals.windows, 6);
    assert_int_equal(totals.rows, 300);
    assert_int_equal(totals.overflow_rows, 0);
    rig_deinit(&rig);
}

/* A key of more than ROW_KEY_MAX bytes is no row of its own. */
static void a_group_with_too_long_a_key_goes_to_the_overflow_row(void **state)
{
    (void)state;
    static char subject[2 * ROW_KEY_MAX];
    memset(subject, 's', sizeof(subject));
    struct rig_options options = rig_options(4, 2, 1);
    struct script_metric metric = metric_of(1, GROUP_SUBJECT, NULL);
    start(&options);
    rig_send_define(&rig, &metric);
    for (size_t len = ROW_KEY_MAX - 8; len < ROW_KEY_MAX + 8; len++) {
        feed_event(1000, BYTES("/s"), 0)->subject = bytes_of(subject, len);
    }
    feed_event(1000, BYTES("/s"), 0)->subject = bytes_of(subject, sizeof(subject));
    pulse();
    struct totals totals = totals_of(&rig, 1);
    assert_int_equal(totals.count, 17);
    assert_int_equal(totals.overflow_rows, 1);
    /* A text's key has a byte for its kind and two for its length: 1021 bytes are the most. */
    assert_int_equal(totals.overflow_count, 17 - 6);
    assert_int_equal(totals.rows, 6 + 1);
    struct rig copy;
    assert_true(rig_copy(&rig, 1, &copy));
    assert_true(rig_digest(&copy) == rig_digest(&rig));
    rig_deinit(&copy);
    rig_deinit(&rig);
}

/* --- retention --- */

static void move_to(int64_t time)
{
    rig.watermark = time;
    (void)feed_event(time, BYTES("/s"), 0);
    pulse();
}

static void windows_go_after_their_retention_and_not_before(void **state)
{
    (void)state;
    struct rig_options options = rig_options(4, 2, 1);
    struct script_metric metric = metric_of(1, GROUP_NONE, "WITH (retain = '1 hour')");
    start(&options);
    rig_send_define(&rig, &metric);
    for (int64_t minute = 0; minute < 600; minute++) {
        move_to(minute * US_PER_MINUTE);
        struct totals totals = totals_of(&rig, 1);
        /* Kept while W < end + retain; then up to an eighth of it longer. */
        int64_t least = (minute < 60 ? minute : 60) + 1;
        assert_in_range(totals.windows, least, least + 8);
        assert_int_equal(totals.count, totals.windows);
    }
    rig_deinit(&rig);
}

/* A window that can still be corrected is kept, however short the retention. */
static void a_window_is_not_forgotten_before_it_is_final(void **state)
{
    (void)state;
    struct rig_options options = rig_options(1, 1, 1);
    struct script_metric metric = metric_of(1, GROUP_NONE, "WITH (retain = '1 second')");
    metric.lateness_us = 10 * US_PER_MINUTE;
    start(&options);
    rig_send_define(&rig, &metric);
    (void)feed_event(0, BYTES("/s"), 0);
    (void)feed_event(1, BYTES("/s"), 0);
    pulse();
    move_to(8 * US_PER_MINUTE);
    assert_int_equal(totals_of(&rig, 1).first_start, 0);
    (void)feed_event(2, BYTES("/s"), 0);
    pulse();
    struct totals totals = totals_of(&rig, 1);
    assert_int_equal(totals.fates.late_corrected, 1);
    assert_int_equal(totals.fates.counted, 3);
    assert_int_equal(totals.count, 4);
    move_to(12 * US_PER_MINUTE);
    assert_true(totals_of(&rig, 1).first_start > 0);
    rig_deinit(&rig);
}

/* --- revisions --- */

/* The revision of the row of this subject in the window at 0. */
static uint32_t revision_of(uint32_t subject)
{
    uint8_t memory[64];
    char text[16];
    struct buf key = buf_of(memory, sizeof(memory));
    rig_subject_text(text, subject);
    value_put(&key, value_of_text(bytes_of_string(text)));
    for (uint32_t n = 0; n < rig.options.partitions; n++) {
        const struct metric_part *part = rig.owners[n]->partitions[n]->parts[0];
        if (part->window_count == 0) {
            continue;
        }
        assert_int_equal(part->windows[0].start, 0);
        uint64_t hash = group_hash(rig.owners[n], 0, buf_bytes(&key));
        const struct row *row = rows_find(&part->windows[0].rows, buf_bytes(&key), hash);
        if (row != NULL) {
            return row->revision;
        }
    }
    fail_msg("subject %u has no row", subject);
    return 0;
}

static void a_row_of_a_closed_window_gets_a_revision_with_each_delta(void **state)
{
    (void)state;
    struct rig_options options = rig_options(4, 2, 1);
    struct script_metric metric = metric_of(1, GROUP_SUBJECT, NULL);
    metric.lateness_us = 10 * US_PER_MINUTE;
    start(&options);
    rig_send_define(&rig, &metric);
    for (uint32_t round = 0; round < 3; round++) {
        (void)feed_event(1, BYTES("/s"), 1);
        (void)feed_event(2, BYTES("/s"), 2);
        pulse();
        assert_int_equal(revision_of(1), 0); /* still open */
    }
    rig.watermark = US_PER_MINUTE;
    (void)feed_event(
        3, BYTES("/s"), 1); /* late, corrected: whether or not a pulse closed it before */
    pulse();
    assert_int_equal(revision_of(1), 1);
    for (uint32_t round = 1; round <= 5; round++) {
        pulse(); /* closed, and nothing new */
        assert_int_equal(revision_of(1), round);
        (void)feed_event(4, BYTES("/s"), 1);
        pulse();
        assert_int_equal(revision_of(1), round + 1);
        assert_int_equal(revision_of(2), 0);
    }
    for (uint32_t n = 0; n < 40; n++) {
        (void)feed_event(5, BYTES("/s"), 2);
    }
    pulse();
    assert_in_range(revision_of(2), 1, 4); /* at most one for each intake that had some of them */
    rig_deinit(&rig);
}

/* --- chosen sources --- */

static void declare(uint32_t lane, struct bytes name)
{
    uint8_t memory[128];
    struct buf out = buf_of(memory, sizeof(memory));
    struct source source = {.lane = lane, .name = name};
    source_put(&out, &source);
    rig_apply(&rig, buf_bytes(&out));
}

static void pulse_lanes(int64_t all, int64_t a, int64_t b)
{
    feed_flush();
    struct lane_state lanes[3] = {
        {.lane = 0, .watermark = all, .max_time = all},
        {.lane = 1, .watermark = a, .max_time = a},
        {.lane = 2, .watermark = b, .max_time = b, .flags = b == INT64_MAX ? LANE_FINAL : 0},
    };
    rig.watermark = all < a ? all : a;
    rig.watermark = rig.watermark < b ? rig.watermark : b;
    rig_send_pulse(&rig, lanes, 3);
}

static const struct metric *metric_in(const struct rig *own, uint32_t id)
{
    return &own->engines[0]->metrics[rig_place(own, id)];
}

static void a_metric_on_chosen_sources_goes_by_their_lanes_of_the_last_pulse(void **state)
{
    (void)state;
    struct rig_options options = rig_options(4, 2, 1);
    struct script_metric on_a = metric_of(1, GROUP_NONE, "WITH (sources = '/a')");
    struct script_metric on_both = metric_of(2, GROUP_NONE, "WITH (sources = '/a, /b')");
    struct script_metric on_other = metric_of(3, GROUP_NONE, "WITH (sources = '/other')");
    struct script_metric on_all = metric_of(4, GROUP_NONE, NULL);
    start(&options);
    declare(1, BYTES("/a"));
    declare(2, BYTES("/b"));
    rig_send_define(&rig, &on_a);
    rig_send_define(&rig, &on_both);
    rig_send_define(&rig, &on_other);
    rig_send_define(&rig, &on_all);
    pulse_lanes(10 * US_PER_MINUTE, 5 * US_PER_MINUTE, 2 * US_PER_MINUTE);
    assert_int_equal(metric_in(&rig, 1)->watermark, 5 * US_PER_MINUTE);
    assert_int_equal(metric_in(&rig, 2)->watermark, 2 * US_PER_MINUTE);
    assert_int_equal(metric_in(&rig, 3)->watermark, 10 * US_PER_MINUTE);
    assert_int_equal(metric_in(&rig, 4)->watermark, 2 * US_PER_MINUTE);
    (void)feed_event(3 * US_PER_MINUTE, BYTES("/a"), 0);
    pulse_lanes(10 * US_PER_MINUTE, 5 * US_PER_MINUTE, 2 * US_PER_MINUTE);
    assert_int_equal(totals_of(&rig, 1).fates.late_dropped, 1);
    assert_int_equal(totals_of(&rig, 2).fates.counted, 1);
    assert_int_equal(totals_of(&rig, 3).fates.late_dropped, 1);
    assert_int_equal(totals_of(&rig, 4).fates.counted, 1);

    /* A lane that falls back takes no metric with it; a final one binds nobody. */
    pulse_lanes(10 * US_PER_MINUTE, 4 * US_PER_MINUTE, INT64_MAX);
    assert_int_equal(metric_in(&rig, 1)->watermark, 5 * US_PER_MINUTE);
    assert_int_equal(metric_in(&rig, 2)->watermark, 4 * US_PER_MINUTE);

    struct rig copy;
    assert_true(rig_copy(&rig, 1, &copy));
    assert_true(rig_digest(&copy) == rig_digest(&rig));
    rig_deinit(&copy);
    rig_deinit(&rig);
}

static void a_forgotten_source_belongs_to_the_default_lane_again(void **state)
{
    (void)state;
    struct rig_options options = rig_options(1, 1, 1);
    struct script_metric on_a = metric_of(1, GROUP_NONE, "WITH (sources = '/a')");
    uint8_t memory[64];
    struct buf out = buf_of(memory, sizeof(memory));
    start(&options);
    declare(1, BYTES("/a"));
    declare(2, BYTES("/b"));
    rig_send_define(&rig, &on_a);
    pulse_lanes(20, 10, 15);
    assert_int_equal(metric_in(&rig, 1)->watermark, 10);
    forget_put(&out, 1);
    rig_apply(&rig, buf_bytes(&out));
    struct lane_state lane = {.watermark = 30, .max_time = 30};
    rig_send_pulse(&rig, &lane, 1);
    assert_int_equal(metric_in(&rig, 1)->watermark, 30);
    declare(1, BYTES("/a")); /* its number may serve again */
    struct rig copy;
    assert_true(rig_copy(&rig, 1, &copy));
    assert_true(rig_digest(&copy) == rig_digest(&rig));
    rig_deinit(&copy);
    rig_deinit(&rig);
}

static void with_its_lanes_final_or_idle_a_metric_is_at_the_least_of_the_idle(void **state)
{
    (void)state;
    struct rig_options options = rig_options(1, 1, 1);
    struct script_metric on_both = metric_of(1, GROUP_NONE, "WITH (sources = '/a, /b')");
    start(&options);
    declare(1, BYTES("/a"));
    declare(2, BYTES("/b"));
    rig_send_define(&rig, &on_both);
    struct lane_state lanes[] = {
        {.lane = 1, .watermark = 100, .max_time = 100, .flags = LANE_IDLE},
        {.lane = 2, .watermark = 50, .max_time = 50},
    };
    rig_send_pulse(&rig, lanes, 2);
    assert_int_equal(metric_in(&rig, 1)->watermark, 50);
    lanes[1].flags = LANE_FINAL;
    rig_send_pulse(&rig, lanes, 2);
    assert_int_equal(metric_in(&rig, 1)->watermark, 100);
    rig_deinit(&rig);
}

/* What was counted since the last pulse is not in the rows yet: a window closed now would change. */
static void a_definition_moves_no_other_metric(void **state)
{
    (void)state;
    struct rig_options options = rig_options(1, 1, 1);
    struct script_metric on_a = metric_of(1, GROUP_NONE, "WITH (sources = '/a')");
    struct script_metric other = metric_of(2, GROUP_NONE, "WITH (sources = '/a')");
    uint8_t memory[64];
    struct buf out = buf_of(memory, sizeof(memory));
    start(&options);
    declare(1, BYTES("/a"));
    declare(2, BYTES("/b"));
    rig_send_define(&rig, &on_a);
    pulse_lanes(20, 10, 15);
    struct lane_command finish = {.lane = 1, .kind = LANE_FINISH};
    lane_command_put(&out, &finish);
    rig_apply(&rig, buf_bytes(&out));
    rig_send_define(&rig, &other);
    assert_int_equal(metric_in(&rig, 1)->watermark, 10);
    assert_int_equal(metric_in(&rig, 1)->seal, WATERMARK_NONE);
    rig_deinit(&rig);
}

/* --- memory --- */

/* Whatever is forgotten, no identity is ever counted twice, and the fates add up. */
static void nothing_is_counted_twice_when_deduplication_forgets(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("forgetting");
    uint64_t unverifiable = 0;
    for (uint32_t round = 0; round < 20; round++) {
        struct rig_options options = rig_options(1, 1, 1);
        /* Too little for them in the first rounds, so that it does forget; then about what they need. */
        options.dedup_bytes = round < 5 ? 8192 : 16384 + (size_t)random_below(&random, 65536);
        options.dedup_horizon_us = US_PER_MINUTE;
        struct script_metric metric = metric_of(1, GROUP_SUBJECT, NULL);
        metric.window_us = US_PER_DAY;
        start(&options);
        rig_send_define(&rig, &metric);
        uint64_t sent = 0;
        for (uint32_t n = 0; n < 8000; n++) {
            /* 1500 identities, each with its subject and its time for ever. */
            uint32_t identity = (uint32_t)random_below(&random, 1500);
            feed.next_id = identity;
            (void)feed_event((int64_t)identity * US_PER_SECOND, BYTES("/s"), identity);
            sent++;
            if (random_below(&random, 60) == 0) {
                rig.watermark = rig.max_time - 10 * US_PER_SECOND;
                pulse();
            }
        }
        pulse();
        struct totals totals = totals_of(&rig, 1);
        const struct partition *partition = rig.engines[0]->partitions[0];
        assert_int_equal(totals.rows, totals.count); /* one subject: one row: once */
        assert_int_equal(totals.lost, 0);
        assert_int_equal(partition->unique + partition->duplicates, sent);
        assert_int_equal(totals.fates.counted + totals.fates.late_corrected, totals.count);
        assert_int_equal(totals.fates.counted + totals.fates.late_corrected +
                             totals.fates.late_dropped,
                         partition->unique);
        assert_true(totals.fates.late_dropped >= partition->unverifiable);
        unverifiable += partition->unverifiable;
        rig_deinit(&rig);
    }
    assert_true(unverifiable > 0);
}

/* Memory of every size: no more is counted than came, what is missing is said, and what is there
 * can be saved and comes back. */
static void memory_that_runs_out_costs_events_and_never_the_engine(void **state)
{
    (void)state;
    uint64_t losses = 0;
    for (size_t bytes = 64 * 1024; bytes < 700 * 1024; bytes += 12 * 1024 + 64) {
        struct rig_options options = rig_options(2, 1, 1);
        options.partition_bytes = bytes / 64 * 64;
        options.dedup_bytes = 32768;
        struct script_metric metrics[2] = {metric_of(1, GROUP_SUBJECT, NULL),
                                           metric_of(2, GROUP_SOURCE_TYPE, NULL)};
        start(&options);
        rig_send_define(&rig, &metrics[0]);
        rig_send_define(&rig, &metrics[1]);
        for (uint32_t n = 0; n < 3000; n++) {
            (void)feed_event((int64_t)(n / 10) * US_PER_SECOND, BYTES("/s"), n);
            if (n % 200 == 199) {
                pulse();
            }
        }
        pulse();
        struct totals totals = totals_of(&rig, 1);
        uint64_t unverifiable = rig.engines[0]->partitions[0]->unverifiable +
                                rig.engines[0]->partitions[1]->unverifiable;
        assert_int_equal(totals.fates.counted + totals.fates.late_dropped, 3000);
        assert_true(totals.fates.late_dropped >= unverifiable);
        assert_true(totals.count <= totals.fates.counted);
        assert_true(totals.count + totals.lost >= totals.fates.counted);
        losses += totals.lost + unverifiable;
        struct rig copy;
        assert_true(rig_copy(&rig, 2, &copy));
        assert_true(rig_digest(&copy) == rig_digest(&rig));
        rig_deinit(&copy);
        rig_deinit(&rig);
    }
    assert_true(losses > 1000);
}

/* --- the table of metrics --- */

static void places_are_used_again_and_memory_comes_back(void **state)
{
    (void)state;
    struct rig_options options = rig_options(2, 2, 1);
    uint8_t memory[64];
    start(&options);
    size_t used[2] = {0};
    for (uint32_t id = 1; id <= 600; id++) {
        struct script_metric metric = metric_of(id, GROUP_SUBJECT, NULL);
        rig_send_define(&rig, &metric);
        assert_int_equal(rig_place(&rig, id), 0);
        for (uint32_t n = 0; n < 20; n++) {
            (void)feed_event(1000, BYTES("/s"), n);
        }
        if (id % 3 != 0) { /* else it goes with its panes full */
            pulse();
        }
        feed_flush();
        struct buf out = buf_of(memory, sizeof(memory));
        drop_put(&out, id);
        rig_apply(&rig, buf_bytes(&out));
        pulse();
        for (uint32_t n = 0; n < 2; n++) {
            const struct partition *partition = rig.owners[n]->partitions[n];
            size_t now = partition->heap.used_bytes - partition->dedup.bytes;
            assert_true(id < 10 || now == used[n]);
            used[n] = now;
            heap_validate(&partition->heap);
        }
    }
    rig_deinit(&rig);
}

static void as_many_metrics_as_there_may_be_count_the_same(void **state)
{
    (void)state;
    struct rig_options options = rig_options(1, 1, 1);
    start(&options);
    for (uint32_t id = 1; id <= METRICS_MAX; id++) {
        struct script_metric metric = metric_of(id, GROUP_NONE, NULL);
        rig_send_define(&rig, &metric);
    }
    for (uint32_t n = 0; n < 10; n++) {
        (void)feed_event(1000, BYTES("/s"), n);
    }
    pulse();
    for (uint32_t id = 1; id <= METRICS_MAX; id++) {
        assert_int_equal(totals_of(&rig, id).count, 10);
    }
    /* All of them miss the same event. */
    rig.watermark = US_PER_HOUR;
    (void)feed_event(1000, BYTES("/s"), 0);
    pulse();
    assert_int_equal(rig.owners[0]->partitions[0]->late.count, 1);
    assert_int_equal(totals_of(&rig, METRICS_MAX).fates.late_dropped, 1);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_beyond_the_limit_share_the_overflow_row),
        cmocka_unit_test(the_limit_holds_for_each_window),
        cmocka_unit_test(a_group_with_too_long_a_key_goes_to_the_overflow_row),
        cmocka_unit_test(windows_go_after_their_retention_and_not_before),
        cmocka_unit_test(a_window_is_not_forgotten_before_it_is_final),
        cmocka_unit_test(a_row_of_a_closed_window_gets_a_revision_with_each_delta),
        cmocka_unit_test(a_metric_on_chosen_sources_goes_by_their_lanes_of_the_last_pulse),
        cmocka_unit_test(a_forgotten_source_belongs_to_the_default_lane_again),
        cmocka_unit_test(with_its_lanes_final_or_idle_a_metric_is_at_the_least_of_the_idle),
        cmocka_unit_test(a_definition_moves_no_other_metric),
        cmocka_unit_test(nothing_is_counted_twice_when_deduplication_forgets),
        cmocka_unit_test(memory_that_runs_out_costs_events_and_never_the_engine),
        cmocka_unit_test(places_are_used_again_and_memory_comes_back),
        cmocka_unit_test(as_many_metrics_as_there_may_be_count_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
