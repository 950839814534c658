/* The codecs of all records but the batch of events: see record.h for the layout.
 *
 * Invariants:
 *  1. A decoder accepts only what its encoder can write, with nothing left over: an unknown kind or
 *     a longer body is a newer format, never to be half understood.
 *  2. Numbers are little endian or LEB128; nothing depends on a struct's layout. */
#include "model/record.h"

#include "base/check.h"

size_t record_begin(struct buf *out, enum record_kind kind)
{
    buf_put_u32(out, 0);
    buf_put_u8(out, (uint8_t)kind);
    buf_put(out, "\0\0\0", 3);
    return out->len;
}

void record_end(struct buf *out, size_t body_start)
{
    if (out->overflow) {
        return;
    }
    CHECK(body_start >= RECORD_HEADER_BYTES);
    CHECK(out->len - body_start <= UINT32_MAX);
    struct buf length = buf_of(out->data + body_start - RECORD_HEADER_BYTES, sizeof(uint32_t));
    buf_put_u32(&length, (uint32_t)(out->len - body_start));
}

bool record_next(struct reader *frame, const uint8_t *frame_begin, struct record *record)
{
    if (frame->bad || reader_left(frame) == 0) {
        return false;
    }
    record->offset = (uint32_t)(frame->at - frame_begin);
    uint32_t len = read_u32(frame);
    uint8_t kind = read_u8(frame);
    struct bytes zeros = read_bytes(frame, 3);
    record->body = read_bytes(frame, len);
    if (frame->bad) {
        return false;
    }
    bool known = kind >= RECORD_GENESIS && kind <= RECORD_ANSWER;
    if (!known || zeros.data[0] != 0 || zeros.data[1] != 0 || zeros.data[2] != 0) {
        frame->bad = true;
        return false;
    }
    record->kind = (enum record_kind)kind;
    return true;
}

static bool all_read(const struct reader *in)
{
    return !in->bad && reader_left(in) == 0;
}

void genesis_put(struct buf *out, const struct genesis *genesis)
{
    size_t start = record_begin(out, RECORD_GENESIS);
    buf_put_u32(out, genesis->partitions);
    buf_put_u64(out, genesis->seed);
    buf_put(out, genesis->instance, sizeof(genesis->instance));
    buf_put_i64(out, genesis->created.us);
    record_end(out, start);
}

bool genesis_read(struct bytes body, struct genesis *genesis)
{
    struct reader in = reader_of(body);
    *genesis = (struct genesis){.partitions = read_u32(&in)};
    genesis->seed = read_u64(&in);
    struct bytes instance = read_bytes(&in, sizeof(genesis->instance));
    genesis->created.us = read_i64(&in);
    if (!all_read(&in) || genesis->partitions < 1 || genesis->partitions > PARTITIONS_MAX) {
        return false;
    }
    memcpy(genesis->instance, instance.data, sizeof(genesis->instance));
    return true;
}

size_t pulse_begin(struct buf *out, const struct pulse *pulse)
{
    size_t start = record_begin(out, RECORD_PULSE);
    buf_put_u64(out, pulse->ordinal);
    buf_put_i64(out, pulse->clock.us);
    buf_put_i64(out, pulse->watermark);
    buf_put_u8(out, pulse->flags);
    buf_put_u32(out, pulse->lane_count);
    return start;
}

void pulse_put_lane(struct buf *out, const struct lane_state *lane)
{
    buf_put_varint(out, lane->lane);
    buf_put_u8(out, lane->flags);
    buf_put_i64(out, lane->watermark);
    buf_put_i64(out, lane->max_time);
}

bool pulse_read(struct bytes body, struct pulse *pulse)
{
    struct reader in = reader_of(body);
    *pulse = (struct pulse){.ordinal = read_u64(&in)};
    pulse->clock.us = read_i64(&in);
    pulse->watermark = read_i64(&in);
    pulse->flags = read_u8(&in);
    pulse->lane_count = read_u32(&in);
    pulse->lanes = bytes_of(in.at, reader_left(&in));
    struct lane_state lane;
    for (uint32_t n = 0; n < pulse->lane_count; n++) {
        if (!pulse_next_lane(&in, &lane)) {
            return false;
        }
    }
    bool reasons = (pulse->flags & PULSE_REASONS) != 0;
    bool known = (pulse->flags & ~(PULSE_HOLD | PULSE_SNAPSHOT | PULSE_REASONS)) == 0;
    return all_read(&in) && known && (!reasons || (pulse->flags & PULSE_HOLD) != 0);
}

bool pulse_next_lane(struct reader *lanes, struct lane_state *lane)
{
    if (reader_left(lanes) == 0) {
        return false;
    }
    uint64_t number = read_varint(lanes);
    lane->lane = (uint32_t)number;
    lane->flags = read_u8(lanes);
    lane->watermark = read_i64(lanes);
    lane->max_time = read_i64(lanes);
    lanes->bad = lanes->bad || number >= LANES_MAX || lane->flags > LANE_FLAGS_ALL;
    return !lanes->bad;
}

static void define_put_as(struct buf *out, enum record_kind kind, const struct define *define)
{
    size_t start = record_begin(out, kind);
    buf_put_u32(out, define->metric);
    buf_put_u32(out, define->version);
    buf_put_i64(out, define->created.us);
    buf_put_string(out, define->definition);
    record_end(out, start);
}

void define_put(struct buf *out, const struct define *define)
{
    define_put_as(out, RECORD_DEFINE, define);
}

void rule_define_put(struct buf *out, const struct define *define)
{
    define_put_as(out, RECORD_RULE, define);
}

bool define_read(struct bytes body, struct define *define)
{
    struct reader in = reader_of(body);
    *define = (struct define){.metric = read_u32(&in)};
    define->version = read_u32(&in);
    define->created.us = read_i64(&in);
    define->definition = read_string(&in);
    return all_read(&in);
}

static void drop_put_as(struct buf *out, enum record_kind kind, uint32_t id)
{
    size_t start = record_begin(out, kind);
    buf_put_u32(out, id);
    record_end(out, start);
}

void drop_put(struct buf *out, uint32_t metric)
{
    drop_put_as(out, RECORD_DROP, metric);
}

void rule_drop_put(struct buf *out, uint32_t rule)
{
    drop_put_as(out, RECORD_RULE_DROP, rule);
}

bool drop_read(struct bytes body, uint32_t *metric)
{
    struct reader in = reader_of(body);
    *metric = read_u32(&in);
    return all_read(&in);
}

void source_put(struct buf *out, const struct source *source)
{
    size_t start = record_begin(out, RECORD_SOURCE);
    buf_put_u32(out, source->lane);
    buf_put_u8(out, (uint8_t)source->kind);
    buf_put_i64(out, source->disorder_us);
    buf_put_i64(out, source->idle_after_us);
    buf_put_i64(out, source->max_future_skew_us);
    buf_put_i64(out, source->declared.us);
    buf_put_string(out, source->name);
    record_end(out, start);
}

bool source_read(struct bytes body, struct source *source)
{
    struct reader in = reader_of(body);
    *source = (struct source){.lane = read_u32(&in)};
    uint8_t kind = read_u8(&in);
    source->disorder_us = read_i64(&in);
    source->idle_after_us = read_i64(&in);
    source->max_future_skew_us = read_i64(&in);
    source->declared.us = read_i64(&in);
    source->name = read_string(&in);
    source->kind = kind == 0 ? LANE_BOUNDED : LANE_EXPLICIT;
    return all_read(&in) && kind <= LANE_EXPLICIT && source->lane < LANES_MAX &&
           source->name.len <= SOURCE_NAME_MAX;
}

void forget_put(struct buf *out, uint32_t lane)
{
    size_t start = record_begin(out, RECORD_FORGET);
    buf_put_u32(out, lane);
    record_end(out, start);
}

bool forget_read(struct bytes body, uint32_t *lane)
{
    struct reader in = reader_of(body);
    *lane = read_u32(&in);
    return all_read(&in) && *lane < LANES_MAX;
}

void lane_command_put(struct buf *out, const struct lane_command *command)
{
    size_t start = record_begin(out, RECORD_LANE);
    buf_put_u32(out, command->lane);
    buf_put_u8(out, (uint8_t)command->kind);
    buf_put_i64(out, command->time);
    buf_put_i64(out, command->clock.us);
    record_end(out, start);
}

bool lane_command_read(struct bytes body, struct lane_command *command)
{
    struct reader in = reader_of(body);
    *command = (struct lane_command){.lane = read_u32(&in)};
    uint8_t kind = read_u8(&in);
    command->time = read_i64(&in);
    command->clock.us = read_i64(&in);
    command->kind = (enum lane_command_kind)(kind <= LANE_REOPEN ? kind : 0);
    return all_read(&in) && kind <= LANE_REOPEN && command->lane < LANES_MAX;
}

bool consumer_name_valid(struct bytes name)
{
    bool valid = name.len >= 1 && name.len <= CONSUMER_NAME_MAX;
    for (size_t n = 0; valid && n < name.len; n++) {
        uint8_t c = name.data[n];
        valid = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    }
    return valid;
}

void consumer_put(struct buf *out, const struct consumer *consumer)
{
    size_t start = record_begin(out, RECORD_CONSUMER);
    buf_put_u64(out, consumer->ordinal);
    buf_put_u32(out, consumer->partition);
    buf_put_u32(out, consumer->number);
    buf_put_i64(out, consumer->acked.us);
    buf_put_string(out, consumer->name);
    record_end(out, start);
}

bool consumer_read(struct bytes body, struct consumer *consumer)
{
    struct reader in = reader_of(body);
    consumer->ordinal = read_u64(&in);
    consumer->partition = read_u32(&in);
    consumer->number = read_u32(&in);
    consumer->acked.us = read_i64(&in);
    consumer->name = read_string(&in);
    return all_read(&in) && consumer->partition < PARTITIONS_MAX &&
           consumer_name_valid(consumer->name);
}
