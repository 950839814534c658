/* Preloaded into the server: every third large write at an offset does only its first block, as a system may.
 *
 * The caller has to go on where it stopped. Whole blocks only, since direct writes can't stop inside one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK 4096u

typedef ssize_t (*pwrite_function)(int, const void *, size_t, off_t);

static atomic_uint calls;

static pwrite_function real_pwrite(void)
{
    pwrite_function function = (pwrite_function)dlsym(RTLD_NEXT, "pwrite64");
    if (function == NULL) {
        abort();
    }
    return function;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
{
    bool shorter = len > BLOCK && atomic_fetch_add(&calls, 1) % 3 == 0;
    return real_pwrite()(fd, data, shorter ? BLOCK : len, offset);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return pwrite64(fd, data, len, offset);
}

/* One part at a time is a short write too. */
ssize_t pwritev(int fd, const struct iovec *parts, int part_count, off_t offset)
{
    return part_count < 1 ? 0 : pwrite64(fd, parts[0].iov_base, parts[0].iov_len, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int part_count, off_t offset)
{
    return pwritev(fd, parts, part_count, offset);
}
