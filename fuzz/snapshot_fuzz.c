/* A snapshot file of any bytes is taken only when all of it is proved, and read without a way out.
 */
#include "fuzz.h"

#include "adapters/disk_system/disk_system.h"
#include "adapters/snapshot_dir/snapshot_file.h"
#include "adapters/snapshot_dir/snapshot_format.h"
#include "base/check.h"
#include "base/hash.h"

#include <sys/mman.h>
#include <unistd.h>

#define POSITION   4096
#define VERSION_AT 8 /* in the footer */

/* Gives the footer at the end a right checksum, and for version 0 that of today: so the corpus outlives
 * a change of it. */
static void sign(uint8_t *file, size_t size)
{
    if (size >= SNAPSHOT_FOOTER_BYTES) {
        uint8_t *footer = file + size - SNAPSHOT_FOOTER_BYTES;
        struct reader version = reader_of(bytes_of(footer + VERSION_AT, 4));
        if (read_u32(&version) == 0) {
            struct buf today = buf_of(footer + VERSION_AT, 4);
            buf_put_u32(&today, SNAPSHOT_VERSION);
        }
        struct buf out = buf_of(footer + SNAPSHOT_FOOTER_BYTES - 4, 4);
        buf_put_u32(&out, crc32c(0, bytes_of(footer, SNAPSHOT_FOOTER_BYTES - 4)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[64 * 1024];
    static uint8_t buffer[SNAPSHOT_BUFFER_BYTES];
    if (size > sizeof file) {
        return 0;
    }
    memcpy(file, data, size);
    sign(file, size);
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    const struct disk_port disk = disk_system_port();
    const struct snapshot_file opened = {.disk = &disk, .handle = fd, .bytes = size};
    struct snapshot_reader reader;
    if (write(fd, file, size) == (ssize_t)size &&
        snapshot_reader_begin(&reader, &opened, buffer, POSITION) &&
        snapshot_reader_prove(&reader)) {
        uint64_t left = reader.footer.content_bytes;
        uint8_t byte = 0;
        CHECK(left <= size);
        while (left > 0) {
            CHECK(snapshot_reader_read(&reader, &byte, 1));
            left--;
        }
        CHECK(!snapshot_reader_read(&reader, &byte, 1));
    }
    close(fd);
    return 0;
}
