/* The file log over a simulated disk whose sync fails: the story of a frame that was seen and was
 * not there.
 *
 *     1. Two frames are durable; the third is written, and its sync fails. The process ends, and
 *        nothing was promised of the third.
 *     2. The next start finds it in the cache, or does not. If it does, it counts from then on:
 *        whoever asks is told of it.
 *     3. The power fails, and nothing that was not synced survives. What was told must be there.
 *
 * After a sync that failed the system may take for clean what it could not write; syncing once more
 * does nothing then. */
#include "disk_fixture.h"

#include "adapters/log_file/log_file.h"

#define SEGMENT_BYTES 65536u
#define DISK_BYTES    (1u << 22)
#define BODY_BYTES    300u
#define SEEDS         64u

static struct rig rig;
static const char segment_name[] = "00000000000000000000.log";

/* A process: a log over a disk. */
struct life {
    struct log_file *log;
    struct log_port port;
    struct log_reader_port readers;
    struct log_frame frame;
    uint64_t durable;
};

static void on_durable(void *ctx, struct log_frame *frame)
{
    (void)frame;
    struct life *life = ctx;
    life->durable++;
}

static void begin(struct life *life, struct sim_disk *disk)
{
    *life = (struct life){.log = NULL};
    struct log_file_options options = {
        .data = {.disk = sim_disk_port(disk), .handle = sim_disk_root(disk), .path = "data"},
        .segment_bytes = SEGMENT_BYTES,
        .durable = on_durable,
        .durable_ctx = life,
    };
    memcpy(options.instance, "instance-of-test", LOG_INSTANCE_BYTES);
    struct log_file_start start;
    struct error error = {.code = OK};
    enum err err = log_file_open(&options, &life->log, &start, &error);
    if (err != OK) {
        fail_msg("the log is refused: %s", error.text);
    }
    life->port = log_file_port(life->log);
    life->readers = log_file_reader_port(life->log);
    life->frame.capacity = SEGMENT_BYTES;
    life->frame.data = aligned_alloc(4096, SEGMENT_BYTES);
    assert_non_null(life->frame.data);
}

/* As a process that is killed ends. */
static void end(struct life *life, struct sim_disk *disk)
{
    log_file_close(life->log, false);
    free(life->frame.data);
    sim_disk_process_died(disk);
}

static void append(struct life *life, uint8_t fill)
{
    uint64_t before = life->durable;
    memset(life->frame.data + LOG_FRAME_HEADER, fill, BODY_BYTES);
    life->frame.body_len = BODY_BYTES;
    life->frame.record_count = 1;
    assert_int_equal(life->port.ops->submit(life->port.ctx, &life->frame), OK);
    life->port.ops->poll(life->port.ctx);
    assert_int_equal(life->durable, before + 1);
}

/* How many frames there are: the first is full of 1, the second of 2 and so on. */
static uint32_t count_frames(struct life *life)
{
    struct log_status status;
    life->port.ops->status(life->port.ctx, &status);
    void *reader = life->readers.ops->open(life->readers.ctx, status.oldest);
    assert_non_null(reader);
    uint32_t count = 0;
    for (struct log_view view; life->readers.ops->next(reader, &view) == OK;) {
        count++;
        assert_int_equal(view.body.len, BODY_BYTES);
        assert_int_equal(view.body.data[0], count);
        assert_int_equal(view.body.data[BODY_BYTES - 1], count);
    }
    life->readers.ops->close(reader);
    return count;
}

static uint32_t start_and_count(struct sim_disk *disk)
{
    struct life life;
    begin(&life, disk);
    uint32_t count = count_frames(&life);
    end(&life, disk);
    return count;
}

/* Writes what the segment holds on the disk `from` into the one on `to`, block by block where they
 * differ, and syncs it, which fails. */
static void write_and_fail_to_sync(struct sim_disk *to, const struct sim_disk *from)
{
    static uint8_t block[LOG_BLOCK];
    struct disk_port port = sim_disk_port(to);
    int folder = port.files->open(port.ctx, sim_disk_root(to), "log", DISK_FOLDER);
    int file = port.files->open(port.ctx, folder, segment_name, DISK_WRITE);
    assert_true(folder >= 0 && file >= 0);
    uint64_t bytes = 0;
    const uint8_t *content = sim_disk_content(from, "log", segment_name, &bytes);
    assert_non_null(content);
    uint32_t written = 0;
    for (uint64_t at = 0; at < bytes; at += LOG_BLOCK) {
        assert_int_equal(port.files->read(port.ctx, file, block, LOG_BLOCK, at), LOG_BLOCK);
        if (memcmp(block, content + at, LOG_BLOCK) != 0) {
            memcpy(block, content + at, LOG_BLOCK);
            struct iovec part = {.iov_base = block, .iov_len = LOG_BLOCK};
            assert_int_equal(port.files->write(port.ctx, file, &part, 1, at), LOG_BLOCK);
            written++;
        }
    }
    assert_int_equal(written, 1);
    struct sim_disk_weather weather = {.once_in = {[FAULT_SYNC_ERROR] = 1}};
    sim_disk_set_weather(to, &weather);
    assert_false(port.files->sync(port.ctx, file));
    sim_disk_set_weather(to, &(struct sim_disk_weather){.latency_us = 0});
    sim_disk_process_died(to);
}

static void cut_power_and_lose_all(struct sim_disk *disk)
{
    struct sim_disk_weather weather = {.once_in = {[FAULT_LOST_WRITE] = 1}};
    sim_disk_set_weather(disk, &weather);
    sim_disk_power_cut(disk);
    sim_disk_set_weather(disk, &(struct sim_disk_weather){.latency_us = 0});
}

static void what_a_start_found_is_there_after_a_power_cut(void **state)
{
    (void)state;
    rig_open(&rig, 1, DISK_BYTES);
    struct life life;
    begin(&life, rig.disk);
    append(&life, 1);
    append(&life, 2);
    struct sim_disk_hooks hooks = rig_hooks(&rig);
    struct sim_disk *before = sim_disk_copy(rig.disk, &rig.choice, &hooks);
    sim_disk_process_died(before);
    append(&life, 3);
    uint32_t found[4] = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) { /* each of the ways in which a sync fails */
        struct choice choice;
        choice_from_seed(&choice, seed);
        hooks.moment = NULL;
        struct sim_disk *disk = sim_disk_copy(before, &choice, &hooks);
        write_and_fail_to_sync(disk, rig.disk);
        uint32_t told = start_and_count(disk);
        assert_in_range(told, 2, 3);
        found[told]++;
        cut_power_and_lose_all(disk);
        uint32_t left = start_and_count(disk);
        if (left != told) {
            fail_msg("seed %u: %u frames were told of, %u are left",
                     (unsigned int)seed,
                     (unsigned int)told,
                     (unsigned int)left);
        }
        sim_disk_destroy(disk);
        choice_free(&choice);
    }
    assert_true(found[2] > 0 && found[3] > 0);
    end(&life, rig.disk);
    sim_disk_destroy(before);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_start_found_is_there_after_a_power_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
