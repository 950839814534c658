/* One CloudEvent (v1.0, docs: CloudEvents 3.1), as a view into a batch record or a request. */
#pragma once

#include "base/bytes.h"
#include "model/clock.h"

#define EVENT_BYTES_MAX (1024 * 1024)

enum event_flags {
    EVENT_HAS_SUBJECT = 1,
    EVENT_HAS_CONTENT_TYPE = 2,
    EVENT_HAS_EXTENSIONS = 4,
    EVENT_HAS_DATA = 8,
    EVENT_DATA_BASE64 = 16, /* data holds the JSON string of data_base64 */
    EVENT_HAS_TIME = 32,    /* `time` was given; else it is the arrival */
};

struct event {
    struct bytes id;
    struct bytes source;
    struct bytes type;
    struct bytes subject;
    struct bytes content_type;
    struct bytes extensions; /* repeated: string name, string JSON text of the value */
    struct bytes data;       /* JSON text (RFC 8259), validated */
    struct event_time time;
    struct clock_time arrival;
    uint32_t source_index; /* in the batch's dictionary */
    uint32_t type_index;
    uint8_t flags; /* enum event_flags */
};

/* A self-contained encoding (all texts in place), and back: false when it is none. */
void event_put(struct buf *out, const struct event *event);
bool event_read(struct reader *in, struct event *event);

/* At most what event_put writes. */
static inline size_t event_put_max(const struct event *event)
{
    return event->id.len + event->source.len + event->type.len + event->subject.len +
           event->content_type.len + event->extensions.len + event->data.len + 64;
}
