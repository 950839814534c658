#include "disk_fixture.h"

#define BLOCK 4096

static struct rig rig;
static _Alignas(BLOCK) uint8_t block[2 * BLOCK];

static void what_is_synced_outlives_a_power_cut(void **state)
{
    (void)state;
    rig_open(&rig, 1, 1 << 20);
    (void)rig_durable(&rig, "a", 7, 5000);
    struct sim_disk_weather weather = {.latency_us = 0};
    for (int n = FAULT_TORN_WRITE; n <= FAULT_LOST_SIZE; n++) {
        weather.once_in[n] = 1;
    }
    sim_disk_set_weather(rig.disk, &weather);
    sim_disk_power_cut(rig.disk);
    assert_true(rig_holds(&rig, "a", 7, 5000));
    for (int n = FAULT_TORN_WRITE; n <= FAULT_LOST_SIZE; n++) {
        assert_int_equal(rig_count(&rig, (enum disk_fault)n), 0);
    }
    rig_close(&rig);
}

static void each_loss_befalls_what_is_not_synced_and_is_counted(void **state)
{
    (void)state;
    uint64_t expected_size[] = {4096, 4096, 4096, 4096, 4096};
    expected_size[FAULT_LOST_SIZE] = 1024;
    for (int n = FAULT_TORN_WRITE; n <= FAULT_LOST_SIZE; n++) {
        rig_open(&rig, 2, 1 << 20);
        int file = rig_durable(&rig, "a", 7, 1024);
        memset(block, 9, BLOCK);
        assert_int_equal(rig_write(&rig, file, block, BLOCK, 0), BLOCK);
        assert_true(rig.port.folders->rename(rig.port.ctx, rig.root, "a", "b"));
        assert_true(rig_holds(&rig, "b", 9, BLOCK));
        rig_weather(&rig, (enum disk_fault)n, 1);
        sim_disk_power_cut(rig.disk);
        for (int other = 0; other < FAULT_KINDS; other++) {
            bool happened = rig_count(&rig, (enum disk_fault)other) > 0;
            assert_int_equal(happened, other == n);
        }
        uint64_t size = 0;
        assert_int_equal(sim_disk_content(rig.disk, "", "a", &size) != NULL, n == FAULT_LOST_NAME);
        if (n != FAULT_LOST_NAME) {
            assert_non_null(sim_disk_content(rig.disk, "", "b", &size));
        }
        assert_int_equal(size, expected_size[n]);
        rig_close(&rig);
    }
}

/* Cuts the power of copies, and notes of which sectors of "a" the new bytes remained. */
static uint32_t masks_seen;
static bool seen_mask[256];

static void cut_copies(struct rig *at, uint8_t fresh)
{
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct choice choice;
        choice_from_seed(&choice, seed);
        struct sim_disk_hooks hooks = {.die = rig_die, .wall_us = rig_wall, .ctx = at};
        struct sim_disk *copy = sim_disk_copy(at->disk, &choice, &hooks);
        struct sim_disk_weather weather = {.latency_us = 0};
        weather.once_in[FAULT_TORN_WRITE] = 2;
        weather.once_in[FAULT_LOST_WRITE] = 4;
        sim_disk_set_weather(copy, &weather);
        sim_disk_power_cut(copy);
        sim_disk_validate(copy);
        uint64_t size = 0;
        const uint8_t *content = sim_disk_content(copy, "", "a", &size);
        assert_int_equal(size, BLOCK);
        unsigned int mask = 0;
        for (unsigned int n = 0; n < BLOCK / SIM_SECTOR; n++) {
            mask |= (content[(size_t)n * SIM_SECTOR] == fresh ? 1U : 0U) << n;
        }
        masks_seen += seen_mask[mask] ? 0 : 1;
        seen_mask[mask] = true;
        uint64_t torn = sim_disk_fault_count(copy, FAULT_TORN_WRITE);
        uint64_t lost = sim_disk_fault_count(copy, FAULT_LOST_WRITE);
        assert_int_equal(torn, mask != 0 && mask != 255);
        assert_int_equal(lost, mask == 0);
        sim_disk_destroy(copy);
        choice_free(&choice);
    }
}

static void forget_masks(void)
{
    masks_seen = 0;
    memset(seen_mask, 0, sizeof(seen_mask));
}

static void cut_before_and_after(struct rig *at, const char *kind, const char *file, bool after)
{
    (void)kind;
    (void)file;
    forget_masks();
    cut_copies(at, 9);
    if (after) {
        assert_true(seen_mask[255]);
        assert_int_equal(masks_seen, 1);
    } else {
        assert_true(seen_mask[0]);
        assert_true(seen_mask[255]);
        assert_true(masks_seen > 20);
    }
}

static void a_direct_write_is_durable_when_it_returns_and_not_before(void **state)
{
    (void)state;
    rig_open(&rig, 3, 1 << 20);
    rig_shut(&rig, rig_durable(&rig, "a", 7, BLOCK));
    int file = rig_file(&rig, "a", DISK_WRITE | DISK_DIRECT);
    memset(block, 9, BLOCK);
    rig.trace[0] = '\0';
    rig.at_moment = cut_before_and_after;
    assert_int_equal(rig_write(&rig, file, block, BLOCK, 0), BLOCK);
    assert_string_equal(rig.trace, "; write a, did write a");
    rig_close(&rig);
}

static void a_power_cut_during_a_sync_leaves_any_part(void **state)
{
    (void)state;
    rig_open(&rig, 3, 1 << 20);
    int file = rig_durable(&rig, "a", 7, BLOCK);
    memset(block, 9, BLOCK);
    assert_int_equal(rig_write(&rig, file, block, BLOCK, 0), BLOCK);
    rig.at_moment = cut_before_and_after;
    assert_true(rig_sync(&rig, file));
    rig_close(&rig);
}

static void a_dead_process_has_no_handles_and_loses_no_write(void **state)
{
    (void)state;
    rig_open(&rig, 4, 1 << 20);
    int file = rig_file(&rig, "a", DISK_WRITE | DISK_CREATE);
    memset(block, 5, BLOCK);
    assert_int_equal(rig_write(&rig, file, block, 100, 0), 100);
    sim_disk_process_died(rig.disk);
    assert_int_equal(rig_write(&rig, file, block, 100, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_false(rig_sync(&rig, file));
    assert_true(rig_sync(&rig, rig.root));
    assert_true(rig_holds(&rig, "a", 5, 100));
    assert_true(rig_file(&rig, "a", DISK_READ) > 0);
    sim_disk_power_cut(rig.disk);
    assert_int_equal(rig_read(&rig, file, block, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    rig_close(&rig);
}

static void a_removed_file_lives_until_it_is_closed(void **state)
{
    (void)state;
    rig_open(&rig, 5, 2 * BLOCK);
    int file = rig_durable(&rig, "a", 7, 2 * BLOCK);
    assert_true(rig.port.folders->remove(rig.port.ctx, rig.root, "a"));
    assert_true(rig_sync(&rig, rig.root));
    assert_int_equal(rig_read(&rig, file, block, BLOCK, 0), BLOCK);
    assert_int_equal(block[17], 7);
    int other = rig_file(&rig, "b", DISK_WRITE | DISK_CREATE);
    assert_int_equal(rig_write(&rig, other, block, 1, 0), -1);
    assert_int_equal(errno, ENOSPC);
    rig_shut(&rig, file);
    assert_int_equal(rig_write(&rig, other, block, 1, 0), 1);
    rig_close(&rig);
}

static void a_full_disk_takes_no_more_until_there_is_space(void **state)
{
    (void)state;
    rig_open(&rig, 6, 4 * BLOCK);
    int file = rig_file(&rig, "a", DISK_WRITE | DISK_CREATE);
    assert_true(rig_resize(&rig, file, 3 * BLOCK, true));
    int other = rig_file(&rig, "b", DISK_WRITE | DISK_CREATE);
    assert_false(rig_resize(&rig, other, 2 * BLOCK, true));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(rig_write(&rig, other, block, BLOCK, 0), BLOCK);
    assert_int_equal(rig_write(&rig, other, block, 1, BLOCK), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(rig_count(&rig, FAULT_NO_SPACE), 2);
    assert_int_equal(rig_write(&rig, file, block, BLOCK, 2 * BLOCK), BLOCK);
    sim_disk_set_capacity(rig.disk, 5 * BLOCK);
    assert_int_equal(rig_write(&rig, other, block, 1, BLOCK), 1);
    rig_close(&rig);
}

static int64_t next_data(int file, uint64_t offset)
{
    return rig.port.files->next_data(rig.port.ctx, file, offset);
}

static void what_was_never_written_is_a_hole(void **state)
{
    (void)state;
    rig_open(&rig, 7, 4 << 20);
    int file = rig_file(&rig, "a", DISK_WRITE | DISK_CREATE);
    assert_int_equal(next_data(file, 0), -1);
    assert_true(rig_resize(&rig, file, 1 << 20, true));
    assert_true(rig_sync(&rig, file));
    assert_true(rig_sync(&rig, rig.root));
    assert_int_equal(next_data(file, 0), -1);
    assert_int_equal(errno, ENXIO);
    memset(block, 0, BLOCK);
    assert_int_equal(rig_write(&rig, file, block, BLOCK, 700 * 1024), BLOCK);
    assert_int_equal(next_data(file, 0), 700 * 1024);
    assert_int_equal(next_data(file, 700 * 1024 + 5), 700 * 1024 + 5);
    assert_int_equal(next_data(file, 704 * 1024), -1);
    memset(block, 3, BLOCK);
    assert_int_equal(rig_write(&rig, file, block, BLOCK, 0), BLOCK);
    assert_int_equal(next_data(file, 0), 0);
    rig_weather(&rig, FAULT_LOST_WRITE, 1);
    sim_disk_power_cut(rig.disk);
    file = rig_file(&rig, "a", DISK_READ);
    assert_int_equal(next_data(file, 0), -1);
    assert_int_equal(next_data(file, 2 << 20), -1);
    assert_true(rig_holds(&rig, "a", 0, 1 << 20));
    rig_close(&rig);
}

static void a_name_is_durable_with_its_directory_only(void **state)
{
    (void)state;
    rig_open(&rig, 8, 1 << 20);
    rig_weather(&rig, FAULT_LOST_NAME, 1);
    int file = rig_file(&rig, "a", DISK_WRITE | DISK_CREATE);
    assert_int_equal(rig_write(&rig, file, block, 100, 0), 100);
    assert_true(rig_sync(&rig, file));
    sim_disk_power_cut(rig.disk);
    assert_int_equal(rig_file(&rig, "a", DISK_READ), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(rig_count(&rig, FAULT_LOST_NAME), 1);
    rig_close(&rig);
}

static void a_rename_over_a_file_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    bool old = false;
    bool new = false;
    for (uint64_t seed = 0; seed < 64; seed++) {
        rig_open(&rig, seed, 1 << 20);
        (void)rig_durable(&rig, "a", 1, 100);
        (void)rig_durable(&rig, "a.tmp", 2, 200);
        rig_weather(&rig, FAULT_LOST_NAME, 2);
        assert_true(rig.port.folders->rename(rig.port.ctx, rig.root, "a.tmp", "a"));
        assert_int_equal(sim_disk_name_count(rig.disk, ""), 1);
        sim_disk_power_cut(rig.disk);
        bool is_old = rig_holds(&rig, "a", 1, 100) && rig_holds(&rig, "a.tmp", 2, 200);
        bool is_new = rig_holds(&rig, "a", 2, 200) && sim_disk_name_count(rig.disk, "") == 1;
        assert_true(is_old != is_new);
        assert_int_equal(rig_count(&rig, FAULT_LOST_NAME), is_old);
        old = old || is_old;
        new = new || is_new;
        rig_close(&rig);
    }
    assert_true(old);
    assert_true(new);
}

static void a_lying_sync_makes_nothing_durable(void **state)
{
    (void)state;
    for (int direct = 0; direct < 2; direct++) {
        rig_open(&rig, 9, 1 << 20);
        rig_shut(&rig, rig_durable(&rig, "a", 1, BLOCK));
        struct sim_disk_weather weather = {.latency_us = 0};
        weather.once_in[FAULT_LYING_SYNC] = 1;
        weather.once_in[FAULT_LOST_WRITE] = 1;
        sim_disk_set_weather(rig.disk, &weather);
        int file = rig_file(&rig, "a", DISK_WRITE | (direct != 0 ? DISK_DIRECT : 0));
        assert_true(rig_sync(&rig, file));
        assert_int_equal(rig_count(&rig, FAULT_LYING_SYNC), 0);
        memset(block, 2, BLOCK);
        assert_int_equal(rig_write(&rig, file, block, BLOCK, 0), BLOCK);
        assert_true(direct != 0 || rig_sync(&rig, file));
        assert_int_equal(rig_count(&rig, FAULT_LYING_SYNC), 1);
        assert_true(rig_holds(&rig, "a", 2, BLOCK));
        sim_disk_power_cut(rig.disk);
        assert_true(rig_holds(&rig, "a", 1, BLOCK));
        rig_close(&rig);
    }
}

/* 0: still to be written, 1: gone, 2: seen, though never to be written. */
static int outcome_of_a_broken_sync(uint64_t seed)
{
    rig_open(&rig, seed, 1 << 20);
    int file = rig_durable(&rig, "a", 1, BLOCK);
    rig_weather(&rig, FAULT_SYNC_ERROR, 1);
    memset(block, 2, BLOCK);
    assert_int_equal(rig_write(&rig, file, block, BLOCK, 0), BLOCK);
    assert_false(rig_sync(&rig, file));
    assert_int_equal(errno, EIO);
    assert_int_equal(rig_count(&rig, FAULT_SYNC_ERROR), 1);
    rig_weather(&rig, FAULT_LOST_WRITE, 1);
    bool gone = rig_holds(&rig, "a", 1, BLOCK);
    int reader = rig_file(&rig, "a", DISK_READ | DISK_UNCACHED);
    assert_int_equal(rig_read(&rig, reader, block, BLOCK, 0), BLOCK);
    bool on_medium = block[0] == 2;
    assert_true(rig_sync(&rig, file));
    sim_disk_power_cut(rig.disk);
    bool kept = rig_holds(&rig, "a", 2, BLOCK);
    assert_int_equal(kept, on_medium);
    assert_true(kept || rig_holds(&rig, "a", 1, BLOCK));
    rig_close(&rig);
    if (gone) {
        return 1;
    }
    return kept ? 0 : 2;
}

static void after_a_broken_sync_a_later_one_may_say_yes_and_the_write_be_gone(void **state)
{
    (void)state;
    int outcomes[3] = {0};
    for (uint64_t seed = 0; seed < 100; seed++) {
        outcomes[outcome_of_a_broken_sync(seed)]++;
    }
    assert_in_range(outcomes[0], 8, 45);
    assert_in_range(outcomes[1], 25, 75);
    assert_in_range(outcomes[2], 8, 45);
}

static void damage_can_be_undone(void **state)
{
    (void)state;
    rig_open(&rig, 10, 1 << 20);
    int file = rig_durable(&rig, "a", 1, 3 * BLOCK);
    sim_disk_rot(rig.disk, "", "a", 1000, BYTES("rotten"));
    sim_disk_rot(rig.disk, "", "a", 3 * BLOCK - 2, BYTES("\x01\x01rotten"));
    assert_int_equal(rig_count(&rig, FAULT_ROT), 1);
    assert_false(rig_holds(&rig, "a", 1, 3 * BLOCK));
    sim_disk_power_cut(rig.disk);
    assert_false(rig_holds(&rig, "a", 1, 3 * BLOCK));
    sim_disk_restore_pristine(rig.disk);
    assert_true(rig_holds(&rig, "a", 1, 3 * BLOCK));
    file = rig_file(&rig, "a", DISK_WRITE);
    rig_weather(&rig, FAULT_MISDIRECTED, 1);
    memset(block, 2, BLOCK);
    while (rig_count(&rig, FAULT_MISDIRECTED) == 0) {
        assert_int_equal(rig_write(&rig, file, block, BLOCK, 0), BLOCK);
    }
    assert_true(rig_sync(&rig, file));
    sim_disk_power_cut(rig.disk);
    uint64_t size = 0;
    const uint8_t *content = sim_disk_content(rig.disk, "", "a", &size);
    assert_int_not_equal(content[BLOCK], content[2 * BLOCK]);
    sim_disk_restore_pristine(rig.disk);
    content = sim_disk_content(rig.disk, "", "a", &size);
    assert_int_equal(content[0], 2);
    assert_int_equal(content[BLOCK], 1);
    assert_int_equal(content[2 * BLOCK], 1);
    rig_close(&rig);
}

static void what_is_written_over_damage_is_not_undone(void **state)
{
    (void)state;
    rig_open(&rig, 11, 1 << 20);
    int file = rig_durable(&rig, "a", 1, BLOCK);
    sim_disk_rot(rig.disk, "", "a", 100, BYTES("rotten"));
    memset(block, 1, BLOCK);
    assert_int_equal(rig_write(&rig, file, "new", 3, 10), 3);
    sim_disk_restore_pristine(rig.disk);
    assert_int_equal(rig_write(&rig, file, block, 3, 10), 3);
    assert_true(rig_holds(&rig, "a", 1, BLOCK));
    rig_close(&rig);
}

static void operations_fail_as_the_weather_says(void **state)
{
    (void)state;
    rig_open(&rig, 12, 1 << 20);
    int file = rig_durable(&rig, "a", 1, BLOCK);
    rig_weather(&rig, FAULT_SHORT_WRITE, 1);
    assert_in_range(rig_write(&rig, file, block, BLOCK, 0), 1, BLOCK - 1);
    rig_weather(&rig, FAULT_SHORT_READ, 1);
    assert_in_range(rig_read(&rig, file, block, BLOCK, 0), 1, BLOCK - 1);
    rig_weather(&rig, FAULT_INTERRUPTED, 1);
    assert_int_equal(rig_write(&rig, file, block, BLOCK, 0), -1);
    assert_true(errno == EINTR || errno == EAGAIN);
    assert_int_equal(rig_read(&rig, file, block, BLOCK, 0), -1);
    assert_true(errno == EINTR || errno == EAGAIN);
    rig_weather(&rig, FAULT_NO_SPACE, 1);
    assert_false(rig_resize(&rig, file, 2 * BLOCK, true));
    assert_int_equal(errno, ENOSPC);
    rig_weather(&rig, FAULT_WRITE_ERROR, 1);
    assert_int_equal(rig_write(&rig, file, block, BLOCK, 0), -1);
    assert_int_equal(errno, EIO);
    rig_weather(&rig, FAULT_READ_ERROR, 1);
    assert_int_equal(rig_read(&rig, file, block, BLOCK, 0), -1);
    assert_int_equal(errno, EIO);
    rig_weather(&rig, FAULT_SLOW, 1);
    int64_t before_us = rig.now_us;
    assert_true(rig_sync(&rig, file));
    assert_in_range(rig.now_us - before_us, 100000, 30000000);
    enum disk_fault counted[] = {FAULT_SHORT_WRITE,
                                 FAULT_SHORT_READ,
                                 FAULT_NO_SPACE,
                                 FAULT_WRITE_ERROR,
                                 FAULT_READ_ERROR,
                                 FAULT_SLOW};
    for (size_t n = 0; n < sizeof(counted) / sizeof(counted[0]); n++) {
        assert_int_equal(rig_count(&rig, counted[n]), 1);
    }
    assert_int_equal(rig_count(&rig, FAULT_INTERRUPTED), 2);
    rig_close(&rig);
}

static void what_a_system_refuses_is_refused(void **state)
{
    (void)state;
    rig_open(&rig, 13, 1 << 20);
    const struct folder_ops *folders = rig.port.folders;
    int file = rig_durable(&rig, "a", 1, BLOCK);
    assert_true(folders->make(rig.port.ctx, rig.root, "log"));
    assert_false(folders->make(rig.port.ctx, rig.root, "log"));
    assert_int_equal(errno, EEXIST);
    assert_int_equal(rig_file(&rig, "log", DISK_READ), -1);
    assert_int_equal(errno, EISDIR);
    assert_int_equal(rig_file(&rig, "a", DISK_FOLDER), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(rig_file(&rig, "a/b", DISK_READ), -1);
    assert_int_equal(errno, EINVAL);
    assert_false(folders->remove(rig.port.ctx, rig.root, "log"));
    assert_int_equal(errno, EISDIR);
    assert_false(folders->rename(rig.port.ctx, rig.root, "a", "log"));
    assert_int_equal(errno, EISDIR);
    assert_false(folders->rename(rig.port.ctx, rig.root, "x", "y"));
    assert_int_equal(errno, ENOENT);
    int reader = rig_file(&rig, "a", DISK_READ);
    assert_int_equal(rig_write(&rig, reader, block, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    int direct = rig_file(&rig, "a", DISK_WRITE | DISK_DIRECT);
    assert_int_equal(rig_write(&rig, direct, block, 100, 0), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(rig_write(&rig, direct, block + 1, BLOCK, 0), -1);
    assert_int_equal(errno, EINVAL);
    struct sim_disk_weather weather = {.no_direct = true, .no_reserve = true};
    sim_disk_set_weather(rig.disk, &weather);
    assert_int_equal(rig_file(&rig, "a", DISK_WRITE | DISK_DIRECT), -1);
    assert_int_equal(errno, EINVAL);
    assert_false(rig_resize(&rig, file, 2 * BLOCK, true));
    assert_int_equal(errno, EOPNOTSUPP);
    assert_true(rig_resize(&rig, file, 2 * BLOCK, false));
    while (rig_file(&rig, "a", DISK_READ) >= 0) {
        rig.now_us++;
    }
    assert_int_equal(errno, EMFILE);
    rig_close(&rig);
}

static bool remove_each(void *user, const char *name)
{
    int *told = user;
    (*told)++;
    return rig.port.folders->remove(rig.port.ctx, rig.root, name);
}

static void names_may_be_removed_while_they_are_told(void **state)
{
    (void)state;
    rig_open(&rig, 14, 1 << 20);
    for (char name[] = "a"; name[0] <= 'z'; name[0]++) {
        rig_shut(&rig, rig_file(&rig, name, DISK_WRITE | DISK_CREATE));
    }
    struct disk_info info;
    assert_true(rig.port.folders->info(rig.port.ctx, rig.root, "q", &info));
    assert_int_equal(info.bytes, 0);
    assert_int_equal(info.written_us, rig.now_us);
    int told = 0;
    assert_true(rig.port.folders->list(rig.port.ctx, rig.root, remove_each, &told));
    assert_int_equal(told, 26);
    assert_int_equal(sim_disk_name_count(rig.disk, ""), 0);
    rig_close(&rig);
}

/* A stormy life of several crashes; a digest of all that was seen in it. */
static uint64_t storm(struct choice choice, bool calm)
{
    rig_open_with(&rig, choice, 1 << 18);
    struct sim_disk_weather weather = {.latency_us = calm ? 0 : 500};
    for (int n = 0; n < FAULT_KINDS && !calm; n++) {
        weather.once_in[n] = 6;
    }
    sim_disk_set_weather(rig.disk, &weather);
    uint64_t digest = 0;
    for (int n = 0; n < 2000; n++) {
        char name[] = {(char)('a' + n % 7), '\0'};
        int file = rig_file(&rig, name, DISK_WRITE | (n % 3 == 0 ? DISK_CREATE : 0U));
        memset(block, n, sizeof(block));
        if (file > 0) {
            digest = digest * 31 + (uint64_t)rig_write(&rig, file, block, 3000, (uint64_t)n);
            digest = digest * 31 + (rig_sync(&rig, file) ? 1 : 0);
            digest = digest * 31 + (uint64_t)rig_read(&rig, file, block, BLOCK, 0);
            rig_shut(&rig, file);
        }
        if (n % 5 == 4) {
            (void)rig.port.folders->remove(rig.port.ctx, rig.root, name);
        }
        if (n % 50 == 49) {
            sim_disk_power_cut(rig.disk);
        }
        for (size_t byte = 0; byte < sizeof(block); byte++) {
            digest = digest * 31 + block[byte];
        }
    }
    uint8_t salt[20];
    rig.port.fate->random(rig.port.ctx, salt, sizeof(salt));
    return digest * 31 + (uint64_t)rig.now_us + salt[19];
}

static uint64_t storm_of_seed(uint64_t seed)
{
    struct choice choice;
    choice_from_seed(&choice, seed);
    uint64_t digest = storm(choice, false);
    rig_close(&rig);
    return digest;
}

static void the_same_seed_makes_the_same_bytes(void **state)
{
    (void)state;
    assert_int_equal(storm_of_seed(1), storm_of_seed(1));
    assert_int_not_equal(storm_of_seed(1), storm_of_seed(2));
}

static void a_tape_makes_the_same_bytes_and_an_empty_one_is_calm(void **state)
{
    (void)state;
    struct choice choice;
    choice_from_seed(&choice, 5);
    uint64_t digest = storm(choice, false);
    for (int n = 0; n < FAULT_KINDS; n++) {
        bool is_left_out = n == FAULT_ROT || n == FAULT_MISDIRECTED;
        if ((rig_count(&rig, (enum disk_fault)n) == 0) != is_left_out) {
            fail_msg("unexpected: %s", disk_fault_name((enum disk_fault)n));
        }
    }
    struct choice replay;
    choice_from_tapes(&replay, rig.choice.tapes);
    rig_close(&rig);
    assert_int_equal(storm(replay, false), digest);
    rig_close(&rig);
    struct choice_tape none[CHOICE_STREAMS] = {{.count = 0}};
    choice_from_tapes(&replay, none);
    (void)storm(replay, false);
    for (int n = 0; n < FAULT_KINDS; n++) {
        assert_int_equal(rig_count(&rig, (enum disk_fault)n), 0);
    }
    rig_close(&rig);
}

static void random_bytes_differ_even_on_an_empty_tape(void **state)
{
    (void)state;
    struct choice_tape none[CHOICE_STREAMS] = {{.count = 0}};
    struct choice replay;
    choice_from_tapes(&replay, none);
    rig_open_with(&rig, replay, 1 << 20);
    uint8_t one[16];
    uint8_t two[16];
    rig.port.fate->random(rig.port.ctx, one, sizeof(one));
    rig.port.fate->random(rig.port.ctx, two, sizeof(two));
    assert_memory_not_equal(one, two, sizeof(one));
    assert_memory_not_equal(one, one + 8, 8);
    rig_close(&rig);
}

static void every_fault_has_a_name(void **state)
{
    (void)state;
    for (int n = 0; n < FAULT_KINDS; n++) {
        assert_non_null(disk_fault_name((enum disk_fault)n));
        for (int other = 0; other < n; other++) {
            assert_string_not_equal(disk_fault_name((enum disk_fault)n),
                                    disk_fault_name((enum disk_fault)other));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_synced_outlives_a_power_cut),
        cmocka_unit_test(each_loss_befalls_what_is_not_synced_and_is_counted),
        cmocka_unit_test(a_direct_write_is_durable_when_it_returns_and_not_before),
        cmocka_unit_test(a_power_cut_during_a_sync_leaves_any_part),
        cmocka_unit_test(a_dead_process_has_no_handles_and_loses_no_write),
        cmocka_unit_test(a_removed_file_lives_until_it_is_closed),
        cmocka_unit_test(a_full_disk_takes_no_more_until_there_is_space),
        cmocka_unit_test(what_was_never_written_is_a_hole),
        cmocka_unit_test(a_name_is_durable_with_its_directory_only),
        cmocka_unit_test(a_rename_over_a_file_leaves_the_old_or_the_new),
        cmocka_unit_test(a_lying_sync_makes_nothing_durable),
        cmocka_unit_test(after_a_broken_sync_a_later_one_may_say_yes_and_the_write_be_gone),
        cmocka_unit_test(damage_can_be_undone),
        cmocka_unit_test(what_is_written_over_damage_is_not_undone),
        cmocka_unit_test(operations_fail_as_the_weather_says),
        cmocka_unit_test(what_a_system_refuses_is_refused),
        cmocka_unit_test(names_may_be_removed_while_they_are_told),
        cmocka_unit_test(the_same_seed_makes_the_same_bytes),
        cmocka_unit_test(a_tape_makes_the_same_bytes_and_an_empty_one_is_calm),
        cmocka_unit_test(random_bytes_differ_even_on_an_empty_tape),
        cmocka_unit_test(every_fault_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
