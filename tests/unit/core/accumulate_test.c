/* Accumulators: exact where they say so, the same in any grouping of the events, and whole when
 * memory runs out. */
#include "../base/support.h"

#include "base/utf8.h"
#include "core/accumulate.h"
#include "lang/lang.h"

#define REGION_BYTES ((size_t)8 << 20)
#define SLOTS_BYTES  (DEFINITION_COLUMNS_MAX * 40)

enum aggregate_place {
    COUNT_ALL,
    COUNT,
    SUM,
    AVG,
    MIN,
    MAX,
    RATE,
    AGGREGATES,
};

static struct heap heap;
static void *region;
static struct program_scratch scratch;
static struct accumulate_layout layout;
static struct definition definition;

/* All aggregates of data.x; `where` filters the counts, or is empty. */
static void define(const char *where)
{
    static uint8_t memory[LANG_ARENA_BYTES];
    static struct statement statement;
    char sql[512];
    (void)snprintf(sql,
                   sizeof(sql),
                   "SELECT count(*) %s AS a, count(data.x) AS b, sum(data.x) AS c, "
                   "avg(data.x) AS d, min(data.x) AS e, max(data.x) AS f, rate() AS g "
                   "FROM TUMBLE(events, time, INTERVAL '1 minute')",
                   where);
    struct arena arena = arena_of(memory, sizeof(memory));
    struct error error;
    if (lang_parse(bytes_of_string(sql), &arena, &statement, &error) != OK) {
        fail_msg("%s (%s): %s", error.text, error.hint, sql);
    }
    definition = statement.definition;
    assert_int_equal(definition.aggregate_count, AGGREGATES);
    accumulate_layout_init(&layout, &definition);
    assert_true(layout.total_bytes <= SLOTS_BYTES);
    assert_int_equal(layout.total_bytes % 8, 0);
}

static int open_heap(void **state)
{
    (void)state;
    region = aligned_alloc(64, REGION_BYTES);
    if (region == NULL) {
        return -1;
    }
    heap_init(&heap, region, REGION_BYTES);
    define("");
    return 0;
}

static int close_heap(void **state)
{
    (void)state;
    free(region);
    return 0;
}

struct slots {
    _Alignas(8) uint8_t bytes[SLOTS_BYTES];
};

/* Adds an event whose data.x is this JSON text. */
static bool add_json(struct slots *slots, struct heap *own, struct bytes json)
{
    static uint8_t memory[16384];
    struct buf data = buf_of(memory, sizeof(memory));
    buf_put_text(&data, "{\"x\":");
    buf_put_bytes(&data, json);
    buf_put_text(&data, "}");
    assert_false(data.overflow);
    struct event event = {.id = BYTES("1"),
                          .source = BYTES("/s"),
                          .type = BYTES("t"),
                          .data = buf_bytes(&data),
                          .flags = EVENT_HAS_DATA};
    scratch.used = 0;
    return accumulate_event(&layout, slots->bytes, own, &event, &scratch);
}

static void add(struct slots *slots, const char *json)
{
    assert_true(add_json(slots, &heap, bytes_of_string(json)));
}

static struct value result(const struct slots *slots, enum aggregate_place place)
{
    return accumulate_result(&layout, slots->bytes, (uint32_t)place, US_PER_MINUTE);
}

/* The aggregate's result as JSON. */
static void
assert_result(const struct slots *slots, enum aggregate_place place, const char *expected)
{
    static uint8_t memory[8192];
    struct buf out = buf_of(memory, sizeof(memory));
    value_put_json(&out, result(slots, place));
    assert_false(out.overflow);
    assert_bytes(buf_bytes(&out), expected);
}

static void nothing_gives_zeros_and_nulls(void **state)
{
    (void)state;
    struct slots slots = {0};
    assert_result(&slots, COUNT_ALL, "0");
    assert_result(&slots, COUNT, "0");
    assert_result(&slots, SUM, "null");
    assert_result(&slots, AVG, "null");
    assert_result(&slots, MIN, "null");
    assert_result(&slots, MAX, "null");
    assert_result(&slots, RATE, "0");
}

static void sums_of_decimals_are_exact(void **state)
{
    (void)state;
    struct slots slots = {0};
    add(&slots, "0.1");
    add(&slots, "0.2");
    assert_result(&slots, SUM, "0.3");
    assert_result(&slots, AVG, "0.15");
    add(&slots, "-1000000000000000000000000000");
    add(&slots, "1000000000000000000000000000");
    add(&slots, "0.000000001");
    assert_result(&slots, SUM, "0.300000001");
    assert_result(&slots, MIN, "-1000000000000000000000000000");
    assert_result(&slots, MAX, "1000000000000000000000000000");
    assert_result(&slots, COUNT, "5");
    assert_int_equal(result(&slots, SUM).kind, VALUE_NUMBER);
}

static void an_average_is_exact_or_the_nearest_double(void **state)
{
    (void)state;
    struct slots slots = {0};
    add(&slots, "1");
    add(&slots, "0");
    add(&slots, "0");
    struct value third = result(&slots, AVG);
    assert_int_equal(third.kind, VALUE_DOUBLE);
    assert_true(third.real > 0.33333333333333325 && third.real < 0.3333333333333334);
    add(&slots, "0");
    assert_result(&slots, AVG, "0.25");
    assert_int_equal(result(&slots, AVG).kind, VALUE_NUMBER);
}

static void what_is_null_or_no_number_is_no_summand(void **state)
{
    (void)state;
    struct slots slots = {0};
    add(&slots, "null");
    assert_result(&slots, COUNT_ALL, "1");
    assert_result(&slots, COUNT, "0");
    assert_result(&slots, SUM, "null");
    add(&slots, "\"7\"");
    add(&slots, "true");
    assert_result(&slots, COUNT, "2");
    assert_result(&slots, SUM, "null");
    assert_result(&slots, AVG, "null");
    add(&slots, "4");
    assert_result(&slots, COUNT_ALL, "4");
    assert_result(&slots, COUNT, "3");
    assert_result(&slots, SUM, "4");
    assert_result(&slots, AVG, "4");
    accumulate_release(&layout, slots.bytes, &heap);
}

static void a_sum_beyond_128_bits_becomes_a_double(void **state)
{
    (void)state;
    static const char *const signs[] = {"", "-"};
    for (int negative = 0; negative < 2; negative++) {
        struct slots slots = {0};
        char json[64];
        (void)snprintf(json, sizeof(json), "%s9999999999999999999999999999", signs[negative]);
        for (uint32_t n = 1; n <= 100; n++) {
            add(&slots, json);
            struct value sum = result(&slots, SUM);
            double expected = (negative ? -1e28 : 1e28) * n;
            double error = n <= 17 ? 0 : (sum.real - expected) / expected;
            assert_int_equal(sum.kind, n <= 17 ? VALUE_NUMBER : VALUE_DOUBLE);
            assert_true(error > -1e-13 && error < 1e-13);
            struct value mean = result(&slots, AVG);
            double quotient = mean.kind == VALUE_NUMBER ? (double)mean.nano / 1e9 : mean.real;
            double off = quotient / (negative ? -1e28 : 1e28) - 1;
            assert_true(off > -1e-13 && off < 1e-13);
        }
        assert_result(&slots, COUNT, "100");
    }
}

static void one_double_makes_the_sum_a_double(void **state)
{
    (void)state;
    struct slots slots = {0};
    add(&slots, "1");
    add(&slots, "0.00000000005"); /* finer than a nano */
    struct value sum = result(&slots, SUM);
    assert_int_equal(sum.kind, VALUE_DOUBLE);
    assert_true(sum.real > 1 && sum.real < 1.0000000001);
    add(&slots, "1e300");
    assert_result(&slots, MAX, "1e+300");
    assert_true(result(&slots, SUM).real == 1e300);
}

static void a_sum_beyond_the_doubles_is_null_and_never_infinite(void **state)
{
    (void)state;
    struct slots slots = {0};
    add(&slots, "1e308");
    add(&slots, "1e308");
    assert_int_equal(result(&slots, SUM).kind, VALUE_NULL);
    assert_int_equal(result(&slots, AVG).kind, VALUE_NULL);
    add(&slots, "-1e308");
    add(&slots, "-1e308");
    add(&slots, "-1e308");
    struct value sum = result(&slots, SUM);
    assert_true(sum.kind == VALUE_NULL || sum.kind == VALUE_DOUBLE);
    assert_result(&slots, MIN, "-1e+308");
    assert_result(&slots, MAX, "1e+308");
}

static void a_rate_is_events_per_second(void **state)
{
    (void)state;
    struct slots slots = {0};
    for (uint32_t n = 0; n < 90; n++) {
        add(&slots, "1");
    }
    assert_result(&slots, RATE, "1.5");
    struct value rate = accumulate_result(&layout, slots.bytes, RATE, 1);
    assert_true(rate.kind == VALUE_NUMBER &&
                rate.nano == (int128)90 * NANO_PER_UNIT * US_PER_SECOND);
    rate = accumulate_result(&layout, slots.bytes, RATE, 7 * US_PER_SECOND);
    assert_int_equal(rate.kind, VALUE_DOUBLE);
    assert_true(rate.real > 12.857142857142 && rate.real < 12.857142857143);
}

static void a_filter_concerns_its_own_aggregate_alone(void **state)
{
    (void)state;
    struct slots slots = {0};
    define("FILTER (WHERE data.x > 5)");
    add(&slots, "1");
    add(&slots, "6");
    add(&slots, "null");
    add(&slots, "7");
    assert_result(&slots, COUNT_ALL, "2");
    assert_result(&slots, COUNT, "3");
    assert_result(&slots, SUM, "14");
}

/* Kinds that can't be compared: the lower kind wins, so the order of the events does not matter. */
static void extremes_do_not_depend_on_the_order_of_kinds(void **state)
{
    (void)state;
    static const char *const values[4] = {"\"b\"", "5", "\"a\"", "7.5"};
    for (uint32_t order = 0; order < 256; order++) {
        struct slots slots = {0};
        bool there[4] = {false};
        for (uint32_t n = 0; n < 4; n++) {
            add(&slots, values[(order >> (2 * n)) & 3]);
            there[(order >> (2 * n)) & 3] = true;
        }
        assert_result(&slots,
                      MIN,
                      there[1]   ? "5"
                      : there[3] ? "7.5"
                      : there[2] ? "\"a\""
                                 : "\"b\"");
        assert_result(&slots,
                      MAX,
                      there[3]   ? "7.5"
                      : there[1] ? "5"
                      : there[0] ? "\"b\""
                                 : "\"a\"");
        accumulate_release(&layout, slots.bytes, &heap);
        assert_int_equal(heap.used_bytes, 0);
    }
}

static void doubles_and_numbers_are_compared_exactly(void **state)
{
    (void)state;
    struct slots slots = {0};
    add(&slots, "9007199254740993");
    add(&slots, "9007199254740992.00000000001"); /* a double: ...992 */
    assert_result(&slots, MAX, "9007199254740993");
    add(&slots, "1e-12");
    add(&slots, "0");
    assert_result(&slots, MIN, "0");
}

static struct bytes quoted(const char *character, size_t times, const char *tail)
{
    static uint8_t memory[8192];
    struct buf out = buf_of(memory, sizeof(memory));
    buf_put_text(&out, "\"");
    for (size_t n = 0; n < times; n++) {
        buf_put_text(&out, character);
    }
    buf_put_text(&out, tail);
    buf_put_text(&out, "\"");
    assert_false(out.overflow);
    return buf_bytes(&out);
}

static bool is_utf8(struct bytes text)
{
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.len;
    while (at < end) {
        size_t len = utf8_char_len(at, end);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x8c\x8a"};
    for (size_t n = 0; n < 4; n++) {
        for (size_t times = 250; times < 1100; times++) {
            struct slots slots = {0};
            assert_true(add_json(&slots, &heap, quoted(characters[n], times, "z")));
            struct value text = result(&slots, MAX);
            assert_int_equal(text.kind, VALUE_TEXT);
            size_t whole = times * strlen(characters[n]) + 1;
            if (whole <= ACCUMULATE_TEXT_MAX) {
                assert_int_equal(text.text.len, whole);
            } else {
                assert_in_range(text.text.len, ACCUMULATE_TEXT_MAX - 3, ACCUMULATE_TEXT_MAX);
            }
            assert_true(is_utf8(text.text));
            accumulate_release(&layout, slots.bytes, &heap);
        }
    }
    assert_int_equal(heap.used_bytes, 0);
}

/* Texts that differ around the cut, in any order. */
static void extremes_of_long_texts_do_not_depend_on_the_order(void **state)
{
    (void)state;
    static const char *const tails[] = {
        "", "b", "\xc3\xbc", "bc", "\xc3\xbc\xc3\xbc", "\xe2\x82\xac"};
    for (size_t times = 1020; times < 1028; times++) {
        struct value first[2] = {{0}};
        struct slots kept = {0};
        for (uint32_t order = 0; order < 6; order++) {
            struct slots slots = {0};
            for (uint32_t n = 0; n < 6; n++) {
                assert_true(
                    add_json(&slots, &heap, quoted("a", times, tails[(n * 5 + order) % 6])));
            }
            if (order == 0) {
                kept = slots;
                first[0] = result(&kept, MIN);
                first[1] = result(&kept, MAX);
                continue;
            }
            assert_true(bytes_equal(result(&slots, MIN).text, first[0].text));
            assert_true(bytes_equal(result(&slots, MAX).text, first[1].text));
            accumulate_release(&layout, slots.bytes, &heap);
        }
        accumulate_release(&layout, kept.bytes, &heap);
    }
    assert_int_equal(heap.used_bytes, 0);
}

/* --- merging --- */

static struct bytes put(const struct slots *slots, uint8_t *memory, size_t cap)
{
    struct buf out = buf_of(memory, cap);
    size_t max = accumulate_put_max(&layout, slots->bytes);
    assert_true(max <= cap);
    accumulate_put(&layout, slots->bytes, &out);
    assert_false(out.overflow);
    assert_true(out.len <= max);
    return buf_bytes(&out);
}

static void merge(struct slots *into, const struct slots *from)
{
    static uint8_t memory[65536];
    struct bytes bytes = put(from, memory, sizeof(memory));
    struct reader in = reader_of(bytes);
    assert_true(accumulate_merge(&layout, into->bytes, &heap, &in));
    assert_false(in.bad);
    assert_int_equal(reader_left(&in), 0);
}

static void assert_alike(const struct slots *a, const struct slots *b)
{
    static uint8_t memory[2][65536];
    struct bytes first = put(a, memory[0], sizeof(memory[0]));
    struct bytes second = put(b, memory[1], sizeof(memory[1]));
    assert_true(bytes_equal(first, second));
}

/* A value that sums exactly, of any kind. */
static void random_json(uint64_t *random, char json[64])
{
    int64_t nano = (int64_t)random_next(random);
    switch (random_below(random, 8)) {
    case 0:
        (void)snprintf(json, 64, "null");
        break;
    case 1:
        (void)snprintf(json, 64, "\"text %d\"", (int)random_below(random, 100));
        break;
    case 2:
        (void)snprintf(json, 64, "%lld", (long long)nano);
        break;
    case 3:
        (void)snprintf(json, 64, "-1234567890123456789012345.%d", (int)random_below(random, 1000));
        break;
    default:
        (void)snprintf(
            json, 64, "%lld.%d", (long long)(nano >> 40), (int)random_below(random, 1000000000));
        break;
    }
}

#define PARTS 8

/* Merges parts[from, end) in a random tree into parts[from]. */
static void merge_randomly(struct slots *parts, uint32_t count, uint64_t *random)
{
    while (count > 1) {
        uint32_t from = (uint32_t)random_below(random, count);
        uint32_t into = (uint32_t)random_below(random, count - 1);
        into += into >= from;
        merge(&parts[into], &parts[from]);
        accumulate_release(&layout, parts[from].bytes, &heap);
        parts[from] = parts[count - 1];
        if (into == count - 1) {
            into = from;
        }
        count--;
    }
}

static void events_may_be_grouped_in_any_way(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("grouping");
    for (uint32_t round = 0; round < 300; round++) {
        struct slots whole = {0};
        struct slots parts[PARTS] = {0};
        for (uint64_t n = random_below(&random, 60); n > 0; n--) {
            char json[64];
            random_json(&random, json);
            add(&whole, json);
            add(&parts[random_below(&random, PARTS)], json);
        }
        merge_randomly(parts, PARTS, &random);
        assert_alike(&parts[0], &whole);
        accumulate_release(&layout, parts[0].bytes, &heap);
        accumulate_release(&layout, whole.bytes, &heap);
        assert_int_equal(heap.used_bytes, 0);
    }
    heap_validate(&heap);
}

static void merging_nothing_changes_nothing(void **state)
{
    (void)state;
    struct slots slots = {0};
    struct slots nothing = {0};
    merge(&nothing, &slots);
    assert_alike(&nothing, &slots);
    add(&slots, "1.5");
    add(&slots, "\"text\"");
    add(&slots, "1e300");
    struct slots copy = {0};
    merge(&copy, &slots);
    assert_alike(&copy, &slots);
    merge(&copy, &nothing);
    assert_alike(&copy, &slots);
    accumulate_release(&layout, slots.bytes, &heap);
    accumulate_release(&layout, copy.bytes, &heap);
}

static void inexact_sums_stay_flagged_through_a_merge(void **state)
{
    (void)state;
    struct slots a = {0};
    struct slots b = {0};
    add(&a, "1");
    add(&b, "0.00000000005");
    merge(&a, &b);
    assert_int_equal(result(&a, SUM).kind, VALUE_DOUBLE);
    struct slots large[2] = {0};
    for (uint32_t n = 0; n < 17; n++) {
        add(&large[0], "9999999999999999999999999999");
        add(&large[1], "9999999999999999999999999999");
    }
    assert_int_equal(result(&large[0], SUM).kind, VALUE_NUMBER);
    merge(&large[0], &large[1]);
    struct value sum = result(&large[0], SUM);
    assert_int_equal(sum.kind, VALUE_DOUBLE);
    assert_true(sum.real > 3.39999e29 && sum.real < 3.40001e29);
    assert_result(&large[0], COUNT, "34");
}

static void damaged_bytes_are_survived(void **state)
{
    (void)state;
    static uint8_t memory[65536];
    struct slots slots = {0};
    add(&slots, "\"text\"");
    add(&slots, "2.5");
    add(&slots, "1e-20");
    struct bytes whole = put(&slots, memory, sizeof(memory));
    for (size_t at = 0; at <= whole.len; at++) {
        uint8_t *copy = malloc(whole.len + 1);
        assert_non_null(copy);
        struct slots other = {0};
        memcpy(copy, whole.data, at);
        struct reader in = reader_of(bytes_of(copy, at));
        (void)accumulate_merge(&layout, other.bytes, &heap, &in);
        assert_int_equal(in.bad, at < whole.len);
        accumulate_release(&layout, other.bytes, &heap);
        for (uint32_t value = 0; at < whole.len && value < 256; value++) {
            memcpy(copy, whole.data, whole.len);
            copy[at] = (uint8_t)value;
            memset(&other, 0, sizeof(other));
            in = reader_of(bytes_of(copy, whole.len));
            (void)accumulate_merge(&layout, other.bytes, &heap, &in);
            accumulate_release(&layout, other.bytes, &heap);
        }
        free(copy);
    }
    accumulate_release(&layout, slots.bytes, &heap);
    assert_int_equal(heap.used_bytes, 0);
}

/* --- memory --- */

static void without_memory_the_text_held_stays(void **state)
{
    (void)state;
    struct heap own;
    struct slots slots = {0};
    heap_init(&own, region, 128);
    assert_true(add_json(&slots, &own, BYTES("\"mmmm\"")));
    assert_false(add_json(&slots, &own, quoted("a", 200, "")));
    assert_result(&slots, MIN, "\"mmmm\"");
    assert_false(add_json(&slots, &own, quoted("z", 200, "")));
    assert_result(&slots, MAX, "\"mmmm\"");
    assert_result(&slots, COUNT_ALL, "3"); /* all else is counted */
    assert_result(&slots, COUNT, "3");
    assert_true(add_json(&slots, &own, BYTES("\"zz\"")));
    assert_result(&slots, MAX, "\"zz\"");
    assert_true(add_json(&slots, &own, BYTES("1"))); /* a number needs no memory, and wins */
    assert_result(&slots, MIN, "1");
    assert_int_equal(own.used_bytes, 0);
    accumulate_release(&layout, slots.bytes, &own);
    heap_validate(&own);
}

static void without_memory_a_merge_says_so_and_reads_on(void **state)
{
    (void)state;
    static uint8_t memory[65536];
    struct heap none;
    struct slots slots = {0};
    struct slots poor = {0};
    assert_true(add_json(&slots, &heap, quoted("a", 500, "")));
    struct bytes bytes = put(&slots, memory, sizeof(memory));
    heap_init(&none, (uint8_t *)region + REGION_BYTES / 2, 64);
    struct reader in = reader_of(bytes);
    assert_false(accumulate_merge(&layout, poor.bytes, &none, &in));
    assert_false(in.bad);
    assert_int_equal(reader_left(&in), 0);
    assert_result(&poor, COUNT_ALL, "1");
    assert_result(&poor, MIN, "null");
    accumulate_release(&layout, slots.bytes, &heap);
}

static void a_new_extreme_gives_the_old_ones_memory_back(void **state)
{
    (void)state;
    struct slots slots = {0};
    for (uint32_t n = 0; n < 1000; n++) {
        char json[64];
        (void)snprintf(json, sizeof(json), "\"text %04u %0*u\"", n, (int)(1 + n % 40), n);
        add(&slots, json);
    }
    assert_true(heap.used_bytes <= 2 * 256);
    accumulate_release(&layout, slots.bytes, &heap);
    assert_int_equal(heap.used_bytes, 0);
    accumulate_release(&layout, slots.bytes, &heap); /* once more is harmless */
    assert_result(&slots, MIN, "null");
    heap_validate(&heap);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_heap, close_heap)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_gives_zeros_and_nulls),
        TEST(sums_of_decimals_are_exact),
        TEST(an_average_is_exact_or_the_nearest_double),
        TEST(what_is_null_or_no_number_is_no_summand),
        TEST(a_sum_beyond_128_bits_becomes_a_double),
        TEST(one_double_makes_the_sum_a_double),
        TEST(a_sum_beyond_the_doubles_is_null_and_never_infinite),
        TEST(a_rate_is_events_per_second),
        TEST(a_filter_concerns_its_own_aggregate_alone),
        TEST(extremes_do_not_depend_on_the_order_of_kinds),
        TEST(doubles_and_numbers_are_compared_exactly),
        TEST(long_texts_are_cut_between_characters),
        TEST(extremes_of_long_texts_do_not_depend_on_the_order),
        TEST(events_may_be_grouped_in_any_way),
        TEST(merging_nothing_changes_nothing),
        TEST(inexact_sums_stay_flagged_through_a_merge),
        TEST(damaged_bytes_are_survived),
        TEST(without_memory_the_text_held_stays),
        TEST(without_memory_a_merge_says_so_and_reads_on),
        TEST(a_new_extreme_gives_the_old_ones_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
