#include "sim/judge_timers.h"

#include "base/check.h"
#include "base/hash.h"
#include "host/read.h"
#include "host/timeout_rows.h"
#include "sim/judge.h"
#include "sim/judge_instances.h"
#include "sim/log_reader.h"
#include "sim/question.h"

#include <stdlib.h>
#include <string.h>

#define PAGE         1000
#define JUDGED_TIMES 30
#define RESTS_MAX    12

/* --- the feed to its end --- */

/* Reads it all into the book; false: it was not answered. */
static bool read_feed_whole(struct run *run)
{
    struct feed_place after = {0};
    for (bool more = true; more;) {
        struct feed_request *request = feed_ask(&run->process, after, PAGE);
        for (uint32_t turn = 0;
             request != NULL && !feed_answered(request) && turn < QUESTION_TURNS_MAX;
             turn++) {
            question_wait(run);
        }
        if (request == NULL || !feed_answered(request)) {
            return false;
        }
        const struct heard_page *page =
            feed_take(&run->timers.book, &run->journal, request, &run->finding);
        if (page == NULL) {
            return false;
        }
        more = !page->last && page->count > 0;
        if (page->count > 0) {
            after = run->timers.book.notes[page->first + page->count - 1].place;
        }
    }
    return true;
}

/* --- what is there --- */

/* Each row of a page must be what the oracle says; counts them. */
static bool judge_rows(struct run *run,
                       const struct expected_timeouts *expected,
                       struct bytes bytes,
                       uint64_t *seen)
{
    struct reader rows = reader_of(bytes);
    struct timeout_row row;
    while (timeout_row_next(&rows, &row)) {
        uint32_t key = 0;
        const struct expected_change *now = NULL;
        if (text_number(row.key, 't', &key) && key < expected->timer_count) {
            now = expected_now(expected, key);
        }
        if (now == NULL || !timeout_objects_equal(&now->object, &row.object) ||
            now->data_digest != hash64(row.data, 0)) {
            return finding_say(
                &run->finding,
                "timeouts: t%u is shown in state %d, version %llu at the end, and is "
                "in state %d, version %llu",
                key,
                (int)row.object.state,
                (unsigned long long)row.object.version,
                now == NULL ? 0 : (int)now->object.state,
                now == NULL ? 0 : (unsigned long long)now->object.version);
        }
        seen[row.object.state]++;
    }
    return !rows.bad || finding_say(&run->finding, "a page of timeouts can't be read");
}

static bool
judge_states(struct run *run, const struct expected_timeouts *expected, const uint64_t *seen)
{
    for (uint32_t state = 1; state < TIMEOUT_STATES; state++) {
        if (seen[state] != expected->by_state[state]) {
            return finding_say(&run->finding,
                               "timeouts: %llu are shown in state %u, there are %llu",
                               (unsigned long long)seen[state],
                               state,
                               (unsigned long long)expected->by_state[state]);
        }
    }
    return true;
}

static bool judge_partition(struct run *run,
                            const struct expected_timeouts *expected,
                            uint32_t partition,
                            uint64_t *seen)
{
    uint32_t place = 0;
    bool good = true;
    while (good && place != UINT32_MAX) {
        struct query asked = {.kind = QUERY_TIMEOUTS,
                              .partition = partition,
                              .timeout_place = place,
                              .due_before = INT64_MAX,
                              .limit = PAGE};
        struct question *question = question_ask(run, &asked, NULL);
        if (question == NULL) {
            return finding_say(&run->finding, "timeouts were not shown");
        }
        place = UINT32_MAX;
        for (uint32_t n = 0; good && n < question->query.runner_count; n++) {
            const struct query_answer *answer = &question->query.answers[n];
            place = answer->next_place < place ? answer->next_place : place;
            good = judge_rows(run, expected, buf_bytes(&answer->rows), seen);
        }
        question_free(question);
    }
    return good;
}

static bool judge_shown(struct run *run, const struct expected_timeouts *expected)
{
    uint64_t seen[TIMEOUT_STATES] = {0};
    bool good = true;
    for (uint32_t n = 0; good && n < run->plan.process.partitions; n++) {
        good = judge_partition(run, expected, n, seen);
    }
    return good && judge_states(run, expected, seen);
}

static bool judge_counted(struct run *run, const struct expected_timeouts *expected)
{
    uint64_t counts[TIMEOUT_STATES] = {0};
    struct query asked = {.kind = QUERY_TIMEOUT_COUNTS};
    struct question *question = question_ask(run, &asked, NULL);
    if (question == NULL) {
        return finding_say(&run->finding, "timeouts were not counted");
    }
    question_counts(question, counts);
    question_free(question);
    return judge_states(run, expected, counts);
}

/* In peace nothing stays due, by the engine's clock or its watermark (which moves with the clock then),
 * for longer than until the next pulse. */
static bool judge_nothing_due(struct run *run, const struct expected_timeouts *expected)
{
    const struct sequencer *sequencer = &run->process.sequencer;
    int64_t slack_us = run->plan.process.pulse_every_us + US_PER_SECOND;
    int64_t watermark = sequencer->tide.watermark;
    if (expected->due_by_clock < sequencer->clock.us - slack_us) {
        return finding_say(&run->finding,
                           "a timeout was due by the clock at %lld and has not fired at %lld",
                           (long long)expected->due_by_clock,
                           (long long)sequencer->clock.us);
    }
    return watermark == WATERMARK_NONE || expected->due_by_events == INT64_MAX ||
           watermark - slack_us <= expected->due_by_events ||
           finding_say(&run->finding,
                       "a timeout was due by events at %lld and has not fired, W is %lld",
                       (long long)expected->due_by_events,
                       (long long)watermark);
}

static void timers_sum(struct timer_counts *sum, const struct timer_counts *more)
{
    uint64_t *into = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)more;
    for (size_t n = 0; n < sizeof(*sum) / sizeof(uint64_t); n++) {
        into[n] += from[n];
    }
}

static bool judge_once(struct run *run, struct expected_timeouts *expected)
{
    struct timer_book *book = &run->timers.book;
    size_t first = book->note_count;
    if (!read_feed_whole(run)) {
        return finding_say(&run->finding, "the feed was not answered");
    }
    if (!judge_instances_read(run)) {
        return false;
    }
    struct history history = judge_history(run);
    return oracle_timeouts(
               &history, book->notes + first, book->note_count - first, expected, &run->finding) &&
           oracle_rules_hold(
               &history, book->notes + first, book->note_count - first, expected, &run->finding) &&
           oracle_feed_holds(&history, expected, &run->finding) &&
           oracle_sights_hold(&history, expected, &run->finding) && judge_shown(run, expected) &&
           judge_counted(run, expected) && judge_nothing_due(run, expected);
}

/* What waits for the clock of some lanes keeps pulses coming until it is reached: longer each time. */
static void rest(struct run *run, uint32_t times)
{
    uint32_t turns = 1u << (times < RESTS_MAX ? times : RESTS_MAX);
    for (uint32_t n = 0; n < turns; n++) {
        question_wait(run);
    }
}

bool judge_timers(struct run *run, struct expected_timeouts *expected)
{
    *expected = (struct expected_timeouts){0};
    bool good = run->plan.timers.client_count == 0;
    for (uint32_t n = 0; !good && n < JUDGED_TIMES; n++) {
        size_t frames = run->journal.frame_count;
        oracle_timeouts_free(expected);
        good = judge_once(run, expected);
        if (!good && run->journal.frame_count == frames) {
            return false;
        }
        if (run->journal.frame_count > frames) { /* something fired meanwhile */
            good = false;
            run->finding.text[0] = '\0';
            rest(run, n);
        }
    }
    timers_sum(&run->counts.timers, &expected->counts);
    return good || finding_say(&run->finding, "timeouts never rest");
}

/* --- in other batches --- */

static bool
judge_rows_again(struct run *run, const struct expected_timeouts *expected, struct engine *engine)
{
    uint64_t seen[TIMEOUT_STATES] = {0};
    bool good = true;
    for (uint32_t n = 0; good && n < run->plan.process.partitions; n++) {
        struct query asked = {
            .kind = QUERY_TIMEOUTS, .partition = n, .due_before = INT64_MAX, .limit = UINT32_MAX};
        while (good && asked.timeout_place != UINT32_MAX) {
            struct query_answer answer = {0};
            read_answer(engine, &asked, &answer);
            asked.timeout_place = answer.next_place;
            good = judge_rows(run, expected, buf_bytes(&answer.rows), seen);
            free(answer.rows.data);
        }
    }
    return good && judge_states(run, expected, seen);
}

/* The feed's last notes, in the order in which the live engine told them. */
static bool judge_feed_again(struct run *run, struct engine *engine)
{
    const struct timer_book *book = &run->timers.book;
    const struct heard_page *pages = book->pages;
    size_t at = book->page_count;
    while (at > 0 && pages[at - 1].after.ordinal != 0) {
        at--;
    }
    CHECK(at > 0);
    size_t next = pages[at - 1].first;
    size_t end = pages[book->page_count - 1].first + pages[book->page_count - 1].count;
    struct query asked = {.kind = QUERY_FEED, .limit = PAGE};
    for (bool more = true; more;) {
        struct query_answer answer = {0};
        read_answer(engine, &asked, &answer);
        struct reader rows = reader_of(buf_bytes(&answer.rows));
        struct feed_row row;
        struct heard_note note;
        bool good = true;
        while (good && feed_row_next(&rows, &row)) {
            good = next < end && heard_note_of(&row, &note) &&
                   feed_place_compare(note.place, book->notes[next].place) == 0 &&
                   note.rule == book->notes[next].rule && note.key == book->notes[next].key &&
                   note.clock.us == book->notes[next].clock.us;
            asked.feed_place = row.place;
            next++;
        }
        more = answer.next_place != UINT32_MAX && answer.row_count > 0;
        free(answer.rows.data);
        if (!good) {
            return finding_say(&run->finding,
                               "the feed is another one in other batches: pulse %llu",
                               (unsigned long long)asked.feed_place.ordinal);
        }
    }
    return next == end ||
           finding_say(&run->finding, "the feed is shorter in other batches: by %zu", end - next);
}

bool judge_timers_again(struct run *run,
                        const struct expected_timeouts *expected,
                        struct engine *engine)
{
    return run->plan.timers.client_count == 0 ||
           (judge_rows_again(run, expected, engine) && judge_feed_again(run, engine) &&
            judge_instances_again(run, engine));
}
