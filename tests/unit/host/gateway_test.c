/* A gateway within a world: when it refuses, how much it lets through, and that each answer comes
 * once, to who asked. */
#include "../base/support.h"

#include "host/gateway_thread.h"

#include "world.h"

static struct machine machine;
static struct world world;

static void begin(const struct world_options *options)
{
    machine_init(&machine);
    assert_true(world_start(&world, &machine, options));
}

static int tear_down(void **state)
{
    (void)state;
    world_stop(&world);
    machine_deinit(&machine);
    return 0;
}

static void answered(struct letter *letter)
{
    query_free((struct query *)(void *)letter);
}

static const struct telling event = {
    .source = {(const uint8_t *)"s", 1},
    .id = {(const uint8_t *)"1", 1},
    .subject = {(const uint8_t *)"x", 1},
    .time_us = WORLD_TIME(0),
};

static void before_the_engine_is_ready_everything_is_refused(void **state)
{
    (void)state;
    begin(&(struct world_options){0});
    assert_false(gateway_ready(world.gateways[0]));
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, ERR_UNAVAILABLE);
    assert_int_equal(world_values(&world, "m", 0)->refused, ERR_UNAVAILABLE);
    assert_int_equal(world_inspect(&world, INSPECT_STATUS, NULL)->refused, ERR_UNAVAILABLE);
    assert_int_equal(world_scan(&world, &(struct scan){0})->refused, ERR_UNAVAILABLE);
    assert_int_equal(gateway_under_way(world.gateways[0]), 0);
    world_settle(&world);
    assert_true(gateway_ready(world.gateways[0]));
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, OK);
}

static void a_closed_gateway_refuses_but_what_is_under_way_is_answered(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 2});
    world_settle(&world);
    const struct ticket *before = world_tell(&world, 0, &event, 1, true);
    gateway_close(world.gateways[0]);
    assert_false(gateway_ready(world.gateways[0]));
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, ERR_UNAVAILABLE);
    world_pass(&world, 100000);
    assert_int_equal(before->done, 1);
    assert_int_equal(gateway_under_way(world.gateways[0]), 0);
}

static void only_so_many_letters_may_be_under_way(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 3, .letters_max = 8});
    world_settle(&world);
    assert_int_equal(world_values(&world, "m", 0)->refused, OK); /* three letters */
    assert_int_equal(world_values(&world, "m", 0)->refused, OK);
    assert_int_equal(world_values(&world, "m", 0)->refused, ERR_OVERLOADED);
    assert_int_equal(gateway_under_way(world.gateways[0]), 6); /* nothing of it was taken */
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, OK);
    assert_int_equal(world_inspect(&world, INSPECT_STATUS, NULL)->refused, OK);
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, ERR_OVERLOADED);
    world_settle(&world);
    assert_int_equal(gateway_under_way(world.gateways[0]), 0);
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, OK);
}

static void questions_leave_room_for_events(void **state)
{
    (void)state;
    begin(&(struct world_options){.letters_max = 4000});
    world_settle(&world);
    for (uint32_t n = 0; n < GATEWAY_SCANS_MAX; n++) {
        assert_int_equal(world_scan(&world, &(struct scan){.limit = 1})->refused, OK);
    }
    assert_int_equal(world_scan(&world, &(struct scan){.limit = 1})->refused, ERR_OVERLOADED);
    for (uint32_t n = 0; n < GATEWAY_QUERIES_MAX; n++) {
        assert_int_equal(world_values(&world, "m", 0)->refused, OK);
    }
    assert_int_equal(world_values(&world, "m", 0)->refused, ERR_OVERLOADED);
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, OK);
    world_settle(&world);
    assert_int_equal(gateway_under_way(world.gateways[0]), 0);
    assert_int_equal(world_values(&world, "m", 0)->refused, OK);
    assert_int_equal(world_scan(&world, &(struct scan){.limit = 1})->refused, OK);
}

static void few_questions_may_want_much(void **state)
{
    (void)state;
    static struct query queries[GATEWAY_DEEP_QUERIES_MAX + 1];
    begin(&(struct world_options){0});
    world_settle(&world);
    for (uint32_t n = 0; n <= GATEWAY_DEEP_QUERIES_MAX; n++) {
        memset(&queries[n], 0, sizeof(queries[n]));
        queries[n].metric = BYTES("m");
        queries[n].limit = 1001;
        queries[n].offset = GATEWAY_DEEP_ROWS;
        queries[n].letter.done = answered;
        enum err wanted = n < GATEWAY_DEEP_QUERIES_MAX ? OK : ERR_OVERLOADED;
        assert_int_equal(gateway_query(world.gateways[0], &queries[n]), wanted);
    }
    assert_int_equal(world_values(&world, "m", 0)->refused, OK); /* little */
    world_settle(&world);
    assert_int_equal(gateway_under_way(world.gateways[0]), 0);
    assert_int_equal(gateway_query(world.gateways[0], &queries[0]), OK);
    world_settle(&world);
}

static void a_scan_that_is_overdue_gives_what_it_found_and_where_to_go_on(void **state)
{
    (void)state;
    begin(&(struct world_options){0});
    world_settle(&world);
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, OK);
    world_pass(&world, 200000);
    struct scan scan = {.from = INT64_MIN, .to = INT64_MAX, .limit = 10, .deadline = {1}};
    struct ticket *overdue = world_scan(&world, &scan);
    world_settle(&world);
    assert_int_equal(overdue->done, 1);
    assert_int_equal(overdue->scan.err, OK);
    assert_int_equal(overdue->scan.item_count, 0);
    assert_true(overdue->scan.more);
    scan.deadline.us = 0; /* the world's own */
    scan.at_position = overdue->scan.at_position;
    scan.at_record = overdue->scan.at_record;
    scan.at_row = overdue->scan.at_row;
    const struct ticket *next = world_scan(&world, &scan);
    world_settle(&world);
    assert_int_equal(next->scan.item_count, 1);
    assert_false(next->scan.more);
    scan = (struct scan){.kind = SCAN_FATE, .deadline = {1}};
    const struct ticket *fate = world_scan(&world, &scan);
    world_settle(&world);
    assert_int_equal(fate->scan.err, ERR_UNAVAILABLE); /* half a fate would be a wrong one */
}

static void only_so_many_bytes_may_be_under_way_but_one_always(void **state)
{
    (void)state;
    begin(&(struct world_options){.bytes_max = 400});
    world_settle(&world);
    struct telling large = event;
    uint8_t data[1000];
    memset(data, '1', sizeof(data));
    large.data = bytes_of(data, sizeof(data));
    const struct ticket *first = world_tell(&world, 0, &large, 1, false);
    assert_int_equal(first->refused, OK); /* too large, but alone */
    assert_int_equal(world_tell(&world, 0, &event, 1, false)->refused, ERR_OVERLOADED);
    assert_int_equal(world_inspect(&world, INSPECT_STATUS, NULL)->refused, OK); /* no bytes */
    world_settle(&world);
    assert_int_equal(first->done, 1);
    size_t bytes = 0;
    const struct ticket *ticket = world_tell(&world, 0, &event, 1, false);
    for (; ticket->refused == OK; ticket = world_tell(&world, 0, &event, 1, false)) {
        bytes += ticket->proposal.records.len;
    }
    assert_int_equal(ticket->refused, ERR_OVERLOADED);
    assert_true(bytes <= 400);
    assert_true(bytes + ticket->proposal.records.len > 400);
}

static void notes_of_several_runners_make_one_answer(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 3, .partitions = 9});
    world_settle(&world);
    struct telling events[40];
    char ids[40][8];
    for (uint32_t n = 0; n < 40; n++) {
        (void)snprintf(ids[n], sizeof(ids[n]), "%u", n % 30); /* ten come twice */
        events[n] = event;
        events[n].id = bytes_of_string(ids[n]);
    }
    const struct ticket *ticket = world_tell(&world, 0, events, 40, true);
    world_settle(&world);
    assert_int_equal(ticket->done, 0); /* durable, not yet applied */
    world_pass(&world, 30000);
    assert_int_equal(ticket->done, 1);
    assert_int_equal(ticket->proposal.duplicates, 10);
    assert_int_equal(ticket->proposal.late, 0);
    assert_true(ticket->proposal.as_of > 0);
}

static void a_refused_proposal_that_waits_for_notes_is_answered_too(void **state)
{
    (void)state;
    begin(&(struct world_options){.runners = 3});
    world_pass(&world, 200000);
    machine.log.full = true;
    world_pass(&world, 200000);
    const struct ticket *ticket = world_tell(&world, 0, &event, 1, true);
    world_settle(&world);
    assert_int_equal(ticket->done, 1);
    assert_int_equal(ticket->proposal.err, ERR_NO_SPACE);
    assert_int_equal(gateway_under_way(world.gateways[0]), 0);
}

static void the_outcome_of_an_earlier_use_is_forgotten(void **state)
{
    (void)state;
    begin(&(struct world_options){0});
    world_settle(&world);
    struct ticket *ticket = world_tell(&world, 0, &event, 1, true);
    world_pass(&world, 30000);
    assert_int_equal(ticket->done, 1);
    ticket->done = 0; /* the same letter again, as a pool of letters would */
    assert_int_equal(gateway_propose(world.gateways[0], &ticket->proposal), OK);
    world_pass(&world, 30000);
    assert_int_equal(ticket->proposal.duplicates, 1);
    ticket->done = 0;
    assert_int_equal(gateway_propose(world.gateways[0], &ticket->proposal), OK);
    world_pass(&world, 30000);
    assert_int_equal(ticket->proposal.duplicates, 1); /* of this time */
}

static void each_gateway_gets_its_own_answers(void **state)
{
    (void)state;
    begin(&(struct world_options){.gateways = 3});
    world_settle(&world);
    const struct ticket *tickets[3];
    for (uint32_t n = 0; n < 3; n++) {
        tickets[n] = world_tell(&world, n, &event, 1, n == 1);
        assert_int_equal(gateway_under_way(world.gateways[n]), 1);
    }
    world_pass(&world, 30000);
    for (uint32_t n = 0; n < 3; n++) {
        assert_int_equal(tickets[n]->done, 1);
        assert_int_equal(gateway_under_way(world.gateways[n]), 0);
    }
    assert_int_equal(tickets[1]->proposal.duplicates, 1); /* the first one's event */
}

static void the_future_begins_where_the_source_says(void **state)
{
    (void)state;
    begin(&(struct world_options){.gateways = 2});
    for (uint32_t n = 0; n < 2; n++) {
        assert_int_equal(gateway_now(world.gateways[n]).us, WORLD_TIME(0));
    }
    assert_int_equal(gateway_time_limit(world.gateways[0], BYTES("a")).us,
                     WORLD_TIME(0) + 5 * US_PER_MINUTE); /* before it was told anything */
    world_settle(&world);
    struct proposal proposal = {.kind = PROPOSE_SOURCE,
                                .name = BYTES("a"),
                                .source = {.kind = LANE_BOUNDED,
                                           .disorder_us = 1,
                                           .idle_after_us = 1,
                                           .max_future_skew_us = US_PER_HOUR}};
    (void)world_propose(&world, &proposal);
    proposal.name = BYTES("*");
    proposal.source.max_future_skew_us = 0;
    (void)world_propose(&world, &proposal);
    world_settle(&world);
    for (uint32_t n = 0; n < 2; n++) {
        assert_int_equal(gateway_time_limit(world.gateways[n], BYTES("a")).us, WORLD_TIME(3600));
        assert_int_equal(gateway_time_limit(world.gateways[n], BYTES("b")).us, WORLD_TIME(0));
    }
    (void)world_propose(&world, &(struct proposal){.kind = PROPOSE_FORGET, .name = BYTES("a")});
    world_settle(&world);
    assert_int_equal(gateway_time_limit(world.gateways[1], BYTES("a")).us, WORLD_TIME(0));
}

/* A network thread may be busy with something long while others declare sources. */
static void many_declarations_do_not_flood_a_thread_that_is_busy(void **state)
{
    (void)state;
    begin(&(struct world_options){.gateways = 2, .letters_max = 2000});
    world_settle(&world);
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t n = 0; n < 2000; n++) {
            struct proposal proposal = {
                .kind = PROPOSE_SOURCE,
                .name = BYTES("a"),
                .source = {.kind = LANE_BOUNDED, .disorder_us = n, .max_future_skew_us = n}};
            assert_int_equal(world_propose(&world, &proposal)->refused, OK);
        }
        for (uint32_t turn = 0; turn < 3000; turn++) { /* the other gateway gets none */
            for (uint32_t part = 0; part + 1 < world_part_count(&world); part++) {
                (void)world_step(&world, part);
            }
        }
        assert_int_equal(gateway_under_way(world.gateways[0]), 0);
    }
    world_settle(&world);
    (void)gateway_now(world.gateways[1]);
    assert_int_equal(gateway_time_limit(world.gateways[1], BYTES("a")).us, WORLD_TIME(0) + 1999);
}

static void the_counters_of_all_threads_add_up(void **state)
{
    (void)state;
    begin(&(struct world_options){.gateways = 2});
    gateway_counters(world.gateways[0])->requests = 3;
    gateway_counters(world.gateways[1])->requests = 4;
    gateway_counters(world.gateways[1])->events_accepted = 5;
    world_settle(&world); /* each publishes its own in its turn */
    struct gateway_counters sum = gateway_counters_sum(world.gateways[0]);
    assert_int_equal(sum.requests, 7);
    assert_int_equal(sum.events_accepted, 5);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(before_the_engine_is_ready_everything_is_refused),
        TEST(a_closed_gateway_refuses_but_what_is_under_way_is_answered),
        TEST(only_so_many_letters_may_be_under_way),
        TEST(questions_leave_room_for_events),
        TEST(few_questions_may_want_much),
        TEST(a_scan_that_is_overdue_gives_what_it_found_and_where_to_go_on),
        TEST(only_so_many_bytes_may_be_under_way_but_one_always),
        TEST(notes_of_several_runners_make_one_answer),
        TEST(a_refused_proposal_that_waits_for_notes_is_answered_too),
        TEST(the_outcome_of_an_earlier_use_is_forgotten),
        TEST(each_gateway_gets_its_own_answers),
        TEST(the_future_begins_where_the_source_says),
        TEST(many_declarations_do_not_flood_a_thread_that_is_busy),
        TEST(the_counters_of_all_threads_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
