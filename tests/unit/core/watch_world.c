/* See watch_world.h. */
#include "watch_world.h"

#include "base/hash.h"
#include "core/rules.h"
#include "lang/lang.h"

#define ENGINE_BYTES    ((size_t)4 << 20)
#define PARTITION_BYTES ((size_t)2 << 20)
#define FRAME_BYTES     ((size_t)2 << 20)
#define SEED            0x7761746368ULL
#define NOTES_MAX       20000

static uint8_t frame_memory[FRAME_BYTES];
static struct batch_writer batch_writer;

struct world_options world_options(uint32_t partitions, uint32_t engine_count)
{
    return (struct world_options){.partitions = partitions,
                                  .engine_count = engine_count,
                                  .watch_bytes = (size_t)8 << 20,
                                  .watch_ended = 100000};
}

static void *region(struct world *world, size_t bytes)
{
    void *memory = aligned_alloc(64, bytes);
    assert_non_null(memory);
    world->regions[world->region_count++] = memory;
    return memory;
}

void world_init(struct world *world, const struct world_options *options)
{
    *world = (struct world){.options = *options,
                            .position = 4096,
                            .next_id = 1,
                            .next_rule = 1,
                            .watermark = WATERMARK_NONE,
                            .max_time = WATERMARK_NONE};
    struct engine_limits limits = {
        .partitions = options->partitions,
        .seed = SEED,
        .dedup_bytes = (size_t)1 << 20,
        .dedup_horizon_us = US_PER_DAY,
        .late_bytes = (size_t)1 << 16,
        .timeouts_max = 16,
        .timeouts_ended = 16,
        .timeouts_bytes = (size_t)1 << 20,
        .feed_bytes = (size_t)8 << 20,
        .feed_keep_us = US_PER_DAY,
        .watch_bytes = options->watch_bytes,
        .watch_ended = options->watch_ended,
    };
    for (uint32_t n = 0; n < options->engine_count; n++) {
        world->engines[n] = malloc(sizeof(struct engine));
        assert_non_null(world->engines[n]);
        engine_init(world->engines[n], &limits, region(world, ENGINE_BYTES), ENGINE_BYTES);
    }
    for (uint32_t n = 0; n < options->partitions; n++) {
        world->owners[n] = world->engines[n % options->engine_count];
        size_t bytes = PARTITION_BYTES;
        engine_own(world->owners[n], n, region(world, bytes), bytes);
    }
}

void world_deinit(struct world *world)
{
    for (uint32_t n = 0; n < world->options.engine_count; n++) {
        free(world->engines[n]);
    }
    for (uint32_t n = 0; n < world->region_count; n++) {
        free(world->regions[n]);
    }
}

static int64_t us_of(int64_t seconds)
{
    bool is_time = seconds != WATERMARK_NONE && seconds != WATERMARK_FINAL;
    return is_time ? seconds * US_PER_SECOND : seconds;
}

void world_records(struct world *world, struct bytes frame)
{
    for (uint32_t n = 0; n < world->options.engine_count; n++) {
        struct reader in = reader_of(frame);
        struct record record;
        struct applied applied = {0};
        while (record_next(&in, frame.data, &record)) {
            engine_apply(world->engines[n], &record, world->position, &applied);
        }
        assert_false(in.bad);
    }
    world->position += 4096;
}

struct timeout_result world_command(
    struct world *world, enum timeout_op op, uint32_t rule, const char *key, int64_t extend)
{
    static uint8_t memory[4096];
    struct buf frame = buf_of(memory, sizeof(memory));
    const struct timeout_command command = {
        .op = op, .rule = rule, .key = bytes_of_string(key), .within_us = extend * US_PER_SECOND};
    uint64_t hash = timeout_rule_hash(rule, command.key, SEED);
    size_t body = timeouts_begin(&frame, 1);
    timeout_command_put(&frame, &command, timeout_partition(hash, world->options.partitions));
    record_end(&frame, body);
    timeouts_stamp(&frame, body, (struct clock_time){world->clock * US_PER_SECOND}, WATERMARK_NONE);
    assert_false(frame.overflow);
    struct timeout_result result = {.outcome = TIMEOUT_UNANSWERED};
    for (uint32_t n = 0; n < world->options.engine_count; n++) {
        struct reader in = reader_of(buf_bytes(&frame));
        struct record record;
        struct applied applied = {.results = &result};
        assert_true(record_next(&in, frame.data, &record));
        engine_apply(world->engines[n], &record, world->position, &applied);
    }
    assert_int_not_equal(result.outcome, TIMEOUT_UNANSWERED);
    world->position += 4096;
    return result;
}

uint32_t world_rule(struct world *world, const char *sql)
{
    static uint8_t memory[LANG_ARENA_BYTES];
    static uint8_t encoded[RULE_BYTES_MAX];
    static struct statement statement;
    struct arena arena = arena_of(memory, sizeof(memory));
    struct error error;
    if (lang_parse(bytes_of_string(sql), &arena, &statement, &error) != OK) {
        fail_msg("%s (%s): %s", error.text, error.hint, sql);
    }
    assert_int_equal(statement.kind, STATEMENT_CREATE_RULE);
    struct buf bytes = buf_of(encoded, sizeof(encoded));
    rule_put(&bytes, &statement.rule);
    assert_false(bytes.overflow);
    struct define define = {
        .metric = world->next_rule, .version = 1, .definition = buf_bytes(&bytes)};
    struct buf out = buf_of(frame_memory, sizeof(frame_memory));
    rule_define_put(&out, &define);
    world_records(world, buf_bytes(&out));
    return world->next_rule++;
}

void world_drop(struct world *world, uint32_t rule)
{
    struct buf out = buf_of(frame_memory, sizeof(frame_memory));
    rule_drop_put(&out, rule);
    world_records(world, buf_bytes(&out));
}

uint32_t world_source(struct world *world, const char *name)
{
    struct source source = {.lane = ++world->lane_count, .name = bytes_of_string(name)};
    struct buf out = buf_of(frame_memory, sizeof(frame_memory));
    source_put(&out, &source);
    world_records(world, buf_bytes(&out));
    world->lanes[source.lane - 1] = (struct lane_state){
        .lane = source.lane, .watermark = WATERMARK_NONE, .max_time = WATERMARK_NONE};
    return source.lane;
}

static void add(struct world *world, const struct world_event *given)
{
    static char ids[4096][16];
    static char data[4096][40];
    uint32_t id = given->id != 0 ? given->id : world->next_id++;
    char *id_text = ids[id % 4096];
    char *data_text = data[id % 4096];
    (void)snprintf(id_text, 16, "id-%u", id);
    (void)snprintf(data_text, 40, "{\"minutes\":%d}", given->minutes);
    struct event event = {
        .id = bytes_of_string(id_text),
        .source = bytes_of_string(given->source == NULL ? "/s" : given->source),
        .type = bytes_of_string(given->type),
        .data = bytes_of_string(data_text),
        .time = {us_of(given->time)},
        .flags = EVENT_HAS_TIME | EVENT_HAS_DATA,
    };
    if (given->key != NULL) {
        event.subject = bytes_of_string(given->key);
        event.flags |= EVENT_HAS_SUBJECT;
    }
    assert_true(batch_add(&batch_writer, &event));
    world->max_time = given->time > world->max_time ? given->time : world->max_time;
}

void world_send(struct world *world, const struct world_event *events, uint32_t count)
{
    assert_true(count <= 4096);
    if (batch_writer.partitions != world->options.partitions) {
        batch_writer_init(&batch_writer, SEED, world->options.partitions);
    }
    batch_writer_reset(&batch_writer, frame_memory, sizeof(frame_memory));
    batch_begin(&batch_writer,
                (struct clock_time){us_of(world->clock)},
                (struct event_time){us_of(events[0].time)});
    for (uint32_t n = 0; n < count; n++) {
        add(world, &events[n]);
    }
    batch_end(&batch_writer);
    struct batch_stamp stamp;
    batch_stamp_begin(&stamp, &batch_writer.out, RECORD_HEADER_BYTES, us_of(world->watermark));
    batch_stamp_end(&stamp);
    world_records(world, buf_bytes(&batch_writer.out));
}

void world_event(struct world *world, const char *type, const char *key, int64_t time)
{
    struct world_event event = {.type = type, .key = key, .time = time};
    world_send(world, &event, 1);
}

void world_pulse(struct world *world, int64_t watermark)
{
    world->watermark = watermark;
    struct pulse pulse = {.ordinal = ++world->ordinal,
                          .clock = {us_of(world->clock)},
                          .watermark = us_of(watermark),
                          .flags = world->flags,
                          .lane_count = world->lane_count + 1};
    struct buf out = buf_of(frame_memory, sizeof(frame_memory));
    size_t start = pulse_begin(&out, &pulse);
    struct lane_state lane = {.watermark = us_of(watermark), .max_time = us_of(world->max_time)};
    lane.flags = watermark == WATERMARK_FINAL ? LANE_FINAL : 0;
    pulse_put_lane(&out, &lane);
    for (uint32_t n = 0; n < world->lane_count; n++) {
        pulse_put_lane(&out, &world->lanes[n]);
    }
    record_end(&out, start);
    assert_true(pulse_read(bytes_slice(buf_bytes(&out), start, out.len - start), &pulse));
    pulse.position = world->position;
    for (uint32_t n = 0; n < world->options.engine_count; n++) {
        engine_flush(world->engines[n], &pulse);
    }
    for (uint32_t n = 0; n < world->options.engine_count; n++) {
        engine_pulse(world->engines[n], &pulse, world->owners);
        engine_validate(world->engines[n]);
    }
    world->position += 4096;
}

/* --- what was told --- */

struct told {
    uint64_t ordinal;
    char text[96];
};

static int compare_told(const void *a, const void *b)
{
    const struct told *left = a;
    const struct told *right = b;
    if (left->ordinal != right->ordinal) {
        return left->ordinal < right->ordinal ? -1 : 1;
    }
    return strcmp(left->text, right->text);
}

static const char *const kind_names[] = {"", "fired", "retracted", "completed_late", "held"};

static void line_of(const struct feed_entry *entry, struct told *told)
{
    struct note note;
    assert_true(note_read(feed_entry_bytes(entry), &note));
    assert_true(note.kind >= NOTE_TIMEOUT_FIRED && note.kind <= NOTE_ENGINE_LAGGING);
    told->ordinal = entry->ordinal;
    if (note.kind == NOTE_ENGINE_LAGGING) {
        bool holds = (note.flags & NOTE_HOLDING) != 0;
        assert_true(bytes_equal(note.key, BYTES("engine")));
        assert_int_equal(note.clock.us, entry->clock_us);
        (void)snprintf(told->text,
                       sizeof(told->text),
                       "%s %lld..%lld why %u\n",
                       holds ? "holds" : kind_names[note.kind],
                       (long long)(note.started / US_PER_SECOND),
                       (long long)(note.clock.us / US_PER_SECOND),
                       note.generation);
        return;
    }
    char generation[24] = "";
    if (note.generation > 0) {
        (void)snprintf(generation, sizeof(generation), " again %u", note.generation);
    }
    char fired[40] = "";
    if (note.kind != NOTE_TIMEOUT_FIRED) {
        assert_true(note.fired.us <= note.clock.us);
        (void)snprintf(
            fired, sizeof(fired), ", fired %lld", (long long)(note.fired.us / US_PER_SECOND));
    }
    (void)snprintf(told->text,
                   sizeof(told->text),
                   "%s %.*s %lld..%lld seen %lld%s%s%s\n",
                   kind_names[note.kind],
                   (int)note.key.len,
                   (const char *)note.key.data,
                   (long long)(note.started / US_PER_SECOND),
                   (long long)(note.deadline / US_PER_SECOND),
                   (long long)(note.last_seen / US_PER_SECOND),
                   (note.flags & NOTE_BORN_LATE) != 0 ? " born late" : "",
                   generation,
                   fired);
}

const char *world_told(struct world *world)
{
    static struct told notes[NOTES_MAX];
    static char text[WORLD_TEXT_BYTES];
    uint32_t count = 0;
    for (uint32_t n = 0; n < world->options.partitions; n++) {
        struct feed *feed = &world->owners[n]->partitions[n]->feed;
        const struct feed_entry *entry = feed_after(feed, world->read[n]);
        for (; entry != NULL; entry = entry->next) {
            assert_true(count < NOTES_MAX);
            line_of(entry, &notes[count++]);
            world->read[n] = feed_place_of(feed, entry);
        }
    }
    qsort(notes, count, sizeof(notes[0]), compare_told);
    size_t len = 0;
    text[0] = '\0';
    for (uint32_t n = 0; n < count; n++) {
        size_t own = strlen(notes[n].text);
        assert_true(len + own < sizeof(text));
        memcpy(text + len, notes[n].text, own + 1);
        len += own;
    }
    return text;
}

uint32_t world_place(const struct world *world, uint32_t rule)
{
    for (uint32_t place = 0; place < world->engines[0]->rule_end; place++) {
        if (world->engines[0]->rules[place].id == rule) {
            return place;
        }
    }
    fail_msg("no rule %u", rule);
    return 0;
}

uint64_t world_count(const struct world *world, uint32_t rule, enum timeout_state state)
{
    uint64_t count = 0;
    for (uint32_t n = 0; n < world->options.partitions; n++) {
        const struct watch *watch = &world->owners[n]->partitions[n]->watch;
        count += watch->parts[world_place(world, rule)]->counts[state];
    }
    return count;
}

uint64_t world_lost(const struct world *world, uint32_t rule)
{
    uint64_t count = 0;
    for (uint32_t n = 0; n < world->options.partitions; n++) {
        const struct watch *watch = &world->owners[n]->partitions[n]->watch;
        count += watch->parts[world_place(world, rule)]->lost;
    }
    return count;
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

static uint8_t writer_memory[128 * 1024];

static void save(const struct world *world, struct writer *writer)
{
    engine_save_shared(world->owners[0], writer);
    for (uint32_t n = 0; n < world->options.partitions; n++) {
        engine_save_partition(world->owners[n], n, writer);
    }
    writer_flush(writer);
}

static void digest_flush(void *ctx, struct bytes part)
{
    uint64_t *digest = ctx;
    *digest = hash64(part, *digest);
}

uint64_t world_digest(const struct world *world)
{
    uint64_t digest = 0;
    struct writer writer = {.buf = buf_of(writer_memory, sizeof(writer_memory)),
                            .flush = digest_flush,
                            .ctx = &digest,
                            .digest = true};
    save(world, &writer);
    return digest;
}

void world_copy(const struct world *world, uint32_t engine_count, struct world *copy)
{
    struct saved saved = {0};
    struct writer writer = {
        .buf = buf_of(writer_memory, sizeof(writer_memory)), .flush = saved_flush, .ctx = &saved};
    save(world, &writer);
    struct world_options options = world->options;
    options.engine_count = engine_count;
    world_init(copy, &options);
    struct loader in = {.read = saved_read, .ctx = &saved};
    assert_true(engine_load_shared(copy->engines[0], &in));
    for (uint32_t n = 1; n < engine_count; n++) {
        engine_copy_shared(copy->engines[n], copy->engines[0]);
    }
    for (uint32_t n = 0; n < options.partitions; n++) {
        assert_true(engine_load_partition(copy->owners[n], n, &in));
    }
    assert_true(saved.at == saved.len);
    for (uint32_t n = 0; n < engine_count; n++) {
        engine_validate(copy->engines[n]);
    }
    free(saved.data);
    copy->position = world->position;
    copy->ordinal = world->ordinal;
    copy->clock = world->clock;
    copy->watermark = world->watermark;
    copy->max_time = world->max_time;
    copy->flags = world->flags;
    copy->next_id = world->next_id;
    copy->next_rule = world->next_rule;
    copy->lane_count = world->lane_count;
    memcpy(copy->lanes, world->lanes, sizeof(copy->lanes));
    memcpy(copy->read, world->read, sizeof(copy->read));
}
