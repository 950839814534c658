/* Coming back: the newest snapshot, then the log behind it; and writing the snapshot in the first
 * place. A replay takes the same way as live work: frames to the runners, records to tide,
 * catalogue, consumers and kept answers. */
#include "base/check.h"
#include "base/hash.h"
#include "host/need.h"
#include "host/sequencer.h"

#include <stdlib.h>

#define SNAPSHOT_MAGIC 0x544d534e41503032u /* "TMSNAP02" */
#define WRITER_BYTES   (256 * 1024)
#define LOADING_PIECE  (256 * 1024)
#define RESTS_MAX      3000 /* of a millisecond, while memory or descriptors are short */

/* The child of a fork must not allocate: the buffer is here from the start. */
static uint8_t writer_memory[WRITER_BYTES];

/* --- capture and write --- */

struct growing {
    uint8_t *data;
    size_t len;
    bool failed;
};

static void grow_flush(void *ctx, struct bytes part)
{
    struct growing *growing = ctx;
    uint8_t *data = growing->failed ? NULL : realloc(growing->data, growing->len + part.len);
    if (data == NULL) {
        growing->failed = true;
        return;
    }
    memcpy(data + growing->len, part.data, part.len);
    growing->data = data;
    growing->len += part.len;
}

bool sequencer_capture(struct sequencer *sequencer)
{
    struct growing growing = {0};
    struct writer writer = {
        .buf = buf_of(writer_memory, sizeof(writer_memory)), .flush = grow_flush, .ctx = &growing};
    tide_save(&sequencer->tide, &writer);
    catalog_save(&sequencer->catalog, &writer);
    consumers_save(&sequencer->consumers, &writer);
    write_u64(&writer, sequencer->event_count);
    write_i64(&writer, sequencer->clock.us);
    writer_flush(&writer);
    if (growing.failed) {
        free(growing.data);
        return false;
    }
    free(sequencer->attempt.host_state);
    sequencer->attempt.host_state = growing.data;
    sequencer->attempt.host_state_len = growing.len;
    answers_freeze(&sequencer->answers);
    sequencer->attempt.position = 0; /* known when its frame is durable */
    return true;
}

static void sink_flush(void *ctx, struct bytes part)
{
    struct snapshot_sink *sink = ctx;
    sink->put(sink->ctx, part);
}

static struct engine *owner_of(const struct sequencer *sequencer, uint32_t partition)
{
    return sequencer->options.runners[0].owners[partition];
}

static void save_engines(const struct sequencer *sequencer, struct writer *writer)
{
    engine_save_shared(owner_of(sequencer, 0), writer);
    for (uint32_t n = 0; n < sequencer->options.genesis.partitions; n++) {
        engine_save_partition(owner_of(sequencer, n), n, writer);
    }
}

void sequencer_write_snapshot(void *ctx, struct snapshot_sink *sink)
{
    struct sequencer *sequencer = ctx;
    struct writer writer = {
        .buf = buf_of(writer_memory, sizeof(writer_memory)), .flush = sink_flush, .ctx = sink};
    write_u64(&writer, SNAPSHOT_MAGIC);
    write_u32(&writer, sequencer->options.genesis.partitions);
    write_u64(&writer, sequencer->options.genesis.seed);
    write_string(&writer,
                 bytes_of(sequencer->attempt.host_state, sequencer->attempt.host_state_len));
    answers_save(&sequencer->answers, &writer);
    save_engines(sequencer, &writer);
    write_u64(&writer, SNAPSHOT_MAGIC);
    writer_flush(&writer);
}

/* --- digest --- */

static void digest_flush(void *ctx, struct bytes part)
{
    uint64_t *digest = ctx;
    *digest = hash64(part, *digest);
}

uint64_t sequencer_digest(struct sequencer *sequencer)
{
    uint64_t digest = 0;
    struct writer writer = {.buf = buf_of(writer_memory, sizeof(writer_memory)),
                            .flush = digest_flush,
                            .ctx = &digest,
                            .digest = true};
    save_engines(sequencer, &writer);
    writer_flush(&writer);
    return digest;
}

/* --- restore --- */

struct restoring {
    const struct sequencer_options *options;
    uint32_t partition; /* that is loaded; UINT32_MAX: none */
    size_t untold;      /* bytes */
};

static bool port_read(void *ctx, void *into, size_t len)
{
    struct restoring *restoring = ctx;
    const struct sequencer_options *options = restoring->options;
    restoring->untold += len;
    if (restoring->untold >= LOADING_PIECE && restoring->partition != UINT32_MAX &&
        options->loading != NULL) {
        options->loading(options->loading_ctx, restoring->partition);
        restoring->untold = 0;
    }
    return options->snapshot.ops->read(options->snapshot.ctx, into, len);
}

static bool load_partitions(struct sequencer *sequencer, struct loader *in)
{
    struct restoring *restoring = in->ctx;
    for (uint32_t n = 0; n < sequencer->options.genesis.partitions; n++) {
        restoring->partition = n;
        if (!engine_load_partition(owner_of(sequencer, n), n, in)) {
            return false;
        }
    }
    restoring->partition = UINT32_MAX;
    return true;
}

static bool load_all(struct sequencer *sequencer, struct loader *in)
{
    const struct genesis *genesis = &sequencer->options.genesis;
    if (load_u64(in) != SNAPSHOT_MAGIC || load_u32(in) != genesis->partitions ||
        load_u64(in) != genesis->seed) {
        return false;
    }
    (void)load_u32(in); /* length of the host's state */
    if (!tide_load(&sequencer->tide, in) || !catalog_load(&sequencer->catalog, in) ||
        !consumers_load(&sequencer->consumers, in)) {
        return false;
    }
    sequencer->event_count = load_u64(in);
    sequencer->clock.us = load_i64(in);
    struct engine *first = owner_of(sequencer, 0);
    if (in->bad || !answers_load(&sequencer->answers, in) || !engine_load_shared(first, in)) {
        return false;
    }
    sequencer->pulse_ordinal = first->pulse_ordinal;
    for (uint32_t n = 1; n < sequencer->options.post->runner_count; n++) {
        engine_copy_shared(sequencer->options.runners[n].engine, first);
    }
    return load_partitions(sequencer, in) && load_u64(in) == SNAPSHOT_MAGIC && !in->bad;
}

/* Whatever was loaded before the damage was found goes. */
static void forget_loaded(struct sequencer *sequencer)
{
    catalog_deinit(&sequencer->catalog);
    catalog_init(&sequencer->catalog);
    consumers_init(&sequencer->consumers);
    answers_deinit(&sequencer->answers);
    answers_init(&sequencer->answers, &sequencer->options.answers, sequencer->options.genesis.seed);
    tide_deinit(&sequencer->tide);
    if (!tide_init(&sequencer->tide, sequencer->options.genesis.seed)) {
        memory_missing(WRITER_BYTES, "reading an older snapshot");
    }
    sequencer->event_count = 0;
    sequencer->clock = (struct clock_time){0};
    sequencer->pulse_ordinal = 0;
    for (uint32_t n = 0; n < sequencer->options.post->runner_count; n++) {
        engine_reset(sequencer->options.runners[n].engine);
    }
}

/* Loads the newest good one: OK, ERR_NOT_FOUND: there is none, ERR_UNPROCESSABLE: it was not understood.
 * It is proved block by block, on its way: to read it twice would take a start as long again. */
static enum err load_newest(struct sequencer *sequencer, uint64_t *position)
{
    struct snapshot_port *port = &sequencer->options.snapshot;
    for (;;) {
        enum err err = port->ops->open(port->ctx, sequencer->options.replay_until, position);
        if (err == ERR_OVERLOADED) {
            memory_missing(WRITER_BYTES, "reading the newest snapshot");
        }
        if (err != OK) {
            return ERR_NOT_FOUND;
        }
        uint64_t damaged_before = port->ops->damaged(port->ctx);
        struct restoring restoring = {.options = &sequencer->options, .partition = UINT32_MAX};
        struct loader loader = {.read = port_read, .ctx = &restoring};
        bool understood = load_all(sequencer, &loader);
        port->ops->close(port->ctx);
        if (understood || port->ops->damaged(port->ctx) == damaged_before) {
            return understood ? OK : ERR_UNPROCESSABLE;
        }
        forget_loaded(sequencer);
    }
}

bool sequencer_restore(struct sequencer *sequencer, uint64_t *from)
{
    struct log_status status;
    sequencer->options.log.ops->status(sequencer->options.log.ctx, &status);
    sequencer->position = status.durable_end;
    *from = 0;
    uint64_t position;
    enum err err = load_newest(sequencer, &position);
    if (err != OK) {
        return err == ERR_NOT_FOUND; /* from the beginning */
    }
    *from = position;
    sequencer->attempt.last_position = position;
    sequencer->attempt.last_taken = sequencer->clock;
    sequencer->attempt.log_end_at_last = position;
    for (uint32_t n = 0; n < sequencer->options.post->runner_count; n++) {
        struct runner *runner = &sequencer->options.runners[n];
        runner->visible = position;
        for (uint32_t peer = 0; peer < sequencer->options.post->runner_count; peer++) {
            runner->peers_ready[peer] = sequencer->pulse_ordinal;
        }
    }
    return true;
}

/* --- replay --- */

/* What the runners have given back. */
static void take_frames(struct sequencer *sequencer)
{
    struct post *post = sequencer->options.post;
    for (struct letter *letter; (letter = post_take(post, POST_SEQUENCER)) != NULL;) {
        CHECK(letter->kind == LETTER_FRAME);
        struct frame *frame = (struct frame *)(void *)letter;
        frame->missing--;
        frame->free = frame->missing == 0;
    }
}

static void await_letters(struct sequencer *sequencer)
{
    struct post *post = sequencer->options.post;
    struct waker *waker = &post->wakers[POST_SEQUENCER];
    waker_prepare(waker);
    if (!post_waiting(post, POST_SEQUENCER)) {
        waker_wait(waker, -1);
    }
    waker_awake(waker);
}

/* Waits for a frame that takes any of the log's. */
static struct frame *wait_for_frame(struct sequencer *sequencer)
{
    take_frames(sequencer);
    struct frame *frame = NULL;
    while ((frame = frame_pool_find_large(&sequencer->frames)) == NULL) {
        await_letters(sequencer);
        take_frames(sequencer);
    }
    return frame;
}

/* Waits until the runners are through with all. */
static void wait_for_all(struct sequencer *sequencer)
{
    take_frames(sequencer);
    while (!frame_pool_all_free(&sequencer->frames)) {
        await_letters(sequencer);
        take_frames(sequencer);
    }
}

static void move_clock(struct sequencer *sequencer, struct clock_time clock)
{
    sequencer->clock = clock.us > sequencer->clock.us ? clock : sequencer->clock;
}

/* What a record says about the sequencer's own counts and clock; the number of events in it. */
static uint64_t take_figures(struct sequencer *sequencer, const struct record *record)
{
    struct batch batch;
    struct pulse pulse;
    struct timeouts_reader commands;
    struct kept_answer answer;
    if (record->kind == RECORD_EVENTS && batch_open(record->body, &batch)) {
        move_clock(sequencer, batch.arrival);
        return batch.count;
    }
    if (record->kind == RECORD_PULSE && pulse_read(record->body, &pulse)) {
        sequencer->pulse_ordinal = pulse.ordinal;
        move_clock(sequencer, pulse.clock);
        answers_expire(&sequencer->answers, pulse.clock);
    } else if (record->kind == RECORD_TIMEOUTS && timeouts_open(record->body, &commands)) {
        move_clock(sequencer, commands.clock);
    } else if (record->kind == RECORD_ANSWER && kept_answer_read(record->body, &answer)) {
        move_clock(sequencer, answer.kept);
    }
    return 0;
}

/* Tide, catalogue, consumers and answers take the frame's records; the number of events in it. */
static uint64_t take_records(struct sequencer *sequencer, const struct log_view *view)
{
    uint64_t events = 0;
    struct reader reader = reader_of(view->body);
    struct record record;
    while (record_next(&reader, view->body.data, &record)) {
        applying_begin(&sequencer->applying, view->position, &record);
        tide_replay(&sequencer->tide, &record);
        catalog_apply(&sequencer->catalog, &record, sequencer->position); /* as live */
        consumers_apply(&sequencer->consumers, &record);
        answers_apply(&sequencer->answers, &record, 0);
        applying_end(&sequencer->applying);
        sequencer->handover = record.kind != RECORD_PULSE;
        events += take_figures(sequencer, &record);
    }
    CHECK(!reader.bad);
    return events;
}

static void send_replayed(struct sequencer *sequencer, struct frame *frame)
{
    frame->waiter_count = 0;
    frame->replayed = true;
    sequencer_hand_out(sequencer, frame);
    post_flush(sequencer->options.post, POST_SEQUENCER);
}

static void replay_frame(struct sequencer *sequencer, const struct log_view *view)
{
    struct frame *frame = wait_for_frame(sequencer);
    CHECK(view->body.len <= frame->log.capacity - LOG_FRAME_HEADER);
    memcpy(frame->log.data + LOG_FRAME_HEADER, view->body.data, view->body.len);
    frame->log.body_len = view->body.len;
    frame->log.position = view->position;
    frame->log.end = view->end;
    frame->log.record_count = view->record_count;
    send_replayed(sequencer, frame);
}

/* The log was cut between events and their pulse, by a crash or by `until`. For a look at its state
 * a pulse is made up, a function of the log as everything else: it is applied, and written nowhere.
 */
static void end_with_pulse(struct sequencer *sequencer)
{
    struct frame *frame = wait_for_frame(sequencer);
    struct buf out =
        buf_of(frame->log.data + LOG_FRAME_HEADER, frame->log.capacity - LOG_FRAME_HEADER);
    tide_pulse(&sequencer->tide, &out, ++sequencer->pulse_ordinal, sequencer->clock, 0);
    CHECK(!out.overflow);
    frame->log.body_len = out.len;
    frame->log.position = sequencer->position;
    frame->log.end = sequencer->position;
    frame->log.record_count = 1;
    sequencer->handover = false;
    send_replayed(sequencer, frame);
}

/* A new log begins with what never changes in it. */
static void write_genesis(struct sequencer *sequencer)
{
    struct frame *frame = wait_for_frame(sequencer);
    struct buf out = buf_of(frame->log.data + LOG_FRAME_HEADER, frame->log.capacity / 2);
    genesis_put(&out, &sequencer->options.genesis);
    frame->log.body_len = out.len;
    frame->log.record_count = 1;
    sequencer->filling = frame;
    const struct log_port *log = &sequencer->options.log;
    CHECK(log->ops->submit(log->ctx, &frame->log) == OK);
    while (!sequencer->durable) {
        log->ops->poll(log->ctx);
    }
    sequencer->durable = false;
    sequencer->filling = NULL;
    sequencer->position = frame->log.end;
}

static void rest_a_moment(struct sequencer *sequencer)
{
    struct waker *waker = &sequencer->options.post->wakers[POST_SEQUENCER];
    waker_prepare(waker);
    waker_wait(waker, 1000);
    waker_awake(waker);
}

static bool abandoned(struct sequencer *sequencer)
{
    const _Atomic bool *abandon = sequencer->options.abandon;
    sequencer->abandoned = abandon != NULL && atomic_load(abandon);
    return sequencer->abandoned;
}

/* Feeds the runners with every frame from there on; the number of events. */
static uint64_t replay_frames(struct sequencer *sequencer, uint64_t from)
{
    const struct log_reader_port *port = &sequencer->options.log_reader;
    void *reader = port->ops->open(port->ctx, from);
    if (reader == NULL) {
        memory_missing(LOG_FRAME_BYTES_MAX, "reading the log");
    }
    uint64_t events = 0;
    uint32_t rests = 0;
    struct log_view view;
    enum err err;
    while (!abandoned(sequencer) && (err = port->ops->next(reader, &view)) != ERR_NOT_FOUND) {
        if (err == ERR_OVERLOADED) {
            if (++rests > RESTS_MAX) {
                memory_missing(LOG_FRAME_BYTES_MAX, "reading the log");
            }
            rest_a_moment(sequencer);
            continue;
        }
        rests = 0;
        CHECK(err == OK); /* who opened the node saw to it that the log reaches back to `from` */
        if (view.end > sequencer->options.replay_until) {
            break;
        }
        events += take_records(sequencer, &view);
        sequencer->position = view.end;
        replay_frame(sequencer, &view);
    }
    port->ops->close(reader);
    return events;
}

uint64_t sequencer_replay(struct sequencer *sequencer, uint64_t from)
{
    struct log_status status;
    sequencer->options.log.ops->status(sequencer->options.log.ctx, &status);
    if (status.durable_end == status.oldest && sequencer->options.replay_until == UINT64_MAX) {
        write_genesis(sequencer);
    }
    const struct clock_port *clock = &sequencer->options.clock;
    int64_t began_us = clock->ops->boot_us(clock->ctx);
    sequencer->position = from;
    uint64_t events = replay_frames(sequencer, from);
    if (sequencer->handover && sequencer->options.replay_until != UINT64_MAX) {
        end_with_pulse(sequencer);
    }
    wait_for_all(sequencer);
    sequencer->event_count += events;
    struct clock_time last_alive = sequencer->clock;
    if (sequencer->options.steady != NULL) {
        steady_not_before(sequencer->options.steady, last_alive);
    }
    move_clock(sequencer, clock->ops->wall(clock->ctx));
    int64_t took_us = clock->ops->boot_us(clock->ctx) - began_us;
    sequencer->snapshot_not_before.us = sequencer->clock.us + took_us;
    tide_start(&sequencer->tide, sequencer->clock, last_alive);
    return events;
}
