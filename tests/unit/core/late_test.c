/* The late stream: what it keeps, what it forgets, and that it comes back from its saved bytes. */
#include "../base/support.h"

#include "core/late.h"

#define REGION_BYTES ((size_t)4 << 20)

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

static uint8_t padding[100000];

/* The nth event, with so many bytes of data. */
static void add(struct late *late, uint32_t n, size_t data_len)
{
    static const uint32_t metrics[3] = {7, 1, UINT32_MAX};
    char id[16];
    (void)snprintf(id, sizeof(id), "id-%u", n);
    struct event event = {
        .id = bytes_of_string(id),
        .source = BYTES("/s"),
        .type = BYTES("t"),
        .data = bytes_of(padding, data_len),
        .time = {-(int64_t)n},
        .flags = EVENT_HAS_DATA,
    };
    struct log_place place = {.frame = UINT64_C(4096) * n, .record = n + 1, .row = n + 2};
    late_add(late, &place, 100 + (int64_t)n, metrics, 3, &event);
}

static void assert_entry(const struct late_entry *entry, uint32_t n, size_t data_len)
{
    assert_non_null(entry);
    char id[16];
    (void)snprintf(id, sizeof(id), "id-%u", n);
    struct reader in = reader_of(bytes_of(entry->bytes, entry->len));
    assert_true(read_u64(&in) == UINT64_C(4096) * n);
    assert_int_equal(read_u32(&in), n + 1);
    assert_int_equal(read_u32(&in), n + 2);
    assert_int_equal(read_i64(&in), 100 + n);
    assert_int_equal(read_u16(&in), 3);
    assert_int_equal(read_u32(&in), 7);
    assert_int_equal(read_u32(&in), 1);
    assert_int_equal(read_u32(&in), UINT32_MAX);
    struct event event;
    assert_true(event_read(&in, &event));
    assert_bytes(event.id, id);
    assert_bytes(event.source, "/s");
    assert_int_equal(event.time.us, -(int64_t)n);
    assert_int_equal(event.data.len, data_len);
}

static void assert_range(const struct late *late, uint32_t from, uint32_t end, size_t data_len)
{
    assert_int_equal(late->count, end - from);
    size_t bytes = 0;
    const struct late_entry *entry = late->first;
    for (uint32_t n = from; n < end; n++) {
        assert_entry(entry, n, data_len);
        bytes += sizeof(*entry) + entry->len;
        assert_int_equal(late->last == entry, n + 1 == end);
        entry = entry->next;
    }
    assert_null(entry);
    assert_int_equal(late->bytes, bytes);
    assert_true(bytes <= late->budget_bytes);
}

static void events_are_kept_in_the_order_of_the_log(void **state)
{
    (void)state;
    struct late late;
    late_init(&late, &heap, 100000);
    assert_range(&late, 0, 0, 0);
    for (uint32_t n = 0; n < 100; n++) {
        add(&late, n, 10);
        assert_range(&late, 0, n + 1, 10);
    }
    assert_int_equal(late.forgotten, 0);
}

static void the_oldest_go_first_when_the_budget_is_used_up(void **state)
{
    (void)state;
    struct late late;
    late_init(&late, &heap, 5000);
    size_t used = 0;
    for (uint32_t n = 0; n < 3000; n++) {
        add(&late, n, 50);
        assert_range(&late, (uint32_t)late.forgotten, n + 1, 50);
        assert_true(n < 100 || late.count > 10);
        assert_true(n < 2000 || heap.top == used); /* forgotten entries' memory serves again */
        used = heap.top;
    }
    heap_validate(&heap);
}

static void an_event_beyond_the_budget_is_counted_and_costs_the_others_nothing(void **state)
{
    (void)state;
    struct late late;
    late_init(&late, &heap, 5000);
    for (uint32_t n = 0; n < 5; n++) {
        add(&late, n, 50);
    }
    add(&late, 5, 6000);
    assert_int_equal(late.forgotten, 1);
    assert_range(&late, 0, 5, 50);
    late_init(&late, &heap, 0);
    add(&late, 1, 1);
    assert_int_equal(late.forgotten, 1);
    assert_range(&late, 0, 0, 0);
}

static void an_event_that_finds_no_memory_is_counted(void **state)
{
    (void)state;
    struct heap small;
    struct late late;
    heap_init(&small, region, 2048);
    late_init(&late, &small, 100000);
    for (uint32_t n = 0; n < 50; n++) {
        add(&late, n, 50);
    }
    assert_true(late.count > 3);
    assert_int_equal(late.count + late.forgotten, 50);
    assert_range(&late, 0, (uint32_t)late.count, 50);
    heap_validate(&small);
}

/* --- saved bytes --- */

struct saved {
    uint8_t data[1 << 20];
    size_t len;
    size_t at;
};

static struct saved saved;

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

static void save(const struct late *late)
{
    static uint8_t memory[256];
    struct writer writer = {
        .buf = buf_of(memory, sizeof(memory)), .flush = saved_flush, .ctx = &saved};
    saved.len = 0;
    saved.at = 0;
    late_save(late, &writer);
    writer_flush(&writer);
}

static void a_saved_stream_comes_back(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 60; count += 7) {
        struct late late;
        struct late back;
        late_init(&late, &heap, 8000);
        for (uint32_t n = 0; n < count; n++) {
            add(&late, n, 500);
        }
        save(&late);
        struct loader loader = {.read = saved_read, .ctx = &saved};
        late_init(&back, &heap, 8000);
        assert_true(late_load(&back, &loader));
        assert_int_equal(saved.at, saved.len);
        assert_true(back.forgotten == late.forgotten);
        assert_int_equal(back.bytes, late.bytes);
        assert_range(&back, (uint32_t)late.forgotten, count, 500);
        add(&back, count, 500); /* and it goes on */
        assert_range(&back, (uint32_t)back.forgotten, count + 1, 500);
    }
}

static void a_smaller_budget_keeps_the_newest_of_a_saved_stream(void **state)
{
    (void)state;
    struct late late;
    struct late back;
    late_init(&late, &heap, 100000);
    for (uint32_t n = 0; n < 50; n++) {
        add(&late, n, 100);
    }
    add(&late, 50, 3000);
    add(&late, 51, 100);
    save(&late);
    struct loader loader = {.read = saved_read, .ctx = &saved};
    late_init(&back, &heap, 2000);
    assert_true(late_load(&back, &loader));
    assert_int_equal(saved.at, saved.len);
    assert_int_equal(back.count + back.forgotten, 52);
    assert_entry(back.last, 51, 100);
    assert_true(back.bytes <= 2000);
}

static void truncated_bytes_do_not_load(void **state)
{
    (void)state;
    struct late late;
    struct late back;
    late_init(&late, &heap, 100000);
    for (uint32_t n = 0; n < 4; n++) {
        add(&late, n, 20);
    }
    save(&late);
    size_t whole = saved.len;
    for (size_t len = 0; len < whole; len++) {
        struct loader loader = {.read = saved_read, .ctx = &saved};
        saved.len = len;
        saved.at = 0;
        late_init(&back, &heap, 100000);
        assert_false(late_load(&back, &loader));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            events_are_kept_in_the_order_of_the_log, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            the_oldest_go_first_when_the_budget_is_used_up, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            an_event_beyond_the_budget_is_counted_and_costs_the_others_nothing,
            open_heap,
            close_heap),
        cmocka_unit_test_setup_teardown(
            an_event_that_finds_no_memory_is_counted, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(a_saved_stream_comes_back, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(
            a_smaller_budget_keeps_the_newest_of_a_saved_stream, open_heap, close_heap),
        cmocka_unit_test_setup_teardown(truncated_bytes_do_not_load, open_heap, close_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
