/* Scenarios as stories: each sentence acts on a world and adds a line to a trace, which the test
 * compares with what it expects. Seconds count from WORLD_EPOCH_S.
 *
 * Events are written "ATL@10": subject ATL at second 10, of source "s", with an id of its own;
 * "ua/ATL@10" is of source "ua"; "7:ATL@10" has the id 7; "ua/7:ATL@10" all of it. */
#pragma once

#include "../unit/host/world.h"

#define STORY_TRACE_MAX  65536
#define STORY_EVENTS_MAX 256

struct story {
    struct machine machine;
    struct world world;
    struct world_options options;
    char trace[STORY_TRACE_MAX];
    size_t trace_len;
    uint64_t event_count;
};

/* One row per minute and subject, in the metric `arrivals`. */
#define ARRIVALS                                                                                   \
    "CREATE METRIC arrivals AS SELECT subject AS airport, count(*) AS n "                          \
    "FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY subject"

void story_begin(struct story *story, const struct world_options *options);
void story_end(struct story *story);

/* A line of the test's own. */
void story_line(struct story *story, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Compares the trace and begins a new one. */
#define ASSERT_STORY(story, expected)                                                              \
    do {                                                                                           \
        assert_string_equal((story)->trace, (expected));                                           \
        (story)->trace_len = 0;                                                                    \
        (story)->trace[0] = '\0';                                                                  \
    } while (0)

/* --- time --- */

void story_pass(struct story *story, double seconds); /* no line */
void story_settle(struct story *story);               /* no line */

/* Crash and start again; no line. Options may differ. */
void story_restart(struct story *story, const struct world_options *options);

/* --- acting; the lines tell what came of it --- */

/* "events ATL@10: OK"; settles first. */
void story_tell(struct story *story, const char *events);

/* Without settling and without a line. */
struct ticket *story_send(struct story *story, const char *events, bool wants_applied);

/* "define arrivals: OK created v1" */
void story_define(struct story *story, const char *sql, enum define_mode mode);
void story_drop(struct story *story, const char *name, int64_t if_match);

/* "source ua: OK created v1" */
void story_source(struct story *story, const char *name, enum lane_kind kind);
void story_forget(struct story *story, const char *name);

/* "advance ua 30: OK", "finish ua: OK", "reopen ua: OK" */
void story_lane(struct story *story, const char *name, enum lane_command_kind kind, int64_t second);

/* --- looking --- */

/* "arrivals: [0 ATL 2] [60 JFK 1 closed final r1]", sorted by window, then group */
void story_values(struct story *story, const char *metric);

/* "W 5", "W none", "W final" */
void story_watermark(struct story *story);

/* "arrivals: counted 3 filtered 0 corrected 0 dropped 1" */
void story_fates(struct story *story, const char *metric);

/* What became of a question: "waiting", "refused: unavailable", "OK", "no-space", ... */
const char *story_outcome(const struct ticket *ticket);

/* The values of an answered query as text. */
void story_rows(const struct ticket *ticket, struct buf *out);
