/* The librarian: reads the kept log for people who ask (GET /v1/events, fate), on a thread of its
 * own, since that may take long. */
#pragma once

#include "host/post.h"
#include "host/scan.h"
#include "ports/log.h"

struct librarian;

struct librarian *librarian_create(struct post *post, struct log_reader_port log);
void librarian_destroy(struct librarian *librarian);

/* Answers one scan; false when none waits. */
bool librarian_step(struct librarian *librarian);
