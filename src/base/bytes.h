/* Slices and bounded buffers.
 *
 * Inside the product text is pointer + length, never NUL-terminated. A buf has a fixed capacity: a
 * write that does not fit sets `overflow` and writes nothing more, so a whole encoding can be
 * written straight and checked once at its end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

struct bytes {
    const uint8_t *data;
    size_t len;
};

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool overflow;
};

/* The memory of a slice for the one who allocated it, to be freed. */
static inline void *bytes_owned(struct bytes part)
{
    void *memory;
    memcpy(&memory, &part.data, sizeof(memory));
    return memory;
}

/* A string literal as a slice. */
#define BYTES(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){.data = data, .len = len};
}

/* The length of a NUL-terminated text from outside, at most TEXT_LEN_MAX. Literals cost nothing;
 * for the rest this is not strlen, which pure code does not call. */
#define TEXT_LEN_MAX ((size_t)1 << 20)

static inline size_t text_len(const char *text)
{
    if (__builtin_constant_p(__builtin_strlen(text))) {
        return __builtin_strlen(text);
    }
    size_t len = 0;
    while (len < TEXT_LEN_MAX && text[len] != '\0') {
        len++;
    }
    return len;
}

static inline struct bytes bytes_of_string(const char *text)
{
    return (struct bytes){.data = (const uint8_t *)text, .len = text_len(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Order of memcmp, the shorter first when one is a prefix of the other: < 0, 0 or > 0. */
int bytes_compare(struct bytes a, struct bytes b);

/* The part [from, from + len) of a; CHECKs that it lies inside. */
struct bytes bytes_slice(struct bytes a, size_t from, size_t len);

static inline struct buf buf_of(void *data, size_t cap)
{
    return (struct buf){.data = data, .cap = cap};
}

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return (struct bytes){.data = buf->data, .len = buf->len};
}

/* Room for `len` more bytes, to be filled by the caller, or NULL (and overflow). */
static inline uint8_t *buf_reserve(struct buf *buf, size_t len)
{
    if (buf->overflow || len > buf->cap - buf->len) {
        buf->overflow = true;
        return NULL;
    }
    uint8_t *at = buf->data + buf->len;
    buf->len += len;
    return at;
}

void buf_put(struct buf *buf, const void *data, size_t len);
void buf_put_bytes(struct buf *buf, struct bytes part);

static inline void buf_put_text(struct buf *buf, const char *text)
{
    buf_put(buf, text, text_len(text));
}

/* Little endian, field by field. */
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u16(struct buf *buf, uint16_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);
void buf_put_i64(struct buf *buf, int64_t value);
void buf_put_i128(struct buf *buf, int128 value);
void buf_put_f64(struct buf *buf, double value); /* the bits of IEEE 754 binary64 */

/* Writes at `at`, where a u32 was put before, how many bytes came after it. CHECKs that it fits. */
void buf_set_length(struct buf *buf, size_t at);

/* LEB128, 1-10 bytes; signed values zigzag first. A reader takes the shortest form only. */
void buf_put_varint_long(struct buf *buf, uint64_t value);

static inline void buf_put_varint(struct buf *buf, uint64_t value)
{
    if (value < 0x80 && !buf->overflow && buf->len < buf->cap) {
        buf->data[buf->len++] = (uint8_t)value;
        return;
    }
    buf_put_varint_long(buf, value);
}

void buf_put_zigzag(struct buf *buf, int64_t value);

/* A varint length, then the bytes. */
void buf_put_string(struct buf *buf, struct bytes text);

/* Reads what the functions above wrote. A read past the end sets `bad` and returns zeros, so a
 * decoder reads straight on and checks once. Slices point into the input. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline struct reader reader_of(struct bytes input)
{
    /* An empty slice may have no data, and not even 0 may be added to NULL. */
    const uint8_t *end = input.len == 0 ? input.data : input.data + input.len;
    return (struct reader){.at = input.data, .end = end};
}

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

uint8_t read_u8_bad(struct reader *reader);

static inline uint8_t read_u8(struct reader *reader)
{
    return reader->at < reader->end ? *reader->at++ : read_u8_bad(reader);
}

uint16_t read_u16(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);
int64_t read_i64(struct reader *reader);
int128 read_i128(struct reader *reader);
double read_f64(struct reader *reader);
uint64_t read_varint_long(struct reader *reader);

/* Nearly all are one byte long: that case is inlined, since batches are read by the million. */
static inline uint64_t read_varint(struct reader *reader)
{
    if (reader->at < reader->end && *reader->at < 0x80) {
        return *reader->at++;
    }
    return read_varint_long(reader);
}

int64_t read_zigzag(struct reader *reader);
struct bytes read_bytes_bad(struct reader *reader);

static inline struct bytes read_bytes(struct reader *reader, size_t len)
{
    if (len > reader_left(reader)) {
        return read_bytes_bad(reader);
    }
    struct bytes part = {.data = reader->at, .len = len};
    reader->at = len > 0 ? reader->at + len : reader->at;
    return part;
}

static inline struct bytes read_string(struct reader *reader)
{
    return read_bytes(reader, (size_t)read_varint(reader));
}
