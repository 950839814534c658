/* JSON without its white space. The text was validated, so a quote that is not escaped begins or ends a
 * string, and whatever white space stands outside of strings has no meaning. */
#include "base/json.h"

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* How far the run of bytes goes that are all kept, or all dropped, from `at` on. */
static size_t string_len(struct bytes text, size_t at)
{
    size_t end = at + 1;
    while (end < text.len && text.data[end] != '"') {
        end += text.data[end] == '\\' ? 2 : 1;
    }
    return (end < text.len ? end + 1 : text.len) - at;
}

void json_put_compact(struct buf *out, struct bytes text)
{
    size_t kept = 0; /* from here on nothing was written yet */
    size_t at = 0;
    while (at < text.len) {
        if (text.data[at] == '"') {
            at += string_len(text, at);
        } else if (is_space(text.data[at])) {
            buf_put_bytes(out, bytes_slice(text, kept, at - kept));
            at++;
            kept = at;
        } else {
            at++;
        }
    }
    buf_put_bytes(out, bytes_slice(text, kept, text.len - kept));
}
