/* Structured events: see event_json.h. This is where the product spends its time per event, so the
 * common case is one walk over the members, each validated as it is passed.
 *
 *   {"specversion":"1.0","id":"…","source":"…", … ,"data":{…}}
 *     └ name: switch on its length, then memcmp    └ the scanner validates it, we keep the slice
 *
 * Invariants:
 *  1. `seen` has one bit per known member; extensions are compared with those already written.
 *  2. The scanner moves behind the event unless the text is broken; a refused event is skipped by
 *     reading it again as one value.
 *  3. A member that is null counts as absent (JSON format 1.0.2, section 2.2), but not twice. */
#include "api/event_json.h"

#include "base/check.h"
#include "base/text.h"

enum member {
    MEMBER_EXTENSION,
    MEMBER_SPECVERSION,
    MEMBER_ID,
    MEMBER_SOURCE,
    MEMBER_TYPE,
    MEMBER_SUBJECT,
    MEMBER_TIME,
    MEMBER_CONTENT_TYPE,
    MEMBER_DATA,
    MEMBER_DATA_BASE64,
};

struct reading {
    struct event_reader *reader;
    struct event *event;
    struct refusal *refusal;
    uint32_t seen;  /* members, null or not */
    uint32_t given; /* members with a value */
    uint32_t extension_count;
};

static bool name_is(struct bytes name, const char *text, size_t len)
{
    return memcmp(name.data, text, len) == 0;
}

static enum member member_find(struct bytes name)
{
    switch (name.len) {
    case 2:
        return name_is(name, "id", 2) ? MEMBER_ID : MEMBER_EXTENSION;
    case 4:
        return name_is(name, "type", 4)   ? MEMBER_TYPE
               : name_is(name, "time", 4) ? MEMBER_TIME
               : name_is(name, "data", 4) ? MEMBER_DATA
                                          : MEMBER_EXTENSION;
    case 6:
        return name_is(name, "source", 6) ? MEMBER_SOURCE : MEMBER_EXTENSION;
    case 7:
        return name_is(name, "subject", 7) ? MEMBER_SUBJECT : MEMBER_EXTENSION;
    case 11:
        return name_is(name, "specversion", 11)   ? MEMBER_SPECVERSION
               : name_is(name, "data_base64", 11) ? MEMBER_DATA_BASE64
                                                  : MEMBER_EXTENSION;
    case 15:
        return name_is(name, "datacontenttype", 15) ? MEMBER_CONTENT_TYPE : MEMBER_EXTENSION;
    default:
        return MEMBER_EXTENSION;
    }
}

static enum err refuse(struct reading *reading, enum err err, const char *detail)
{
    reading->refusal->err = err;
    reading->refusal->detail = detail;
    return err;
}

enum err event_check_text(struct bytes text, const char **detail)
{
    if (text.len == 0) {
        *detail = "it is empty";
        return ERR_ATTRIBUTE;
    }
    if (text.len > EVENT_TEXT_MAX) {
        *detail = "it is longer than 1,024 bytes";
        return ERR_ATTRIBUTE;
    }
    return OK;
}

bool extension_name_valid(struct bytes name)
{
    if (name.len == 0 || name.len > EXTENSION_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9')) {
            return false;
        }
    }
    return true;
}

static bool base64_char(uint8_t c)
{
    uint8_t lower = c | 0x20;
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

bool base64_valid(struct bytes text)
{
    if (text.len % 4 != 0) {
        return false;
    }
    size_t len = text.len;
    for (int pads = 0; pads < 2 && len > 0 && text.data[len - 1] == '='; pads++) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        if (!base64_char(text.data[i])) {
            return false;
        }
    }
    return true;
}

static const char too_much_text[] = "there is too much escaped text in this request";

/* The string without its escapes. Raw control characters are no JSON; escaped ones are no
 * CloudEvents String (section 3.1). */
static enum err text_of(struct reading *reading, const struct json_value *value, struct bytes *text)
{
    if (value->kind != JSON_STRING) {
        return refuse(reading, ERR_WRONG_TYPE, "it must be a string");
    }
    *text = value->content;
    if (!value->escaped) {
        return OK;
    }
    uint8_t *memory = memory_take(reading->reader->memory, value->content.len);
    if (memory == NULL) {
        return refuse(reading, memory_err(reading->reader->memory), too_much_text);
    }
    struct buf plain = buf_of(memory, value->content.len);
    json_unescape(value->content, &plain);
    CHECK(!plain.overflow);
    for (size_t i = 0; i < plain.len; i++) {
        if (plain.data[i] < 0x20) {
            return refuse(reading, ERR_ATTRIBUTE, "it contains a control character");
        }
    }
    *text = buf_bytes(&plain);
    return OK;
}

static enum err
attribute(struct reading *reading, const struct json_value *value, struct bytes *text)
{
    enum err err = text_of(reading, value, text);
    if (err != OK) {
        return err;
    }
    const char *detail = NULL;
    err = event_check_text(*text, &detail);
    return err == OK ? OK : refuse(reading, err, detail);
}

static enum err take_time(struct reading *reading, const struct json_value *value)
{
    struct bytes text;
    enum err err = text_of(reading, value, &text);
    if (err != OK) {
        return err;
    }
    if (timestamp_parse(text, &reading->event->time.us) != OK) {
        return refuse(reading, ERR_TIME, "it must be an RFC 3339 date and time with an offset");
    }
    reading->event->flags |= EVENT_HAS_TIME;
    return OK;
}

static enum err take_base64(struct reading *reading, const struct json_value *value)
{
    struct bytes text;
    enum err err = text_of(reading, value, &text);
    if (err != OK) {
        return err;
    }
    if (!base64_valid(text)) {
        return refuse(reading, ERR_ATTRIBUTE, "it is not base64 (RFC 4648 section 4)");
    }
    struct event *event = reading->event;
    event->data = value->text;
    if (value->escaped) {
        /* Some writers escape every slash: kept without the escapes, as one form of one value. */
        uint8_t *quoted = memory_take(reading->reader->memory, text.len + 2);
        if (quoted == NULL) {
            return refuse(reading, memory_err(reading->reader->memory), too_much_text);
        }
        quoted[0] = '"';
        memcpy(quoted + 1, text.data, text.len);
        quoted[text.len + 1] = '"';
        event->data = bytes_of(quoted, text.len + 2);
    }
    event->flags |= EVENT_HAS_DATA | EVENT_DATA_BASE64;
    return OK;
}

static bool extension_seen(const struct buf *extensions, struct bytes name)
{
    struct reader in = reader_of(buf_bytes(extensions));
    while (reader_left(&in) > 0) {
        struct bytes other = read_string(&in);
        (void)read_string(&in);
        CHECK(!in.bad);
        if (bytes_equal(other, name)) {
            return true;
        }
    }
    return false;
}

/* CloudEvents Integer: a whole number of 32 bits with sign (section 3.1). */
static bool integer_valid(struct bytes text)
{
    int64_t number = 0;
    return i64_parse(text, &number) && number >= INT32_MIN && number <= INT32_MAX;
}

static enum err
take_extension(struct reading *reading, struct bytes name, const struct json_value *value)
{
    struct buf *extensions = &reading->reader->extensions;
    if (!extension_name_valid(name)) {
        return refuse(
            reading, ERR_ATTRIBUTE, "names are lower-case letters and digits, at most 64");
    }
    if (extension_seen(extensions, name)) {
        return refuse(reading, ERR_DUPLICATE_MEMBER, "it is given twice");
    }
    if (++reading->extension_count > EVENT_EXTENSIONS_MAX) {
        return refuse(reading, ERR_ATTRIBUTE, "there are more than 64 extensions");
    }
    if (value->kind == JSON_OBJECT || value->kind == JSON_ARRAY) {
        return refuse(reading, ERR_WRONG_TYPE, "an extension is a string, a boolean or an integer");
    }
    if (value->kind == JSON_NUMBER && !integer_valid(value->text)) {
        return refuse(reading, ERR_ATTRIBUTE, "a number must be a whole one of 32 bits");
    }
    /* A null leaves its name behind, so that a second one is seen; it is taken out at the end. */
    buf_put_string(extensions, name);
    buf_put_string(extensions, value->kind == JSON_NULL ? (struct bytes){0} : value->text);
    return extensions->overflow ? refuse(reading, ERR_EVENT_TOO_LARGE, NULL) : OK;
}

/* Removes extensions without a value. */
static void drop_nulls(struct buf *extensions)
{
    struct reader in = reader_of(buf_bytes(extensions));
    struct buf kept = buf_of(extensions->data, extensions->cap);
    while (reader_left(&in) > 0) {
        const uint8_t *start = in.at;
        (void)read_string(&in);
        struct bytes value = read_string(&in);
        size_t len = (size_t)(in.at - start);
        if (value.len > 0) {
            memmove(kept.data + kept.len, start, len);
            kept.len += len;
        }
    }
    extensions->len = kept.len;
}

static enum err
take_member(struct reading *reading, enum member member, const struct json_value *value)
{
    struct event *event = reading->event;
    struct bytes text;
    enum err err = OK;
    switch (member) {
    case MEMBER_SPECVERSION:
        err = text_of(reading, value, &text);
        if (err == OK && !bytes_equal(text, BYTES("1.0"))) {
            return refuse(reading, ERR_SPECVERSION, NULL);
        }
        return err;
    case MEMBER_ID:
        err = attribute(reading, value, &event->id);
        reading->refusal->id = err == OK ? event->id : (struct bytes){0};
        return err;
    case MEMBER_SOURCE:
        return attribute(reading, value, &event->source);
    case MEMBER_TYPE:
        return attribute(reading, value, &event->type);
    case MEMBER_SUBJECT:
        event->flags |= EVENT_HAS_SUBJECT;
        return attribute(reading, value, &event->subject);
    case MEMBER_TIME:
        return take_time(reading, value);
    case MEMBER_CONTENT_TYPE:
        event->flags |= EVENT_HAS_CONTENT_TYPE;
        return attribute(reading, value, &event->content_type);
    case MEMBER_DATA:
        event->data = value->text;
        event->flags |= EVENT_HAS_DATA;
        return OK;
    case MEMBER_DATA_BASE64:
        return take_base64(reading, value);
    case MEMBER_EXTENSION:
        break;
    }
    return ERR_INTERNAL;
}

/* One member, its name and value already read. */
static enum err
take(struct reading *reading, const struct json_value *name, const struct json_value *value)
{
    struct bytes text = name->content;
    reading->refusal->member = text;
    if (name->escaped) {
        enum err err = text_of(reading, name, &text);
        if (err != OK) {
            return err;
        }
        reading->refusal->member = text;
    }
    enum member member = member_find(text);
    if (member == MEMBER_EXTENSION) {
        return take_extension(reading, text, value);
    }
    uint32_t bit = 1u << member;
    if ((reading->seen & bit) != 0) {
        return refuse(reading, ERR_DUPLICATE_MEMBER, "it is given twice");
    }
    reading->seen |= bit;
    if (value->kind == JSON_NULL && member != MEMBER_DATA) {
        return OK; /* as if absent; as data, null is a value */
    }
    reading->given |= bit;
    return take_member(reading, member, value);
}

static enum err missing(struct reading *reading, struct bytes member)
{
    reading->refusal->member = member;
    return refuse(reading, ERR_MISSING_MEMBER, "it is missing");
}

/* What can only be said about the whole. */
static enum err complete(struct reading *reading)
{
    struct event *event = reading->event;
    if ((reading->given & 1u << MEMBER_SPECVERSION) == 0) {
        return missing(reading, BYTES("specversion"));
    }
    if (event->id.data == NULL) {
        return missing(reading, BYTES("id"));
    }
    if (event->source.data == NULL) {
        return missing(reading, BYTES("source"));
    }
    if (event->type.data == NULL) {
        return missing(reading, BYTES("type"));
    }
    uint32_t both = 1u << MEMBER_DATA | 1u << MEMBER_DATA_BASE64;
    if ((reading->given & both) == both) {
        reading->refusal->member = BYTES("data_base64");
        return refuse(reading, ERR_ATTRIBUTE, "data and data_base64 exclude each other");
    }
    if (reading->extension_count > 0) {
        drop_nulls(&reading->reader->extensions);
        event->extensions = buf_bytes(&reading->reader->extensions);
        event->flags |= event->extensions.len > 0 ? EVENT_HAS_EXTENSIONS : 0;
    }
    return OK;
}

/* Goes back to where the event began and passes it as one value. */
static enum err skip(struct json_scanner *scanner, struct json_scanner start)
{
    struct json_value whole;
    *scanner = start;
    return json_value(scanner, &whole);
}

enum err event_read_json(struct event_reader *reader,
                         struct json_scanner *scanner,
                         struct event *event,
                         struct refusal *refusal)
{
    const struct json_scanner start = *scanner;
    struct reading reading = {.reader = reader, .event = event, .refusal = refusal};
    *event = (struct event){.time = {reader->now.us}, .arrival = reader->now};
    *refusal = (struct refusal){.err = OK};
    reader->extensions.len = 0;
    reader->extensions.overflow = false;
    enum err err = json_object_begin(scanner);
    if (err == ERR_WRONG_TYPE) {
        (void)refuse(&reading, ERR_WRONG_TYPE, "an event is an object");
        return skip(scanner, start);
    }
    bool more = err == OK;
    while (more) {
        struct json_value name;
        struct json_value value;
        err = json_object_next(scanner, &name, &more);
        if (err != OK || !more) {
            break;
        }
        err = json_value(scanner, &value);
        if (err != OK) {
            break;
        }
        if (take(&reading, &name, &value) != OK) {
            return skip(scanner, start);
        }
    }
    if (err != OK) {
        return err;
    }
    if ((size_t)(scanner->at - start.at) > EVENT_BYTES_MAX) {
        refusal->member = (struct bytes){0};
        (void)refuse(&reading, ERR_EVENT_TOO_LARGE, NULL);
        return OK;
    }
    (void)complete(&reading);
    return OK;
}
