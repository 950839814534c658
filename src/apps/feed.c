/* Reading input: see feed.h.
 *
 *   file ──read──► raw ──[decode]──► text: | handed out | whole lines | part of a line | room |
 *                                          0            at            lines_end        end
 *
 * Invariants:
 *  1. at <= lines_end <= end <= capacity; text[lines_end - 1] ends a line, or the input has ended.
 *  2. A line is at most FEED_LINE_MAX bytes: the buffer holds one and a read more. */
#include "apps/feed.h"

#include "adapters/codec/codec.h"
#include "apps/exit_codes.h"
#include "apps/say.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAW_BYTES  ((size_t)64 * 1024)
#define TEXT_BYTES (FEED_LINE_MAX + 2 * 1024 * 1024)

struct feed {
    int fd;
    bool is_file;
    bool sniffed;
    bool raw_ended;
    bool ended; /* no more text will come */
    uint64_t position;
    uint64_t total;
    struct codec_port codec;
    void *decoder; /* NULL: plain */
    uint8_t *raw;
    size_t raw_at;
    size_t raw_end;
    uint8_t *text;
    size_t at;
    size_t lines_end;
    size_t end;
    char failure[160];
};

static int open_failed(struct feed *feed, const char *path, int code)
{
    complain("%s can't be read: %s", path, strerrordesc_np(errno));
    feed_close(feed);
    return code;
}

int feed_open(const char *path, struct feed **out)
{
    struct stat status;
    struct feed *feed = calloc(1, sizeof(*feed));
    if (feed == NULL) {
        complain("there is no memory left");
        return EXIT_CODE_NO_MEMORY;
    }
    feed->codec = codec_port();
    feed->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (feed->fd < 0 || fstat(feed->fd, &status) != 0) {
        return open_failed(feed, path, EXIT_CODE_NO_INPUT);
    }
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return open_failed(feed, path, EXIT_CODE_NO_INPUT);
    }
    feed->is_file = S_ISREG(status.st_mode);
    feed->total = feed->is_file && status.st_size > 0 ? (uint64_t)status.st_size : 0;
    feed->raw = malloc(RAW_BYTES);
    feed->text = malloc(TEXT_BYTES);
    if (feed->raw == NULL || feed->text == NULL) {
        errno = ENOMEM;
        return open_failed(feed, path, EXIT_CODE_NO_MEMORY);
    }
    *out = feed;
    return EXIT_CODE_OK;
}

void feed_close(struct feed *feed)
{
    if (feed == NULL) {
        return;
    }
    if (feed->decoder != NULL) {
        feed->codec.ops->close(feed->decoder);
    }
    if (feed->fd > STDIN_FILENO) {
        (void)close(feed->fd);
    }
    free(feed->raw);
    free(feed->text);
    free(feed);
}

const char *feed_failure(const struct feed *feed)
{
    return feed->failure[0] != '\0' ? feed->failure : NULL;
}

uint64_t feed_position(const struct feed *feed)
{
    return feed->position;
}

uint64_t feed_total(const struct feed *feed)
{
    return feed->total;
}

static void fail(struct feed *feed, const char *why)
{
    text_put(feed->failure,
             sizeof(feed->failure),
             "%s at byte %llu",
             why,
             (unsigned long long)feed->position);
    feed->ended = true;
}

/* Up to `room` bytes of the file; 0 at its end or on failure. */
static size_t raw_read(struct feed *feed, uint8_t *into, size_t room)
{
    for (;;) {
        ssize_t got = read(feed->fd, into, room);
        if (got >= 0) {
            feed->position += (uint64_t)got;
            feed->raw_ended = got == 0;
            return (size_t)got;
        }
        if (errno != EINTR) {
            fail(feed, strerrordesc_np(errno));
            feed->raw_ended = true;
            return 0;
        }
    }
}

/* What the first bytes say: gzip 1f 8b, zstd 28 b5 2f fd; else it is text already. */
static void sniff(struct feed *feed)
{
    while (feed->raw_end < 4 && !feed->raw_ended) {
        feed->raw_end += raw_read(feed, feed->raw + feed->raw_end, RAW_BYTES - feed->raw_end);
    }
    feed->sniffed = true;
    bool gzip = feed->raw_end >= 2 && memcmp(feed->raw, "\x1f\x8b", 2) == 0;
    bool zstd = feed->raw_end >= 4 && memcmp(feed->raw, "\x28\xb5\x2f\xfd", 4) == 0;
    if (gzip || zstd) {
        feed->decoder =
            feed->codec.ops->open(feed->codec.ctx, gzip ? CODEC_GZIP : CODEC_ZSTD, UINT64_MAX);
        if (feed->decoder == NULL) {
            fail(feed, "no memory to decompress");
        }
    }
}

static void decode_more(struct feed *feed)
{
    struct buf out = buf_of(feed->text, TEXT_BYTES);
    out.len = feed->end;
    while (out.len == feed->end) {
        if (feed->raw_at == feed->raw_end && !feed->raw_ended) {
            feed->raw_at = 0;
            feed->raw_end = raw_read(feed, feed->raw, RAW_BYTES);
        }
        struct bytes input = bytes_of(feed->raw + feed->raw_at, feed->raw_end - feed->raw_at);
        size_t before = input.len;
        enum err err = feed->codec.ops->decode(feed->decoder, &input, &out);
        feed->raw_at += before - input.len;
        bool stuck = out.len == feed->end && before == input.len;
        if (err != OK) {
            fail(feed, "the compressed data is broken");
            break;
        }
        if (stuck && feed->raw_ended) {
            feed->ended = true;
            if (!feed->codec.ops->complete(feed->decoder)) {
                fail(feed, "the compressed data is cut short");
            }
            break;
        }
    }
    feed->end = out.len;
}

static void plain_more(struct feed *feed)
{
    if (feed->raw_at < feed->raw_end) { /* what sniffing read */
        size_t len = feed->raw_end - feed->raw_at;
        memcpy(feed->text + feed->end, feed->raw + feed->raw_at, len);
        feed->raw_at = feed->raw_end;
        feed->end += len;
        return;
    }
    size_t got =
        feed->raw_ended ? 0 : raw_read(feed, feed->text + feed->end, TEXT_BYTES - feed->end);
    feed->end += got;
    feed->ended = feed->ended || got == 0;
}

/* More text; after it there is a whole line, or the input has ended. */
static void text_more(struct feed *feed)
{
    if (!feed->sniffed) {
        sniff(feed);
    }
    size_t kept = feed->end - feed->at;
    memmove(feed->text, feed->text + feed->at, kept);
    feed->at = 0;
    feed->end = kept;
    feed->lines_end = 0;
    while (feed->lines_end == 0 && !feed->ended) {
        size_t from = feed->end;
        if (from >= FEED_LINE_MAX) {
            fail(feed, "there is a line of more than 1.1 MiB");
            break;
        }
        (feed->decoder != NULL ? decode_more : plain_more)(feed);
        const uint8_t *last = memrchr(feed->text + from, '\n', feed->end - from);
        feed->lines_end = last == NULL ? 0 : (size_t)(last + 1 - feed->text);
    }
    if (feed->ended && feed->failure[0] == '\0') {
        feed->lines_end = feed->end;
    }
    CHECK(feed->lines_end <= feed->end);
}

void feed_fill(struct feed *feed, struct buf *out)
{
    for (;;) {
        if (feed->at == feed->lines_end) {
            /* Of a pipe, what is there goes on its way at once. */
            if (feed->ended || (out->len > 0 && !feed->is_file)) {
                return;
            }
            text_more(feed);
        }
        size_t room = out->cap - out->len;
        size_t have = feed->lines_end - feed->at;
        size_t take = have;
        if (have > room) {
            const uint8_t *last = memrchr(feed->text + feed->at, '\n', room);
            take = last == NULL ? 0 : (size_t)(last + 1 - (feed->text + feed->at));
        }
        buf_put(out, feed->text + feed->at, take);
        feed->at += take;
        if (take == 0 && have > 0 && out->len == 0) {
            fail(feed, "there is a line of more than 1.1 MiB");
        }
        if (take < have || have == 0) {
            return;
        }
    }
}

bool feed_line(struct feed *feed, struct bytes *line)
{
    while (feed->at == feed->lines_end) {
        if (feed->ended) {
            return false;
        }
        text_more(feed);
    }
    const uint8_t *begin = feed->text + feed->at;
    size_t have = feed->lines_end - feed->at;
    const uint8_t *end = memchr(begin, '\n', have);
    size_t len = end == NULL ? have : (size_t)(end - begin);
    *line = bytes_of(begin, len);
    feed->at += len + (end == NULL ? 0 : 1);
    return true;
}
