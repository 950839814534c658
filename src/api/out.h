/* A text that grows while it is written: answers, lists of refusals, encoded definitions.
 *
 * Room is asked for before each write, so the writers of base (which never allocate) can be used on
 * `buf` directly. When memory or OUT_BYTES_MAX is exhausted, buf.overflow is set, all later writes
 * do nothing, and whoever sends the text checks once. */
#pragma once

#include "base/bytes.h"

#define OUT_BYTES_MAX ((size_t)128 * 1024 * 1024)

struct out {
    struct buf buf;
};

void out_free(struct out *out);

/* Forgets the text, keeps a moderate amount of memory. */
void out_clear(struct out *out);

/* Makes sure that `need` more bytes fit into out->buf; false (and overflow) when they can't. */
bool out_room(struct out *out, size_t need);

void out_bytes(struct out *out, struct bytes part);
void out_text(struct out *out, const char *text);
void out_char(struct out *out, char c);
void out_u64(struct out *out, uint64_t value);
void out_i64(struct out *out, int64_t value);
void out_bool(struct out *out, bool value);

/* As a JSON string with quotes. */
void out_string(struct out *out, struct bytes text);
void out_string_text(struct out *out, const char *text);

/* ,"name": (the comma only when something stands before it in the open object or array). */
void out_member(struct out *out, const char *name);

/* A comma unless the text ends with an opening bracket, brace, or is empty. */
void out_comma(struct out *out);

/* Quoted RFC 3339; quoted ISO 8601. */
void out_time(struct out *out, int64_t us);
void out_duration(struct out *out, int64_t us);

/* A watermark: null when nothing was heard yet or nothing more will come. */
void out_watermark(struct out *out, int64_t us);

/* 16 lower-case hexadecimal digits, as tokens and entity tags are written. */
#define HEX64_BYTES 16
void hex64_put(uint8_t digits[HEX64_BYTES], uint64_t value);
