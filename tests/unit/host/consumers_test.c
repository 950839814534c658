/* The consumers by themselves: proposals decide, records change, bytes bring them back. */
#include "../base/saved.h"
#include "../base/support.h"

#include "host/consumers.h"

static struct consumers consumers;

static int set_up(void **state)
{
    (void)state;
    consumers_init(&consumers);
    return 0;
}

/* Decides, and applies what was decided. */
static struct proposal propose(const char *name, struct feed_place place)
{
    uint8_t memory[256];
    struct buf out = buf_of(memory, sizeof(memory));
    struct proposal proposal = {
        .kind = PROPOSE_CONSUMER, .name = bytes_of_string(name), .feed_place = place};
    consumers_propose(&consumers, &proposal, (struct clock_time){77}, &out);
    assert_false(out.overflow);
    assert_int_equal(proposal.changed, out.len > 0);
    struct reader reader = reader_of(buf_bytes(&out));
    for (struct record record; record_next(&reader, memory, &record);) {
        consumers_apply(&consumers, &record);
    }
    assert_false(reader.bad);
    return proposal;
}

static enum err outcome(const char *name, struct feed_place place)
{
    return propose(name, place).err;
}

static const struct consumer_info *find(const char *name)
{
    for (uint32_t n = 0; n < consumers.count; n++) {
        const struct consumer_entry *entry = &consumers.entries[n];
        if (bytes_equal(bytes_of(entry->name, entry->info.name.len), bytes_of_string(name))) {
            return &entry->info;
        }
    }
    return NULL;
}

static void a_consumer_comes_moves_and_goes(void **state)
{
    (void)state;
    struct proposal first = propose("mails", (struct feed_place){7, 3, 2});
    assert_true(first.created && first.changed);
    assert_int_equal(find("mails")->place.ordinal, 7);
    assert_int_equal(find("mails")->place.partition, 3);
    assert_int_equal(find("mails")->place.number, 2);
    assert_int_equal(find("mails")->acked.us, 77);
    struct proposal again = propose("mails", (struct feed_place){7, 3, 2});
    assert_int_equal(again.err, OK);
    assert_false(again.changed);
    struct proposal back = propose("mails", (struct feed_place){6, 0, 0});
    assert_true(back.changed && !back.created);
    assert_int_equal(find("mails")->place.ordinal, 6);
    assert_true(propose("mails", (struct feed_place){0}).changed);
    assert_null(find("mails"));
    assert_int_equal(outcome("mails", (struct feed_place){0}), ERR_NOT_FOUND);
}

static void a_name_is_plain_and_short(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",
        "0",
        "-",
        "_",
        "a-b_c9",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const bad[] = {
        "",
        "A",
        "a b",
        "a.b",
        "\xc3\xa4",
        "a/b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t n = 0; n < sizeof(good) / sizeof(good[0]); n++) {
        assert_int_equal(outcome(good[n], (struct feed_place){1, 0, 0}), OK);
    }
    for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
        assert_int_equal(outcome(bad[n], (struct feed_place){1, 0, 0}), ERR_UNPROCESSABLE);
    }
    assert_int_equal(outcome("far", (struct feed_place){1, PARTITIONS_MAX, 0}), ERR_UNPROCESSABLE);
    assert_int_equal(consumers.count, sizeof(good) / sizeof(good[0]));
}

static void there_are_so_many_and_no_more_and_they_stand_by_name(void **state)
{
    (void)state;
    char name[16];
    for (uint32_t n = 0; n < CONSUMERS_MAX; n++) { /* in no order: 7919 and 1000 share no factor */
        (void)snprintf(name, sizeof(name), "c%03u", n * 7919 % CONSUMERS_MAX);
        assert_int_equal(outcome(name, (struct feed_place){n + 1, 0, 0}), OK);
    }
    assert_int_equal(outcome("more", (struct feed_place){1, 0, 0}), ERR_LIMIT);
    assert_int_equal(outcome("c500", (struct feed_place){9999, 0, 0}), OK);
    for (uint32_t n = 0; n < CONSUMERS_MAX; n++) {
        (void)snprintf(name, sizeof(name), "c%03u", n);
        assert_memory_equal(consumers.entries[n].name, name, 4);
    }
    assert_int_equal(outcome("c000", (struct feed_place){0}), OK);
    assert_int_equal(outcome("c999", (struct feed_place){0}), OK);
    assert_int_equal(outcome("more", (struct feed_place){1, 0, 0}), OK);
    assert_int_equal(consumers.count, CONSUMERS_MAX - 1);
    assert_int_equal(find("c500")->place.ordinal, 9999);
}

/* --- bytes --- */

static uint8_t saved[64 * 1024];
static size_t saved_len;

static bool load(size_t len)
{
    struct reader reader = reader_of(bytes_of(saved, len));
    struct loader loader = {.read = saved_give, .ctx = &reader};
    consumers_init(&consumers);
    return consumers_load(&consumers, &loader) && reader_left(&reader) == 0;
}

static void what_is_saved_is_loaded_and_a_part_of_it_is_not(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf out = buf_of(saved, sizeof(saved));
    struct writer writer = {
        .buf = buf_of(memory, sizeof(memory)), .flush = saved_take, .ctx = &out};
    (void)propose("b", (struct feed_place){2, 1, 3});
    (void)propose("a", (struct feed_place){UINT64_MAX, 63, UINT32_MAX});
    (void)propose("longer-name", (struct feed_place){5, 0, 0});
    consumers_save(&consumers, &writer);
    writer_flush(&writer);
    assert_false(out.overflow);
    saved_len = out.len;
    for (size_t len = 0; len < saved_len; len++) {
        assert_false(load(len));
    }
    assert_true(load(saved_len));
    assert_int_equal(consumers.count, 3);
    assert_int_equal(find("a")->place.number, UINT32_MAX);
    assert_int_equal(find("a")->place.partition, 63);
    assert_int_equal(find("b")->acked.us, 77);
    saved[0] = 0xff;
    saved[1] = 0xff;
    assert_false(load(saved_len));
}

static void other_records_are_nothing_to_them(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct buf out = buf_of(memory, sizeof(memory));
    drop_put(&out, 1);
    struct reader reader = reader_of(buf_bytes(&out));
    struct record record;
    assert_true(record_next(&reader, memory, &record));
    consumers_apply(&consumers, &record);
    assert_int_equal(consumers.count, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_consumer_comes_moves_and_goes),
        TEST(a_name_is_plain_and_short),
        TEST(there_are_so_many_and_no_more_and_they_stand_by_name),
        TEST(what_is_saved_is_loaded_and_a_part_of_it_is_not),
        TEST(other_records_are_nothing_to_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
