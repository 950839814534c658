/* A metric's definition: what lang makes of a SELECT, what the log keeps, what the core runs.
 *
 * Expressions are small stack programs (model/program.h), so the core evaluates without knowing the
 * language, and a replay needs no compiler: an old log gives old meanings for ever.
 *
 * The encoding (definition_put) is docs/formats/definition.md. A decoded definition borrows from
 * the bytes it was decoded from. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "model/clock.h"

#define DEFINITION_COLUMNS_MAX 32
#define DEFINITION_SOURCES_MAX 64
#define DEFINITION_NAME_MAX    64
#define DEFINITION_TEXT_MAX    16384
#define DEFINITION_BYTES_MAX   65536

#define DEFINITION_WINDOW_MIN_US     1000LL
#define DEFINITION_WINDOW_MAX_US     (366 * US_PER_DAY)
#define DEFINITION_LATENESS_MAX_US   (366 * US_PER_DAY)
#define DEFINITION_RETAIN_MIN_US     US_PER_SECOND
#define DEFINITION_RETAIN_MAX_US     (3660 * US_PER_DAY)
#define DEFINITION_RETAIN_DEFAULT_US (30 * US_PER_DAY)
#define DEFINITION_WINDOWS_MAX       1500000 /* that `retain` or the lateness may keep */
#define DEFINITION_EMIT_EVERY_MIN_US 1000LL
#define DEFINITION_EMIT_EVERY_MAX_US (366 * US_PER_DAY)
#define DEFINITION_GROUPS_DEFAULT    1000000u
#define DEFINITION_GROUPS_MAX        10000000u

enum aggregate_kind {
    AGGREGATE_COUNT_ALL = 1, /* count(*) */
    AGGREGATE_COUNT = 2,     /* count(x): x is not NULL */
    AGGREGATE_SUM = 3,
    AGGREGATE_MIN = 4,
    AGGREGATE_MAX = 5,
    AGGREGATE_AVG = 6,
    AGGREGATE_RATE = 7, /* count(*) per second of window, or of its elapsed part while open */
};

enum emit_kind {
    EMIT_ON_UPDATE = 0,
    EMIT_ON_WINDOW_CLOSE = 1,
    EMIT_EVERY = 2, /* emit_every_us */
};

struct aggregate {
    enum aggregate_kind kind;
    struct bytes argument; /* program; empty for count(*) and rate() */
    struct bytes filter;   /* program; empty = every row */
};

/* A column of the result, in the order of the SELECT. */
struct output_column {
    struct bytes name;
    bool is_group; /* else an aggregate */
    uint8_t index; /* into groups or aggregates */
};

struct definition {
    struct bytes name;
    struct bytes text;   /* the statement, as given */
    struct bytes filter; /* program of WHERE; empty = every event */
    int64_t window_us;   /* TUMBLE's size, > 0 */
    int64_t origin_us; /* windows start at origin + k * size; 0 <= origin < size (weeks: Mondays) */
    int64_t lateness_us;
    int64_t retain_us;
    int64_t emit_every_us; /* 0 unless EMIT_EVERY */
    enum emit_kind emit;
    uint32_t groups_max; /* groups that may exist; more go to the overflow group */
    uint8_t group_count;
    uint8_t aggregate_count;
    uint8_t column_count;
    uint8_t source_count;
    struct bytes groups[DEFINITION_COLUMNS_MAX]; /* programs */
    struct aggregate aggregates[DEFINITION_COLUMNS_MAX];
    struct output_column columns[DEFINITION_COLUMNS_MAX];
    struct bytes sources[DEFINITION_SOURCES_MAX]; /* WITH (sources = ...); none = all lanes */
};

/* Appends the encoding. The definition must be valid. */
void definition_put(struct buf *out, const struct definition *definition);

/* False when the bytes are not a definition of this version. */
bool definition_read(struct bytes encoded, struct definition *definition);

/* Every rule of the fields above holds: ranges, counts, indexes, unique column names, valid
 * programs, and the encoding fits DEFINITION_BYTES_MAX. */
bool definition_valid(const struct definition *definition);

/* A metric's name: [a-z_][a-z0-9_]*, at most DEFINITION_NAME_MAX bytes. */
bool definition_name_valid(struct bytes name);

/* The start of the window that the time lies in (start inclusive, end exclusive). */
int64_t definition_window_start(const struct definition *definition, struct event_time time);
