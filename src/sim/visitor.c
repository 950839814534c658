#include "sim/visitor.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/hash.h"
#include "host/result.h"
#include "lang/lang.h"
#include "sim/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_FIRST   1024
#define ROWS_LIMIT   100000
#define TEXT_BYTES   16
#define READ_PATIENT (2 * US_PER_SECOND)
#define DROP_ONCE_IN 30

enum errand_kind {
    ERRAND_PROPOSAL,
    ERRAND_INSPECTION,
    ERRAND_VALUES,
    ERRAND_STATS,
    ERRAND_LATE,
    ERRAND_SCAN,
};

struct errand {
    enum errand_kind kind;
    uint32_t recipe;
    bool answered;
    struct proposal proposal;
    struct inspection inspection;
    struct query query;
    struct scan scan;
    char name[TEXT_BYTES];
    size_t definition_len;
    uint8_t definition[DEFINITION_BYTES_MAX];
};

bool visitor_init(struct visitor *visitor,
                  const struct plan *plan,
                  struct choice *choice,
                  const struct journal *journal)
{
    *visitor = (struct visitor){.plan = plan, .choice = choice, .journal = journal};
    visitor->seen = calloc(SEEN_FIRST, sizeof(struct seen_row));
    visitor->seen_capacity = SEEN_FIRST;
    return visitor->seen != NULL;
}

void visitor_free(struct visitor *visitor)
{
    free(visitor->seen);
    visitor->seen = NULL;
}

void visitor_forget(struct visitor *visitor)
{
    memset(visitor->seen, 0, visitor->seen_capacity * sizeof(struct seen_row));
    memset(visitor->counters, 0, sizeof(visitor->counters));
    visitor->seen_count = 0;
}

/* --- errands --- */

static void errand_done(struct letter *letter)
{
    struct errand *errand = letter->user;
    CHECK(!errand->answered);
    errand->answered = true;
}

static struct errand *errand_create(enum errand_kind kind)
{
    bool side = memory_switch(true);
    struct errand *errand = calloc(1, sizeof(*errand));
    memory_switch(side);
    CHECK(errand != NULL);
    errand->kind = kind;
    struct letter letter = {.done = errand_done, .user = errand};
    errand->proposal.letter = letter;
    errand->inspection.letter = letter;
    errand->query.letter = letter;
    errand->scan.letter = letter;
    return errand;
}

void errand_free(struct errand *errand)
{
    bool side = memory_switch(true);
    inspection_free(&errand->inspection);
    query_free(&errand->query);
    scan_free(&errand->scan);
    free(errand);
    memory_switch(side);
}

bool errand_answered(const struct errand *errand)
{
    return errand->answered;
}

const struct query *errand_query(const struct errand *errand)
{
    return &errand->query;
}

/* Hands it to the engine; what the gateway doesn't take is dropped, and NULL returned. */
static struct errand *go(struct visitor *visitor, struct process *process, struct errand *errand)
{
    struct gateway *gateway = process->gateways[0];
    enum err err = OK;
    bool side = memory_switch(true);
    switch (errand->kind) {
    case ERRAND_PROPOSAL:
        err = gateway_propose(gateway, &errand->proposal);
        break;
    case ERRAND_INSPECTION:
        err = gateway_inspect(gateway, &errand->inspection);
        break;
    case ERRAND_VALUES:
    case ERRAND_STATS:
    case ERRAND_LATE:
        err = gateway_query(gateway, &errand->query);
        break;
    case ERRAND_SCAN:
        err = gateway_scan(gateway, &errand->scan);
        break;
    }
    memory_switch(side);
    if (err != OK) {
        errand_free(errand);
        return NULL;
    }
    visitor->asked++;
    return errand;
}

static struct errand *ask(struct visitor *visitor,
                          struct process *process,
                          enum errand_kind kind,
                          const struct recipe *recipe,
                          uint64_t min_as_of)
{
    struct errand *errand = errand_create(kind);
    struct query *query = &errand->query;
    query->kind = kind == ERRAND_STATS  ? QUERY_STATS
                  : kind == ERRAND_LATE ? QUERY_LATE
                                        : QUERY_VALUES;
    if (recipe != NULL) {
        errand->recipe = (uint32_t)(recipe - visitor->plan->recipes);
        (void)snprintf(errand->name, sizeof(errand->name), "%s", recipe->name);
        query->metric = bytes_of_string(errand->name);
    }
    query->from = INT64_MIN;
    query->to = INT64_MAX;
    query->limit = ROWS_LIMIT;
    query->min_as_of = min_as_of;
    query->deadline.us = machine_wall_us(process->machine) + READ_PATIENT;
    return go(visitor, process, errand);
}

struct errand *visitor_ask_values(struct visitor *visitor,
                                  struct process *process,
                                  const struct recipe *recipe,
                                  uint64_t min_as_of)
{
    return ask(visitor, process, ERRAND_VALUES, recipe, min_as_of);
}

struct errand *visitor_ask_stats(struct visitor *visitor, struct process *process)
{
    return ask(visitor, process, ERRAND_STATS, NULL, 0);
}

static struct errand *define(struct visitor *visitor, struct process *process, uint32_t number)
{
    static uint8_t memory[LANG_ARENA_BYTES];
    char text[512];
    struct arena arena = arena_of(memory, sizeof(memory));
    struct statement statement;
    struct error error = {0};
    struct bytes sql = recipe_sql(&visitor->plan->recipes[number], text, sizeof(text));
    enum err err = lang_parse(sql, &arena, &statement, &error);
    CHECK(err == OK && statement.kind == STATEMENT_CREATE_METRIC);
    struct errand *errand = errand_create(ERRAND_PROPOSAL);
    struct buf out = buf_of(errand->definition, sizeof(errand->definition));
    definition_put(&out, &statement.definition);
    CHECK(!out.overflow);
    (void)snprintf(errand->name, sizeof(errand->name), "%s", visitor->plan->recipes[number].name);
    errand->recipe = number;
    errand->proposal.kind = PROPOSE_DEFINE;
    errand->proposal.name = bytes_of_string(errand->name);
    errand->proposal.definition = buf_bytes(&out);
    errand->proposal.mode = DEFINE_CREATE;
    return go(visitor, process, errand);
}

static struct errand *define_rule(struct visitor *visitor, struct process *process, uint32_t number)
{
    static uint8_t memory[LANG_ARENA_BYTES];
    char text[512];
    struct arena arena = arena_of(memory, sizeof(memory));
    struct statement statement;
    struct error error = {0};
    struct bytes sql = rule_sql(visitor->plan, number, text, sizeof(text));
    enum err err = lang_parse(sql, &arena, &statement, &error);
    CHECK(err == OK && statement.kind == STATEMENT_CREATE_RULE);
    struct errand *errand = errand_create(ERRAND_PROPOSAL);
    struct buf out = buf_of(errand->definition, sizeof(errand->definition));
    rule_put(&out, &statement.rule);
    CHECK(!out.overflow);
    (void)snprintf(errand->name, sizeof(errand->name), "r%u", number);
    errand->recipe = number;
    errand->proposal.kind = PROPOSE_RULE_DEFINE;
    errand->proposal.name = bytes_of_string(errand->name);
    errand->proposal.definition = buf_bytes(&out);
    errand->proposal.mode = DEFINE_CREATE;
    return go(visitor, process, errand);
}

/* Defines the next rule that is not there; false: all are. */
static bool
define_next_rule(struct visitor *visitor, struct process *process, struct errand **place)
{
    for (uint32_t n = 0; n < visitor->plan->rule_count; n++) {
        if (!visitor->rule_defined[n]) {
            *place = define_rule(visitor, process, n);
            return true;
        }
    }
    return false;
}

/* Drops a rule, once in a while. */
static bool drop_rule(struct visitor *visitor, struct process *process, struct errand **place)
{
    const struct plan *plan = visitor->plan;
    uint32_t number =
        plan->rule_count == 0 ? 0 : choose(visitor->choice, CHOICE_RULES, plan->rule_count);
    if (plan->rule_count == 0 || !plan->rules[number].droppable || visitor->rule_going[number] ||
        visitor->only_questions || !choose_once_in(visitor->choice, CHOICE_RULES, DROP_ONCE_IN)) {
        return false;
    }
    struct errand *errand = errand_create(ERRAND_PROPOSAL);
    (void)snprintf(errand->name, sizeof(errand->name), "r%u", number);
    errand->recipe = number;
    errand->proposal.kind = PROPOSE_RULE_DROP;
    errand->proposal.name = bytes_of_string(errand->name);
    *place = go(visitor, process, errand);
    visitor->rule_going[number] = *place != NULL;
    return true;
}

static struct errand *command_source(struct visitor *visitor, struct process *process)
{
    struct choice *choice = visitor->choice;
    struct errand *errand = errand_create(ERRAND_PROPOSAL);
    struct proposal *proposal = &errand->proposal;
    uint32_t source = choose(choice, CHOICE_CLIENTS, visitor->plan->source_count);
    (void)snprintf(errand->name, sizeof(errand->name), "s%u", source);
    proposal->name = bytes_of_string(errand->name);
    switch (choose(choice, CHOICE_CLIENTS, 6)) {
    case 0:
    case 1:
        proposal->kind = PROPOSE_SOURCE;
        proposal->source = (struct source){
            .kind = choose_once_in(choice, CHOICE_CLIENTS, 3) ? LANE_EXPLICIT : LANE_BOUNDED,
            .disorder_us = (int64_t)choose(choice, CHOICE_CLIENTS, 60) * US_PER_SECOND,
            .idle_after_us =
                (int64_t)choose_magnitude(choice, CHOICE_CLIENTS, 1, 600) * US_PER_SECOND,
            .max_future_skew_us = TIDE_FUTURE_SKEW_US};
        break;
    case 2:
        proposal->kind = PROPOSE_FORGET;
        break;
    default:
        proposal->kind = PROPOSE_LANE;
        proposal->command = (enum lane_command_kind)choose(choice, CHOICE_CLIENTS, 3);
        proposal->time = machine_wall_us(process->machine) -
                         (int64_t)choose(choice, CHOICE_CLIENTS, 120) * US_PER_SECOND;
        break;
    }
    return go(visitor, process, errand);
}

static struct errand *command(struct visitor *visitor, struct process *process)
{
    struct choice *choice = visitor->choice;
    uint32_t number = choose(choice, CHOICE_CLIENTS, (uint32_t)visitor->plan->recipe_count);
    uint32_t what = choose(choice, CHOICE_CLIENTS, 8);
    if (what < 4) {
        return define(visitor, process, number);
    }
    if (what == 4 && plan_droppable(number) && visitor->plan->commands) {
        struct errand *errand = errand_create(ERRAND_PROPOSAL);
        (void)snprintf(errand->name, sizeof(errand->name), "m%u", number);
        errand->proposal.kind = PROPOSE_DROP;
        errand->proposal.name = bytes_of_string(errand->name);
        return go(visitor, process, errand);
    }
    if (what == 5 && visitor->plan->commands) {
        struct errand *errand = errand_create(ERRAND_PROPOSAL);
        errand->proposal.kind = PROPOSE_SNAPSHOT;
        return go(visitor, process, errand);
    }
    return visitor->plan->lanes ? command_source(visitor, process) : NULL;
}

static struct errand *question(struct visitor *visitor, struct process *process)
{
    struct choice *choice = visitor->choice;
    uint32_t number = choose(choice, CHOICE_CLIENTS, (uint32_t)visitor->plan->recipe_count);
    switch (choose(choice, CHOICE_CLIENTS, 8)) {
    case 0:
        return ask(visitor, process, ERRAND_STATS, NULL, 0);
    case 1:
        return ask(visitor, process, ERRAND_LATE, NULL, 0);
    case 2: {
        struct errand *errand = errand_create(ERRAND_SCAN);
        errand->scan.kind = SCAN_EVENTS;
        errand->scan.from = INT64_MIN;
        errand->scan.to = INT64_MAX;
        errand->scan.limit = 50;
        errand->scan.deadline.us = machine_wall_us(process->machine) + READ_PATIENT;
        return go(visitor, process, errand);
    }
    case 3: {
        struct errand *errand = errand_create(ERRAND_INSPECTION);
        errand->inspection.kind = (enum inspection_kind)choose(choice, CHOICE_CLIENTS, 3);
        return go(visitor, process, errand);
    }
    default: {
        /* Now and then of what was acknowledged last: it must be waited for. */
        size_t count = visitor->journal->frame_count;
        bool fresh = count > 0 && choose_once_in(choice, CHOICE_CLIENTS, 3);
        uint64_t as_of = fresh ? visitor->journal->frames[count - 1].end : 0;
        return ask(visitor, process, ERRAND_VALUES, &visitor->plan->recipes[number], as_of);
    }
    }
}

/* --- what was seen --- */

static struct seen_row *seen_slot(struct seen_row *rows, size_t capacity, uint64_t key)
{
    size_t at = key & (capacity - 1);
    while (rows[at].used && rows[at].key != key) {
        at = (at + 1) & (capacity - 1);
    }
    return &rows[at];
}

static struct seen_row *seen_find(struct visitor *visitor, uint64_t key)
{
    if (2 * visitor->seen_count >= visitor->seen_capacity) {
        size_t capacity = 2 * visitor->seen_capacity;
        struct seen_row *grown = calloc(capacity, sizeof(*grown));
        CHECK(grown != NULL);
        for (size_t n = 0; n < visitor->seen_capacity; n++) {
            if (visitor->seen[n].used) {
                *seen_slot(grown, capacity, visitor->seen[n].key) = visitor->seen[n];
            }
        }
        free(visitor->seen);
        visitor->seen = grown;
        visitor->seen_capacity = capacity;
    }
    return seen_slot(visitor->seen, visitor->seen_capacity, key);
}

static int64_t first_number(struct bytes results)
{
    struct reader in = reader_of(results);
    struct value value = {0};
    CHECK(value_read(&in, &value));
    return value.kind == VALUE_NUMBER ? (int64_t)(value.nano / 1000000000) : 0;
}

static void complain(struct visitor *visitor, const struct errand *errand, const char *what)
{
    if (visitor->finding.text[0] == '\0') {
        (void)snprintf(visitor->finding.text,
                       sizeof(visitor->finding.text),
                       "%s (metric %s)",
                       what,
                       errand->name);
    }
}

static void
look_at_row(struct visitor *visitor, const struct errand *errand, const struct result_row *row)
{
    uint64_t key = hash64(row->group_key, (uint64_t)row->window_start * 31 + errand->recipe);
    struct seen_row now = {.key = key,
                           .digest = hash64(row->results, 1),
                           .count = first_number(row->results),
                           .revision = row->revision,
                           .flags = row->flags,
                           .used = true};
    struct seen_row *seen = seen_find(visitor, key);
    if (!seen->used) {
        visitor->seen_count++;
        *seen = now;
        return;
    }
    if (now.count < seen->count) {
        complain(visitor, errand, "a count fell");
    } else if ((seen->flags & ~now.flags & (RESULT_CLOSED | RESULT_FINAL)) != 0) {
        complain(visitor, errand, "a closed window was opened again");
    } else if ((seen->flags & RESULT_FINAL) != 0 && now.digest != seen->digest) {
        complain(visitor, errand, "a final row changed");
    } else if (now.revision < seen->revision) {
        complain(visitor, errand, "a revision fell");
    }
    *seen = now;
}

/* Lanes that are reopened may take closedness back: that is what reopening means. */
static bool remembered(const struct visitor *visitor, const struct errand *errand)
{
    return !plan_droppable(errand->recipe) && !visitor->plan->lanes;
}

static void look_at_values(struct visitor *visitor, const struct errand *errand)
{
    const struct query *query = &errand->query;
    for (uint32_t n = 0; n < query->runner_count; n++) {
        const struct query_answer *answer = &query->answers[n];
        if (answer->err != OK) {
            continue;
        }
        if (answer->as_of < query->min_as_of) {
            complain(visitor, errand, "an answer is older than was asked for");
        }
        struct reader rows = reader_of(buf_bytes(&answer->rows));
        struct result_row row;
        while (remembered(visitor, errand) && result_next(&rows, &row)) {
            look_at_row(visitor, errand, &row);
        }
    }
}

static void look_at_stats(struct visitor *visitor, const struct errand *errand)
{
    static const char *const names[] = {"unique", "duplicates"};
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        int64_t sum = visitor_stats_sum(&errand->query, names[n], "");
        if (sum >= 0 && (uint64_t)sum < visitor->counters[n]) {
            complain(visitor, errand, names[n]);
        }
        visitor->counters[n] = sum >= 0 ? (uint64_t)sum : visitor->counters[n];
    }
}

static void look_at(struct visitor *visitor, const struct errand *errand)
{
    visitor->answered++;
    switch (errand->kind) {
    case ERRAND_PROPOSAL:
        if (errand->proposal.kind == PROPOSE_DEFINE && errand->proposal.err == OK) {
            visitor->defined[errand->recipe] = true;
        }
        if (errand->proposal.kind == PROPOSE_RULE_DEFINE && errand->proposal.err == OK) {
            visitor->rule_defined[errand->recipe] = true;
        }
        if (errand->proposal.kind == PROPOSE_RULE_DROP) {
            visitor->rule_defined[errand->recipe] = false;
            visitor->rule_going[errand->recipe] = false;
        }
        break;
    case ERRAND_VALUES:
        look_at_values(visitor, errand);
        break;
    case ERRAND_STATS:
        look_at_stats(visitor, errand);
        break;
    case ERRAND_INSPECTION:
    case ERRAND_LATE:
    case ERRAND_SCAN:
        break;
    }
}

int64_t visitor_stats_sum(const struct query *query, const char *counter, const char *metric)
{
    int64_t sum = 0;
    for (uint32_t n = 0; n < query->runner_count; n++) {
        struct reader in = reader_of(buf_bytes(&query->answers[n].rows));
        if (query->answers[n].err != OK) {
            return -1;
        }
        while (reader_left(&in) > 0) {
            (void)read_u32(&in);
            struct bytes name = read_string(&in);
            struct bytes of = read_string(&in);
            int64_t value = read_i64(&in);
            CHECK(!in.bad);
            bool wanted = bytes_equal(name, bytes_of_string(counter)) &&
                          bytes_equal(of, bytes_of_string(metric));
            sum += wanted ? value : 0;
        }
    }
    return sum;
}

/* --- turns --- */

static struct errand **free_place(struct visitor *visitor)
{
    struct errand **place = NULL;
    for (size_t n = 0; n < VISITOR_ERRANDS_MAX; n++) {
        struct errand *errand = visitor->errands[n];
        if (errand != NULL && errand->answered) {
            look_at(visitor, errand);
            errand_free(errand);
            visitor->errands[n] = NULL;
        }
        place = visitor->errands[n] == NULL ? &visitor->errands[n] : place;
    }
    return place;
}

static bool may_ask(const struct process *process)
{
    return process->state == PROCESS_READY && gateway_ready(process->gateways[0]);
}

void visitor_act(struct visitor *visitor, struct process *process)
{
    struct errand **place = free_place(visitor);
    if (process->machine->now_us < visitor->next_at) {
        return;
    }
    /* The simplest choice is the longest rest. */
    uint32_t mean_ms = visitor->plan->command_every_ms;
    uint32_t wait_ms = 2 * mean_ms - choose(visitor->choice, CHOICE_CLIENTS, 2 * mean_ms);
    visitor->next_at = process->machine->now_us + (int64_t)wait_ms * 1000;
    if (place == NULL || !may_ask(process)) {
        return;
    }
    if (define_next_rule(visitor, process, place) || drop_rule(visitor, process, place)) {
        return;
    }
    bool asks = visitor->only_questions ||
                (visitor->plan->questions && choose(visitor->choice, CHOICE_CLIENTS, 2) == 1);
    *place = asks ? question(visitor, process) : command(visitor, process);
}

int64_t visitor_next(const struct visitor *visitor)
{
    return visitor->next_at;
}

void visitor_bereaved(struct visitor *visitor)
{
    memset(visitor->errands, 0, sizeof(visitor->errands));
    for (uint32_t n = 0; n < visitor->plan->rule_count; n++) {
        visitor->rule_defined[n] = visitor->rule_defined[n] && !visitor->rule_going[n];
        visitor->rule_going[n] = false;
    }
}

bool visitor_define_all(struct visitor *visitor, struct process *process)
{
    bool all = true;
    struct errand **place = free_place(visitor);
    for (uint32_t n = 0; n < visitor->plan->recipe_count; n++) {
        all = all && visitor->defined[n];
        if (!visitor->defined[n] && place != NULL && *place == NULL && may_ask(process)) {
            *place = define(visitor, process, n);
        }
    }
    return all;
}
