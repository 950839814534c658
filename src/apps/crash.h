/* Crashes: which record of the log was being applied, and no endless loop of restarts because of it.
 *
 *     a thread applies a record --> fatal signal --> one line in DIR/crashes --> the process dies
 *     start: the last 3 lines name the same position?  --yes--> refuse (exit 70), say which record
 *                                                      --no---> replay; all applied: DIR/crashes goes
 *
 * Invariants:
 *  1. Only a fault of the process itself (SIGABRT of a failed CHECK, SIGSEGV, SIGBUS, SIGILL, SIGFPE)
 *     while a record of the durable log is applied makes a line. A signal from outside, SIGKILL, a
 *     power cut never do.
 *  2. A line is written by functions that are safe in a signal handler, and synced.
 *  3. The file is there only between such a crash and the next start that gets past it. */
#pragma once

#include "base/err.h"
#include "host/applying.h"

#define CRASHES_MAX 3

/* From now on a fatal signal says what its thread was applying. Once per process is enough. */
void crash_watch(void);

/* This thread is the one that fills `applying`, for as long as it lives. */
void crash_watch_thread(const struct applying *applying);

/* The directory is locked and will be written to: crashes are noted there. False, with a report on
 * stderr and the sentence in *error, when the last CRASHES_MAX of them were at one position. */
bool crash_review(const char *directory, struct error *error);

/* Every record of the log has been applied: former crashes there don't count any more. */
void crash_forget(void);
