/* The librarian: reads the kept log for people who ask (GET /v1/events, fate), on a thread of its
 * own, since that may take long. */
#pragma once

#include "host/post.h"
#include "host/scan.h"
#include "ports/clock.h"
#include "ports/log.h"

struct librarian;

struct librarian *
librarian_create(struct post *post, struct log_reader_port log, struct clock_port clock);
void librarian_destroy(struct librarian *librarian);

/* Works on one scan for some milliseconds; false when none waits. Scans take turns. */
bool librarian_step(struct librarian *librarian);
