/* When each line may go: at once, at a rate, or when it arrived, N times as fast. */
#pragma once

#include "apps/feed.h"
#include "apps/options.h"

struct pace {
    struct feed *lines;
    struct feed *arrivals; /* --speed; NULL: none */
    double per_second;     /* --rate; 0: none */
    double factor;         /* --speed */
    int64_t start_us;      /* steady, of the first line */
    int64_t first_arrival_us;
    uint64_t count; /* lines handed out */
    bool held;      /* a line was read and is not due yet */
    struct bytes line;
    int64_t due_us; /* of the held line, steady */
    bool ended;
    char failure[240];
};

/* With --speed opens the file of arrivals beside `path`. 0, or the exit code after the complaint.
 */
int pace_open(struct pace *pace,
              const struct settings *settings,
              const char *path,
              struct feed *lines) MUST_CHECK;
void pace_close(struct pace *pace);

static inline bool pace_wanted(const struct settings *settings)
{
    return setting_given(settings, OPTION_INGEST_RATE) || setting_given(settings, OPTION_SPEED);
}

/* Appends the lines that are due at now_us, while they fit. *wait_us: how long until the next one
 * is due. Sets `ended` at the end of the input; `failure` when the arrivals don't fit the lines. */
void pace_fill(struct pace *pace, int64_t now_us, struct buf *out, int64_t *wait_us);
