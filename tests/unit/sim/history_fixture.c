#include "history_fixture.h"

#include "base/text.h"

static struct fixture fixture_storage;
static uint8_t fixture_bytes[FIXTURE_BYTES];
static struct batch_writer batch_storage;
static uint8_t batch_bytes[65536];

struct fixture *fixture_new(void)
{
    struct fixture *fixture = &fixture_storage;
    *fixture = (struct fixture){.memory = buf_of(fixture_bytes, sizeof(fixture_bytes))};
    for (uint32_t i = 0; i < FIXTURE_EVENTS; i++) {
        fixture->universe[i] = (struct planned_event){
            .source = 1,
            .id = i,
            .type = 1,
            .subject = 1,
            .has_x = true,
            .x = 10 * (int64_t)i,
            .time = {T0 + SECONDS(i)},
        };
    }
    fixture->recipe = (struct recipe){
        .name = "m", .window_us = US_PER_MINUTE, .lateness_us = 0, .group = BY_NOTHING};
    fixture->history = (struct history){
        .hash_seed = FIXTURE_SEED,
        .partitions = FIXTURE_PARTITIONS,
        .universe = fixture->universe,
        .universe_count = FIXTURE_EVENTS,
        .submissions = fixture->submissions,
        .frames = fixture->frames,
        .recipes = &fixture->recipe,
        .recipe_count = 1,
    };
    batch_writer_init(&batch_storage, FIXTURE_SEED, FIXTURE_PARTITIONS);
    return fixture;
}

void fixture_frame(struct fixture *fixture)
{
    fixture->frame_start = fixture->memory.len;
    fixture->record_count = 0;
}

void fixture_frame_end(struct fixture *fixture)
{
    assert_false(fixture->memory.overflow);
    assert_true(fixture->history.frame_count < FIXTURE_FRAMES);
    struct bytes all = buf_bytes(&fixture->memory);
    fixture->frames[fixture->history.frame_count++] = (struct history_frame){
        .position = fixture->position,
        .end = fixture->position + 4096,
        .record_count = fixture->record_count,
        .body = bytes_slice(all, fixture->frame_start, all.len - fixture->frame_start),
    };
    fixture->position += 4096;
}

void fixture_genesis(struct fixture *fixture)
{
    struct genesis genesis = {
        .partitions = FIXTURE_PARTITIONS, .seed = FIXTURE_SEED, .created = {T0}};
    genesis_put(&fixture->memory, &genesis);
    fixture->record_count++;
}

void fixture_define(struct fixture *fixture, uint32_t metric, const char *name)
{
    static uint8_t encoded[4096];
    struct definition definition = {
        .name = bytes_of_string(name),
        .text = BYTES("SELECT count(*) AS n"),
        .window_us = US_PER_MINUTE,
        .retain_us = DEFINITION_RETAIN_DEFAULT_US,
        .groups_max = DEFINITION_GROUPS_DEFAULT,
        .aggregate_count = 1,
        .column_count = 1,
        .aggregates = {{.kind = AGGREGATE_COUNT_ALL}},
        .columns = {{.name = BYTES("n")}},
    };
    assert_true(definition_valid(&definition));
    struct buf out = buf_of(encoded, sizeof(encoded));
    definition_put(&out, &definition);
    struct define define = {
        .metric = metric, .version = 1, .created = {T0}, .definition = buf_bytes(&out)};
    define_put(&fixture->memory, &define);
    fixture->record_count++;
}

void fixture_drop(struct fixture *fixture, uint32_t metric)
{
    drop_put(&fixture->memory, metric);
    fixture->record_count++;
}

static struct bytes put_name(struct buf *out, const char *prefix, int64_t number)
{
    size_t start = out->len;
    buf_put_text(out, prefix);
    i64_put(out, number);
    return bytes_slice(buf_bytes(out), start, out->len - start);
}

/* The texts are put one behind the other in memory that does not move. */
static struct event event_of(const struct planned_event *planned, struct buf *texts)
{
    struct event event = {
        .source = put_name(texts, "s", planned->source),
        .id = put_name(texts, "", planned->id),
        .type = put_name(texts, "t", planned->type),
        .time = planned->time,
        .flags = EVENT_HAS_TIME,
    };
    if (planned->subject != 0) {
        event.subject = put_name(texts, "k", planned->subject);
        event.flags |= EVENT_HAS_SUBJECT;
    }
    if (planned->has_x) {
        size_t start = texts->len;
        buf_put_text(texts, "{\"x\":");
        i64_put(texts, planned->x);
        buf_put_text(texts, "}");
        event.data = bytes_slice(buf_bytes(texts), start, texts->len - start);
        event.flags |= EVENT_HAS_DATA;
    }
    return event;
}

void fixture_events(struct fixture *fixture,
                    int64_t arrival,
                    const struct stamped *events,
                    size_t count)
{
    static uint8_t texts_memory[65536];
    struct buf texts = buf_of(texts_memory, sizeof(texts_memory));
    batch_writer_reset(&batch_storage, batch_bytes, sizeof(batch_bytes));
    batch_begin(&batch_storage, (struct clock_time){arrival}, (struct event_time){T0});
    for (size_t i = 0; i < count; i++) {
        struct event event = event_of(&fixture->universe[events[i].event], &texts);
        assert_true(batch_add(&batch_storage, &event));
    }
    batch_end(&batch_storage);
    struct buf *out = &fixture->memory;
    size_t body_start = out->len + RECORD_HEADER_BYTES;
    buf_put_bytes(out, buf_bytes(&batch_storage.out));
    struct batch_stamp stamp;
    batch_stamp_begin(&stamp, out, body_start, events[0].watermark);
    for (size_t i = 1; i < count; i++) {
        if (events[i].watermark != events[i - 1].watermark) {
            batch_stamp_step(&stamp, (uint32_t)i, events[i].watermark);
        }
    }
    batch_stamp_end(&stamp);
    fixture->record_count++;
}

void fixture_pulse(struct fixture *fixture,
                   int64_t clock,
                   int64_t watermark,
                   const struct lane_state *lanes,
                   uint32_t count)
{
    struct pulse pulse = {
        .ordinal = ++fixture->ordinal,
        .clock = {clock},
        .watermark = watermark,
        .lane_count = count,
    };
    size_t body_start = pulse_begin(&fixture->memory, &pulse);
    for (uint32_t i = 0; i < count; i++) {
        pulse_put_lane(&fixture->memory, &lanes[i]);
    }
    record_end(&fixture->memory, body_start);
    fixture->record_count++;
}

void fixture_source(
    struct fixture *fixture, uint32_t lane, const char *name, enum lane_kind kind, int64_t clock)
{
    struct source source = {
        .lane = lane,
        .kind = kind,
        .disorder_us = SECONDS(5),
        .idle_after_us = SECONDS(30),
        .max_future_skew_us = SECONDS(300),
        .declared = {clock},
        .name = bytes_of_string(name),
    };
    source_put(&fixture->memory, &source);
    fixture->record_count++;
}

void fixture_forget(struct fixture *fixture, uint32_t lane)
{
    forget_put(&fixture->memory, lane);
    fixture->record_count++;
}

void fixture_lane(struct fixture *fixture, uint32_t lane, enum lane_command_kind kind, int64_t time)
{
    struct lane_command command = {.lane = lane, .kind = kind, .time = time, .clock = {T0}};
    lane_command_put(&fixture->memory, &command);
    fixture->record_count++;
}

void fixture_sent(struct fixture *fixture, uint32_t event, enum outcome outcome, uint64_t as_of)
{
    assert_true(fixture->history.submission_count < FIXTURE_EVENTS);
    fixture->submissions[fixture->history.submission_count++] =
        (struct submission){.event = event, .outcome = outcome, .as_of = as_of};
}
