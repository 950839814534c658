/* Keeps the history of a run (sim/history.h): every sending with its outcome, every frame that was
 * ever durable, across all lives of the process. */
#pragma once

#include "ports/log.h"
#include "sim/history.h"

struct journal {
    struct submission *submissions;
    size_t submission_count;
    size_t submission_capacity;
    struct history_frame *frames; /* bodies are the journal's */
    size_t frame_count;
    size_t frame_capacity;
    uint64_t acked; /* how many submissions were */
};

void journal_init(struct journal *journal);
void journal_free(struct journal *journal);

/* A sending of an event; the index by which to tell its outcome later. */
size_t journal_submit(struct journal *journal, uint32_t event);
void journal_outcome(struct journal *journal,
                     size_t submission,
                     enum outcome outcome,
                     uint64_t as_of);

/* A frame became durable (or was found so): after the last one. */
void journal_frame(struct journal *journal,
                   uint64_t position,
                   uint64_t end,
                   uint32_t record_count,
                   struct bytes body);

/* The journal's last frame, if the log read from `oldest` ends just before it, is forgotten, and who
 * was told of it counts as never told: rot of the very last frame has no witness but that frame. */
void journal_forgive_last(struct journal *journal,
                          const struct log_reader_port *port,
                          uint64_t oldest);

/* Forgets the frames that begin at or after a position: a lying disk lost them. */
void journal_cut(struct journal *journal, uint64_t position);

/* Whether two runs were the same: all sendings, outcomes and frames. */
bool journal_same(const struct journal *a, const struct journal *b);

/* A lying disk may lose the end of the log: the same for all frames behind the recovered end. */
void journal_forgive_end(struct journal *journal,
                         const struct log_reader_port *port,
                         uint64_t oldest);

/* Takes up what a recovered log holds, read from its oldest frame on. What the journal knows must be
 * there, unchanged; one more frame may be (it was written, and the process died before anybody was
 * told). */
bool journal_recovered(struct journal *journal,
                       const struct log_reader_port *port,
                       uint64_t oldest,
                       struct finding *finding);
