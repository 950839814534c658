/* What happened in a simulated run, as its judges see it: what clients sent and were told, the log
 * that came of it, and the shapes of the metrics. The oracles (oracle_*.h) know nothing else, and of
 * the engine's code they use the decoders of records only.
 *
 *     universe      every event that any client may send; its content is fixed by its number
 *     submissions   who was told what about which of them
 *     frames        the log as it is read back, in order
 *     recipes       the metrics that may be defined */
#pragma once

#include "base/bytes.h"
#include "model/clock.h"

#include <stddef.h>

#define RECIPE_NAME_BYTES  16
#define RECIPE_SOURCES_MAX 4

/* An event of the universe. Its texts follow from its numbers: source "s<source>", id "<id>" in
 * decimal, type "t<type>", subject "k<subject>" (0: it has none), data {"x":<x>} (or none at all). */
struct planned_event {
    uint32_t source;
    uint32_t id;
    uint32_t type;
    uint32_t subject;
    bool has_x;
    int64_t x;
    struct event_time time;
};

enum outcome {
    OUTCOME_UNKNOWN, /* sent, and the process died, or the run ended, before an answer */
    OUTCOME_ACKED,   /* a promise: it is in the log, for ever */
    OUTCOME_REFUSED, /* a promise: this sending of it did not enter the log */
};

/* One sending of one event; the same event may be sent many times. */
struct submission {
    uint32_t event; /* index into the universe */
    enum outcome outcome;
    uint64_t as_of; /* OUTCOME_ACKED: the log position that a read must have applied to see it */
};

struct history_frame {
    uint64_t position;
    uint64_t end;
    uint32_t record_count;
    struct bytes body;
};

enum recipe_group {
    BY_NOTHING,
    BY_TYPE,
    BY_SOURCE,
    BY_SUBJECT, /* NULL is a group of its own */
    BY_SOURCE_AND_TYPE,
};

/* CREATE METRIC <name> [WITH (sources = '...')] AS SELECT [group columns,] count(*) AS n,
 * count(data.x) AS c, sum(data.x) AS s, min(data.x) AS lo, max(data.x) AS hi
 * FROM TUMBLE(events, time, INTERVAL '<window>') [WHERE data.x > <x_above>] [GROUP BY ...]
 * ALLOW LATENESS INTERVAL '<lateness>' */
struct recipe {
    char name[RECIPE_NAME_BYTES]; /* unlike all others; a name always stands for one recipe, though
                                     it may be dropped and created again */
    int64_t window_us;
    int64_t lateness_us;
    enum recipe_group group;
    bool filtered;
    int64_t x_above;
    uint32_t source_count; /* chosen sources; 0: all */
    uint32_t sources[RECIPE_SOURCES_MAX];
};

struct history {
    uint64_t hash_seed; /* of the log's genesis */
    uint32_t partitions;
    bool clock_uneven; /* the wall clock was set, or ran at another rate than the boot clock: how
                                  long a lane was silent can't be told from the log, then */
    int64_t
        dedup_horizon_us; /* how far behind W a repetition was recognised at all times, also when
                                 memory was short; 0: 24 hours, the default */
    const struct planned_event *universe;
    size_t universe_count;
    const struct submission *submissions;
    size_t submission_count;
    const struct history_frame *frames;
    size_t frame_count;
    const struct recipe *recipes;
    size_t recipe_count;
};

/* What an oracle found; text is empty when all is well. */
struct finding {
    char text[512];
};
