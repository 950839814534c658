/* Timeouts, from the log alone: what each command came to, what fired at which pulse, and what was
 * there under each key at any moment. What is told to clients, shown, and in the feed must be that. */
#pragma once

#include "sim/history.h"

/* What was under a key from a position of the log on. */
struct expected_change {
    uint64_t position; /* of the record that brought it about */
    struct timeout_object object;
    uint64_t data_digest;
};

struct expected_timer {
    struct expected_change *changes; /* malloc'ed; before the first one nothing was there */
    size_t change_count;
    size_t change_capacity;
};

/* What happened in the log, for the totals. */
struct timer_counts {
    uint64_t commands;
    uint64_t fired;
    uint64_t fired_by_events;
    uint64_t born_late;
    uint64_t overdue;          /* fired, and more than a second after their time */
    uint64_t races_lost;       /* commands that came after the firing */
    uint64_t extended;         /* heartbeats that a pending one had */
    uint64_t tombstones;       /* made */
    uint64_t tombstones_met;   /* by a create */
    uint64_t replaced;         /* a further generation */
    uint64_t held;             /* pulses that may not fire what is due by events */
    uint64_t other_generation; /* refusals */
    uint64_t other_version;
    uint64_t no_room;
    uint64_t forgotten; /* ended ones that were not remembered longer */
    uint64_t sliced;    /* pulses that left some of the due ones to the next */
    uint64_t rules_fired;
    uint64_t silences;
    uint64_t rules_late; /* firings that evidence came behind */
    uint64_t rules_met;  /* instances that what they expect came for in time */
    uint64_t lagging;    /* episodes of HOLD that are told */
    uint64_t rules_cancelled;
    uint64_t rules_extended;     /* instances that a heartbeat gave more time */
    uint64_t rules_met_by_grace; /* or cancelled, when W was behind the deadline */
    uint64_t rules_grace_over;   /* firings behind a grace */
    uint64_t rules_reopened;     /* firings that a heartbeat took back */
    uint64_t rules_by_clock;     /* firings of timeouts and silences by the clock */
    uint64_t silences_by_clock;
    uint64_t rules_computed; /* firings whose time the start had told */
    uint64_t rules_unusable; /* starts that told no time */
    uint64_t rules_chosen;   /* firings that waited for chosen sources */
    uint64_t rules_dropped;  /* instances that were pending when their rule went */
    uint64_t rules_open;     /* instances that the contract says nothing of */
    uint64_t instances_seen; /* and what they were was right */
};

struct expected_timeouts {
    struct expected_timer *timers; /* by key; malloc'ed */
    uint32_t timer_count;
    struct heard_note *notes; /* by (ordinal, partition); number 0: nobody read it; malloc'ed */
    size_t note_count;
    size_t note_capacity;
    uint64_t by_state[7];
    struct clock_time clock; /* the last of the log */
    int64_t due_by_clock;    /* the next of the pending; INT64_MAX: none */
    int64_t due_by_events;
    uint64_t last_ordinal;
    struct timer_counts counts;
};

/* Works it out, and judges the answers to commands meanwhile. `told` is the feed as it was read at the
 * end: where more was due at a pulse than may fire, it says which of several equals did. False: a
 * finding. oracle_timeouts_free in any case. */
bool oracle_timeouts(const struct history *history,
                     const struct heard_note *told,
                     size_t told_count,
                     struct expected_timeouts *expected,
                     struct finding *finding);
void oracle_timeouts_free(struct expected_timeouts *expected);

/* What was there at the end; NULL: nothing ever was. */
const struct expected_change *expected_now(const struct expected_timeouts *expected, uint32_t key);

bool timeout_objects_equal(const struct timeout_object *a, const struct timeout_object *b);

/* --- oracle_feed.c --- */

/* Every page, and every sight. */
bool oracle_feed_holds(const struct history *history,
                       struct expected_timeouts *expected,
                       struct finding *finding);
/* oracle_rules.c: the notes of rules, as they were read at the end, are what the rules make of the
 * events; they join the expected ones, so that pages are judged with them. Before oracle_feed_holds. */
bool oracle_rules_hold(const struct history *history,
                       const struct heard_note *told,
                       size_t told_count,
                       struct expected_timeouts *expected,
                       struct finding *finding);
bool oracle_sights_hold(const struct history *history,
                        const struct expected_timeouts *expected,
                        struct finding *finding);
