/* Slices, bounded buffers, and the byte codec that every record and snapshot is written with.
 *
 * Fixed-width integers are little endian. A varint is LEB128, seven bits a byte, low bits first:
 *
 *     1xxxxxxx 1xxxxxxx 0xxxxxxx      value = x0 | x1 << 7 | x2 << 14
 *
 * Invariants:
 *  1. buf: len <= cap; once overflow is set nothing more is written, so the content is a prefix of
 *     what was meant, cut between two puts.
 *  2. reader: at <= end; once bad is set, at == end, so every later read is bad as well.
 *  3. One value has one encoding: a varint with needless trailing groups, or beyond 64 bits, is
 * bad. */
#include "base/bytes.h"

#include "base/check.h"

#define VARINT_BYTES_MAX 10

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

struct bytes bytes_slice(struct bytes a, size_t from, size_t len)
{
    CHECK(from <= a.len);
    CHECK(len <= a.len - from);
    return (struct bytes){.data = from == 0 ? a.data : a.data + from, .len = len};
}

void buf_put(struct buf *buf, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }
    uint8_t *at = buf_reserve(buf, len);
    if (at != NULL) {
        memcpy(at, data, len);
    }
}

void buf_put_bytes(struct buf *buf, struct bytes part)
{
    buf_put(buf, part.data, part.len);
}

/* The compiler turns the loops below into one store or load on little-endian machines. */
static void store_little(uint8_t *at, uint64_t value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t load_little(const uint8_t *at, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
    uint8_t *at = buf_reserve(buf, 1);
    if (at != NULL) {
        *at = value;
    }
}

void buf_put_u16(struct buf *buf, uint16_t value)
{
    uint8_t *at = buf_reserve(buf, 2);
    if (at != NULL) {
        store_little(at, value, 2);
    }
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
    uint8_t *at = buf_reserve(buf, 4);
    if (at != NULL) {
        store_little(at, value, 4);
    }
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
    uint8_t *at = buf_reserve(buf, 8);
    if (at != NULL) {
        store_little(at, value, 8);
    }
}

void buf_put_i64(struct buf *buf, int64_t value)
{
    buf_put_u64(buf, (uint64_t)value);
}

void buf_put_i128(struct buf *buf, int128 value)
{
    uint8_t *at = buf_reserve(buf, 16);
    if (at != NULL) {
        store_little(at, (uint64_t)value, 8);
        store_little(at + 8, (uint64_t)(value >> 64), 8);
    }
}

void buf_put_f64(struct buf *buf, double value)
{
    _Static_assert(sizeof(double) == sizeof(uint64_t), "double is IEEE 754 binary64");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(bits));
    buf_put_u64(buf, bits);
}

void buf_set_length(struct buf *buf, size_t at)
{
    CHECK(at + sizeof(uint32_t) <= buf->len);
    size_t len = buf->len - at - sizeof(uint32_t);
    CHECK(len <= UINT32_MAX);
    struct buf field = buf_of(buf->data + at, sizeof(uint32_t));
    buf_put_u32(&field, (uint32_t)len);
}

void buf_put_varint_long(struct buf *buf, uint64_t value)
{
    uint8_t group[VARINT_BYTES_MAX];
    size_t count = 0;
    while (value >= 0x80) {
        group[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    group[count++] = (uint8_t)value;
    buf_put(buf, group, count);
}

void buf_put_zigzag(struct buf *buf, int64_t value)
{
    uint64_t sign = value < 0 ? UINT64_MAX : 0;
    buf_put_varint(buf, ((uint64_t)value << 1) ^ sign);
}

void buf_put_string(struct buf *buf, struct bytes text)
{
    buf_put_varint(buf, text.len);
    buf_put_bytes(buf, text);
}

static void reader_spoil(struct reader *reader)
{
    reader->bad = true;
    reader->at = reader->end;
}

static uint64_t read_little(struct reader *reader, size_t count)
{
    if (reader_left(reader) < count) {
        reader_spoil(reader);
        return 0;
    }
    uint64_t value = load_little(reader->at, count);
    reader->at += count;
    return value;
}

uint8_t read_u8_bad(struct reader *reader)
{
    reader_spoil(reader);
    return 0;
}

uint16_t read_u16(struct reader *reader)
{
    return (uint16_t)read_little(reader, 2);
}

uint32_t read_u32(struct reader *reader)
{
    return (uint32_t)read_little(reader, 4);
}

uint64_t read_u64(struct reader *reader)
{
    return read_little(reader, 8);
}

int64_t read_i64(struct reader *reader)
{
    return (int64_t)read_u64(reader);
}

int128 read_i128(struct reader *reader)
{
    if (reader_left(reader) < 16) {
        reader_spoil(reader);
        return 0;
    }
    uint64_t low = read_u64(reader);
    uint64_t high = read_u64(reader);
    __extension__ unsigned __int128 value = high;
    return (int128)(value << 64 | low);
}

double read_f64(struct reader *reader)
{
    uint64_t bits = read_u64(reader);
    double value = 0;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

uint64_t read_varint_long(struct reader *reader)
{
    uint64_t value = 0;
    size_t left = reader_left(reader);
    for (size_t i = 0; i < left && i < VARINT_BYTES_MAX; i++) {
        uint8_t group = reader->at[i];
        /* The tenth byte holds bit 63 alone. */
        if (i == VARINT_BYTES_MAX - 1 && group > 1) {
            break;
        }
        value |= (uint64_t)(group & 0x7f) << (7 * i);
        if (group < 0x80) {
            if (group == 0 && i > 0) {
                break;
            }
            reader->at += i + 1;
            return value;
        }
    }
    reader_spoil(reader);
    return 0;
}

int64_t read_zigzag(struct reader *reader)
{
    uint64_t value = read_varint(reader);
    uint64_t sign = (value & 1) != 0 ? UINT64_MAX : 0;
    return (int64_t)((value >> 1) ^ sign);
}

struct bytes read_bytes_bad(struct reader *reader)
{
    reader_spoil(reader);
    return (struct bytes){.data = NULL};
}
