/* Reading an engine: answers to queries, on the runner's own thread. */
#pragma once

#include "core/engine.h"
#include "host/query.h"

/* At most this much of rows may an answer hold; more is ERR_LIMIT ("narrow the query"). */
#define READ_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* Fills the answer (not its as_of). Its buffers are malloc'ed; query_free releases them. */
void read_answer(struct engine *engine, const struct query *query, struct query_answer *answer);
