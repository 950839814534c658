/* One bit changed anywhere in a log of several segments: refused with the file's name, or every frame
 * is still read. Never a start with fewer frames.
 *
 * All headers, and every 61st of the other bytes; with TIDEMARK_LONG=1 each byte of each file. */
#include "log_fixture.h"

#include <stdbool.h>

#define FRAMES       24
#define BODY_BYTES   6000
#define SHORT_STRIDE 61

static size_t flips;

static bool long_run(void)
{
    const char *word = getenv("TIDEMARK_LONG");
    return word != NULL && strcmp(word, "1") == 0;
}

static void make_log(struct fixture *fixture)
{
    fixture_make(fixture);
    assert_int_equal(fixture_open(fixture), OK);
    for (uint64_t n = 0; n < FRAMES; n++) {
        fixture_append(fixture, n, BODY_BYTES);
    }
    fixture_close(fixture, true);
    fixture_save(fixture);
    assert_true(fixture_count_suffix(fixture, ".log") >= 3);
}

static bool is_segment(const struct fixture_file *file)
{
    uint64_t base = 0;
    return log_segment_parse_name(file->name, &base);
}

/* Opens what is on disk now: refused in good words, or all is there. */
static bool refused_or_whole(struct fixture *fixture, const struct fixture_file *file, size_t at)
{
    if (fixture_open(fixture) != OK) {
        bool told = fixture->error.code == ERR_UNPROCESSABLE && fixture->start.exit_code == 75 &&
                    strstr(fixture->error.text, ".log") != NULL;
        assert_true(told);
        return true;
    }
    uint64_t count = fixture_read_all(fixture, 0);
    fixture_close(fixture, true);
    if (count != FRAMES) {
        print_message("byte %zu of %s: %llu frames\n", at, file->name, (unsigned long long)count);
    }
    assert_int_equal(count, FRAMES);
    return false;
}

static bool is_chosen(size_t at)
{
    bool first_block = at < LOG_BLOCK && (at < 96 || at >= LOG_BLOCK - 4);
    bool header = at >= LOG_BLOCK && at % LOG_BLOCK < LOG_FRAME_HEADER;
    return long_run() || at % SHORT_STRIDE == 0 || first_block || (header && at % 3 == 0);
}

static void flip_each_byte(struct fixture *fixture, struct fixture_file *file, size_t *refusals)
{
    for (size_t at = 0; at < file->len; at++) {
        if (!is_chosen(at)) {
            continue;
        }
        uint8_t bit = (uint8_t)(1u << at % 8);
        file->data[at] ^= bit;
        fixture_restore(fixture);
        *refusals += refused_or_whole(fixture, file, at);
        file->data[at] ^= bit;
        flips++;
    }
}

static void no_bit_changed_in_any_segment_loses_a_frame_in_silence(void **state)
{
    (void)state;
    struct fixture fixture;
    make_log(&fixture);
    size_t refusals = 0;
    for (size_t i = 0; i < fixture.file_count; i++) {
        if (is_segment(&fixture.files[i])) {
            flip_each_byte(&fixture, &fixture.files[i], &refusals);
        }
    }
    assert_true(refusals > flips / 4);
    assert_true(refusals < flips);
    fixture_end(&fixture);
}

static void no_bit_changed_in_a_spare_file_matters(void **state)
{
    (void)state;
    struct fixture fixture;
    make_log(&fixture);
    static uint8_t spare[FIXTURE_SEGMENT];
    const struct fixture_file *first = fixture_segment(&fixture, 0);
    memcpy(spare, first->data, sizeof spare); /* a recycled file keeps its old content */
    for (size_t at = 0; at < sizeof spare; at += long_run() ? 64 : 4096) {
        spare[at] ^= 1;
        fixture_restore(&fixture);
        fixture_write_file(&fixture, "spare-0", spare, sizeof spare);
        assert_false(refused_or_whole(&fixture, first, at));
        spare[at] ^= 1;
        flips++;
    }
    fixture_end(&fixture);
}

static int say_totals(void **state)
{
    (void)state;
    printf("totals: flips=%zu\n", flips);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_changed_in_any_segment_loses_a_frame_in_silence),
        cmocka_unit_test(no_bit_changed_in_a_spare_file_matters),
    };
    return cmocka_run_group_tests(tests, NULL, say_totals);
}
