/* A watch as bytes and back, and its invariants.
 *
 *   u32 more due, u32 places, u32 first free place
 *   each place:  u32 0, u32 next free place
 *            or  u32 1, u32 rule's place, u64 hash, string key, u32 n, n pending instances
 *   each rule:   u64 fired, retracted, lost, unusable, u32 n, n waiting signals in the order of their
 *                heap: i64 due, u32 key's place, u32 kind and flags, i64 time, i64 within, log place
 *   u64 n, n ended instances, oldest first: u32 key's place, instance
 *
 *   instance:    u32 state and flags, u32 generation, i64 start, last seen, deadline, within, created,
 *                ended, u64 decided at, then its log place, or of a SILENCE or a RETRACTED one i64 fired;
 *                of a SILENCE also i64 lo, told start, u32 n, n runs
 *   log place:   u64 frame, u32 record, u32 row
 *
 * Places and the order of heap and lists are part of it, so that load(save(x)) goes on exactly as x
 * would, and has its digest. */
#include "core/watch_keys.h"

#include "base/check.h"
#include "core/signals.h"

enum place_tag {
    PLACE_FREE = 0,
    PLACE_KEY = 1,
};

enum signal_flag {
    SIGNAL_KEPT = 256, /* beside the kind */
    SIGNAL_LATE = 512,
};

enum instance_flag {
    INSTANCE_BORN_LATE = 256, /* beside the state */
    INSTANCE_TOLD_LATE = 512,
    INSTANCE_TOLD = 1024,
};

static void save_log_place(const struct log_place *place, struct writer *out)
{
    write_u64(out, place->frame);
    write_u32(out, place->record);
    write_u32(out, place->row);
}

static struct log_place load_log_place(struct loader *in)
{
    struct log_place place = {.frame = load_u64(in)};
    place.record = load_u32(in);
    place.row = load_u32(in);
    return place;
}

static void save_silence(const struct watch_silence *silence, struct writer *out)
{
    write_i64(out, silence->lo);
    write_i64(out, silence->told_start);
    write_u32(out, silence->run_count);
    for (const struct watch_run *run = silence->runs; run != NULL; run = run->next) {
        write_i64(out, run->lo);
        write_i64(out, run->hi);
    }
}

static void
save_instance(const struct watch *watch, struct watch_instance *instance, struct writer *out)
{
    bool silence = watch->parts[instance->key->rule]->silence;
    uint32_t flags = instance->state;
    flags |= instance->born_late ? INSTANCE_BORN_LATE : 0;
    flags |= instance->told_late ? INSTANCE_TOLD_LATE : 0;
    flags |= silence && watch_silence_of(instance)->told ? INSTANCE_TOLD : 0;
    write_u32(out, flags);
    write_u32(out, instance->generation);
    write_i64(out, instance->start);
    write_i64(out, instance->last_seen);
    write_i64(out, instance->deadline);
    write_i64(out, instance->within_us);
    write_i64(out, instance->created.us);
    write_i64(out, instance->ended.us);
    write_u64(out, instance->decided_at);
    if (watch_keeps_firing(instance, silence)) {
        write_i64(out, instance->fired.us);
    } else {
        save_log_place(&instance->place, out);
    }
    if (silence) {
        save_silence(watch_silence_of(instance), out);
    }
}

static void save_key(const struct watch *watch, const struct watch_key *key, struct writer *out)
{
    write_u32(out, PLACE_KEY);
    write_u32(out, key->rule);
    write_u64(out, key->hash);
    write_string(out, watch_key_text(key));
    uint32_t pending = 0;
    for (struct watch_instance *open = key->open_first; open != NULL; open = open->next) {
        pending += open->state == TIMEOUT_PENDING;
    }
    write_u32(out, pending);
    for (struct watch_instance *open = key->open_first; open != NULL; open = open->next) {
        if (open->state == TIMEOUT_PENDING) {
            save_instance(watch, open, out);
        }
    }
}

static void save_part(const struct watch_part *part, struct writer *out)
{
    write_u64(out, part->fired);
    write_u64(out, part->retracted);
    write_u64(out, part->lost);
    write_u64(out, part->unusable);
    write_u32(out, part->signals.count);
    for (uint32_t n = 0; n < part->signals.count; n++) {
        const struct watch_signal *signal = watch_signal_of(part->signals.entries[n].node);
        write_i64(out, part->signals.entries[n].time);
        write_u32(out, signal->key->place);
        write_u32(out,
                  signal->kind | (signal->kept ? (uint32_t)SIGNAL_KEPT : 0) |
                      (signal->late ? (uint32_t)SIGNAL_LATE : 0));
        write_i64(out, signal->time);
        write_i64(out, signal->within_us);
        save_log_place(&signal->place, out);
    }
}

void watch_save(const struct watch *watch, struct writer *out)
{
    write_u32(out, watch->more_due);
    write_u32(out, watch->place_count);
    write_u32(out, watch->free_first);
    for (uint32_t place = 0; place < watch->place_count; place++) {
        if (watch->places[place].key == NULL) {
            write_u32(out, PLACE_FREE);
            write_u32(out, watch->places[place].next_free);
        } else {
            save_key(watch, watch->places[place].key, out);
        }
    }
    for (uint32_t place = 0; place < RULES_MAX; place++) {
        if (watch->parts[place] != NULL) {
            save_part(watch->parts[place], out);
        }
    }
    write_u64(out, watch->ended_count);
    for (struct watch_instance *ended = watch->ended_first; ended != NULL; ended = ended->newer) {
        write_u32(out, ended->key->place);
        save_instance(watch, ended, out);
    }
}

/* --- back --- */

static bool load_runs(struct watch *watch, struct watch_silence *silence, struct loader *in)
{
    uint32_t count = load_u32(in);
    struct watch_run **at = &silence->runs;
    for (uint32_t n = 0; n < count && !in->bad; n++) {
        struct watch_run *run = watch_alloc(watch, sizeof(*run));
        if (run == NULL) {
            return false;
        }
        run->lo = load_i64(in);
        run->hi = load_i64(in);
        *at = run;
        at = &run->next;
        silence->run_count++;
    }
    return !in->bad;
}

/* Everything but its lists; NULL when it is damaged or finds no room. */
static struct watch_instance *
load_instance(struct watch *watch, struct watch_key *key, struct loader *in)
{
    bool silence = watch->parts[key->rule]->silence;
    struct watch_instance *instance =
        watch_alloc(watch, silence ? sizeof(struct watch_silence) : sizeof(struct watch_instance));
    if (instance == NULL) {
        return NULL;
    }
    uint32_t flags = load_u32(in);
    instance->state = (uint8_t)flags;
    instance->born_late = (flags & INSTANCE_BORN_LATE) != 0;
    instance->told_late = (flags & INSTANCE_TOLD_LATE) != 0;
    instance->key = key;
    instance->generation = load_u32(in);
    instance->start = load_i64(in);
    instance->last_seen = load_i64(in);
    instance->deadline = load_i64(in);
    instance->within_us = load_i64(in);
    instance->created.us = load_i64(in);
    instance->ended.us = load_i64(in);
    instance->decided_at = load_u64(in);
    if (watch_keeps_firing(instance, silence)) {
        instance->fired.us = load_i64(in);
    } else {
        instance->place = load_log_place(in);
    }
    if (silence) {
        watch_silence_of(instance)->told = (flags & INSTANCE_TOLD) != 0;
        watch_silence_of(instance)->lo = load_i64(in);
        watch_silence_of(instance)->told_start = load_i64(in);
        if (!load_runs(watch, watch_silence_of(instance), in)) {
            return NULL;
        }
    }
    bool good = !in->bad && instance->state > TIMEOUT_ABSENT && instance->state < WATCH_STATES;
    return good ? instance : NULL;
}

static bool load_pending(struct watch *watch,
                         struct watch_key *key,
                         const struct watch_rule *rule,
                         struct loader *in)
{
    struct watch_part *part = watch->parts[key->rule];
    struct watch_instance *instance = load_instance(watch, key, in);
    if (instance == NULL || instance->state != TIMEOUT_PENDING || !due_reserve(&part->deadlines) ||
        key->open_count == WATCH_PER_KEY_MAX) {
        return false;
    }
    watch_list_open(instance);
    part->counts[TIMEOUT_PENDING]++;
    due_add(&part->deadlines, &instance->node, time_add(instance->deadline, rule->rule.grace_us));
    return true;
}

/* The key is held until all is loaded, whatever has to be given up on the way. */
static bool
load_key(struct watch *watch, const struct watch_rule *rules, uint32_t rule_end, struct loader *in)
{
    uint32_t rule = load_u32(in);
    uint64_t hash = load_u64(in);
    uint32_t len = load_u32(in);
    if (in->bad || rule >= rule_end || watch->parts[rule] == NULL || len > WATCH_KEY_MAX) {
        return false;
    }
    struct watch_key *key = watch_key_new(watch, rule, hash, len);
    if (key == NULL) {
        return false;
    }
    load_bytes(in, key->text, len);
    key->place = watch->place_count;
    if (in->bad || watch_key_find(watch, rule, hash, watch_key_text(key)) != NULL) {
        return false;
    }
    watch->place_count++;
    watch_key_file(watch, key);
    key->signal_count = 1;
    uint32_t pending = load_u32(in);
    for (uint32_t n = 0; n < pending; n++) {
        if (in->bad || !load_pending(watch, key, &rules[rule], in)) {
            return false;
        }
    }
    return !in->bad;
}

static bool load_places(struct watch *watch,
                        const struct watch_rule *rules,
                        uint32_t rule_end,
                        struct loader *in)
{
    uint32_t count = load_u32(in);
    uint32_t free_first = load_u32(in);
    for (uint32_t place = 0; place < count; place++) {
        if (in->bad || !watch_reserve_place(watch)) {
            return false;
        }
        if (load_u32(in) == PLACE_FREE) {
            watch->places[watch->place_count++] = (struct watch_place){.next_free = load_u32(in)};
        } else if (!load_key(watch, rules, rule_end, in)) {
            return false;
        }
    }
    watch->free_first = free_first;
    /* Each free place is in the list once. */
    uint32_t free_count = 0;
    while (free_first < count && watch->places[free_first].key == NULL && free_count < count) {
        free_count++;
        free_first = watch->places[free_first].next_free;
    }
    return free_first == WATCH_PLACE_NONE && free_count + watch->key_count == count;
}

static struct watch_key *key_at(const struct watch *watch, uint32_t place)
{
    return place < watch->place_count ? watch->places[place].key : NULL;
}

static bool load_signal(struct watch *watch, struct watch_part *part, struct loader *in)
{
    int64_t due_time = load_i64(in);
    struct watch_key *key = key_at(watch, load_u32(in));
    uint32_t flags = load_u32(in);
    struct watch_signal *signal = watch_alloc(watch, sizeof(*signal));
    if (in->bad || key == NULL || watch->parts[key->rule] != part || signal == NULL ||
        !due_reserve(&part->signals)) {
        return false;
    }
    signal->kind = (uint8_t)flags;
    signal->kept = (flags & SIGNAL_KEPT) != 0;
    signal->late = (flags & SIGNAL_LATE) != 0;
    signal->key = key;
    signal->time = load_i64(in);
    signal->within_us = load_i64(in);
    signal->place = load_log_place(in);
    key->signal_count++;
    if (signal->kept) {
        watch_list_kept(signal);
    }
    uint32_t at = part->signals.count;
    due_add(&part->signals, &signal->node, due_time);
    bool good = signal->kind >= SIGNAL_START && signal->kind <= SIGNAL_CANCEL;
    return !in->bad && good && signal->node.at == at + 1; /* it was a heap: it stays where it was */
}

static bool load_parts(struct watch *watch, struct loader *in)
{
    for (uint32_t place = 0; place < RULES_MAX; place++) {
        struct watch_part *part = watch->parts[place];
        if (part == NULL) {
            continue;
        }
        part->fired = load_u64(in);
        part->retracted = load_u64(in);
        part->lost = load_u64(in);
        part->unusable = load_u64(in);
        uint32_t count = load_u32(in);
        for (uint32_t n = 0; n < count; n++) {
            if (in->bad || !load_signal(watch, part, in)) {
                return false;
            }
        }
    }
    return !in->bad;
}

static bool load_ended(struct watch *watch, struct loader *in)
{
    uint64_t count = load_u64(in);
    for (uint64_t n = 0; n < count && !in->bad; n++) {
        struct watch_key *key = key_at(watch, load_u32(in));
        struct watch_instance *instance =
            in->bad || key == NULL ? NULL : load_instance(watch, key, in);
        if (instance == NULL || instance->state == TIMEOUT_PENDING) {
            return false;
        }
        watch->parts[key->rule]->counts[instance->state]++;
        watch_list_ended(watch, instance);
        if (watch->parts[key->rule]->silence) {
            watch_list_open(instance);
        } else {
            watch_list_ended_of_key(instance);
        }
    }
    return !in->bad;
}

bool watch_load(struct watch *watch,
                const struct watch_rule *rules,
                uint32_t rule_end,
                struct loader *in)
{
    for (uint32_t place = 0; place < rule_end; place++) {
        if (rules[place].id != 0) {
            watch_add_rule(watch, place, &rules[place].rule);
        }
    }
    watch->more_due = load_u32(in) != 0;
    if (in->bad || !load_places(watch, rules, rule_end, in) || !load_parts(watch, in) ||
        !load_ended(watch, in)) {
        return false;
    }
    for (uint32_t place = 0; place < watch->place_count; place++) {
        struct watch_key *key = watch->places[place].key;
        if (key != NULL) {
            key->signal_count--;
            watch_key_settle(watch, key);
        }
    }
    return true;
}

/* --- invariants --- */

static size_t validate_runs(const struct watch_silence *silence, int64_t every_us)
{
    int64_t hi = silence->instance.start;
    uint32_t count = 0;
    CHECK(silence->lo <= hi);
    for (const struct watch_run *run = silence->runs; run != NULL; run = run->next) {
        CHECK(run->lo > time_add(hi, every_us));
        CHECK(run->lo <= run->hi);
        hi = run->hi;
        count++;
    }
    CHECK(count == silence->run_count);
    CHECK(count == 0 || silence->instance.state == TIMEOUT_PENDING);
    return count * heap_class_size(sizeof(struct watch_run));
}

/* What a list of instances takes. */
static size_t validate_instances(const struct watch *watch,
                                 const struct watch_key *key,
                                 const struct watch_rule *rule,
                                 bool open)
{
    const struct watch_part *part = watch->parts[key->rule];
    struct watch_instance *previous = NULL;
    uint32_t count = 0;
    size_t bytes = 0;
    for (struct watch_instance *at = open ? key->open_first : key->ended_first; at != NULL;
         at = at->next) {
        CHECK(at->key == key && at->previous == previous);
        CHECK(previous == NULL || previous->start < at->start);
        bool pending = at->state == TIMEOUT_PENDING;
        CHECK(pending == (at->node.at != 0));
        CHECK(pending == open || (part->silence && at->state == TIMEOUT_FIRED));
        if (pending) {
            int64_t due = part->deadlines.entries[at->node.at - 1].time;
            CHECK(due <= time_add(at->deadline, rule->rule.grace_us));
        }
        bytes += heap_class_size(watch_instance_bytes(&rule->rule));
        if (part->silence) {
            bytes += validate_runs(watch_silence_of(at), rule->rule.within_us);
        }
        previous = at;
        count++;
    }
    CHECK(previous == (open ? key->open_last : key->ended_last));
    CHECK(count == (open ? key->open_count : key->ended_count));
    CHECK(count <= WATCH_PER_KEY_MAX);
    return bytes;
}

static void validate_kept(const struct watch_key *key)
{
    uint32_t count = 0;
    const struct watch_signal *previous = NULL;
    for (const struct watch_signal *at = key->kept; at != NULL; at = at->next) {
        CHECK(at->kept && at->key == key && at->node.at != 0);
        CHECK(previous == NULL || previous->time <= at->time);
        previous = at;
        count++;
    }
    CHECK(count == key->kept_count && previous == key->kept_last);
}

static void validate_ended(const struct watch *watch, uint64_t counts[WATCH_STATES])
{
    uint64_t count = 0;
    const struct watch_instance *older = NULL;
    for (const struct watch_instance *at = watch->ended_first; at != NULL; at = at->newer) {
        CHECK(at->older == older);
        CHECK(older == NULL || older->ended.us <= at->ended.us);
        CHECK(at->state != TIMEOUT_PENDING);
        counts[at->state]++;
        older = at;
        count++;
    }
    CHECK(older == watch->ended_last);
    CHECK(count == watch->ended_count);
}

void watch_validate(const struct watch *watch, const struct watch_rule *rules, uint32_t rule_end)
{
    size_t bytes = 0;
    uint64_t keys = 0;
    uint64_t signals = 0;
    for (uint32_t place = 0; place < watch->place_count; place++) {
        const struct watch_key *key = watch->places[place].key;
        if (key == NULL) {
            continue;
        }
        CHECK(key->place == place && key->rule < rule_end);
        CHECK(watch_key_find(watch, key->rule, key->hash, watch_key_text(key)) == key);
        CHECK(key->signal_count + key->open_count + key->ended_count > 0);
        CHECK(key->kept_count <= key->signal_count);
        const struct watch_rule *rule = &rules[key->rule];
        bytes += heap_class_size(sizeof(*key) + key->len);
        bytes += validate_instances(watch, key, rule, true);
        bytes += validate_instances(watch, key, rule, false);
        bytes += key->signal_count * heap_class_size(sizeof(struct watch_signal));
        validate_kept(key);
        signals += key->signal_count;
        keys++;
    }
    CHECK(keys == watch->key_count);
    CHECK(bytes == watch->bytes && bytes <= watch->limits.bytes_max);
    uint64_t ended[WATCH_STATES] = {0};
    uint64_t told[WATCH_STATES] = {0};
    validate_ended(watch, ended);
    for (uint32_t place = 0; place < RULES_MAX; place++) {
        const struct watch_part *part = watch->parts[place];
        CHECK((part != NULL) == (place < rule_end && rules[place].id != 0));
        if (part != NULL) {
            due_validate(&part->signals);
            due_validate(&part->deadlines);
            CHECK(part->counts[TIMEOUT_PENDING] == part->deadlines.count);
            signals -= part->signals.count;
            for (uint32_t state = 0; state < WATCH_STATES; state++) {
                told[state] += state == TIMEOUT_PENDING ? 0 : part->counts[state];
            }
        }
    }
    CHECK(signals == 0);
    CHECK(memcmp(told, ended, sizeof(told)) == 0);
}
