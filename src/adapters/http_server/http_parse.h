/* The head of a request: request line and fields, parsed strictly and incrementally (RFC 9112).
 *
 * The parser keeps offsets, not pointers, so the bytes may move between calls. It never copies.
 *
 * Invariants:
 *  1. line_start <= scanned <= what the last call was given; both only grow.
 *  2. The outcome depends on the bytes alone, not on how they were cut into calls.
 *  3. After REFUSED or DONE it is not called again before http_head_init. */
#pragma once

#include "ports/http.h"

#define HTTP_URI_BYTES_MAX    ((size_t)8 * 1024)
#define HTTP_METHOD_BYTES_MAX 32

enum http_parse {
    HTTP_PARSE_MORE,    /* well so far */
    HTTP_PARSE_DONE,    /* the head is complete: its length is http_head_len */
    HTTP_PARSE_REFUSED, /* see refusal and detail; the connection must close */
};

struct http_span {
    uint16_t at;
    uint16_t len;
};

struct http_head {
    uint32_t scanned;    /* no line ends before it */
    uint32_t line_start; /* of the line that is not complete yet */
    uint8_t field_count;
    bool begun; /* the request line was read */
    bool empty_line_skipped;
    bool http_1_0;
    bool host_seen;
    bool chunked;
    bool has_length;
    bool close;           /* Connection: close */
    bool keep_alive;      /* Connection: keep-alive */
    bool expect_continue; /* Expect: 100-continue */
    enum http_method method;
    uint64_t content_length;
    struct http_span path;  /* len == 0: path_fixed is the path */
    struct http_span query; /* len == 0: none */
    struct http_span host;  /* of the target, else of the Host field; len == 0: none */
    struct bytes path_fixed;
    enum err refusal;
    const char *detail; /* a sentence's part, for the client */
    struct {
        struct http_span name;
        struct http_span value;
    } fields[HTTP_FIELDS_MAX];
};

void http_head_init(struct http_head *head);

/* `input` begins with the head's first byte and holds at least what the call before was given. */
enum http_parse http_head_parse(struct http_head *head, struct bytes input);

/* After DONE: how many bytes the head takes. */
static inline size_t http_head_len(const struct http_head *head)
{
    return head->line_start;
}

/* After DONE: the request as slices of `base` (where the head's bytes lie now). `fields` has room
 * for HTTP_FIELDS_MAX. */
void http_head_request(const struct http_head *head,
                       const uint8_t *base,
                       struct http_request *request,
                       struct http_field *fields);

/* After DONE: the client's wish (RFC 9112 section 9.3). */
bool http_head_keep_alive(const struct http_head *head);
