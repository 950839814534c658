/* Questions and their answers: what became of the events, reading one's own writes, metrics that
 * come and go. */
#include "../unit/base/support.h"

#include "story.h"

static struct story story;

static int tear_down(void **state)
{
    (void)state;
    story_end(&story);
    return 0;
}

static void tell_applied(const char *what, const struct ticket *ticket)
{
    story_line(&story,
               "%s: %s, duplicates %llu, late %llu",
               what,
               story_outcome(ticket),
               (unsigned long long)ticket->proposal.duplicates,
               (unsigned long long)ticket->proposal.late);
}

/* --- ack=applied --- */

static void who_waits_learns_of_duplicates_and_late_events(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 3, .partitions = 7});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    const struct ticket *first = story_send(&story, "1:ATL@10 2:JFK@11 3:ORD@200", true);
    story_settle(&story);
    tell_applied("first, before its pulse", first);
    story_pass(&story, 0.1);
    tell_applied("first", first);
    const struct ticket *second =
        story_send(&story, "1:ATL@10 2:JFK@11 ua/1:ATL@12 4:SFO@13 5:LAX@199 5:LAX@199", true);
    story_pass(&story, 0.1);
    tell_applied("second", second);
    story_fates(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "first, before its pulse: waiting, duplicates 0, late 0\n"
                 "first: OK, duplicates 0, late 0\n"
                 "second: OK, duplicates 3, late 2\n"
                 "arrivals: counted 4 filtered 0 corrected 0 dropped 2\n");
}

static void proposals_of_one_frame_get_each_its_own_counts(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 0.1);
    const struct ticket *tickets[4];
    tickets[0] = story_send(&story, "1:ATL@10", true);
    tickets[1] = story_send(&story, "1:ATL@10 2:ATL@10", false); /* does not wait */
    tickets[2] = story_send(&story, "1:ATL@10 2:ATL@10 3:ATL@10", true);
    struct proposal define = {.kind = PROPOSE_DROP, .name = BYTES("nothing")};
    (void)world_propose(&story.world, &define); /* a command between */
    tickets[3] = story_send(&story, "9:ATL@10 1:ATL@10", true);
    uint64_t frames = story.machine.log.submits;
    story_pass(&story, 0.1);
    assert_int_equal(story.machine.log.submits, frames + 1);
    for (uint32_t n = 0; n < 4; n++) {
        tell_applied("proposal", tickets[n]);
    }
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "proposal: OK, duplicates 0, late 0\n"
                 "proposal: OK, duplicates 0, late 0\n"
                 "proposal: OK, duplicates 2, late 0\n"
                 "proposal: OK, duplicates 1, late 0\n");
}

static void more_proposals_than_a_frame_has_places_all_get_answers(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2, .letters_max = 4000});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 0.1);
    enum { COUNT = 3000 };
    static const struct ticket *tickets[COUNT];
    for (uint32_t n = 0; n < COUNT; n++) {
        tickets[n] = story_send(&story, n % 2 == 0 ? "ATL@1" : "same:ATL@1", n % 3 != 0);
    }
    story_pass(&story, 0.2);
    uint64_t duplicates = 0;
    for (uint32_t n = 0; n < COUNT; n++) {
        assert_int_equal(tickets[n]->done, 1);
        duplicates += tickets[n]->proposal.duplicates;
        assert_true(tickets[n]->proposal.duplicates <= 1);
    }
    assert_int_equal(duplicates, 999); /* odd and waiting, but not the first */
    assert_int_equal(world_stat(&story.world, "duplicates", ""), 1499);
}

/* --- read your writes --- */

static void a_read_waits_until_what_was_written_is_applied(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_pass(&story, 0.1);
    story_tell(&story, "JFK@1"); /* with a pulse: the next one is 20 ms away */
    const struct ticket *events = story_send(&story, "ATL@1 ATL@2", false);
    story_settle(&story);
    story_line(&story, "events %s", story_outcome(events));
    const struct ticket *read = world_values(&story.world, "arrivals", events->proposal.as_of);
    story_settle(&story);
    story_line(&story, "read %s", story_outcome(read));
    story_values(&story, "arrivals");
    story_pass(&story, 0.02);
    story_line(&story, "read %s", story_outcome(read));
    char text[256];
    struct buf rows = buf_of(text, sizeof(text));
    story_rows(read, &rows);
    story_line(&story, "%.*s", (int)rows.len, text);
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "events JFK@1: OK\n"
                 "events OK\n"
                 "read waiting\n"
                 "arrivals: [0 JFK 1]\n"
                 "read OK\n"
                 "[0 ATL 2] [0 JFK 1]\n");
    for (uint32_t n = 0; n < 2; n++) {
        assert_true(read->query.answers[n].as_of >= events->proposal.as_of);
    }
}

static void a_read_of_the_future_is_given_up_at_its_deadline(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    const struct ticket *read = world_values(&story.world, "arrivals", UINT64_MAX);
    story_pass(&story, 1);
    story_line(&story, "at the deadline: %s", story_outcome(read));
    story_pass(&story, 0.01);
    story_line(&story, "behind it: %s", story_outcome(read));
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "at the deadline: waiting\n"
                 "behind it: unavailable\n");
}

static void too_many_waiting_reads_are_refused_not_queued(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    const struct ticket *reads[65];
    for (uint32_t n = 0; n < 65; n++) {
        reads[n] = world_values(&story.world, "arrivals", UINT64_MAX);
    }
    story_settle(&story);
    assert_string_equal(story_outcome(reads[0]), "waiting");
    assert_string_equal(story_outcome(reads[63]), "waiting");
    assert_string_equal(story_outcome(reads[64]), "overloaded");
    story_pass(&story, 2);
    assert_string_equal(story_outcome(reads[63]), "unavailable");
    assert_int_equal(gateway_under_way(story.world.gateways[0]), 0);
}

static void a_repeated_definition_is_answered_with_a_position_that_can_be_waited_for(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_restart(&story, &(struct world_options){0});
    const struct ticket *again = world_define(&story.world, BYTES(ARRIVALS), DEFINE_CREATE);
    story_settle(&story);
    const struct ticket *read = world_values(&story.world, "arrivals", again->proposal.as_of);
    story_pass(&story, 0.1);
    assert_false(again->proposal.changed);
    assert_string_equal(story_outcome(read), "OK");
}

/* --- metrics --- */

#define ARRIVALS_BY_HOUR                                                                           \
    "CREATE METRIC arrivals AS SELECT subject AS airport, count(*) AS n "                          \
    "FROM TUMBLE(events, time, INTERVAL '1 hour') GROUP BY subject"

static void a_metric_is_created_once_and_changed_by_put_only(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_define(&story, ARRIVALS_BY_HOUR, DEFINE_CREATE);
    story_define(&story, ARRIVALS_BY_HOUR, DEFINE_IF_NOT_EXISTS);
    story_tell(&story, "ATL@1");
    story_pass(&story, 0.1);
    story_define(&story, ARRIVALS_BY_HOUR, DEFINE_PUT);
    story_define(&story, ARRIVALS_BY_HOUR, DEFINE_PUT);
    story_tell(&story, "ATL@70");
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    story_drop(&story, "arrivals", -1);
    story_drop(&story, "arrivals", -1);
    story_values(&story, "arrivals");
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "define arrivals: OK unchanged v1\n"
                 "define arrivals: conflict\n"
                 "define arrivals: OK unchanged v1\n"
                 "events ATL@1: OK\n"
                 "define arrivals: OK v2\n"
                 "define arrivals: OK unchanged v2\n"
                 "events ATL@70: OK\n"
                 "arrivals: [0 ATL 1]\n" /* a new version counts from now on */
                 "drop arrivals: OK\n"
                 "drop arrivals: unknown-metric\n"
                 "arrivals: unknown-metric\n"
                 "define arrivals: OK created v1\n"
                 "arrivals:\n");
}

static void if_match_guards_metrics(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    struct proposal proposal = {
        .kind = PROPOSE_DROP,
        .name = BYTES("arrivals"),
        .condition = {.kind = CONDITION_LISTED, .count = 1, .versions = {1}},
    };
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_drop(&story, "arrivals", 0);
    story_drop(&story, "arrivals", 2);
    story_define(&story, ARRIVALS_BY_HOUR, DEFINE_PUT);
    story_drop(&story, "arrivals", 1);
    story_drop(&story, "arrivals", 2);
    const struct ticket *gone = world_propose(&story.world, &proposal);
    story_settle(&story);
    story_line(&story, "drop of what is gone: %s", story_outcome(gone));
    ASSERT_STORY(&story,
                 "define arrivals: OK created v1\n"
                 "drop arrivals: precondition-failed\n"
                 "drop arrivals: precondition-failed\n"
                 "define arrivals: OK v2\n"
                 "drop arrivals: precondition-failed\n"
                 "drop arrivals: OK\n"
                 "drop of what is gone: unknown-metric\n");
}

static void a_definition_and_events_in_one_frame_count_from_there(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){.runners = 2});
    (void)story_send(&story, "ATL@1", false);
    (void)world_define(&story.world, BYTES(ARRIVALS), DEFINE_CREATE);
    (void)story_send(&story, "ATL@2 ATL@3", false);
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    story_restart(&story, &(struct world_options){0});
    story_values(&story, "arrivals");
    ASSERT_STORY(&story,
                 "arrivals: [0 ATL 2]\n"
                 "arrivals: [0 ATL 2]\n");
}

static void two_hundred_fifty_six_metrics_and_not_one_more(void **state)
{
    (void)state;
    story_begin(&story, &(struct world_options){0});
    for (uint32_t n = 0; n < 256; n++) {
        char sql[128];
        (void)snprintf(sql,
                       sizeof(sql),
                       "CREATE METRIC m%u AS SELECT count(*) AS n FROM "
                       "TUMBLE(events, time, INTERVAL '1 minute')",
                       n);
        story_define(&story, sql, DEFINE_CREATE);
    }
    story.trace_len = 0;
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_drop(&story, "m17", -1);
    story_define(&story, ARRIVALS, DEFINE_CREATE);
    story_tell(&story, "ATL@1");
    story_pass(&story, 0.1);
    story_values(&story, "arrivals");
    story_values(&story, "m255");
    ASSERT_STORY(&story,
                 "define arrivals: limit-reached\n"
                 "drop m17: OK\n"
                 "define arrivals: OK created v1\n"
                 "events ATL@1: OK\n"
                 "arrivals: [0 ATL 1]\n"
                 "m255: [0 1]\n");
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_waits_learns_of_duplicates_and_late_events),
        TEST(proposals_of_one_frame_get_each_its_own_counts),
        TEST(more_proposals_than_a_frame_has_places_all_get_answers),
        TEST(a_read_waits_until_what_was_written_is_applied),
        TEST(a_read_of_the_future_is_given_up_at_its_deadline),
        TEST(too_many_waiting_reads_are_refused_not_queued),
        TEST(a_repeated_definition_is_answered_with_a_position_that_can_be_waited_for),
        TEST(a_metric_is_created_once_and_changed_by_put_only),
        TEST(if_match_guards_metrics),
        TEST(a_definition_and_events_in_one_frame_count_from_there),
        TEST(two_hundred_fifty_six_metrics_and_not_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
