/* The catalogue by itself: proposals decide, records change, bytes bring it back. */
#include "../base/saved.h"
#include "../base/support.h"

#include "host/catalog.h"
#include "lang/lang.h"

static struct catalog catalog;
static uint8_t encoded[2][DEFINITION_BYTES_MAX];

static int set_up(void **state)
{
    (void)state;
    catalog_init(&catalog);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    catalog_deinit(&catalog);
    return 0;
}

/* The definition of a metric over windows of so many minutes. */
static struct bytes definition_of(const char *name, uint32_t minutes, uint8_t *memory)
{
    static uint8_t arena_memory[LANG_ARENA_BYTES];
    char sql[256];
    (void)snprintf(sql,
                   sizeof(sql),
                   "CREATE METRIC %s AS SELECT count(*) AS n FROM "
                   "TUMBLE(events, time, INTERVAL '%u minutes')",
                   name,
                   minutes);
    struct arena arena = arena_of(arena_memory, sizeof(arena_memory));
    struct statement statement;
    struct error error;
    assert_int_equal(lang_parse(bytes_of_string(sql), &arena, &statement, &error), OK);
    struct buf out = buf_of(memory, DEFINITION_BYTES_MAX);
    definition_put(&out, &statement.definition);
    return buf_bytes(&out);
}

static struct proposal define(const char *name, uint32_t minutes, enum define_mode mode)
{
    return (struct proposal){.kind = PROPOSE_DEFINE,
                             .name = bytes_of_string(name),
                             .definition = definition_of(name, minutes, encoded[0]),
                             .mode = mode};
}

/* A timeout of so many minutes, or a silence. */
static struct bytes rule_of(const char *name, enum rule_kind kind, uint32_t minutes)
{
    static uint8_t arena_memory[LANG_ARENA_BYTES];
    char sql[256];
    (void)snprintf(sql,
                   sizeof(sql),
                   kind == RULE_TIMEOUT
                       ? "CREATE TIMEOUT %s AS AFTER type = 'a' EXPECT type = 'b' "
                         "WITHIN INTERVAL '%u minutes' PER subject"
                       : "CREATE SILENCE %s AS EXPECT type = 'b' EVERY INTERVAL '%u minutes' "
                         "PER subject",
                   name,
                   minutes);
    struct arena arena = arena_of(arena_memory, sizeof(arena_memory));
    static struct statement statement;
    struct error error;
    assert_int_equal(lang_parse(bytes_of_string(sql), &arena, &statement, &error), OK);
    struct buf out = buf_of(encoded[1], RULE_BYTES_MAX);
    rule_put(&out, &statement.rule);
    return buf_bytes(&out);
}

static struct proposal
define_rule(const char *name, enum rule_kind kind, uint32_t minutes, enum define_mode mode)
{
    return (struct proposal){.kind = PROPOSE_RULE_DEFINE,
                             .name = bytes_of_string(name),
                             .definition = rule_of(name, kind, minutes),
                             .mode = mode};
}

static struct proposal drop_rule(const char *name, enum rule_kind kind)
{
    return (struct proposal){
        .kind = PROPOSE_RULE_DROP, .name = bytes_of_string(name), .rule_kind = kind};
}

static struct condition at_version(uint64_t version)
{
    return (struct condition){.kind = CONDITION_LISTED, .count = 1, .versions = {version}};
}

static struct proposal drop(const char *name)
{
    return (struct proposal){.kind = PROPOSE_DROP, .name = bytes_of_string(name)};
}

/* Decides, and applies what was decided; returns how many records that took. */
static uint32_t take(struct proposal *proposal, uint64_t position)
{
    static uint8_t memory[2 * DEFINITION_BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    catalog_propose(&catalog, proposal, (struct clock_time){77}, &out);
    assert_false(out.overflow);
    assert_int_equal(proposal->changed, out.len > 0);
    uint32_t count = 0;
    struct reader reader = reader_of(buf_bytes(&out));
    for (struct record record; record_next(&reader, memory, &record); count++) {
        catalog_apply(&catalog, &record, position);
    }
    assert_false(reader.bad);
    return count;
}

static void a_new_name_is_created_with_version_one(void **state)
{
    (void)state;
    struct proposal proposal = define("a", 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 4096), 1);
    assert_int_equal(proposal.err, OK);
    assert_true(proposal.created);
    assert_int_equal(proposal.version, 1);
    const struct catalog_entry *entry = catalog_find(&catalog.metrics, BYTES("a"));
    assert_non_null(entry);
    assert_int_equal(entry->info.metric, 1);
    assert_int_equal(entry->info.position, 4096);
    assert_int_equal(entry->info.created.us, 77);
    assert_true(bytes_equal(entry->info.definition, proposal.definition));
    assert_null(catalog_find(&catalog.metrics, BYTES("b")));
    assert_null(catalog_find(&catalog.metrics, BYTES("")));
}

static void what_stood_in_the_outcome_before_does_not_matter(void **state)
{
    (void)state;
    struct proposal proposal = define("a", 1, DEFINE_CREATE);
    proposal.version = 41; /* a letter that is used again */
    (void)take(&proposal, 0);
    assert_int_equal(proposal.version, 1);
}

static void the_same_definition_again_changes_nothing(void **state)
{
    (void)state;
    struct proposal first = define("a", 1, DEFINE_CREATE);
    (void)take(&first, 0);
    const enum define_mode modes[] = {DEFINE_CREATE, DEFINE_IF_NOT_EXISTS, DEFINE_PUT};
    for (uint32_t n = 0; n < 3; n++) {
        struct proposal again = define("a", 1, modes[n]);
        assert_int_equal(take(&again, 0), 0);
        assert_int_equal(again.err, OK);
        assert_false(again.created);
        assert_int_equal(again.version, 1);
    }
}

static void another_definition_is_a_conflict_unless_it_is_put(void **state)
{
    (void)state;
    struct proposal proposal = define("a", 1, DEFINE_CREATE);
    (void)take(&proposal, 0);
    proposal = define("a", 2, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_CONFLICT);
    assert_non_null(strstr(proposal.detail, "another definition"));
    proposal = define("a", 2, DEFINE_IF_NOT_EXISTS);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, OK);
    proposal = define("a", 2, DEFINE_PUT);
    assert_int_equal(take(&proposal, 8192), 2); /* a drop and a definition */
    assert_int_equal(proposal.err, OK);
    assert_false(proposal.created);
    assert_int_equal(proposal.version, 2);
    const struct catalog_entry *entry = catalog_find(&catalog.metrics, BYTES("a"));
    assert_int_equal(entry->info.metric, 2); /* ids are never used twice */
    assert_int_equal(entry->info.position, 8192);
    assert_int_equal(catalog.metrics.count, 1);
}

static void if_match_is_checked_before_anything_else(void **state)
{
    (void)state;
    struct proposal proposal = define("a", 1, DEFINE_PUT);
    proposal.condition = at_version(1);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_PRECONDITION); /* it does not exist */
    proposal = define("a", 1, DEFINE_PUT);
    proposal.condition.kind = CONDITION_ABSENT;
    assert_int_equal(take(&proposal, 0), 1);
    proposal = define("a", 1, DEFINE_PUT);
    proposal.condition.kind = CONDITION_ABSENT;
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_PRECONDITION); /* though the definition is the same */
    proposal = define("a", 2, DEFINE_PUT);
    proposal.condition = at_version(1);
    assert_int_equal(take(&proposal, 0), 2);
    struct proposal gone = drop("a");
    gone.condition = at_version(1);
    assert_int_equal(take(&gone, 0), 0);
    assert_int_equal(gone.err, ERR_PRECONDITION);
    proposal = define("a", 3, DEFINE_PUT);
    proposal.condition.kind = CONDITION_PRESENT;
    assert_int_equal(take(&proposal, 0), 2);
    gone = drop("a");
    gone.condition = (struct condition){CONDITION_LISTED, 3, {7, 3, 1}};
    assert_int_equal(take(&gone, 0), 1);
    assert_null(catalog_find(&catalog.metrics, BYTES("a")));
    proposal = define("a", 3, DEFINE_PUT);
    proposal.condition.kind = CONDITION_PRESENT;
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_PRECONDITION);
}

static void dropping_what_is_not_there_is_refused(void **state)
{
    (void)state;
    struct proposal proposal = drop("a");
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_UNKNOWN_METRIC);
}

static void there_is_room_for_so_many_and_no_more(void **state)
{
    (void)state;
    char name[16];
    for (uint32_t n = 0; n < CATALOG_LIST_MAX; n++) {
        (void)snprintf(name, sizeof(name), "m%u", n);
        struct proposal proposal = define(name, 1, DEFINE_CREATE);
        assert_int_equal(take(&proposal, n), 1);
    }
    struct proposal proposal = define("more", 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_LIMIT);
    proposal = define("m7", 2, DEFINE_PUT); /* a new version takes no further place */
    assert_int_equal(take(&proposal, 0), 2);
    proposal = drop("m100");
    assert_int_equal(take(&proposal, 0), 1);
    proposal = define("more", 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 1);
    assert_int_equal(catalog.metrics.count, CATALOG_LIST_MAX);
}

static void the_order_is_that_of_creation(void **state)
{
    (void)state;
    const char *const names[] = {"c", "a", "d", "b"};
    for (uint32_t n = 0; n < 4; n++) {
        struct proposal proposal = define(names[n], 1, DEFINE_CREATE);
        (void)take(&proposal, 0);
    }
    struct proposal proposal = drop("a");
    (void)take(&proposal, 0);
    assert_bytes(catalog.metrics.entries[0].name, "c");
    assert_bytes(catalog.metrics.entries[1].name, "d");
    assert_bytes(catalog.metrics.entries[2].name, "b");
    assert_ptr_equal(catalog_find(&catalog.metrics, BYTES("b")), &catalog.metrics.entries[2]);
}

/* --- rules --- */

static void rules_have_ids_of_the_same_counter_and_records_of_their_own(void **state)
{
    (void)state;
    struct proposal proposal = define("m", 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 1);
    proposal = define_rule("t", RULE_TIMEOUT, 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 4096), 1);
    assert_true(proposal.created);
    assert_int_equal(proposal.version, 1);
    proposal = define("n", 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 1);
    const struct catalog_entry *entry = catalog_find(&catalog.rules, BYTES("t"));
    assert_non_null(entry);
    assert_int_equal(entry->info.metric, 2);
    assert_int_equal(entry->info.position, 4096);
    assert_int_equal(entry->info.created.us, 77);
    assert_int_equal(entry->rule_kind, RULE_TIMEOUT);
    assert_int_equal(catalog_find(&catalog.metrics, BYTES("n"))->info.metric, 3);
    assert_null(catalog_find(&catalog.metrics, BYTES("t")));
    static uint8_t memory[DEFINITION_BYTES_MAX];
    struct buf out = buf_of(memory, sizeof(memory));
    proposal = define_rule("s", RULE_SILENCE, 1, DEFINE_CREATE);
    catalog_propose(&catalog, &proposal, (struct clock_time){1}, &out);
    struct reader reader = reader_of(buf_bytes(&out));
    struct record record;
    assert_true(record_next(&reader, memory, &record));
    assert_int_equal(record.kind, RECORD_RULE);
}

static void a_rule_and_a_metric_never_share_a_name(void **state)
{
    (void)state;
    struct proposal proposal = define("a", 1, DEFINE_CREATE);
    (void)take(&proposal, 0);
    const enum define_mode modes[] = {DEFINE_CREATE, DEFINE_IF_NOT_EXISTS, DEFINE_PUT};
    for (uint32_t n = 0; n < 3; n++) {
        proposal = define_rule("a", RULE_TIMEOUT, 1, modes[n]);
        assert_int_equal(take(&proposal, 0), 0);
        assert_int_equal(proposal.err, ERR_CONFLICT);
        assert_non_null(strstr(proposal.detail, "a metric has this name"));
    }
    proposal = drop_rule("a", (enum rule_kind)0);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_UNKNOWN_RULE);
    proposal = drop("a");
    assert_int_equal(take(&proposal, 0), 1);
    proposal = define_rule("a", RULE_TIMEOUT, 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 1);
    proposal = define("a", 1, DEFINE_PUT);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_CONFLICT);
    assert_non_null(strstr(proposal.detail, "a rule has this name"));
    proposal = drop("a");
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_UNKNOWN_METRIC);
}

static void rules_are_created_replaced_and_dropped_as_metrics_are(void **state)
{
    (void)state;
    struct proposal proposal = define_rule("r", RULE_TIMEOUT, 1, DEFINE_CREATE);
    (void)take(&proposal, 0);
    proposal = define_rule("r", RULE_TIMEOUT, 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, OK);
    assert_int_equal(proposal.version, 1);
    proposal = define_rule("r", RULE_TIMEOUT, 2, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_CONFLICT);
    proposal = define_rule("r", RULE_TIMEOUT, 2, DEFINE_IF_NOT_EXISTS);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, OK);
    proposal = define_rule("r", RULE_SILENCE, 2, DEFINE_PUT);
    proposal.condition = at_version(2);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_PRECONDITION);
    proposal = define_rule("r", RULE_SILENCE, 2, DEFINE_PUT);
    proposal.condition = at_version(1);
    assert_int_equal(take(&proposal, 8192), 2); /* a drop and a definition */
    assert_int_equal(proposal.version, 2);
    assert_int_equal(catalog.rules.count, 1);
    assert_int_equal(catalog.rules.entries[0].rule_kind, RULE_SILENCE);
    assert_int_equal(catalog.rules.entries[0].info.metric, 2);
    proposal = drop_rule("r", RULE_TIMEOUT); /* it is a silence now */
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_UNKNOWN_RULE);
    assert_non_null(strstr(proposal.detail, "no such timeout"));
    proposal = drop_rule("r", RULE_SILENCE);
    assert_int_equal(take(&proposal, 0), 1);
    assert_int_equal(catalog.rules.count, 0);
    proposal = define_rule("r", RULE_SILENCE, 2, DEFINE_CREATE);
    (void)take(&proposal, 0);
    assert_int_equal(proposal.version, 1);
    assert_int_equal(catalog.rules.entries[0].info.metric, 3); /* never used twice */
    proposal = drop_rule("r", (enum rule_kind)0);
    assert_int_equal(take(&proposal, 0), 1);
}

static void there_is_room_for_so_many_rules_beside_the_metrics(void **state)
{
    (void)state;
    char name[16];
    for (uint32_t n = 0; n < RULES_MAX; n++) {
        (void)snprintf(name, sizeof(name), "r%u", n);
        struct proposal proposal = define_rule(name, RULE_SILENCE, 1, DEFINE_CREATE);
        assert_int_equal(take(&proposal, n), 1);
    }
    struct proposal proposal = define_rule("more", RULE_TIMEOUT, 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 0);
    assert_int_equal(proposal.err, ERR_LIMIT);
    proposal = define_rule("r7", RULE_TIMEOUT, 1, DEFINE_PUT);
    assert_int_equal(take(&proposal, 0), 2);
    proposal = define("m", 1, DEFINE_CREATE);
    assert_int_equal(take(&proposal, 0), 1);
}

/* --- saved bytes --- */

static bool load(struct catalog *into, struct bytes saved)
{
    struct reader in = reader_of(saved);
    struct loader loader = {.read = saved_give, .ctx = &in};
    catalog_init(into);
    return catalog_load(into, &loader) && reader_left(&in) == 0;
}

static void what_is_saved_is_what_is_loaded_and_nothing_shorter(void **state)
{
    (void)state;
    struct proposal proposal = define("a", 1, DEFINE_CREATE);
    (void)take(&proposal, 4096);
    proposal = define("b", 1, DEFINE_CREATE);
    (void)take(&proposal, 8192);
    proposal = define("a", 5, DEFINE_PUT);
    (void)take(&proposal, 12288);
    proposal = define("last", 5, DEFINE_CREATE);
    (void)take(&proposal, 12288);
    proposal = define_rule("t", RULE_TIMEOUT, 1, DEFINE_CREATE);
    (void)take(&proposal, 12288);
    proposal = define_rule("s", RULE_SILENCE, 1, DEFINE_CREATE);
    (void)take(&proposal, 12288);
    proposal = drop("last");
    (void)take(&proposal, 16384);
    proposal = define_rule("gone", RULE_SILENCE, 1, DEFINE_CREATE);
    (void)take(&proposal, 16384);
    proposal = drop_rule("gone", RULE_SILENCE); /* the highest id, yet not to be used again */
    (void)take(&proposal, 16384);
    static uint8_t kept[1 << 16];
    uint8_t buffer[256];
    struct buf out = buf_of(kept, sizeof(kept));
    struct writer writer = {
        .buf = buf_of(buffer, sizeof(buffer)), .flush = saved_take, .ctx = &out};
    catalog_save(&catalog, &writer);
    writer_flush(&writer);
    static struct catalog copy;
    assert_true(load(&copy, buf_bytes(&out)));
    assert_int_equal(copy.metrics.count, 2);
    assert_int_equal(copy.next_id, catalog.next_id);
    for (uint32_t n = 0; n < 2; n++) {
        const struct metric_info *a = &catalog.metrics.entries[n].info;
        const struct metric_info *b = &copy.metrics.entries[n].info;
        assert_true(bytes_equal(catalog.metrics.entries[n].name, copy.metrics.entries[n].name));
        assert_int_equal(a->metric, b->metric);
        assert_int_equal(a->version, b->version);
        assert_int_equal(a->created.us, b->created.us);
        assert_int_equal(a->position, b->position);
        assert_true(bytes_equal(a->definition, b->definition));
    }
    assert_int_equal(copy.rules.count, 2);
    for (uint32_t n = 0; n < 2; n++) {
        const struct catalog_entry *a = &catalog.rules.entries[n];
        const struct catalog_entry *b = &copy.rules.entries[n];
        assert_true(bytes_equal(a->name, b->name));
        assert_int_equal(a->rule_kind, b->rule_kind);
        assert_int_equal(a->info.metric, b->info.metric);
        assert_int_equal(a->info.position, b->info.position);
        assert_true(bytes_equal(a->info.definition, b->info.definition));
    }
    catalog_deinit(&copy);
    for (size_t len = 0; len < out.len; len++) {
        assert_false(load(&copy, bytes_of(kept, len)));
        catalog_deinit(&copy);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_name_is_created_with_version_one),
        TEST(what_stood_in_the_outcome_before_does_not_matter),
        TEST(the_same_definition_again_changes_nothing),
        TEST(another_definition_is_a_conflict_unless_it_is_put),
        TEST(if_match_is_checked_before_anything_else),
        TEST(dropping_what_is_not_there_is_refused),
        TEST(there_is_room_for_so_many_and_no_more),
        TEST(the_order_is_that_of_creation),
        TEST(rules_have_ids_of_the_same_counter_and_records_of_their_own),
        TEST(a_rule_and_a_metric_never_share_a_name),
        TEST(rules_are_created_replaced_and_dropped_as_metrics_are),
        TEST(there_is_room_for_so_many_rules_beside_the_metrics),
        TEST(what_is_saved_is_what_is_loaded_and_nothing_shorter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
