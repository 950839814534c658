/* A naive engine for the tests of the core: every event is kept, and every question is answered by
 * going through all of them again. It shares nothing with the engine but the meaning of the words.
 *
 * A script is what happens, in the order of the log; the watermark in force before each event is
 * part of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

__extension__ typedef __int128 oracle_int;

#define SCRIPT_STEPS_MAX   4096
#define SCRIPT_EVENTS_MAX  4096
#define SCRIPT_METRICS_MAX 16
#define SCRIPT_SEALS_MAX   4
#define SCRIPT_NEVER       UINT32_MAX

enum script_x {
    X_ABSENT,
    X_NULL,
    X_NUMBER, /* x_milli / 1000 */
    X_TEXT,
};

struct script_event {
    int64_t time;
    int64_t watermark; /* over all lanes, just before it; INT64_MIN: none, INT64_MAX: final */
    uint32_t step;
    uint32_t source;
    uint32_t type;
    uint32_t id;
    uint32_t subject; /* 0: none */
    enum script_x x;
    int64_t x_milli;
};

enum script_group {
    GROUP_NONE,
    GROUP_TYPE,
    GROUP_SOURCE_TYPE,
    GROUP_SUBJECT,
};

enum script_filter {
    FILTER_NONE,
    FILTER_TYPE_1,  /* type = 'type-1' */
    FILTER_X_LARGE, /* data.x > 10 */
};

struct script_metric {
    uint32_t id;
    int64_t window_us;
    int64_t lateness_us;
    enum script_group group;
    enum script_filter filter;
    const char *with; /* options of the statement; NULL: none */
    uint32_t from;    /* steps: it counts what comes behind `from` and before `to` */
    uint32_t to;
};

enum step_kind {
    STEP_EVENT,
    STEP_DEFINE,
    STEP_DROP,
    STEP_FINISH, /* all lanes are final from here on */
    STEP_REOPEN,
};

struct step {
    enum step_kind kind;
    uint32_t index;    /* of the event or the metric */
    int64_t watermark; /* after it */
    int64_t max_time;  /* latest event time after it */
};

/* While everything was final, up to this step, event times had reached `max_time`. */
struct script_seal {
    uint32_t step;
    int64_t max_time;
};

struct script {
    uint32_t step_count;
    uint32_t event_count;
    uint32_t metric_count;
    uint32_t seal_count;
    struct step steps[SCRIPT_STEPS_MAX];
    struct script_event events[SCRIPT_EVENTS_MAX];
    struct script_metric metrics[SCRIPT_METRICS_MAX];
    struct script_seal seals[SCRIPT_SEALS_MAX];
};

enum oracle_fate {
    ORACLE_FILTERED,
    ORACLE_COUNTED,
    ORACLE_LATE_CORRECTED,
    ORACLE_LATE_DROPPED,
    ORACLE_FATES,
};

/* A group in a window; members that the metric does not group by are 0. */
struct oracle_row {
    int64_t start;
    uint32_t source;
    uint32_t type;
    uint32_t subject;
    int64_t count;
    int64_t count_type_1;
    int64_t count_x;
    int64_t number_count;
    oracle_int sum_milli;
    int64_t min_milli;
    int64_t max_milli;
    uint32_t min_id;
    uint32_t max_subject; /* 0: none had one */
    bool seen;            /* for the caller */
};

struct oracle_result {
    uint64_t fates[ORACLE_FATES];
    uint32_t row_count;
    struct oracle_row rows[SCRIPT_EVENTS_MAX];
};

/* The event came before, under the same source and id. */
bool oracle_is_duplicate(const struct script *script, uint32_t event);

/* What becomes of a unique event that comes while the metric is there. */
enum oracle_fate
oracle_fate(const struct script *script, const struct script_metric *metric, uint32_t event);

/* The metric was there when the event came. */
bool oracle_concerns(const struct script_metric *metric, const struct script_event *event);

void oracle_run(const struct script *script,
                const struct script_metric *metric,
                struct oracle_result *result);

/* A window's standing after the whole script, when the last watermark is this. */
bool oracle_is_sealed(const struct script *script,
                      const struct script_metric *metric,
                      int64_t start,
                      uint32_t step);
bool oracle_is_closed(const struct script *script,
                      const struct script_metric *metric,
                      int64_t start,
                      int64_t watermark);
bool oracle_is_final(const struct script *script,
                     const struct script_metric *metric,
                     int64_t start,
                     int64_t watermark);
