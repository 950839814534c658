/* Small histories, built by hand with the writers of records and batches. */
#pragma once

#include "../base/support.h"

#include "model/batch.h"
#include "model/definition.h"
#include "sim/history.h"

#define FIXTURE_SEED       0x7157u
#define FIXTURE_PARTITIONS 4u
#define FIXTURE_FRAMES     32
#define FIXTURE_EVENTS     16
#define FIXTURE_BYTES      ((size_t)1 << 20)

/* The clock and the event times of the tests lie around here: a multiple of a minute. */
#define T0         (28333333LL * US_PER_MINUTE)
#define SECONDS(n) ((n)*US_PER_SECOND)
#define NONE       WATERMARK_NONE

/* An event of the universe, and the watermark that is stamped before it. */
struct stamped {
    uint32_t event;
    int64_t watermark;
};

struct fixture {
    struct history history;
    struct planned_event universe[FIXTURE_EVENTS];
    struct submission submissions[FIXTURE_EVENTS];
    struct history_frame frames[FIXTURE_FRAMES];
    struct recipe recipe;
    struct buf memory;
    size_t frame_start;
    uint32_t record_count;
    uint64_t position;
    uint64_t ordinal;
};

/* An empty history whose universe has event i of source s1 at T0 + i seconds, x = 10 * i, all of
 * type t1 and subject k1. The fixture is one, and static. */
struct fixture *fixture_new(void);

/* What follows goes into a frame of its own. */
void fixture_frame(struct fixture *fixture);
void fixture_frame_end(struct fixture *fixture);

/* Records for the open frame. A pulse is followed by its lanes. */
void fixture_genesis(struct fixture *fixture);
void fixture_define(struct fixture *fixture, uint32_t metric, const char *name);
void fixture_drop(struct fixture *fixture, uint32_t metric);
void fixture_events(struct fixture *fixture,
                    int64_t arrival,
                    const struct stamped *events,
                    size_t count);
void fixture_pulse(struct fixture *fixture,
                   int64_t clock,
                   int64_t watermark,
                   const struct lane_state *lanes,
                   uint32_t count);
void fixture_source(
    struct fixture *fixture, uint32_t lane, const char *name, enum lane_kind kind, int64_t clock);
void fixture_forget(struct fixture *fixture, uint32_t lane);
void fixture_lane(struct fixture *fixture,
                  uint32_t lane,
                  enum lane_command_kind kind,
                  int64_t time);

/* Says of an event that it was sent. */
void fixture_sent(struct fixture *fixture, uint32_t event, enum outcome outcome, uint64_t as_of);
