/* What people read of runs. */
#pragma once

#include "sim/run.h"

#include <stdio.h>

#define FAULTS_WANTED 20 /* of each kind, in a standard run */

/* A run at length: its options, what happened, how it ended and how to repeat it. */
void report_run(const struct run *run, uint64_t seed, FILE *out);

/* Keeps what failed: DIR/<seed>/ with the log's files, the tapes and the options. */
void report_keep(const struct run *run, uint64_t seed, const char *directory);

/* The totals of many runs. With `gate`: false when a kind of fault was seen less than FAULTS_WANTED
 * times. */
bool report_totals(
    const struct run_counts *sum, double seconds, uint32_t jobs, bool gate, FILE *out);

/* Tapes as a file of text, one line a stream. */
bool choice_save(const struct choice *choice, const char *path);
bool choice_load(struct choice *choice, const char *path);
