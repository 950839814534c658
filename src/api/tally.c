/* Counting events: see tally.h.
 *
 * Invariants:
 *  1. index = accepted + rejected.
 *  2. The list holds the first TALLY_LISTED_MAX refusals, in order. */
#include "api/tally.h"

#include "base/check.h"

#include <stdio.h>

#define MEMBER_SHOWN_MAX 64

void tally_free(struct tally *tally)
{
    out_free(&tally->list);
}

/* A prefix that does not cut a character. */
static struct bytes shorten(struct bytes text, size_t max)
{
    size_t len = text.len;
    if (len > max) {
        len = max;
        while (len > 0 && (text.data[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    return bytes_slice(text, 0, len);
}

void refusal_words(const struct refusal *refusal, char *words, size_t size)
{
    const char *detail = refusal->detail != NULL ? refusal->detail : err_text(refusal->err);
    if (refusal->member.len == 0) {
        (void)snprintf(words, size, "%s", detail);
        return;
    }
    struct bytes member = shorten(refusal->member, MEMBER_SHOWN_MAX);
    (void)snprintf(words, size, "'%.*s': %s", (int)member.len, (const char *)member.data, detail);
}

void tally_refuse(struct tally *tally, const struct refusal *refusal)
{
    CHECK(refusal->err != OK);
    char words[200];
    refusal_words(refusal, words, sizeof(words));
    if (tally->rejected == 0) {
        tally->first = refusal->err;
        memcpy(tally->detail, words, sizeof(words));
    }
    tally->rejected++;
    uint64_t index = tally->index++;
    CHECK(tally->index == tally->accepted + tally->rejected);
    if (tally->listed == TALLY_LISTED_MAX) {
        return;
    }
    struct out *list = &tally->list;
    tally->listed++;
    out_comma(list);
    out_text(list, "{\"index\":");
    out_u64(list, index);
    if (refusal->id.data != NULL) {
        out_member(list, "id");
        out_string(list, refusal->id);
    }
    out_text(list, ",\"type\":\"urn:tidemark:problem:");
    out_text(list, err_name(refusal->err));
    out_text(list, "\",\"detail\":");
    out_string_text(list, words);
    out_char(list, '}');
}

void tally_accept(struct tally *tally)
{
    tally->index++;
    tally->accepted++;
}

void tally_put_rejected(struct out *out, const struct tally *tally)
{
    out_text(out, ",\"rejected\":[");
    if (tally->list.buf.overflow) {
        out->buf.overflow = true;
        return;
    }
    out_bytes(out, buf_bytes(&tally->list.buf));
    out_char(out, ']');
    if (tally->rejected > tally->listed) {
        out_text(out, ",\"rejected_more\":");
        out_u64(out, tally->rejected - tally->listed);
    }
}
