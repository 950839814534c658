/* Commands on timeouts as bytes: see timeout.h for the layout.
 *
 *   flags:  1 generation | 2 version | 4 deadline | 8 event time | 16 by events | 32, 64 on_exists |
 *           128 data
 *
 * Invariants:
 *  1. A decoder accepts only what the encoder writes: each command has one encoding, and one that
 *     makes no sense (a cancel with a deadline, a create without any) has none.
 *  2. Whatever the bytes are, reading ends, inside of them. */
#include "model/timeout.h"

#include "base/check.h"
#include "base/hash.h"

#define FLAG_GENERATION 1u
#define FLAG_VERSION    2u
#define FLAG_DEADLINE   4u
#define FLAG_EVENT_TIME 8u
#define FLAG_BY_EVENTS  16u
#define ON_EXISTS_SHIFT 5
#define ON_EXISTS_MASK  3u
#define FLAG_DATA       128u
#define FLAGS_OF_CREATE                                                                            \
    (FLAG_DEADLINE | FLAG_BY_EVENTS | ON_EXISTS_MASK << ON_EXISTS_SHIFT | FLAG_DATA)
#define FLAGS_OF_EXPLICIT                                                                          \
    (FLAG_GENERATION | FLAG_VERSION) /* what a rule began has none of its own */
#define OP_OF_RULE       128u
#define FIXED_BYTES_MAX  (5 + 3 + 2 + 5 + 5 + 10 + 8 + 10 + 8 + 3)
#define HASH_OF_TIMEOUTS 0x54494d454f555453u /* sets these hashes apart from those of groups */

const char *timeout_state_name(enum timeout_state state)
{
    switch (state) {
    case TIMEOUT_ABSENT:
        break;
    case TIMEOUT_PENDING:
        return "pending";
    case TIMEOUT_FIRED:
        return "fired";
    case TIMEOUT_COMPLETED:
        return "completed";
    case TIMEOUT_CANCELLED:
        return "cancelled";
    case TIMEOUT_COMPLETED_EARLY:
        return "completed_early";
    case TIMEOUT_RETRACTED:
        return "retracted";
    }
    return "absent";
}

uint64_t timeout_hash(struct bytes key, uint64_t seed)
{
    return hash64(key, seed ^ HASH_OF_TIMEOUTS);
}

uint64_t timeout_rule_hash(uint32_t rule, struct bytes key, uint64_t seed)
{
    return hash64(key, hash64_mix(seed, rule));
}

/* By the upper half: the lower one chooses the place in the partition's table. */
uint32_t timeout_partition(uint64_t hash, uint32_t partitions)
{
    CHECK(partitions >= 1 && partitions <= PARTITIONS_MAX);
    return (uint32_t)((hash >> 32) * partitions >> 32);
}

size_t timeouts_begin(struct buf *out, uint32_t count)
{
    CHECK(count >= 1 && count <= TIMEOUT_COMMANDS_MAX);
    size_t start = record_begin(out, RECORD_TIMEOUTS);
    buf_put_i64(out, 0);
    buf_put_i64(out, WATERMARK_NONE);
    buf_put_u32(out, count);
    return start;
}

void timeouts_stamp(struct buf *out, size_t body_start, struct clock_time clock, int64_t watermark)
{
    if (out->overflow) {
        return;
    }
    CHECK(body_start >= RECORD_HEADER_BYTES);
    CHECK(out->len >= body_start + TIMEOUT_HEADER_BYTES);
    struct buf stamp = buf_of(out->data + body_start, 2 * sizeof(int64_t));
    buf_put_i64(&stamp, clock.us);
    buf_put_i64(&stamp, watermark);
}

static uint8_t flags_of(const struct timeout_command *command)
{
    uint32_t flags = (uint32_t)command->on_exists << ON_EXISTS_SHIFT;
    flags |= command->generation > 0 ? FLAG_GENERATION : 0;
    flags |= command->has_version ? FLAG_VERSION : 0;
    flags |= command->has_deadline ? FLAG_DEADLINE : 0;
    flags |= command->has_event_time ? FLAG_EVENT_TIME : 0;
    flags |= command->clock == TIMEOUT_BY_EVENTS ? FLAG_BY_EVENTS : 0;
    flags |= command->data.len > 0 ? FLAG_DATA : 0;
    return (uint8_t)flags;
}

static bool within_is_written(enum timeout_op op, uint32_t flags)
{
    return op == TIMEOUT_HEARTBEAT || (op == TIMEOUT_CREATE && (flags & FLAG_DEADLINE) == 0);
}

/* Whether the parts of a command go together; what no client may ask is refused before the log. */
static bool makes_sense(const struct timeout_command *command, uint32_t flags)
{
    bool of_rule = command->rule > 0;
    size_t key_max = of_rule ? TIMEOUT_RULE_KEY_MAX : TIMEOUT_KEY_MAX;
    if (command->key.len > key_max || command->data.len > TIMEOUT_DATA_MAX) {
        return false;
    }
    if (of_rule && (command->op == TIMEOUT_CREATE || (flags & FLAGS_OF_EXPLICIT) != 0)) {
        return false;
    }
    if (!of_rule && command->key.len < 1) {
        return false;
    }
    if (command->op != TIMEOUT_CREATE) {
        int64_t within_max = command->op == TIMEOUT_HEARTBEAT ? TIMEOUT_WITHIN_MAX_US : 0;
        return (flags & FLAGS_OF_CREATE) == 0 && command->within_us >= 0 &&
               command->within_us <= within_max;
    }
    bool timed = command->has_deadline
                     ? command->within_us == 0
                     : command->within_us > 0 && command->within_us <= TIMEOUT_WITHIN_MAX_US;
    return timed && (flags & FLAG_GENERATION) == 0 && command->on_exists <= TIMEOUT_REPLACE;
}

void timeout_command_put(struct buf *out, const struct timeout_command *command, uint32_t partition)
{
    CHECK(partition < PARTITIONS_MAX);
    uint32_t flags = flags_of(command);
    CHECK(makes_sense(command, flags));
    uint8_t fixed[FIXED_BYTES_MAX];
    struct buf head = buf_of(fixed, sizeof(fixed));
    uint32_t op = (uint32_t)command->op | (command->rule > 0 ? OP_OF_RULE : 0);
    if (command->rule > 0) {
        buf_put_varint(&head, command->rule);
    }
    if (command->generation > 0) {
        buf_put_varint(&head, command->generation);
    }
    if (command->has_version) {
        buf_put_varint(&head, command->version);
    }
    if (command->has_deadline) {
        buf_put_i64(&head, command->deadline);
    }
    if (within_is_written(command->op, flags)) {
        buf_put_zigzag(&head, command->within_us);
    }
    if (command->has_event_time) {
        buf_put_i64(&head, command->event_time.us);
    }
    if (command->data.len > 0) {
        buf_put_varint(&head, command->data.len);
    }
    CHECK(!head.overflow);
    size_t key_len_bytes = command->key.len < 0x80 ? 1 : 2;
    buf_put_varint(out, 3 + key_len_bytes + command->key.len + head.len + command->data.len);
    buf_put_u8(out, (uint8_t)partition);
    buf_put_u8(out, (uint8_t)op);
    buf_put_u8(out, (uint8_t)flags);
    buf_put_string(out, command->key);
    buf_put_bytes(out, buf_bytes(&head));
    buf_put_bytes(out, command->data);
}

size_t timeout_command_bytes_max(const struct timeout_command *command)
{
    return FIXED_BYTES_MAX + command->key.len + command->data.len;
}

bool timeouts_open(struct bytes body, struct timeouts_reader *reader)
{
    struct reader in = reader_of(body);
    *reader = (struct timeouts_reader){.index = UINT32_MAX};
    reader->clock.us = read_i64(&in);
    reader->watermark = read_i64(&in);
    reader->count = read_u32(&in);
    reader->commands = in;
    return !in.bad && reader->count >= 1 && reader->count <= TIMEOUT_COMMANDS_MAX;
}

bool timeouts_next(struct timeouts_reader *reader)
{
    struct reader *in = &reader->commands;
    if (in->bad) {
        return false;
    }
    if (reader->index + 1 == reader->count) {
        in->bad = reader_left(in) > 0;
        return false;
    }
    reader->rest = reader_of(read_string(in));
    reader->partition = read_u8(&reader->rest);
    in->bad = in->bad || reader->rest.bad || reader->partition >= PARTITIONS_MAX;
    reader->index += in->bad ? 0 : 1;
    return !in->bad;
}

static uint32_t read_number(struct reader *in)
{
    uint64_t number = read_varint(in);
    in->bad = in->bad || number == 0 || number > UINT32_MAX;
    return (uint32_t)number;
}

static void read_parts(struct reader *in, uint32_t flags, struct timeout_command *command)
{
    if ((flags & FLAG_GENERATION) != 0) {
        command->generation = read_number(in);
    }
    if (command->has_version) {
        command->version = read_varint(in);
    }
    if (command->has_deadline) {
        command->deadline = read_i64(in);
    }
    if (within_is_written(command->op, flags)) {
        command->within_us = read_zigzag(in);
    }
    if (command->has_event_time) {
        command->event_time.us = read_i64(in);
    }
    if ((flags & FLAG_DATA) != 0) {
        command->data = read_string(in);
        in->bad = in->bad || command->data.len == 0;
    }
}

bool timeout_command_read(struct timeouts_reader *reader, struct timeout_command *command)
{
    struct reader *in = &reader->rest;
    uint32_t op = read_u8(in);
    uint8_t flags = read_u8(in);
    bool of_rule = (op & OP_OF_RULE) != 0;
    op &= ~OP_OF_RULE;
    bool known = op >= TIMEOUT_CREATE && op <= TIMEOUT_HEARTBEAT;
    *command = (struct timeout_command){
        .op = known ? (enum timeout_op)op : TIMEOUT_CREATE,
        .key = read_string(in),
        .has_version = (flags & FLAG_VERSION) != 0,
        .has_deadline = (flags & FLAG_DEADLINE) != 0,
        .has_event_time = (flags & FLAG_EVENT_TIME) != 0,
        .clock = (flags & FLAG_BY_EVENTS) != 0 ? TIMEOUT_BY_EVENTS : TIMEOUT_BY_PROCESSING,
        .on_exists = (enum timeout_on_exists)(flags >> ON_EXISTS_SHIFT & ON_EXISTS_MASK),
    };
    if (of_rule) {
        command->rule = read_number(in);
    }
    read_parts(in, flags, command);
    bool good = known && !in->bad && reader_left(in) == 0 && makes_sense(command, flags);
    reader->commands.bad = reader->commands.bad || !good;
    return good;
}
