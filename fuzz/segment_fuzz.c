/* What a segment file holds: any bytes are walked to their first bad frame, never beyond their end.
 *
 * Each block that begins like a frame gets a right checksum first, else no change would ever come
 * past it; the first block is read as a segment header, too. */
#include "fuzz.h"

#include "adapters/disk_system/disk_system.h"
#include "adapters/log_file/log_walk.h"
#include "base/check.h"
#include "base/hash.h"

#include <sys/mman.h>
#include <unistd.h>

#define SALT        0x5eed5a1700000001u
#define BYTES_MAX   (256 * 1024)
#define CRC_AT      8
#define FRAME_MAGIC "TDFR"

/* Sets the checksum as an encoder would: the bytes are taken as they are, known flags or not. */
static void sign(uint8_t *block)
{
    static const uint8_t zero[4];
    if (memcmp(block, FRAME_MAGIC, 4) != 0) {
        return;
    }
    uint32_t crc = crc32c((uint32_t)(SALT ^ (SALT >> 32)), bytes_of(block, CRC_AT));
    crc = crc32c(crc, bytes_of(zero, sizeof zero));
    crc = crc32c(crc, bytes_of(block + CRC_AT + 4, LOG_FRAME_HEADER - CRC_AT - 4));
    struct buf out = buf_of(block + CRC_AT, 4);
    buf_put_u32(&out, crc);
}

static void walk_file(int fd, size_t size, uint64_t limit)
{
    const struct log_segment_header header = {.salt = SALT, .first_seq = 1};
    const struct disk_port disk = disk_system_port();
    struct log_walk walk;
    log_walk_init(&walk, &disk);
    log_walk_enter(&walk, fd, &header);
    enum log_walk_result result = LOG_WALK_BAD;
    while ((result = log_walk_next(&walk, limit)) == LOG_WALK_FRAME) {
        CHECK(walk.position <= limit && walk.position <= size);
        CHECK(walk.frame.body_len == walk.body.len);
        CHECK(walk.body.data >= walk.buffer);
        CHECK(walk.body.data + walk.body.len <= walk.buffer + walk.filled);
    }
    CHECK(result != LOG_WALK_FAILED);
    CHECK(result != LOG_WALK_BAD || walk.problem != NULL);
    struct log_frontier rest = log_scan_frontier(&disk, fd, &header, walk.position);
    CHECK(rest.data_end <= size || rest.data_end == walk.position);
    log_walk_deinit(&walk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[LOG_BLOCK + BYTES_MAX];
    struct log_segment_header header;
    uint32_t version = 0;
    if (size > BYTES_MAX) {
        return 0;
    }
    memset(file, 0, LOG_BLOCK);
    memcpy(file + LOG_BLOCK, data, size);
    if (size >= LOG_BLOCK) {
        (void)log_segment_decode(data, &header, &version);
    }
    for (size_t at = 0; at + LOG_BLOCK <= size; at += LOG_BLOCK) {
        sign(file + LOG_BLOCK + at);
    }
    int fd = memfd_create("segment", MFD_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    if (write(fd, file, LOG_BLOCK + size) == (ssize_t)(LOG_BLOCK + size)) {
        walk_file(fd, size, UINT64_MAX);
        walk_file(fd, size, size / LOG_BLOCK * LOG_BLOCK / 2 / LOG_BLOCK * LOG_BLOCK);
    }
    close(fd);
    return 0;
}
