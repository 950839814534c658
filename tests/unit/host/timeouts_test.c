/* Timeouts and their feed in a world: answered when durable and applied, fired by the clock, found
 * again after a restart; and the consumers of the feed. */
#include "../base/support.h"

#include "host/feed_merge.h"

#include "world.h"

#define MS 1000

static struct machine machine;
static struct world world;

static void begin(const struct world_options *options)
{
    machine_init(&machine);
    assert_true(world_start(&world, &machine, options));
    world_settle(&world);
}

static int tear_down(void **state)
{
    (void)state;
    world_stop(&world);
    machine_deinit(&machine);
    return 0;
}

/* The process ends (nothing is under way), a while later another one begins. */
static void restart(const struct world_options *options, int64_t downtime_us)
{
    world_drain(&world);
    world_stop(&world);
    machine.now_us += downtime_us;
    assert_true(world_start(&world, &machine, options));
    world_settle(&world);
}

/* --- asking --- */

static struct ticket *command(enum timeout_op op, const char *key, int64_t within_us)
{
    struct timeout_command asked = {.op = op, .key = bytes_of_string(key), .within_us = within_us};
    struct ticket *ticket = world_command(&world, 0, &asked, 1);
    assert_int_equal(ticket->refused, OK);
    return ticket;
}

static enum timeout_outcome outcome(enum timeout_op op, const char *key, int64_t within_us)
{
    const struct ticket *ticket = command(op, key, within_us);
    world_settle(&world);
    assert_int_equal(ticket->done, 1);
    assert_int_equal(ticket->proposal.err, OK);
    return ticket->results[0].outcome;
}

static const struct query *ask(const struct query *query)
{
    const struct ticket *ticket = world_ask(&world, query);
    assert_int_equal(ticket->refused, OK);
    world_settle(&world);
    assert_int_equal(ticket->done, 1);
    for (uint32_t n = 0; n < ticket->query.runner_count; n++) {
        assert_int_equal(ticket->query.answers[n].err, OK);
    }
    return &ticket->query;
}

/* What is there under the key; state TIMEOUT_ABSENT: nothing. */
static struct timeout_row look(const char *key)
{
    const struct query *query =
        ask(&(struct query){.kind = QUERY_TIMEOUT, .key = bytes_of_string(key)});
    struct timeout_row found = {0};
    uint32_t count = 0;
    for (uint32_t n = 0; n < query->runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[n].rows));
        for (struct timeout_row row; timeout_row_next(&rows, &row); count++) {
            found = row;
        }
        assert_false(rows.bad);
    }
    assert_true(count <= 1);
    return found;
}

static enum timeout_state state_of(const char *key)
{
    return look(key).object.state;
}

struct told {
    struct feed_place place;
    struct note note;
    char key[32];
};

/* The feed behind a place, page by page; returns how many. */
static uint32_t read_feed(struct feed_place after, uint32_t page, struct told *told, uint32_t room)
{
    uint32_t count = 0;
    for (bool more = true; more;) {
        const struct query *query =
            ask(&(struct query){.kind = QUERY_FEED, .feed_place = after, .limit = page});
        struct feed_merge merge;
        feed_merge_init(&merge, query);
        uint32_t before = count;
        for (struct feed_row row; count - before < page && feed_merge_next(&merge, &row);) {
            assert_true(count < room);
            assert_true(feed_place_compare(after, row.place) < 0);
            after = row.place;
            told[count] = (struct told){.place = row.place, .note = row.note};
            (void)snprintf(told[count].key,
                           sizeof(told[count].key),
                           "%.*s",
                           (int)row.note.key.len,
                           (const char *)row.note.key.data);
            count++;
        }
        more = count > before;
    }
    return count;
}

static uint32_t feed_count(void)
{
    static struct told told[4096];
    return read_feed((struct feed_place){0}, 100, told, 4096);
}

static uint32_t told_times(const char *key)
{
    static struct told told[4096];
    uint32_t count = read_feed((struct feed_place){0}, 100, told, 4096);
    uint32_t times = 0;
    for (uint32_t n = 0; n < count; n++) {
        times += strcmp(told[n].key, key) == 0;
    }
    return times;
}

/* --- commands --- */

static void a_create_is_answered_when_it_is_durable_and_applied(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 3, .partitions = 9});
    world_pass(&world, 200 * MS);
    uint64_t pulses = world.sequencer.pulse_ordinal;
    machine.log.polls_to_durable = 3;
    const struct ticket *ticket = command(TIMEOUT_CREATE, "a", 5 * US_PER_SECOND);
    for (uint32_t n = 0; n < 3; n++) { /* fills, submits, polls; then hands out */
        assert_int_equal(world.sequencer.frame_count, machine.log.count - 1);
        (void)world_step(&world, POST_SEQUENCER);
    }
    world_settle(&world);
    assert_int_equal(ticket->done, 1); /* and no pulse came: the clock stands still */
    assert_true(world.sequencer.pulse_ordinal <= pulses + 1);
    assert_int_equal(ticket->results[0].outcome, TIMEOUT_CREATED);
    assert_int_equal(ticket->results[0].object.state, TIMEOUT_PENDING);
    assert_int_equal(ticket->results[0].object.generation, 1);
    assert_int_equal(ticket->results[0].object.deadline, machine.now_us + 5 * US_PER_SECOND);
    struct timeout_row row = look("a");
    assert_int_equal(row.object.state, TIMEOUT_PENDING);
    assert_int_equal(row.object.deadline, machine.now_us + 5 * US_PER_SECOND);
    assert_true(bytes_equal(row.key, BYTES("a")));
    assert_int_equal(state_of("b"), TIMEOUT_ABSENT);
}

static void nobody_is_answered_before_the_command_is_durable_or_applied(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 2});
    world_pass(&world, 200 * MS);
    machine.log.polls_to_durable = 1000000;
    const struct ticket *ticket = command(TIMEOUT_CREATE, "a", US_PER_SECOND);
    for (uint32_t n = 0; n < 100; n++) {
        for (uint32_t part = 0; part < world_part_count(&world); part++) {
            (void)world_step(&world, part);
        }
    }
    assert_int_equal(ticket->done, 0); /* not durable */
    world.machine->log.polls_left = 1;
    for (uint32_t n = 0; n < 100; n++) {
        (void)world_step(&world, POST_SEQUENCER);
        (void)world_step(&world, post_runner(0));
        (void)world_step(&world, post_network(&world.post, 0));
    }
    assert_int_equal(ticket->done, 0); /* applied by one runner of two */
    world_settle(&world);
    assert_int_equal(ticket->done, 1);
}

static void each_command_of_a_batch_is_answered_by_who_owns_its_key(void **state)
{
    (void)state;
    static struct timeout_command commands[500];
    static char keys[500][8];
    begin(&(struct world_options){.runners = 3, .partitions = 16});
    for (uint32_t n = 0; n < 500; n++) {
        (void)snprintf(keys[n], sizeof(keys[n]), "%u", n);
        commands[n] =
            (struct timeout_command){.op = n % 5 == 4 ? TIMEOUT_HEARTBEAT : TIMEOUT_CREATE,
                                     .key = bytes_of_string(keys[n]),
                                     .within_us = n % 5 == 4 ? 0 : US_PER_HOUR};
    }
    struct ticket *ticket = world_command(&world, 0, commands, 500);
    world_settle(&world);
    assert_int_equal(ticket->done, 1);
    for (uint32_t n = 0; n < 500; n++) {
        assert_int_equal(ticket->results[n].outcome,
                         n % 5 == 4 ? TIMEOUT_UNKNOWN : TIMEOUT_CREATED);
    }
    ticket->done = 0; /* the same letter again: the old results are forgotten */
    assert_int_equal(gateway_propose(world.gateways[0], &ticket->proposal), OK);
    assert_int_equal(ticket->results[0].outcome, TIMEOUT_UNANSWERED);
    world_settle(&world);
    assert_int_equal(ticket->done, 1);
    for (uint32_t n = 0; n < 500; n++) {
        assert_int_equal(ticket->results[n].outcome,
                         n % 5 == 4 ? TIMEOUT_UNKNOWN : TIMEOUT_UNCHANGED);
    }
}

static void events_and_commands_in_one_frame_are_answered_each_in_its_way(void **state)
{
    (void)state;
    static const struct telling event = {.source = {(const uint8_t *)"s", 1},
                                         .id = {(const uint8_t *)"1", 1},
                                         .time_us = WORLD_TIME(0)};
    begin(&(struct world_options){.runners = 2});
    const struct ticket *first = world_tell(&world, 0, &event, 1, true);
    const struct ticket *unheard = world_tell(&world, 0, &event, 1, false);
    const struct ticket *create = command(TIMEOUT_CREATE, "a", US_PER_SECOND);
    const struct ticket *second = world_tell(&world, 0, &event, 1, true);
    const struct ticket *complete = command(TIMEOUT_COMPLETE, "a", 0);
    world_pass(&world, 30 * MS);
    assert_int_equal(first->done + unheard->done + create->done + second->done + complete->done, 5);
    assert_int_equal(first->proposal.duplicates, 0);
    assert_int_equal(second->proposal.duplicates, 1);
    assert_int_equal(create->results[0].object.state, TIMEOUT_PENDING);
    assert_int_equal(complete->results[0].object.state, TIMEOUT_COMPLETED);
}

/* --- firing --- */

static void a_due_timer_makes_a_pulse_come_by_itself(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 2});
    world_pass(&world, 200 * MS);
    assert_int_equal(outcome(TIMEOUT_CREATE, "a", 10 * US_PER_SECOND), TIMEOUT_CREATED);
    int64_t deadline = machine.now_us + 10 * US_PER_SECOND;
    uint64_t before = world.sequencer.pulse_ordinal;
    uint64_t grown = gateway_feed_count(world.gateways[0]);
    world_pass(&world, 10 * US_PER_SECOND - 1);
    assert_int_equal(state_of("a"), TIMEOUT_PENDING);
    assert_int_equal(feed_count(), 0);
    assert_true(world.sequencer.pulse_ordinal - before < 20); /* it is not looked for by pulses */
    machine.now_us = deadline;
    world_settle(&world);
    world_pass(&world, world.options.pulse_every_us);
    assert_int_equal(state_of("a"), TIMEOUT_FIRED);
    assert_true(gateway_feed_count(world.gateways[0]) > grown);
    struct told told[2];
    assert_int_equal(read_feed((struct feed_place){0}, 10, told, 2), 1);
    assert_int_equal(told[0].note.kind, NOTE_TIMEOUT_FIRED);
    assert_int_equal(told[0].note.deadline, deadline);
    assert_string_equal(told[0].key, "a");
    assert_true(told[0].note.clock.us >= deadline);
    assert_true(told[0].note.clock.us <= deadline + world.options.pulse_every_us);
    world_pass(&world, US_PER_MINUTE);
    before = world.sequencer.pulse_ordinal;
    world_pass(&world, US_PER_MINUTE);
    assert_int_equal(world.sequencer.pulse_ordinal, before); /* nothing more is due */
    assert_int_equal(feed_count(), 1);
}

static void the_sequencer_sleeps_no_longer_than_until_the_next_timer(void **state)
{
    (void)state;
    begin(&(struct world_options){0});
    world_pass(&world, 200 * MS);
    assert_int_equal(sequencer_patience_us(&world.sequencer), SEQUENCER_TICK_US);
    assert_int_equal(outcome(TIMEOUT_CREATE, "a", US_PER_SECOND), TIMEOUT_CREATED);
    int64_t deadline = machine.now_us + US_PER_SECOND;
    while (machine.now_us < deadline) { /* as its thread would: sleeping as long as it may */
        int64_t patience_us = sequencer_patience_us(&world.sequencer);
        assert_true(patience_us > 0 && patience_us <= SEQUENCER_TICK_US);
        machine.now_us += patience_us;
        assert_true(machine.now_us <= deadline);
        world_settle(&world);
    }
    assert_int_equal(told_times("a"), 1);
}

static void a_complete_before_the_pulse_wins_and_one_after_it_loses(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 2});
    world_pass(&world, 200 * MS);
    int64_t deadline = machine.now_us + US_PER_SECOND;
    assert_int_equal(outcome(TIMEOUT_CREATE, "early", US_PER_SECOND), TIMEOUT_CREATED);
    assert_int_equal(outcome(TIMEOUT_CREATE, "late", US_PER_SECOND), TIMEOUT_CREATED);
    world_pass(&world, US_PER_SECOND - 10 * MS);
    machine.now_us = deadline; /* due; the command comes before the sequencer has looked */
    const struct ticket *early = command(TIMEOUT_COMPLETE, "early", 0);
    world_settle(&world);
    world_pass(&world, 100 * MS);
    assert_int_equal(early->results[0].outcome, TIMEOUT_CHANGED);
    assert_int_equal(state_of("early"), TIMEOUT_COMPLETED);
    assert_int_equal(outcome(TIMEOUT_COMPLETE, "late", 0), TIMEOUT_ALREADY_FIRED);
    assert_int_equal(told_times("early"), 0);
    assert_int_equal(told_times("late"), 1);
}

static void what_is_overdue_after_a_restart_fires_once(void **state)
{
    (void)state;
    const struct world_options options = {.runners = 2, .partitions = 8};
    char key[16];
    begin(&options);
    for (uint32_t n = 0; n < 60; n++) {
        (void)snprintf(key, sizeof(key), "%u", n);
        assert_int_equal(outcome(TIMEOUT_CREATE, key, US_PER_SECOND + (n % 20) * US_PER_SECOND),
                         TIMEOUT_CREATED);
        if (n == 30) { /* the first half comes back from a snapshot, the rest from the log */
            (void)world_propose(&world, &(struct proposal){.kind = PROPOSE_SNAPSHOT});
            world_pass(&world, 100 * MS);
            assert_int_equal(machine.snapshots.count, 1);
        }
    }
    assert_int_equal(outcome(TIMEOUT_COMPLETE, "7", 0), TIMEOUT_CHANGED);
    assert_int_equal(outcome(TIMEOUT_CANCEL, "47", 0), TIMEOUT_CHANGED);
    world_pass(&world, 10 * US_PER_SECOND);
    uint32_t fired = feed_count();
    assert_true(fired > 20 && fired < 40);
    restart(&options, US_PER_HOUR);
    world_pass(&world, 200 * MS);
    assert_int_equal(feed_count(), 58);
    for (uint32_t n = 0; n < 60; n++) {
        (void)snprintf(key, sizeof(key), "%u", n);
        assert_int_equal(told_times(key), n != 7 && n != 47);
    }
    restart(&options, US_PER_HOUR);
    world_pass(&world, 200 * MS);
    assert_int_equal(feed_count(), 58);
    restart(&(struct world_options){.runners = 1, .partitions = 8, .ignore_snapshots = true}, 0);
    world_drain(&world);
    assert_int_equal(feed_count(), 58);
    world_stop(&world); /* with the snapshot and without it, on however many runners: one state */
    assert_true(world_start(&world,
                            &machine,
                            &(struct world_options){.runners = 3,
                                                    .partitions = 8,
                                                    .ignore_snapshots = true,
                                                    .replay_until = machine.log.end}));
    uint64_t replayed = world_digest(&world);
    world_stop(&world);
    assert_true(world_start(
        &world,
        &machine,
        &(struct world_options){.runners = 1, .partitions = 8, .replay_until = machine.log.end}));
    assert_int_equal(world_digest(&world), replayed);
}

static void within_counts_by_the_log_and_the_clock_goes_on_from_it(void **state)
{
    (void)state;
    begin(&(struct world_options){0});
    assert_int_equal(outcome(TIMEOUT_CREATE, "a", US_PER_HOUR), TIMEOUT_CREATED);
    int64_t deadline = look("a").object.deadline;
    world_stop(&world); /* as if killed: the command is the last record of the log */
    machine.now_us -= 10 * US_PER_SECOND;
    assert_true(world_start(&world, &machine, &(struct world_options){0}));
    assert_int_equal(world.sequencer.clock.us, deadline - US_PER_HOUR);
    machine.now_us += 10 * US_PER_SECOND;
    world_settle(&world);
    assert_int_equal(look("a").object.deadline, deadline);
}

/* --- a full disk --- */

static void a_full_disk_refuses_commands_and_changes_nothing(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 2});
    assert_int_equal(outcome(TIMEOUT_CREATE, "a", US_PER_HOUR), TIMEOUT_CREATED);
    world_pass(&world, 200 * MS);
    machine.log.full = true;
    world_pass(&world, 200 * MS);
    const struct ticket *create = command(TIMEOUT_CREATE, "b", US_PER_HOUR);
    const struct ticket *complete = command(TIMEOUT_COMPLETE, "a", 0);
    struct ticket *consumer = world_propose(
        &world,
        &(struct proposal){.kind = PROPOSE_CONSUMER, .name = BYTES("c"), .feed_place = {1, 0, 0}});
    world_pass(&world, 100 * MS);
    assert_int_equal(create->done + complete->done + consumer->done, 3);
    assert_int_equal(create->proposal.err, ERR_NO_SPACE);
    assert_int_equal(create->results[0].outcome, TIMEOUT_UNANSWERED);
    assert_int_equal(complete->proposal.err, ERR_NO_SPACE);
    assert_int_equal(consumer->proposal.err, ERR_NO_SPACE);
    assert_int_equal(state_of("a"), TIMEOUT_PENDING);
    assert_int_equal(state_of("b"), TIMEOUT_ABSENT);
    assert_int_equal(gateway_under_way(world.gateways[0]), 0);
    machine.log.full = false;
    world_pass(&world, 200 * MS);
    assert_int_equal(outcome(TIMEOUT_COMPLETE, "a", 0), TIMEOUT_CHANGED);
}

/* --- hold --- */

/* The flags of the log's last pulse. */
static uint8_t last_flags(void)
{
    for (size_t n = machine.log.count; n-- > 0;) {
        const struct memory_frame *frame = &machine.log.frames[n];
        struct reader reader = reader_of(bytes_of(frame->body, frame->body_len));
        struct record record;
        struct pulse pulse;
        while (record_next(&reader, frame->body, &record)) {
            if (record.kind == RECORD_PULSE) {
                assert_true(pulse_read(record.body, &pulse));
                return pulse.flags;
            }
        }
    }
    fail_msg("there is no pulse");
    return 0;
}

static void tell_something(const char *id)
{
    struct telling event = {
        .source = BYTES("s"), .id = bytes_of_string(id), .time_us = machine.now_us};
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, OK);
}

static void pulses_hold_while_deaf_refusing_or_resumed_and_not_otherwise(void **state)
{
    (void)state;
    begin(&(struct world_options){.pause_us = 2 * US_PER_SECOND});
    tell_something("1");
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, 0);

    machine.now_us += 2 * US_PER_SECOND; /* just about as slow as it may be */
    tell_something("slow");
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, 0);
    machine.now_us += 3 * US_PER_SECOND; /* the process stood still */
    tell_something("2");
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, PULSE_HOLD);
    world_pass(&world, 2 * US_PER_SECOND);
    tell_something("3");
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, 0);

    machine.log.full = true;
    world_pass(&world, 200 * MS);
    tell_something("4"); /* refused */
    world_pass(&world, 200 * MS);
    machine.log.full = false;
    world_pass(&world, 200 * MS);
    tell_something("5");
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, PULSE_HOLD); /* a moment ago it refused */
    world_pass(&world, 2 * US_PER_SECOND);
    tell_something("6");
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, 0);

    gateway_counters(world.gateways[0])->writes_shed++; /* turned away: too much was under way */
    world_settle(&world);
    tell_something("7");
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, PULSE_HOLD);
    world_pass(&world, 2 * US_PER_SECOND);
    tell_something("8");
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, 0);

    restart(&(struct world_options){0}, US_PER_MINUTE);
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, PULSE_HOLD); /* deaf: nobody has spoken yet */
    tell_something("9");
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, 0);
}

static void pulses_hold_while_something_waits_for_its_turn(void **state)
{
    (void)state;
    begin(&(struct world_options){.letters_max = 4000});
    world_pass(&world, 100 * MS);
    uint64_t pulse = world.sequencer.pulse_ordinal;
    char id[16];
    for (uint32_t n = 0; n < FRAME_WAITERS_MAX + 100; n++) { /* more than one frame takes */
        (void)snprintf(id, sizeof(id), "%u", n);
        struct telling event = {
            .source = BYTES("s"), .id = bytes_of_string(id), .time_us = machine.now_us};
        assert_int_equal(world_tell(&world, 0, &event, 1, true)->refused, OK);
    }
    machine.now_us += 100 * MS;
    for (uint32_t n = 0; world.sequencer.pulse_ordinal == pulse && n < 100; n++) {
        (void)world_step(&world, post_network(&world.post, 0));
        (void)world_step(&world, POST_SEQUENCER);
    }
    assert_int_equal(last_flags() & PULSE_HOLD, PULSE_HOLD);
    world_pass(&world, 100 * MS);
    assert_int_equal(last_flags() & PULSE_HOLD, 0);
}

static enum timeout_outcome create_by_events(const char *key, int64_t deadline)
{
    struct timeout_command asked = {.op = TIMEOUT_CREATE,
                                    .key = bytes_of_string(key),
                                    .has_deadline = true,
                                    .deadline = deadline,
                                    .clock = TIMEOUT_BY_EVENTS};
    const struct ticket *ticket = world_command(&world, 0, &asked, 1);
    world_settle(&world);
    assert_int_equal(ticket->done, 1);
    return ticket->results[0].outcome;
}

static void
by_events_a_timeout_waits_while_the_engine_can_not_tell_and_fires_by_itself_then(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 2, .pause_us = 2 * US_PER_SECOND});
    tell_something("1");
    world_pass(&world, 100 * MS);
    assert_int_equal(create_by_events("a", world.sequencer.tide.watermark - 1), TIMEOUT_CREATED);
    assert_int_equal(create_by_events("b", world.sequencer.tide.watermark), TIMEOUT_CREATED);
    world_pass(&world, 300 * MS);
    assert_int_equal(state_of("a"), TIMEOUT_FIRED);
    assert_int_equal(state_of("b"), TIMEOUT_PENDING); /* exactly at the deadline is in time */
    assert_false(look("b").object.held);

    machine.now_us += 3 * US_PER_SECOND; /* the process stood still */
    tell_something("2");
    world_pass(&world, 300 * MS);
    assert_int_equal(state_of("b"), TIMEOUT_PENDING);
    assert_true(look("b").object.held);
    world_pass(&world, US_PER_SECOND); /* nothing comes, but HOLD ends */
    assert_int_equal(state_of("b"), TIMEOUT_FIRED);
    assert_int_equal(told_times("engine"), 2);
    assert_int_equal(feed_count(), 4);
}

static void what_is_held_for_long_makes_no_pulses_meanwhile(void **state)
{
    (void)state;
    begin(&(struct world_options){0});
    tell_something("1");
    world_pass(&world, 100 * MS);
    restart(&(struct world_options){0}, US_PER_MINUTE); /* deaf for as long as it was away */
    assert_int_equal(create_by_events("a", world.sequencer.tide.watermark - 1), TIMEOUT_CREATED);
    world_pass(&world, 1500 * MS); /* until it is told that it holds */
    assert_true(look("a").object.held);
    assert_int_equal(told_times("engine"), 1);
    uint64_t before = world.sequencer.pulse_ordinal;
    world_pass(&world, 30 * US_PER_SECOND);
    assert_int_equal(world.sequencer.pulse_ordinal, before);
    assert_int_equal(state_of("a"), TIMEOUT_PENDING);
    world_pass(&world, 31 * US_PER_SECOND);
    assert_int_equal(state_of("a"), TIMEOUT_FIRED);
    assert_int_equal(told_times("a"), 1);
    assert_int_equal(told_times("engine"), 2);
}

/* --- questions --- */

static void a_page_of_timeouts_says_where_to_go_on(void **state)
{
    (void)state;
    char key[16];
    begin(&(struct world_options){.runners = 2, .partitions = 4});
    for (uint32_t n = 0; n < 100; n++) {
        (void)snprintf(key, sizeof(key), "%s%u", n % 2 == 0 ? "even-" : "odd-", n);
        assert_int_equal(outcome(TIMEOUT_CREATE, key, US_PER_HOUR + n * US_PER_SECOND),
                         TIMEOUT_CREATED);
    }
    assert_int_equal(outcome(TIMEOUT_COMPLETE, "even-4", 0), TIMEOUT_CHANGED);
    bool seen[100] = {false};
    uint32_t count = 0;
    for (uint32_t partition = 0; partition < 4; partition++) {
        for (uint32_t place = 0; place != UINT32_MAX;) {
            const struct query *query = ask(&(struct query){.kind = QUERY_TIMEOUTS,
                                                            .partition = partition,
                                                            .timeout_place = place,
                                                            .timeout_states = 1u << TIMEOUT_PENDING,
                                                            .prefix = BYTES("even-"),
                                                            .due_before = INT64_MAX,
                                                            .limit = 3});
            place = UINT32_MAX;
            for (uint32_t n = 0; n < query->runner_count; n++) {
                const struct query_answer *answer = &query->answers[n];
                assert_true(answer->row_count <= 3);
                place = answer->next_place < place ? answer->next_place : place;
                struct reader rows = reader_of(buf_bytes(&answer->rows));
                for (struct timeout_row row; timeout_row_next(&rows, &row); count++) {
                    uint32_t number = (uint32_t)strtoul((const char *)row.key.data + 5, NULL, 10);
                    assert_true(number < 100 && number % 2 == 0 && number != 4 && !seen[number]);
                    seen[number] = true;
                }
                assert_false(rows.bad);
            }
        }
    }
    assert_int_equal(count, 49);
}

static void counts_and_the_histogram_of_deadlines_add_up(void **state)
{
    (void)state;
    char key[16];
    begin(&(struct world_options){.runners = 3, .partitions = 6});
    int64_t now = machine.now_us;
    for (uint32_t n = 0; n < 60; n++) {
        (void)snprintf(key, sizeof(key), "%u", n);
        assert_int_equal(outcome(TIMEOUT_CREATE, key, US_PER_HOUR + n * US_PER_MINUTE),
                         TIMEOUT_CREATED);
    }
    for (uint32_t n = 0; n < 10; n++) {
        (void)snprintf(key, sizeof(key), "%u", n);
        assert_int_equal(outcome(TIMEOUT_CANCEL, key, 0), TIMEOUT_CHANGED);
    }
    uint64_t counts[TIMEOUT_STATES] = {0};
    const struct query *query = ask(&(struct query){.kind = QUERY_TIMEOUT_COUNTS});
    for (uint32_t n = 0; n < query->runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[n].rows));
        for (struct count_row row; count_row_next(&rows, &row);) {
            counts[row.index] += row.count;
        }
        assert_false(rows.bad);
    }
    assert_int_equal(counts[TIMEOUT_PENDING], 50);
    assert_int_equal(counts[TIMEOUT_CANCELLED], 10);
    uint64_t spans[4] = {0};
    query = ask(&(struct query){.kind = QUERY_TIMEOUTS_DUE,
                                .from = now + US_PER_HOUR,
                                .span_us = 15 * US_PER_MINUTE,
                                .limit = 4});
    for (uint32_t n = 0; n < query->runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[n].rows));
        for (struct count_row row; count_row_next(&rows, &row);) {
            spans[row.index] += row.count;
        }
    }
    assert_int_equal(spans[0], 5);
    assert_int_equal(spans[1] + spans[2] + spans[3], 45);
}

static void the_feed_of_all_runners_is_read_page_by_page_in_one_order(void **state)
{
    (void)state;
    static struct told all[300];
    static struct told paged[300];
    char key[16];
    begin(&(struct world_options){.runners = 3, .partitions = 16});
    for (uint32_t n = 0; n < 200; n++) {
        (void)snprintf(key, sizeof(key), "%u", n);
        assert_int_equal(outcome(TIMEOUT_CREATE, key, US_PER_SECOND + n % 4 * 100 * MS),
                         TIMEOUT_CREATED);
    }
    world_pass(&world, 2 * US_PER_SECOND);
    assert_int_equal(read_feed((struct feed_place){0}, 1000, all, 300), 200);
    for (uint32_t page = 1; page < 20; page += 6) {
        assert_int_equal(read_feed((struct feed_place){0}, page, paged, 300), 200);
        for (uint32_t n = 0; n < 200; n++) {
            assert_int_equal(feed_place_compare(all[n].place, paged[n].place), 0);
            assert_string_equal(all[n].key, paged[n].key);
        }
    }
    assert_int_equal(read_feed(all[150].place, 7, paged, 300), 49);
    assert_int_equal(feed_place_compare(paged[0].place, all[151].place), 0);
}

/* --- consumers --- */

static const struct ticket *ack(const char *name, struct feed_place place)
{
    const struct ticket *ticket = world_propose(&world,
                                                &(struct proposal){.kind = PROPOSE_CONSUMER,
                                                                   .name = bytes_of_string(name),
                                                                   .feed_place = place});
    world_settle(&world);
    assert_int_equal(ticket->done, 1);
    return ticket;
}

static struct consumer_info consumer(const char *name)
{
    const struct ticket *ticket = world_inspect(&world, INSPECT_CONSUMERS, name);
    world_settle(&world);
    assert_int_equal(ticket->done, 1);
    assert_true(ticket->inspection.consumer_count <= 1);
    return ticket->inspection.consumer_count == 0 ? (struct consumer_info){0}
                                                  : ticket->inspection.consumers[0];
}

static void consumers_survive_a_restart_by_the_log_and_by_a_snapshot(void **state)
{
    (void)state;
    begin(&(struct world_options){0});
    assert_int_equal(ack("first", (struct feed_place){5, 1, 2})->proposal.err, OK);
    assert_int_equal(ack("gone", (struct feed_place){5, 1, 2})->proposal.err, OK);
    (void)world_propose(&world, &(struct proposal){.kind = PROPOSE_SNAPSHOT});
    world_pass(&world, 100 * MS);
    assert_int_equal(machine.snapshots.count, 1);
    assert_int_equal(ack("second", (struct feed_place){7, 0, 0})->proposal.err, OK);
    assert_int_equal(ack("gone", (struct feed_place){0})->proposal.err, OK);
    assert_int_equal(ack("gone", (struct feed_place){0})->proposal.err, ERR_NOT_FOUND);
    for (uint32_t round = 0; round < 2; round++) {
        restart(&(struct world_options){.ignore_snapshots = round == 1}, US_PER_SECOND);
        assert_int_equal(consumer("first").place.ordinal, 5);
        assert_int_equal(consumer("first").place.number, 2);
        assert_int_equal(consumer("first").acked.us, WORLD_TIME(0));
        assert_int_equal(consumer("second").place.ordinal, 7);
        assert_int_equal(consumer("gone").name.len, 0);
        const struct ticket *all = world_inspect(&world, INSPECT_CONSUMERS, NULL);
        world_settle(&world);
        assert_int_equal(all->inspection.consumer_count, 2);
        assert_true(bytes_equal(all->inspection.consumers[0].name, BYTES("first")));
        assert_true(bytes_equal(all->inspection.consumers[1].name, BYTES("second")));
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_create_is_answered_when_it_is_durable_and_applied),
        TEST(nobody_is_answered_before_the_command_is_durable_or_applied),
        TEST(each_command_of_a_batch_is_answered_by_who_owns_its_key),
        TEST(events_and_commands_in_one_frame_are_answered_each_in_its_way),
        TEST(a_due_timer_makes_a_pulse_come_by_itself),
        TEST(the_sequencer_sleeps_no_longer_than_until_the_next_timer),
        TEST(a_complete_before_the_pulse_wins_and_one_after_it_loses),
        TEST(what_is_overdue_after_a_restart_fires_once),
        TEST(within_counts_by_the_log_and_the_clock_goes_on_from_it),
        TEST(a_full_disk_refuses_commands_and_changes_nothing),
        TEST(pulses_hold_while_deaf_refusing_or_resumed_and_not_otherwise),
        TEST(pulses_hold_while_something_waits_for_its_turn),
        TEST(by_events_a_timeout_waits_while_the_engine_can_not_tell_and_fires_by_itself_then),
        TEST(what_is_held_for_long_makes_no_pulses_meanwhile),
        TEST(a_page_of_timeouts_says_where_to_go_on),
        TEST(counts_and_the_histogram_of_deadlines_add_up),
        TEST(the_feed_of_all_runners_is_read_page_by_page_in_one_order),
        TEST(consumers_survive_a_restart_by_the_log_and_by_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
