/* One structured CloudEvent (JSON format 1.0.2) from text: a single pass, nothing copied but texts
 * with escapes. */
#pragma once

#include "api/memory.h"
#include "base/json.h"
#include "model/event.h"

#define EVENT_TEXT_MAX       1024 /* bytes of id, source, type, subject, content type */
#define EVENT_EXTENSIONS_MAX 64
#define EXTENSION_NAME_MAX   64

struct event_reader {
    struct memory *memory; /* for texts that had escapes; as long-lived as the batch */
    struct buf extensions; /* of the event read last */
    struct clock_time now; /* the arrival, and the time of events that name none */
};

/* Why one event was refused while the frame around it is sound. */
struct refusal {
    enum err err; /* OK: it was not */
    const char *detail;
    struct bytes member;
    struct bytes id; /* as far as it was read */
};

/* Reads one event, an object, off the scanner. The result says whether the text is JSON at all
 * (then the frame as a whole is broken); *refusal, whether this event is acceptable. In both cases
 * but a broken text the scanner stands behind the event. */
enum err event_read_json(struct event_reader *reader,
                         struct json_scanner *scanner,
                         struct event *event,
                         struct refusal *refusal) MUST_CHECK;

/* What both forms of an event, structured and binary, have in common. */
enum err event_check_text(struct bytes text, const char **detail) MUST_CHECK;
bool extension_name_valid(struct bytes name);
bool base64_valid(struct bytes text);
