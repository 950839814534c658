/* Spill file: see spill_file.h for what it is.
 *
 * A chunk that was never on disk counts as in memory as a whole. For one that was, /proc/self/pagemap
 * tells which pages are there and which of them are our own, changed ones: only these are written again.
 * Where there is no /proc, what came back is not noticed.
 *
 * A hand goes round over the chunks of a region: at each step it looks at one, so that pages which came
 * back are noticed, and while there are too many what it finds goes to disk. Which chunks were used last
 * is not known; whatever is used often comes back at once, from the kernel's cache. */
#include "adapters/spill_file/spill_file.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_NAME   "spill"
#define PAGE_BYTES  ((size_t)4096)
#define CHUNK_PAGES (SPILL_CHUNK_BYTES / PAGE_BYTES)
#define PIECE_BYTES ((size_t)64 << 10) /* written at once: a touch may bring back as much */

/* Of an entry of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PAGE_THERE   (UINT64_C(1) << 63)
#define PAGE_SWAPPED (UINT64_C(1) << 62)
#define PAGE_OF_FILE (UINT64_C(1) << 61)

struct chunk {
    uint16_t pages; /* in memory, as last looked at */
    bool on_disk;
};

struct region {
    uint8_t *base;
    uint64_t file_offset;
    struct chunk *chunks;
    size_t known; /* chunks that were filled so far */
    size_t hand;
    uint64_t pages; /* sum over the chunks */
    _Atomic uint64_t memory_bytes;
    _Atomic uint64_t written_bytes;
    _Atomic uint64_t failures;
};

struct spill {
    struct spill_options options;
    int file;
    int pagemap; /* -1: there is none */
    struct region *regions;
};

/* --- opening --- */

static enum err fail(struct spill *spill, struct error *error, const char *what)
{
    int number = errno;
    *error = (struct error){.code = ERR_INTERNAL};
    (void)snprintf(error->text, sizeof(error->text), "%s: %s", what, strerror(number));
    spill_close(spill);
    errno = number;
    return error->code;
}

static bool region_open(struct spill *spill, uint32_t number)
{
    struct region *region = &spill->regions[number];
    size_t bytes = spill->options.region_bytes;
    region->file_offset = (uint64_t)number * bytes;
    region->chunks = calloc(bytes / SPILL_CHUNK_BYTES, sizeof(struct chunk));
    if (region->chunks == NULL) {
        return false;
    }
    void *memory = mmap(
        NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    region->base = memory == MAP_FAILED ? NULL : memory;
    return region->base != NULL;
}

enum err spill_open(const struct spill_options *options, struct spill **result, struct error *error)
{
    CHECK(options->region_bytes % SPILL_CHUNK_BYTES == 0);
    struct spill *spill = calloc(1, sizeof(*spill));
    if (spill == NULL) {
        return fail(NULL, error, "memory for payloads");
    }
    spill->options = *options;
    spill->file = -1;
    spill->pagemap = -1;
    spill->regions = calloc(options->region_count, sizeof(struct region));
    if (spill->regions == NULL) {
        return fail(spill, error, "memory for payloads");
    }
    for (uint32_t n = 0; n < options->region_count; n++) {
        if (!region_open(spill, n)) {
            return fail(spill, error, "address space for payloads");
        }
    }
    spill->file = openat(
        options->folder, FILE_NAME, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (spill->file < 0 || unlinkat(options->folder, FILE_NAME, 0) != 0) {
        return fail(spill, error, "the data directory's file \"" FILE_NAME "\"");
    }
    spill->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    *result = spill;
    return OK;
}

void spill_close(struct spill *spill)
{
    if (spill == NULL) {
        return;
    }
    for (uint32_t n = 0; spill->regions != NULL && n < spill->options.region_count; n++) {
        struct region *region = &spill->regions[n];
        if (region->base != NULL) {
            (void)munmap(region->base, spill->options.region_bytes);
        }
        free(region->chunks);
    }
    free(spill->regions);
    if (spill->file >= 0) {
        (void)close(spill->file);
    }
    if (spill->pagemap >= 0) {
        (void)close(spill->pagemap);
    }
    free(spill);
}

void *spill_region(const struct spill *spill, uint32_t number)
{
    CHECK(number < spill->options.region_count);
    return spill->regions[number].base;
}

/* --- looking --- */

/* The pages of a chunk as the kernel has them; false: nobody says. */
static bool pages_read(const struct spill *spill, const uint8_t *begin, uint64_t pages[CHUNK_PAGES])
{
    const size_t bytes = CHUNK_PAGES * sizeof(uint64_t);
    off_t at = (off_t)((uintptr_t)begin / PAGE_BYTES * sizeof(uint64_t));
    return spill->pagemap >= 0 && pread(spill->pagemap, pages, bytes, at) == (ssize_t)bytes;
}

static bool is_there(uint64_t page)
{
    return (page & (PAGE_THERE | PAGE_SWAPPED)) != 0;
}

/* There, and not as it is in the file. */
static bool is_own(uint64_t page)
{
    return is_there(page) && (page & PAGE_OF_FILE) == 0;
}

/* Where the run of own pages, or of others, that begins at `at` ends; `at` itself when none does. */
static size_t run_end(const uint64_t pages[CHUNK_PAGES], size_t at, bool own)
{
    while (at < CHUNK_PAGES && is_own(pages[at]) == own) {
        at++;
    }
    return at;
}

static void count_pages(struct region *region, struct chunk *chunk, size_t pages)
{
    region->pages += pages;
    region->pages -= chunk->pages;
    chunk->pages = (uint16_t)pages;
}

static void look(const struct spill *spill, struct region *region, size_t number)
{
    uint64_t pages[CHUNK_PAGES];
    struct chunk *chunk = &region->chunks[number];
    if (!chunk->on_disk || !pages_read(spill, region->base + number * SPILL_CHUNK_BYTES, pages)) {
        return;
    }
    size_t there = 0;
    for (size_t n = 0; n < CHUNK_PAGES; n++) {
        there += is_there(pages[n]) ? 1 : 0;
    }
    count_pages(region, chunk, there);
}

/* --- writing --- */

static bool write_out(struct spill *spill, struct region *region, size_t begin, size_t end)
{
    while (begin < end) {
        size_t piece = end - begin < PIECE_BYTES ? end - begin : PIECE_BYTES;
        off_t at = (off_t)(region->file_offset + begin);
        ssize_t n = pwrite(spill->file, region->base + begin, piece, at);
        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            atomic_fetch_add_explicit(&region->failures, 1, memory_order_relaxed);
            return false;
        }
        begin += n > 0 ? (size_t)n : 0;
        atomic_fetch_add_explicit(
            &region->written_bytes, n > 0 ? (uint64_t)n : 0, memory_order_relaxed);
    }
    return true;
}

/* What differs from the file, run by run. */
static bool write_own(struct spill *spill, struct region *region, size_t at)
{
    uint64_t pages[CHUNK_PAGES];
    if (!pages_read(spill, region->base + at, pages)) {
        return write_out(spill, region, at, at + SPILL_CHUNK_BYTES);
    }
    bool written = true;
    for (size_t n = 0; written && n < CHUNK_PAGES;) {
        size_t end = run_end(pages, n, true);
        written = write_out(spill, region, at + n * PAGE_BYTES, at + end * PAGE_BYTES);
        n = end + 1;
    }
    return written;
}

/* While a copy of the process reads the file: only what is in memory as it is there goes. */
static void drop_unchanged(const struct spill *spill, struct region *region, size_t number)
{
    uint64_t pages[CHUNK_PAGES];
    uint8_t *begin = region->base + number * SPILL_CHUNK_BYTES;
    size_t own = 0;
    if (!pages_read(spill, begin, pages)) {
        return;
    }
    for (size_t n = 0; n < CHUNK_PAGES;) {
        size_t end = run_end(pages, n, false);
        CHECK(madvise(begin + n * PAGE_BYTES, (end - n) * PAGE_BYTES, MADV_DONTNEED) == 0);
        own += end < CHUNK_PAGES ? 1 : 0;
        n = end + 1;
    }
    count_pages(region, &region->chunks[number], own);
}

/* False: it could not be written, and stays. */
static bool send_to_disk(struct spill *spill, struct region *region, size_t number, bool copied)
{
    struct chunk *chunk = &region->chunks[number];
    size_t at = number * SPILL_CHUNK_BYTES;
    uint8_t *begin = region->base + at;
    if (chunk->on_disk && copied) {
        drop_unchanged(spill, region, number);
        return true;
    }
    bool written = chunk->on_disk ? write_own(spill, region, at)
                                  : write_out(spill, region, at, at + SPILL_CHUNK_BYTES);
    if (!written) {
        return false;
    }
    if (chunk->on_disk) {
        CHECK(madvise(begin, SPILL_CHUNK_BYTES, MADV_DONTNEED) == 0);
    } else {
        /* The old pages go in the same call, so when it fails nobody knows whether they are there. */
        void *mapped = mmap(begin,
                            SPILL_CHUNK_BYTES,
                            PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
                            spill->file,
                            (off_t)(region->file_offset + at));
        CHECK(mapped == begin);
        chunk->on_disk = true;
    }
    count_pages(region, chunk, 0);
    /* What the kernel took and then could not write would come back as zeros, or as it was before. */
    int lost = sync_file_range(spill->file, 0, 1, SYNC_FILE_RANGE_WAIT_BEFORE);
    CHECK(lost == 0 || errno == ENOSYS);
    return true;
}

static bool is_too_much(const struct spill *spill, const struct region *region, size_t rest)
{
    return region->pages > 0 && region->pages * PAGE_BYTES + rest > spill->options.budget_bytes;
}

/* The next chunk round the clock, or the next that has something in memory. False: there is none. */
static bool hand_on(struct region *region, bool to_write)
{
    for (size_t n = 0; n < region->known; n++) {
        region->hand = region->hand + 1 < region->known ? region->hand + 1 : 0;
        if (!to_write || region->chunks[region->hand].pages > 0) {
            return true;
        }
    }
    return false;
}

bool spill_relieve(struct spill *spill, uint32_t number, size_t used_bytes, bool copied)
{
    CHECK(number < spill->options.region_count);
    CHECK(used_bytes <= spill->options.region_bytes);
    struct region *region = &spill->regions[number];
    for (size_t full = used_bytes / SPILL_CHUNK_BYTES; region->known < full; region->known++) {
        count_pages(region, &region->chunks[region->known], CHUNK_PAGES);
    }
    size_t known_bytes = region->known * SPILL_CHUNK_BYTES;
    size_t rest = used_bytes > known_bytes ? used_bytes - known_bytes : 0; /* less: begun anew */
    bool more = is_too_much(spill, region, rest);
    if (hand_on(region, more)) {
        look(spill, region, region->hand);
        more = more && send_to_disk(spill, region, region->hand, copied) &&
               is_too_much(spill, region, rest);
    } else {
        more = false;
    }
    atomic_store_explicit(
        &region->memory_bytes, region->pages * PAGE_BYTES + rest, memory_order_relaxed);
    return more;
}

bool spill_is_needed(const struct spill *spill)
{
    bool needed = false;
    for (uint32_t n = 0; n < spill->options.region_count && !needed; n++) {
        const struct region *region = &spill->regions[n];
        needed = atomic_load_explicit(&region->written_bytes, memory_order_relaxed) > 0 ||
                 atomic_load_explicit(&region->memory_bytes, memory_order_relaxed) >
                     spill->options.budget_bytes;
    }
    return needed;
}

static struct payload_stats stats(const void *ctx)
{
    const struct spill *spill = ctx;
    struct payload_stats sum = {0};
    for (uint32_t n = 0; n < spill->options.region_count; n++) {
        const struct region *region = &spill->regions[n];
        sum.memory_bytes += atomic_load_explicit(&region->memory_bytes, memory_order_relaxed);
        sum.written_bytes += atomic_load_explicit(&region->written_bytes, memory_order_relaxed);
        sum.failures += atomic_load_explicit(&region->failures, memory_order_relaxed);
    }
    return sum;
}

struct payload_port spill_port(const struct spill *spill)
{
    return (struct payload_port){.stats = stats, .ctx = spill};
}
