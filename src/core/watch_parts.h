/* The parts of a watch, private to core/watch*.c. */
#pragma once

#include "core/signals.h"
#include "core/watch.h"

struct watch_signal {
    struct due_node node; /* in its rule's `signals` */
    uint8_t kind;         /* enum signal_kind */
    bool kept; /* has acted; stands in its key's `kept` until W has passed it by the grace */
    bool late; /* came behind the horizon */
    struct watch_key *key;
    struct watch_signal *next; /* kept ones of the key, by time and order */
    int64_t time;
    int64_t within_us;
    struct log_place place;
};

/* By kind and place: tells all signals of one event time apart. */
int watch_signal_order(const struct due_node *a, const struct due_node *b);

static inline bool watch_acts_before(const struct watch_signal *a, const struct watch_signal *b)
{
    return a->time < b->time || (a->time == b->time && watch_signal_order(&a->node, &b->node) < 0);
}

struct watch_instance {
    struct due_node node; /* in its rule's `deadlines` while pending */
    uint8_t state;        /* enum timeout_state */
    bool born_late;
    bool told_late;      /* completed late: once */
    uint32_t generation; /* firings that were taken back before */
    struct watch_key *key;
    struct watch_instance *next; /* of the key's open or ended ones, by rising start */
    struct watch_instance *previous;
    struct watch_instance *older; /* in watch->ended */
    struct watch_instance *newer;
    int64_t start; /* SILENCE: the last event of the current run, as last_seen */
    int64_t last_seen;
    int64_t deadline;
    int64_t within_us;
    struct clock_time created;
    struct clock_time ended;
    uint64_t decided_at;
    union {
        struct log_place place;  /* TIMEOUT: of the event that started it */
        struct clock_time fired; /* SILENCE, and RETRACTED: its last firing */
    };
};

/* By key and start: tells all instances of a rule apart. */
int watch_instance_order(const struct due_node *a, const struct due_node *b);

struct watch_run {
    struct watch_run *next;
    int64_t lo;
    int64_t hi;
};

/* The one instance of a SILENCE's key. */
struct watch_silence {
    struct watch_instance instance; /* its run's hi is instance.start */
    int64_t lo;
    struct watch_run *runs; /* behind the current one, by rising time */
    uint32_t run_count;
    bool told;          /* it has fired, and nothing has shown yet that this was wrong */
    int64_t told_start; /* the start of that firing */
};

struct watch_key {
    uint64_t hash;
    uint32_t place;
    uint16_t rule; /* its place */
    uint16_t len;
    uint32_t signal_count; /* in `signals`, kept ones included */
    uint32_t kept_count;
    uint32_t open_count;
    uint32_t ended_count; /* SILENCE: always 0, its instance stays with the open ones */
    struct watch_signal *kept;
    struct watch_signal *kept_last;
    struct watch_instance *open_first;
    struct watch_instance *open_last;
    struct watch_instance *ended_first;
    struct watch_instance *ended_last;
    uint8_t text[];
};

static inline struct bytes watch_key_text(const struct watch_key *key)
{
    return bytes_of(key->text, key->len);
}

static inline struct watch_signal *watch_signal_of(struct due_node *node)
{
    return (struct watch_signal *)(void *)node;
}

static inline struct watch_instance *watch_instance_of(struct due_node *node)
{
    return (struct watch_instance *)(void *)node;
}

static inline struct watch_silence *watch_silence_of(struct watch_instance *instance)
{
    return (struct watch_silence *)(void *)instance;
}

/* One rule at one pulse. */
struct watch_act {
    struct watch *watch;
    struct watch_part *part;
    const struct watch_rule *rule;
    const struct watch_turn *turn;
};

static inline bool watch_by_events(const struct watch_act *act)
{
    return act->rule->rule.clock == TIMEOUT_BY_EVENTS;
}

/* --- kept signals (watch.c) --- */

/* Into the row of its key's kept signals. */
void watch_list_kept(struct watch_signal *signal);

/* --- instances (watch_instances.c) --- */

size_t watch_instance_bytes(const struct rule *rule);

/* A new pending one with its start and deadline, in its key's order; NULL: no room. */
struct watch_instance *
watch_open(const struct watch_act *act, struct watch_key *key, int64_t start, int64_t deadline);

/* When it fires, if nothing comes. */
int64_t watch_fires_at(const struct watch_act *act, const struct watch_instance *instance);

/* A pending one ends; a fired one is taken back, which is told; an ended one is pending again, if there is
 * room. */
void watch_end(const struct watch_act *act, struct watch_instance *instance, enum timeout_state to);
void watch_retract(const struct watch_act *act, struct watch_instance *instance);
bool watch_reopen(const struct watch_act *act, struct watch_instance *instance);

/* Whether `fired` is what it keeps, and not `place`; and when one that fired did so last. */
bool watch_keeps_firing(const struct watch_instance *instance, bool silence);
struct clock_time watch_fired(const struct watch_instance *instance, bool silence);
void watch_tell(const struct watch_act *act,
                const struct watch_instance *instance,
                enum note_kind kind);

/* One instance as it is read: event_time is its start. */
void watch_show(const struct watch_turn *now,
                const struct watch_instance *instance,
                struct timeout_object *object);

/* Forgets an instance, pending or ended, and its key if that was all. */
void watch_forget(struct watch *watch, struct watch_instance *instance);

/* Into its key's and the watch's lists, for loading as well. */
void watch_list_open(struct watch_instance *instance);
void watch_list_ended(struct watch *watch, struct watch_instance *instance);
void watch_list_ended_of_key(struct watch_instance *instance);

/* --- what signals do (watch_timeout.c, watch_silence.c) --- */

/* A late signal opened this instance, or something made its reach longer: what has acted already and stands
 * behind that signal in event time (NULL: wherever it stands) acts on this instance too. */
void watch_catch_up(const struct watch_act *act,
                    struct watch_instance *instance,
                    const struct watch_signal *late);
void watch_timeout_signal(const struct watch_act *act, const struct watch_signal *signal);
void watch_silence_event(const struct watch_act *act, struct watch_key *key, int64_t time);

/* A silence comes to its deadline. */
void watch_silence_fire(const struct watch_act *act, struct watch_instance *instance);
