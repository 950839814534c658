/* Which byte may stand where in a request (RFC 9110, 9112, 3986), as one table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_char {
    HTTP_CHAR_TOKEN = 0x01, /* tchar, RFC 9110 section 5.6.2 */
    HTTP_CHAR_VALUE = 0x02, /* field-vchar, obs-text, SP and HTAB, section 5.5 */
    HTTP_CHAR_PATH = 0x04,  /* pchar, '/' and '%', RFC 3986 section 3.3 */
    HTTP_CHAR_QUERY = 0x08, /* these and '?', section 3.4 */
    HTTP_CHAR_HOST = 0x10,  /* unreserved; sub-delims and '%' are legal too but never in use */
    HTTP_CHAR_HEX = 0x20,
    HTTP_CHAR_DIGIT = 0x40,
};

extern const uint8_t http_char_classes[256];

static inline bool http_char_is(uint8_t byte, enum http_char class)
{
    return (http_char_classes[byte] & (uint8_t) class) != 0;
}

/* How many bytes from `at` on are of the class. */
static inline size_t http_char_run(const uint8_t *at, size_t len, enum http_char class)
{
    size_t i = 0;
    while (i < len && http_char_is(at[i], class)) {
        i++;
    }
    return i;
}
