/* Where every decision of a simulated run comes from: numbers drawn from a seed, in one stream per
 * subject, and each of them noted on a tape; or, when a run is repeated from a tape, from there.
 *
 * Streams are apart so that one draw more about the disk does not change what the clients do. A
 * tape may be edited: where it ends, or holds a number that is out of range, the simplest choice (0)
 * is taken. Shrinking is nothing but editing tapes (sim/shrink.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum choice_stream {
    CHOICE_OPTIONS, /* which features, faults and limits this run has */
    CHOICE_CLIENTS, /* who sends what when */
    CHOICE_TURNS,   /* whose turn it is */
    CHOICE_DISK,    /* how long it takes, what fails */
    CHOICE_CRASH,   /* when, and what is left of what was not synced */
    CHOICE_CLOCK,   /* drift, steps, freezes */
    CHOICE_READERS, /* who reads what, and how slowly */
    CHOICE_TIMERS,  /* who arms which timeouts, and who listens for them */
    CHOICE_RULES,   /* what rules say beside, when they go, who looks at them */
    CHOICE_STREAMS,
};

struct choice_tape {
    uint32_t *values; /* malloc'ed */
    size_t count;
    size_t capacity;
};

struct choice {
    uint64_t state[CHOICE_STREAMS][4]; /* xoshiro256**, seeded through splitmix64 */
    struct choice_tape tapes[CHOICE_STREAMS];
    size_t played[CHOICE_STREAMS];
    bool playing; /* from the tapes; else from the seed */
};

/* Whatever was in *choice is overwritten, not freed. */
void choice_from_seed(struct choice *choice, uint64_t seed);

/* Copies the tapes of another run and plays them; nothing is noted then. */
void choice_from_tapes(struct choice *choice, const struct choice_tape tapes[CHOICE_STREAMS]);
void choice_free(struct choice *choice);

/* 0 <= result < end; end >= 1 (1: nothing is drawn). What is simplest should be 0. */
uint32_t choose(struct choice *choice, enum choice_stream stream, uint32_t end);

/* True about once in `times` (>= 1: 1 is always); false is the simple answer. The tape notes the
 * answer, so it may be played with other `times`. */
bool choose_once_in(struct choice *choice, enum choice_stream stream, uint32_t times);

/* low <= result <= high, each power of two as likely; low (>= 1) is the simple answer. */
uint32_t
choose_magnitude(struct choice *choice, enum choice_stream stream, uint32_t low, uint32_t high);
