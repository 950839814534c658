#include "sim/judge.h"

#include "base/check.h"
#include "base/text.h"
#include "host/read.h"
#include "sim/judge_timers.h"
#include "sim/memory.h"
#include "sim/oracle_log.h"
#include "sim/oracle_time.h"
#include "sim/oracle_windows.h"
#include "sim/recut.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECUT_ROWS 97
#define ROWS_MAX   100000
#define TURNS_MAX  100000u
#define STRIDE_US  20000

#define FOOTPRINT_PAGES 8
#define READINGS_TRIED  8

struct history judge_history(const struct run *run)
{
    const struct timer_book *book = &run->timers.book;
    const struct process_options *process = &run->plan.process;
    return (struct history){.hash_seed = run->plan.process.hash_seed,
                            .dedup_horizon_us = run->plan.process.dedup_horizon_us,
                            .partitions = run->plan.process.partitions,
                            .universe = run->plan.events,
                            .universe_count = run->plan.event_count,
                            .submissions = run->journal.submissions,
                            .submission_count = run->journal.submission_count,
                            .askings = book->askings,
                            .asking_count = book->asking_count,
                            .sights = book->sights,
                            .sight_count = book->sight_count,
                            .pages = book->pages,
                            .page_count = book->page_count,
                            .notes = book->notes,
                            .watch_sights = book->watch_sights,
                            .watch_sight_count = book->watch_sight_count,
                            .instances = book->instances,
                            .rules = run->plan.rules,
                            .rule_count = run->plan.rule_count,
                            .timer_keys = run->timers.key_end,
                            .timers_pending = process->timers_pending,
                            .timers_ended = process->timers_ended,
                            .feed_keep_us = process->feed_whole ? process->feed_keep_us : 0,
                            .frames = run->journal.frames,
                            .frame_count = run->journal.frame_count,
                            .recipes = run->plan.recipes,
                            .recipe_count = run->plan.recipe_count};
}

static uint64_t log_end(const struct run *run)
{
    size_t count = run->journal.frame_count;
    return count == 0 ? 0 : run->journal.frames[count - 1].end;
}

/* What is in the log, counted by hand. */
struct census {
    uint64_t rows;
    uint64_t distinct;
};

static void count_batch(const struct record *record, bool *present, struct census *census)
{
    static struct batch_word words[BATCH_WORDS_MAX];
    uint32_t word_count = 0;
    struct batch batch;
    struct batch_cursor cursor;
    struct batch_row row;
    struct event event;
    CHECK(batch_open(record->body, &batch) && batch_read_words(&batch, words, &word_count));
    batch_cursor_init(&cursor, &batch);
    while (batch_next_row(&cursor, &row)) {
        uint64_t id = 0;
        CHECK(batch_row_event(&batch, words, word_count, &row, &event));
        CHECK(u64_parse(event.id, &id));
        uint64_t identity = id * PLAN_SOURCES_MAX + (uint64_t)(event.source.data[1] - '0');
        census->rows++;
        census->distinct += !present[identity];
        present[identity] = true;
    }
}

static struct census take_census(const struct run *run)
{
    struct census census = {0};
    bool *present = calloc(run->plan.event_count * PLAN_SOURCES_MAX, sizeof(bool));
    CHECK(present != NULL);
    for (size_t n = 0; n < run->journal.frame_count; n++) {
        struct bytes body = run->journal.frames[n].body;
        struct reader reader = reader_of(body);
        struct record record;
        while (record_next(&reader, body.data, &record)) {
            if (record.kind == RECORD_EVENTS) {
                count_batch(&record, present, &census);
            }
        }
    }
    free(present);
    return census;
}

static void pass_time(struct run *run)
{
    process_settle(&run->process);
    run->machine.now_us += STRIDE_US;
}

/* Time passes until the process has answered. False: it never did. */
static bool wait_for(struct run *run, const struct errand *errand)
{
    for (uint32_t turn = 0; !errand_answered(errand) && turn < TURNS_MAX; turn++) {
        pass_time(run);
    }
    return errand_answered(errand);
}

/* The counters of a metric's fates. */
static void
judge_fates(struct run *run, const struct recipe *recipe, const struct expected_metric *expected)
{
    struct errand *errand = visitor_ask_stats(&run->visitor, &run->process);
    if (errand == NULL || !wait_for(run, errand)) {
        (void)snprintf(run->finding.text, sizeof(run->finding.text), "fates: no answer");
        return;
    }
    const struct query *query = errand_query(errand);
    const struct expected_fates fates = {
        .counted = (uint64_t)visitor_stats_sum(query, "counted", recipe->name),
        .filtered = (uint64_t)visitor_stats_sum(query, "filtered", recipe->name),
        .late_corrected = (uint64_t)visitor_stats_sum(query, "late_corrected", recipe->name),
        .late_dropped = (uint64_t)visitor_stats_sum(query, "late_dropped", recipe->name),
    };
    (void)oracle_fates_match(recipe, expected, &fates, &run->finding);
    errand_free(errand);
}

static void judge_values(struct run *run, const struct recipe *recipe)
{
    struct history history = judge_history(run);
    struct expected_metric expected;
    if (!oracle_windows(&history, recipe, &expected, &run->finding)) {
        return;
    }
    struct errand *errand = visitor_ask_values(&run->visitor, &run->process, recipe, log_end(run));
    if (errand == NULL || !wait_for(run, errand)) {
        (void)snprintf(
            run->finding.text, sizeof(run->finding.text), "%s was not answered", recipe->name);
        oracle_windows_free(&expected);
        return;
    }
    const struct query *query = errand_query(errand);
    struct bytes answers[RUNNERS_MAX];
    bool known = true;
    for (uint32_t n = 0; n < query->runner_count; n++) {
        known = known && query->answers[n].err == OK;
        answers[n] = buf_bytes(&query->answers[n].rows);
    }
    if (known != expected.exists) {
        (void)snprintf(run->finding.text,
                       sizeof(run->finding.text),
                       "%s %s",
                       recipe->name,
                       known ? "is shown, though it was dropped" : "is defined, but not shown");
    } else if (known) {
        (void)oracle_windows_match(recipe, &expected, answers, query->runner_count, &run->finding);
        run->counts.rows += expected.row_count;
    }
    if (run->finding.text[0] == '\0') {
        (void)readers_judge_values(
            &run->readers, (uint32_t)(recipe - run->plan.recipes), &expected, &run->finding);
    }
    if (known && run->finding.text[0] == '\0') {
        judge_fates(run, recipe, &expected);
    }
    errand_free(errand);
    oracle_windows_free(&expected);
}

/* The same log in batches of another size must give the same values. */
static void judge_recut(struct run *run, const struct expected_timeouts *timers)
{
    struct history history = judge_history(run);
    const struct engine_limits limits = process_limits(&run->plan.process);
    struct recut recut;
    recut_apply(&recut, &history, &limits, 1 + (uint32_t)(run->journal.frame_count % RECUT_ROWS));
    for (size_t n = 0; n < run->plan.recipe_count && run->finding.text[0] == '\0'; n++) {
        const struct recipe *recipe = &run->plan.recipes[n];
        struct expected_metric expected;
        if (!oracle_windows(&history, recipe, &expected, &run->finding)) {
            break;
        }
        const struct query query = {.kind = QUERY_VALUES,
                                    .metric = bytes_of_string(recipe->name),
                                    .from = INT64_MIN,
                                    .to = INT64_MAX,
                                    .limit = ROWS_MAX};
        struct query_answer answer = {0};
        read_answer(recut.engine, &query, &answer);
        struct bytes rows = buf_bytes(&answer.rows);
        if (expected.exists && !oracle_windows_match(recipe, &expected, &rows, 1, &run->finding)) {
            const char *also = " (in other batches)";
            size_t len = strlen(run->finding.text);
            (void)snprintf(run->finding.text + len, sizeof(run->finding.text) - len, "%s", also);
        }
        free(answer.rows.data);
        free(answer.definition);
        oracle_windows_free(&expected);
    }
    if (run->finding.text[0] == '\0') {
        (void)judge_timers_again(run, timers, recut.engine);
    }
    run->counts.recuts++;
    recut_free(&recut);
}

static void judge_counters(struct run *run)
{
    struct errand *errand = visitor_ask_stats(&run->visitor, &run->process);
    if (errand == NULL || !wait_for(run, errand)) {
        (void)snprintf(run->finding.text, sizeof(run->finding.text), "counters: no answer");
        return;
    }
    struct census census = take_census(run);
    run->counts.events = census.rows;
    int64_t unique = visitor_stats_sum(errand_query(errand), "unique", "");
    int64_t duplicates = visitor_stats_sum(errand_query(errand), "duplicates", "");
    if (unique != (int64_t)census.distinct ||
        duplicates != (int64_t)(census.rows - census.distinct)) {
        (void)snprintf(run->finding.text,
                       sizeof(run->finding.text),
                       "the log holds %" PRIu64 " events, %" PRIu64
                       " of them distinct; shown are %" PRId64 " unique, %" PRId64 " duplicates",
                       census.rows,
                       census.distinct,
                       unique,
                       duplicates);
    }
    errand_free(errand);
}

/* What pages cost the process once they were read. */
struct footprint {
    size_t memory_bytes;
    size_t files;
    uint64_t snapshots; /* begun in this life, and one */
    size_t frames;      /* of the log */
};

/* Reads a list from its beginning, some pages of it; false: one was not answered. */
static bool read_pages(struct run *run, struct web_exchange *exchange)
{
    struct page_head head = {0};
    for (uint32_t n = 0; n < FOOTPRINT_PAGES && (n == 0 || head.cursor[0] != '\0'); n++) {
        (void)snprintf(exchange->query,
                       WEB_QUERY_BYTES,
                       "limit=3%s%s",
                       head.cursor[0] == '\0' ? "" : "&cursor=",
                       head.cursor);
        (void)web_ask(&run->readers.web, &run->process, exchange);
        for (uint32_t turn = 0; exchange->open && turn < TURNS_MAX; turn++) {
            pass_time(run);
        }
        if (exchange->status != 200 ||
            !page_read_head(bytes_of(exchange->body, exchange->body_len), &head)) {
            return false;
        }
    }
    return true;
}

/* A snapshot, or a segment, that is being written is not the readers'. */
static void let_writers_end(struct run *run)
{
    const struct process *process = &run->process;
    for (uint32_t turn = 0; turn < TURNS_MAX; turn++) {
        if (!process->snapshots.writing && process_is_calm(process)) {
            return;
        }
        pass_time(run);
    }
}

static bool read_lists(struct run *run, struct footprint *after)
{
    struct web_exchange exchange = {.path = "/v1/events"};
    bool good = read_pages(run, &exchange);
    web_reset(&exchange);
    (void)snprintf(
        exchange.path, WEB_PATH_BYTES, "/v1/metrics/%s/values", run->plan.recipes[0].name);
    good = good && read_pages(run, &exchange);
    web_reset(&exchange);
    let_writers_end(run);
    *after = (struct footprint){.memory_bytes = memory_held_bytes(),
                                .files = sim_disk_open_count(run->machine.disk),
                                .snapshots = 1 + run->process.snapshots.begun,
                                .frames = run->journal.frame_count};
    return good;
}

static bool nothing_between(const struct footprint *before, const struct footprint *after)
{
    return before->snapshots == after->snapshots && before->frames == after->frames;
}

/* Pages leave nothing behind: a second reading leaves the process no more than the first did. So a
 * reader that rests, or never comes back, costs nothing. A snapshot between the two keeps memory of
 * its own, a frame may open a segment: then there is another reading. */
static void judge_footprint(struct run *run)
{
    struct footprint before = {0};
    struct footprint after = {0};
    bool good = run->plan.reader_count == 0 || read_lists(run, &after);
    for (uint32_t n = 0; good && !nothing_between(&before, &after) && n < READINGS_TRIED; n++) {
        before = after;
        good = read_lists(run, &after);
    }
    if (!good) {
        (void)snprintf(run->finding.text, sizeof(run->finding.text), "a page was not answered");
    } else if (nothing_between(&before, &after) &&
               (after.memory_bytes > before.memory_bytes || after.files > before.files)) {
        (void)snprintf(
            run->finding.text,
            sizeof(run->finding.text),
            "pages leave behind %zu bytes of memory and %zu open files, then %zu and %zu",
            before.memory_bytes,
            before.files,
            after.memory_bytes,
            after.files);
    }
}

/* A replay of the log up to its end by another process on this disk: its digest. */
static bool look(struct run *run, bool from_snapshot, uint64_t until, uint64_t *digest)
{
    static struct process looker;
    struct process_options options = run->plan.process;
    options.ignore_snapshots = !from_snapshot;
    options.replay_until = until;
    options.runners = 1 + (run->plan.process.runners + (from_snapshot ? 1 : 0)) % 3;
    options.runners = options.runners > options.partitions ? 1 : options.runners;
    options.uneven = false;
    const struct process_witness witness = run->process.witness;
    process_start(&looker, &run->machine, &options, &witness);
    for (uint32_t turn = 0; looker.state == PROCESS_STARTING && turn < TURNS_MAX; turn++) {
        process_settle(&looker);
        run->machine.now_us += STRIDE_US;
    }
    bool looked = looker.state == PROCESS_LOOKED;
    if (looked) {
        memory_switch(true);
        *digest = process_digest(&looker);
        memory_switch(false);
    }
    process_bury(&looker);
    return looked;
}

static void judge_digests(struct run *run)
{
    memory_switch(true);
    uint64_t live = process_digest(&run->process);
    memory_switch(false);
    uint64_t end = log_end(run);
    struct log_status status;
    struct log_port log = log_file_port(run->process.log);
    log.ops->status(log.ctx, &status);
    bool whole = status.oldest == 0;
    process_bury(&run->process);
    run->alive = false;
    for (uint32_t form = whole ? 0 : 1; form < 2; form++) {
        uint64_t digest = 0;
        if (!look(run, form == 1, end, &digest)) {
            (void)snprintf(run->finding.text, sizeof(run->finding.text), "a replay did not end");
            return;
        }
        run->counts.digests++;
        if (digest != live) {
            (void)snprintf(run->finding.text,
                           sizeof(run->finding.text),
                           "live digest %016" PRIx64 ", replayed from %s %016" PRIx64,
                           live,
                           form == 1 ? "a snapshot" : "the beginning",
                           digest);
            return;
        }
    }
}

void judge(struct run *run)
{
    struct history history = judge_history(run);
    bool good = oracle_log_holds(&history, &run->finding) &&
                readers_judge_listings(&run->readers, &history, &run->finding);
    for (size_t n = 0; good && n < run->plan.recipe_count; n++) {
        judge_values(run, &run->plan.recipes[n]);
        good = run->finding.text[0] == '\0';
    }
    if (good) {
        judge_counters(run);
        good = run->finding.text[0] == '\0';
    }
    struct expected_timeouts timers = {0};
    good = good && judge_timers(run, &timers);
    if (good) {
        judge_recut(run, &timers);
        good = run->finding.text[0] == '\0';
    }
    oracle_timeouts_free(&timers);
    if (good) {
        judge_footprint(run);
        good = run->finding.text[0] == '\0';
    }
    if (good) {
        judge_digests(run);
        good = run->finding.text[0] == '\0';
    }
    if (good) {
        history = judge_history(run); /* frames came while the others were judged */
        (void)oracle_time_holds(&history, &run->finding);
    }
}
