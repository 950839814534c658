#include "sim/judge_instances.h"

#include "host/read.h"
#include "host/timeout_rows.h"
#include "sim/log_reader.h"
#include "sim/question.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE       1000
#define NAME_BYTES 16

static uint64_t log_end(const struct run *run)
{
    size_t count = run->journal.frame_count;
    return count == 0 ? 0 : run->journal.frames[count - 1].end;
}

/* Rows into a book. */
static bool take_rows(struct run *run, struct timer_book *book, struct bytes bytes, uint64_t *seen)
{
    struct reader rows = reader_of(bytes);
    struct timeout_row row;
    while (timeout_row_next(&rows, &row)) {
        if (!timer_book_watched(book, &row)) {
            return finding_say(&run->finding, "an instance has a key that nobody used");
        }
        seen[row.object.state]++;
    }
    return !rows.bad || finding_say(&run->finding, "a page of instances can't be read");
}

static bool
read_partition(struct run *run, struct bytes name, uint32_t partition, uint64_t *seen, bool *known)
{
    uint32_t place = 0;
    while (place != UINT32_MAX) {
        const struct query asked = {.kind = QUERY_WATCHES,
                                    .metric = name,
                                    .partition = partition,
                                    .timeout_place = place,
                                    .due_before = INT64_MAX,
                                    .min_as_of = log_end(run),
                                    .limit = PAGE};
        enum err why = OK;
        struct question *question = question_ask(run, &asked, &why);
        if (question == NULL) {
            *known = why != ERR_UNKNOWN_RULE;
            return !*known || finding_say(&run->finding, "instances were not shown");
        }
        place = UINT32_MAX;
        bool good = true;
        for (uint32_t n = 0; good && n < question->query.runner_count; n++) {
            const struct query_answer *answer = &question->query.answers[n];
            place = answer->next_place < place ? answer->next_place : place;
            good = take_rows(run, &run->timers.book, buf_bytes(&answer->rows), seen);
        }
        question_free(question);
        if (!good) {
            return false;
        }
    }
    return true;
}

static bool counts_are(struct run *run, struct bytes name, const uint64_t *seen)
{
    uint64_t counts[TIMEOUT_STATES] = {0};
    const struct query asked = {.kind = QUERY_TIMEOUT_COUNTS, .metric = name};
    struct question *question = question_ask(run, &asked, NULL);
    if (question == NULL) {
        return finding_say(&run->finding, "instances were not counted");
    }
    question_counts(question, counts);
    question_free(question);
    for (uint32_t state = 1; state < TIMEOUT_STATES; state++) {
        if (counts[state] != seen[state]) {
            return finding_say(&run->finding,
                               "%.*s: %llu instances are counted in state %u, %llu are shown",
                               (int)name.len,
                               (const char *)name.data,
                               (unsigned long long)counts[state],
                               state,
                               (unsigned long long)seen[state]);
        }
    }
    return true;
}

static bool read_rule(struct run *run, uint32_t number)
{
    struct timer_book *book = &run->timers.book;
    char text[NAME_BYTES];
    (void)snprintf(text, sizeof(text), "r%u", number);
    struct bytes name = bytes_of_string(text);
    uint64_t seen[TIMEOUT_STATES] = {0};
    const struct watch_sight sight = {
        .rule = number, .whole = true, .at_least = log_end(run), .at_most = log_end(run)};
    timer_book_watch(book, &sight);
    bool known = true;
    bool good = true;
    for (uint32_t n = 0; good && known && n < run->plan.process.partitions; n++) {
        good = read_partition(run, name, n, seen, &known);
    }
    good = good && (!known || counts_are(run, name, seen));
    if (!known || log_end(run) != sight.at_most) {
        book->watch_sight_count--; /* of several moments, or of none */
    }
    return good;
}

bool judge_instances_read(struct run *run)
{
    bool good = true;
    for (uint32_t n = 0; good && n < run->plan.rule_count; n++) {
        good = read_rule(run, n);
    }
    return good;
}

/* --- in other batches --- */

static bool same_instance(const struct seen_instance *a, const struct seen_instance *b)
{
    const struct timeout_object *left = &a->object;
    const struct timeout_object *right = &b->object;
    return a->key == b->key && left->state == right->state && left->clock == right->clock &&
           left->deadline == right->deadline && left->event_time.us == right->event_time.us &&
           left->last_seen.us == right->last_seen.us && left->ended.us == right->ended.us &&
           left->fired.us == right->fired.us && left->held == right->held &&
           left->born_late == right->born_late;
}

/* Each of the latter is one of the former. */
static bool
all_seen(const struct seen_instance *live, const struct seen_instance *again, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        bool found = false;
        for (size_t m = 0; !found && m < count; m++) {
            found = same_instance(&live[(n + m) % count], &again[n]);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool read_again(struct run *run,
                       struct engine *engine,
                       const struct watch_sight *sight,
                       struct timer_book *book)
{
    char text[NAME_BYTES];
    uint64_t seen[TIMEOUT_STATES] = {0};
    bool good = true;
    (void)snprintf(text, sizeof(text), "r%u", sight->rule);
    for (uint32_t n = 0; good && n < run->plan.process.partitions; n++) {
        struct query asked = {.kind = QUERY_WATCHES,
                              .metric = bytes_of_string(text),
                              .partition = n,
                              .due_before = INT64_MAX,
                              .limit = UINT32_MAX};
        while (good && asked.timeout_place != UINT32_MAX) {
            struct query_answer answer = {0};
            read_answer(engine, &asked, &answer);
            asked.timeout_place = answer.next_place;
            good = answer.err == OK && take_rows(run, book, buf_bytes(&answer.rows), seen);
            free(answer.rows.data);
            free(answer.definition);
        }
    }
    return good;
}

bool judge_instances_again(struct run *run, struct engine *engine)
{
    const struct timer_book *live = &run->timers.book;
    for (size_t n = 0; n < live->watch_sight_count; n++) {
        const struct watch_sight *sight = &live->watch_sights[n];
        if (!sight->whole || sight->at_most != log_end(run)) {
            continue;
        }
        struct timer_book book = {0};
        timer_book_watch(&book, sight);
        bool same = read_again(run, engine, sight, &book) &&
                    book.watch_sights[0].count == sight->count &&
                    all_seen(live->instances + sight->first, book.instances, sight->count);
        timer_book_free(&book);
        if (!same) {
            return finding_say(
                &run->finding, "the instances of r%u are others in other batches", sight->rule);
        }
    }
    return true;
}
