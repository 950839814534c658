/* Memory without which a start can't go on.
 *
 * What a request needs may be refused; what the log or a snapshot says is to be kept must have its
 * place. Live work reserves it before it takes a proposal, so only a start meets this end. */
#pragma once

#include <stddef.h>

/* size_bytes > 0 of memory, the caller's to free; when there is none, says on standard error what
 * was needed, what for, and what the machine has, and ends the process with exit code 71. */
void *memory_needed(size_t size_bytes, const char *what);

/* The same end for memory that somebody else could not get. */
_Noreturn void memory_missing(size_t size_bytes, const char *what);

/* "16 bytes are needed for a thing, the machine has 3 MiB left" */
void memory_needed_say(char *text, size_t text_bytes, size_t size_bytes, const char *what);
