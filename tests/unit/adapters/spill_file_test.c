#include "../base/support.h"

#include "adapters/spill_file/spill_file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNKS     8
#define REGION     (CHUNKS * SPILL_CHUNK_BYTES)
#define WORDS      (SPILL_CHUNK_BYTES / sizeof(uint64_t))
#define PAGE_WORDS ((size_t)512)

struct fixture {
    char path[64];
    int folder;
    struct spill *spill;
    uint64_t *words; /* of region 1 */
};

static int open_fixture(void **state)
{
    static struct fixture fixture;
    struct error error;
    (void)snprintf(fixture.path, sizeof(fixture.path), "/tmp/tidemark-spill-XXXXXX");
    assert_non_null(mkdtemp(fixture.path));
    fixture.folder = open(fixture.path, O_RDONLY | O_DIRECTORY);
    assert_true(fixture.folder >= 0);
    struct spill_options options = {
        .folder = fixture.folder,
        .region_count = 2,
        .region_bytes = REGION,
        .budget_bytes = 2 * SPILL_CHUNK_BYTES,
    };
    assert_int_equal(spill_open(&options, &fixture.spill, &error), OK);
    fixture.words = spill_region(fixture.spill, 1);
    *state = &fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    spill_close(fixture->spill);
    (void)close(fixture->folder);
    assert_int_equal(rmdir(fixture->path), 0); /* nothing was left in it */
    return 0;
}

static uint64_t word_of(size_t index, uint64_t round)
{
    return (uint64_t)index * 0x9e3779b97f4a7c15u ^ round << 60;
}

static void fill(struct fixture *fixture, size_t begin, size_t end, uint64_t round)
{
    for (size_t n = begin; n < end; n++) {
        fixture->words[n] = word_of(n, round);
    }
}

static void assert_filled(const struct fixture *fixture, size_t begin, size_t end, uint64_t round)
{
    for (size_t n = begin; n < end; n++) {
        assert_int_equal(fixture->words[n], word_of(n, round));
    }
}

/* Steps until there is nothing more to do; how many. */
static size_t relieve(struct fixture *fixture, size_t used_bytes)
{
    size_t steps = 1;
    while (spill_relieve(fixture->spill, 1, used_bytes, false)) {
        assert_true(steps++ < 1000);
    }
    return steps;
}

/* The hand sees every chunk, and what came back goes. */
static void go_round(struct fixture *fixture)
{
    for (size_t n = 0; n < 3 * (size_t)CHUNKS; n++) {
        (void)spill_relieve(fixture->spill, 1, REGION, false);
    }
    (void)relieve(fixture, REGION);
}

/* What the kernel says that the process has of the region. */
static size_t resident_bytes(const struct fixture *fixture)
{
    static uint64_t pages[REGION / 4096];
    int file = open("/proc/self/pagemap", O_RDONLY);
    off_t at = (off_t)((uintptr_t)fixture->words / 4096 * sizeof(uint64_t));
    assert_int_equal(pread(file, pages, sizeof(pages), at), sizeof(pages));
    (void)close(file);
    size_t bytes = 0;
    for (size_t n = 0; n < REGION / 4096; n++) {
        bytes += (pages[n] >> 62) != 0 ? 4096 : 0;
    }
    return bytes;
}

static struct payload_stats stats(const struct fixture *fixture)
{
    struct payload_port port = spill_port(fixture->spill);
    return port.stats(port.ctx);
}

static void within_its_budget_nothing_is_written(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, 0, 2 * WORDS, 1);
    assert_int_equal(relieve(fixture, 2 * SPILL_CHUNK_BYTES), 1);
    assert_int_equal(stats(fixture).written_bytes, 0);
    assert_int_equal(stats(fixture).memory_bytes, 2 * SPILL_CHUNK_BYTES);
}

static void what_is_too_much_leaves_memory_and_reads_as_before(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, 0, CHUNKS * WORDS, 1);
    (void)relieve(fixture, REGION);
    assert_true(resident_bytes(fixture) <= 2 * SPILL_CHUNK_BYTES);
    assert_true(stats(fixture).memory_bytes <= 2 * SPILL_CHUNK_BYTES);
    assert_int_equal(stats(fixture).written_bytes, 6 * SPILL_CHUNK_BYTES);
    assert_filled(fixture, 0, CHUNKS * WORDS, 1);
    const uint64_t *other = spill_region(fixture->spill, 0);
    assert_int_equal(other[0], 0);
}

static void the_chunk_that_is_being_filled_stays(void **state)
{
    struct fixture *fixture = *state;
    size_t used = 3 * SPILL_CHUNK_BYTES + 8000;
    fill(fixture, 0, used / sizeof(uint64_t), 1);
    (void)relieve(fixture, used);
    fill(fixture, used / sizeof(uint64_t), CHUNKS * WORDS, 1);
    (void)relieve(fixture, REGION);
    assert_filled(fixture, 0, CHUNKS * WORDS, 1);
}

static void what_changed_on_disk_is_written_again_and_only_that(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, 0, CHUNKS * WORDS, 1);
    (void)relieve(fixture, REGION);
    uint64_t before = stats(fixture).written_bytes;
    for (size_t round = 2; round < 6; round++) {
        for (size_t chunk = 0; chunk < CHUNKS; chunk++) { /* a page of each */
            size_t at = chunk * WORDS + round * PAGE_WORDS;
            fill(fixture, at, at + PAGE_WORDS, round);
        }
        go_round(fixture);
        for (size_t chunk = 0; chunk < CHUNKS; chunk++) {
            size_t at = chunk * WORDS + round * PAGE_WORDS;
            assert_filled(fixture, at, at + PAGE_WORDS, round);
            assert_filled(fixture, chunk * WORDS, chunk * WORDS + 2 * PAGE_WORDS, 1);
        }
    }
    assert_true(stats(fixture).written_bytes - before <= 4 * SPILL_CHUNK_BYTES);
}

static void what_comes_back_is_noticed_and_leaves_again(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, 0, CHUNKS * WORDS, 1);
    (void)relieve(fixture, REGION);
    assert_filled(fixture, 0, CHUNKS * WORDS, 1); /* reads all of it */
    assert_true(resident_bytes(fixture) > 4 * SPILL_CHUNK_BYTES);
    go_round(fixture);
    assert_true(resident_bytes(fixture) <= 2 * SPILL_CHUNK_BYTES);
    assert_filled(fixture, 0, CHUNKS * WORDS, 1);
}

/* A copy made by fork sees what was, whatever is changed and relieved meanwhile. */
static void a_copy_of_the_process_sees_what_was(void **state)
{
    struct fixture *fixture = *state;
    int gate[2];
    char byte = 0;
    fill(fixture, 0, 6 * WORDS, 1);
    (void)relieve(fixture, 6 * SPILL_CHUNK_BYTES);
    assert_int_equal(pipe(gate), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(gate[1]);
        bool same = read(gate[0], &byte, 1) == 0; /* the parent is through */
        for (size_t n = 0; n < 6 * WORDS; n++) {
            same = same && fixture->words[n] == word_of(n, 1);
        }
        _exit(same ? 0 : 1);
    }
    fill(fixture, 0, CHUNKS * WORDS, 2);
    for (size_t n = 0; n < 100; n++) {
        (void)spill_relieve(fixture->spill, 1, REGION, true);
    }
    (void)close(gate[0]);
    (void)close(gate[1]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    go_round(fixture);
    assert_true(resident_bytes(fixture) <= 2 * SPILL_CHUNK_BYTES);
    assert_filled(fixture, 0, CHUNKS * WORDS, 2);
}

/* As on a full disk: no file may grow. */
static void what_can_not_be_written_stays_in_memory(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit all;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    fill(fixture, 0, CHUNKS * WORDS, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, all.rlim_max}), 0);
    assert_false(spill_relieve(fixture->spill, 1, REGION, false));
    assert_int_equal(stats(fixture).failures, 1);
    assert_int_equal(stats(fixture).memory_bytes, REGION);
    assert_filled(fixture, 0, CHUNKS * WORDS, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    (void)relieve(fixture, REGION);
    assert_true(resident_bytes(fixture) <= 2 * SPILL_CHUNK_BYTES);
    assert_filled(fixture, 0, CHUNKS * WORDS, 1);
}

static void a_folder_that_takes_no_file_is_told(void **state)
{
    (void)state;
    struct spill *spill = NULL;
    struct error error;
    struct spill_options options = {
        .folder = -1,
        .region_count = 1,
        .region_bytes = SPILL_CHUNK_BYTES,
    };
    assert_int_equal(spill_open(&options, &spill, &error), ERR_INTERNAL);
    assert_non_null(strstr(error.text, "spill"));
    assert_null(spill);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(within_its_budget_nothing_is_written),
        WITH_FIXTURE(what_is_too_much_leaves_memory_and_reads_as_before),
        WITH_FIXTURE(the_chunk_that_is_being_filled_stays),
        WITH_FIXTURE(what_changed_on_disk_is_written_again_and_only_that),
        WITH_FIXTURE(what_comes_back_is_noticed_and_leaves_again),
        WITH_FIXTURE(a_copy_of_the_process_sees_what_was),
        WITH_FIXTURE(what_can_not_be_written_stays_in_memory),
        cmocka_unit_test(a_folder_that_takes_no_file_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
