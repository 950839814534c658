/* Reading an engine: answers to queries, on the runner's own thread. */
#pragma once

#include "core/engine.h"
#include "host/query.h"

/* At most this much of rows may an answer hold; more is ERR_LIMIT ("narrow the query"). */
#define READ_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* Fills the answer (not its as_of). Its buffers are malloc'ed; query_free releases them. */
void read_answer(struct engine *engine, const struct query *query, struct query_answer *answer);

/* Room for `need` more bytes in the answer's rows; NULL, and the answer says why, when there is none. */
struct buf *answer_room(struct query_answer *answer, size_t need);

/* One STATS row, if there is room; `of` is what it is about: a metric, a rule, a state, or nothing. */
void answer_stat(struct query_answer *answer, const char *name, struct bytes of, uint64_t value);

/* One COUNT row, if there is room. */
void answer_count(struct query_answer *answer, uint32_t index, uint64_t count);

/* --- host/read_timeouts.c: the same for the questions about timeouts and the feed --- */

/* So many places of the table a page may look at, whatever it finds. */
#define READ_PLACES_MAX 100000

/* So many spans a histogram may have. */
#define READ_SPANS_MAX 1000

void read_timeout(struct engine *engine, const struct query *query, struct query_answer *answer);
void read_timeouts(struct engine *engine, const struct query *query, struct query_answer *answer);
void read_timeout_counts(struct engine *engine,
                         const struct query *query,
                         struct query_answer *answer);
void read_timeout_stats(const struct engine *engine, struct query_answer *answer);
void read_timeouts_due(struct engine *engine,
                       const struct query *query,
                       struct query_answer *answer);

/* host/read_watches.c: about the instances of rules. */
void read_watch(struct engine *engine, const struct query *query, struct query_answer *answer);
void read_watches(struct engine *engine, const struct query *query, struct query_answer *answer);
void read_watch_counts(struct engine *engine,
                       const struct query *query,
                       struct query_answer *answer);

void read_feed(struct engine *engine, const struct query *query, struct query_answer *answer);
