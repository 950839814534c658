/* The codec of kept answers: see answer.h for the layout.
 *
 * Invariants:
 *  1. What is read can be sent as it is: a status that ends a request, fields without a byte that
 *     would end their line.
 *  2. Only what kept_answer_put writes is read, with nothing left over: the body takes the rest.
 *  3. A record is at most KEPT_ANSWER_BYTES_MAX long. */
#include "model/answer.h"

#include "base/check.h"

#define VARINT_BYTES_MAX 10

static bool is_visible(struct bytes text)
{
    for (size_t n = 0; n < text.len; n++) {
        if (text.data[n] <= ' ' || text.data[n] > '~') {
            return false;
        }
    }
    return text.len > 0;
}

/* RFC 9110 §5.5: visible, spaces and tabs; bytes above ASCII are opaque. */
static bool is_field_value(struct bytes value)
{
    for (size_t n = 0; n < value.len; n++) {
        if ((value.data[n] < ' ' && value.data[n] != '\t') || value.data[n] == 0x7f) {
            return false;
        }
    }
    return true;
}

bool idempotency_key_valid(struct bytes key)
{
    return key.len <= IDEMPOTENCY_KEY_MAX && is_visible(key);
}

size_t kept_answer_bytes_max(const struct kept_answer *answer)
{
    size_t size = RECORD_HEADER_BYTES + sizeof(int64_t) + sizeof(struct fingerprint) +
                  sizeof(uint16_t) + VARINT_BYTES_MAX + answer->key.len + sizeof(uint8_t) +
                  answer->body.len;
    for (uint32_t n = 0; n < answer->field_count; n++) {
        const struct kept_field *field = &answer->fields[n];
        size += 2 * (size_t)VARINT_BYTES_MAX + field->name.len + field->value.len;
    }
    return size;
}

void kept_answer_put(struct buf *out, const struct kept_answer *answer)
{
    CHECK(answer->field_count <= KEPT_ANSWER_FIELDS_MAX);
    CHECK(idempotency_key_valid(answer->key));
    CHECK(kept_answer_bytes_max(answer) <= KEPT_ANSWER_BYTES_MAX);
    size_t start = record_begin(out, RECORD_ANSWER);
    buf_put_i64(out, answer->kept.us);
    buf_put_u64(out, answer->request.half[0]);
    buf_put_u64(out, answer->request.half[1]);
    buf_put_u16(out, answer->status);
    buf_put_string(out, answer->key);
    buf_put_u8(out, (uint8_t)answer->field_count);
    for (uint32_t n = 0; n < answer->field_count; n++) {
        buf_put_string(out, answer->fields[n].name);
        buf_put_string(out, answer->fields[n].value);
    }
    buf_put_bytes(out, answer->body);
    record_end(out, start);
}

void kept_answer_stamp(struct buf *out, size_t body_start, struct clock_time kept)
{
    CHECK(body_start + sizeof(int64_t) <= out->len);
    struct buf time = buf_of(out->data + body_start, sizeof(int64_t));
    buf_put_i64(&time, kept.us);
}

static bool fields_read(struct reader *in, struct kept_answer *answer)
{
    answer->field_count = read_u8(in);
    if (answer->field_count > KEPT_ANSWER_FIELDS_MAX) {
        return false;
    }
    for (uint32_t n = 0; n < answer->field_count; n++) {
        struct kept_field *field = &answer->fields[n];
        field->name = read_string(in);
        field->value = read_string(in);
        if (in->bad || !is_visible(field->name) || !is_field_value(field->value)) {
            return false;
        }
    }
    return true;
}

bool kept_answer_read(struct bytes body, struct kept_answer *answer)
{
    struct reader in = reader_of(body);
    answer->kept.us = read_i64(&in);
    answer->request.half[0] = read_u64(&in);
    answer->request.half[1] = read_u64(&in);
    answer->status = read_u16(&in);
    answer->key = read_string(&in);
    bool good = !in.bad && body.len <= KEPT_ANSWER_BYTES_MAX - RECORD_HEADER_BYTES &&
                answer->status >= KEPT_ANSWER_STATUS_MIN &&
                answer->status <= KEPT_ANSWER_STATUS_MAX && idempotency_key_valid(answer->key);
    if (!good || !fields_read(&in, answer)) {
        return false;
    }
    answer->body = read_bytes(&in, reader_left(&in));
    return !in.bad;
}
