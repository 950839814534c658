/* Errors with their place and words.
 *
 * Invariants:
 *  1. The texts are NUL-terminated, valid UTF-8 when the statement is, and never cut in the middle
 *     of a character.
 *  2. line and column count from 1; the column counts bytes. */
#include "lang/diagnosis.h"

#include "base/check.h"

#define DETAIL_MAX 48
#define WORD_MAX   24 /* longer words are never near to another */

static void find_place(struct bytes text, size_t offset, struct error *error)
{
    CHECK(offset <= text.len);
    error->line = 1;
    error->column = 1;
    for (size_t i = 0; i < offset; i++) {
        error->column += 1;
        if (text.data[i] == '\n') {
            error->line += 1;
            error->column = 1;
        }
    }
}

/* The longest beginning of at most `len` bytes that ends between two characters. */
static size_t whole_characters(struct bytes text, size_t len)
{
    if (len >= text.len) {
        return text.len;
    }
    while (len > 0 && (text.data[len] & 0xc0) == 0x80) {
        len -= 1;
    }
    return len;
}

static void put_detail(struct buf *out, struct bytes detail)
{
    size_t len = whole_characters(detail, DETAIL_MAX);
    for (size_t i = 0; i < len; i++) {
        buf_put_u8(out, detail.data[i] < ' ' ? ' ' : detail.data[i]);
    }
    if (len < detail.len) {
        buf_put_text(out, "...");
    }
}

/* Writes the sentence into `room` bytes. Every sentence of the language fits; a detail is short. */
static void write_sentence(char *to, size_t room, const char *sentence, struct bytes detail)
{
    struct buf out = buf_of(to, room - 1);
    struct bytes rest = bytes_of_string(sentence);
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.data[i] == '%') {
            put_detail(&out, detail);
        } else {
            buf_put_u8(&out, rest.data[i]);
        }
    }
    CHECK(out.len < room);
    out.len = whole_characters(bytes_of(to, room - 1), out.len);
    to[out.len] = '\0';
}

bool diagnosis_fail(struct diagnosis *diagnosis,
                    enum err code,
                    size_t offset,
                    const char *sentence,
                    struct bytes detail)
{
    struct error *error = diagnosis->error;
    CHECK(code != OK);
    memset(error, 0, sizeof(*error));
    error->code = code;
    find_place(diagnosis->text, offset, error);
    write_sentence(error->text, sizeof(error->text), sentence, detail);
    return false;
}

bool diagnosis_hint(struct diagnosis *diagnosis, const char *sentence, struct bytes detail)
{
    CHECK(diagnosis->error->code != OK);
    write_sentence(diagnosis->error->hint, sizeof(diagnosis->error->hint), sentence, detail);
    return false;
}

static uint8_t folded(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static int min_of(int a, int b)
{
    return a < b ? a : b;
}

/* Edits between two short words (insertions, deletions, replacements, swaps of neighbours): three
 * rows of the usual table. */
static int edit_distance(struct bytes a, struct bytes b)
{
    int rows[3][WORD_MAX + 1];
    CHECK(a.len <= WORD_MAX);
    CHECK(b.len <= WORD_MAX);
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = (int)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        int *row = rows[i % 3];
        const int *before = rows[(i + 2) % 3];
        const int *two_before = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = folded(a.data[i - 1]) == folded(b.data[j - 1]);
            int best = min_of(before[j - 1] + (same ? 0 : 1), min_of(before[j], row[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && folded(a.data[i - 1]) == folded(b.data[j - 2]) &&
                           folded(a.data[i - 2]) == folded(b.data[j - 1]);
            row[j] = swapped ? min_of(best, two_before[j - 2] + 1) : best;
        }
    }
    return rows[a.len % 3][b.len];
}

const char *nearest_word(struct bytes word, const char *const *candidates, int distance_max)
{
    const char *nearest = NULL;
    int nearest_distance = distance_max + 1;
    for (; *candidates != NULL; candidates++) {
        struct bytes candidate = bytes_of_string(*candidates);
        if (word.len > WORD_MAX || candidate.len > WORD_MAX) {
            continue;
        }
        int distance = edit_distance(word, candidate);
        if (distance < nearest_distance) {
            nearest = *candidates;
            nearest_distance = distance;
        }
    }
    return nearest;
}

bool diagnosis_suggest(struct diagnosis *diagnosis,
                       struct bytes word,
                       const char *const *candidates)
{
    int distance_max = word.len <= 3 ? 1 : word.len <= 7 ? 2 : 3;
    const char *nearest = nearest_word(word, candidates, distance_max);
    if (nearest != NULL && !bytes_equal(word, bytes_of_string(nearest))) {
        return diagnosis_hint(diagnosis, "did you mean %?", bytes_of_string(nearest));
    }
    return false;
}
