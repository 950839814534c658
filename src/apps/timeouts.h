/* tidemark timeouts: one file asks (timeouts.c), one shows a single timeout (timeouts_show.c), one
 * changes (timeouts_change.c). */
#pragma once

#include "apps/server.h"

/* What all of it was asked with. */
struct timeouts_call {
    struct server *server;
    const struct settings *settings;
    const char *key;  /* NULL: the subcommand takes none */
    const char *verb; /* the subcommand */
    int64_t now_us;   /* wall clock */
};

/* Each returns the exit code, after its complaint. */
int timeouts_show(const struct timeouts_call *call) MUST_CHECK;
int timeouts_bars(const struct timeouts_call *call) MUST_CHECK;
int timeouts_change(const struct timeouts_call *call) MUST_CHECK;

/* Says in a sentence what was refused and what to do about it. Returns the exit code. */
int timeouts_refused(const struct timeouts_call *call,
                     const struct http_client_response *response) MUST_CHECK;

/* GET that must be answered with 200 and JSON. 0, or the exit code after the complaint. */
int timeouts_fetch(const struct timeouts_call *call,
                   const char *target,
                   struct http_client_response *response) MUST_CHECK;

/* Appends "?name=value" or "&name=value", encoded; nothing when the value is "". */
void timeouts_parameter(struct buf *target, const char *name, const char *value);

/* "/v1/timeouts/KEY". */
void timeouts_key_path(struct buf *target, const char *key);

/* The clock that a timeout goes by: the wall clock, or the watermark when it goes by events. */
struct timeouts_clock {
    bool known;
    int64_t us;
};

/* The watermark over all lanes; unknown when there is none yet, or all are final. */
int timeouts_watermark(const struct timeouts_call *call, struct timeouts_clock *clock) MUST_CHECK;

/* A time of an object, in microseconds; false: there is none of that name. */
bool timeouts_time(struct bytes object, const char *name, int64_t *us);

/* "2026-11-22 08:05:10.25": UTC, to the millisecond, as short as it gets. At most 27 bytes. */
void timeouts_time_put(struct buf *out, int64_t us);

/* When it is due, or how long ago it ended: "in 14 min 59 s", "fired 3 s ago". */
void timeouts_state_put(struct buf *out,
                        struct bytes object,
                        const struct timeouts_call *call,
                        const struct timeouts_clock *watermark);

bool timeouts_by_events(struct bytes object);
