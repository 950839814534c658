/* Commands on timeouts from JSON: see timeout_read.h.
 *
 *                key op within deadline clock event_time data on_exists extend generation
 *     create      x  b    x       x      x       x        x      x
 *     complete    b  b                           x                               x
 *     cancel      b  b                           x                               x
 *     heartbeat   b  b                           x                        x      x
 *
 *     x: known, b: known in the lines of a batch. Members may stand in any order, so what an op does
 *     not know shows at the end.
 *
 * Invariants:
 *  1. A command that was read is one that the log may hold: its ranges are checked here and nowhere
 *     behind.
 *  2. The first thing that is wrong is told; a text that is not JSON at all comes before it. */
#include "api/timeout_read.h"

#include "api/config.h"
#include "base/text.h"

enum member {
    MEMBER_OP,
    MEMBER_KEY,
    MEMBER_WITHIN,
    MEMBER_DEADLINE,
    MEMBER_CLOCK,
    MEMBER_EVENT_TIME,
    MEMBER_DATA,
    MEMBER_ON_EXISTS,
    MEMBER_EXTEND,
    MEMBER_GENERATION,
    MEMBERS,
};

#define NOT_JSON "it is not one JSON text"

#define BIT(member) (1u << (member))
#define CREATE_MEMBERS                                                                             \
    (BIT(MEMBER_KEY) | BIT(MEMBER_WITHIN) | BIT(MEMBER_DEADLINE) | BIT(MEMBER_CLOCK) |             \
     BIT(MEMBER_EVENT_TIME) | BIT(MEMBER_DATA) | BIT(MEMBER_ON_EXISTS))
#define ENDING_MEMBERS (BIT(MEMBER_EVENT_TIME) | BIT(MEMBER_GENERATION))

#define NAME(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static const struct bytes member_names[MEMBERS] = {
    [MEMBER_OP] = NAME("op"),
    [MEMBER_KEY] = NAME("key"),
    [MEMBER_WITHIN] = NAME("within"),
    [MEMBER_DEADLINE] = NAME("deadline"),
    [MEMBER_CLOCK] = NAME("clock"),
    [MEMBER_EVENT_TIME] = NAME("event_time"),
    [MEMBER_DATA] = NAME("data"),
    [MEMBER_ON_EXISTS] = NAME("on_exists"),
    [MEMBER_EXTEND] = NAME("extend"),
    [MEMBER_GENERATION] = NAME("generation"),
};

/* A command being read. */
struct reading {
    struct memory *memory;
    struct timeout_command *command;
    struct refusal *refusal;
    unsigned seen;
    bool in_batch;
};

static bool refuse(struct reading *reading, enum err err, struct bytes member, const char *detail)
{
    struct refusal *refusal = reading->refusal;
    refusal->err = err;
    refusal->member = member;
    refusal->detail = detail;
    return false;
}

static bool
refuse_known(struct reading *reading, enum err err, enum member member, const char *detail)
{
    return refuse(reading, err, member_names[member], detail);
}

const char *timeout_op_text(enum timeout_op op)
{
    switch (op) {
    case TIMEOUT_CREATE:
        return "create";
    case TIMEOUT_COMPLETE:
        return "complete";
    case TIMEOUT_CANCEL:
        return "cancel";
    case TIMEOUT_HEARTBEAT:
        return "heartbeat";
    }
    return "";
}

static unsigned members_of(enum timeout_op op)
{
    switch (op) {
    case TIMEOUT_CREATE:
        return CREATE_MEMBERS;
    case TIMEOUT_COMPLETE:
    case TIMEOUT_CANCEL:
        return ENDING_MEMBERS;
    case TIMEOUT_HEARTBEAT:
        return ENDING_MEMBERS | BIT(MEMBER_EXTEND);
    }
    return 0;
}

/* A byte that is, or begins, a control character: C0, DEL, and C1, which UTF-8 writes as c2 80-9f. */
static bool control_at(struct bytes text, size_t i)
{
    uint8_t byte = text.data[i];
    return byte < 0x20 || byte == 0x7f ||
           (byte == 0xc2 && i + 1 < text.len && text.data[i + 1] < 0xa0);
}

bool timeout_key_valid(struct bytes key, const char **detail)
{
    *detail = "a key is 1 to 256 bytes long";
    if (key.len == 0 || key.len > TIMEOUT_KEY_MAX) {
        return false;
    }
    *detail = "a key has no control characters";
    for (size_t i = 0; i < key.len; i++) {
        if (control_at(key, i)) {
            return false;
        }
    }
    return true;
}

bool timeout_duration(struct bytes text, int64_t *us, const char **detail)
{
    *detail = "it must be an ISO 8601 duration such as PT15M, above zero, of at most 36525 days";
    return duration_parse(text, us) == OK && *us > 0 && *us <= TIMEOUT_WITHIN_MAX_US;
}

/* A string's text without escapes. */
static bool text_of(struct reading *reading, const struct json_value *value, struct bytes *text)
{
    *text = value->content;
    if (!value->escaped) {
        return true;
    }
    uint8_t *plain = memory_take(reading->memory, value->content.len);
    if (plain == NULL) {
        return refuse(reading,
                      memory_err(reading->memory),
                      (struct bytes){0},
                      "there is no memory for this command");
    }
    struct buf out = buf_of(plain, value->content.len);
    json_unescape(value->content, &out);
    *text = buf_bytes(&out);
    return true;
}

/* One of a few words; *index is which. */
static bool take_word(struct reading *reading,
                      enum member member,
                      struct bytes text,
                      const char *const *words,
                      unsigned *index)
{
    for (*index = 0; words[*index] != NULL; (*index)++) {
        if (bytes_equal(text, bytes_of_string(words[*index]))) {
            return true;
        }
    }
    return refuse_known(reading, ERR_UNPROCESSABLE, member, words[*index + 1]);
}

/* Lists of words end with NULL; what to say of others follows. */
static bool take_op(struct reading *reading, struct bytes text)
{
    static const char *const words[] = {"create",
                                        "complete",
                                        "cancel",
                                        "heartbeat",
                                        NULL,
                                        "it is create, complete, cancel or heartbeat"};
    unsigned index;
    bool good = take_word(reading, MEMBER_OP, text, words, &index);
    reading->command->op = good ? (enum timeout_op)(TIMEOUT_CREATE + index) : TIMEOUT_CREATE;
    return good;
}

static bool take_clock(struct reading *reading, struct bytes text)
{
    static const char *const words[] = {"processing", "event", NULL, "it is processing or event"};
    unsigned index;
    bool good = take_word(reading, MEMBER_CLOCK, text, words, &index);
    reading->command->clock = good ? (enum timeout_clock)index : TIMEOUT_BY_PROCESSING;
    return good;
}

static bool take_on_exists(struct reading *reading, struct bytes text)
{
    static const char *const words[] = {
        "reject", "return", "replace", NULL, "it is reject, return or replace"};
    unsigned index;
    bool good = take_word(reading, MEMBER_ON_EXISTS, text, words, &index);
    reading->command->on_exists = good ? (enum timeout_on_exists)index : TIMEOUT_REJECT;
    return good;
}

static bool take_key(struct reading *reading, struct bytes text)
{
    const char *detail = NULL;
    if (!timeout_key_valid(text, &detail)) {
        return refuse_known(reading, ERR_UNPROCESSABLE, MEMBER_KEY, detail);
    }
    reading->command->key = text;
    reading->refusal->id = text;
    return true;
}

static bool take_duration(struct reading *reading, enum member member, struct bytes text)
{
    const char *detail = NULL;
    return timeout_duration(text, &reading->command->within_us, &detail) ||
           refuse_known(reading, ERR_DURATION, member, detail);
}

static bool take_time(struct reading *reading, enum member member, struct bytes text, int64_t *us)
{
    return timestamp_parse(text, us) == OK ||
           refuse_known(reading, ERR_UNPROCESSABLE, member, TIME_ADVICE);
}

static bool take_text(struct reading *reading, enum member member, struct bytes text)
{
    struct timeout_command *command = reading->command;
    switch (member) {
    case MEMBER_OP:
        return take_op(reading, text);
    case MEMBER_KEY:
        return take_key(reading, text);
    case MEMBER_WITHIN:
    case MEMBER_EXTEND:
        return take_duration(reading, member, text);
    case MEMBER_DEADLINE:
        command->has_deadline = true;
        return take_time(reading, member, text, &command->deadline);
    case MEMBER_EVENT_TIME:
        command->has_event_time = true;
        return take_time(reading, member, text, &command->event_time.us);
    case MEMBER_CLOCK:
        return take_clock(reading, text);
    case MEMBER_ON_EXISTS:
        return take_on_exists(reading, text);
    case MEMBER_DATA:
    case MEMBER_GENERATION:
    case MEMBERS:
        break;
    }
    return refuse_known(reading, ERR_INTERNAL, member, "it is no text");
}

static bool take_data(struct reading *reading, const struct json_value *value)
{
    struct bytes text = value->text;
    uint8_t *space = memory_take(reading->memory, text.len);
    if (space == NULL) {
        return refuse_known(reading,
                            memory_err(reading->memory),
                            MEMBER_DATA,
                            "there is no memory for this command");
    }
    struct buf compact = buf_of(space, text.len);
    json_put_compact(&compact, text);
    reading->command->data = buf_bytes(&compact);
    return compact.len <= TIMEOUT_DATA_MAX ||
           refuse_known(reading, ERR_LIMIT, MEMBER_DATA, "it is at most 64 KiB long");
}

static bool take_generation(struct reading *reading, const struct json_value *value)
{
    uint64_t number = 0;
    bool good = value->kind == JSON_NUMBER && u64_parse(value->text, &number) && number > 0 &&
                number <= UINT32_MAX;
    reading->command->generation = (uint32_t)number;
    return good || refuse_known(reading,
                                ERR_UNPROCESSABLE,
                                MEMBER_GENERATION,
                                "it must be a whole number from 1 on");
}

static enum member member_find(struct bytes name)
{
    enum member member = MEMBER_OP;
    while (member < MEMBERS && !bytes_equal(member_names[member], name)) {
        member++;
    }
    return member;
}

/* One member, its name and value already read. */
static bool
take(struct reading *reading, const struct json_value *name, const struct json_value *value)
{
    struct bytes text;
    if (!text_of(reading, name, &text)) {
        return false;
    }
    enum member member = member_find(text);
    if (member == MEMBERS || (member == MEMBER_OP && !reading->in_batch)) {
        return refuse(reading, ERR_UNKNOWN_MEMBER, text, "a command does not have it");
    }
    if ((reading->seen & BIT(member)) != 0) {
        return refuse_known(reading, ERR_DUPLICATE_MEMBER, member, "it is given twice");
    }
    reading->seen |= BIT(member);
    if (member == MEMBER_DATA) {
        return take_data(reading, value);
    }
    if (member == MEMBER_GENERATION) {
        return take_generation(reading, value);
    }
    if (value->kind != JSON_STRING) {
        return refuse_known(reading, ERR_UNPROCESSABLE, member, "it must be a string");
    }
    return text_of(reading, value, &text) && take_text(reading, member, text);
}

static bool create_complete(struct reading *reading)
{
    const struct timeout_command *command = reading->command;
    bool within = (reading->seen & BIT(MEMBER_WITHIN)) != 0;
    if (within == command->has_deadline) {
        return refuse_known(reading,
                            ERR_UNPROCESSABLE,
                            within ? MEMBER_DEADLINE : MEMBER_WITHIN,
                            "give either within or deadline");
    }
    if (within && command->clock == TIMEOUT_BY_EVENTS && command->has_event_time &&
        time_add(command->event_time.us, command->within_us) >= TIMESTAMP_END_US) {
        return refuse_known(
            reading, ERR_UNPROCESSABLE, MEMBER_WITHIN, "the deadline lies behind the year 9999");
    }
    return true;
}

/* What can only be said about the whole. */
static bool complete(struct reading *reading)
{
    const struct timeout_command *command = reading->command;
    if (reading->in_batch && (reading->seen & BIT(MEMBER_OP)) == 0) {
        return refuse_known(reading, ERR_UNPROCESSABLE, MEMBER_OP, "it is missing");
    }
    unsigned known = members_of(command->op);
    known |= reading->in_batch ? BIT(MEMBER_OP) | BIT(MEMBER_KEY) : 0;
    for (enum member member = MEMBER_OP; member < MEMBERS; member++) {
        if ((reading->seen & ~known & BIT(member)) != 0) {
            return refuse_known(
                reading, ERR_UNKNOWN_MEMBER, member, "this command does not have it");
        }
    }
    if (command->key.len == 0) {
        return refuse_known(reading, ERR_UNPROCESSABLE, MEMBER_KEY, "it is missing");
    }
    return command->op != TIMEOUT_CREATE || create_complete(reading);
}

/* False: refused, or the text is broken from scanner->at on (*err). */
static bool members_read(struct reading *reading, struct json_scanner *scanner, enum err *err)
{
    bool more = true;
    while (more) {
        struct json_value name;
        struct json_value value;
        *err = json_object_next(scanner, &name, &more);
        if (*err == OK && more) {
            *err = json_value(scanner, &value);
        }
        if (*err != OK) {
            return false;
        }
        if (more && !take(reading, &name, &value)) {
            return false;
        }
    }
    return true;
}

/* Whether all of a text that was refused is JSON: when not, that comes first. */
static enum err whole_check(struct bytes text)
{
    struct json_scanner scanner = json_scanner_of(text);
    struct json_value whole;
    return json_whole(&scanner, &whole);
}

bool timeout_read(struct memory *memory,
                  struct bytes text,
                  struct timeout_command *command,
                  struct refusal *refusal)
{
    struct json_scanner scanner = json_scanner_of(text);
    struct reading reading = {
        .memory = memory,
        .command = command,
        .refusal = refusal,
        .in_batch = command->op == 0,
    };
    *refusal = (struct refusal){.err = OK};
    enum err err = json_object_begin(&scanner);
    if (err == ERR_WRONG_TYPE) {
        err = whole_check(text);
        return refuse(&reading,
                      err == OK ? ERR_UNPROCESSABLE : err,
                      (struct bytes){0},
                      err == OK ? "a command is a JSON object" : NOT_JSON);
    }
    bool good = err == OK && members_read(&reading, &scanner, &err);
    if (good) {
        err = json_end(&scanner);
    } else if (err == OK) {
        err = whole_check(text);
    }
    if (err != OK) {
        return refuse(&reading, err, (struct bytes){0}, NOT_JSON);
    }
    return good && complete(&reading);
}
