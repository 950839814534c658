/* The feed: notes in the order in which they were decided, within a budget, and read on from
 * anywhere. */
#include "../base/support.h"

#include "core/feed.h"

#define REGION_BYTES ((size_t)8 << 20)
#define BUDGET       ((size_t)64 << 10)
#define PARTITION    3

static struct heap heap;
static void *region;

static int open_heap(void **state)
{
    (void)state;
    region = aligned_alloc(64, REGION_BYTES);
    if (region == NULL) {
        return -1;
    }
    heap_init(&heap, region, REGION_BYTES);
    return 0;
}

static int close_heap(void **state)
{
    (void)state;
    free(region);
    return 0;
}

static void open_feed(struct feed *feed, size_t budget_bytes)
{
    feed_init(feed,
              &heap,
              (struct feed_options){
                  .partition = PARTITION, .budget_bytes = budget_bytes, .keep_us = US_PER_HOUR});
}

static void close_feed(struct feed *feed)
{
    feed_expire(feed, (struct clock_time){INT64_MAX});
    assert_int_equal(feed->count, 0);
    assert_int_equal(feed->bytes, 0);
    assert_int_equal(heap.used_bytes, 0);
}

static struct note note_at(int64_t clock_us, const char *key)
{
    return (struct note){.kind = NOTE_TIMEOUT_FIRED,
                         .clock = {clock_us},
                         .position = 7,
                         .generation = 1,
                         .deadline = clock_us - 1,
                         .started = clock_us - 2,
                         .key = bytes_of_string(key)};
}

static void add_at(struct feed *feed, uint64_t ordinal, int64_t clock_us, const char *key)
{
    struct note note = note_at(clock_us, key);
    feed_add(feed, ordinal, &note);
}

static struct feed_place place(uint64_t ordinal, uint32_t partition, uint32_t number)
{
    return (struct feed_place){.ordinal = ordinal, .partition = partition, .number = number};
}

static void assert_entry(const struct feed_entry *entry, uint64_t ordinal, uint32_t number)
{
    assert_non_null(entry);
    assert_int_equal(entry->ordinal, ordinal);
    assert_int_equal(entry->number, number);
}

static void places_go_by_ordinal_then_partition_then_number(void **state)
{
    (void)state;
    assert_int_equal(feed_place_compare(place(1, 9, 9), place(2, 0, 0)), -1);
    assert_int_equal(feed_place_compare(place(2, 1, 0), place(2, 0, 9)), 1);
    assert_int_equal(feed_place_compare(place(2, 1, 3), place(2, 1, 4)), -1);
    assert_int_equal(feed_place_compare(place(2, 1, 3), place(2, 1, 3)), 0);
    assert_int_equal(feed_place_compare(place(UINT64_MAX, 0, 0), place(0, 0, 0)), 1);
}

static void a_note_is_read_as_it_was_added(void **state)
{
    (void)state;
    struct feed feed;
    open_feed(&feed, BUDGET);
    static char data[5000];
    memset(data, 'x', sizeof(data));
    struct note note = {.kind = NOTE_TIMEOUT_COMPLETED_LATE,
                        .flags = NOTE_BORN_LATE | NOTE_BY_EVENTS | NOTE_SILENCE,
                        .clock = {INT64_MIN + 1},
                        .position = UINT64_MAX,
                        .rule = 4,
                        .generation = UINT32_MAX,
                        .deadline = INT64_MAX,
                        .started = INT64_MIN,
                        .last_seen = -1,
                        .fired = {INT64_MIN + 7},
                        .rule_name = BYTES("overdue"),
                        .key = BYTES("order-17"),
                        .data = bytes_of(data, sizeof(data))};
    feed_add(&feed, 1, &note);
    feed_validate(&feed);
    struct note back;
    assert_true(note_read(feed_entry_bytes(feed.first), &back));
    assert_int_equal(back.kind, note.kind);
    assert_int_equal(back.flags, note.flags);
    assert_true(back.clock.us == note.clock.us);
    assert_true(back.position == note.position);
    assert_int_equal(back.rule, note.rule);
    assert_int_equal(back.generation, note.generation);
    assert_true(back.deadline == note.deadline);
    assert_true(back.started == note.started);
    assert_true(back.last_seen == note.last_seen);
    assert_true(back.fired.us == note.fired.us);
    assert_true(bytes_equal(back.rule_name, note.rule_name));
    assert_true(bytes_equal(back.key, note.key));
    assert_true(bytes_equal(back.data, note.data));
    assert_true(feed.first->clock_us == note.clock.us);
}

static void bytes_that_are_no_note_are_refused(void **state)
{
    (void)state;
    struct feed feed;
    open_feed(&feed, BUDGET);
    add_at(&feed, 1, 10, "some key");
    uint8_t raw[256];
    struct note note;
    size_t len = feed.first->len;
    assert_true(len < sizeof(raw));
    memcpy(raw, feed.first->bytes, len);
    assert_true(note_read(bytes_of(raw, len), &note));
    for (size_t cut = 0; cut < len; cut++) {
        assert_false(note_read(bytes_of(raw, cut), &note));
    }
    raw[len] = 0;
    assert_false(note_read(bytes_of(raw, len + 1), &note)); /* something behind it */
    raw[0] = 0;
    assert_false(note_read(bytes_of(raw, len), &note)); /* no such kind */
    raw[0] = NOTE_ENGINE_LAGGING + 1;
    assert_false(note_read(bytes_of(raw, len), &note));
    raw[0] = NOTE_ENGINE_LAGGING;
    assert_true(note_read(bytes_of(raw, len), &note));
    raw[17] = NOTE_HOLDING;
    assert_true(note_read(bytes_of(raw, len), &note));
    raw[0] = NOTE_TIMEOUT_FIRED;
    assert_false(note_read(bytes_of(raw, len), &note)); /* a flag of the engine */
    raw[17] = 16;
    assert_false(note_read(bytes_of(raw, len), &note)); /* no such flag */
    raw[17] = 0;
    assert_true(note_read(bytes_of(raw, len), &note));
    raw[0] = NOTE_TIMEOUT_RETRACTED;
    assert_false(note_read(bytes_of(raw, len), &note)); /* of which firing? */
}

static void notes_stand_in_the_order_in_which_they_were_decided(void **state)
{
    (void)state;
    struct feed feed;
    open_feed(&feed, BUDGET);
    assert_null(feed_after(&feed, place(0, 0, 0)));
    add_at(&feed, 5, 10, "a");
    add_at(&feed, 5, 10, "b");
    add_at(&feed, 8, 20, "c");
    feed_validate(&feed);
    const struct feed_entry *entry = feed_after(&feed, place(0, 0, 0));
    assert_entry(entry, 5, 1);
    assert_entry(entry->next, 5, 2);
    assert_entry(entry->next->next, 8, 1);
    assert_null(entry->next->next->next);
    assert_entry(feed_after(&feed, place(5, PARTITION, 1)), 5, 2);
    assert_entry(feed_after(&feed, place(5, PARTITION, 2)), 8, 1);
    assert_null(feed_after(&feed, place(8, PARTITION, 1)));
    /* Places of other partitions are cursors, too. */
    assert_entry(feed_after(&feed, place(5, PARTITION - 1, 99)), 5, 1);
    assert_entry(feed_after(&feed, place(5, PARTITION + 1, 0)), 8, 1);
    assert_null(feed_after(&feed, place(8, PARTITION + 1, 0)));
    assert_entry(feed_after(&feed, place(7, 0, 0)), 8, 1);
}

static void a_cursor_goes_on_where_it_was_whatever_came_since(void **state)
{
    (void)state;
    struct feed feed;
    open_feed(&feed, BUDGET);
    uint64_t random = seed_of_run("reading on");
    struct feed_place cursors[4] = {0};
    uint64_t read[4] = {0};
    uint64_t added = 0;
    uint64_t ordinal = 0;
    for (uint32_t step = 0; step < 3000; step++) {
        ordinal += 1 + random_below(&random, 3);
        for (uint64_t n = random_below(&random, 6); n > 0; n--) {
            add_at(&feed, ordinal, (int64_t)ordinal, "k");
            added++;
        }
        uint32_t who = (uint32_t)random_below(&random, 4);
        /* A slow reader: what it lost is what was forgotten behind its place. */
        uint64_t behind = added - read[who];
        uint64_t missed = behind > feed.count ? behind - feed.count : 0;
        assert_int_equal(missed > 0, feed_place_compare(cursors[who], feed.forgotten) < 0);
        if (missed > 0) {
            read[who] += missed;
            cursors[who] = feed.forgotten;
        }
        uint64_t limit = random_below(&random, who == 0 ? 3 : 50);
        for (const struct feed_entry *entry = feed_after(&feed, cursors[who]);
             entry != NULL && limit > 0;
             entry = entry->next) {
            assert_true(feed_place_compare(feed_place_of(&feed, entry), cursors[who]) > 0);
            cursors[who] = feed_place_of(&feed, entry);
            read[who]++;
            limit--;
        }
        if (limit > 0 && feed.count > 0 && feed_after(&feed, cursors[who]) == NULL) {
            assert_int_equal(read[who], added);
        }
        if (step % 50 == 0) {
            feed_validate(&feed);
        }
    }
    assert_true(feed.forgotten.ordinal > 0);
    close_feed(&feed);
}

static void every_place_is_found_among_many(void **state)
{
    (void)state;
    struct feed feed;
    open_feed(&feed, (size_t)4 << 20);
    for (uint64_t ordinal = 1; ordinal <= 1000; ordinal++) {
        add_at(&feed, ordinal * 2, (int64_t)ordinal, "k");
    }
    for (uint64_t forgotten = 0; forgotten < 1000; forgotten += 37) {
        feed_expire(&feed, (struct clock_time){US_PER_HOUR + (int64_t)forgotten + 1});
        feed_validate(&feed);
        assert_int_equal(feed.count, 1000 - forgotten);
        for (uint64_t ordinal = forgotten; ordinal < 1000; ordinal++) {
            assert_entry(feed_after(&feed, place(ordinal * 2, PARTITION, 1)), ordinal * 2 + 2, 1);
            assert_entry(feed_after(&feed, place(ordinal * 2 + 1, 0, 0)), ordinal * 2 + 2, 1);
        }
        assert_null(feed_after(&feed, place(2000, PARTITION, 1)));
    }
}

static void the_budget_forgets_the_oldest_and_says_up_to_where(void **state)
{
    (void)state;
    struct feed feed;
    open_feed(&feed, 2000);
    uint64_t added = 0;
    while (feed.forgotten.ordinal == 0) {
        add_at(&feed, ++added, 10, "a key");
        assert_true(feed.bytes <= 2000);
        feed_validate(&feed);
    }
    assert_true(added > 5);
    assert_int_equal(feed.forgotten.ordinal, 1);
    assert_int_equal(feed.forgotten.partition, PARTITION);
    assert_int_equal(feed.forgotten.number, 1);
    assert_int_equal(feed.count, added - 1);
    assert_entry(feed_after(&feed, place(0, 0, 0)), 2, 1);
    /* One note that is larger than the budget stands alone. */
    static char large[4000];
    struct note note = note_at(11, "large");
    note.data = bytes_of(large, sizeof(large));
    feed_add(&feed, added + 1, &note);
    feed_validate(&feed);
    assert_int_equal(feed.count, 1);
    assert_int_equal(feed.forgotten.ordinal, added);
    add_at(&feed, added + 2, 12, "small");
    feed_validate(&feed);
    assert_int_equal(feed.count, 1);
    assert_int_equal(feed.forgotten.ordinal, added + 1);
    assert_int_equal(feed.lost, 0);
}

static void no_place_is_given_twice_within_a_pulse(void **state)
{
    (void)state;
    struct feed feed;
    open_feed(&feed, 1); /* holds a single note */
    for (uint32_t n = 1; n <= 10; n++) {
        add_at(&feed, 6, 10, "k");
        assert_entry(feed.first, 6, n);
    }
    feed_expire(&feed, (struct clock_time){US_PER_DAY});
    assert_null(feed.first);
    add_at(&feed, 6, 10, "k");
    assert_entry(feed.first, 6, 11);
    feed_validate(&feed);
}

static void what_is_older_than_it_is_kept_goes(void **state)
{
    (void)state;
    struct feed feed;
    open_feed(&feed, BUDGET);
    add_at(&feed, 1, 100, "a");
    add_at(&feed, 2, 200, "b");
    add_at(&feed, 3, INT64_MAX, "c");
    feed_expire(&feed, (struct clock_time){US_PER_HOUR + 100});
    assert_int_equal(feed.count, 3); /* exactly as old as it is kept */
    feed_expire(&feed, (struct clock_time){US_PER_HOUR + 101});
    assert_int_equal(feed.count, 2);
    assert_int_equal(feed.forgotten.ordinal, 1);
    feed_expire(&feed, (struct clock_time){INT64_MAX});
    assert_int_equal(feed.count, 1);
    feed_validate(&feed);
}

static void without_memory_the_oldest_make_room_and_a_loss_is_counted(void **state)
{
    (void)state;
    struct heap own;
    struct feed feed;
    heap_init(&own, region, 4096);
    feed_init(&feed, &own, (struct feed_options){PARTITION, BUDGET, US_PER_HOUR});
    for (uint64_t ordinal = 1; ordinal <= 100; ordinal++) {
        add_at(&feed, ordinal, 10, "a key");
        feed_validate(&feed);
    }
    assert_int_equal(feed.lost, 0);
    assert_int_equal(feed.newest.ordinal, 100);
    assert_int_equal(feed.last->ordinal, 100);
    assert_int_equal(feed.forgotten.ordinal, 100 - feed.count);
    static char large[8192];
    struct note note = note_at(11, "large");
    note.data = bytes_of(large, sizeof(large));
    feed_add(&feed, 101, &note);
    feed_validate(&feed);
    assert_int_equal(feed.lost, 1);
    assert_int_equal(feed.count, 0);
    assert_int_equal(feed.forgotten.ordinal, 101); /* a reader is told of that one, too */
    heap_validate(&own);
    add_at(&feed, 102, 12, "goes on");
    assert_int_equal(feed.count, 1);
}

static void ordinal_goes_back(void)
{
    struct feed feed;
    open_feed(&feed, BUDGET);
    add_at(&feed, 2, 10, "a");
    add_at(&feed, 1, 10, "b");
}

static void a_pulse_of_the_past_adds_nothing(void **state)
{
    (void)state;
    assert_true(dies(ordinal_goes_back));
}

/* --- saved bytes --- */

struct saved {
    uint8_t data[1 << 20];
    size_t len;
    size_t at;
};

static struct saved saved;
static struct saved again;

static void saved_flush(void *ctx, struct bytes part)
{
    struct saved *own = ctx;
    assert_true(part.len <= sizeof(own->data) - own->len);
    memcpy(own->data + own->len, part.data, part.len);
    own->len += part.len;
}

static bool saved_read(void *ctx, void *into, size_t len)
{
    struct saved *own = ctx;
    if (len > own->len - own->at) {
        return false;
    }
    memcpy(into, own->data + own->at, len);
    own->at += len;
    return true;
}

static void save(const struct feed *feed, struct saved *into)
{
    static uint8_t memory[256];
    struct writer writer = {
        .buf = buf_of(memory, sizeof(memory)), .flush = saved_flush, .ctx = into};
    into->len = 0;
    into->at = 0;
    feed_save(feed, &writer);
    writer_flush(&writer);
}

static void assert_saved_alike(const struct feed *a, const struct feed *b)
{
    save(a, &saved);
    save(b, &again);
    assert_true(bytes_equal(bytes_of(saved.data, saved.len), bytes_of(again.data, again.len)));
}

/* One pulse of a made up history. */
static void step(struct feed *feed, uint64_t *random, uint64_t ordinal)
{
    static const char *const keys[] = {"a", "order-17", "a somewhat longer key than the others"};
    int64_t clock_us = (int64_t)ordinal * US_PER_MINUTE;
    for (uint64_t n = random_below(random, 5); n > 0; n--) {
        struct note note = note_at(clock_us, keys[random_below(random, 3)]);
        note.kind = (enum note_kind)(1 + random_below(random, 4));
        note.flags = (uint8_t)random_below(random, 8);
        note.deadline = (int64_t)random_next(random);
        feed_add(feed, ordinal, &note);
    }
    feed_expire(feed, (struct clock_time){clock_us});
}

static void what_was_saved_comes_back_and_goes_on_alike(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("save and load");
    for (uint32_t round = 0; round < 30; round++) {
        struct feed feed;
        struct feed replayed;
        struct feed back;
        size_t budget = 500 + random_below(&random, 30000);
        open_feed(&feed, budget);
        open_feed(&replayed, budget);
        open_feed(&back, budget);
        uint64_t history = random_next(&random);
        uint64_t same = history;
        uint64_t middle = 1 + random_below(&random, 200);
        for (uint64_t ordinal = 1; ordinal <= middle; ordinal++) {
            step(&feed, &history, ordinal);
            step(&replayed, &same, ordinal);
        }
        assert_saved_alike(&feed, &replayed);
        struct loader loader = {.read = saved_read, .ctx = &saved};
        assert_true(feed_load(&back, &loader));
        assert_int_equal(saved.at, saved.len);
        feed_validate(&back);
        assert_saved_alike(&feed, &back);
        assert_int_equal(back.bytes, feed.bytes);
        same = history;
        for (uint64_t ordinal = middle; ordinal < middle + 50; ordinal++) {
            step(&feed, &history, ordinal);
            step(&back, &same, ordinal);
        }
        feed_validate(&back);
        assert_saved_alike(&feed, &back);
        heap_init(&heap, region, REGION_BYTES);
    }
}

static void a_smaller_budget_forgets_when_it_is_loaded(void **state)
{
    (void)state;
    struct feed feed;
    struct feed back;
    open_feed(&feed, BUDGET);
    open_feed(&back, 1000);
    for (uint64_t ordinal = 1; ordinal <= 100; ordinal++) {
        add_at(&feed, ordinal, 10, "a key");
    }
    save(&feed, &saved);
    struct loader loader = {.read = saved_read, .ctx = &saved};
    assert_true(feed_load(&back, &loader));
    feed_validate(&back);
    assert_int_equal(back.last->ordinal, 100);
    assert_int_equal(back.forgotten.ordinal, 100 - back.count);
}

static void truncated_and_garbled_bytes_are_survived(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("garbled");
    struct feed feed;
    open_feed(&feed, BUDGET);
    for (uint64_t ordinal = 1; ordinal <= 10; ordinal++) {
        add_at(&feed, ordinal, 10, "a key");
    }
    save(&feed, &again);
    for (uint32_t round = 0; round < again.len + 3000; round++) {
        struct heap own;
        struct feed back;
        heap_init(&own, (uint8_t *)region + REGION_BYTES / 2, (size_t)1 << 20);
        feed_init(&back, &own, feed.options);
        saved = again;
        saved.at = 0;
        bool cut = round < again.len;
        if (cut) {
            saved.len = round;
        } else {
            saved.data[random_below(&random, saved.len)] ^=
                (uint8_t)(1 + random_below(&random, 255));
        }
        struct loader loader = {.read = saved_read, .ctx = &saved};
        bool loaded = feed_load(&back, &loader);
        assert_false(cut && loaded);
        if (loaded) {
            feed_validate(&back);
        }
        heap_validate(&own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_go_by_ordinal_then_partition_then_number),
        cmocka_unit_test_setup_teardown(a_note_is_read_as_it_was_added, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_note_are_refused, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            notes_stand_in_the_order_in_which_they_were_decided, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_cursor_goes_on_where_it_was_whatever_came_since, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(every_place_is_found_among_many, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            the_budget_forgets_the_oldest_and_says_up_to_where, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            no_place_is_given_twice_within_a_pulse, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(what_is_older_than_it_is_kept_goes, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            without_memory_the_oldest_make_room_and_a_loss_is_counted, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(a_pulse_of_the_past_adds_nothing, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            what_was_saved_comes_back_and_goes_on_alike, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_smaller_budget_forgets_when_it_is_loaded, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            truncated_and_garbled_bytes_are_survived, open_heap, close_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
