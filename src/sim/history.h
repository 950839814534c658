/* What happened in a simulated run, as its judges see it: what clients sent and were told, the log
 * that came of it, and the shapes of the metrics. The oracles (oracle_*.h) know nothing else, and of
 * the engine's code they use the decoders of records only.
 *
 *     universe      every event that any client may send; its content is fixed by its number
 *     submissions   who was told what about which of them
 *     askings       commands on timeouts that were sent, in batches, and the answers
 *     sights        timeouts, and instances of rules, as they were shown
 *     pages         of the feed of notes, as listeners got them
 *     frames        the log as it is read back, in order
 *     recipes       the metrics that may be defined */
#pragma once

#include "base/bytes.h"
#include "core/feed.h"
#include "model/clock.h"
#include "model/timeout.h"
#include "sim/rule_recipe.h"

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

/* One sending of one record of commands; the same commands may be sent many times. */
struct asking {
    struct bytes body; /* of the record, its clock 0 */
    uint32_t count;    /* of commands */
    enum outcome outcome;
    uint64_t as_of;                 /* OUTCOME_ACKED: the end of its frame */
    struct timeout_result *results; /* OUTCOME_ACKED: one per command */
};

/* A timeout, when somebody looked. Keys are "t<number>". */
struct sight {
    uint32_t key;
    struct timeout_object object; /* TIMEOUT_ABSENT: nothing was there */
    uint64_t data_digest;
    uint64_t at_least; /* everything before this log position must be seen */
    uint64_t at_most;  /* the log's durable end when it was answered */
};

/* A note of the feed as it was read. */
struct heard_note {
    struct feed_place place;
    enum note_kind kind;
    uint8_t flags;
    uint32_t rule; /* 0: an explicit timeout; else one more than its number */
    uint32_t key;  /* of the rule's: subject or source */
    uint32_t generation;
    struct clock_time clock;
    uint64_t position;
    int64_t deadline;
    int64_t started;
    int64_t last_seen;
    struct clock_time fired; /* of a note about an earlier firing */
    uint64_t data_digest;
};

/* An instance of a rule as it was shown. */
struct seen_instance {
    uint32_t key; /* as a note's */
    struct timeout_object object;
};

/* All instances of a rule, or of one key of it, when somebody looked. */
struct watch_sight {
    uint32_t rule; /* its number */
    bool whole;
    uint32_t key; /* unless it is the whole */
    uint64_t at_least;
    uint64_t at_most; /* as a sight's */
    size_t first;     /* in the history's instances */
    size_t count;
};

/* Notes that one answer held, oldest first. */
struct heard_page {
    struct feed_place after;
    struct feed_place forgotten;
    size_t first; /* in the history's notes */
    size_t count;
    bool last;        /* it said: these are all, up to ... */
    uint64_t ordinal; /* ... this pulse */
    uint64_t at_most; /* the log's durable end when it was answered */
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
    const struct asking *askings;
    size_t asking_count;
    const struct sight *sights;
    size_t sight_count;
    const struct heard_page *pages;
    size_t page_count;
    const struct heard_note *notes;
    const struct watch_sight *watch_sights;
    size_t watch_sight_count;
    const struct seen_instance *instances;
    uint32_t timer_keys;     /* keys are "t<number>", below this */
    uint32_t timers_pending; /* so many may be pending in a partition */
    uint32_t timers_ended;   /* so many ended ones a partition remembers */
    const struct rule_recipe *rules;
    uint32_t rule_count;
    int64_t feed_keep_us; /* so long are notes kept; 0: the budget is small, so no time is sure */
    const struct history_frame *frames;
    size_t frame_count;
    const struct recipe *recipes;
    size_t recipe_count;
};

/* What an oracle found; text is empty when all is well. */
struct finding {
    char text[512];
};
