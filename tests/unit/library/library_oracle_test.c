/* Random work on the library, compared with an oracle that is too slow and too simple to be wrong:
 * all events in one array, all windows worked out anew for each question, in 128-bit integers. */
#include <tidemark.h>

#include "../base/support.h"

#define PARTITIONS_MAX 5
#define EVENTS_MAX     400
#define ROUNDS         400

struct oracle_event {
    int64_t timestamp;
    uint32_t partition;
    uint32_t serial; /* the order of arrival; also what the data is made of */
    bool gone;
};

struct oracle {
    int64_t window_size;
    bool report_empty;
    bool started;
    int128 next; /* the index of the first window that was not reported */
    size_t partition_count;
    uint32_t ids[PARTITIONS_MAX];
    int64_t marks[PARTITIONS_MAX];
    size_t event_count;
    struct oracle_event events[EVENTS_MAX];
    uint64_t seed;
    size_t windows_seen;
    size_t stop_in; /* windows until the callback stops; 0 = it doesn't */
};

static int128 index_of(const struct oracle *oracle, int64_t timestamp)
{
    int128 index = (int128)timestamp / oracle->window_size;
    while (index * oracle->window_size > timestamp) {
        index--;
    }
    return index;
}

static int64_t watermark_of(const struct oracle *oracle)
{
    int64_t lowest = oracle->marks[0];
    for (size_t n = 1; n < oracle->partition_count; n++) {
        lowest = oracle->marks[n] < lowest ? oracle->marks[n] : lowest;
    }
    return lowest;
}

/* The lowest index of a window with an event; false when there is none. */
static bool earliest(const struct oracle *oracle, int128 *index)
{
    bool found = false;
    for (size_t n = 0; n < oracle->event_count; n++) {
        int128 at = index_of(oracle, oracle->events[n].timestamp);
        if (!oracle->events[n].gone && (!found || at < *index)) {
            *index = at;
            found = true;
        }
    }
    return found;
}

/* The index of the window that is to come next; false when none is ready. */
static bool expected(const struct oracle *oracle, int128 *index)
{
    if (!oracle->started) {
        return false;
    }
    if (oracle->report_empty) {
        *index = oracle->next;
    } else if (!earliest(oracle, index)) {
        return false;
    }
    return (*index + 1) * oracle->window_size <= watermark_of(oracle);
}

/* The event of this window that comes first of those that are left; NULL when none is left. */
static struct oracle_event *take_first(struct oracle *oracle, int128 index)
{
    struct oracle_event *first = NULL;
    for (size_t n = 0; n < oracle->event_count; n++) {
        struct oracle_event *event = &oracle->events[n];
        if (!event->gone && index_of(oracle, event->timestamp) == index &&
            (first == NULL || event->timestamp < first->timestamp)) {
            first = event;
        }
    }
    if (first != NULL) {
        first->gone = true;
    }
    return first;
}

/* The data of an event follows from its serial number: mostly short, now and then longer than a
 * chunk of any size. */
static size_t data_of(uint32_t serial, uint8_t *data)
{
    size_t len = serial % 61 == 7 ? 70000 : serial % 13 == 3 ? 600 : serial % 40;
    memset(data, (int)(serial % 251), len);
    return len;
}

static uint8_t given[70000]; /* what ingest is shown, and spoilt afterwards */
static uint8_t due_data[70000];

static int compare_window(const struct tidemark_window *window, void *context)
{
    struct oracle *oracle = context;
    int128 index = 0;
    assert_true(expected(oracle, &index));
    int128 start = index * oracle->window_size;
    assert_true(window->start == (start < INT64_MIN ? INT64_MIN : (int64_t)start));
    assert_true(window->end == (int64_t)(start + oracle->window_size));
    size_t count = 0;
    for (const struct tidemark_event *event = window->first; event != NULL; event = event->next) {
        const struct oracle_event *due = take_first(oracle, index);
        assert_non_null(due);
        assert_true(event->timestamp == due->timestamp);
        assert_int_equal(event->partition, due->partition);
        assert_int_equal(event->len, data_of(due->serial, due_data));
        assert_memory_equal(event->data, due_data, event->len);
        count++;
    }
    assert_null(take_first(oracle, index));
    assert_int_equal(count, window->event_count);
    oracle->next = index + 1;
    oracle->windows_seen++;
    return oracle->stop_in > 0 && --oracle->stop_in == 0;
}

/* A time near what the partition has reached, at times anywhere. */
static int64_t random_time(struct oracle *oracle, int64_t around, uint64_t range)
{
    if (random_below(&oracle->seed, 200) == 0) {
        return (int64_t)random_next(&oracle->seed);
    }
    int128 time = (int128)around + (int128)random_below(&oracle->seed, range) - range / 3;
    time = time < INT64_MIN ? INT64_MIN : time > INT64_MAX ? INT64_MAX : time;
    return (int64_t)time;
}

static void
step_ingest(struct oracle *oracle, struct tidemark_ingestor *ingestor, int64_t timestamp)
{
    if (oracle->event_count == EVENTS_MAX) {
        return;
    }
    size_t n = random_below(&oracle->seed, oracle->partition_count);
    uint32_t serial = (uint32_t)oracle->event_count;
    size_t len = data_of(serial, given);
    bool late = timestamp < oracle->marks[n] || timestamp < watermark_of(oracle);
    assert_int_equal(tidemark_ingestor_ingest(ingestor, oracle->ids[n], timestamp, given, len),
                     late ? TIDEMARK_LATE : TIDEMARK_OK);
    memset(given, 0xee, len); /* the library has its own copy */
    if (!late) {
        oracle->events[oracle->event_count++] =
            (struct oracle_event){timestamp, oracle->ids[n], serial, false};
    }
}

static void
step_advance(struct oracle *oracle, struct tidemark_ingestor *ingestor, int64_t timestamp)
{
    size_t n = random_below(&oracle->seed, oracle->partition_count);
    bool back = timestamp < oracle->marks[n];
    assert_int_equal(tidemark_ingestor_advance_watermark(ingestor, oracle->ids[n], timestamp),
                     back ? TIDEMARK_BACKWARDS : TIDEMARK_OK);
    oracle->marks[n] = back ? oracle->marks[n] : timestamp;
    assert_true(tidemark_ingestor_watermark(ingestor) == watermark_of(oracle));
    if (!oracle->started && watermark_of(oracle) > INT64_MIN) {
        int128 first = 0;
        oracle->started = true;
        oracle->next = index_of(oracle, watermark_of(oracle));
        if (earliest(oracle, &first) && first < oracle->next) {
            oracle->next = first;
        }
    }
}

static void step_emit(struct oracle *oracle, struct tidemark_ingestor *ingestor, bool one)
{
    /* Far jumps make more empty windows than there is time for. */
    oracle->stop_in = oracle->report_empty ? 20 : random_below(&oracle->seed, 4);
    size_t before = oracle->windows_seen;
    int128 index = 0;
    bool ready = expected(oracle, &index);
    enum tidemark_result result = tidemark_ingestor_emit(ingestor, compare_window, oracle);
    bool more = expected(oracle, &index);
    assert_int_equal(result, more ? TIDEMARK_MORE : TIDEMARK_OK);
    assert_int_equal(oracle->windows_seen > before, ready);
    assert_true(!one || oracle->windows_seen <= before + 1);
    assert_true(!more || one || oracle->stop_in == 0);
}

static size_t run(uint64_t *seed)
{
    static const int64_t sizes[] = {1, 2, 7, 60, 1000, INT64_C(1) << 61, INT64_MAX};
    static const int64_t origins[] = {0, -500, INT64_MIN, INT64_MAX, 1234567890123};
    struct oracle oracle = {
        .window_size = sizes[random_below(seed, 7)],
        .report_empty = random_below(seed, 2) == 0,
        .partition_count = 1 + random_below(seed, PARTITIONS_MAX),
        .seed = random_next(seed),
    };
    for (size_t n = 0; n < oracle.partition_count; n++) {
        oracle.ids[n] = (uint32_t)random_next(seed) / 8 * 8 + (uint32_t)n;
        oracle.marks[n] = INT64_MIN;
    }
    bool one = random_below(seed, 2) == 0;
    const struct tidemark_options options = {.report_empty_windows = oracle.report_empty,
                                             .one_window_per_call = one};
    struct tidemark_ingestor *ingestor = tidemark_ingestor_create(
        oracle.ids, oracle.partition_count, oracle.window_size, &options, NULL);
    assert_non_null(ingestor);
    int64_t around = origins[random_below(seed, 5)];
    uint64_t range = 1 + random_below(seed, 2000);
    for (uint32_t step = 0; step < 500; step++) {
        uint64_t choice = random_below(&oracle.seed, 10);
        if (choice < 6) {
            step_ingest(&oracle, ingestor, random_time(&oracle, around, range));
        } else if (choice < 9) {
            step_advance(&oracle, ingestor, random_time(&oracle, around, range));
        } else {
            step_emit(&oracle, ingestor, one);
        }
        around = around < INT64_MAX - 3 ? around + (int64_t)random_below(&oracle.seed, 4) : around;
    }
    assert_int_equal(tidemark_ingestor_destroy(ingestor), TIDEMARK_OK);
    return oracle.windows_seen;
}

static void random_work_gives_what_the_oracle_says(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run("library_oracle");
    size_t windows = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        windows += run(&seed);
    }
    print_message("library_oracle: %zu windows compared\n", windows);
    assert_true(windows > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_work_gives_what_the_oracle_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
