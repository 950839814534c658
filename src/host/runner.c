/* Runner: see runner.h for its states.
 *
 * Invariants:
 *  1. Records are applied in the order of the log, each once.
 *  2. Between a pulse's two halves nothing else is applied.
 *  3. Deltas of pulse n are read by peers until they are ready for n + 1; this runner writes over
 *     them at n + 2 at the earliest, after all were ready for n + 1. */
#include "host/runner.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "host/hostile.h"
#include "host/read.h"

void runner_init(struct runner *runner,
                 uint32_t number,
                 struct post *post,
                 struct clock_port clock,
                 struct engine *engine,
                 struct engine *const *owners)
{
    *runner = (struct runner){
        .number = number,
        .address = post_runner(number),
        .post = post,
        .clock = clock,
        .engine = engine,
        .owners = owners,
        .park = {.kind = LETTER_PARK},
    };
    for (uint32_t n = 0; n < 2; n++) {
        runner->ready[n] =
            (struct ready_letter){.letter = {.kind = LETTER_READY}, .runner = number};
    }
    for (uint32_t n = 0; n < post->runner_count; n++) {
        runner->peers_ready[n] = engine->pulse_ordinal;
    }
}

/* --- queries --- */

static void answer(struct runner *runner, struct query_part *part)
{
    read_answer(runner->engine, part->query, &part->query->answers[runner->number]);
    part->query->answers[runner->number].as_of = runner->visible;
    post_return(runner->post, runner->address, &part->letter);
}

static void queue_query(struct runner *runner, struct query_part *part)
{
    part->next = NULL;
    if (runner->query_last == NULL) {
        runner->query_first = part;
    } else {
        runner->query_last->next = part;
    }
    runner->query_last = part;
}

static void take_query(struct runner *runner, struct query_part *part)
{
    uint32_t room = sizeof(runner->deferred) / sizeof(runner->deferred[0]);
    if (part->query->min_as_of <= runner->visible) {
        answer(runner, part);
    } else if (runner->deferred_count < room) {
        runner->deferred[runner->deferred_count++] = part;
    } else {
        part->query->answers[runner->number].err = ERR_OVERLOADED;
        post_return(runner->post, runner->address, &part->letter);
    }
}

/* Answers what has become visible, gives up on what waited too long. */
static void review_deferred(struct runner *runner)
{
    struct clock_time now = runner->clock.ops->wall(runner->clock.ctx);
    uint32_t kept = 0;
    for (uint32_t n = 0; n < runner->deferred_count; n++) {
        struct query_part *part = runner->deferred[n];
        if (part->query->min_as_of <= runner->visible) {
            answer(runner, part);
        } else if (now.us > part->query->deadline.us) {
            part->query->answers[runner->number].err = ERR_UNAVAILABLE;
            post_return(runner->post, runner->address, &part->letter);
        } else {
            runner->deferred[kept++] = part;
        }
    }
    runner->deferred_count = kept;
}

static int64_t boot_us(const struct runner *runner)
{
    return runner->clock.ops->boot_us(runner->clock.ctx);
}

/* Answers the next query, unless the records' turn is not over; false when it did nothing. */
static bool serve_query(struct runner *runner)
{
    struct query_part *part = runner->query_first;
    if (part == NULL) {
        return false;
    }
    int64_t begun_us = boot_us(runner);
    if (runner->state == RUNNER_APPLYING && begun_us < runner->queries_again_us) {
        return false;
    }
    runner->query_first = part->next;
    runner->query_last = part->next == NULL ? NULL : runner->query_last;
    take_query(runner, part);
    int64_t ended_us = boot_us(runner);
    runner->queries_again_us = ended_us + (ended_us - begun_us);
    return true;
}

int64_t runner_patience_us(const struct runner *runner)
{
    CHECK(runner->query_first == NULL || runner->state == RUNNER_APPLYING);
    return runner->deferred_count > 0 ? 50000 : -1;
}

/* --- frames --- */

static void frame_start(struct runner *runner)
{
    CHECK(runner->frame_count > 0);
    runner->reader = reader_of(frame_body(runner->frames[0]));
    runner->waiter = 0;
    runner->state = RUNNER_APPLYING;
}

static void frame_finish(struct runner *runner)
{
    struct frame *frame = runner->frames[0];
    CHECK(!runner->reader.bad);
    struct engine_due due = engine_next_due(runner->engine);
    frame->reports[runner->number] = (struct frame_report){
        .next_due = due.all_lanes, .next_due_by_clock = due.by_clock, .next_due_clock = due.clock};
    runner->frame_count--;
    for (uint32_t n = 0; n < runner->frame_count; n++) {
        runner->frames[n] = runner->frames[n + 1];
    }
    post_return(runner->post, runner->address, &frame->letter);
    runner->state = RUNNER_IDLE;
}

/* Whom the record at this offset came from; NULL: nobody waits for it. */
static struct proposal *
proposer(struct runner *runner, const struct frame *frame, uint32_t record_offset)
{
    while (runner->waiter < frame->waiter_count &&
           frame->waiters[runner->waiter].record_end <= record_offset) {
        runner->waiter++;
    }
    return runner->waiter == frame->waiter_count ? NULL : frame->waiters[runner->waiter].proposal;
}

/* Adds what became of a record's events to the note of their proposal. */
static void note(struct runner *runner, struct proposal *proposal, const struct applied *applied)
{
    struct applied_note *own = &proposal->notes[runner->number];
    if (own->proposal == NULL) {
        own->proposal = proposal;
        own->next = runner->notes;
        runner->notes = own;
    }
    own->duplicates += applied->duplicates;
    own->late += applied->late;
}

/* Commands were decided as they were applied: who gave them needs not wait for the pulse. */
static void tell_now(struct runner *runner, struct proposal *proposal)
{
    struct applied_note *own = &proposal->notes[runner->number];
    own->proposal = proposal;
    post_return(runner->post, runner->address, &own->letter);
}

static void send_notes(struct runner *runner)
{
    while (runner->notes != NULL) {
        struct applied_note *own = runner->notes;
        runner->notes = own->next;
        post_return(runner->post, runner->address, &own->letter);
    }
}

static void reach_barrier(struct runner *runner)
{
    engine_flush(runner->engine, &runner->pulse);
    struct ready_letter *ready = &runner->ready[runner->pulse.ordinal & 1];
    ready->ordinal = runner->pulse.ordinal;
    for (uint32_t n = 0; n < runner->post->runner_count; n++) {
        if (n != runner->number) {
            post_send(runner->post, runner->address, post_runner(n), &ready->letter);
        }
    }
    post_flush(runner->post, runner->address);
    runner->peers_ready[runner->number] = runner->pulse.ordinal;
    runner->state = RUNNER_AT_BARRIER;
}

/* The pulse just applied told something. */
static bool feed_grew(const struct runner *runner)
{
    const struct engine *engine = runner->engine;
    bool grew = false;
    for (uint32_t n = 0; n < engine->limits.partitions; n++) {
        const struct partition *partition = engine->partitions[n];
        grew =
            grew || (partition != NULL && partition->feed.newest.ordinal == runner->pulse.ordinal);
    }
    return grew;
}

static void pass_barrier(struct runner *runner)
{
    const struct frame *frame = runner->frames[0];
    applying_mark(&runner->applying, true); /* the same record as at the barrier */
    engine_pulse(runner->engine, &runner->pulse, runner->owners);
    applying_end(&runner->applying);
    FAILPOINT(HOST_PULSE_APPLIED);
    CHECK(reader_left(&runner->reader) == 0); /* a pulse ends its frame */
    runner->visible = frame->log.end;
    if (!frame->replayed) {
        post_tell_feed(runner->post, runner->pulse.ordinal, feed_grew(runner));
    }
    send_notes(runner);
    review_deferred(runner);
    bool snapshot = (runner->pulse.flags & PULSE_SNAPSHOT) != 0 && !frame->replayed;
    if (snapshot) {
        post_send(runner->post, runner->address, POST_SEQUENCER, &runner->park);
        runner->state = RUNNER_PARKED;
        FAILPOINT(HOST_RUNNER_PARKED);
    } else {
        runner->state = RUNNER_APPLYING;
    }
}

static void apply_next(struct runner *runner)
{
    struct frame *frame = runner->frames[0];
    struct record record;
    if (!record_next(&runner->reader, frame_body(frame).data, &record)) {
        frame_finish(runner);
        return;
    }
    applying_begin(&runner->applying, frame->log.position, &record);
    if (record.kind == RECORD_PULSE) {
        CHECK(pulse_read(record.body, &runner->pulse));
        runner->pulse.position = frame->log.position + record.offset;
        reach_barrier(runner);
        applying_end(&runner->applying);
        return;
    }
    hostile_apply(record.body);
    bool awaited = record.kind == RECORD_EVENTS || record.kind == RECORD_TIMEOUTS;
    struct proposal *proposal = awaited ? proposer(runner, frame, record.offset) : NULL;
    bool commands = proposal != NULL && record.kind == RECORD_TIMEOUTS;
    struct applied applied = {.results = commands ? proposal->results : NULL};
    engine_apply(runner->engine, &record, frame->log.position, &applied);
    applying_end(&runner->applying);
    if (commands) {
        tell_now(runner, proposal);
    } else if (proposal != NULL) {
        note(runner, proposal, &applied);
    }
}

static bool peers_are_ready(const struct runner *runner)
{
    for (uint32_t n = 0; n < runner->post->runner_count; n++) {
        if (runner->peers_ready[n] < runner->pulse.ordinal) {
            return false;
        }
    }
    return true;
}

static void take_letter(struct runner *runner, struct letter *letter)
{
    if (letter->kind == LETTER_FRAME) {
        CHECK(runner->frame_count < FRAMES_MAX);
        runner->frames[runner->frame_count++] = (struct frame *)(void *)letter;
    } else if (letter->kind == LETTER_QUERY) {
        queue_query(runner, (struct query_part *)(void *)letter);
    } else if (letter->kind == LETTER_READY) {
        const struct ready_letter *ready = (const struct ready_letter *)(void *)letter;
        CHECK(ready->ordinal > runner->peers_ready[ready->runner]);
        runner->peers_ready[ready->runner] = ready->ordinal;
    } else {
        CHECK(letter->kind == LETTER_RELEASE);
        CHECK(runner->state == RUNNER_PARKED);
        runner->state = RUNNER_APPLYING;
    }
}

bool runner_step(struct runner *runner)
{
    bool busy = false;
    for (struct letter *letter; (letter = post_take(runner->post, runner->address)) != NULL;) {
        take_letter(runner, letter);
        busy = true;
    }
    if (runner->deferred_count > 0) {
        review_deferred(runner);
    }
    if (runner->state == RUNNER_IDLE && runner->frame_count > 0) {
        frame_start(runner);
    }
    if (runner->state == RUNNER_APPLYING) {
        apply_next(runner);
        busy = true;
    } else if (runner->state == RUNNER_AT_BARRIER && peers_are_ready(runner)) {
        pass_barrier(runner);
        busy = true;
    }
    busy |= serve_query(runner);
    post_flush(runner->post, runner->address);
    return busy;
}
