/* The chunked coding.
 *
 *     SIZE --';'--> EXTENSION --CR--> SIZE_LF --LF--> DATA --> DATA_CR --> DATA_LF --> SIZE
 *       '---------------CR-------------^    '--LF, size 0--> TRAILER
 *
 *     TRAILER --CR--> LAST_LF --> END
 *       '--> TRAILER_NAME --':'--> TRAILER_VALUE --CR--> TRAILER_LF --> TRAILER
 *
 * Lines end with CR LF and nothing else; a size has 1 to 16 hex digits and no prefix, sign or
 * space. Extensions are skipped. Trailers are checked and dropped: nothing here acts on them, and
 * those that would reframe the message are refused. */
#include "adapters/http_server/http_chunked.h"

#include "adapters/http_server/http_chars.h"
#include "base/check.h"

#define SIZE_DIGITS_MAX 16 /* so that a size never overflows 64 bits */

void http_chunked_init(struct http_chunked *chunked)
{
    *chunked = (struct http_chunked){.state = CHUNKED_SIZE};
}

static bool refuse(struct http_chunked *chunked, enum err refusal, const char *detail)
{
    CHECK(chunked->refusal == OK);
    chunked->refusal = refusal;
    chunked->detail = detail;
    return false;
}

static uint64_t hex_value(uint8_t digit)
{
    return digit <= '9' ? (uint64_t)(digit - '0') : (uint64_t)((digit | 0x20) - 'a' + 10);
}

static bool take_size(struct http_chunked *chunked, uint8_t byte)
{
    if (http_char_is(byte, HTTP_CHAR_HEX)) {
        if (chunked->digits == SIZE_DIGITS_MAX) {
            return refuse(chunked, ERR_MALFORMED, "a chunk size has more than 16 digits");
        }
        chunked->digits++;
        chunked->size_left = chunked->size_left << 4 | hex_value(byte);
        return true;
    }
    if (chunked->digits == 0 || (byte != '\r' && byte != ';')) {
        return refuse(chunked, ERR_MALFORMED, "a chunk size is not a hex number");
    }
    chunked->state = byte == '\r' ? CHUNKED_SIZE_LF : CHUNKED_EXTENSION;
    return true;
}

static bool take_extension(struct http_chunked *chunked, uint8_t byte)
{
    if (byte == '\r') {
        chunked->state = CHUNKED_SIZE_LF;
        return true;
    }
    if (!http_char_is(byte, HTTP_CHAR_VALUE)) {
        return refuse(chunked, ERR_MALFORMED, "a chunk extension has a control character");
    }
    chunked->extension_bytes++;
    chunked->extensions_bytes++;
    if (chunked->extension_bytes > HTTP_EXTENSION_BYTES_MAX ||
        chunked->extensions_bytes > HTTP_EXTENSIONS_BYTES_MAX) {
        return refuse(chunked, ERR_MALFORMED, "the chunk extensions are too long");
    }
    return true;
}

/* A byte that must be the given one. */
static bool take_exactly(struct http_chunked *chunked,
                         uint8_t byte,
                         uint8_t wanted,
                         enum http_chunked_state next)
{
    if (byte != wanted) {
        return refuse(
            chunked, ERR_MALFORMED, "a line of the chunked coding does not end with CR LF");
    }
    chunked->state = next;
    return true;
}

static bool name_forbidden(const struct http_chunked *chunked)
{
    struct bytes name = bytes_of(chunked->name, chunked->name_len);
    return http_name_equal(name, BYTES("Content-Length")) || http_name_equal(name, BYTES("Host")) ||
           http_name_equal(name, BYTES("Transfer-Encoding"));
}

static bool take_trailer_name(struct http_chunked *chunked, uint8_t byte)
{
    if (byte == ':') {
        if (chunked->name_len == 0 || name_forbidden(chunked)) {
            return refuse(chunked, ERR_MALFORMED, "a trailer may not be given here");
        }
        chunked->state = CHUNKED_TRAILER_VALUE;
        return true;
    }
    if (!http_char_is(byte, HTTP_CHAR_TOKEN)) {
        return refuse(chunked, ERR_MALFORMED, "a trailer line is not name, colon, value");
    }
    if (chunked->name_len < sizeof(chunked->name)) {
        chunked->name[chunked->name_len++] = byte;
    }
    return true;
}

static bool take_trailer(struct http_chunked *chunked, uint8_t byte)
{
    if (byte == '\r') {
        chunked->state = CHUNKED_LAST_LF;
        return true;
    }
    if (chunked->trailer_count == HTTP_FIELDS_MAX) {
        return refuse(chunked, ERR_HEADERS_TOO_LARGE, "there are more than 64 trailers");
    }
    chunked->trailer_count++;
    chunked->name_len = 0;
    chunked->state = CHUNKED_TRAILER_NAME;
    return take_trailer_name(chunked, byte);
}

static bool take_trailer_value(struct http_chunked *chunked, uint8_t byte)
{
    if (byte == '\r') {
        chunked->state = CHUNKED_TRAILER_LF;
        return true;
    }
    return http_char_is(byte, HTTP_CHAR_VALUE) ||
           refuse(chunked, ERR_MALFORMED, "a trailer's value has a control character");
}

static bool take_size_lf(struct http_chunked *chunked, uint8_t byte)
{
    bool last = chunked->size_left == 0;
    chunked->digits = 0;
    chunked->extension_bytes = 0;
    return take_exactly(chunked, byte, '\n', last ? CHUNKED_TRAILER : CHUNKED_DATA);
}

/* Any byte but those of the data. */
static bool take(struct http_chunked *chunked, uint8_t byte)
{
    if (chunked->state >= CHUNKED_TRAILER && ++chunked->trailer_bytes > HTTP_TRAILER_BYTES_MAX) {
        return refuse(chunked, ERR_HEADERS_TOO_LARGE, "the trailers are too large");
    }
    switch (chunked->state) {
    case CHUNKED_SIZE:
        return take_size(chunked, byte);
    case CHUNKED_EXTENSION:
        return take_extension(chunked, byte);
    case CHUNKED_SIZE_LF:
        return take_size_lf(chunked, byte);
    case CHUNKED_DATA_CR:
        return take_exactly(chunked, byte, '\r', CHUNKED_DATA_LF);
    case CHUNKED_DATA_LF:
        return take_exactly(chunked, byte, '\n', CHUNKED_SIZE);
    case CHUNKED_TRAILER:
        return take_trailer(chunked, byte);
    case CHUNKED_TRAILER_NAME:
        return take_trailer_name(chunked, byte);
    case CHUNKED_TRAILER_VALUE:
        return take_trailer_value(chunked, byte);
    case CHUNKED_TRAILER_LF:
        return take_exactly(chunked, byte, '\n', CHUNKED_TRAILER);
    case CHUNKED_LAST_LF:
        return take_exactly(chunked, byte, '\n', CHUNKED_END);
    case CHUNKED_DATA:
    case CHUNKED_END:
        break;
    }
    CHECK(chunked->state != CHUNKED_DATA);
    CHECK(chunked->state != CHUNKED_END);
    return false;
}

static size_t take_data(struct http_chunked *chunked, struct bytes input, struct bytes *part)
{
    size_t len = input.len < chunked->size_left ? input.len : (size_t)chunked->size_left;
    *part = bytes_of(input.data, len);
    chunked->size_left -= len;
    if (chunked->size_left == 0) {
        chunked->state = CHUNKED_DATA_CR;
    }
    return len;
}

enum http_chunked_result http_chunked_next(struct http_chunked *chunked,
                                           struct bytes input,
                                           size_t *consumed,
                                           struct bytes *part)
{
    CHECK(chunked->refusal == OK);
    CHECK(chunked->state != CHUNKED_END);
    size_t at = 0;
    *consumed = 0;
    *part = (struct bytes){0};
    while (at < input.len) {
        if (chunked->state == CHUNKED_DATA) {
            at += take_data(chunked, bytes_of(input.data + at, input.len - at), part);
            *consumed = at;
            return HTTP_CHUNKED_PART;
        }
        if (!take(chunked, input.data[at])) {
            return HTTP_CHUNKED_REFUSED;
        }
        at++;
        if (chunked->state == CHUNKED_END) {
            *consumed = at;
            return HTTP_CHUNKED_DONE;
        }
    }
    *consumed = at;
    return HTTP_CHUNKED_MORE;
}
