#include "story.h"

#include "base/check.h"
#include "base/text.h"
#include "host/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 2048

void story_begin(struct story *story, const struct world_options *options)
{
    memset(story, 0, sizeof(*story)); /* too large for a literal on the stack */
    story->options = *options;
    machine_init(&story->machine);
    CHECK(world_start(&story->world, &story->machine, options));
    world_settle(&story->world);
}

void story_end(struct story *story)
{
    world_stop(&story->world);
    machine_deinit(&story->machine);
}

void story_line(struct story *story, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = STORY_TRACE_MAX - story->trace_len;
    int len = vsnprintf(story->trace + story->trace_len, room, format, arguments);
    va_end(arguments);
    CHECK(len >= 0 && (size_t)len + 2 <= room);
    story->trace_len += (size_t)len;
    story->trace[story->trace_len++] = '\n';
    story->trace[story->trace_len] = '\0';
}

/* --- time --- */

void story_pass(struct story *story, double seconds)
{
    world_pass(&story->world, (int64_t)(seconds * (double)US_PER_SECOND));
}

void story_settle(struct story *story)
{
    world_settle(&story->world);
}

void story_restart(struct story *story, const struct world_options *options)
{
    world_stop(&story->world);
    memory_log_crash(&story->machine.log, false);
    CHECK(world_start(&story->world, &story->machine, options));
    world_settle(&story->world);
}

/* --- acting --- */

const char *story_outcome(const struct ticket *ticket)
{
    if (ticket->refused != OK) {
        static char text[64];
        (void)snprintf(text, sizeof(text), "refused: %s", err_name(ticket->refused));
        return text;
    }
    if (ticket->done == 0) {
        return "waiting";
    }
    enum err err = OK;
    switch (ticket->kind) {
    case TICKET_PROPOSAL:
        err = ticket->proposal.err;
        break;
    case TICKET_INSPECTION:
        err = ticket->inspection.err;
        break;
    case TICKET_QUERY:
        for (uint32_t n = 0; n < ticket->query.runner_count; n++) {
            err = ticket->query.answers[n].err != OK ? ticket->query.answers[n].err : err;
        }
        break;
    case TICKET_SCAN:
        err = ticket->scan.err;
        break;
    }
    return err == OK ? "OK" : err_name(err);
}

/* "ua/7:ATL@10" -> an event; its id is made when it has none. */
static struct telling parse_event(struct story *story, struct bytes word, struct buf *texts)
{
    struct telling event = {.source = BYTES("s"), .subject = word};
    for (size_t n = 0; n < word.len; n++) {
        struct bytes rest = bytes_slice(word, n + 1, word.len - n - 1);
        size_t from = (size_t)(event.subject.data - word.data);
        struct bytes before = bytes_slice(word, from, n >= from ? n - from : 0);
        if (word.data[n] == '/') {
            event.source = before;
            event.subject = rest;
        } else if (word.data[n] == ':') {
            event.id = before;
            event.subject = rest;
        } else if (word.data[n] == '@') {
            int64_t second;
            event.subject = before;
            CHECK(i64_parse(rest, &second));
            event.time_us = WORLD_TIME(second);
            break;
        }
    }
    if (event.id.len == 0) {
        size_t start = texts->len;
        buf_put_text(texts, "e");
        u64_put(texts, story->event_count++);
        event.id = bytes_of(texts->data + start, texts->len - start);
    }
    CHECK(!texts->overflow);
    return event;
}

struct ticket *story_send(struct story *story, const char *events, bool wants_applied)
{
    static struct telling parsed[STORY_EVENTS_MAX];
    static uint8_t memory[STORY_EVENTS_MAX * 24];
    struct buf texts = buf_of(memory, sizeof(memory));
    uint32_t count = 0;
    struct bytes all = bytes_of_string(events);
    for (size_t n = 0; n < all.len;) {
        size_t start = n;
        while (n < all.len && all.data[n] != ' ') {
            n++;
        }
        CHECK(count < STORY_EVENTS_MAX);
        parsed[count++] = parse_event(story, bytes_slice(all, start, n - start), &texts);
        n += n < all.len;
    }
    return world_tell(&story->world, 0, parsed, count, wants_applied);
}

void story_tell(struct story *story, const char *events)
{
    const struct ticket *ticket = story_send(story, events, false);
    world_settle(&story->world);
    story_line(story, "events %s: %s", events, story_outcome(ticket));
}

static void tell_outcome(struct story *story, const char *what, const struct ticket *ticket)
{
    world_settle(&story->world);
    const struct proposal *proposal = &ticket->proposal;
    bool versioned = ticket->done == 1 && proposal->err == OK && proposal->version > 0;
    char version[32] = "";
    if (versioned) {
        (void)snprintf(version, sizeof(version), " v%u", proposal->version);
    }
    bool taken = ticket->done == 1 && proposal->err == OK;
    const char *change = !taken              ? ""
                         : proposal->created ? " created"
                         : proposal->changed ? ""
                                             : " unchanged";
    story_line(story, "%s: %s%s%s", what, story_outcome(ticket), change, version);
}

void story_define(struct story *story, const char *sql, enum define_mode mode)
{
    const struct ticket *ticket = world_define(&story->world, bytes_of_string(sql), mode);
    char what[128];
    (void)snprintf(what,
                   sizeof(what),
                   "define %.*s",
                   (int)ticket->proposal.name.len,
                   (const char *)ticket->proposal.name.data);
    tell_outcome(story, what, ticket);
}

static void
propose(struct story *story, const char *verb, const char *name, struct proposal *proposal)
{
    char what[128];
    (void)snprintf(what, sizeof(what), "%s %s", verb, name);
    proposal->name = bytes_of_string(name);
    tell_outcome(story, what, world_propose(&story->world, proposal));
}

void story_drop(struct story *story, const char *name, int64_t if_match)
{
    struct proposal proposal = {
        .kind = PROPOSE_DROP,
        .condition.kind = if_match < 0    ? CONDITION_NONE
                          : if_match == 0 ? CONDITION_ABSENT
                                          : CONDITION_LISTED,
        .condition.count = if_match > 0 ? 1 : 0,
        .condition.versions = {if_match > 0 ? (uint64_t)if_match : 0},
    };
    propose(story, "drop", name, &proposal);
}

void story_source(struct story *story, const char *name, enum lane_kind kind)
{
    struct proposal proposal = {
        .kind = PROPOSE_SOURCE,
        .source = {.kind = kind,
                   .disorder_us = TIDE_DISORDER_US,
                   .idle_after_us = TIDE_IDLE_AFTER_US,
                   .max_future_skew_us = TIDE_FUTURE_SKEW_US},
    };
    propose(story, "source", name, &proposal);
}

void story_forget(struct story *story, const char *name)
{
    propose(story, "forget", name, &(struct proposal){.kind = PROPOSE_FORGET});
}

void story_lane(struct story *story, const char *name, enum lane_command_kind kind, int64_t second)
{
    struct proposal proposal = {.kind = PROPOSE_LANE, .command = kind, .time = WORLD_TIME(second)};
    const char *verb = kind == LANE_ADVANCE ? "advance" : kind == LANE_FINISH ? "finish" : "reopen";
    char what[128];
    (void)snprintf(what, sizeof(what), "%s %s", verb, name);
    if (kind == LANE_ADVANCE) {
        (void)snprintf(what, sizeof(what), "%s %s %lld", verb, name, (long long)second);
    }
    proposal.name = bytes_of_string(name);
    tell_outcome(story, what, world_propose(&story->world, &proposal));
}

/* --- looking --- */

struct shown {
    int64_t window_start;
    char text[160];
};

static int compare_shown(const struct shown *a, const struct shown *b)
{
    if (a->window_start != b->window_start) {
        return a->window_start < b->window_start ? -1 : 1;
    }
    return strcmp(a->text, b->text);
}

static void put_values(struct buf *out, struct bytes encoded)
{
    struct reader in = reader_of(encoded);
    while (reader_left(&in) > 0) {
        struct value value;
        CHECK(value_read(&in, &value));
        buf_put_u8(out, ' ');
        if (value.kind == VALUE_TEXT) {
            buf_put_bytes(out, value.text);
        } else {
            value_put_json(out, value);
        }
    }
}

static void show_row(const struct result_row *row, struct shown *shown)
{
    *shown = (struct shown){.window_start = row->window_start};
    struct buf out = buf_of(shown->text, sizeof(shown->text) - 1);
    i64_put(&out, row->window_start / US_PER_SECOND - WORLD_EPOCH_S);
    put_values(&out, row->group_key);
    put_values(&out, row->results);
    buf_put_text(&out, (row->flags & RESULT_CLOSED) != 0 ? " closed" : "");
    buf_put_text(&out, (row->flags & RESULT_FINAL) != 0 ? " final" : "");
    if (row->revision > 0) {
        buf_put_text(&out, " r");
        u64_put(&out, row->revision);
    }
    CHECK(!out.overflow);
}

void story_rows(const struct ticket *ticket, struct buf *out)
{
    static struct shown rows[ROWS_MAX];
    size_t count = 0;
    for (uint32_t n = 0; n < ticket->query.runner_count; n++) {
        struct reader in = reader_of(buf_bytes(&ticket->query.answers[n].rows));
        for (struct result_row row; result_next(&in, &row);) {
            struct shown shown;
            CHECK(count < ROWS_MAX);
            show_row(&row, &shown);
            size_t at = count++;
            for (; at > 0 && compare_shown(&shown, &rows[at - 1]) < 0; at--) {
                rows[at] = rows[at - 1];
            }
            rows[at] = shown;
        }
    }
    for (size_t n = 0; n < count; n++) {
        buf_put_text(out, n == 0 ? "[" : " [");
        buf_put_text(out, rows[n].text);
        buf_put_u8(out, ']');
    }
}

void story_values(struct story *story, const char *metric)
{
    static char text[STORY_TRACE_MAX];
    const struct ticket *ticket = world_values(&story->world, metric, 0);
    world_settle(&story->world);
    struct buf out = buf_of(text, sizeof(text));
    if (strcmp(story_outcome(ticket), "OK") == 0) {
        story_rows(ticket, &out);
    } else {
        buf_put_text(&out, story_outcome(ticket));
    }
    CHECK(!out.overflow);
    story_line(story, "%s:%s%.*s", metric, out.len == 0 ? "" : " ", (int)out.len, text);
}

void story_watermark(struct story *story)
{
    const struct ticket *ticket = world_inspect(&story->world, INSPECT_LANES, NULL);
    world_settle(&story->world);
    CHECK(ticket->done == 1);
    int64_t watermark = ticket->inspection.watermark;
    if (watermark == WATERMARK_NONE) {
        story_line(story, "W none");
    } else if (watermark == WATERMARK_FINAL) {
        story_line(story, "W final");
    } else {
        story_line(story, "W %lld", (long long)(watermark / US_PER_SECOND - WORLD_EPOCH_S));
    }
}

void story_fates(struct story *story, const char *metric)
{
    story_line(story,
               "%s: counted %lld filtered %lld corrected %lld dropped %lld",
               metric,
               (long long)world_stat(&story->world, "counted", metric),
               (long long)world_stat(&story->world, "filtered", metric),
               (long long)world_stat(&story->world, "late_corrected", metric),
               (long long)world_stat(&story->world, "late_dropped", metric));
}
