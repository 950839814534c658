/* The chunked transfer coding (RFC 9112 section 7.1), decoded as it streams in, strictly.
 *
 * Invariants:
 *  1. A call consumes at least one byte of a non-empty input, unless it refuses.
 *  2. The parts, put together, depend on the bytes alone and not on how they were cut into calls.
 *  3. After DONE or REFUSED it is not called again before http_chunked_init. */
#pragma once

#include "ports/http.h"

#define HTTP_EXTENSION_BYTES_MAX  1024                /* of one chunk */
#define HTTP_EXTENSIONS_BYTES_MAX ((size_t)64 * 1024) /* of one body */
#define HTTP_TRAILER_BYTES_MAX    ((size_t)8 * 1024)

enum http_chunked_result {
    HTTP_CHUNKED_MORE,    /* the input is used up */
    HTTP_CHUNKED_PART,    /* `part` is the next piece of the body, a slice of the input */
    HTTP_CHUNKED_DONE,    /* the body and its trailers ended; what follows is the next request */
    HTTP_CHUNKED_REFUSED, /* see refusal and detail; the connection must close */
};

/* For the state diagram see http_chunked.c. */
enum http_chunked_state {
    CHUNKED_SIZE,
    CHUNKED_EXTENSION,
    CHUNKED_SIZE_LF,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_TRAILER,
    CHUNKED_TRAILER_NAME,
    CHUNKED_TRAILER_VALUE,
    CHUNKED_TRAILER_LF,
    CHUNKED_LAST_LF,
    CHUNKED_END,
};

struct http_chunked {
    enum http_chunked_state state;
    uint8_t digits;   /* of the size, so far */
    uint8_t name_len; /* of the trailer's name, so far; stays at the maximum when longer */
    uint16_t trailer_count;
    uint32_t extension_bytes;
    uint32_t extensions_bytes;
    uint32_t trailer_bytes;
    uint64_t size_left; /* of the chunk */
    uint8_t name[20];   /* of the trailer: enough to know the forbidden ones */
    enum err refusal;
    const char *detail;
};

void http_chunked_init(struct http_chunked *chunked);

/* Decodes from the front of `input`; *consumed says how much of it is dealt with. */
enum http_chunked_result http_chunked_next(struct http_chunked *chunked,
                                           struct bytes input,
                                           size_t *consumed,
                                           struct bytes *part);
