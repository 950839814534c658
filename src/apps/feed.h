/* Lines of a file or of standard input, plain or compressed by gzip or zstd (seen by the first
 * bytes, not by the name). */
#pragma once

#include "base/err.h"

#define FEED_LINE_MAX ((size_t)1200 * 1024)

struct feed;

/* path "-": standard input. 0, or the exit code after the complaint. */
int feed_open(const char *path, struct feed **feed) MUST_CHECK;
void feed_close(struct feed *feed);

/* Appends whole lines, their ends included, while they fit into `out` (of a pipe only those that
 * are there). Nothing was appended: the end, or a failure. The last line may lack its end. */
void feed_fill(struct feed *feed, struct buf *out);

/* The next line, without its end; valid until the next call. False: the end, or a failure. Don't
 * mix with feed_fill. */
bool feed_line(struct feed *feed, struct bytes *line);

/* Why it ended early; NULL when it did not. */
const char *feed_failure(const struct feed *feed);

/* How far, in bytes of the file; total 0: unknown. */
uint64_t feed_position(const struct feed *feed);
uint64_t feed_total(const struct feed *feed);
