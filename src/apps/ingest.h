/* tidemark ingest: what its two ways, over HTTP and straight into a directory, have in common. */
#pragma once

#include "apps/commands.h"
#include "apps/crew.h"
#include "apps/feed.h"

/* Events of a file through a crew: reads, paces, shows progress, adds up. 0, or the exit code after
 * the complaint. *us: how long it took. */
struct ingest_run {
    const struct command *command;
    struct feed *feed;
    struct crew *crew;
    struct tally_of_events tally;
    int64_t us;
};
int ingest_pump(struct ingest_run *run) MUST_CHECK;

/* Events that were taken and not known to be durable when their load came back are the worker's to
 * tell: `run.tally` is what the crew's loads said, plus what the caller adds. Prints it; returns 0
 * or 65. */
int ingest_summary(const struct ingest_run *run);

/* Over HTTP; straight into --data. */
int ingest_over_http(const struct command *command, struct feed *feed);
int ingest_into_directory(const struct command *command, struct feed *feed);

/* The line number of event `index` (blank lines don't count) in a load's text. */
uint64_t event_line(struct bytes text, uint64_t index);

/* Lines, and events (lines that aren't blank), of a text. */
uint64_t count_lines(struct bytes text);
bool line_is_blank(struct bytes line);

/* The next line of *text, without its end; false at the end. */
bool line_take(struct bytes *text, struct bytes *line);
