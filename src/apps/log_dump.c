/* tidemark log dump: the records of a log, decoded, one or more lines each.
 *
 *   4096+0     genesis  partitions 16, created 2026-01-01T00:00:00Z
 *   8192+0     events   3 events, arrived ..., watermark before none
 *       {"specversion":"1.0", ...}                                     one line for each event
 *   8192+812   pulse    1, watermark ..., 1 lanes
 *
 * With --json each line is an object; events are lines of their own. */
#include "apps/log_dump.h"

#include "adapters/disk_system/disk_system.h"
#include "adapters/log_file/log_verify.h"
#include "apps/say.h"
#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "host/result.h"
#include "model/answer.h"
#include "model/batch.h"
#include "model/definition.h"
#include "model/rule.h"
#include "model/timeout.h"

#include <stdlib.h>
#include <string.h>

#define LINE_BYTES (4 * (size_t)1024 * 1024)

struct dump {
    bool json;
    uint64_t position; /* of the frame */
    uint64_t limit;
    uint64_t printed; /* records */
    struct buf line;
    struct batch_word *words;
    uint64_t damaged; /* records that can't be decoded */
};

static const char *kind_name(enum record_kind kind)
{
    switch (kind) {
    case RECORD_GENESIS:
        return "genesis";
    case RECORD_EVENTS:
        return "events";
    case RECORD_PULSE:
        return "pulse";
    case RECORD_DEFINE:
        return "define";
    case RECORD_DROP:
        return "drop";
    case RECORD_SOURCE:
        return "source";
    case RECORD_FORGET:
        return "forget";
    case RECORD_LANE:
        return "lane";
    case RECORD_TIMEOUTS:
        return "timeouts";
    case RECORD_RULE:
        return "rule";
    case RECORD_RULE_DROP:
        return "rule drop";
    case RECORD_CONSUMER:
        return "consumer";
    case RECORD_ANSWER:
        return "answer";
    }
    return "unknown";
}

/* A member's name and, for people, its word. */
static void put_name(struct dump *dump, const char *name)
{
    if (dump->json) {
        buf_put_text(&dump->line, ",\"");
        buf_put_text(&dump->line, name);
        buf_put_text(&dump->line, "\":");
    } else {
        buf_put_text(&dump->line, "  ");
        buf_put_text(&dump->line, name);
        buf_put_text(&dump->line, " ");
    }
}

static void put_number(struct dump *dump, const char *name, uint64_t number)
{
    put_name(dump, name);
    u64_put(&dump->line, number);
}

static void put_text(struct dump *dump, const char *name, struct bytes text)
{
    put_name(dump, name);
    json_put_string(&dump->line, text);
}

static void put_time(struct dump *dump, const char *name, int64_t us)
{
    const char *quote = dump->json ? "\"" : "";
    put_name(dump, name);
    if (us == WATERMARK_NONE) {
        buf_put_text(&dump->line, dump->json ? "null" : "none");
    } else if (us == WATERMARK_FINAL) {
        buf_put_text(&dump->line, dump->json ? "\"final\"" : "final");
    } else {
        buf_put_text(&dump->line, quote);
        timestamp_put(&dump->line, us);
        buf_put_text(&dump->line, quote);
    }
}

static void put_duration(struct dump *dump, const char *name, int64_t us)
{
    const char *quote = dump->json ? "\"" : "";
    put_name(dump, name);
    buf_put_text(&dump->line, quote);
    duration_put(&dump->line, us);
    buf_put_text(&dump->line, quote);
}

static void line_begin(struct dump *dump, const struct record *record, const char *kind)
{
    char place[96];
    dump->line = buf_of(dump->line.data, LINE_BYTES);
    if (dump->json) {
        text_put(place,
                 sizeof(place),
                 "{\"position\":%llu,\"offset\":%u,\"kind\":\"%s\"",
                 (unsigned long long)dump->position,
                 record->offset,
                 kind);
    } else {
        char at[40];
        text_put(at, sizeof(at), "%llu+%u", (unsigned long long)dump->position, record->offset);
        text_put(place, sizeof(place), "%-20s %-8s", at, kind);
    }
    buf_put_text(&dump->line, place);
}

static void line_end(struct dump *dump)
{
    buf_put_text(&dump->line, dump->json ? "}\n" : "\n");
    say_bytes(buf_bytes(&dump->line));
}

/* --- One function for each kind: false when the record can't be decoded --- */

static bool genesis_say(struct dump *dump, const struct record *record)
{
    struct genesis genesis;
    if (!genesis_read(record->body, &genesis)) {
        return false;
    }
    put_number(dump, "partitions", genesis.partitions);
    put_time(dump, "created", genesis.created.us);
    return true;
}

static bool pulse_say(struct dump *dump, const struct record *record)
{
    struct pulse pulse;
    if (!pulse_read(record->body, &pulse)) {
        return false;
    }
    put_number(dump, "ordinal", pulse.ordinal);
    put_time(dump, "clock", pulse.clock.us);
    put_time(dump, "watermark", pulse.watermark);
    put_number(dump, "lanes", pulse.lane_count);
    static const char *const names[] = {
        "hold", "snapshot", "behind", "refusing", "full", "resumed", "deaf"};
    char text[80];
    struct buf out = buf_of(text, sizeof(text));
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        if ((pulse.flags >> n & 1) != 0) {
            buf_put_text(&out, out.len > 0 ? " " : "");
            buf_put_text(&out, names[n]);
        }
    }
    if (pulse.flags != 0) {
        put_text(dump, "flags", buf_bytes(&out));
    }
    return true;
}

static bool define_say(struct dump *dump, const struct record *record)
{
    struct define define;
    struct definition *definition = malloc(sizeof(*definition));
    bool good = definition != NULL && define_read(record->body, &define) &&
                definition_read(define.definition, definition);
    if (good) {
        put_number(dump, "metric", define.metric);
        put_number(dump, "version", define.version);
        put_text(dump, "name", definition->name);
        put_text(dump, "sql", definition->text);
    }
    free(definition);
    return good;
}

static bool drop_say(struct dump *dump, const struct record *record)
{
    uint32_t metric = 0;
    bool good = drop_read(record->body, &metric);
    put_number(dump, "metric", metric);
    return good;
}

static bool rule_say(struct dump *dump, const struct record *record)
{
    struct define define;
    struct rule *rule = malloc(sizeof(*rule));
    bool good =
        rule != NULL && define_read(record->body, &define) && rule_read(define.definition, rule);
    if (good) {
        put_number(dump, "rule", define.metric);
        put_number(dump, "version", define.version);
        put_text(dump, "name", rule->name);
        put_text(dump, "sql", rule->text);
    }
    free(rule);
    return good;
}

static bool rule_drop_say(struct dump *dump, const struct record *record)
{
    uint32_t rule = 0;
    bool good = drop_read(record->body, &rule);
    put_number(dump, "rule", rule);
    return good;
}

static bool consumer_say(struct dump *dump, const struct record *record)
{
    struct consumer consumer;
    if (!consumer_read(record->body, &consumer)) {
        return false;
    }
    put_text(dump, "name", consumer.name);
    put_number(dump, "ordinal", consumer.ordinal);
    put_number(dump, "partition", consumer.partition);
    put_number(dump, "number", consumer.number);
    put_time(dump, "clock", consumer.acked.us);
    return true;
}

static bool answer_say(struct dump *dump, const struct record *record)
{
    struct kept_answer answer;
    if (!kept_answer_read(record->body, &answer)) {
        return false;
    }
    put_text(dump, "key", answer.key);
    put_number(dump, "status", answer.status);
    put_number(dump, "bytes", answer.body.len);
    put_time(dump, "clock", answer.kept.us);
    return true;
}

static bool source_say(struct dump *dump, const struct record *record)
{
    struct source source;
    if (!source_read(record->body, &source)) {
        return false;
    }
    put_number(dump, "lane", source.lane);
    put_text(dump, "name", source.name);
    put_text(
        dump, "watermark", source.kind == LANE_EXPLICIT ? BYTES("explicit") : BYTES("bounded"));
    put_duration(dump, "disorder", source.disorder_us);
    put_duration(dump, "idle_after", source.idle_after_us);
    return true;
}

static bool forget_say(struct dump *dump, const struct record *record)
{
    uint32_t lane = 0;
    bool good = forget_read(record->body, &lane);
    put_number(dump, "lane", lane);
    return good;
}

static bool lane_say(struct dump *dump, const struct record *record)
{
    static const char *const words[] = {"advance", "finish", "reopen"};
    struct lane_command command;
    if (!lane_command_read(record->body, &command)) {
        return false;
    }
    put_number(dump, "lane", command.lane);
    put_text(dump, "command", bytes_of_string(words[command.kind]));
    if (command.kind == LANE_ADVANCE) {
        put_time(dump, "time", command.time);
    }
    return true;
}

static void
command_say(struct dump *dump, const struct record *record, const struct timeout_command *command)
{
    static const char *const ops[] = {"", "create", "complete", "cancel", "heartbeat"};
    if (dump->json) {
        line_begin(dump, record, "timeout");
    } else {
        dump->line = buf_of(dump->line.data, LINE_BYTES);
        buf_put_text(&dump->line, "  ");
    }
    put_text(dump, "op", bytes_of_string(ops[command->op]));
    put_text(dump, "key", command->key);
    if (command->rule > 0) {
        put_number(dump, "rule", command->rule);
    }
    if (command->has_deadline) {
        put_time(dump, "deadline", command->deadline);
    } else if (command->within_us > 0) {
        put_duration(dump, command->op == TIMEOUT_CREATE ? "within" : "extend", command->within_us);
    }
    if (command->has_event_time) {
        put_time(dump, "event_time", command->event_time.us);
    }
    if (command->clock == TIMEOUT_BY_EVENTS) {
        put_text(dump, "by", BYTES("event"));
    }
    if (command->generation > 0) {
        put_number(dump, "generation", command->generation);
    }
    if (command->has_version) {
        put_number(dump, "if_version", command->version);
    }
    if (command->on_exists != TIMEOUT_REJECT) {
        put_text(dump,
                 "on_exists",
                 command->on_exists == TIMEOUT_RETURN ? BYTES("return") : BYTES("replace"));
    }
    if (command->data.len > 0) {
        put_name(dump, "data");
        buf_put_bytes(&dump->line, command->data);
    }
    line_end(dump);
}

/* The line of the batch, then one for each command. */
static bool timeouts_say(struct dump *dump, const struct record *record)
{
    struct timeouts_reader reader;
    struct timeout_command command;
    if (!timeouts_open(record->body, &reader)) {
        return false;
    }
    put_number(dump, "commands", reader.count);
    put_time(dump, "clock", reader.clock.us);
    line_end(dump);
    while (timeouts_next(&reader) && timeout_command_read(&reader, &command)) {
        command_say(dump, record, &command);
    }
    dump->line = buf_of(dump->line.data, LINE_BYTES);
    return !reader.commands.bad;
}

static void event_say(struct dump *dump,
                      const struct record *record,
                      const struct event *event,
                      int64_t watermark)
{
    if (dump->json) {
        line_begin(dump, record, "event");
        put_time(dump, "watermark_before", watermark);
        buf_put_text(&dump->line, ",\"event\":");
    } else {
        dump->line = buf_of(dump->line.data, LINE_BYTES);
        buf_put_text(&dump->line, "    ");
    }
    event_put_json(&dump->line, event);
    line_end(dump);
}

/* The line of the batch, then one for each event. */
static bool events_say(struct dump *dump, const struct record *record)
{
    struct batch batch;
    uint32_t word_count = 0;
    if (!batch_open(record->body, &batch) || !batch_read_words(&batch, dump->words, &word_count)) {
        return false;
    }
    put_number(dump, "events", batch.count);
    put_time(dump, "arrival", batch.arrival.us);
    put_time(dump, "watermark_before", batch.watermark_before);
    line_end(dump);
    struct batch_cursor cursor;
    struct batch_row row;
    struct event event;
    batch_cursor_init(&cursor, &batch);
    while (batch_next_row(&cursor, &row)) {
        if (!batch_row_event(&batch, dump->words, word_count, &row, &event)) {
            return false;
        }
        event_say(dump, record, &event, cursor.watermark);
    }
    dump->line = buf_of(dump->line.data, LINE_BYTES);
    return true;
}

static bool body_say(struct dump *dump, const struct record *record)
{
    switch (record->kind) {
    case RECORD_GENESIS:
        return genesis_say(dump, record);
    case RECORD_EVENTS:
        return events_say(dump, record);
    case RECORD_PULSE:
        return pulse_say(dump, record);
    case RECORD_DEFINE:
        return define_say(dump, record);
    case RECORD_DROP:
        return drop_say(dump, record);
    case RECORD_SOURCE:
        return source_say(dump, record);
    case RECORD_FORGET:
        return forget_say(dump, record);
    case RECORD_LANE:
        return lane_say(dump, record);
    case RECORD_TIMEOUTS:
        return timeouts_say(dump, record);
    case RECORD_RULE:
        return rule_say(dump, record);
    case RECORD_RULE_DROP:
        return rule_drop_say(dump, record);
    case RECORD_CONSUMER:
        return consumer_say(dump, record);
    case RECORD_ANSWER:
        return answer_say(dump, record);
    }
    return false;
}

static void record_say(struct dump *dump, const struct record *record)
{
    line_begin(dump, record, kind_name(record->kind));
    bool good = body_say(dump, record);
    if (!good) {
        put_text(dump, "problem", BYTES("it can't be decoded"));
        dump->damaged++;
    }
    bool many = record->kind == RECORD_EVENTS || record->kind == RECORD_TIMEOUTS;
    if (!good || !many) {
        line_end(dump);
    }
    dump->printed++;
}

static bool enough(const struct dump *dump)
{
    return (dump->limit > 0 && dump->printed >= dump->limit) || ferror(stdout) != 0;
}

static void frame_say(struct dump *dump, const struct log_dump_frame *frame)
{
    struct reader reader = reader_of(frame->body);
    struct record record;
    dump->position = frame->header.position;
    while (!enough(dump) && record_next(&reader, frame->body.data, &record)) {
        record_say(dump, &record);
    }
    dump->damaged += reader.bad ? 1 : 0;
}

static int frames_say(struct dump *dump, const struct disk_folder *data, uint64_t from)
{
    struct error error = {.code = OK};
    struct log_dump *log = NULL;
    enum err err = log_dump_open(data, from, &log, &error);
    if (err != OK) {
        complain("%s", error.text[0] != '\0' ? error.text : "there is no log in this directory");
        return EXIT_CODE_NO_INPUT;
    }
    while (err == OK && !enough(dump)) {
        struct log_dump_frame frame;
        err = log_dump_next(log, &frame, &error);
        if (err == OK) {
            frame_say(dump, &frame);
        }
    }
    log_dump_close(log);
    if (err == ERR_UNPROCESSABLE || dump->damaged > 0) {
        complain("%s",
                 err == ERR_UNPROCESSABLE ? error.text : "there are records that can't be decoded");
        return EXIT_CODE_DAMAGED;
    }
    return EXIT_CODE_OK;
}

int log_dump_run(const struct command *command)
{
    struct dump dump = {
        .json = setting_flag(command->settings, OPTION_JSON),
        .limit = (uint64_t)setting_number(command->settings, OPTION_LOG_LIMIT),
        .line = buf_of(malloc(LINE_BYTES), LINE_BYTES),
        .words = malloc(BATCH_WORDS_MAX * sizeof(*dump.words)),
    };
    uint64_t from = (uint64_t)setting_number(command->settings, OPTION_FROM_OFFSET);
    struct error error = {.code = OK};
    struct disk_folder data;
    int code = EXIT_CODE_NO_MEMORY;
    if (dump.line.data == NULL || dump.words == NULL) {
        complain("there is no memory left");
    } else if (disk_system_open(command->arguments[1], false, &data, &error) != OK) {
        complain("%s", error.text);
        code = EXIT_CODE_NO_INPUT;
    } else {
        code = frames_say(&dump, &data, from);
        disk_system_close(&data);
    }
    free(dump.line.data);
    free(dump.words);
    return code;
}
