/* Conditions from headers: see if_match.h.
 *
 *     If-Match      = "*" / [ entity-tag ] *( OWS "," OWS [ entity-tag ] )
 *     entity-tag    = [ "W/" ] DQUOTE *etagc DQUOTE
 *     etagc         = %x21 / %x23-7E / %x80-FF           a comma may stand inside of a tag
 *     If-None-Match = "*"                                all that a write takes of it
 *
 * Several fields of one name are one list. The tag of version 12 is "12", so of a list only the strong
 * tags of that form are kept: all others are of no object here. A list that breaks the grammar matches
 * nothing, whatever else it names, so that the change is not made.
 *
 * Invariants:
 *  1. At most CONDITION_VERSIONS_MAX versions are kept; a list of more is refused, never cut. */
#include "api/if_match.h"

#include "base/check.h"
#include "base/text.h"

#define WEAK_BYTES 2 /* W/ */

static bool is_tag_byte(uint8_t byte)
{
    return byte == 0x21 || (byte >= 0x23 && byte != 0x7f);
}

static void skip_space(struct reader *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t')) {
        in->at++;
    }
}

/* Reads one tag: *content is what stands between its quotes. False: there is none. */
static bool tag_read(struct reader *in, bool *weak, struct bytes *content)
{
    size_t left = (size_t)(in->end - in->at);
    *weak = left >= WEAK_BYTES && in->at[0] == 'W' && in->at[1] == '/';
    in->at += *weak ? WEAK_BYTES : 0;
    if (in->at == in->end || *in->at++ != '"') {
        return false;
    }
    const uint8_t *begin = in->at;
    while (in->at < in->end && is_tag_byte(*in->at)) {
        in->at++;
    }
    *content = bytes_of(begin, (size_t)(in->at - begin));
    return in->at < in->end && *in->at++ == '"';
}

/* Tags are compared byte by byte, so "01" is not that of version 1. */
static bool version_of(struct bytes content, uint64_t *version)
{
    return content.len > 0 && content.data[0] != '0' && u64_parse(content, version);
}

/* False: there is no room for it. */
static bool version_add(struct condition *condition, uint64_t version)
{
    if (condition_lists(condition, version)) {
        return true;
    }
    if (condition->count == CONDITION_VERSIONS_MAX) {
        return false;
    }
    condition->versions[condition->count++] = version;
    return true;
}

/* The tags of one field. False: they break the grammar. */
static bool list_read(struct bytes field, struct if_match *read)
{
    struct reader in = reader_of(field);
    skip_space(&in);
    while (in.at < in.end) {
        bool weak = false;
        struct bytes content;
        uint64_t version = 0;
        if (*in.at != ',') {
            if (!tag_read(&in, &weak, &content)) {
                return false;
            }
            bool ours = !weak && version_of(content, &version);
            if (ours && !version_add(&read->condition, version)) {
                read->refusal = "If-Match lists at most 16 versions";
            }
            skip_space(&in);
        }
        if (in.at < in.end && *in.at++ != ',') {
            return false;
        }
        skip_space(&in);
    }
    return true;
}

static bool is_star(struct bytes field)
{
    return bytes_equal(field, BYTES("*"));
}

struct if_match if_match_read(const struct http_request *request)
{
    struct if_match read = {.refusal = NULL};
    struct condition *condition = &read.condition;
    uint32_t fields = 0;
    uint32_t none_fields = 0;
    bool star = false;
    bool good = true;
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (http_name_equal(field->name, BYTES("If-Match"))) {
            fields++;
            star = star || is_star(field->value);
            good = good && (is_star(field->value) || list_read(field->value, &read));
        } else if (http_name_equal(field->name, BYTES("If-None-Match"))) {
            none_fields++;
            condition->kind = CONDITION_ABSENT;
            good = good && is_star(field->value);
        }
    }
    if (none_fields > 0) {
        bool alone = good && fields == 0 && none_fields == 1;
        read.refusal = alone ? NULL : "a write takes If-None-Match: * alone";
    } else if (fields > 0) {
        good = good && (!star || fields == 1);
        condition->kind = star && good ? CONDITION_PRESENT : CONDITION_LISTED;
        condition->count = good ? condition->count : 0;
        read.refusal = good ? read.refusal : NULL;
    }
    CHECK(condition->count <= CONDITION_VERSIONS_MAX);
    return read;
}
