/* The head of an HTTP/1.1 response, from bytes. */
#pragma once

#include "base/err.h"

#define HTTP_REPLY_HEAD_MAX (16 * 1024)

struct http_reply_head {
    int status;
    size_t len; /* of the head, its empty line included */
    bool chunked;
    bool length_known;
    uint64_t content_length;
    bool close;            /* the connection ends after this response */
    int64_t retry_after_s; /* -1: not given, or a date */
    struct bytes fields;   /* the lines between status line and empty line */
};

/* OK; ERR_NOT_FOUND while the head is not complete yet; ERR_MALFORMED when it never will be a
 * response of HTTP/1.x. A head of a status without body (1xx, 204, 304) has length 0. */
enum err http_reply_head_parse(struct bytes input, struct http_reply_head *head) MUST_CHECK;

/* The first such field's value, without white space around; data == NULL when it is missing. */
struct bytes http_reply_field(const struct http_reply_head *head, const char *name);

/* Chunked coding (RFC 9112 7.1): reads the size line at the beginning of `input`. OK with the
 * chunk's size and the line's length; ERR_NOT_FOUND: incomplete; ERR_MALFORMED. */
enum err http_chunk_line_parse(struct bytes input, uint64_t *size, size_t *line_len) MUST_CHECK;
