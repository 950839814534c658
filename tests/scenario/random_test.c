/* Random lives of a world: which part gets the next turn, what is asked, when the disk is slow or
 * full, when the process dies, all from one seed. What must hold:
 *
 *  - what was acknowledged is in the log, whatever happens;
 *  - each event counts once, however often it was sent, and every unique event has one fate;
 *  - a replay, from the beginning or from a snapshot, with any number of runners, has the digest of
 *    the life that wrote the log;
 *  - every question is answered once, or the process died first. */
#include "../unit/base/support.h"

#include "story.h"

#define SOURCES     4
#define IDS         400
#define TICKETS_MAX 4096
#define SEEDS_SHORT 40
#define SEEDS_LONG  400
#define ACTIONS     300
#define LIVES       3
#define TOLD_MAX    8

static const char *const sources[SOURCES] = {"s0", "s1", "s2", "s3"};
static const char *const metrics[] = {
    "CREATE METRIC by_subject AS SELECT subject AS s, count(*) AS n, max(time) AS latest "
    "FROM TUMBLE(events, time, INTERVAL '10 seconds') GROUP BY subject "
    "ALLOW LATENESS INTERVAL '30 seconds'",
    "CREATE METRIC by_subject AS SELECT subject AS s, count(*) AS n, min(id) AS least "
    "FROM TUMBLE(events, time, INTERVAL '3 seconds') GROUP BY subject",
    "CREATE METRIC odd WITH (sources = 's1, s2') AS SELECT count(*) AS n, avg(data.x) AS x "
    "FROM TUMBLE(events, time, INTERVAL '1 minute') WHERE data.x > 3",
    "CREATE METRIC everything AS SELECT source AS s, count(*) AS n, sum(data.x) AS x, rate() AS r "
    "FROM TUMBLE(events, time, INTERVAL '5 seconds') GROUP BY source",
};

struct told {
    struct ticket *ticket;
    uint32_t keys[TOLD_MAX];
    uint32_t count;
};

struct life {
    uint64_t random;
    struct machine machine;
    struct world world;
    struct told told[TICKETS_MAX]; /* of this world */
    uint32_t told_count;
    uint32_t asked_count; /* letters that the gateway took */
    bool acked[SOURCES * IDS];
};

static struct life life;

static uint64_t below(uint64_t end)
{
    return random_below(&life.random, end);
}

/* --- actions --- */

static void act_tell(void)
{
    struct telling events[TOLD_MAX];
    char ids[TOLD_MAX][16];
    char data[TOLD_MAX][16];
    struct told *told = &life.told[life.told_count];
    if (life.told_count == TICKETS_MAX) {
        return;
    }
    told->count = 1 + (uint32_t)below(TOLD_MAX);
    for (uint32_t n = 0; n < told->count; n++) {
        uint32_t source = (uint32_t)below(SOURCES);
        uint32_t id = (uint32_t)below(IDS);
        uint64_t behind = below(10) == 0 ? below(90 * US_PER_SECOND) : below(3 * US_PER_SECOND);
        (void)snprintf(ids[n], sizeof(ids[n]), "%u", id);
        (void)snprintf(data[n], sizeof(data[n]), "{\"x\":%u}", id % 10);
        told->keys[n] = source * IDS + id;
        events[n] = (struct telling){.source = bytes_of_string(sources[source]),
                                     .id = bytes_of_string(ids[n]),
                                     .subject = bytes_slice(BYTES("abcdefgh"), id % 8, 1),
                                     .data = bytes_of_string(data[n]),
                                     .time_us = life.machine.now_us - (int64_t)behind};
    }
    uint32_t gateway = (uint32_t)below(life.world.options.gateways);
    told->ticket = world_tell(&life.world, gateway, events, told->count, below(3) == 0);
    life.told_count += told->ticket->refused == OK;
}

static void act_command(void)
{
    const char *name = below(6) == 0 ? "*" : sources[1 + below(SOURCES - 1)];
    struct proposal proposal = {.name = bytes_of_string(name)};
    switch (below(7)) {
    case 0:
    case 1:
        (void)world_define(&life.world,
                           bytes_of_string(metrics[below(4)]),
                           below(2) == 0 ? DEFINE_CREATE : DEFINE_PUT);
        return;
    case 2:
        proposal.kind = PROPOSE_DROP;
        proposal.name = below(2) == 0 ? BYTES("odd") : BYTES("by_subject");
        break;
    case 3:
        proposal.kind = PROPOSE_SOURCE;
        proposal.source = (struct source){.kind = below(3) == 0 ? LANE_EXPLICIT : LANE_BOUNDED,
                                          .disorder_us = (int64_t)below(9) * US_PER_SECOND,
                                          .idle_after_us = TIDE_IDLE_AFTER_US,
                                          .max_future_skew_us = TIDE_FUTURE_SKEW_US};
        break;
    case 4:
        proposal.kind = PROPOSE_FORGET;
        break;
    case 5:
        proposal.kind = PROPOSE_SNAPSHOT;
        break;
    default:
        proposal.kind = PROPOSE_LANE;
        proposal.command = (enum lane_command_kind)below(3);
        proposal.time = life.machine.now_us - (int64_t)below(20) * US_PER_SECOND;
        break;
    }
    (void)world_propose(&life.world, &proposal);
}

static void act_ask(void)
{
    uint64_t as_of = below(3) == 0 ? life.world.sequencer.position + below(3) * 4096 : 0;
    (void)world_values(&life.world, below(2) == 0 ? "by_subject" : "everything", as_of);
    if (below(4) == 0) {
        (void)world_inspect(&life.world, (enum inspection_kind)below(3), NULL);
        (void)world_scan(
            &life.world,
            &(struct scan){.kind = SCAN_EVENTS, .from = INT64_MIN, .to = INT64_MAX, .limit = 50});
    }
}

static void act_weather(void)
{
    struct memory_log *log = &life.machine.log;
    log->polls_to_durable = (uint32_t)below(6);
    log->own_frame_bytes = below(3) * 4096;
    log->full = below(5) == 0;
    log->refuses = log->full && below(2) == 0;
    life.machine.snapshots.polls_to_done = (uint32_t)below(20);
    life.machine.snapshots.fails = below(6) == 0;
    life.machine.snapshots.refuses = below(10) == 0;
}

static void act(void)
{
    uint64_t what = below(16);
    if (what < 5) {
        act_tell();
    } else if (what == 5) {
        act_command();
    } else if (what == 6) {
        act_ask();
    } else if (what == 7) {
        act_weather();
    } else if (what == 8) {
        life.machine.now_us += (int64_t)below(40) * US_PER_SECOND;
    } else if (what < 11) {
        life.machine.now_us += (int64_t)below(60000);
    }
    for (uint64_t turns = below(20); turns > 0; turns--) {
        (void)world_step(&life.world, (uint32_t)below(world_part_count(&life.world)));
    }
}

/* --- what must hold --- */

static void note_acknowledged(void)
{
    for (uint32_t n = 0; n < life.told_count; n++) {
        const struct told *told = &life.told[n];
        bool acked = told->ticket->done == 1 && told->ticket->proposal.err == OK;
        for (uint32_t m = 0; acked && m < told->count; m++) {
            life.acked[told->keys[m]] = true;
        }
    }
}

static uint32_t key_of(const struct event *event)
{
    uint64_t id;
    assert_true(u64_parse(event->id, &id));
    return (uint32_t)((event->source.data[1] - '0') * IDS + (int)id);
}

/* Which events the log holds; returns how many different ones. */
static uint32_t read_log(bool *present)
{
    static struct batch_word words[BATCH_WORDS_MAX];
    uint32_t distinct = 0;
    memset(present, 0, SOURCES * IDS * sizeof(bool));
    for (size_t n = 0; n < life.machine.log.count; n++) {
        struct bytes body =
            bytes_of(life.machine.log.frames[n].body, life.machine.log.frames[n].body_len);
        struct reader reader = reader_of(body);
        for (struct record record; record_next(&reader, body.data, &record);) {
            struct batch batch;
            struct batch_cursor cursor;
            struct batch_row row;
            uint32_t word_count;
            if (record.kind != RECORD_EVENTS) {
                continue;
            }
            assert_true(batch_open(record.body, &batch));
            assert_true(batch_read_words(&batch, words, &word_count));
            batch_cursor_init(&cursor, &batch);
            while (batch_next_row(&cursor, &row)) {
                struct event event;
                assert_true(batch_row_event(&batch, words, word_count, &row, &event));
                distinct += !present[key_of(&event)];
                present[key_of(&event)] = true;
            }
        }
        assert_false(reader.bad);
    }
    return distinct;
}

static void assert_acknowledged_is_kept(void)
{
    bool present[SOURCES * IDS];
    (void)read_log(present);
    for (uint32_t key = 0; key < SOURCES * IDS; key++) {
        if (life.acked[key] && !present[key]) {
            fail_msg("event %u was acknowledged and is lost", key);
        }
    }
}

static void assert_each_counts_once(void)
{
    bool present[SOURCES * IDS];
    uint32_t distinct = read_log(present);
    assert_int_equal(world_stat(&life.world, "unique", ""), distinct);
    assert_int_equal(world_stat(&life.world, "unverifiable", ""), 0);
    assert_int_equal(world_stat(&life.world, "lost", "everything"), 0);
}

static void assert_all_answered(void)
{
    for (const struct ticket *ticket = life.world.tickets; ticket != NULL; ticket = ticket->next) {
        assert_int_equal(ticket->done, ticket->refused == OK ? 1 : 0);
    }
    for (uint32_t n = 0; n < life.world.options.gateways; n++) {
        assert_int_equal(gateway_under_way(life.world.gateways[n]), 0);
    }
}

/* --- lives --- */

static struct world_options random_options(void)
{
    return (struct world_options){
        .runners = 1 + (uint32_t)below(3),
        .partitions = 5,
        .gateways = 1 + (uint32_t)below(2),
        .pulse_every_us = below(2) == 0 ? 20000 : 1,
        .snapshot_every_bytes = below(2) == 0 ? 200000 : 0,
    };
}

static void begin(bool ignore_snapshots)
{
    struct world_options options = random_options();
    options.ignore_snapshots = ignore_snapshots;
    assert_true(world_start(&life.world, &life.machine, &options));
    life.told_count = 0;
}

static void crash(void)
{
    note_acknowledged();
    world_stop(&life.world);
    memory_log_crash(&life.machine.log, below(2) == 0);
    assert_acknowledged_is_kept();
}

static void come_to_rest(void)
{
    life.machine.log.full = false;
    life.machine.log.refuses = false;
    life.machine.snapshots.refuses = false;
    world_pass(&life.world, 3 * US_PER_SECOND); /* reads of the future are given up */
    world_drain(&life.world);
    world_settle(&life.world);
}

static void live_one(uint64_t seed)
{
    memset(&life, 0, sizeof(life));
    life.random = seed;
    machine_init(&life.machine);
    begin(false);
    for (uint32_t n = 0; n < LIVES; n++) {
        uint64_t actions = below(ACTIONS);
        for (uint64_t m = 0; m < actions; m++) {
            act();
        }
        if (below(2) == 0) {
            come_to_rest();
            assert_all_answered();
            assert_each_counts_once();
        }
        crash();
        begin(below(2) == 0);
    }
    come_to_rest();
    assert_each_counts_once();
    uint64_t digest = world_digest(&life.world);
    for (uint32_t n = 0; n < 2; n++) {
        crash();
        begin(n == 0);
        assert_int_equal(world_digest(&life.world), digest);
    }
    world_stop(&life.world);
    machine_deinit(&life.machine);
}

static void random_lives_keep_what_they_promised(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("random lives");
    bool single = getenv("SEED") != NULL;
    uint64_t seeds = single ? 1 : is_long_run() ? SEEDS_LONG : SEEDS_SHORT;
    for (uint64_t n = 0; n < seeds; n++) {
        print_message("SEED=%llu\r", (unsigned long long)(seed + n));
        live_one(seed + n);
    }
    print_message("\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lives_keep_what_they_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
