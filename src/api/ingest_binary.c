/* Binary mode (CloudEvents HTTP binding 1.0.2, section 3.1): attributes in ce- headers, the body is
 * the data as it is.
 *
 *   Content-Type            data becomes
 *   …/json, …+json          the JSON text itself (it must be one)
 *   text/…, valid UTF-8     a JSON string
 *   anything else           a JSON string of base64
 *
 * Invariants:
 *  1. What is wrong with a header is kept, and told when the body is complete.
 *  2. All texts live in the call's memory or in the gathered body. */
#include "api/ingest.h"
#include "api/ingest_state.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/text.h"

struct header_reading {
    struct call *call;
    struct ingest *ingest;
    uint32_t extension_count;
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool is_attribute(struct bytes name)
{
    return name.len > 3 && http_name_equal(bytes_slice(name, 0, 3), BYTES("ce-"));
}

bool binary_mode(const struct http_request *request)
{
    for (size_t i = 0; i < request->field_count; i++) {
        if (is_attribute(request->fields[i].name)) {
            return true;
        }
    }
    return false;
}

uint64_t ingest_fields_hash(const struct http_request *request, uint64_t seed)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (!is_attribute(field->name) && !http_name_equal(field->name, BYTES("Content-Type"))) {
            continue;
        }
        uint64_t hash = seed;
        for (size_t n = 0; n < field->name.len; n++) {
            hash = hash64_mix(hash, lower(field->name.data[n]));
        }
        sum += hash64(field->value, hash);
    }
    return sum;
}

static void refuse(struct ingest *ingest, enum err err, struct bytes member, const char *detail)
{
    if (ingest->head_refusal.err == OK) {
        ingest->head_refusal = (struct refusal){.err = err, .member = member, .detail = detail};
    }
}

/* A quoted value loses its quotes and backslashes; then %XX is resolved (section 3.1.3.2). */
static enum err value_decode(struct memory *memory, struct bytes raw, struct bytes *value)
{
    struct bytes plain = raw;
    if (raw.len >= 2 && raw.data[0] == '"' && raw.data[raw.len - 1] == '"') {
        uint8_t *text = memory_take(memory, raw.len);
        if (text == NULL) {
            return memory_err(memory);
        }
        size_t len = 0;
        for (size_t i = 1; i + 1 < raw.len; i++) {
            i += raw.data[i] == '\\' && i + 2 < raw.len ? 1 : 0;
            text[len++] = raw.data[i];
        }
        plain = bytes_of(text, len);
    }
    enum err err = percent_decode(plain, false, memory, value);
    if (err != OK) {
        return err == ERR_LIMIT || err == ERR_UNAVAILABLE ? err : ERR_ATTRIBUTE;
    }
    for (size_t i = 0; i < value->len; i++) {
        if (value->data[i] < 0x20) {
            return ERR_ATTRIBUTE;
        }
    }
    return OK;
}

static void take_extension(struct header_reading *reading, struct bytes name, struct bytes value)
{
    struct ingest *ingest = reading->ingest;
    struct buf *attributes = &ingest->attributes;
    if (!extension_name_valid(name)) {
        refuse(ingest, ERR_ATTRIBUTE, name, "names are lower-case letters and digits, at most 64");
        return;
    }
    if (bytes_equal(name, BYTES("datacontenttype"))) {
        refuse(ingest, ERR_ATTRIBUTE, name, "in binary mode it is the Content-Type");
        return;
    }
    if (++reading->extension_count > EVENT_EXTENSIONS_MAX) {
        refuse(ingest, ERR_ATTRIBUTE, name, "there are more than 64 extensions");
        return;
    }
    uint8_t *quoted = memory_take(&reading->call->memory, 6 * value.len + 2);
    if (quoted == NULL) {
        refuse(ingest, memory_err(&reading->call->memory), name, NULL);
        return;
    }
    struct buf text = buf_of(quoted, 6 * value.len + 2);
    json_put_string(&text, value);
    buf_put_string(attributes, name);
    buf_put_string(attributes, buf_bytes(&text));
    CHECK(!attributes->overflow);
}

static void
take_text(struct ingest *ingest, struct bytes name, struct bytes value, struct bytes *target)
{
    const char *detail = NULL;
    enum err err = event_check_text(value, &detail);
    if (err != OK) {
        refuse(ingest, err, name, detail);
    }
    *target = value;
}

static void take_attribute(struct header_reading *reading, struct bytes name, struct bytes value)
{
    struct ingest *ingest = reading->ingest;
    struct event *event = &ingest->event;
    if (bytes_equal(name, BYTES("specversion"))) {
        if (!bytes_equal(value, BYTES("1.0"))) {
            refuse(ingest, ERR_SPECVERSION, name, NULL);
        }
    } else if (bytes_equal(name, BYTES("id"))) {
        take_text(ingest, name, value, &event->id);
    } else if (bytes_equal(name, BYTES("source"))) {
        take_text(ingest, name, value, &event->source);
    } else if (bytes_equal(name, BYTES("type"))) {
        take_text(ingest, name, value, &event->type);
    } else if (bytes_equal(name, BYTES("subject"))) {
        take_text(ingest, name, value, &event->subject);
        event->flags |= EVENT_HAS_SUBJECT;
    } else if (bytes_equal(name, BYTES("time"))) {
        if (timestamp_parse(value, &event->time.us) != OK) {
            refuse(ingest, ERR_TIME, name, "it must be an RFC 3339 date and time with an offset");
        }
        event->flags |= EVENT_HAS_TIME;
    } else {
        take_extension(reading, name, value);
    }
}

/* The lower-case name behind "ce-", in the call's memory. */
static struct bytes attribute_name(struct call *call, struct bytes header)
{
    size_t len = header.len - 3;
    uint8_t *name = memory_take(&call->memory, len);
    if (name == NULL) {
        return (struct bytes){0};
    }
    for (size_t i = 0; i < len; i++) {
        name[i] = lower(header.data[i + 3]);
    }
    return bytes_of(name, len);
}

static bool given_before(const struct http_request *request, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (http_name_equal(request->fields[i].name, request->fields[at].name)) {
            return true;
        }
    }
    return false;
}

static void take_content_type(struct call *call, const struct http_request *request)
{
    struct ingest *ingest = call->ingest;
    struct bytes type = http_field_find(request, "Content-Type");
    if (type.len == 0) {
        return;
    }
    type = memory_copy(&call->memory, type);
    if (type.data == NULL) {
        refuse(ingest, memory_err(&call->memory), BYTES("datacontenttype"), NULL);
        return;
    }
    if (type.len > EVENT_TEXT_MAX || !utf8_valid(type)) {
        refuse(ingest, ERR_ATTRIBUTE, BYTES("datacontenttype"), "the Content-Type is not valid");
        return;
    }
    ingest->event.content_type = type;
    ingest->event.flags |= EVENT_HAS_CONTENT_TYPE;
    size_t len = 0;
    while (len < type.len && type.data[len] != ';' && type.data[len] != ' ') {
        len++;
    }
    struct bytes media = bytes_slice(type, 0, len);
    struct bytes tail = len >= 5 ? bytes_slice(media, len - 5, 5) : (struct bytes){0};
    ingest->data_is_json =
        http_name_equal(tail, BYTES("/json")) || http_name_equal(tail, BYTES("+json"));
    ingest->data_is_text = len > 5 && http_name_equal(bytes_slice(media, 0, 5), BYTES("text/"));
}

void binary_head(struct call *call, const struct http_request *request)
{
    struct ingest *ingest = call->ingest;
    struct header_reading reading = {.call = call, .ingest = ingest};
    size_t cap = 8 * HTTP_HEADER_BYTES_MAX;
    uint8_t *memory = memory_take(&call->memory, cap);
    if (memory == NULL) {
        refuse(ingest, memory_err(&call->memory), (struct bytes){0}, NULL);
        return;
    }
    ingest->attributes = buf_of(memory, cap);
    take_content_type(call, request);
    bool has_specversion = false;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (!is_attribute(field->name)) {
            continue;
        }
        struct bytes name = attribute_name(call, field->name);
        struct bytes value = {0};
        has_specversion = has_specversion || bytes_equal(name, BYTES("specversion"));
        enum err err = name.data == NULL ? memory_err(&call->memory)
                                         : value_decode(&call->memory, field->value, &value);
        if (err != OK) {
            refuse(ingest, err, name, "the header's value can't be decoded");
        } else if (given_before(request, i)) {
            refuse(ingest, ERR_DUPLICATE_MEMBER, name, "it is given twice");
        } else {
            take_attribute(&reading, name, value);
        }
    }
    if (!has_specversion) {
        refuse(ingest, ERR_MISSING_MEMBER, BYTES("specversion"), "it is missing");
    }
}

static void base64_put(struct buf *out, struct bytes input)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < input.len; i += 3) {
        size_t left = input.len - i;
        uint32_t group = (uint32_t)input.data[i] << 16;
        group |= left > 1 ? (uint32_t)input.data[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)input.data[i + 2] : 0;
        buf_put_u8(out, (uint8_t)alphabet[group >> 18]);
        buf_put_u8(out, (uint8_t)alphabet[group >> 12 & 63]);
        buf_put_u8(out, left > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=');
        buf_put_u8(out, left > 2 ? (uint8_t)alphabet[group & 63] : '=');
    }
}

static void data_take_json(struct ingest *ingest, struct bytes body)
{
    struct json_scanner scanner = json_scanner_of(body);
    struct json_value value;
    enum err err = json_value(&scanner, &value);
    if (err == OK) {
        err = json_end(&scanner);
    }
    if (err != OK) {
        refuse(ingest, err, BYTES("data"), "the body is not the JSON that its type promises");
        return;
    }
    ingest->event.data = value.text;
}

static void data_take(struct call *call, struct bytes body)
{
    struct ingest *ingest = call->ingest;
    struct event *event = &ingest->event;
    if (body.len == 0) {
        return;
    }
    event->flags |= EVENT_HAS_DATA;
    if (ingest->data_is_json) {
        data_take_json(ingest, body);
        return;
    }
    bool text = ingest->data_is_text && utf8_valid(body);
    size_t cap = text ? 6 * body.len + 2 : body.len / 3 * 4 + 8;
    uint8_t *memory = memory_take(&ingest->texts, cap);
    if (memory == NULL) {
        refuse(ingest, ERR_UNAVAILABLE, BYTES("data"), "there is no memory for it");
        return;
    }
    struct buf out = buf_of(memory, cap);
    if (text) {
        json_put_string(&out, body);
    } else {
        event->flags |= EVENT_DATA_BASE64;
        buf_put_u8(&out, '"');
        base64_put(&out, body);
        buf_put_u8(&out, '"');
    }
    CHECK(!out.overflow);
    event->data = buf_bytes(&out);
}

static void check_required(struct ingest *ingest)
{
    const struct event *event = &ingest->event;
    if (event->id.data == NULL) {
        refuse(ingest, ERR_MISSING_MEMBER, BYTES("id"), "it is missing");
    }
    if (event->source.data == NULL) {
        refuse(ingest, ERR_MISSING_MEMBER, BYTES("source"), "it is missing");
    }
    if (event->type.data == NULL) {
        refuse(ingest, ERR_MISSING_MEMBER, BYTES("type"), "it is missing");
    }
}

void binary_parse(struct call *call, struct bytes body, struct chunk *chunk)
{
    struct ingest *ingest = call->ingest;
    struct event *event = &ingest->event;
    check_required(ingest);
    data_take(call, body);
    event->arrival = gateway_now(call->api->gateway);
    if ((event->flags & EVENT_HAS_TIME) == 0) {
        event->time.us = event->arrival.us;
    }
    event->extensions = buf_bytes(&ingest->attributes);
    event->flags |= event->extensions.len > 0 ? EVENT_HAS_EXTENSIONS : 0;
    struct refusal refusal = ingest->head_refusal;
    refusal.id = event->id;
    ingest_admit(call, chunk, event, &refusal);
}
