/* The sequencer: see sequencer.h for its turn and the invariants. */
#include "host/sequencer.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "host/skews.h"

#include <stdlib.h>

#define FRAME_RESERVE       ((size_t)128 * 1024) /* room that a pulse may need: lanes that changed */
#define REFUSED_RECENTLY_US US_PER_SECOND
#define REST_MAX_US         US_PER_SECOND /* between two turns: a longer one looks like a stop */

bool sequencer_init(struct sequencer *sequencer, const struct sequencer_options *options)
{
    memset(sequencer, 0, sizeof(*sequencer)); /* too large for a literal on the stack */
    sequencer->options = *options;
    if (options->frame_bytes_max == 0) {
        sequencer->options.frame_bytes_max = LOG_FRAME_BYTES_MAX;
    }
    sequencer->next_due = INT64_MAX;
    sequencer->next_due_by_clock = INT64_MAX;
    sequencer->next_due_clock = INT64_MAX;
    sequencer->attempt.last_position = UINT64_MAX;
    sequencer->places.next = 1;
    catalog_init(&sequencer->catalog);
    consumers_init(&sequencer->consumers);
    answers_init(&sequencer->answers, &options->answers, options->genesis.seed);
    if (!frame_pool_init(&sequencer->frames, sequencer->options.frame_bytes_max)) {
        return false;
    }
    return tide_init(&sequencer->tide, options->genesis.seed);
}

void sequencer_deinit(struct sequencer *sequencer)
{
    frame_pool_deinit(&sequencer->frames);
    catalog_deinit(&sequencer->catalog);
    tide_deinit(&sequencer->tide);
    answers_deinit(&sequencer->answers);
    free(sequencer->attempt.host_state);
}

static void look_at_clock(struct sequencer *sequencer)
{
    struct steady *steady = sequencer->options.steady;
    struct clock_time now = steady != NULL
                                ? steady_look(steady)
                                : sequencer->options.clock.ops->wall(sequencer->options.clock.ctx);
    if (now.us > sequencer->clock.us) {
        sequencer->clock = now;
    }
}

/* The process stood still (stopped, suspended): what was sent meanwhile lies unread, so nobody is silent
 * because of that time. Looked for behind the clock: whatever time the clock jumped by is seen here, and
 * if the stop was between the two, the clock is looked at once more, so that it counts from its end. */
static void watch_turns(struct sequencer *sequencer)
{
    const struct clock_port *clock = &sequencer->options.clock;
    int64_t boot_us = clock->ops->boot_us(clock->ctx);
    bool known = sequencer->options.pause_us > 0 && sequencer->turned_us > 0;
    if (known && boot_us - sequencer->turned_us > sequencer->options.pause_us) {
        look_at_clock(sequencer);
        sequencer->last_resumed = sequencer->clock;
        tide_refused(&sequencer->tide, sequencer->clock);
    }
    sequencer->turned_us = boot_us;
}

static void move_clock(struct sequencer *sequencer)
{
    look_at_clock(sequencer);
    watch_turns(sequencer);
}

static void answer(struct sequencer *sequencer, struct proposal *proposal)
{
    post_return(sequencer->options.post, POST_SEQUENCER, &proposal->letter);
}

/* --- letters --- */

/* At most what the proposal takes of a frame, with what a pulse behind it may take. */
static size_t room_needed(const struct proposal *proposal)
{
    return proposal->records.len + proposal->event_count * (size_t)BATCH_STEP_BYTES_MAX +
           proposal->definition.len + proposal->name.len + FRAME_RESERVE;
}

static void enqueue(struct sequencer *sequencer, struct proposal *proposal)
{
    bool too_large = room_needed(proposal) > sequencer->options.frame_bytes_max - LOG_FRAME_HEADER;
    if (sequencer->full || sequencer->given_up || too_large) {
        proposal->err = too_large ? ERR_TOO_LARGE : ERR_NO_SPACE;
        if (proposal->kind != PROPOSE_ANSWER) { /* which is given all the same */
            sequencer->last_refused = sequencer->clock;
        }
        answer(sequencer, proposal);
        return;
    }
    proposal->next = NULL;
    if (sequencer->last == NULL) {
        sequencer->first = proposal;
    } else {
        sequencer->last->next = proposal;
    }
    sequencer->last = proposal;
}

/* The early one whose turn it is now, or NULL. */
static struct proposal *take_early(struct sequencer_places *places)
{
    for (uint32_t n = 0; n < places->count; n++) {
        struct proposal *proposal = places->early[n];
        if (proposal->place == places->next) {
            places->early[n] = places->early[--places->count];
            return proposal;
        }
    }
    return NULL;
}

static void queue_proposal(struct sequencer *sequencer, struct proposal *proposal)
{
    struct sequencer_places *places = &sequencer->places;
    if (proposal->place == 0) {
        enqueue(sequencer, proposal);
        return;
    }
    if (proposal->place != places->next) {
        CHECK(proposal->place > places->next);
        CHECK(places->count < SEQUENCER_EARLY_MAX);
        places->early[places->count++] = proposal;
        return;
    }
    for (; proposal != NULL; proposal = take_early(places)) {
        enqueue(sequencer, proposal);
        places->next++;
    }
}

/* All runners returned the frame: it may be filled again. */
static void frame_returned(struct sequencer *sequencer, struct frame *frame)
{
    CHECK(frame->missing > 0);
    frame->missing--;
    if (frame->missing > 0) {
        return;
    }
    frame->free = true;
    sequencer->next_due = INT64_MAX;
    sequencer->next_due_by_clock = INT64_MAX;
    sequencer->next_due_clock = INT64_MAX;
    for (uint32_t n = 0; n < sequencer->options.post->runner_count; n++) {
        const struct frame_report *report = &frame->reports[n];
        if (report->next_due < sequencer->next_due) {
            sequencer->next_due = report->next_due;
        }
        if (report->next_due_by_clock < sequencer->next_due_by_clock) {
            sequencer->next_due_by_clock = report->next_due_by_clock;
        }
        if (report->next_due_clock < sequencer->next_due_clock) {
            sequencer->next_due_clock = report->next_due_clock;
        }
    }
}

static void finish_snapshot_request(struct sequencer *sequencer, enum err err)
{
    struct proposal *waiters = sequencer->snapshot_waiters;
    sequencer->snapshot_waiters = NULL;
    while (waiters != NULL) {
        struct proposal *proposal = waiters;
        waiters = proposal->next;
        if (err == OK && proposal->as_of > sequencer->attempt.last_position) {
            proposal->next = sequencer->snapshot_waiters; /* asked behind it: the next is its own */
            sequencer->snapshot_waiters = proposal;
            continue;
        }
        proposal->err = err;
        proposal->as_of = sequencer->attempt.last_position;
        answer(sequencer, proposal);
    }
}

/* Every runner stands still at the snapshot's pulse: freeze the state, then let them go on. */
static void all_parked(struct sequencer *sequencer)
{
    struct snapshot_attempt *attempt = &sequencer->attempt;
    const struct snapshot_port *port = &sequencer->options.snapshot;
    FAILPOINT(HOST_ALL_PARKED);
    enum err err =
        port->ops->start(port->ctx, attempt->position, sequencer_write_snapshot, sequencer);
    if (err != OK) {
        attempt->under_way = false;
        finish_snapshot_request(sequencer, err);
    }
    answers_thaw(&sequencer->answers);
    attempt->parked = 0;
    for (uint32_t n = 0; n < sequencer->options.post->runner_count; n++) {
        attempt->releases[n] = (struct letter){.kind = LETTER_RELEASE};
        post_send(sequencer->options.post, POST_SEQUENCER, post_runner(n), &attempt->releases[n]);
    }
}

static void take_letter(struct sequencer *sequencer, struct letter *letter)
{
    switch (letter->kind) {
    case LETTER_PROPOSAL:
        queue_proposal(sequencer, (struct proposal *)(void *)letter);
        break;
    case LETTER_INSPECTION:
        sequencer_inspect(sequencer, (struct inspection *)(void *)letter);
        post_return(sequencer->options.post, POST_SEQUENCER, letter);
        break;
    case LETTER_CLAIM:
        answers_claim(&sequencer->answers,
                      (struct claim *)(void *)letter,
                      sequencer->clock,
                      sequencer->frame_count);
        post_return(sequencer->options.post, POST_SEQUENCER, letter);
        break;
    case LETTER_FRAME:
        frame_returned(sequencer, (struct frame *)(void *)letter);
        break;
    case LETTER_SKEWS: /* back from a network thread: it has a newer one */
        free(letter);
        break;
    case LETTER_PARK:
        sequencer->attempt.parked++;
        if (sequencer->attempt.parked == sequencer->options.post->runner_count) {
            all_parked(sequencer);
        }
        break;
    case LETTER_QUERY:
    case LETTER_SCAN:
    case LETTER_READY:
    case LETTER_APPLIED:
    case LETTER_RELEASE:
        UNREACHABLE("a letter for the sequencer");
    }
}

/* --- filling a frame --- */

/* One that takes what waits longest; NULL: none. */
static struct frame *free_frame(const struct sequencer *sequencer)
{
    bool empty = sequencer->first == NULL;
    size_t need = empty ? FRAME_RESERVE : room_needed(sequencer->first);
    return frame_pool_find(&sequencer->frames, need);
}

static struct buf frame_buf(struct frame *frame)
{
    struct buf buf =
        buf_of(frame->log.data + LOG_FRAME_HEADER, frame->log.capacity - LOG_FRAME_HEADER);
    buf.len = frame->log.body_len;
    return buf;
}

/* Copies records of events, stamping each. */
static void put_events(struct sequencer *sequencer,
                       struct frame *frame,
                       const struct proposal *proposal,
                       struct buf *out)
{
    struct reader reader = reader_of(proposal->records);
    struct record record;
    while (record_next(&reader, proposal->records.data, &record)) {
        CHECK(record.kind == RECORD_EVENTS);
        buf_put(out, record.body.data - RECORD_HEADER_BYTES, record.body.len + RECORD_HEADER_BYTES);
        CHECK(!out->overflow);
        tide_stamp(&sequencer->tide, out, out->len - record.body.len);
        frame->log.record_count++;
    }
    CHECK(!reader.bad);
    sequencer->event_count += proposal->event_count;
}

/* Copies the record of commands on timeouts, stamping it: "within" counts from here. */
static void put_timeouts(struct sequencer *sequencer,
                         struct frame *frame,
                         const struct proposal *proposal,
                         struct buf *out)
{
    struct reader reader = reader_of(proposal->records);
    struct record record;
    CHECK(record_next(&reader, proposal->records.data, &record));
    CHECK(record.kind == RECORD_TIMEOUTS && reader_left(&reader) == 0);
    buf_put_bytes(out, proposal->records);
    CHECK(!out->overflow);
    timeouts_stamp(out, out->len - record.body.len, sequencer->clock, sequencer->tide.watermark);
    frame->log.record_count++;
}

static void add_waiter(const struct sequencer *sequencer,
                       struct frame *frame,
                       struct proposal *proposal,
                       uint32_t record_end)
{
    struct frame_waiter *last =
        frame->waiter_count == 0 ? NULL : &frame->waiters[frame->waiter_count - 1];
    struct proposal *who = proposal->wants_applied ? proposal : NULL;
    if (last != NULL && last->proposal == NULL && who == NULL) {
        last->record_end = record_end;
        return;
    }
    CHECK(frame->waiter_count < FRAME_WAITERS_MAX);
    frame->waiters[frame->waiter_count++] =
        (struct frame_waiter){.record_end = record_end, .proposal = who};
    for (uint32_t n = 0; who != NULL && n < sequencer->options.post->runner_count; n++) {
        who->notes[n] =
            (struct applied_note){.letter = {.kind = LETTER_APPLIED, .from = who->letter.from}};
    }
}

static bool has_room(const struct frame *frame, const struct proposal *proposal)
{
    size_t room = frame->log.capacity - LOG_FRAME_HEADER - frame->log.body_len;
    return room_needed(proposal) <= room && frame->waiter_count < FRAME_WAITERS_MAX - 1;
}

static void
take_proposal(struct sequencer *sequencer, struct frame *frame, struct proposal *proposal)
{
    struct buf out = frame_buf(frame);
    switch (proposal->kind) {
    case PROPOSE_EVENTS:
        put_events(sequencer, frame, proposal, &out);
        proposal->wants_applied = proposal->wants_applied && proposal->records.len > 0;
        add_waiter(sequencer, frame, proposal, (uint32_t)out.len);
        break;
    case PROPOSE_TIMEOUTS:
        put_timeouts(sequencer, frame, proposal, &out);
        add_waiter(sequencer, frame, proposal, (uint32_t)out.len);
        break;
    case PROPOSE_SNAPSHOT:
        sequencer->attempt.wanted = true;
        break;
    case PROPOSE_DEFINE:
    case PROPOSE_DROP:
    case PROPOSE_SOURCE:
    case PROPOSE_FORGET:
    case PROPOSE_LANE:
    case PROPOSE_RULE_DEFINE:
    case PROPOSE_RULE_DROP:
    case PROPOSE_CONSUMER:
    case PROPOSE_ANSWER:
        sequencer_put_command(sequencer, frame, proposal, &out);
        break;
    }
    CHECK(!out.overflow);
    sequencer->handover = sequencer->handover || out.len > frame->log.body_len;
    frame->log.body_len = out.len;
}

static bool pulse_is_due(const struct sequencer *sequencer)
{
    bool old = sequencer->clock.us - sequencer->last_pulse.us >= sequencer->options.pulse_every_us;
    bool something = sequencer->handover || sequencer->moved;
    return (something && (old || sequencer->final_pulse)) ||
           (sequencer->attempt.wanted && !sequencer->attempt.under_way);
}

static bool is_recent(const struct sequencer *sequencer, struct clock_time moment)
{
    return sequencer->clock.us - moment.us <= REFUSED_RECENTLY_US;
}

/* Somebody was turned away a moment ago, or may lie unread since the process stood still. */
static uint8_t refusing_flags(const struct sequencer *sequencer)
{
    bool full = sequencer->full || is_recent(sequencer, sequencer->last_full);
    return (uint8_t)((full ? PULSE_FULL : 0) |
                     (is_recent(sequencer, sequencer->last_refused) ? PULSE_REFUSING : 0) |
                     (is_recent(sequencer, sequencer->last_resumed) ? PULSE_RESUMED : 0));
}

/* Why nothing may be concluded from silence, as a pulse says it; 0: it may. Behind is who has something
 * that is not in the log yet. Runners that lag are no matter: they decide by the order of the log. */
static uint8_t hold_flags(const struct sequencer *sequencer)
{
    bool behind = sequencer->first != NULL || sequencer->places.count > 0;
    uint8_t reasons = (uint8_t)(refusing_flags(sequencer) | (behind ? PULSE_BEHIND : 0) |
                                (tide_is_deaf(&sequencer->tide) ? PULSE_DEAF : 0));
    return reasons == 0 ? 0 : reasons | PULSE_HOLD;
}

static void put_pulse(struct sequencer *sequencer, struct frame *frame)
{
    struct snapshot_attempt *attempt = &sequencer->attempt;
    uint8_t flags = hold_flags(sequencer);
    sequencer->last_held = flags != 0;
    sequencer->last_watermark = sequencer->tide.watermark;
    answers_expire(&sequencer->answers, sequencer->clock);
    bool snapshot = attempt->wanted && !attempt->under_way && sequencer_capture(sequencer);
    if (snapshot) {
        FAILPOINT(HOST_SNAPSHOT_CAPTURED);
        flags |= PULSE_SNAPSHOT;
    }
    struct buf out = frame_buf(frame);
    tide_pulse(&sequencer->tide, &out, ++sequencer->pulse_ordinal, sequencer->clock, flags);
    CHECK(!out.overflow);
    frame->log.body_len = out.len;
    frame->log.record_count++;
    sequencer->last_pulse = sequencer->clock;
    sequencer->handover = false;
    sequencer->moved = false;
    sequencer->next_due_clock = INT64_MAX; /* the runners will say */
    if (snapshot) {
        attempt->under_way = true;
    }
    if (!attempt->under_way || snapshot) {
        attempt->wanted = false; /* or there was no memory for it: who asked for it is told */
    }
}

/* When there is no memory, it is tried again at the next turn. */
static void send_skews(struct sequencer *sequencer)
{
    struct post *post = sequencer->options.post;
    sequencer->skews_changed = false;
    for (uint32_t thread = 0; thread < post->network_count; thread++) {
        struct skews *skews = skews_copy(&sequencer->tide);
        if (skews == NULL) {
            sequencer->skews_changed = true;
            return;
        }
        post_send(post, POST_SEQUENCER, post_network(post, thread), &skews->letter);
    }
}

static void fill(struct sequencer *sequencer, struct frame *frame)
{
    frame->log.body_len = 0;
    frame->log.record_count = 0;
    frame->waiter_count = 0;
    frame->replayed = false;
    while (sequencer->first != NULL && has_room(frame, sequencer->first)) {
        struct proposal *proposal = sequencer->first;
        sequencer->first = proposal->next;
        sequencer->last = sequencer->first == NULL ? NULL : sequencer->last;
        take_proposal(sequencer, frame, proposal);
        proposal->next = NULL;
        if (sequencer->in_frame_last == NULL) {
            sequencer->in_frame_first = proposal;
        } else {
            sequencer->in_frame_last->next = proposal;
        }
        sequencer->in_frame_last = proposal;
        FAILPOINT(HOST_PROPOSAL_TAKEN);
    }
    if (sequencer->skews_changed) {
        send_skews(sequencer); /* once for all of this frame */
    }
    /* A pulse with somebody behind it would hold; a small frame that took not all is no reason for that. */
    bool cut_short = sequencer->first != NULL && frame->log.body_len > 0 &&
                     frame->log.capacity < sequencer->options.frame_bytes_max;
    if (pulse_is_due(sequencer) && !cut_short) {
        put_pulse(sequencer, frame);
    }
}

/* --- after the write --- */

void sequencer_durable(void *ctx, struct log_frame *frame)
{
    struct sequencer *sequencer = ctx;
    CHECK(sequencer->filling != NULL && frame == &sequencer->filling->log);
    sequencer->durable = true;
}

/* Its notes come from the runners, who answer it together. */
static bool waits_for_runners(const struct proposal *proposal)
{
    bool applied = proposal->kind == PROPOSE_EVENTS || proposal->kind == PROPOSE_TIMEOUTS;
    return applied && proposal->wants_applied;
}

static void answer_frame(struct sequencer *sequencer, uint64_t as_of)
{
    while (sequencer->in_frame_first != NULL) {
        struct proposal *proposal = sequencer->in_frame_first;
        sequencer->in_frame_first = proposal->next;
        proposal->as_of = as_of;
        if (proposal->kind == PROPOSE_SNAPSHOT) {
            proposal->next = sequencer->snapshot_waiters;
            sequencer->snapshot_waiters = proposal;
        } else if (!waits_for_runners(proposal)) {
            answer(sequencer, proposal);
        }
    }
    sequencer->in_frame_last = NULL;
}

void sequencer_hand_out(struct sequencer *sequencer, struct frame *frame)
{
    frame->missing = sequencer->options.post->runner_count;
    frame->free = false;
    for (uint32_t n = 0; n < sequencer->options.post->runner_count; n++) {
        post_send(sequencer->options.post, POST_SEQUENCER, post_runner(n), &frame->letter);
    }
}

static void finish_write(struct sequencer *sequencer)
{
    struct frame *frame = sequencer->filling;
    CHECK(frame != NULL);
    sequencer->filling = NULL;
    sequencer->submitted = false;
    sequencer->durable = false;
    sequencer->position = frame->log.end;
    sequencer->frame_count++;
    if (sequencer->attempt.under_way && sequencer->attempt.position == 0) {
        sequencer->attempt.position = frame->log.end;
    }
    FAILPOINT(HOST_FRAME_DURABLE);
    answer_frame(sequencer, frame->log.end);
    FAILPOINT(HOST_FRAME_ANSWERED);
    sequencer_hand_out(sequencer, frame);
    FAILPOINT(HOST_FRAME_HANDED_OUT);
}

/* Fills a free frame with what waits and submits it; false when there is nothing to write. */
static bool write_frame(struct sequencer *sequencer)
{
    struct frame *frame = free_frame(sequencer);
    if (frame == NULL || sequencer->given_up ||
        (sequencer->first == NULL && !pulse_is_due(sequencer))) {
        return false;
    }
    fill(sequencer, frame);
    FAILPOINT(HOST_FRAME_FILLED);
    if (frame->log.body_len == 0) { /* only refusals and repetitions */
        answer_frame(sequencer, sequencer->position);
        return true;
    }
    sequencer->filling = frame;
    frame->free = false;
    return true;
}

static void refuse_all(struct sequencer *sequencer, struct proposal *proposal)
{
    while (proposal != NULL) {
        struct proposal *next = proposal->next;
        proposal->err = ERR_NO_SPACE;
        answer(sequencer, proposal);
        proposal = next;
    }
}

/* Draining, and there is no space for the frame that waits (invariant 5). */
static void give_up(struct sequencer *sequencer)
{
    sequencer->given_up = true;
    sequencer->filling->free = true;
    sequencer->filling = NULL;
    refuse_all(sequencer, sequencer->in_frame_first);
    refuse_all(sequencer, sequencer->first);
    sequencer->in_frame_first = NULL;
    sequencer->in_frame_last = NULL;
    sequencer->first = NULL;
    sequencer->last = NULL;
    sequencer->handover = false;
    sequencer->attempt.wanted = false;
    if (sequencer->attempt.under_way && sequencer->attempt.position == 0) {
        sequencer->attempt.under_way = false; /* its pulse was in that frame */
    }
    if (!sequencer->attempt.under_way) {
        finish_snapshot_request(sequencer, ERR_NO_SPACE);
    }
}

/* Drives the log; a disk that takes long shows. */
static void poll_log(struct sequencer *sequencer)
{
    const struct log_port *log = &sequencer->options.log;
    const struct clock_port *clock = &sequencer->options.clock;
    int64_t began_us = clock->ops->boot_us(clock->ctx);
    log->ops->poll(log->ctx);
    sequencer->slow_writes += clock->ops->boot_us(clock->ctx) - began_us >= SEQUENCER_SLOW_US;
}

/* Submits the frame once and drives the log until it is durable (the file log: at once). */
static void drive_write(struct sequencer *sequencer)
{
    const struct log_port *log = &sequencer->options.log;
    if (sequencer->submitted) {
        poll_log(sequencer);
        return;
    }
    enum err err = log->ops->submit(log->ctx, &sequencer->filling->log);
    if (err == OK) {
        sequencer->submitted = true;
        poll_log(sequencer);
    } else {
        CHECK(err == ERR_NO_SPACE);
        sequencer->full = true; /* the frame waits; what comes now is refused */
        if (sequencer->final_pulse) {
            give_up(sequencer);
        }
    }
}

/* --- time and snapshots --- */

/* W has come to where something closes or fires. What is held still can't, until W or HOLD changes. */
static bool watermark_is_due(const struct sequencer *sequencer)
{
    bool held = sequencer->last_held && sequencer->tide.watermark == sequencer->last_watermark &&
                hold_flags(sequencer) != 0;
    return sequencer->next_due < INT64_MAX && sequencer->tide.watermark >= sequencer->next_due &&
           !held;
}

static void tick(struct sequencer *sequencer)
{
    if (sequencer->clock.us - sequencer->last_tick.us < SEQUENCER_TICK_US) {
        return;
    }
    sequencer->last_tick = sequencer->clock;
    struct tide *tide = &sequencer->tide;
    if (sequencer->full) {
        sequencer->last_full = sequencer->clock;
        tide_refused(tide, sequencer->clock);
    }
    bool clear =
        sequencer->first == NULL && free_frame(sequencer) != NULL && refusing_flags(sequencer) == 0;
    bool changed = tide_tick(tide, sequencer->clock, clear);
    bool due = watermark_is_due(sequencer) ||
               tide_reach(tide, sequencer->clock) >= sequencer->next_due_by_clock;
    /* To be told; but when it ends, the next start will say how things stand. */
    bool turned = (hold_flags(sequencer) != 0) != sequencer->last_held && !sequencer->final_pulse;
    sequencer->moved = sequencer->moved || (changed && tide_has_news(tide)) || due || turned;
    const struct log_port *log = &sequencer->options.log;
    log->ops->idle(log->ctx, sequencer->clock.us);
    struct log_status status;
    log->ops->status(log->ctx, &status);
    sequencer->full = status.full;
}

/* Enough of log for another one. Not at once after a long start: what fell due meanwhile goes first, and the
 * copy of a large process takes its time. */
static bool snapshot_is_time(const struct sequencer *sequencer)
{
    uint64_t every = sequencer->options.snapshot_every_bytes;
    return every > 0 && sequencer->position - sequencer->attempt.log_end_at_last >= every &&
           sequencer->clock.us >= sequencer->snapshot_not_before.us;
}

static void watch_snapshot(struct sequencer *sequencer)
{
    struct snapshot_attempt *attempt = &sequencer->attempt;
    const struct snapshot_port *port = &sequencer->options.snapshot;
    if (attempt->under_way) {
        uint64_t position;
        uint64_t oldest_kept;
        enum snapshot_state state = port->ops->poll(port->ctx, &position, &oldest_kept);
        if (state == SNAPSHOT_DONE || state == SNAPSHOT_FAILED) {
            attempt->under_way = false;
            attempt->position = 0;
        }
        if (state == SNAPSHOT_DONE) {
            attempt->last_position = position;
            attempt->last_taken = sequencer->clock;
            FAILPOINT(HOST_BEFORE_TRIM);
            sequencer->options.log.ops->trim(sequencer->options.log.ctx, oldest_kept);
        }
        if (!attempt->under_way) {
            finish_snapshot_request(sequencer, state == SNAPSHOT_DONE ? OK : ERR_INTERNAL);
        }
        return;
    }
    if (!attempt->wanted) {
        finish_snapshot_request(sequencer, ERR_UNAVAILABLE); /* its pulse came without it */
    }
    if (snapshot_is_time(sequencer)) {
        attempt->log_end_at_last = sequencer->position;
        attempt->wanted = true;
    }
}

/* A timer is due by the clock: a pulse lets it fire, not waiting for a tick. */
static void watch_timers(struct sequencer *sequencer)
{
    sequencer->moved = sequencer->moved || sequencer->clock.us >= sequencer->next_due_clock;
}

bool sequencer_step(struct sequencer *sequencer)
{
    bool busy = false;
    move_clock(sequencer);
    for (struct letter *letter;
         (letter = post_take(sequencer->options.post, POST_SEQUENCER)) != NULL;) {
        take_letter(sequencer, letter);
        busy = true;
    }
    if (post_refused(sequencer->options.post) || sequencer->closed) {
        sequencer->last_refused = sequencer->clock;
        tide_refused(&sequencer->tide, sequencer->clock); /* somebody spoke and was not heard */
    }
    if (!sequencer->ready) {
        sequencer->ready = true;
        sequencer->moved = true;
        sequencer->skews_changed = true;
    }
    if (sequencer->skews_changed) {
        send_skews(sequencer);
    }
    watch_snapshot(sequencer);
    watch_timers(sequencer);
    if (sequencer->filling == NULL) {
        busy |= write_frame(sequencer);
    }
    tick(sequencer); /* here whoever spoke so far has been heard */
    if (sequencer->filling != NULL) {
        drive_write(sequencer);
    }
    bool wrote = sequencer->durable;
    if (wrote) {
        finish_write(sequencer);
    }
    post_flush(sequencer->options.post, POST_SEQUENCER);
    if (wrote) {
        FAILPOINT(HOST_LETTERS_SENT);
    }
    return busy;
}

/* The next tick, or the next timer if it is due before. */
static int64_t until_timer(const struct sequencer *sequencer)
{
    if (sequencer->next_due_clock >= sequencer->clock.us + SEQUENCER_TICK_US) {
        return SEQUENCER_TICK_US;
    }
    int64_t rest = sequencer->next_due_clock - sequencer->clock.us;
    return sequencer->next_due_clock <= sequencer->clock.us ? 0 : rest;
}

int64_t sequencer_patience_us(const struct sequencer *sequencer)
{
    if (sequencer->attempt.under_way) {
        return 5000;
    }
    if (sequencer->given_up) {
        return SEQUENCER_TICK_US;
    }
    if (sequencer->filling != NULL || free_frame(sequencer) == NULL) {
        return sequencer->submitted ? 1000 : SEQUENCER_TICK_US; /* nothing can be filled */
    }
    if (sequencer->handover || sequencer->moved) {
        int64_t age = sequencer->clock.us - sequencer->last_pulse.us;
        int64_t rest = sequencer->options.pulse_every_us - age;
        rest = rest < REST_MAX_US ? rest : REST_MAX_US;
        return rest > 0 ? rest : 0;
    }
    return until_timer(sequencer);
}

bool sequencer_is_idle(const struct sequencer *sequencer)
{
    return frame_pool_all_free(&sequencer->frames) && sequencer->first == NULL &&
           !sequencer->handover && !sequencer->attempt.under_way;
}
