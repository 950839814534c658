/* The engine against a naive one: random streams of events, whatever the partitions, the engines
 * that share them, the batches and the pulses. */
#include "rig.h"

#include "core/shard.h"

#define HOUR US_PER_HOUR

/* --- scripts --- */

struct stage {
    struct script *script;
    uint64_t random;
    int64_t now;
    int64_t disorder;
    int64_t max_time;
    int64_t watermark;
    bool final;
    uint32_t types;
    uint32_t subjects;
    uint32_t spread_seconds; /* how far now goes on with each event, at most */
};

static struct script script;
static struct oracle_result expected;

static void push_step(struct stage *stage, enum step_kind kind, uint32_t index)
{
    struct script *own = stage->script;
    assert_true(own->step_count < SCRIPT_STEPS_MAX);
    own->steps[own->step_count++] = (struct step){
        .kind = kind, .index = index, .watermark = stage->watermark, .max_time = stage->max_time};
}

static void move_watermark(struct stage *stage, int64_t time)
{
    stage->max_time = time > stage->max_time ? time : stage->max_time;
    if (!stage->final && stage->max_time - stage->disorder > stage->watermark) {
        stage->watermark = stage->max_time - stage->disorder;
    }
}

static void push_event(struct stage *stage, struct script_event event)
{
    struct script *own = stage->script;
    assert_true(own->event_count < SCRIPT_EVENTS_MAX);
    event.step = own->step_count;
    event.watermark = stage->watermark;
    own->events[own->event_count] = event;
    move_watermark(stage, event.time);
    push_step(stage, STEP_EVENT, own->event_count++);
}

/* Mostly within the disorder, at times minutes or hours late. */
static int64_t random_delay(struct stage *stage)
{
    switch (random_below(&stage->random, 20)) {
    case 0:
        return (int64_t)random_below(&stage->random, (uint64_t)(6 * HOUR));
    case 1:
    case 2:
        return (int64_t)random_below(&stage->random, (uint64_t)(30 * US_PER_MINUTE));
    case 3: /* exactly at an edge, again and again */
        return stage->now - time_floor(stage->now, US_PER_MINUTE);
    default:
        return (int64_t)random_below(&stage->random, (uint64_t)stage->disorder + 1);
    }
}

static struct script_event random_event(struct stage *stage)
{
    uint64_t *random = &stage->random;
    struct script *own = stage->script;
    stage->now += (int64_t)random_below(random, stage->spread_seconds * 1000000ULL);
    struct script_event event = {
        .time = stage->now - random_delay(stage),
        .source = (uint32_t)random_below(random, 4),
        .type = (uint32_t)random_below(random, stage->types),
        .id = (uint32_t)random_below(random, 2000),
        .subject = (uint32_t)random_below(random, stage->subjects),
        .x = (enum script_x)random_below(random, 4),
        .x_milli = (int64_t)random_below(random, 40000) - 5000,
    };
    event.x = random_below(random, 2) == 0 ? X_NUMBER : event.x;
    if (random_below(random, 50) == 0) {
        event.x_milli = (int64_t)(random_next(random) >> 8); /* beyond the integers of a double */
    }
    if (own->event_count > 0 && random_below(random, 10) == 0) {
        const struct script_event *old = &own->events[random_below(random, own->event_count)];
        if (random_below(random, 2) == 0) {
            return *old;
        }
        event.source = old->source; /* the same identity, but all else another */
        event.id = old->id;
    }
    return event;
}

static void push_define(struct stage *stage)
{
    static const int64_t windows[] = {
        US_PER_MINUTE, 5 * US_PER_MINUTE, HOUR, 7 * US_PER_SECOND, US_PER_DAY};
    uint64_t *random = &stage->random;
    struct script *own = stage->script;
    uint32_t index = own->metric_count++;
    own->metrics[index] = (struct script_metric){
        .id = 100 + index,
        .window_us = windows[random_below(random, 5)],
        .lateness_us = random_below(random, 2) == 0 ? 0 : 10 * US_PER_MINUTE,
        .group = (enum script_group)random_below(random, 4),
        .filter = (enum script_filter)random_below(random, 3),
        .from = own->step_count,
        .to = SCRIPT_NEVER,
    };
    push_step(stage, STEP_DEFINE, index);
}

static void push_drop(struct stage *stage)
{
    struct script *own = stage->script;
    if (own->metric_count == 0) {
        return;
    }
    uint32_t index = (uint32_t)random_below(&stage->random, own->metric_count);
    if (own->metrics[index].to == SCRIPT_NEVER) {
        own->metrics[index].to = own->step_count;
        push_step(stage, STEP_DROP, index);
    }
}

static void push_finish_or_reopen(struct stage *stage)
{
    struct script *own = stage->script;
    if (!stage->final && own->seal_count < SCRIPT_SEALS_MAX) {
        stage->final = true;
        stage->watermark = WATERMARK_FINAL;
        push_step(stage, STEP_FINISH, 0);
    } else if (stage->final && stage->max_time != WATERMARK_NONE) {
        own->seals[own->seal_count++] =
            (struct script_seal){.step = own->step_count, .max_time = stage->max_time};
        stage->final = false;
        stage->watermark = stage->max_time - stage->disorder;
        push_step(stage, STEP_REOPEN, 0);
    }
}

static void push_anything(struct stage *stage, bool finals)
{
    switch (random_below(&stage->random, 60)) {
    case 0:
        if (stage->script->metric_count < SCRIPT_METRICS_MAX) {
            push_define(stage);
        }
        break;
    case 1:
        push_drop(stage);
        break;
    case 2:
        if (finals && random_below(&stage->random, 2) == 0) {
            push_finish_or_reopen(stage);
        }
        break;
    default:
        push_event(stage, random_event(stage));
    }
}

static void write_script(uint64_t seed)
{
    static const int64_t starts[] = {1356998400LL * US_PER_SECOND, HOUR / 2, -3 * US_PER_DAY};
    memset(&script, 0, sizeof(script));
    struct stage stage = {.script = &script, .random = seed, .max_time = WATERMARK_NONE};
    stage.watermark = WATERMARK_NONE;
    stage.now = starts[random_below(&stage.random, 3)];
    stage.disorder = (int64_t)random_below(&stage.random, 3) * 30 * US_PER_SECOND;
    stage.types = 1 + (uint32_t)random_below(&stage.random, 4);
    stage.subjects = 1 + (uint32_t)random_below(&stage.random, 20);
    stage.spread_seconds = 1 + (uint32_t)random_below(&stage.random, 90);
    bool finals = random_below(&stage.random, 2) == 0;
    uint32_t steps = 50 + (uint32_t)random_below(&stage.random, 350);
    for (uint64_t n = random_below(&stage.random, 4); n > 0; n--) {
        push_define(&stage);
    }
    while (script.step_count < steps) {
        push_anything(&stage, finals);
    }
}

/* --- comparing --- */

static void assert_text_value(struct value value, bool present, const char *text)
{
    if (!present) {
        assert_int_equal(value.kind, VALUE_NULL);
        return;
    }
    assert_int_equal(value.kind, VALUE_TEXT);
    assert_bytes(value.text, text);
}

static void assert_milli(struct value value, int128 milli)
{
    assert_int_equal(value.kind, VALUE_NUMBER);
    assert_true(value.nano == milli * 1000000);
}

static void assert_average(struct value value, const struct oracle_row *row)
{
    int128 nano = (int128)row->sum_milli * 1000000;
    if (nano % row->number_count == 0) {
        assert_int_equal(value.kind, VALUE_NUMBER);
        assert_true(value.nano == nano / row->number_count);
        return;
    }
    double mean = (double)nano / 1e9 / (double)row->number_count;
    double slack = (mean < 0 ? -mean : mean) * 1e-14 + 1e-300;
    assert_int_equal(value.kind, VALUE_DOUBLE);
    assert_true(value.real >= mean - slack && value.real <= mean + slack);
}

static void
assert_row(const struct metric *metric, const struct row *row, const struct oracle_row *wanted)
{
    struct value values[9];
    for (uint32_t n = 0; n < 9; n++) {
        values[n] = accumulate_result(
            &metric->layout, row->accumulators, n, window_span_us(metric, wanted->start));
    }
    char text[16];
    assert_milli(values[0], (int128)wanted->count * 1000);
    assert_milli(values[1], (int128)wanted->count_x * 1000);
    assert_milli(values[6], (int128)wanted->count_type_1 * 1000);
    rig_id_text(text, wanted->min_id);
    assert_text_value(values[7], true, text);
    rig_subject_text(text, wanted->max_subject);
    assert_text_value(values[8], wanted->max_subject != 0, text);
    if (wanted->number_count > 0) {
        assert_milli(values[2], wanted->sum_milli);
        assert_average(values[3], wanted);
        assert_milli(values[4], wanted->min_milli);
        assert_milli(values[5], wanted->max_milli);
        return;
    }
    assert_int_equal(values[2].kind, VALUE_NULL);
    assert_int_equal(values[3].kind, VALUE_NULL);
    assert_text_value(values[4], wanted->count_x > 0, "text");
    assert_text_value(values[5], wanted->count_x > 0, "text");
}

/* The expected row that has this key. */
static struct oracle_row *
find_row(const struct script_metric *metric, int64_t start, struct bytes key)
{
    struct reader in = reader_of(key);
    struct value values[2];
    uint32_t count = metric->group == GROUP_NONE ? 0 : metric->group == GROUP_SOURCE_TYPE ? 2 : 1;
    for (uint32_t n = 0; n < count; n++) {
        assert_true(value_read(&in, &values[n]));
    }
    assert_int_equal(reader_left(&in), 0);
    for (uint32_t n = 0; n < expected.row_count; n++) {
        struct oracle_row *row = &expected.rows[n];
        uint8_t memory[64];
        char text[16];
        struct buf wanted = buf_of(memory, sizeof(memory));
        if (metric->group == GROUP_SOURCE_TYPE) {
            rig_source_text(text, row->source);
            value_put(&wanted, value_of_text(bytes_of_string(text)));
        }
        if (metric->group == GROUP_TYPE || metric->group == GROUP_SOURCE_TYPE) {
            rig_type_text(text, row->type);
            value_put(&wanted, value_of_text(bytes_of_string(text)));
        }
        if (metric->group == GROUP_SUBJECT) {
            rig_subject_text(text, row->subject);
            value_put(&wanted,
                      row->subject == 0 ? value_null() : value_of_text(bytes_of_string(text)));
        }
        if (row->start == start && bytes_equal(buf_bytes(&wanted), key)) {
            return row;
        }
    }
    fail_msg("a row that should not be there, in the window at %lld", (long long)start);
    return NULL;
}

static void compare_window(const struct rig *rig,
                           const struct script_metric *given,
                           const struct metric *metric,
                           const struct window *window)
{
    int64_t start = window->start;
    bool closed = window_is_closed(metric, start);
    assert_int_equal(closed, oracle_is_closed(&script, given, start, rig->watermark));
    assert_int_equal(window_is_final(metric, start),
                     oracle_is_final(&script, given, start, rig->watermark));
    assert_true(window->rows.row_count > 0);
    struct rows_cursor cursor = {0};
    for (struct row *row; (row = rows_next(&window->rows, &cursor)) != NULL;) {
        struct oracle_row *wanted = find_row(given, start, row_key(&window->rows, row));
        assert_false(wanted->seen); /* a group lives in one shard, once */
        wanted->seen = true;
        assert_int_equal(row->flags, 0);
        assert_true(row->revision == 0 || closed || script.seal_count > 0);
        assert_row(metric, row, wanted);
    }
}

static void compare_metric(const struct rig *rig, const struct script_metric *given)
{
    uint32_t place = rig_place(rig, given->id);
    if (given->to != SCRIPT_NEVER) {
        assert_int_equal(place, METRICS_MAX);
        return;
    }
    assert_true(place < METRICS_MAX);
    oracle_run(&script, given, &expected);
    for (uint32_t n = 0; n < expected.row_count; n++) {
        expected.rows[n].seen = false;
    }
    struct fates fates = {0};
    uint32_t rows = 0;
    for (uint32_t n = 0; n < rig->options.partitions; n++) {
        const struct metric *metric = &rig->owners[n]->metrics[place];
        const struct metric_part *part = rig->owners[n]->partitions[n]->parts[place];
        fates.counted += part->fates.counted;
        fates.filtered += part->fates.filtered;
        fates.late_corrected += part->fates.late_corrected;
        fates.late_dropped += part->fates.late_dropped;
        assert_int_equal(part->lost, 0);
        assert_int_equal(part->overflowed, 0);
        for (uint32_t at = 0; at < part->window_count; at++) {
            compare_window(rig, given, metric, &part->windows[at]);
            rows += part->windows[at].rows.row_count;
        }
    }
    assert_int_equal(fates.counted, expected.fates[ORACLE_COUNTED]);
    assert_int_equal(fates.filtered, expected.fates[ORACLE_FILTERED]);
    assert_int_equal(fates.late_corrected, expected.fates[ORACLE_LATE_CORRECTED]);
    assert_int_equal(fates.late_dropped, expected.fates[ORACLE_LATE_DROPPED]);
    assert_int_equal(rows, expected.row_count);
}

/* The ids of the metrics that an event came too late for, as a set. */
static uint64_t late_for(uint32_t event)
{
    uint64_t set = 0;
    for (uint32_t n = 0; n < script.metric_count; n++) {
        const struct script_metric *metric = &script.metrics[n];
        bool late = oracle_concerns(metric, &script.events[event]) &&
                    oracle_fate(&script, metric, event) == ORACLE_LATE_DROPPED;
        set |= (uint64_t)late << (metric->id - 100);
    }
    return set;
}

static void compare_late_entry(const struct late_entry *entry)
{
    struct reader in = reader_of(bytes_of(entry->bytes, entry->len));
    (void)read_u64(&in);
    (void)read_u32(&in);
    (void)read_u32(&in);
    int64_t watermark = read_i64(&in);
    uint64_t set = 0;
    for (uint16_t count = read_u16(&in); count > 0; count--) {
        set |= UINT64_C(1) << (read_u32(&in) - 100);
    }
    struct event event;
    assert_true(event_read(&in, &event));
    for (uint32_t n = 0; n < script.event_count; n++) {
        char source[16];
        char id[16];
        rig_source_text(source, script.events[n].source);
        rig_id_text(id, script.events[n].id);
        if (bytes_equal(event.source, bytes_of_string(source)) &&
            bytes_equal(event.id, bytes_of_string(id))) {
            assert_int_equal(event.time.us, script.events[n].time);
            assert_true(watermark == script.events[n].watermark);
            assert_true(set == late_for(n));
            return; /* the first of that identity is the one that is not a duplicate */
        }
    }
    fail_msg("a late event that never was");
}

static void compare_events(const struct rig *rig)
{
    uint64_t unique = 0;
    uint64_t late = 0;
    for (uint32_t n = 0; n < script.event_count; n++) {
        bool is_unique = !oracle_is_duplicate(&script, n);
        unique += is_unique;
        late += is_unique && late_for(n) != 0;
    }
    uint64_t held[5] = {0};
    for (uint32_t n = 0; n < rig->options.partitions; n++) {
        const struct partition *partition = rig->owners[n]->partitions[n];
        held[0] += partition->unique;
        held[1] += partition->duplicates;
        held[2] += partition->unverifiable;
        held[3] += partition->late.count;
        held[4] += partition->late.forgotten;
        for (const struct late_entry *entry = partition->late.first; entry != NULL;
             entry = entry->next) {
            compare_late_entry(entry);
        }
    }
    assert_int_equal(held[0], unique);
    assert_int_equal(held[1], script.event_count - unique);
    assert_int_equal(held[2], 0);
    assert_int_equal(held[3], late);
    assert_int_equal(held[4], 0);
    assert_int_equal(rig->late, late);
    assert_int_equal(rig->duplicates, script.event_count - unique);
}

/* The next window to close or to become final, as far as no seal has closed windows before their
 * time. */
static void compare_next_due(const struct rig *rig)
{
    int64_t due = INT64_MAX;
    for (uint32_t n = 0; n < rig->options.engine_count; n++) {
        int64_t own = engine_next_due(rig->engines[n]).all_lanes;
        due = own < due ? own : due;
    }
    int64_t wanted = INT64_MAX;
    for (uint32_t n = 0; n < script.metric_count; n++) {
        const struct script_metric *metric = &script.metrics[n];
        if (metric->to != SCRIPT_NEVER) {
            continue;
        }
        oracle_run(&script, metric, &expected);
        for (uint32_t row = 0; row < expected.row_count; row++) {
            int64_t end = expected.rows[row].start + metric->window_us;
            int64_t final = end + metric->lateness_us;
            wanted = end > rig->watermark && end < wanted ? end : wanted;
            wanted = final > rig->watermark && final < wanted ? final : wanted;
        }
    }
    assert_true(due == wanted);
}

static void compare(const struct rig *rig)
{
    for (uint32_t n = 0; n < script.metric_count; n++) {
        compare_metric(rig, &script.metrics[n]);
    }
    compare_events(rig);
    if (script.seal_count == 0) {
        compare_next_due(rig);
    }
}

/* --- tests --- */

#define SCRIPTS 200

static struct rig_options
random_options(uint64_t *random, uint32_t partitions, uint32_t engine_count)
{
    struct rig_options options = rig_options(partitions, engine_count, random_next(random));
    options.batch_max = 1 + (uint32_t)random_below(random, 64);
    options.pulse_every = 1 + (uint32_t)random_below(random, 80);
    return options;
}

static void play_and_compare(const struct rig_options *options)
{
    struct rig rig;
    rig_init(&rig, options);
    rig_play(&rig, &script, 0, script.step_count);
    rig_pulse(&rig, &script);
    compare(&rig);
    rig_deinit(&rig);
}

static void it_counts_as_a_naive_engine_does(void **state)
{
    (void)state;
    static const uint32_t partitions[] = {1, 4, 16};
    uint64_t random = seed_of_run("naive engine");
    for (uint32_t round = 0; round < SCRIPTS; round++) {
        write_script(random_next(&random));
        for (uint32_t n = 0; n < 3; n++) {
            uint32_t engines = 1 + (uint32_t)random_below(&random, n + 1);
            struct rig_options options = random_options(&random, partitions[n], engines);
            play_and_compare(&options);
        }
    }
}

static uint64_t digest_of_run(const struct rig_options *options)
{
    struct rig rig;
    rig_init(&rig, options);
    rig_play(&rig, &script, 0, script.step_count);
    rig_pulse(&rig, &script);
    uint64_t digest = rig_digest(&rig);
    rig_deinit(&rig);
    return digest;
}

static void its_digest_does_not_depend_on_how_many_engines_share_the_work(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("engines");
    for (uint32_t round = 0; round < SCRIPTS / 4; round++) {
        write_script(random_next(&random));
        struct rig_options options = random_options(&random, 8, 1);
        uint64_t alone = digest_of_run(&options);
        assert_true(digest_of_run(&options) == alone);
        options.engine_count = 2;
        assert_true(digest_of_run(&options) == alone);
        options.engine_count = 3;
        assert_true(digest_of_run(&options) == alone);
    }
}

static void its_digest_tells_states_apart(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("apart");
    for (uint32_t round = 0; round < 20; round++) {
        write_script(random_next(&random));
        struct rig rig;
        struct rig_options options = random_options(&random, 4, 2);
        rig_init(&rig, &options);
        uint64_t before = 0;
        for (uint32_t n = 0; n < script.step_count; n += 10) {
            rig_play(&rig, &script, n, n + 10 < script.step_count ? n + 10 : script.step_count);
            rig_pulse(&rig, &script);
            uint64_t digest = rig_digest(&rig);
            assert_true(digest == rig_digest(&rig));
            assert_true(digest != before);
            before = digest;
        }
        rig_deinit(&rig);
    }
}

static void a_saved_engine_goes_on_as_if_nothing_had_been(void **state)
{
    (void)state;
    static const uint32_t partitions[] = {1, 4, 16};
    uint64_t random = seed_of_run("save and load");
    for (uint32_t round = 0; round < SCRIPTS / 2; round++) {
        write_script(random_next(&random));
        struct rig rig;
        struct rig copy;
        struct rig_options options =
            random_options(&random, partitions[round % 3], 1 + (uint32_t)random_below(&random, 3));
        rig_init(&rig, &options);
        uint32_t middle = (uint32_t)random_below(&random, script.step_count);
        rig_play(&rig, &script, 0, middle);
        rig_pulse(&rig, &script);
        assert_true(rig_copy(&rig, 1 + (uint32_t)random_below(&random, 3), &copy));
        assert_true(rig_digest(&rig) == rig_digest(&copy));
        rig_play(&rig, &script, middle, script.step_count);
        rig_pulse(&rig, &script);
        rig_play(&copy, &script, middle, script.step_count);
        rig_pulse(&copy, &script);
        assert_true(rig_digest(&rig) == rig_digest(&copy));
        compare(&copy);
        rig_deinit(&rig);
        rig_deinit(&copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts_as_a_naive_engine_does),
        cmocka_unit_test(its_digest_does_not_depend_on_how_many_engines_share_the_work),
        cmocka_unit_test(its_digest_tells_states_apart),
        cmocka_unit_test(a_saved_engine_goes_on_as_if_nothing_had_been),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
