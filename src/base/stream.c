/* Writers and loaders: see stream.h. Numbers are little endian, as everywhere. */
#include "base/stream.h"

#include "base/check.h"

struct buf *writer_room(struct writer *writer, size_t need)
{
    CHECK(need <= writer->buf.cap);
    if (need > writer->buf.cap - writer->buf.len) {
        writer_flush(writer);
    }
    return &writer->buf;
}

void writer_flush(struct writer *writer)
{
    if (writer->buf.len > 0) {
        writer->flush(writer->ctx, buf_bytes(&writer->buf));
        writer->buf.len = 0;
    }
}

void writer_put(struct writer *writer, struct bytes part)
{
    while (part.len > 0) {
        struct buf *buf = writer_room(writer, 1);
        size_t room = buf->cap - buf->len;
        size_t len = part.len < room ? part.len : room;
        buf_put(buf, part.data, len);
        part = bytes_slice(part, len, part.len - len);
    }
}

void write_u32(struct writer *writer, uint32_t value)
{
    buf_put_u32(writer_room(writer, sizeof(value)), value);
}

void write_u64(struct writer *writer, uint64_t value)
{
    buf_put_u64(writer_room(writer, sizeof(value)), value);
}

void write_i64(struct writer *writer, int64_t value)
{
    buf_put_i64(writer_room(writer, sizeof(value)), value);
}

void write_string(struct writer *writer, struct bytes text)
{
    CHECK(text.len <= UINT32_MAX);
    write_u32(writer, (uint32_t)text.len);
    writer_put(writer, text);
}

void load_bytes(struct loader *loader, void *into, size_t len)
{
    if (loader->bad || (len > 0 && !loader->read(loader->ctx, into, len))) {
        loader->bad = true;
        memset(into, 0, len);
    }
}

uint8_t load_u8(struct loader *loader)
{
    uint8_t value;
    load_bytes(loader, &value, sizeof(value));
    return value;
}

uint32_t load_u32(struct loader *loader)
{
    uint8_t raw[sizeof(uint32_t)];
    load_bytes(loader, raw, sizeof(raw));
    struct reader in = reader_of(bytes_of(raw, sizeof(raw)));
    return read_u32(&in);
}

uint64_t load_u64(struct loader *loader)
{
    uint8_t raw[sizeof(uint64_t)];
    load_bytes(loader, raw, sizeof(raw));
    struct reader in = reader_of(bytes_of(raw, sizeof(raw)));
    return read_u64(&in);
}

int64_t load_i64(struct loader *loader)
{
    return (int64_t)load_u64(loader);
}
