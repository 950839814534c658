/* The self-contained encoding of an event, for places that are not in a batch. */
#include "model/event.h"

#define FLAGS_ALL (2 * EVENT_HAS_TIME - 1)

void event_put(struct buf *out, const struct event *event)
{
    buf_put_u8(out, event->flags);
    buf_put_i64(out, event->time.us);
    buf_put_i64(out, event->arrival.us);
    buf_put_string(out, event->id);
    buf_put_string(out, event->source);
    buf_put_string(out, event->type);
    buf_put_string(out, event->subject);
    buf_put_string(out, event->content_type);
    buf_put_string(out, event->extensions);
    buf_put_string(out, event->data);
}

bool event_read(struct reader *in, struct event *event)
{
    *event = (struct event){.flags = read_u8(in)};
    event->time.us = read_i64(in);
    event->arrival.us = read_i64(in);
    event->id = read_string(in);
    event->source = read_string(in);
    event->type = read_string(in);
    event->subject = read_string(in);
    event->content_type = read_string(in);
    event->extensions = read_string(in);
    event->data = read_string(in);
    in->bad = in->bad || event->flags > FLAGS_ALL;
    return !in->bad;
}
