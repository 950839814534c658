/* An engine opened by a command, without a server: one question at a time on the caller's thread.
 */
#pragma once

#include "apps/commands.h"
#include "apps/node.h"

/* Opens --data; 0, or the exit code after the complaint. */
int direct_open(const struct node_options *options,
                struct node **node,
                struct node_start *start) MUST_CHECK;

/* Proposes and waits until it is durable. Returns proposal->err, also when it was not taken. */
enum err direct_propose(struct node *node, uint32_t gateway, struct proposal *proposal) MUST_CHECK;

/* Runs one or more statements (CREATE METRIC, DROP METRIC). 0, or the exit code after the
 * complaint.
 */
int direct_sql(struct node *node, uint32_t gateway, const char *text) MUST_CHECK;
