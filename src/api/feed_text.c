/* The feed as text: see feed_text.h.
 *
 *   id = two hashes of: instance, kind, rule, start, generation, key; position of the pulse where no
 *        rule tells it (an episode of HOLD: since when, and why)
 *
 * The same in every replay, and another for every firing: a rule that is replaced gets a new number, an
 * instance that fires again after it was retracted a new generation, and a key that is used anew, after
 * it was forgotten, fires at another position. A retraction has its firing's start and generation, so it
 * can name the firing's id without remembering it. */
#include "api/feed_text.h"

#include "api/params.h"
#include "base/check.h"
#include "base/hash.h"

#define CURSOR_SEED    1
#define ID_SEED_FIRST  2
#define ID_SEED_SECOND 3

static uint64_t instance_hash(const struct gateway_facts *facts)
{
    return hash64(bytes_of(facts->instance, sizeof(facts->instance)), CURSOR_SEED);
}

static void put_hex(struct out *out, uint64_t number)
{
    uint8_t digits[HEX64_BYTES];
    hex64_put(digits, number);
    out_bytes(out, bytes_of(digits, sizeof(digits)));
}

void feed_cursor_put(struct out *out, const struct gateway_facts *facts, struct feed_place place)
{
    put_hex(out, instance_hash(facts));
    put_hex(out, place.ordinal);
    put_hex(out, (uint64_t)place.partition << 32 | place.number);
}

bool feed_cursor_read(struct bytes text,
                      const struct gateway_facts *facts,
                      struct feed_place *place)
{
    uint64_t read[FEED_CURSOR_BYTES / HEX64_BYTES];
    if (text.len != FEED_CURSOR_BYTES) {
        return false;
    }
    for (size_t i = 0; i < FEED_CURSOR_BYTES / HEX64_BYTES; i++) {
        if (!hex_parse(bytes_slice(text, i * HEX64_BYTES, HEX64_BYTES), &read[i])) {
            return false;
        }
    }
    *place = (struct feed_place){read[1], (uint32_t)(read[2] >> 32), (uint32_t)read[2]};
    return read[0] == instance_hash(facts) && place->partition < PARTITIONS_MAX;
}

struct bytes note_type(enum note_kind kind)
{
    switch (kind) {
    case NOTE_TIMEOUT_FIRED:
        return BYTES("tidemark.timeout.fired");
    case NOTE_TIMEOUT_RETRACTED:
        return BYTES("tidemark.timeout.retracted");
    case NOTE_TIMEOUT_COMPLETED_LATE:
        return BYTES("tidemark.timeout.completed_late");
    case NOTE_ENGINE_LAGGING:
        return BYTES("tidemark.engine.lagging");
    }
    return BYTES("tidemark.unknown");
}

/* The id that the note has, or would have if it told of something else. */
static void put_id(struct out *out,
                   const struct gateway_facts *facts,
                   const struct note *note,
                   enum note_kind kind)
{
    uint8_t space[64];
    struct buf what = buf_of(space, sizeof(space));
    CHECK(note->rule != 0 || kind == note->kind); /* other notes stand elsewhere in the log */
    buf_put(&what, facts->instance, sizeof(facts->instance));
    buf_put_u8(&what, (uint8_t)kind);
    buf_put_u32(&what, note->rule);
    buf_put_i64(&what, note->started);
    buf_put_u32(&what, note->generation);
    if (note->rule == 0) {
        buf_put_u64(&what, note->position);
    }
    CHECK(!what.overflow);
    put_hex(out, hash64_pair(buf_bytes(&what), note->key, ID_SEED_FIRST));
    put_hex(out, hash64_pair(buf_bytes(&what), note->key, ID_SEED_SECOND));
}

static void put_time(struct out *out, const char *name, int64_t us)
{
    out_member(out, name);
    out_time(out, us);
}

/* The firing that is taken back, or was answered too late. */
static void
put_fired_id(struct out *out, const struct gateway_facts *facts, const struct note *note)
{
    out_member(out, "fired_id");
    out_char(out, '"');
    put_id(out, facts, note, NOTE_TIMEOUT_FIRED);
    out_char(out, '"');
}

/* When it fired; of a note about an earlier firing also when that was taken back, or answered. */
static void put_firing(struct out *out, const struct note *note)
{
    bool fires = note->kind == NOTE_TIMEOUT_FIRED;
    put_time(out, "fired_at", fires ? note->clock.us : note->fired.us);
    if (note->kind == NOTE_TIMEOUT_RETRACTED) {
        put_time(out, "retracted_at", note->clock.us);
    } else if (note->kind == NOTE_TIMEOUT_COMPLETED_LATE) {
        put_time(out, "completed_at", note->clock.us);
    }
}

static void put_timeout(struct out *out, const struct gateway_facts *facts, const struct note *note)
{
    out_text(out, "{\"rule\":");
    if (note->rule == 0) {
        out_text(out, "null");
    } else {
        out_string(out, note->rule_name);
        out_member(out, "kind");
        out_string_text(out, (note->flags & NOTE_SILENCE) != 0 ? "silence" : "timeout");
    }
    out_member(out, "key");
    out_string(out, note->key);
    if (note->generation > 0) {
        out_member(out, "generation");
        out_u64(out, note->generation);
    }
    out_member(out, "clock");
    out_string_text(out, (note->flags & NOTE_BY_EVENTS) != 0 ? "event" : "processing");
    put_time(out, "deadline", note->deadline);
    put_firing(out, note);
    put_time(out, "started", note->started);
    put_time(out, "last_seen", note->last_seen);
    if (note->kind != NOTE_TIMEOUT_FIRED && note->rule != 0) {
        put_fired_id(out, facts, note);
    }
    if ((note->flags & NOTE_BORN_LATE) != 0) {
        out_text(out, ",\"born_late\":true");
    }
    out_member(out, "decided_at");
    out_u64(out, note->position);
    if (note->data.len > 0) {
        out_member(out, "data");
        out_bytes(out, note->data);
    }
    out_char(out, '}');
}

/* In the order of the flags: "full", "deaf". */
static void put_reasons(struct out *out, uint32_t why)
{
    static const struct {
        enum pulse_flags flag;
        const char *name;
    } reasons[] = {{PULSE_BEHIND, "behind"},
                   {PULSE_REFUSING, "refusing"},
                   {PULSE_FULL, "full"},
                   {PULSE_RESUMED, "resumed"},
                   {PULSE_DEAF, "deaf"}};
    out_member(out, "why");
    out_char(out, '[');
    for (size_t n = 0; n < sizeof(reasons) / sizeof(reasons[0]); n++) {
        if ((why & (uint32_t)reasons[n].flag) != 0) {
            out_comma(out);
            out_string_text(out, reasons[n].name);
        }
    }
    out_char(out, ']');
}

static void put_engine(struct out *out, const struct note *note)
{
    bool holding = (note->flags & NOTE_HOLDING) != 0;
    out_text(out, holding ? "{\"holding\":true" : "{\"holding\":false");
    put_time(out, "since", note->started);
    if (!holding) {
        put_time(out, "until", note->clock.us);
    }
    put_reasons(out, note->generation);
    out_member(out, "decided_at");
    out_u64(out, note->position);
    out_char(out, '}');
}

void note_put_json(struct out *out, const struct gateway_facts *facts, const struct note *note)
{
    bool of_engine = note->kind == NOTE_ENGINE_LAGGING;
    out_text(out, "{\"specversion\":\"1.0\",\"id\":\"");
    put_id(out, facts, note, note->kind);
    out_text(out, "\",\"source\":");
    out_text(out, of_engine ? "\"/tidemark/engine\"" : "\"/tidemark/timeouts\"");
    out_member(out, "type");
    out_string(out, note_type(note->kind));
    out_member(out, "subject");
    out_string(out, note->key);
    put_time(out, "time", note->clock.us);
    out_text(out, ",\"datacontenttype\":\"application/json\",\"data\":");
    if (of_engine) {
        put_engine(out, note);
    } else {
        put_timeout(out, facts, note);
    }
    out_char(out, '}');
}
