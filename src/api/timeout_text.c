/* Timeouts as JSON, and what became of commands as statuses and problems. */
#include "api/timeout_text.h"

const char *timeout_state_text(const struct timeout_object *object)
{
    return object->held && object->state == TIMEOUT_PENDING ? "unknown"
                                                            : timeout_state_name(object->state);
}

const char *timeout_clock_text(enum timeout_clock clock)
{
    return clock == TIMEOUT_BY_EVENTS ? "event" : "processing";
}

uint32_t timeout_states_read(struct bytes word, int *held)
{
    *held = -1;
    if (bytes_equal(word, BYTES("unknown"))) {
        *held = 1;
        return 1u << TIMEOUT_PENDING;
    }
    for (unsigned state = TIMEOUT_PENDING; state <= TIMEOUT_RETRACTED; state++) {
        if (bytes_equal(word, bytes_of_string(timeout_state_name((enum timeout_state)state)))) {
            *held = state == TIMEOUT_PENDING ? 0 : -1;
            return 1u << state;
        }
    }
    return 0;
}

static void put_time(struct out *out, const char *name, int64_t us)
{
    out_member(out, name);
    out_time(out, us);
}

/* What is waited for. */
static void put_terms(struct out *out, const struct timeout_object *object)
{
    put_time(out, "deadline", object->deadline);
    out_member(out, "clock");
    out_string_text(out, timeout_clock_text(object->clock));
    if (object->has_within) {
        out_member(out, "within");
        out_duration(out, object->within_us);
    }
}

static void put_life(struct out *out, const struct timeout_object *object)
{
    put_time(out, "created", object->created.us);
    put_time(out, "last_seen", object->last_seen.us);
    if (object->born_late) {
        out_text(out, ",\"born_late\":true");
    }
}

static void put_end(struct out *out, const struct timeout_object *object)
{
    if (object->state == TIMEOUT_RETRACTED) {
        put_time(out, "fired_at", object->fired.us);
        put_time(out, "retracted_at", object->ended.us);
    } else if (object->state == TIMEOUT_FIRED) {
        put_time(out, "fired_at", object->ended.us);
    } else if (object->state != TIMEOUT_PENDING) {
        put_time(out, "ended", object->ended.us);
    }
}

void timeout_put_members(struct out *out,
                         struct bytes key,
                         const struct timeout_object *object,
                         struct bytes data)
{
    out_member(out, "key");
    out_string(out, key);
    out_member(out, "generation");
    out_u64(out, object->generation);
    out_member(out, "state");
    out_string_text(out, timeout_state_text(object));
    bool early = object->state == TIMEOUT_COMPLETED_EARLY;
    if (early) {
        put_time(out, "created", object->created.us);
    } else {
        put_terms(out, object);
        if (object->has_event_time) {
            put_time(out, "event_time", object->event_time.us);
        }
        put_life(out, object);
    }
    put_end(out, object);
    out_member(out, "version");
    out_u64(out, object->version);
    out_member(out, "decided_at");
    out_u64(out, object->decided_at);
    if (data.len > 0) {
        out_member(out, "data");
        out_bytes(out, data);
    }
}

void timeout_put_instance(struct out *out,
                          struct bytes rule,
                          struct bytes key,
                          const struct timeout_object *object)
{
    out_member(out, "rule");
    out_string(out, rule);
    out_member(out, "key");
    out_string(out, key);
    out_member(out, "generation");
    out_u64(out, object->generation);
    out_member(out, "state");
    out_string_text(out, timeout_state_text(object));
    put_time(out, "started", object->event_time.us);
    put_terms(out, object);
    put_life(out, object);
    put_end(out, object);
    out_member(out, "decided_at");
    out_u64(out, object->decided_at);
}

enum err timeout_outcome_err(enum timeout_outcome outcome, int *status)
{
    *status = 200;
    switch (outcome) {
    case TIMEOUT_CREATED:
        *status = 201;
        return OK;
    case TIMEOUT_CHANGED:
    case TIMEOUT_UNCHANGED:
        return OK;
    case TIMEOUT_EARLY:
        *status = 202;
        return OK;
    case TIMEOUT_UNKNOWN:
        return ERR_UNKNOWN_TIMEOUT;
    case TIMEOUT_DIFFERS:
        return ERR_CONFLICT;
    case TIMEOUT_ENDED:
        return ERR_ALREADY_ENDED;
    case TIMEOUT_ALREADY_FIRED:
        return ERR_ALREADY_FIRED;
    case TIMEOUT_OTHER_GENERATION:
        return ERR_OTHER_GENERATION;
    case TIMEOUT_OTHER_VERSION:
        return ERR_PRECONDITION;
    case TIMEOUT_NO_ROOM:
        return ERR_NO_ROOM;
    case TIMEOUT_UNANSWERED:
        break;
    }
    return ERR_INTERNAL;
}

void timeout_put_named(struct out *out,
                       const struct timeout_named *named,
                       const struct timeout_object *object)
{
    if (named->rule.data == NULL) {
        timeout_put_members(out, named->key, object, named->data);
    } else {
        timeout_put_instance(out, named->rule, named->key, object);
    }
}

void timeout_put_problem(struct out *out,
                         const struct timeout_named *named,
                         const struct timeout_result *result)
{
    const struct timeout_object *object = &result->object;
    if (object->state == TIMEOUT_ABSENT) {
        return;
    }
    if (object->state == TIMEOUT_FIRED) {
        put_time(out, "fired_at", object->ended.us);
    }
    out_member(out, "decided_at");
    out_u64(out, object->decided_at);
    out_member(out, "current");
    out_char(out, '{');
    timeout_put_named(out, named, object);
    out_char(out, '}');
}
