/* Any bytes as a body in the chunked coding (RFC 9112 section 7.1). Checked beside memory safety:
 *
 *  1. A second decoder, which has all of the text before it and no states, says the same: the body,
 *     where it ended, and whether the text was refused, complete or cut short.
 *  2. That is so however the bytes are cut into calls.
 *  3. What is encoded, in chunks of any size, is decoded to the same.
 *
 * The input's first byte chooses the cuts; the rest is what arrives. */
#include "fuzz.h"

#include "adapters/http_server/http_chunked.h"
#include "base/check.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#define BYTES_MAX ((size_t)64 * 1024)
#define CUT_BYTES_MAX                                                                              \
    4096 /* longer texts come whole and in larger pieces: else it takes too long */
#define ROUND_TRIP_MAX 4096

enum verdict { VERDICT_CUT_SHORT, VERDICT_WHOLE, VERDICT_REFUSED };

/* What a decoder made of a text. */
struct finding {
    enum verdict verdict;
    size_t used; /* when whole */
    size_t len;  /* of the body */
    uint8_t body[BYTES_MAX];
};

/* The second decoder. */
struct naive {
    const uint8_t *at;
    const uint8_t *end;
    size_t extensions;
    size_t trailers; /* lines */
    const uint8_t *trailers_begin;
    struct finding *finding;
};

static bool give_up(struct naive *naive, enum verdict verdict)
{
    naive->finding->verdict = verdict;
    return false;
}

static bool is_hex(uint8_t byte)
{
    return memchr("0123456789abcdefABCDEF", byte, 22) != NULL;
}

static bool is_token(uint8_t byte)
{
    static const char others[] = "!#$%&'*+-.^_`|~0123456789";
    return ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ||
           memchr(others, byte, sizeof(others) - 1) != NULL;
}

static bool is_value(uint8_t byte)
{
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

static bool naive_exactly(struct naive *naive, uint8_t byte)
{
    if (naive->at == naive->end) {
        return give_up(naive, VERDICT_CUT_SHORT);
    }
    return *naive->at++ == byte || give_up(naive, VERDICT_REFUSED);
}

/* The bytes up to a CR, and the CR. */
static bool naive_values(struct naive *naive, size_t max)
{
    const uint8_t *begin = naive->at;
    while (naive->at < naive->end && is_value(*naive->at)) {
        naive->at++;
        if ((size_t)(naive->at - begin) > max) {
            return give_up(naive, VERDICT_REFUSED);
        }
    }
    return naive_exactly(naive, '\r');
}

static bool naive_extension(struct naive *naive)
{
    const uint8_t *begin = naive->at;
    size_t left = HTTP_EXTENSIONS_BYTES_MAX - naive->extensions;
    if (!naive_values(naive, left < HTTP_EXTENSION_BYTES_MAX ? left : HTTP_EXTENSION_BYTES_MAX)) {
        return false;
    }
    naive->extensions += (size_t)(naive->at - begin) - 1;
    return true;
}

static bool naive_size(struct naive *naive, uint64_t *size)
{
    char digits[17] = "";
    size_t count = 0;
    while (naive->at < naive->end && is_hex(*naive->at)) {
        if (count == 16) {
            return give_up(naive, VERDICT_REFUSED);
        }
        digits[count++] = (char)*naive->at++;
    }
    if (naive->at == naive->end) {
        return give_up(naive, VERDICT_CUT_SHORT);
    }
    *size = strtoull(digits, NULL, 16);
    if (count > 0 && *naive->at == ';') {
        naive->at++;
        return naive_extension(naive) && naive_exactly(naive, '\n');
    }
    return count > 0 ? naive_exactly(naive, '\r') && naive_exactly(naive, '\n')
                     : give_up(naive, VERDICT_REFUSED);
}

static bool naive_data(struct naive *naive, uint64_t size)
{
    size_t there = (size_t)(naive->end - naive->at);
    size_t len = there < size ? there : (size_t)size;
    struct finding *finding = naive->finding;
    memcpy(finding->body + finding->len, naive->at, len);
    finding->len += len;
    naive->at += len;
    return len == size ? naive_exactly(naive, '\r') && naive_exactly(naive, '\n')
                       : give_up(naive, VERDICT_CUT_SHORT);
}

static bool naive_name(struct naive *naive)
{
    const uint8_t *begin = naive->at;
    while (naive->at < naive->end && is_token(*naive->at)) {
        naive->at++;
    }
    struct bytes name = bytes_of(begin, (size_t)(naive->at - begin));
    if (!naive_exactly(naive, ':')) {
        return false;
    }
    bool forbidden = name.len == 0 || http_name_equal(name, BYTES("host")) ||
                     http_name_equal(name, BYTES("content-length")) ||
                     http_name_equal(name, BYTES("transfer-encoding"));
    return !forbidden || give_up(naive, VERDICT_REFUSED);
}

/* All that follows the last chunk; false at its end, too. */
static bool naive_trailer(struct naive *naive)
{
    if (naive->at == naive->end) {
        return give_up(naive, VERDICT_CUT_SHORT);
    }
    if (*naive->at == '\r') {
        naive->at++;
        if (naive_exactly(naive, '\n')) {
            naive->finding->verdict = VERDICT_WHOLE;
        }
        return false;
    }
    if (naive->trailers++ == HTTP_FIELDS_MAX) {
        return give_up(naive, VERDICT_REFUSED);
    }
    return naive_name(naive) && naive_values(naive, BYTES_MAX) && naive_exactly(naive, '\n');
}

/* Reads trailers with the text cut at their limit: who needs more is refused there. */
static void naive_trailers(struct naive *naive)
{
    size_t there = (size_t)(naive->end - naive->at);
    bool long_text = there > HTTP_TRAILER_BYTES_MAX;
    naive->end = long_text ? naive->at + HTTP_TRAILER_BYTES_MAX : naive->end;
    while (naive_trailer(naive)) {
    }
    if (long_text && naive->finding->verdict == VERDICT_CUT_SHORT) {
        naive->finding->verdict = VERDICT_REFUSED;
    }
}

static void decode_naively(struct bytes text, struct finding *finding)
{
    struct naive naive = {.at = text.data, .end = text.data + text.len, .finding = finding};
    uint64_t size = 1;
    finding->len = 0;
    while (naive_size(&naive, &size)) {
        if (size == 0) {
            naive_trailers(&naive);
            break;
        }
        if (!naive_data(&naive, size)) {
            break;
        }
    }
    finding->used = (size_t)(naive.at - text.data);
}

/* One call's worth of bytes, at an address of its own, given until it is used up. */
static bool decode_piece(struct http_chunked *chunked, struct bytes piece, struct finding *finding)
{
    size_t used = 0;
    while (used < piece.len) {
        struct bytes rest = bytes_of(piece.data + used, piece.len - used);
        struct bytes part;
        size_t consumed;
        enum http_chunked_result result = http_chunked_next(chunked, rest, &consumed, &part);
        CHECK(consumed <= rest.len);
        used += consumed;
        finding->used += consumed;
        switch (result) {
        case HTTP_CHUNKED_MORE:
            CHECK(used == piece.len);
            break;
        case HTTP_CHUNKED_PART:
            CHECK(part.len > 0);
            CHECK(part.data + part.len == piece.data + used);
            memcpy(finding->body + finding->len, part.data, part.len);
            finding->len += part.len;
            break;
        case HTTP_CHUNKED_DONE:
            finding->verdict = VERDICT_WHOLE;
            return false;
        case HTTP_CHUNKED_REFUSED:
            CHECK(chunked->refusal == ERR_MALFORMED || chunked->refusal == ERR_HEADERS_TOO_LARGE);
            CHECK(chunked->detail != NULL);
            finding->verdict = VERDICT_REFUSED;
            return false;
        }
    }
    return true;
}

/* Pieces of 1 to piece_max bytes; 0: one piece of all. */
static void decode(struct bytes text, size_t piece_max, struct finding *finding)
{
    struct http_chunked chunked;
    uint64_t random = piece_max;
    bool more = true;
    http_chunked_init(&chunked);
    finding->verdict = VERDICT_CUT_SHORT;
    finding->used = 0;
    finding->len = 0;
    for (size_t at = 0; more && at < text.len;) {
        size_t len = text.len - at;
        if (piece_max > 0) {
            random = hash64_mix(random, at);
            size_t wanted = 1 + (size_t)(random % piece_max);
            len = wanted < len ? wanted : len;
        }
        uint8_t *copy = malloc(len);
        CHECK(copy != NULL);
        memcpy(copy, text.data + at, len);
        more = decode_piece(&chunked, bytes_of(copy, len), finding);
        free(copy);
        at += len;
    }
}

static void check_same(const struct finding *finding, const struct finding *naive)
{
    CHECK(finding->verdict == naive->verdict);
    CHECK(finding->verdict != VERDICT_WHOLE || finding->used == naive->used);
    CHECK(finding->len == naive->len);
    CHECK(memcmp(finding->body, naive->body, finding->len) == 0);
}

/* The bytes as a body: in chunks whose sizes are drawn. */
static void encode(struct bytes body, uint64_t random, struct buf *text)
{
    static const char digits[] = "0123456789aBcDeF";
    for (size_t at = 0; at < body.len;) {
        random = hash64_mix(random, at);
        size_t wanted = 1 + (size_t)(random % 300);
        size_t len = wanted < body.len - at ? wanted : body.len - at;
        buf_put_u8(text, (uint8_t)digits[len >> 8]);
        buf_put_u8(text, (uint8_t)digits[len >> 4 & 15]);
        buf_put_u8(text, (uint8_t)digits[len & 15]);
        buf_put_text(text, random >> 60 == 0 ? ";name=\"value\"\r\n" : "\r\n");
        buf_put_bytes(text, bytes_of(body.data + at, len));
        buf_put_text(text, "\r\n");
        at += len;
    }
    buf_put_text(text, "0\r\nExpires: never\r\n\r\n");
}

static void try_round_trip(struct bytes body, size_t piece_max)
{
    static uint8_t memory[32 * ROUND_TRIP_MAX];
    static struct finding finding;
    struct buf text = buf_of(memory, sizeof(memory));
    if (body.len > ROUND_TRIP_MAX) {
        return;
    }
    encode(body, piece_max, &text);
    CHECK(!text.overflow);
    decode(buf_bytes(&text), piece_max, &finding);
    CHECK(finding.verdict == VERDICT_WHOLE);
    CHECK(finding.used == text.len);
    CHECK(bytes_equal(bytes_of(finding.body, finding.len), body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct finding naive;
    static struct finding finding;
    if (size == 0 || size > BYTES_MAX) {
        return 0;
    }
    struct bytes text = bytes_of(data + 1, size - 1);
    size_t shortest = 1 + text.len / CUT_BYTES_MAX;
    const size_t piece_max[] = {0, shortest, shortest + data[0]};
    decode_naively(text, &naive);
    for (size_t i = 0; i < sizeof(piece_max) / sizeof(piece_max[0]); i++) {
        decode(text, piece_max[i], &finding);
        check_same(&finding, &naive);
    }
    try_round_trip(text, (size_t)1 + data[0]);
    return 0;
}
