#include "timeouts_rig.h"

#include "../base/saved.h"

#define REGION_BYTES ((size_t)32 << 20)
#define SAVED_BYTES  ((size_t)16 << 20)

static void begin(struct timeouts_rig *rig)
{
    heap_init(&rig->heap, rig->regions[0], rig->region_bytes);
    heap_init(&rig->cold, rig->regions[2], rig->region_bytes);
    struct heap *cold = rig->limits.cold_max > 0 ? &rig->cold : &rig->heap;
    timeouts_init(&rig->timeouts, &rig->heap, cold, &rig->limits);
}

void timeouts_rig_open(struct timeouts_rig *rig, struct timeouts_limits limits)
{
    *rig = (struct timeouts_rig){
        .limits = limits,
        .region_bytes = REGION_BYTES,
        .watermark = WATERMARK_NONE,
        .keep_told = true,
    };
    rig->limits.partitions = RIG_PARTITIONS;
    rig->limits.seed = 20261122;
    rig->limits.pending_max = limits.pending_max > 0 ? limits.pending_max : 1000000;
    rig->limits.ended_max = limits.ended_max > 0 ? limits.ended_max : 1000000;
    rig->limits.bytes_max = limits.bytes_max > 0 ? limits.bytes_max : REGION_BYTES;
    for (size_t n = 0; n < sizeof(rig->regions) / sizeof(rig->regions[0]); n++) {
        rig->regions[n] = aligned_alloc(64, REGION_BYTES);
        assert_non_null(rig->regions[n]);
    }
    rig->saved = buf_of(malloc(SAVED_BYTES), SAVED_BYTES);
    assert_non_null(rig->saved.data);
    heap_init(&rig->feed_heap, rig->regions[1], REGION_BYTES);
    struct feed_options feed = {.budget_bytes = REGION_BYTES / 2, .keep_us = US_PER_DAY};
    feed_init(&rig->feed, &rig->feed_heap, feed);
    begin(rig);
}

void timeouts_rig_close(struct timeouts_rig *rig)
{
    for (size_t n = 0; n < sizeof(rig->regions) / sizeof(rig->regions[0]); n++) {
        free(rig->regions[n]);
    }
    free(rig->saved.data);
}

void timeouts_rig_shrink(struct timeouts_rig *rig, size_t bytes)
{
    rig->region_bytes = bytes;
    begin(rig);
}

struct timeout_result timeouts_rig_do(struct timeouts_rig *rig,
                                      const struct timeout_command *command)
{
    struct timeout_result result;
    rig->position += 10;
    const struct timeouts_moment moment = {
        rig->position, {rig->clock}, rig->timeouts.now.watermark};
    uint32_t hash = timeouts_approach_slot(&rig->timeouts, command->key);
    timeouts_command(&rig->timeouts, command, hash, &moment, &result);
    return result;
}

static void text_of(char *out, size_t size, struct bytes text)
{
    assert_true(text.len < size);
    memset(out, 0, size);
    if (text.len > 0) {
        memcpy(out, text.data, text.len);
    }
}

static void take_note(struct timeouts_rig *rig, const struct note *note)
{
    assert_int_equal(note->kind, NOTE_TIMEOUT_FIRED);
    assert_int_equal(note->rule, 0);
    assert_int_equal(note->rule_name.len, 0);
    assert_int_equal(note->position, rig->position);
    if (rig->keep_told) {
        assert_true(rig->told_count < RIG_TOLD_MAX);
        struct told *told = &rig->told[rig->told_count];
        *told = (struct told){
            .flags = note->flags,
            .generation = note->generation,
            .deadline = note->deadline,
            .started = note->started,
            .last_seen = note->last_seen,
            .clock = note->clock.us,
        };
        text_of(told->key, sizeof(told->key), note->key);
        text_of(told->data, sizeof(told->data), note->data);
    }
    rig->told_count++;
}

void timeouts_rig_pulse(struct timeouts_rig *rig, int64_t clock)
{
    rig->clock = clock;
    rig->position += 10;
    rig->ordinal++;
    struct timeouts_time time = {
        .ordinal = rig->ordinal,
        .position = rig->position,
        .clock = {clock},
        .watermark = rig->watermark,
        .hold = rig->hold,
    };
    timeouts_move(&rig->timeouts, &time, &rig->feed);
    for (const struct feed_entry *entry; (entry = feed_after(&rig->feed, rig->read)) != NULL;) {
        struct note note;
        assert_true(note_read(feed_entry_bytes(entry), &note));
        assert_true(entry->ordinal == rig->ordinal);
        take_note(rig, &note);
        rig->read = feed_place_of(&rig->feed, entry);
    }
    feed_expire(&rig->feed, (struct clock_time){INT64_MAX});
}

struct bytes timeouts_rig_save(struct timeouts_rig *rig)
{
    uint8_t room[512];
    rig->saved.len = 0;
    struct writer out = {
        .buf = buf_of(room, sizeof(room)), .flush = saved_take, .ctx = &rig->saved};
    timeouts_save(&rig->timeouts, &out);
    writer_flush(&out);
    assert_false(rig->saved.overflow);
    return buf_bytes(&rig->saved);
}

bool timeouts_rig_load(struct timeouts_rig *rig, struct bytes saved)
{
    begin(rig);
    struct reader in = reader_of(saved);
    struct loader loader = {.read = saved_give, .ctx = &in};
    return timeouts_load(&rig->timeouts, &loader) && reader_left(&in) == 0;
}
