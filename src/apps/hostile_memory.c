/* Allocations that fail when a test says so; only in a build with -Dhostile=true.
 *
 * The linker sends the executable's calls to __wrap_NAME, and __real_NAME is what they would have
 * reached. The test holds the other end of a small shared file, named by TIDEMARK_HOSTILE_MEMORY, and
 * so arms a running server between two requests and reads how many allocations it saw:
 *
 *     armed     0: all succeed | 1: the one at which `countdown` reaches 0 fails | 2: so do all after
 *     countdown allocations to go
 *     seen      allocations while armed
 *     failed    of those
 *
 * Every word is an atomic of 64 bits, in this order. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <dirent.h>
#include <zlib.h>
#include <zstd.h>

#define STICKY 2

struct control {
    _Atomic int64_t armed;
    _Atomic int64_t countdown;
    _Atomic int64_t seen;
    _Atomic int64_t failed;
};

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *former, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
DIR *__real_fdopendir(int fd);
int __real_pthread_create(pthread_t *thread,
                          const pthread_attr_t *attributes,
                          void *(*start)(void *),
                          void *ctx);
int __real_inflateInit2_(z_streamp stream, int bits, const char *version, int size);
ZSTD_DCtx *__real_ZSTD_createDCtx(void);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *former, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
DIR *__wrap_fdopendir(int fd);
int __wrap_pthread_create(pthread_t *thread,
                          const pthread_attr_t *attributes,
                          void *(*start)(void *),
                          void *ctx);
int __wrap_inflateInit2_(z_streamp stream, int bits, const char *version, int size);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);

static struct control none;
static struct control *_Atomic control;

/* The test's file, or `none` when there is no test. */
static struct control *control_open(void)
{
    const char *path = getenv("TIDEMARK_HOSTILE_MEMORY");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return &none;
    }
    void *shared =
        __real_mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    return shared == MAP_FAILED ? &none : shared;
}

/* Whether this allocation is one that fails. */
static bool fails(void)
{
    struct control *now = atomic_load(&control);
    if (now == NULL) {
        now = control_open();
        atomic_store(&control, now);
    }
    int64_t armed = atomic_load(&now->armed);
    if (armed == 0) {
        return false;
    }
    atomic_fetch_add(&now->seen, 1);
    int64_t left = atomic_fetch_sub(&now->countdown, 1) - 1;
    bool failing = left == 0 || (left < 0 && armed == STICKY);
    if (failing) {
        atomic_fetch_add(&now->failed, 1);
        errno = ENOMEM;
    }
    return failing;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *former, size_t size)
{
    return fails() ? NULL : __real_realloc(former, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

DIR *__wrap_fdopendir(int fd)
{
    return fails() ? NULL : __real_fdopendir(fd);
}

int __wrap_pthread_create(pthread_t *thread,
                          const pthread_attr_t *attributes,
                          void *(*start)(void *),
                          void *ctx)
{
    return fails() ? EAGAIN : __real_pthread_create(thread, attributes, start, ctx);
}

int __wrap_inflateInit2_(z_streamp stream, int bits, const char *version, int size)
{
    return fails() ? Z_MEM_ERROR : __real_inflateInit2_(stream, bits, version, size);
}

ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
    return fails() ? NULL : __real_ZSTD_createDCtx();
}
