/* Silence and deafness. Who falls silent is told of within a bound that its lane sets, and not sooner.
 * While we could not hear (stopped, refusing, full, down, behind), nobody is called silent, and what is due
 * is shown as unknown where that is known; afterwards the right ones fire.
 *
 * Sources "a", "b" have lanes of their own and send a reading every ten seconds. A rule tells of each that
 * is silent for a minute; explicit timeouts by events stand beside it. Seconds count from WORLD_EPOCH_S. */
#include "../unit/base/support.h"

#include "host/feed_merge.h"

#include "story.h"

#define NOTES_MAX 256
#define EVERY_S   10
#define HOUR_S    3600
#define SLACK_MS  1000

static struct story story;

static int tear_down(void **state)
{
    (void)state;
    story_end(&story);
    return 0;
}

static int64_t now_ms(void)
{
    return (story.machine.now_us - WORLD_TIME(0)) / 1000;
}

static int64_t now_s(void)
{
    return now_ms() / 1000;
}

/* In steps that nobody takes for a process that stood still. */
static void pass(double seconds)
{
    for (; seconds > 60; seconds -= 60) {
        story_pass(&story, 60);
    }
    story_pass(&story, seconds);
}

/* --- acting --- */

static void source(const char *name, int64_t disorder_us, int64_t idle_after_us)
{
    struct proposal proposal = {.kind = PROPOSE_SOURCE,
                                .name = bytes_of_string(name),
                                .source = {.kind = LANE_BOUNDED,
                                           .disorder_us = disorder_us,
                                           .idle_after_us = idle_after_us,
                                           .max_future_skew_us = 5 * US_PER_MINUTE}};
    const struct ticket *ticket = world_propose(&story.world, &proposal);
    story_settle(&story);
    assert_int_equal(ticket->done, 1);
    assert_int_equal(ticket->proposal.err, OK);
}

static void rule(const char *sql)
{
    const struct ticket *ticket = world_define(&story.world, bytes_of_string(sql), DEFINE_CREATE);
    story_settle(&story);
    assert_int_equal(ticket->done, 1);
    assert_int_equal(ticket->proposal.err, OK);
}

#define SILENCE(every)                                                                             \
    "CREATE SILENCE quiet AS EXPECT type = 'told' EVERY INTERVAL '" every "' PER source"
#define OVERDUE(within)                                                                            \
    "CREATE TIMEOUT overdue AS AFTER type = 'told' EXPECT type = 'never' WITHIN INTERVAL '" within \
    "' PER subject"

/* A reading of a source, of that second; false: it was refused. */
static bool tell(const char *from, int64_t second)
{
    static uint64_t count;
    char id[24];
    (void)snprintf(id, sizeof(id), "r%llu", (unsigned long long)count++);
    struct telling event = {.source = bytes_of_string(from),
                            .id = bytes_of_string(id),
                            .subject = bytes_of_string(from),
                            .time_us = WORLD_TIME(second)};
    const struct ticket *ticket = world_tell(&story.world, 0, &event, 1, false);
    story_settle(&story);
    return ticket->refused == OK && ticket->done == 1 && ticket->proposal.err == OK;
}

/* Both send, for so long; each reading as it happens. */
static void both_send(int64_t seconds)
{
    for (int64_t end = now_s() + seconds; now_s() < end;) {
        pass(EVERY_S);
        assert_true(tell("a", now_s()));
        assert_true(tell("b", now_s()));
    }
}

/* What a source could not get rid of meanwhile, in its order. */
static void send_kept(const char *from, int64_t first, int64_t last)
{
    for (int64_t second = first; second <= last; second += EVERY_S) {
        assert_true(tell(from, second));
    }
}

static enum timeout_outcome command(enum timeout_op op, const char *key, int64_t deadline)
{
    struct timeout_command asked = {.op = op, .key = bytes_of_string(key)};
    if (op == TIMEOUT_CREATE) {
        asked.clock = TIMEOUT_BY_EVENTS;
        asked.has_deadline = true;
        asked.deadline = WORLD_TIME(deadline);
    }
    const struct ticket *ticket = world_command(&story.world, 0, &asked, 1);
    story_settle(&story);
    assert_int_equal(ticket->done, 1);
    assert_int_equal(ticket->proposal.err, OK);
    return ticket->results[0].outcome;
}

/* --- looking --- */

static const struct query *ask(const struct query *query)
{
    const struct ticket *ticket = world_ask(&story.world, query);
    assert_int_equal(ticket->refused, OK);
    story_settle(&story);
    assert_int_equal(ticket->done, 1);
    return &ticket->query;
}

static struct timeout_object look(const char *key)
{
    const struct query *query =
        ask(&(struct query){.kind = QUERY_TIMEOUT, .key = bytes_of_string(key)});
    for (uint32_t n = 0; n < query->runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[n].rows));
        struct timeout_row row;
        if (timeout_row_next(&rows, &row)) {
            return row.object;
        }
    }
    return (struct timeout_object){0};
}

/* Whether the rule's silence of "a" is shown as unknown. */
static bool silence_is_held(void)
{
    const struct query *query =
        ask(&(struct query){.kind = QUERY_WATCH, .metric = BYTES("quiet"), .key = BYTES("a")});
    bool held = false;
    for (uint32_t n = 0; n < query->runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&query->answers[n].rows));
        for (struct timeout_row row; timeout_row_next(&rows, &row);) {
            held = held || row.object.held;
        }
    }
    return held;
}

struct heard {
    enum note_kind kind;
    char key[16];
    bool holding;
    uint32_t why;
    int64_t at_ms;
    int64_t deadline_s;
};

static struct heard heard[NOTES_MAX];

/* The whole feed; the number of firings, of a key if one is given. */
static uint32_t fired(const char *key)
{
    const struct query *query = ask(&(struct query){.kind = QUERY_FEED, .limit = NOTES_MAX});
    struct feed_merge merge;
    struct feed_row row;
    uint32_t count = 0;
    uint32_t all = 0;
    feed_merge_init(&merge, query);
    memset(heard, 0, sizeof(heard));
    while (feed_merge_next(&merge, &row)) {
        assert_true(all < NOTES_MAX);
        struct heard *one = &heard[all++];
        one->kind = row.note.kind;
        one->holding = (row.note.flags & NOTE_HOLDING) != 0;
        one->why = row.note.generation;
        one->at_ms = (row.note.clock.us - WORLD_TIME(0)) / 1000;
        one->deadline_s = (row.note.deadline - WORLD_TIME(0)) / US_PER_SECOND;
        (void)snprintf(one->key,
                       sizeof(one->key),
                       "%.*s",
                       (int)row.note.key.len,
                       (const char *)row.note.key.data);
        bool wanted = key == NULL || strcmp(one->key, key) == 0;
        count += row.note.kind == NOTE_TIMEOUT_FIRED && wanted;
    }
    return count;
}

/* The one firing of a key, as it was told. */
static const struct heard *firing(const char *key)
{
    assert_int_equal(fired(key), 1);
    for (uint32_t n = 0; n < NOTES_MAX; n++) {
        if (heard[n].kind == NOTE_TIMEOUT_FIRED && strcmp(heard[n].key, key) == 0) {
            return &heard[n];
        }
    }
    return NULL;
}

/* How often the engine told that it holds, or (over) that it is over; of all that, the reasons. */
static uint32_t held(bool holding, uint32_t *why)
{
    uint32_t count = 0;
    (void)fired(NULL);
    for (uint32_t n = 0; n < NOTES_MAX; n++) {
        bool it = heard[n].kind == NOTE_ENGINE_LAGGING && heard[n].holding == holding;
        count += it;
        *why |= it ? heard[n].why : 0;
    }
    return count;
}

/* --- who falls silent --- */

struct bound {
    const char *what;
    const char *silence;
    const char *overdue;
    int64_t within_s;
    int64_t disorder_s;
    int64_t idle_s;
    int64_t lag_s; /* readings arrive so long after their time */
};

static const struct bound bounds[] = {
    {"idle_after decides", SILENCE("10 seconds"), OVERDUE("10 seconds"), 10, 5, 30, 0},
    {"the span decides", SILENCE("60 seconds"), OVERDUE("60 seconds"), 60, 5, 30, 0},
    {"disorder adds", SILENCE("60 seconds"), OVERDUE("60 seconds"), 60, 40, 10, 0},
    {"lag adds", SILENCE("60 seconds"), OVERDUE("60 seconds"), 60, 5, 10, 20},
    {"lag below disorder", SILENCE("60 seconds"), OVERDUE("60 seconds"), 60, 30, 10, 20},
    {"batches every five minutes", SILENCE("7 minutes"), OVERDUE("7 minutes"), 420, 5, 30, 290},
};

/* The producer sends a while, then it is gone. The last reading is of second `last`, and was heard at
 * `heard_ms`: W passes last + within when the clock is max(disorder, lag) behind it, but not before the
 * lane has been silent for idle_after. */
static void check_bound(const struct bound *bound, uint32_t runners)
{
    story_begin(&story, &(struct world_options){.runners = runners});
    source("a", bound->disorder_s * US_PER_SECOND, bound->idle_s * US_PER_SECOND);
    rule(bound->silence);
    pass((double)bound->lag_s);
    for (int n = 0; n < 6; n++) {
        pass(3);
        assert_true(tell("a", now_s() - bound->lag_s));
    }
    rule(bound->overdue);
    pass(3);
    assert_true(tell("a", now_s() - bound->lag_s));
    int64_t last = now_s() - bound->lag_s;
    int64_t heard_ms = now_ms();
    assert_int_equal(command(TIMEOUT_CREATE, "explicit", last + bound->within_s), TIMEOUT_CREATED);
    assert_int_equal(fired(NULL), 0);
    int64_t behind = bound->lag_s > bound->disorder_s ? bound->lag_s : bound->disorder_s;
    int64_t by_clock = (last + bound->within_s + behind) * 1000;
    int64_t idle = heard_ms + bound->idle_s * 1000;
    int64_t from = by_clock > idle ? by_clock : idle;
    while (now_ms() < from + SLACK_MS + 2000) {
        pass(1);
    }
    print_message("%s, %u runners: from %lld ms on\n", bound->what, runners, (long long)from);
    assert_int_equal(fired("explicit"), 1);
    assert_int_equal(fired("a"), 2);
    for (uint32_t n = 0; n < NOTES_MAX && heard[n].kind != 0; n++) {
        assert_int_equal(heard[n].kind, NOTE_TIMEOUT_FIRED);
        assert_int_equal(heard[n].deadline_s, last + bound->within_s);
        assert_true(heard[n].at_ms >= from);
        assert_true(heard[n].at_ms <= from + SLACK_MS);
    }
    story_end(&story);
}

static void who_falls_silent_is_told_of_within_the_bound_and_not_sooner(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(bounds) / sizeof(bounds[0]); n++) {
        check_bound(&bounds[n], 1);
        check_bound(&bounds[n], 3);
    }
    story_begin(&story, &(struct world_options){0}); /* for the tear-down */
}

/* --- an hour of trouble of our own --- */

/* Both sources send, then the trouble begins: at second 300, or a little behind. "b" dies half an hour
 * later; of what it sent until then, and of all that "a" sends, nothing is heard. */
static int64_t trouble_begins(const struct world_options *options)
{
    story_begin(&story, options);
    source("a", 5 * US_PER_SECOND, 30 * US_PER_SECOND);
    source("b", 5 * US_PER_SECOND, 30 * US_PER_SECOND);
    rule(SILENCE("1 minute"));
    both_send(300);
    int64_t begin = now_s();
    assert_int_equal(command(TIMEOUT_CREATE, "paid", begin + 600), TIMEOUT_CREATED);
    assert_int_equal(command(TIMEOUT_CREATE, "unpaid", begin + 600), TIMEOUT_CREATED);
    assert_int_equal(command(TIMEOUT_CREATE, "far", begin + 10 * HOUR_S), TIMEOUT_CREATED);
    assert_int_equal(fired(NULL), 0);
    return begin;
}

/* It could not tell, said so, and says that it is over: for these reasons. */
static void check_told(uint32_t reason)
{
    uint32_t why = 0;
    uint32_t began = held(true, &why);
    uint32_t over = held(false, &why);
    assert_true(began >= 1);
    assert_int_equal(began, over);
    assert_int_equal(why & reason, reason);
}

/* Everybody gets rid of what was kept, "a" first: the other's lane holds W back. Then only "a" goes on. */
static void all_speak_again(int64_t begin)
{
    int64_t dead = begin + HOUR_S / 2;
    pass(3);
    assert_int_equal(fired(NULL), 0);
    assert_int_equal(command(TIMEOUT_COMPLETE, "paid", 0), TIMEOUT_CHANGED);
    send_kept("a", begin + EVERY_S, now_s());
    pass(1);
    assert_int_equal(fired(NULL), 0);
    send_kept("b", begin + EVERY_S, dead);
    int64_t since = now_s();
    while (now_s() < since + 120) {
        pass(EVERY_S);
        assert_true(tell("a", now_s()));
    }
    assert_int_equal(firing("unpaid")->deadline_s, begin + 600);
    assert_int_equal(firing("b")->deadline_s, dead + 60);
    assert_true(firing("b")->at_ms >= (since + 30) * 1000); /* when its lane is idle */
    assert_true(firing("b")->at_ms <= (since + 30 + EVERY_S + 1) * 1000);
    assert_int_equal(fired(NULL), 2);
    assert_int_equal(look("paid").state, TIMEOUT_COMPLETED);
    assert_int_equal(look("far").state, TIMEOUT_PENDING);
}

/* Both died in that hour: told when the engine has listened for so long, not before. */
static void nobody_speaks_again(int64_t begin, int64_t listens_s)
{
    int64_t since = now_ms();
    pass((double)listens_s - 1);
    assert_int_equal(fired(NULL), 0);
    pass(3);
    assert_int_equal(fired(NULL), 4);
    assert_int_equal(firing("a")->deadline_s, begin + 60);
    assert_int_equal(firing("b")->deadline_s, begin + 60);
    assert_int_equal(firing("paid")->deadline_s, begin + 600);
    assert_int_equal(firing("unpaid")->deadline_s, begin + 600);
    for (uint32_t n = 0; n < NOTES_MAX; n++) {
        bool it = heard[n].kind == NOTE_TIMEOUT_FIRED;
        assert_true(!it || heard[n].at_ms >= since + listens_s * 1000);
    }
}

struct trouble {
    const char *what;
    void (*happens)(void);
    uint32_t reason;   /* that is told */
    int64_t listens_s; /* so long until silence counts again */
};

#define PAUSE_US (2 * US_PER_SECOND)

static void stopped(void)
{
    story.machine.now_us += HOUR_S * US_PER_SECOND; /* no part had a turn */
    story_settle(&story);
}

/* Whoever has something to say is turned away, and tries again a second later. */
static void refusing(void)
{
    for (int64_t end = now_s() + HOUR_S; now_s() < end;) {
        pass(1);
        gateway_counters(story.world.gateways[0])->writes_shed++;
        story_settle(&story);
        bool due = now_s() >= end - HOUR_S + 600;
        assert_int_equal(look("unpaid").held, due);
        assert_int_equal(silence_is_held(), now_s() >= end - HOUR_S + 60);
    }
}

static void start_again(void)
{
    story_restart(&story, &story.options);
}

/* It takes an hour until the last client is gone: a drain. New ones are turned away. */
static void draining(void)
{
    story.world.sequencer.closed = true;
    story.world.sequencer.final_pulse = true;
    pass(HOUR_S);
    assert_int_equal(fired(NULL), 0);
    world_drain(&story.world);
    start_again();
}

static void full(void)
{
    story.machine.log.full = true;
    for (int64_t end = now_s() + HOUR_S; now_s() < end;) {
        pass(EVERY_S);
        assert_false(tell("a", now_s()));
    }
    story.machine.log.full = false;
    pass(0.2);
}

/* The same, but nobody asks for anything meanwhile, and what is under way finds no space either. */
static void full_and_quiet(void)
{
    story.machine.log.full = true;
    story.machine.log.refuses = true;
    pass(HOUR_S);
    story.machine.log.full = false;
    story.machine.log.refuses = false;
    pass(0.2);
}

static void shut_down(void)
{
    world_drain(&story.world);
    world_stop(&story.world);
    story.machine.now_us += HOUR_S * US_PER_SECOND;
    assert_true(world_start(&story.world, &story.machine, &story.options));
    story_settle(&story);
}

static void killed(void)
{
    story.machine.now_us += HOUR_S * US_PER_SECOND;
    start_again();
}

/* Killed; and it reads its log for an hour until it is where it was. */
static void reading_its_log(void)
{
    struct world_options options = story.options;
    options.read_us = HOUR_S * US_PER_SECOND / (int64_t)story.machine.log.count;
    int64_t begin = now_s();
    story_restart(&story, &options);
    assert_in_range(now_s() - begin, HOUR_S - 60, HOUR_S + 60);
}

static const struct trouble troubles[] = {
    {"stopped", stopped, PULSE_RESUMED, 30},
    {"refusing", refusing, PULSE_REFUSING, 30},
    {"draining", draining, PULSE_REFUSING | PULSE_DEAF, 600},
    {"full", full, PULSE_FULL, 30},
    {"full and quiet", full_and_quiet, PULSE_FULL, 30},
    {"shut down", shut_down, PULSE_DEAF, 600},
    {"killed", killed, PULSE_DEAF, 600},
    {"reading its log", reading_its_log, PULSE_DEAF, 600},
};

static void check_trouble(const struct trouble *trouble, bool speak)
{
    for (uint32_t runners = 1; runners <= 3; runners += 2) {
        print_message("%s, %u runners\n", trouble->what, runners);
        int64_t begin =
            trouble_begins(&(struct world_options){.runners = runners, .pause_us = PAUSE_US});
        trouble->happens();
        assert_int_equal(fired(NULL), 0);
        assert_true(look("unpaid").held); /* shown as unknown */
        assert_true(look("paid").held);
        assert_true(silence_is_held());
        assert_false(look("far").held);
        if (speak) {
            all_speak_again(begin);
        } else {
            nobody_speaks_again(begin, trouble->listens_s);
        }
        assert_false(look("far").held);
        check_told(trouble->reason);
        story_end(&story);
    }
}

/* Each is a test of its own, so that its name is told. */
static void check_both(const char *what)
{
    for (size_t n = 0; n < sizeof(troubles) / sizeof(troubles[0]); n++) {
        if (strcmp(troubles[n].what, what) == 0) {
            check_trouble(&troubles[n], true);
            check_trouble(&troubles[n], false);
            story_begin(&story, &(struct world_options){0}); /* for the tear-down */
            return;
        }
    }
    fail_msg("no trouble of that name: %s", what);
}

static void a_process_that_was_stopped_for_an_hour_calls_nobody_silent(void **state)
{
    (void)state;
    check_both("stopped");
}

static void who_is_turned_away_for_an_hour_is_not_called_silent(void **state)
{
    (void)state;
    check_both("refusing");
}

static void a_drain_of_an_hour_calls_nobody_silent(void **state)
{
    (void)state;
    check_both("draining");
}

static void a_disk_that_is_full_for_an_hour_calls_nobody_silent(void **state)
{
    (void)state;
    check_both("full");
    story_end(&story);
    check_both("full and quiet");
}

static void an_hour_of_being_shut_down_or_dead_calls_nobody_silent(void **state)
{
    (void)state;
    check_both("shut down");
    story_end(&story);
    check_both("killed");
}

static void an_hour_of_reading_its_log_calls_nobody_silent(void **state)
{
    (void)state;
    check_both("reading its log");
}

/* Runners that stand still hold the log back; the sequencer and the gateway go on. Both sources send all
 * the time, and what they send waits. */
static void an_hour_behind_its_own_log_calls_nobody_silent(void **state)
{
    (void)state;
    int64_t begin = trouble_begins(&(struct world_options){.runners = 3, .pause_us = PAUSE_US});
    for (int64_t end = now_s() + HOUR_S; now_s() < end;) {
        story.machine.now_us += US_PER_SECOND;
        for (uint32_t n = 0; n < 4; n++) {
            (void)world_step(&story.world, post_network(&story.world.post, 0));
            (void)world_step(&story.world, POST_SEQUENCER);
        }
        if ((now_s() - begin) % EVERY_S == 0) {
            char events[64];
            (void)snprintf(events,
                           sizeof(events),
                           "a/x@%lld b/x@%lld",
                           (long long)now_s(),
                           (long long)now_s());
            (void)story_send(&story, events, false);
        }
    }
    /* What waits is in time: W is where the last frames that found room left it. */
    assert_true(story.world.sequencer.tide.watermark < WORLD_TIME(begin + HOUR_S / 2));
    story_settle(&story);
    assert_int_equal(fired("a"), 0);
    assert_int_equal(fired("b"), 0);
    both_send(120);
    assert_int_equal(fired("a"), 0);
    assert_int_equal(fired("b"), 0);
    assert_int_equal(firing("paid")->deadline_s, begin + 600); /* nobody completed it */
    assert_int_equal(firing("unpaid")->deadline_s, begin + 600);
    int64_t last = now_s();
    pass(120);
    assert_int_equal(firing("a")->deadline_s, last + 60);
    assert_int_equal(firing("b")->deadline_s, last + 60);
    assert_int_equal(fired(NULL), 4);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_falls_silent_is_told_of_within_the_bound_and_not_sooner),
        TEST(a_process_that_was_stopped_for_an_hour_calls_nobody_silent),
        TEST(who_is_turned_away_for_an_hour_is_not_called_silent),
        TEST(a_drain_of_an_hour_calls_nobody_silent),
        TEST(a_disk_that_is_full_for_an_hour_calls_nobody_silent),
        TEST(an_hour_of_being_shut_down_or_dead_calls_nobody_silent),
        TEST(an_hour_of_reading_its_log_calls_nobody_silent),
        TEST(an_hour_behind_its_own_log_calls_nobody_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
