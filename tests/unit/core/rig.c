/* See rig.h. */
#include "rig.h"

#include "base/hash.h"

#define ENGINE_BYTES ((size_t)4 << 20)
#define FRAME_BYTES  ((size_t)1 << 20)
#define SEED         0x7469646521ULL

static uint8_t frame_memory[FRAME_BYTES];
static struct batch_writer batch_writer;

void rig_source_text(char text[16], uint32_t source)
{
    (void)snprintf(text, 16, "/source/%u", source);
}

void rig_type_text(char text[16], uint32_t type)
{
    (void)snprintf(text, 16, "type-%u", type);
}

/* Of one width, so that their order is that of the numbers. */
void rig_id_text(char text[16], uint32_t id)
{
    (void)snprintf(text, 16, "id-%08u", id);
}

void rig_subject_text(char text[16], uint32_t subject)
{
    (void)snprintf(text, 16, "subject-%04u", subject);
}

struct rig_options rig_options(uint32_t partitions, uint32_t engine_count, uint64_t random)
{
    return (struct rig_options){
        .partitions = partitions,
        .engine_count = engine_count,
        .batch_max = 40,
        .pulse_every = 30,
        .random = random,
        .dedup_bytes = (size_t)1 << 20,
        .dedup_horizon_us = US_PER_DAY,
        .partition_bytes = ((size_t)24 << 20) / partitions / 64 * 64,
    };
}

static void *region(struct rig *rig, size_t bytes)
{
    void *memory = aligned_alloc(64, bytes);
    assert_non_null(memory);
    rig->regions[rig->region_count++] = memory;
    return memory;
}

void rig_init(struct rig *rig, const struct rig_options *options)
{
    *rig = (struct rig){.options = *options, .random = options->random};
    rig->watermark = WATERMARK_NONE;
    rig->max_time = WATERMARK_NONE;
    rig->position = 4096;
    struct engine_limits limits = {
        .partitions = options->partitions,
        .seed = SEED,
        .dedup_bytes = options->dedup_bytes,
        .dedup_horizon_us = options->dedup_horizon_us,
        .late_bytes = (size_t)1 << 20,
        .timeouts_max = 10000,
        .timeouts_ended = 1000,
        .timeouts_bytes = (size_t)4 << 20,
        .feed_bytes = (size_t)1 << 20,
        .feed_keep_us = US_PER_DAY,
        .watch_bytes = (size_t)4 << 20,
        .watch_ended = 10000,
    };
    for (uint32_t n = 0; n < options->engine_count; n++) {
        rig->engines[n] = malloc(sizeof(struct engine));
        assert_non_null(rig->engines[n]);
        engine_init(rig->engines[n], &limits, region(rig, ENGINE_BYTES), ENGINE_BYTES);
    }
    for (uint32_t n = 0; n < options->partitions; n++) {
        rig->owners[n] = rig->engines[n % options->engine_count];
        engine_own(
            rig->owners[n], n, region(rig, options->partition_bytes), options->partition_bytes);
    }
}

void rig_deinit(struct rig *rig)
{
    for (uint32_t n = 0; n < rig->options.engine_count; n++) {
        free(rig->engines[n]);
    }
    for (uint32_t n = 0; n < rig->region_count; n++) {
        free(rig->regions[n]);
    }
}

void rig_apply(struct rig *rig, struct bytes frame)
{
    for (uint32_t n = 0; n < rig->options.engine_count; n++) {
        struct reader in = reader_of(frame);
        struct record record;
        struct applied applied = {0};
        while (record_next(&in, frame.data, &record)) {
            engine_apply(rig->engines[n], &record, rig->position, &applied);
        }
        assert_false(in.bad);
        rig->duplicates += applied.duplicates;
        rig->late += applied.late;
    }
    rig->position += 4096;
}

static void
event_of(const struct script_event *given, char (*texts)[16], struct buf *data, struct event *event)
{
    rig_source_text(texts[0], given->source);
    rig_type_text(texts[1], given->type);
    rig_id_text(texts[2], given->id);
    rig_subject_text(texts[3], given->subject);
    uint8_t *start = data->data + data->len;
    char json[64] = "{\"x\":null}";
    if (given->x == X_NUMBER) {
        int64_t milli = given->x_milli < 0 ? -given->x_milli : given->x_milli;
        (void)snprintf(json,
                       sizeof(json),
                       "{\"x\":%s%lld.%03d}",
                       given->x_milli < 0 ? "-" : "",
                       (long long)(milli / 1000),
                       (int)(milli % 1000));
    } else if (given->x == X_TEXT) {
        (void)snprintf(json, sizeof(json), "{\"x\":\"text\"}");
    } else if (given->x == X_ABSENT) {
        (void)snprintf(json, sizeof(json), "{}");
    }
    buf_put_text(data, json);
    assert_false(data->overflow);
    *event = (struct event){
        .id = bytes_of_string(texts[2]),
        .source = bytes_of_string(texts[0]),
        .type = bytes_of_string(texts[1]),
        .data = bytes_of(start, (size_t)(data->data + data->len - start)),
        .time = {given->time},
        .flags = EVENT_HAS_DATA | EVENT_HAS_TIME,
    };
    if (given->subject != 0) {
        event->subject = bytes_of_string(texts[3]);
        event->flags |= EVENT_HAS_SUBJECT;
    }
}

void rig_send(struct rig *rig,
              const struct event *events,
              const int64_t *watermarks,
              uint32_t count)
{
    if (batch_writer.partitions != rig->options.partitions) {
        batch_writer_init(&batch_writer, SEED, rig->options.partitions);
    }
    batch_writer_reset(&batch_writer, frame_memory, sizeof(frame_memory));
    batch_begin(&batch_writer, (struct clock_time){rig->max_time}, events[0].time);
    for (uint32_t n = 0; n < count; n++) {
        assert_true(batch_add(&batch_writer, &events[n]));
    }
    batch_end(&batch_writer);
    struct batch_stamp stamp;
    batch_stamp_begin(&stamp, &batch_writer.out, RECORD_HEADER_BYTES, watermarks[0]);
    for (uint32_t n = 1; n < count; n++) {
        if (watermarks[n] > stamp.watermark) {
            batch_stamp_step(&stamp, n, watermarks[n]);
        }
    }
    batch_stamp_end(&stamp);
    rig_apply(rig, buf_bytes(&batch_writer.out));
}

/* The gathered events as one stamped record. */
static void send_pending(struct rig *rig, const struct script *script)
{
    static char texts[64][4][16];
    static uint8_t json[64 * 64];
    static struct event events[64];
    int64_t watermarks[64];
    if (rig->pending_count == 0) {
        return;
    }
    struct buf data = buf_of(json, sizeof(json));
    for (uint32_t n = 0; n < rig->pending_count; n++) {
        const struct script_event *given = &script->events[rig->pending[n]];
        event_of(given, texts[n], &data, &events[n]);
        watermarks[n] = given->watermark;
    }
    rig_send(rig, events, watermarks, rig->pending_count);
    rig->pending_count = 0;
}

void rig_send_pulse(struct rig *rig, const struct lane_state *lanes, uint32_t lane_count)
{
    struct pulse pulse = {.ordinal = ++rig->pulse_ordinal,
                          .clock = {(int64_t)rig->pulse_ordinal},
                          .watermark = rig->watermark,
                          .lane_count = lane_count};
    struct buf out = buf_of(frame_memory, sizeof(frame_memory));
    size_t start = pulse_begin(&out, &pulse);
    for (uint32_t n = 0; n < lane_count; n++) {
        pulse_put_lane(&out, &lanes[n]);
    }
    record_end(&out, start);
    assert_true(pulse_read(bytes_slice(buf_bytes(&out), start, out.len - start), &pulse));
    for (uint32_t n = 0; n < rig->options.engine_count; n++) {
        engine_flush(rig->engines[n], &pulse);
    }
    for (uint32_t n = 0; n < rig->options.engine_count; n++) {
        engine_pulse(rig->engines[n], &pulse, rig->owners);
        engine_validate(rig->engines[n]);
    }
    rig->since_pulse = 0;
    rig->position += 4096;
}

void rig_pulse(struct rig *rig, const struct script *script)
{
    send_pending(rig, script);
    struct lane_state lane = {.watermark = rig->watermark, .max_time = rig->max_time};
    lane.flags = rig->watermark == WATERMARK_FINAL ? LANE_FINAL : 0;
    rig_send_pulse(rig, &lane, 1);
}

static const char *const group_columns[] = {"", "type, ", "source, type, ", "subject, "};
static const char *const group_clauses[] = {
    "", " GROUP BY type", " GROUP BY source, type", " GROUP BY subject"};
static const char *const filters[] = {"", " WHERE type = 'type-1'", " WHERE data.x > 10"};

void rig_define(struct buf *out, const struct script_metric *metric)
{
    static uint8_t memory[LANG_ARENA_BYTES];
    static uint8_t encoded[DEFINITION_BYTES_MAX];
    static struct statement statement;
    char sql[1024];
    (void)snprintf(sql,
                   sizeof(sql),
                   "CREATE METRIC m%u %s AS SELECT %scount(*) AS a, count(data.x) AS b, "
                   "sum(data.x) AS c, avg(data.x) AS d, min(data.x) AS e, max(data.x) AS f, "
                   "count(*) FILTER (WHERE type = 'type-1') AS g, min(id) AS h, "
                   "max(subject) AS i FROM TUMBLE(events, time, INTERVAL '%lld seconds')%s%s "
                   "ALLOW LATENESS INTERVAL '%lld seconds'",
                   metric->id,
                   metric->with == NULL ? "" : metric->with,
                   group_columns[metric->group],
                   (long long)(metric->window_us / US_PER_SECOND),
                   filters[metric->filter],
                   group_clauses[metric->group],
                   (long long)(metric->lateness_us / US_PER_SECOND));
    struct arena arena = arena_of(memory, sizeof(memory));
    struct error error;
    if (lang_parse(bytes_of_string(sql), &arena, &statement, &error) != OK) {
        fail_msg("%s (%s): %s", error.text, error.hint, sql);
    }
    assert_int_equal(statement.definition.aggregate_count, 9);
    assert_true(statement.definition.window_us == metric->window_us);
    assert_true(statement.definition.lateness_us == metric->lateness_us);
    struct buf bytes = buf_of(encoded, sizeof(encoded));
    definition_put(&bytes, &statement.definition);
    assert_false(bytes.overflow);
    struct define define = {.metric = metric->id, .version = 1, .definition = buf_bytes(&bytes)};
    define_put(out, &define);
    assert_false(out->overflow);
}

void rig_send_define(struct rig *rig, const struct script_metric *metric)
{
    struct buf out = buf_of(frame_memory, sizeof(frame_memory));
    rig_define(&out, metric);
    rig_apply(rig, buf_bytes(&out));
}

static void define_or_drop(struct rig *rig, const struct script *script, const struct step *step)
{
    send_pending(rig, script);
    if (rig->engines[0]->watermark == WATERMARK_FINAL && rig->watermark != WATERMARK_FINAL) {
        rig_pulse(rig,
                  script); /* a definition goes by the last pulse: let it know of a reopening */
    }
    const struct script_metric *metric = &script->metrics[step->index];
    if (step->kind == STEP_DEFINE) {
        rig_send_define(rig, metric);
        return;
    }
    struct buf out = buf_of(frame_memory, sizeof(frame_memory));
    drop_put(&out, metric->id);
    rig_apply(rig, buf_bytes(&out));
}

/* What the log holds when a producer says that it is through, or not after all. */
static void send_command(struct rig *rig, enum lane_command_kind kind)
{
    struct buf out = buf_of(frame_memory, sizeof(frame_memory));
    struct lane_command command = {.lane = LANE_DEFAULT, .kind = kind};
    lane_command_put(&out, &command);
    rig_apply(rig, buf_bytes(&out));
}

static void play_event(struct rig *rig, const struct script *script, uint32_t event)
{
    if (rig->pending_count == 0) {
        rig->pending_want = 1 + (uint32_t)random_below(&rig->random, rig->options.batch_max);
        rig->pending_want = rig->pending_want > 64 ? 64 : rig->pending_want;
    }
    rig->pending[rig->pending_count++] = event;
    if (rig->pending_count == rig->pending_want) {
        send_pending(rig, script);
    }
    uint32_t spacing = rig->options.pulse_every;
    bool due = ++rig->since_pulse > spacing / 2 + random_below(&rig->random, spacing);
    if (due) {
        rig->since_pulse = UINT32_MAX; /* once the step's watermark is in force */
    }
}

void rig_play(struct rig *rig, const struct script *script, uint32_t from, uint32_t to)
{
    for (uint32_t n = from; n < to; n++) {
        const struct step *step = &script->steps[n];
        switch (step->kind) {
        case STEP_EVENT:
            play_event(rig, script, step->index);
            break;
        case STEP_DEFINE:
        case STEP_DROP:
            define_or_drop(rig, script, step);
            break;
        case STEP_FINISH:
            send_pending(rig, script);
            send_command(rig, LANE_FINISH);
            rig->since_pulse = UINT32_MAX;
            break;
        case STEP_REOPEN:
            rig_pulse(rig, script); /* the last one that says final */
            send_command(rig, LANE_REOPEN);
            break;
        }
        rig->watermark = step->watermark;
        rig->max_time = step->max_time;
        if (rig->since_pulse == UINT32_MAX) {
            rig_pulse(rig, script);
        }
    }
}

/* --- saved bytes --- */

struct saved {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t at;
};

static void saved_flush(void *ctx, struct bytes part)
{
    struct saved *saved = ctx;
    if (saved->len + part.len > saved->cap) {
        saved->cap = 2 * (saved->len + part.len);
        saved->data = realloc(saved->data, saved->cap);
        assert_non_null(saved->data);
    }
    memcpy(saved->data + saved->len, part.data, part.len);
    saved->len += part.len;
}

static bool saved_read(void *ctx, void *into, size_t len)
{
    struct saved *saved = ctx;
    if (len > saved->len - saved->at) {
        return false;
    }
    memcpy(into, saved->data + saved->at, len);
    saved->at += len;
    return true;
}

static void save(const struct rig *rig, struct writer *writer)
{
    engine_save_shared(rig->owners[0], writer);
    for (uint32_t n = 0; n < rig->options.partitions; n++) {
        engine_save_partition(rig->owners[n], n, writer);
    }
    writer_flush(writer);
}

static uint8_t writer_memory[128 * 1024];

static void digest_flush(void *ctx, struct bytes part)
{
    uint64_t *digest = ctx;
    *digest = hash64(part, *digest);
}

uint64_t rig_digest(const struct rig *rig)
{
    uint64_t digest = 0;
    struct writer writer = {.buf = buf_of(writer_memory, sizeof(writer_memory)),
                            .flush = digest_flush,
                            .ctx = &digest,
                            .digest = true};
    save(rig, &writer);
    return digest;
}

/* Both halves of the saved bytes into fresh engines. */
static bool load(struct rig *rig, struct loader *in)
{
    if (!engine_load_shared(rig->engines[0], in)) {
        return false;
    }
    for (uint32_t n = 1; n < rig->options.engine_count; n++) {
        engine_copy_shared(rig->engines[n], rig->engines[0]);
    }
    for (uint32_t n = 0; n < rig->options.partitions; n++) {
        if (!engine_load_partition(rig->owners[n], n, in)) {
            return false;
        }
    }
    for (uint32_t n = 0; n < rig->options.engine_count; n++) {
        engine_validate(rig->engines[n]);
    }
    return !in->bad;
}

bool rig_copy(const struct rig *rig, uint32_t engine_count, struct rig *copy)
{
    assert_int_equal(rig->pending_count, 0);
    struct saved saved = {0};
    struct writer writer = {
        .buf = buf_of(writer_memory, sizeof(writer_memory)), .flush = saved_flush, .ctx = &saved};
    save(rig, &writer);
    struct rig_options options = rig->options;
    options.engine_count = engine_count;
    rig_init(copy, &options);
    copy->random = rig->random;
    copy->position = rig->position;
    copy->pulse_ordinal = rig->pulse_ordinal;
    copy->since_pulse = rig->since_pulse;
    copy->watermark = rig->watermark;
    copy->max_time = rig->max_time;
    copy->duplicates = rig->duplicates;
    copy->late = rig->late;
    struct loader loader = {.read = saved_read, .ctx = &saved};
    bool loaded = load(copy, &loader);
    assert_true(!loaded || saved.at == saved.len);
    free(saved.data);
    return loaded;
}

uint32_t rig_place(const struct rig *rig, uint32_t id)
{
    const struct engine *engine = rig->engines[0];
    for (uint32_t place = 0; place < engine->metric_end; place++) {
        if (engine->metrics[place].id == id) {
            return place;
        }
    }
    return METRICS_MAX;
}
