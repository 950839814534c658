/* Questions of the judges to the live process, at the end of a run: one at a time, with nobody else at
 * work. */
#pragma once

#include "sim/run.h"

#define QUESTION_TURNS_MAX 100000u

/* In the process's memory. */
struct question {
    struct query query;
    bool answered;
};

/* The process has its turn, and a little time passes. */
void question_wait(struct run *run);

/* NULL: it was not answered, or a runner said no; *why is its reason then (OK: there is none). */
struct question *question_ask(struct run *run, const struct query *asked, enum err *why);
void question_free(struct question *question);

/* Adds the counts by state that it was answered. */
void question_counts(const struct question *question, uint64_t counts[TIMEOUT_STATES]);
