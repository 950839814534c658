/* Tide: see tide.h for the rules and the invariants. */
#include "host/tide.h"

#include "base/check.h"
#include "base/hash.h"
#include "host/need.h"

#include <stdlib.h>

#define SLOTS ((size_t)2 * LANES_MAX)

static void lane_reset(struct tide_lane *lane)
{
    *lane = (struct tide_lane){
        .source = {.disorder_us = TIDE_DISORDER_US,
                   .idle_after_us = TIDE_IDLE_AFTER_US,
                   .max_future_skew_us = TIDE_FUTURE_SKEW_US},
        .watermark = WATERMARK_NONE,
        .max_time = WATERMARK_NONE,
    };
}

bool tide_init(struct tide *tide, uint64_t seed)
{
    *tide = (struct tide){.watermark = WATERMARK_NONE,
                          .before_final = WATERMARK_NONE,
                          .holder = LANES_MAX,
                          .lane_count = 1,
                          .seed = seed};
    tide->lanes = calloc(LANES_MAX, sizeof(struct tide_lane));
    tide->slots = calloc(SLOTS, sizeof(uint32_t));
    if (tide->lanes == NULL || tide->slots == NULL) {
        return false;
    }
    lane_reset(&tide->lanes[LANE_DEFAULT]);
    tide->lanes[LANE_DEFAULT].used = true;
    tide->lanes[LANE_DEFAULT].version = 1;
    tide->lanes[LANE_DEFAULT].source.name = BYTES("*");
    return true;
}

void tide_deinit(struct tide *tide)
{
    for (uint32_t n = 1; n < tide->lane_count; n++) {
        free(bytes_owned(tide->lanes[n].source.name));
    }
    free(tide->lanes);
    free(tide->slots);
    free(tide->reserved_name);
}

bool tide_reserve_name(struct tide *tide)
{
    if (tide->reserved_name == NULL) {
        tide->reserved_name = malloc(SOURCE_NAME_MAX);
    }
    return tide->reserved_name != NULL;
}

/* --- names --- */

static uint32_t *slot_of(const struct tide *tide, struct bytes name)
{
    uint32_t at = (uint32_t)hash64(name, tide->seed) & (SLOTS - 1);
    while (tide->slots[at] != 0 &&
           !bytes_equal(tide->lanes[tide->slots[at] - 1].source.name, name)) {
        at = (at + 1) & (SLOTS - 1);
    }
    return &tide->slots[at];
}

uint32_t tide_lane_of(const struct tide *tide, struct bytes name)
{
    uint32_t slot = tide->lane_count == 1 ? 0 : *slot_of(tide, name);
    return slot == 0 ? LANE_DEFAULT : slot - 1;
}

uint32_t tide_free_lane(const struct tide *tide)
{
    for (uint32_t n = 1; n < tide->lane_count; n++) {
        if (!tide->lanes[n].used) {
            return n;
        }
    }
    return tide->lane_count;
}

static void rebuild_slots(struct tide *tide)
{
    memset(tide->slots, 0, SLOTS * sizeof(uint32_t));
    for (uint32_t n = 1; n < tide->lane_count; n++) {
        if (tide->lanes[n].used) {
            *slot_of(tide, tide->lanes[n].source.name) = n + 1;
        }
    }
}

/* --- the minimum --- */

static bool takes_part(const struct tide *tide, uint32_t number)
{
    const struct tide_lane *lane = &tide->lanes[number];
    bool present = lane->used && (number != LANE_DEFAULT || lane->heard);
    return present && !lane->final && !lane->idle;
}

static bool all_final(const struct tide *tide)
{
    bool any = false;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        const struct tide_lane *lane = &tide->lanes[n];
        if (!lane->used || (n == LANE_DEFAULT && !lane->heard && !lane->final)) {
            continue;
        }
        if (!lane->final) {
            return false;
        }
        any = true;
    }
    return any;
}

/* Of those that are not final, when none takes part; WATERMARK_FINAL: there is none. */
static int64_t least_of_idle(const struct tide *tide)
{
    int64_t least = WATERMARK_FINAL;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        const struct tide_lane *lane = &tide->lanes[n];
        if (lane->used && lane->idle && !lane->final && lane->watermark < least) {
            least = lane->watermark;
        }
    }
    return least;
}

/* Finds the lane that holds W back and raises W as far as the lanes allow. */
static void find_minimum(struct tide *tide)
{
    int64_t least = WATERMARK_FINAL;
    tide->holder = LANES_MAX;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        if (takes_part(tide, n) && tide->lanes[n].watermark < least) {
            least = tide->lanes[n].watermark;
            tide->holder = n;
        }
    }
    if (tide->holder == LANES_MAX) {
        if (tide->watermark != WATERMARK_FINAL && all_final(tide)) {
            tide->before_final = tide->watermark;
            tide->watermark = WATERMARK_FINAL;
        }
        /* All idle: W follows the clock, where it may (tide_tick). But who is finished or forgotten
         * holds nothing back: it is not below them all. */
        int64_t least_idle = least_of_idle(tide);
        if (least_idle != WATERMARK_FINAL && least_idle > tide->watermark) {
            tide->watermark = least_idle;
        }
        return;
    }
    /* A lane that is reopened, or comes new, ends "final"; but what W had passed before stays so: a
     * pulse may have told it. What only the final W closed, the core's seals keep. */
    if (tide->watermark == WATERMARK_FINAL) {
        tide->watermark = tide->before_final;
    }
    if (least > tide->watermark) {
        tide->watermark = least;
    }
}

/* Moves a lane's watermark up and W with it, if that lane held it. */
static void lane_raise(struct tide *tide, uint32_t number, int64_t watermark)
{
    struct tide_lane *lane = &tide->lanes[number];
    if (watermark <= lane->watermark) {
        return;
    }
    lane->watermark = watermark;
    lane->dirty = true;
    if (number == tide->holder || tide->holder == LANES_MAX) {
        find_minimum(tide);
    }
}

/* True when the lane joins those that take part: the minimum is to be found again. */
static bool lane_hear(struct tide *tide, uint32_t number, struct clock_time now)
{
    struct tide_lane *lane = &tide->lanes[number];
    bool joins = !lane->heard || lane->idle;
    lane->dirty = lane->dirty || lane->idle;
    lane->heard = true;
    lane->deaf = false;
    lane->idle = false;
    lane->last_heard = now;
    if (now.us - lane->lag_since.us > TIDE_LAG_SPAN_US) {
        lane->lag_us[1] = lane->lag_us[0];
        lane->lag_us[0] = 0;
        lane->lag_since = now;
    }
    return joins;
}

static void lane_lag(struct tide_lane *lane, int64_t lag_us)
{
    /* What is older than any live event tells nothing of how far live ones lag. */
    if (lag_us > lane->lag_us[0] && lag_us <= TIDE_LIVE_WITHIN_US) {
        lane->lag_us[0] = lag_us;
    }
}

static void lane_event(struct tide *tide, uint32_t number, int64_t time, int64_t lag_us)
{
    struct tide_lane *lane = &tide->lanes[number];
    lane_lag(lane, lag_us);
    if (time > lane->max_time) {
        lane->max_time = time;
        lane->dirty = true;
        if (lane->source.kind == LANE_BOUNDED) {
            lane_raise(tide, number, time_add(time, -lane->source.disorder_us));
        }
    }
}

/* --- batches --- */

/* Which lane each word of the batch is, if it is a source. */
static void word_lanes(const struct tide *tide, const struct batch *batch, uint16_t *lanes)
{
    struct reader in = reader_of(batch->dictionary);
    uint16_t count = read_u16(&in);
    CHECK(count <= BATCH_WORDS_MAX);
    for (uint16_t n = 0; n < count; n++) {
        lanes[n] = (uint16_t)tide_lane_of(tide, read_string(&in));
    }
}

/* A batch on its way through tide: with no declared source, nothing is looked up. */
struct passage {
    struct batch batch;
    bool declared;
    uint16_t lanes[BATCH_WORDS_MAX];
};

/* First pass: the lanes that speak in this batch take part before its first event is judged. */
static void hear_batch(struct tide *tide, struct passage *passage)
{
    passage->declared = tide->lane_count > 1;
    if (!passage->declared) {
        if (lane_hear(tide, LANE_DEFAULT, passage->batch.arrival)) {
            find_minimum(tide);
        }
        return;
    }
    word_lanes(tide, &passage->batch, passage->lanes);
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, &passage->batch);
    struct batch_row row;
    uint32_t last = LANES_MAX;
    bool joins = false;
    while (batch_next_row(&cursor, &row)) {
        int64_t time;
        uint32_t word;
        CHECK(batch_row_time(&passage->batch, &row, &time, &word));
        CHECK(word < BATCH_WORDS_MAX);
        if (passage->lanes[word] != last) {
            last = passage->lanes[word];
            joins |= lane_hear(tide, last, passage->batch.arrival);
        }
    }
    if (joins) {
        find_minimum(tide); /* once: those that join together count together */
    }
}

static void replay_watermark(struct tide *tide, int64_t recorded)
{
    if (recorded > tide->watermark || tide->watermark == WATERMARK_FINAL) {
        tide->watermark = recorded;
    }
}

/* Second pass, event by event; with `stamp`, W's steps are written as they happen, else read. */
static void walk(struct tide *tide, const struct passage *passage, struct batch_stamp *stamp)
{
    const struct batch *batch = &passage->batch;
    struct batch_cursor cursor;
    batch_cursor_init(&cursor, batch);
    struct batch_row row;
    while (batch_next_row(&cursor, &row)) {
        if (stamp == NULL) {
            replay_watermark(tide, cursor.watermark);
        } else if (tide->watermark > stamp->watermark) {
            batch_stamp_step(stamp, row.index, tide->watermark);
        }
        int64_t time;
        uint32_t word;
        CHECK(batch_row_time(batch, &row, &time, &word));
        CHECK(word < BATCH_WORDS_MAX);
        uint32_t lane = passage->declared ? passage->lanes[word] : LANE_DEFAULT;
        lane_event(tide, lane, time, batch->arrival.us - time);
    }
}

void tide_stamp(struct tide *tide, struct buf *frame, size_t body_start)
{
    struct passage passage;
    CHECK(batch_open(bytes_of(frame->data + body_start, frame->len - body_start), &passage.batch));
    hear_batch(tide, &passage);
    struct batch_stamp stamp;
    batch_stamp_begin(&stamp, frame, body_start, tide->watermark);
    walk(tide, &passage, &stamp);
    batch_stamp_end(&stamp);
}

void tide_replay(struct tide *tide, const struct record *record)
{
    struct pulse pulse;
    if (record->kind == RECORD_PULSE) {
        CHECK(pulse_read(record->body, &pulse));
        replay_watermark(tide, pulse.watermark);
        for (uint32_t n = 0; n < tide->lane_count; n++) {
            tide->lanes[n].dirty = false; /* the pulse carries what had changed */
        }
        return;
    }
    if (record->kind != RECORD_EVENTS) {
        tide_apply(tide, record);
        return;
    }
    struct passage passage;
    CHECK(batch_open(record->body, &passage.batch));
    hear_batch(tide, &passage);
    walk(tide, &passage, NULL);
}

/* --- declarations --- */

static void apply_source(struct tide *tide, const struct source *source)
{
    CHECK(source->lane < LANES_MAX);
    struct tide_lane *lane = &tide->lanes[source->lane];
    if (source->lane >= tide->lane_count) {
        CHECK(source->lane == tide->lane_count);
        tide->lane_count++;
    }
    struct bytes name = lane->source.name;
    if (!lane->used) {
        free(bytes_owned(name)); /* of a lane that was free when it was loaded */
        lane_reset(lane);
        CHECK(source->name.len <= SOURCE_NAME_MAX);
        uint8_t *memory = tide->reserved_name;
        tide->reserved_name = NULL;
        if (memory == NULL) {
            memory = memory_needed(source->name.len + 1, "the name of a source");
        }
        memcpy(memory, source->name.data, source->name.len);
        name = bytes_of(memory, source->name.len);
        lane->used = true;
        lane->last_heard = source->declared;
        lane->lag_since = source->declared;
    }
    lane->source = *source;
    lane->source.name = name;
    lane->version++;
    lane->dirty = true;
    rebuild_slots(tide);
    if (source->kind == LANE_BOUNDED && lane->max_time != WATERMARK_NONE) {
        int64_t watermark = time_add(lane->max_time, -source->disorder_us);
        lane->watermark = watermark > lane->watermark ? watermark : lane->watermark;
    }
    find_minimum(tide);
}

static void apply_forget(struct tide *tide, uint32_t number)
{
    CHECK(number != LANE_DEFAULT && number < tide->lane_count && tide->lanes[number].used);
    struct tide_lane *lane = &tide->lanes[number];
    free(bytes_owned(lane->source.name));
    lane_reset(lane);
    lane->dirty = true;
    rebuild_slots(tide);
    find_minimum(tide);
}

static void apply_command(struct tide *tide, const struct lane_command *command)
{
    CHECK(command->lane < tide->lane_count);
    struct tide_lane *lane = &tide->lanes[command->lane];
    lane->dirty = true;
    switch (command->kind) {
    case LANE_ADVANCE:
        if (lane_hear(tide, command->lane, command->clock)) {
            find_minimum(tide);
        }
        lane_raise(tide, command->lane, command->time);
        lane_lag(lane, command->clock.us - command->time);
        if (command->time > lane->max_time) {
            lane->max_time = command->time;
        }
        break;
    case LANE_FINISH:
        lane->final = true;
        lane->deaf = false;
        find_minimum(tide);
        break;
    case LANE_REOPEN:
        lane->final = false;
        lane->idle = false;
        lane->last_heard = command->clock;
        find_minimum(tide);
        break;
    }
}

void tide_apply(struct tide *tide, const struct record *record)
{
    struct source source;
    struct lane_command command;
    uint32_t lane;
    if (record->kind == RECORD_SOURCE) {
        CHECK(source_read(record->body, &source));
        apply_source(tide, &source);
    } else if (record->kind == RECORD_FORGET) {
        CHECK(forget_read(record->body, &lane));
        apply_forget(tide, lane);
    } else if (record->kind == RECORD_LANE) {
        CHECK(lane_command_read(record->body, &command));
        apply_command(tide, &command);
    }
}

/* --- the clock --- */

void tide_start(struct tide *tide, struct clock_time now, struct clock_time last_alive)
{
    int64_t downtime = last_alive.us > 0 && now.us > last_alive.us ? now.us - last_alive.us : 0;
    tide->started = now;
    tide->deaf_for_us = downtime < TIDE_DEAF_MAX_US ? downtime : TIDE_DEAF_MAX_US;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        tide->lanes[n].idle = false;
        tide->lanes[n].deaf = takes_part(tide, n);
        tide->lanes[n].dirty = tide->lanes[n].used;
    }
    if (tide->watermark != WATERMARK_FINAL) {
        find_minimum(tide);
    }
}

static int64_t recent_lag(const struct tide_lane *lane)
{
    return lane->lag_us[0] > lane->lag_us[1] ? lane->lag_us[0] : lane->lag_us[1];
}

static bool is_live(const struct tide_lane *lane)
{
    return lane->heard && lane->max_time != WATERMARK_NONE &&
           lane->last_heard.us - lane->max_time <= TIDE_LIVE_WITHIN_US;
}

static bool is_silent(const struct tide *tide, const struct tide_lane *lane, struct clock_time now)
{
    int64_t since = lane->last_heard.us;
    int64_t patience = lane->source.idle_after_us;
    if (lane->deaf && patience < tide->deaf_for_us) {
        patience = tide->deaf_for_us;
    }
    if (since < tide->started.us) {
        since = tide->started.us;
    }
    if (since < tide->refused.us) {
        since = tide->refused.us; /* whom we refuse we can't call silent */
    }
    return now.us - since > patience;
}

/* What the clock says for a silent live lane. */
static int64_t lane_by_clock(const struct tide_lane *lane, struct clock_time now)
{
    int64_t lag = recent_lag(lane);
    int64_t by_clock = now.us - (lane->source.disorder_us > lag ? lane->source.disorder_us : lag);
    return by_clock > lane->watermark ? by_clock : lane->watermark;
}

static bool follows_clock(const struct tide_lane *lane)
{
    return lane->used && !lane->final && lane->idle && is_live(lane);
}

/* All lanes silent: the clock speaks for the live ones. */
static int64_t clock_watermark(const struct tide *tide, struct clock_time now)
{
    int64_t least = WATERMARK_FINAL;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        const struct tide_lane *lane = &tide->lanes[n];
        if (lane->used && !lane->final && is_live(lane)) {
            int64_t by_clock = lane_by_clock(lane, now);
            least = by_clock < least ? by_clock : least;
        }
    }
    return least;
}

int64_t tide_reach(const struct tide *tide, struct clock_time now)
{
    int64_t reach = WATERMARK_NONE;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        if (follows_clock(&tide->lanes[n])) {
            int64_t by_clock = lane_by_clock(&tide->lanes[n], now);
            reach = by_clock > reach ? by_clock : reach;
        }
    }
    return reach;
}

bool tide_has_news(const struct tide *tide)
{
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        if (tide->lanes[n].dirty) {
            return true;
        }
    }
    return false;
}

bool tide_is_deaf(const struct tide *tide)
{
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        if (tide->lanes[n].deaf) {
            return true;
        }
    }
    return false;
}

void tide_refused(struct tide *tide, struct clock_time now)
{
    tide->refused = now;
}

bool tide_tick(struct tide *tide, struct clock_time now, bool clear)
{
    int64_t before = tide->watermark;
    if (!clear || before == WATERMARK_FINAL) {
        return false;
    }
    bool fell_idle = false;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        struct tide_lane *lane = &tide->lanes[n];
        if (takes_part(tide, n) && is_silent(tide, lane, now)) {
            lane->idle = true;
            lane->deaf = false;
            lane->dirty = true;
            fell_idle = true;
        }
    }
    if (fell_idle) {
        find_minimum(tide);
    }
    if (tide->holder == LANES_MAX) {
        int64_t by_clock = clock_watermark(tide, now);
        if (by_clock != WATERMARK_FINAL && by_clock > tide->watermark) {
            tide->watermark = by_clock;
        }
    }
    return fell_idle || tide->watermark > before;
}

static uint8_t lane_flags(const struct tide_lane *lane)
{
    return (uint8_t)((lane->final ? LANE_FINAL : 0) | (lane->used ? 0 : LANE_GONE) |
                     (lane->idle ? LANE_IDLE : 0) | (lane->used && is_live(lane) ? LANE_LIVE : 0));
}

void tide_pulse(
    struct tide *tide, struct buf *frame, uint64_t ordinal, struct clock_time now, uint8_t flags)
{
    struct pulse pulse = {
        .ordinal = ordinal, .clock = now, .watermark = tide->watermark, .flags = flags};
    pulse.flags |= tide_is_deaf(tide) ? PULSE_HOLD | PULSE_DEAF : 0;
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        struct tide_lane *lane = &tide->lanes[n];
        lane->dirty = lane->dirty || follows_clock(lane);
        pulse.lane_count += lane->dirty;
    }
    size_t start = pulse_begin(frame, &pulse);
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        struct tide_lane *lane = &tide->lanes[n];
        if (lane->dirty) {
            struct lane_state state = {
                .lane = n,
                .flags = lane_flags(lane),
                .watermark = follows_clock(lane) ? lane_by_clock(lane, now) : lane->watermark,
                .max_time = lane->max_time,
            };
            pulse_put_lane(frame, &state);
            lane->dirty = false;
        }
    }
    record_end(frame, start);
}

/* --- for people, and for snapshots --- */

void tide_lane_info(const struct tide *tide, uint32_t number, struct lane_info *info)
{
    const struct tide_lane *lane = &tide->lanes[number];
    *info = (struct lane_info){
        .name = lane->source.name,
        .source = lane->source,
        .version = lane->version,
        .watermark = lane->final ? WATERMARK_FINAL : lane->watermark,
        .max_time = lane->max_time,
        .last_heard = lane->heard ? lane->last_heard : (struct clock_time){0},
        .recent_lag_us = recent_lag(lane),
        .heard = lane->heard,
        .idle = lane->idle,
        .deaf = lane->deaf,
        .live = is_live(lane),
        .holds = takes_part(tide, number) && lane->watermark <= tide->watermark,
    };
    if (!info->holds) {
        return;
    }
    if (lane->deaf) {
        info->why = HOLD_DEAF;
    } else if (lane->source.kind == LANE_EXPLICIT) {
        info->why = HOLD_EXPLICIT;
    } else {
        info->why = lane->heard ? HOLD_SLOW : HOLD_NO_EVENT;
    }
}

void tide_save(const struct tide *tide, struct writer *out)
{
    write_i64(out, tide->watermark);
    write_u32(out, tide->lane_count);
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        const struct tide_lane *lane = &tide->lanes[n];
        write_u32(out, (uint32_t)(lane->used | (lane->heard << 1) | (lane->final << 2)));
        write_u32(out, lane->version);
        write_u32(out, (uint32_t)lane->source.kind);
        write_i64(out, lane->source.disorder_us);
        write_i64(out, lane->source.idle_after_us);
        write_i64(out, lane->source.max_future_skew_us);
        write_i64(out, lane->source.declared.us);
        write_string(out, lane->source.name);
        write_i64(out, lane->watermark);
        write_i64(out, lane->max_time);
        write_i64(out, lane->last_heard.us);
        write_i64(out, recent_lag(lane));
        write_i64(out, lane->lag_since.us);
    }
}

static bool load_lane(struct tide_lane *lane, uint32_t number, struct loader *in)
{
    lane_reset(lane);
    uint32_t bits = load_u32(in);
    lane->used = (bits & 1) != 0;
    lane->heard = (bits & 2) != 0;
    lane->final = (bits & 4) != 0;
    lane->dirty = lane->used;
    lane->version = load_u32(in);
    lane->source.lane = number;
    lane->source.kind = load_u32(in) == LANE_BOUNDED ? LANE_BOUNDED : LANE_EXPLICIT;
    lane->source.disorder_us = load_i64(in);
    lane->source.idle_after_us = load_i64(in);
    lane->source.max_future_skew_us = load_i64(in);
    lane->source.declared.us = load_i64(in);
    uint32_t len = load_u32(in);
    if (in->bad || len > SOURCE_NAME_MAX) {
        return false;
    }
    uint8_t *name = memory_needed(len + 1, "the name of a source");
    load_bytes(in, name, len);
    if (number == LANE_DEFAULT) {
        free(name);
        lane->source.name = BYTES("*");
    } else {
        lane->source.name = bytes_of(name, len);
    }
    lane->watermark = load_i64(in);
    lane->max_time = load_i64(in);
    lane->last_heard.us = load_i64(in);
    lane->lag_us[0] = load_i64(in);
    lane->lag_since.us = load_i64(in);
    return !in->bad;
}

bool tide_load(struct tide *tide, struct loader *in)
{
    tide->watermark = load_i64(in);
    tide->lane_count = load_u32(in);
    if (in->bad || tide->lane_count < 1 || tide->lane_count > LANES_MAX) {
        tide->lane_count = 1;
        return false;
    }
    for (uint32_t n = 0; n < tide->lane_count; n++) {
        if (!load_lane(&tide->lanes[n], n, in)) {
            return false;
        }
    }
    rebuild_slots(tide);
    return true;
}
