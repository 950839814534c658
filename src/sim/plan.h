/* What one run is made of: its features, sizes, faults and limits, drawn at random so that every run
 * is another corner (a swarm), and the events and metrics that its clients will use. */
#pragma once

#include "sim/history.h"
#include "sim/process.h"

#include <stdio.h>

#define PLAN_EVENTS_MAX    5000
#define PLAN_RECIPES_MAX   8
#define PLAN_CLIENTS_MAX   6
#define PLAN_SOURCES_MAX   8
#define PLAN_READERS_MAX   3
#define PLAN_TIMERS_MAX    3
#define PLAN_LISTENERS_MAX 3
#define PLAN_RULES_MAX     3

/* What may be wrong with the disk, and what must come of it. */
enum disk_class {
    DISK_HONEST,       /* loses only what was not synced: every start must succeed */
    DISK_BAD_SNAPSHOT, /* and newest snapshots rot, but never all: every start must succeed */
    DISK_BAD_LOG,      /* and acknowledged bytes of the log rot, or writes go astray: a start is
                          refused, or nothing acknowledged is lost */
    DISK_LYING,        /* and syncs lie: a loss must be refused or be at the end */
    DISK_CLASSES,
};

/* Timeouts: who arms them, and who listens. */
struct timer_plan {
    uint32_t client_count; /* 0: none of all this */
    uint32_t listener_count;
    uint32_t key_count;
    uint32_t batch_max;
    uint32_t every_ms;       /* a client sends, on average */
    uint32_t repeat_once_in; /* what was answered is sent again; 0: never */
    uint32_t pause_ms;       /* a listener rests between two pages, at most */
    uint32_t page_max;
    int64_t grain_us; /* of deadlines: many fall together */
    bool by_events;   /* some go by the watermark */
    bool crowd;       /* all keys in one partition, and most due together */
};

struct plan {
    int64_t length_us; /* of the safety phase */
    uint32_t client_count;
    uint32_t batch_max;
    uint32_t resend_once_in;   /* acknowledged events are sent again; 0: never */
    uint32_t impatience_ms;    /* a client gives up an answer after this long */
    uint32_t command_every_ms; /* mean time between commands and questions */
    bool commands;             /* metrics come and go, sources are declared, snapshots asked for */
    bool lanes;                /* sources get lanes of their own, explicit ones too */
    bool questions;
    uint32_t reader_count;    /* slow readers; 0: none */
    uint32_t reader_pause_ms; /* they rest between two pages, at most */
    struct timer_plan timers;
    bool slow_disk;
    bool full_disk;
    bool disk_errors; /* EIO, short and interrupted calls */
    bool kills;
    bool power_cuts;
    bool clock_faults;
    bool stops;     /* SIGSTOP: everything stands for a while */
    bool restarts;  /* in order, too */
    bool no_memory; /* an allocation fails now and then */
    enum disk_class disk_class;
    uint64_t disk_bytes;
    struct machine_weather weather;
    struct sim_disk_weather disk_weather;
    struct process_options process;
    size_t event_count;
    struct planned_event *events; /* by the moment they are to be sent */
    int64_t *due_us;              /* that moment, in true time */
    uint32_t rule_count;
    struct rule_recipe rules[PLAN_RULES_MAX];
    bool rules_looked_at;
    uint32_t rules_look_ms; /* somebody looks at an instance, on average */
    size_t recipe_count;
    struct recipe recipes[PLAN_RECIPES_MAX];
    uint32_t source_count;
};

/* Draws a plan. False on no memory. */
bool plan_draw(struct plan *plan, struct choice *choice);
void plan_free(struct plan *plan);

/* Every second recipe may go and come back (when `commands`). */
bool plan_droppable(uint32_t recipe);

/* One line per option, for people. */
void plan_print(const struct plan *plan, FILE *out);

/* plan_rules.c. What their judge knows holds for one lane, and for a feed that forgets nothing. */
void plan_draw_rules(struct plan *plan, struct choice *choice);

/* The statement that defines a rule; the text stands in `text`. */
struct bytes rule_sql(const struct plan *plan, uint32_t number, char *text, size_t cap);

/* The statement that defines a recipe; the text stands in `text`. */
struct bytes recipe_sql(const struct recipe *recipe, char *text, size_t cap);
