/* Starts after crashes and damage: an honest crash is never refused, a loss never hidden. */
#include "log_fixture.h"

#define SECTOR 512u

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Appends one more frame, closes as killed, opens again: everything must still be there. */
static void check_goes_on(struct fixture *fixture, uint64_t count)
{
    fixture_append(fixture, count, 700);
    assert_int_equal(fixture_read_all(fixture, 0), count + 1);
    fixture_close(fixture, false);
    assert_int_equal(fixture_open(fixture), OK);
    assert_int_equal(fixture_read_all(fixture, 0), count + 1);
    fixture_close(fixture, true);
}

/* The files before the in-flight frame was written, and the bytes that it would have written. */
struct crash {
    uint8_t after[16 * SECTOR]; /* what the frame would have written */
    size_t offset;              /* in the last segment */
    size_t sectors;
};

static void make_crash(struct fixture *fixture, struct crash *crash, size_t body_len, bool recycled)
{
    fixture->options.retain_bytes = recycled ? FIXTURE_SEGMENT : 0;
    assert_int_equal(fixture_open(fixture), OK);
    fixture_append(fixture, 0, 100);
    fixture_append(fixture, 1, 5000);
    fixture_append(fixture, 2, 50);
    fixture_save(fixture);
    crash->offset = LOG_BLOCK + (size_t)fixture->last_end;
    fixture_append(fixture, 3, body_len);
    struct fixture_file *before = fixture_segment(fixture, 0);
    crash->sectors = (LOG_FRAME_HEADER + body_len + SECTOR - 1) / SECTOR;
    assert_true(crash->sectors <= 16);
    char path[512];
    fixture_path(fixture, before->name, path);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, crash->after, sizeof crash->after, (off_t)crash->offset),
                     (ssize_t)sizeof crash->after);
    close(fd);
    fixture_close(fixture, false);
    if (recycled) {
        /* What a recycled file still holds, and the flag that says so. */
        uint64_t seed = 99;
        for (size_t i = crash->offset; i < before->len; i++) {
            before->data[i] = (uint8_t)random_next(&seed);
        }
        struct log_segment_header header;
        uint32_t version = 0;
        assert_int_equal(log_segment_decode(before->data, &header, &version), LOG_HEADER_VALID);
        header.flags |= LOG_SEGMENT_REUSED;
        log_segment_encode(before->data, &header);
    }
}

static void check_every_torn_write(size_t body_len, bool recycled)
{
    struct fixture fixture;
    static struct crash crash;
    fixture_make(&fixture);
    make_crash(&fixture, &crash, body_len, recycled);
    struct fixture_file *segment = fixture_segment(&fixture, 0);
    static uint8_t before[16 * SECTOR];
    memcpy(before, segment->data + crash.offset, sizeof before);
    const uint32_t all = (1u << crash.sectors) - 1;
    for (uint32_t landed = 0; landed <= all; landed++) {
        memcpy(segment->data + crash.offset, before, sizeof before);
        for (size_t i = 0; i < crash.sectors; i++) {
            if ((landed >> i & 1) != 0) {
                memcpy(segment->data + crash.offset + i * SECTOR, crash.after + i * SECTOR, SECTOR);
            }
        }
        fixture_restore(&fixture);
        assert_int_equal(fixture_open(&fixture), OK);
        assert_false(fixture.start.clean);
        bool whole = landed == all && !recycled;
        uint64_t count = fixture_read_all(&fixture, 0);
        assert_true(count == 3 || count == 4);
        assert_true(!whole || count == 4);
        assert_true(count == 3 || landed == all);
        bool visible = (landed & 1) != 0 || (!recycled && landed != 0);
        assert_int_equal(fixture_count_suffix(&fixture, ".torn"), count == 3 && visible ? 1 : 0);
        assert_true((fixture.start.torn_bytes > 0) == (count == 3 && visible));
        check_goes_on(&fixture, count);
    }
    fixture_end(&fixture);
}

static void every_subset_of_sectors_of_an_unacknowledged_frame_is_survived(void **state)
{
    (void)state;
    check_every_torn_write(8 * SECTOR - LOG_FRAME_HEADER - 5, false);
    check_every_torn_write(9 * SECTOR, false);
}

static void every_subset_of_sectors_is_survived_in_a_recycled_segment(void **state)
{
    (void)state;
    check_every_torn_write(8 * SECTOR - LOG_FRAME_HEADER - 5, true);
}

static void a_torn_first_frame_of_a_segment_is_kept_aside(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    fixture_save(&fixture);
    fixture_append(&fixture, 0, 9000);
    fixture_close(&fixture, false);
    char path[512];
    fixture_path(&fixture, "00000000000000000000.log", path);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "", 1, LOG_BLOCK + 8000), 1);
    close(fd);
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture.start.position, 0);
    assert_int_equal(fixture_count_suffix(&fixture, ".torn"), 1);
    check_goes_on(&fixture, 0);
    fixture_end(&fixture);
}

/* Opens what is on disk now; true when it was refused as it must be. */
static bool refused(struct fixture *fixture)
{
    if (fixture_open(fixture) == OK) {
        return false;
    }
    assert_int_equal(fixture->error.code, ERR_UNPROCESSABLE);
    assert_int_equal(fixture->start.exit_code, 75);
    assert_non_null(strstr(fixture->error.text, ".log"));
    return true;
}

/* Writes a log of `count` frames over about two segments. */
static void make_log(struct fixture *fixture, uint64_t count, size_t body_len, bool clean)
{
    assert_int_equal(fixture_open(fixture), OK);
    for (uint64_t n = 0; n < count; n++) {
        fixture_append(fixture, n, body_len);
    }
    fixture_close(fixture, clean);
    fixture_save(fixture);
}

static void any_byte_changed_in_a_closed_log_is_refused_or_harmless(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 3, 300, true);
    struct fixture_file *segment = fixture_segment(&fixture, 0);
    size_t used = LOG_BLOCK + 3 * LOG_BLOCK + LOG_BLOCK;
    size_t vital = LOG_FRAME_HEADER + 300;
    for (size_t i = 0; i < used; i++) {
        bool header = i < LOG_BLOCK;
        bool frame = i >= LOG_BLOCK && i < 4 * LOG_BLOCK && i % LOG_BLOCK < vital;
        if (!frame && i % LOG_BLOCK >= vital && i % 32 != 0) {
            continue; /* padding: every 32nd byte will do */
        }
        segment->data[i] ^= 0x10;
        fixture_restore(&fixture);
        bool was_refused = refused(&fixture);
        assert_int_equal(was_refused, header || frame);
        if (!was_refused) {
            assert_int_equal(fixture_read_all(&fixture, 0), 3);
            fixture_close(&fixture, false);
        }
        segment->data[i] ^= 0x10;
    }
    fixture_end(&fixture);
}

static void any_byte_changed_after_a_crash_never_hides_what_a_later_frame_vouches_for(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 4, 300, false);
    struct fixture_file *segment = fixture_segment(&fixture, 0);
    for (size_t frame = 0; frame < 4; frame++) {
        for (size_t i = 0; i < LOG_FRAME_HEADER + 300; i++) {
            size_t at = LOG_BLOCK + frame * LOG_BLOCK + i;
            segment->data[at] ^= 0x01;
            fixture_restore(&fixture);
            /* The last frame has no witness yet: the one hole that is known and documented. */
            if (frame < 3) {
                assert_true(refused(&fixture));
            } else {
                assert_int_equal(fixture_open(&fixture), OK);
                assert_int_equal(fixture_read_all(&fixture, 0), 3);
                fixture_close(&fixture, false);
            }
            segment->data[at] ^= 0x01;
        }
    }
    fixture_end(&fixture);
}

static void a_recovered_frame_has_a_witness_from_then_on(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 2, 300, false);
    assert_int_equal(fixture_open(&fixture), OK);
    fixture_close(&fixture, false);
    fixture_save(&fixture);
    fixture_segment(&fixture, 0)->data[2 * LOG_BLOCK + 100] ^= 1;
    fixture_restore(&fixture);
    assert_true(refused(&fixture));
    fixture_end(&fixture);
}

static void refuse_without(struct fixture *fixture, size_t missing)
{
    fixture_restore(fixture);
    fixture_remove_one(fixture, fixture_segment(fixture, missing)->name);
    assert_true(refused(fixture));
}

static void a_missing_segment_is_refused_wherever_it_was(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 30, 9000, false);
    size_t count = fixture_count_suffix(&fixture, ".log");
    assert_true(count >= 5);
    for (size_t missing = 1; missing < count; missing++) {
        refuse_without(&fixture, missing);
    }
    fixture_end(&fixture);
}

static void swapped_segments_are_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 30, 9000, true);
    struct fixture_file *a = fixture_segment(&fixture, 1);
    struct fixture_file *b = fixture_segment(&fixture, 2);
    uint8_t *data = a->data;
    a->data = b->data;
    b->data = data;
    fixture_restore(&fixture);
    assert_true(refused(&fixture));
    fixture_end(&fixture);
}

static void a_segment_of_another_instance_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture other;
    fixture_make(&fixture);
    fixture_make(&other);
    memcpy(other.options.instance, "instance-of-else", LOG_INSTANCE_BYTES);
    make_log(&fixture, 30, 9000, true);
    make_log(&other, 30, 9000, true);
    struct fixture_file *file = fixture_segment(&other, 1);
    fixture_write_file(&fixture, file->name, file->data, file->len);
    assert_true(refused(&fixture));
    assert_non_null(strstr(fixture.error.text, "another instance"));
    fixture_end(&fixture);
    fixture_end(&other);
}

static void a_lost_frame_in_the_middle_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 10, 100, true);
    struct fixture_file *segment = fixture_segment(&fixture, 0);
    memset(segment->data + 5 * LOG_BLOCK, 0, LOG_BLOCK);
    fixture_restore(&fixture);
    assert_true(refused(&fixture));
    memcpy(segment->data + 5 * LOG_BLOCK, segment->data + 4 * LOG_BLOCK, LOG_BLOCK);
    fixture_restore(&fixture);
    assert_true(refused(&fixture));
    fixture_end(&fixture);
}

static void a_never_used_last_file_is_set_aside_and_a_zeroed_one_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 3, 100, true);
    static const uint8_t zeros[FIXTURE_SEGMENT];
    const size_t lengths[] = {0, LOG_BLOCK, FIXTURE_SEGMENT};
    for (size_t i = 0; i < 3; i++) {
        fixture_restore(&fixture);
        fixture_write_file(&fixture, "00000000000000065536.log", zeros, lengths[i]);
        assert_int_equal(fixture_open(&fixture), OK);
        assert_int_equal(fixture_read_all(&fixture, 0), 3);
        check_goes_on(&fixture, 3);
    }
    fixture_restore(&fixture);
    fixture_write_file(&fixture, "00000000000000065536.log", (const uint8_t *)"garbage", 7);
    assert_true(refused(&fixture));
    struct fixture_file *segment = fixture_segment(&fixture, 0);
    memset(segment->data, 0, LOG_BLOCK);
    fixture_restore(&fixture);
    assert_true(refused(&fixture));
    fixture_end(&fixture);
}

static void a_shortened_file_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 10, 100, true);
    struct fixture_file *segment = fixture_segment(&fixture, 0);
    fixture_restore(&fixture);
    fixture_write_file(&fixture, segment->name, segment->data, 100);
    assert_true(refused(&fixture));
    fixture_restore(&fixture);
    fixture_write_file(&fixture, segment->name, segment->data, 6 * LOG_BLOCK + 40);
    fixture.options.verify_from = 11 * LOG_BLOCK; /* a snapshot knows of more */
    assert_true(refused(&fixture));
    fixture_end(&fixture);
}

static void a_snapshot_newer_than_the_log_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 3, 100, true);
    fixture.options.verify_from = 4 * LOG_BLOCK;
    assert_int_equal(fixture_open(&fixture), OK);
    fixture_close(&fixture, false);
    fixture_restore(&fixture);
    fixture.options.verify_from = 5 * LOG_BLOCK;
    assert_true(refused(&fixture));
    assert_non_null(strstr(fixture.error.text, "before the newest snapshot"));
    fixture_each_file(&fixture, fixture_remove_one);
    assert_true(refused(&fixture));
    fixture_end(&fixture);
}

static void frames_below_the_snapshot_are_checked_by_their_segments_ends_only(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 30, 9000, true);
    uint64_t last_base = 0;
    struct fixture_file *last = fixture_segment(&fixture, 4);
    assert_true(log_segment_parse_name(last->name, &last_base));
    fixture.options.verify_from = last_base + 3 * LOG_BLOCK;
    struct fixture_file *first = fixture_segment(&fixture, 0);
    first->data[LOG_BLOCK + 200] ^= 1;
    fixture_restore(&fixture);
    assert_int_equal(fixture_open(&fixture), OK);
    fixture_close(&fixture, false);
    /* Its last block is looked at. */
    memset(first->data + LOG_BLOCK, 0, first->len - LOG_BLOCK);
    fixture_restore(&fixture);
    assert_true(refused(&fixture));
    fixture_end(&fixture);
}

static void accept_loss_keeps_what_is_good_and_never_reuses_a_position(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 30, 9000, true);
    struct fixture_file *segment = fixture_segment(&fixture, 2);
    segment->data[4 * LOG_BLOCK + 2000] ^= 1;
    fixture_restore(&fixture);
    assert_true(refused(&fixture));
    uint64_t end_before = fixture.last_end;
    fixture.options.accept_loss = true;
    assert_int_equal(fixture_open(&fixture), OK);
    assert_true(fixture.start.position >= end_before);
    assert_true(fixture.start.torn_bytes > 0);
    uint64_t kept = fixture_read_all(&fixture, 0);
    assert_int_equal(kept, 9);
    fixture_append(&fixture, kept, 100);
    assert_true(fixture.frame.position >= end_before);
    assert_int_equal(fixture_read_all(&fixture, 0), kept + 1);
    fixture_close(&fixture, false);
    fixture.options.accept_loss = false;
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture_read_all(&fixture, 0), kept + 1);
    fixture_end(&fixture);
}

static void accept_loss_survives_a_snapshot_without_its_log(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    fixture.options.verify_from = 5 * LOG_BLOCK;
    fixture.options.accept_loss = true;
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture.start.position, 5 * LOG_BLOCK);
    fixture_append(&fixture, 0, 10);
    fixture_close(&fixture, false);
    fixture.options.accept_loss = false;
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture_read_all(&fixture, 0), 1);
    fixture_end(&fixture);
}

/* A crash at each step of going to the next segment. */
static void a_crash_while_rolling_is_survived_at_every_step(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_make(&fixture);
    make_log(&fixture, 6, 9000, false);
    struct fixture_file *old = fixture_segment(&fixture, 0);
    struct fixture_file *new = fixture_segment(&fixture, 1);
    uint64_t base = 0;
    assert_true(log_segment_parse_name(new->name, &base));
    size_t seal = (size_t)base; /* offset of the seal: LOG_BLOCK + (base - LOG_BLOCK) */
    uint64_t before_roll = (base - LOG_BLOCK) / (3 * LOG_BLOCK);
    /* The seal and the new segment's first frame, each landed or not. */
    for (int step = 0; step < 4; step++) {
        struct fixture_file old_copy = *old;
        uint8_t seal_block[LOG_BLOCK];
        memcpy(seal_block, old->data + seal, LOG_BLOCK);
        uint8_t *frames = malloc(new->len);
        assert_non_null(frames);
        memcpy(frames, new->data, new->len);
        memset(new->data + LOG_BLOCK, 0, new->len - LOG_BLOCK);
        if (step == 0 || step == 3) {
            memset(old->data + seal, 0, LOG_BLOCK);
        }
        if (step == 2) {
            memcpy(new->data + LOG_BLOCK, frames + LOG_BLOCK, 2 * LOG_BLOCK);
        }
        if (step == 3) {
            memcpy(new->data, frames, new->len);
        }
        fixture_restore(&fixture);
        if (step == 3) {
            /* The first frame was acknowledged, the seal before it is gone: damage. */
            assert_true(refused(&fixture));
        } else {
            assert_int_equal(fixture_open(&fixture), OK);
            assert_int_equal(fixture_read_all(&fixture, 0), before_roll);
            check_goes_on(&fixture, before_roll);
        }
        memcpy(old_copy.data + seal, seal_block, LOG_BLOCK);
        memcpy(new->data, frames, new->len);
        free(frames);
    }
    fixture_end(&fixture);
}

static void a_crash_in_recovery_leads_to_the_same_recovery(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct crash crash;
    fixture_make(&fixture);
    make_crash(&fixture, &crash, 5000, false);
    struct fixture_file *segment = fixture_segment(&fixture, 0);
    memcpy(segment->data + crash.offset, crash.after, SECTOR);
    fixture_restore(&fixture);
    /* Steps that were done before the crash: half a copy, the copy, the new spare. */
    fixture_write_file(&fixture, "torn.tmp", (const uint8_t *)"half", 4);
    fixture_write_file(&fixture, "00000000000000016384.log.torn", (const uint8_t *)"all", 3);
    fixture_write_file(&fixture, "spare.tmp", (const uint8_t *)"half", 4);
    fixture_write_file(&fixture, "spare-2", (const uint8_t *)"odd", 3);
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture_read_all(&fixture, 0), 3);
    assert_int_equal(fixture_count_suffix(&fixture, ".torn"), 2);
    assert_int_equal(fixture_count_suffix(&fixture, ".tmp"), 0);
    check_goes_on(&fixture, 3);
    fixture_end(&fixture);
}

static void random_histories_of_kills_lose_nothing(void **state)
{
    (void)state;
    uint64_t seed = 20131101;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct fixture fixture;
    fixture_make(&fixture);
    uint64_t number = 0;
    for (int round = 0; round < 150; round++) {
        assert_int_equal(fixture_open(&fixture), OK);
        if (round % 10 == 0) {
            assert_int_equal(fixture_read_all(&fixture, 0), number);
        }
        uint64_t frames = random_next(&seed) % 12;
        for (uint64_t i = 0; i < frames; i++) {
            fixture_append(&fixture, number++, (size_t)(random_next(&seed) % 20000));
        }
        bool torn = random_next(&seed) % 2 == 0;
        uint64_t end = fixture.last_end;
        struct log_status status;
        fixture.port.ops->status(fixture.port.ctx, &status);
        fixture_close(&fixture, !torn && random_next(&seed) % 2 == 0);
        if (torn && frames > 0 && status.durable_end == end) {
            /* Part of a frame that was under way: bytes behind the end of the last segment. */
            fixture_save(&fixture);
            size_t last = fixture_count_suffix(&fixture, ".log") -
                          fixture_count_suffix(&fixture, ".torn") - 1;
            struct fixture_file *file = fixture_segment(&fixture, last);
            uint64_t base = 0;
            assert_true(log_segment_parse_name(file->name, &base));
            size_t offset = LOG_BLOCK + (size_t)(end - base);
            for (size_t i = offset; i < file->len && i < offset + 3000; i++) {
                file->data[i] = (uint8_t)random_next(&seed);
            }
            fixture_restore(&fixture);
        }
        if (fixture_count_suffix(&fixture, "") > FIXTURE_FILES - 6) {
            break;
        }
    }
    assert_int_equal(fixture_open(&fixture), OK);
    assert_int_equal(fixture_read_all(&fixture, 0), number);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_subset_of_sectors_of_an_unacknowledged_frame_is_survived),
        cmocka_unit_test(every_subset_of_sectors_is_survived_in_a_recycled_segment),
        cmocka_unit_test(a_torn_first_frame_of_a_segment_is_kept_aside),
        cmocka_unit_test(any_byte_changed_in_a_closed_log_is_refused_or_harmless),
        cmocka_unit_test(any_byte_changed_after_a_crash_never_hides_what_a_later_frame_vouches_for),
        cmocka_unit_test(a_recovered_frame_has_a_witness_from_then_on),
        cmocka_unit_test(a_missing_segment_is_refused_wherever_it_was),
        cmocka_unit_test(swapped_segments_are_refused),
        cmocka_unit_test(a_segment_of_another_instance_is_refused),
        cmocka_unit_test(a_lost_frame_in_the_middle_is_refused),
        cmocka_unit_test(a_never_used_last_file_is_set_aside_and_a_zeroed_one_refused),
        cmocka_unit_test(a_shortened_file_is_refused),
        cmocka_unit_test(a_snapshot_newer_than_the_log_is_refused),
        cmocka_unit_test(frames_below_the_snapshot_are_checked_by_their_segments_ends_only),
        cmocka_unit_test(accept_loss_keeps_what_is_good_and_never_reuses_a_position),
        cmocka_unit_test(accept_loss_survives_a_snapshot_without_its_log),
        cmocka_unit_test(a_crash_while_rolling_is_survived_at_every_step),
        cmocka_unit_test(a_crash_in_recovery_leads_to_the_same_recovery),
        cmocka_unit_test(random_histories_of_kills_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
