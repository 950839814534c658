/* What a power cut may leave, against a naive model: random scripts of writes, syncs and changes of
 * names, and after any of them the disk is copied and the copy's power cut. The model knows each
 * file twice, as it is durable and as it was last seen, and tries every subset of the names' changes;
 * what the copy holds must be one of what it allows. */
#include "disk_fixture.h"

#define NAMES        4
#define FILES        64 /* per life: made between two power cuts */
#define FILE_BYTES   12288
#define CHANGES      8
#define CUTS_EACH    3
#define NOTHING      (-1)
#define ROUNDS_SHORT 100
#define ROUNDS_LONG  2000

static const char *const names[NAMES] = {"a", "b", "c", "d"};

struct naive_file {
    uint8_t durable[FILE_BYTES];
    uint8_t latest[FILE_BYTES];
    bool dirty[FILE_BYTES / SIM_SECTOR];
    size_t durable_size;
    size_t latest_size;
    size_t cut; /* least size since the size was durable */
};

struct naive_change {
    int from; /* NOTHING: made */
    int to;   /* NOTHING: removed */
    int file;
};

struct naive {
    struct naive_file files[FILES];
    int file_count;
    int durable[NAMES];
    int latest[NAMES];
    struct naive_change changes[CHANGES];
    int change_count;
};

static struct naive naive;
static struct rig rig;

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* --- what the model does --- */

static void naive_write(struct naive_file *file, size_t offset, size_t len, uint8_t fill)
{
    memset(file->latest + offset, fill, len);
    for (size_t n = offset / SIM_SECTOR; n <= (offset + len - 1) / SIM_SECTOR; n++) {
        file->dirty[n] = true;
    }
    file->latest_size = offset + len > file->latest_size ? offset + len : file->latest_size;
}

static void naive_resize(struct naive_file *file, size_t size)
{
    if (size < file->latest_size) {
        memset(file->latest + size, 0, file->latest_size - size);
        file->cut = least(file->cut, size);
        for (size_t n = (size + SIM_SECTOR - 1) / SIM_SECTOR; n < FILE_BYTES / SIM_SECTOR; n++) {
            file->dirty[n] = false;
        }
    }
    file->latest_size = size;
}

static void naive_sync_size(struct naive_file *file)
{
    size_t stands = least(file->durable_size, file->cut);
    memset(file->durable + stands, 0, FILE_BYTES - stands);
    file->durable_size = file->latest_size;
    file->cut = SIZE_MAX;
}

static void naive_sync(struct naive_file *file)
{
    naive_sync_size(file);
    memcpy(file->durable, file->latest, FILE_BYTES);
    memset(file->dirty, 0, sizeof(file->dirty));
}

/* A direct write of whole sectors. */
static void naive_sync_part(struct naive_file *file, size_t offset, size_t len)
{
    if (offset + len > least(file->durable_size, file->cut)) {
        naive_sync_size(file);
    }
    memcpy(file->durable + offset, file->latest + offset, len);
    memset(file->dirty + offset / SIM_SECTOR, 0, len / SIM_SECTOR * sizeof(bool));
}

static bool naive_change(int table[NAMES], const struct naive_change *change)
{
    if (change->from == NOTHING) {
        if (table[change->to] != NOTHING) {
            return false;
        }
        table[change->to] = change->file;
        return true;
    }
    if (table[change->from] != change->file) {
        return false;
    }
    table[change->from] = NOTHING;
    if (change->to != NOTHING) {
        table[change->to] = change->file;
    }
    return true;
}

static void naive_record(int from, int to, int file)
{
    struct naive_change change = {.from = from, .to = to, .file = file};
    assert_true(naive.change_count < CHANGES);
    naive.changes[naive.change_count++] = change;
    assert_true(naive_change(naive.latest, &change));
}

static void naive_sync_names(void)
{
    memcpy(naive.durable, naive.latest, sizeof(naive.durable));
    naive.change_count = 0;
}

/* --- what it allows --- */

static bool same_part(const uint8_t *a, const uint8_t *b, size_t at, size_t size)
{
    return memcmp(a + at, b + at, least(SIM_SECTOR, size - at)) == 0;
}

/* The new size, and of each sector the durable or the last version; beyond the cut, zeros instead
 * of the durable one. */
static bool
allowed_resized(const struct naive_file *file, const uint8_t *content, size_t size, bool garbage)
{
    uint8_t base[FILE_BYTES] = {0};
    memcpy(base, file->durable, least(file->durable_size, file->cut));
    bool allowed = size == file->latest_size;
    for (size_t at = 0; allowed && at < size; at += SIM_SECTOR) {
        bool dirty = file->dirty[at / SIM_SECTOR];
        allowed = same_part(content, dirty ? base : file->latest, at, size) ||
                  (dirty && (garbage || same_part(content, file->latest, at, size)));
    }
    return allowed;
}

/* The old size, and beyond where the sizes went apart, the old content. */
static bool
allowed_undone(const struct naive_file *file, const uint8_t *content, size_t size, bool garbage)
{
    size_t stands = least(file->durable_size, file->cut);
    bool allowed = size == file->durable_size;
    for (size_t at = 0; allowed && at < size; at += SIM_SECTOR) {
        bool dirty = file->dirty[at / SIM_SECTOR] && at + SIM_SECTOR <= stands;
        allowed = same_part(content, file->durable, at, size) ||
                  (dirty && (garbage || same_part(content, file->latest, at, size)));
    }
    return allowed;
}

enum verdict { UNJUDGED, ALLOWED, FORBIDDEN };

/* Whether what lies under the name may be what is left of the file; judged once for each. */
static bool content_allowed(enum verdict *verdict, int file, struct bytes content, bool garbage)
{
    const struct naive_file *known = &naive.files[file];
    if (*verdict == UNJUDGED) {
        bool allowed = allowed_resized(known, content.data, content.len, garbage) ||
                       allowed_undone(known, content.data, content.len, garbage);
        *verdict = allowed ? ALLOWED : FORBIDDEN;
    }
    return *verdict == ALLOWED;
}

/* The content under each name; no data: there is none. */
static void look(const struct sim_disk *disk, struct bytes found[NAMES])
{
    for (int n = 0; n < NAMES; n++) {
        uint64_t size = 0;
        const uint8_t *content = sim_disk_content(disk, "", names[n], &size);
        found[n] = bytes_of(content, (size_t)size);
    }
}

/* Whether some subset of the changes leads to names under which lies what is found there. */
static bool cut_allowed(const struct sim_disk *disk, bool garbage)
{
    enum verdict verdicts[NAMES][FILES] = {{UNJUDGED}};
    struct bytes found[NAMES];
    look(disk, found);
    for (uint32_t subset = 0; subset < 1U << naive.change_count; subset++) {
        int table[NAMES];
        memcpy(table, naive.durable, sizeof(table));
        for (int n = 0; n < naive.change_count; n++) {
            if ((subset >> n & 1) != 0) {
                (void)naive_change(table, &naive.changes[n]);
            }
        }
        bool allowed = true;
        for (int n = 0; allowed && n < NAMES; n++) {
            allowed = (found[n].data == NULL) == (table[n] == NOTHING);
            if (allowed && table[n] != NOTHING) {
                allowed = content_allowed(&verdicts[n][table[n]], table[n], found[n], garbage);
            }
        }
        if (allowed) {
            return true;
        }
    }
    return false;
}

/* Whether all is there as it was seen last. */
static bool nothing_lost(const struct sim_disk *disk)
{
    struct bytes found[NAMES];
    look(disk, found);
    bool same = true;
    for (int n = 0; same && n < NAMES; n++) {
        int file = naive.latest[n];
        same = (found[n].data == NULL) == (file == NOTHING);
        if (same && file != NOTHING) {
            const struct naive_file *known = &naive.files[file];
            same = bytes_equal(found[n], bytes_of(known->latest, known->latest_size));
        }
    }
    return same;
}

/* --- the scripts --- */

static void do_create(int name)
{
    bool full = naive.file_count == FILES || naive.change_count == CHANGES;
    if (naive.latest[name] == NOTHING && full) {
        return;
    }
    int handle = rig_file(&rig, names[name], DISK_WRITE | DISK_CREATE);
    assert_true(handle > 0);
    rig_shut(&rig, handle);
    if (naive.latest[name] != NOTHING) {
        naive_resize(&naive.files[naive.latest[name]], 0);
        return;
    }
    naive.files[naive.file_count] = (struct naive_file){.cut = SIZE_MAX};
    naive_record(NOTHING, name, naive.file_count++);
}

static void do_write(int handle, struct naive_file *file, uint64_t *random)
{
    size_t len = 1 + random_below(random, 3000);
    size_t offset = random_below(random, FILE_BYTES - len);
    uint8_t fill = (uint8_t)(1 + random_below(random, 255));
    uint8_t data[3000];
    memset(data, fill, len);
    assert_int_equal(rig_write(&rig, handle, data, len, offset), len);
    naive_write(file, offset, len, fill);
}

static void do_write_direct(int handle, struct naive_file *file, uint64_t *random)
{
    static _Alignas(4096) uint8_t block[4096];
    size_t offset = random_below(random, FILE_BYTES / 4096) * 4096;
    uint8_t fill = (uint8_t)(1 + random_below(random, 255));
    memset(block, fill, sizeof(block));
    assert_int_equal(rig_write(&rig, handle, block, sizeof(block), offset), sizeof(block));
    naive_write(file, offset, sizeof(block), fill);
    naive_sync_part(file, offset, sizeof(block));
}

static void do_file(int name, uint64_t kind, uint64_t *random)
{
    if (naive.latest[name] == NOTHING) {
        do_create(name);
        return;
    }
    struct naive_file *file = &naive.files[naive.latest[name]];
    unsigned int mode = kind == 0 ? DISK_WRITE | DISK_DIRECT : DISK_WRITE;
    int handle = rig_file(&rig, names[name], mode);
    assert_true(handle > 0);
    if (kind == 0) {
        do_write_direct(handle, file, random);
    } else if (kind <= 4) {
        do_write(handle, file, random);
    } else if (kind == 5) {
        size_t size = random_below(random, FILE_BYTES);
        assert_true(rig_resize(&rig, handle, size, false));
        naive_resize(file, size);
    } else {
        assert_true(rig_sync(&rig, handle));
        naive_sync(file);
    }
    rig_shut(&rig, handle);
}

static void do_name(int name, int other, uint64_t kind)
{
    if (kind == 0 || naive.change_count == CHANGES) {
        assert_true(rig_sync(&rig, rig.root));
        naive_sync_names();
    } else if (kind == 1) {
        do_create(name);
    } else if (naive.latest[name] == NOTHING) {
        assert_false(rig.port.folders->remove(rig.port.ctx, rig.root, names[name]));
        assert_int_equal(errno, ENOENT);
    } else if (kind == 2) {
        assert_true(rig.port.folders->remove(rig.port.ctx, rig.root, names[name]));
        naive_record(name, NOTHING, naive.latest[name]);
    } else {
        assert_true(rig.port.folders->rename(rig.port.ctx, rig.root, names[name], names[other]));
        if (name != other) {
            naive_record(name, other, naive.latest[name]);
        }
    }
}

static void do_something(uint64_t *random)
{
    int name = (int)random_below(random, NAMES);
    if (random_below(random, 3) == 0) {
        do_name(name, (int)random_below(random, NAMES), random_below(random, 5));
    } else {
        do_file(name, random_below(random, 8), random);
    }
}

/* The model starts again from what the disk holds. */
static void naive_adopt(void)
{
    naive.file_count = 0;
    naive.change_count = 0;
    for (int n = 0; n < NAMES; n++) {
        uint64_t size = 0;
        const uint8_t *content = sim_disk_content(rig.disk, "", names[n], &size);
        naive.durable[n] = content == NULL ? NOTHING : naive.file_count;
        naive.latest[n] = naive.durable[n];
        if (content != NULL) {
            struct naive_file *file = &naive.files[naive.file_count++];
            *file = (struct naive_file){
                .durable_size = (size_t)size, .latest_size = (size_t)size, .cut = SIZE_MAX};
            memcpy(file->durable, content, (size_t)size);
            memcpy(file->latest, content, (size_t)size);
        }
    }
}

static const enum disk_fault cut_faults[] = {
    FAULT_TORN_WRITE, FAULT_LOST_WRITE, FAULT_GARBAGE, FAULT_LOST_NAME, FAULT_LOST_SIZE};

static uint64_t losses(const struct sim_disk *disk)
{
    uint64_t sum = 0;
    for (size_t n = 0; n < sizeof(cut_faults) / sizeof(cut_faults[0]); n++) {
        sum += sim_disk_fault_count(disk, cut_faults[n]);
    }
    return sum;
}

/* Each kind of loss is on or off. */
static struct sim_disk_weather random_weather(uint64_t *random)
{
    struct sim_disk_weather weather = {.latency_us = 100};
    for (size_t n = 0; n < sizeof(cut_faults) / sizeof(cut_faults[0]); n++) {
        uint32_t once_in = (uint32_t)(1 + random_below(random, 4));
        weather.once_in[cut_faults[n]] = random_below(random, 2) == 0 ? 0 : once_in;
    }
    return weather;
}

static uint64_t totals[FAULT_KINDS];

static void cut_a_copy(uint64_t seed)
{
    uint64_t random = seed;
    struct choice choice;
    choice_from_seed(&choice, seed);
    struct sim_disk_hooks hooks = rig_hooks(&rig);
    struct sim_disk *copy = sim_disk_copy(rig.disk, &choice, &hooks);
    struct sim_disk_weather weather = random_weather(&random);
    sim_disk_set_weather(copy, &weather);
    uint64_t before = losses(copy);
    sim_disk_power_cut(copy);
    sim_disk_validate(copy);
    bool garbage = weather.once_in[FAULT_GARBAGE] > 0;
    if (!cut_allowed(copy, garbage)) {
        fail_msg("the power cut of seed %llu left what no power cut leaves",
                 (unsigned long long)seed);
    }
    if (losses(copy) == before && !nothing_lost(copy)) {
        fail_msg("the power cut of seed %llu lost what it did not count", (unsigned long long)seed);
    }
    for (int n = 0; n < FAULT_KINDS; n++) {
        totals[n] +=
            sim_disk_fault_count(copy, (enum disk_fault)n) - rig_count(&rig, (enum disk_fault)n);
    }
    sim_disk_destroy(copy);
    choice_free(&choice);
}

static void power_cuts_lose_only_what_was_not_synced(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("disk_cut_test");
    uint32_t rounds = is_long_run() ? ROUNDS_LONG : ROUNDS_SHORT;
    memset(totals, 0, sizeof(totals));
    for (uint32_t round = 0; round < rounds; round++) {
        rig_open(&rig, random_next(&random), 1 << 20);
        for (int life = 0; life < 3; life++) {
            naive_adopt();
            int steps = (int)(1 + random_below(&random, 40));
            for (int n = 0; n < steps; n++) {
                do_something(&random);
                sim_disk_validate(rig.disk);
                assert_true(nothing_lost(rig.disk));
                for (int cut = 0; cut < CUTS_EACH; cut++) {
                    cut_a_copy(random_next(&random));
                }
            }
            struct sim_disk_weather weather = random_weather(&random);
            sim_disk_set_weather(rig.disk, &weather);
            sim_disk_power_cut(rig.disk);
            assert_true(cut_allowed(rig.disk, weather.once_in[FAULT_GARBAGE] > 0));
            rig_calm(&rig);
        }
        rig_close(&rig);
    }
    for (size_t n = 0; n < sizeof(cut_faults) / sizeof(cut_faults[0]); n++) {
        if (totals[cut_faults[n]] < rounds) {
            fail_msg("a %s was seen only %llu times in %u rounds",
                     disk_fault_name(cut_faults[n]),
                     (unsigned long long)totals[cut_faults[n]],
                     (unsigned int)rounds);
        }
    }
}

static void in_calm_weather_a_power_cut_loses_nothing(void **state)
{
    (void)state;
    uint64_t random = seed_of_run("disk_cut_test");
    for (int round = 0; round < 50; round++) {
        rig_open(&rig, random_next(&random), 1 << 20);
        naive_adopt();
        for (int n = 0; n < 30; n++) {
            do_something(&random);
        }
        sim_disk_power_cut(rig.disk);
        assert_true(nothing_lost(rig.disk));
        assert_int_equal(losses(rig.disk), 0);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts_lose_only_what_was_not_synced),
        cmocka_unit_test(in_calm_weather_a_power_cut_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
