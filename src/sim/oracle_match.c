/* What a metric answered, against what was counted out for it (oracle_windows.c).
 *
 *  1. Every expected row is answered, once; and no other.
 *  2. Its window has the metric's size; n, c, s, lo, hi are the counted ones, exactly. With no x at all
 *     lo and hi are NULL, and s is NULL or 0.
 *  3. closed and final are as the last pulse left them.
 *  4. The revision is 0 unless late events corrected the row, and then from 1 to as many as they were.
 *  5. No row is for an overflow: nobody here makes that many groups.
 *
 * A row with events that may or may not be in it (`maybe`) is held to claims 1, 3 and 5, and to its
 * count being from all of the certain ones to all of both. */
#include "sim/oracle_windows.h"

#include "api/sort.h"
#include "host/result.h"
#include "sim/log_reader.h"

#include <stdlib.h>

#define NANO 1000000000LL

/* A row as it was answered. */
struct answer {
    struct expected_row key; /* window and group only */
    uint8_t flags;
    uint32_t revision;
    struct value n;
    struct value c;
    struct value s;
    struct value lo;
    struct value hi;
};

struct answers {
    struct answer *items;
    size_t count;
    size_t capacity;
};

static int compare_answers(const void *a, const void *b, const void *ctx)
{
    const struct answer *left = a;
    const struct answer *right = b;
    (void)ctx;
    return expected_row_compare(&left->key, &right->key);
}

/* A finding about a row. */
static bool wrong(struct finding *finding,
                  const struct recipe *recipe,
                  const struct expected_row *key,
                  const char *what)
{
    return finding_say(finding,
                       "metric %.*s, window %lld, source %u, type %u, subject %u: %s",
                       RECIPE_NAME_BYTES,
                       recipe->name,
                       (long long)key->window_start,
                       (unsigned)key->source,
                       (unsigned)key->type,
                       (unsigned)key->subject,
                       what);
}

static bool read_group(struct reader *in, char prefix, uint32_t *number)
{
    struct value value;
    return value_read(in, &value) && value.kind == VALUE_TEXT &&
           text_number(value.text, prefix, number);
}

static bool read_subject(struct reader *in, uint32_t *number)
{
    struct value value;
    *number = 0;
    if (!value_read(in, &value)) {
        return false;
    }
    return value.kind == VALUE_NULL ||
           (value.kind == VALUE_TEXT && text_number(value.text, 'k', number) && *number != 0);
}

static bool read_key(const struct recipe *recipe, struct bytes bytes, struct expected_row *key)
{
    struct reader in = reader_of(bytes);
    bool good = true;
    switch (recipe->group) {
    case BY_NOTHING:
        break;
    case BY_TYPE:
        good = read_group(&in, 't', &key->type);
        break;
    case BY_SOURCE:
        good = read_group(&in, 's', &key->source);
        break;
    case BY_SUBJECT:
        good = read_subject(&in, &key->subject);
        break;
    case BY_SOURCE_AND_TYPE:
        good = read_group(&in, 's', &key->source) && read_group(&in, 't', &key->type);
        break;
    }
    return good && !in.bad && reader_left(&in) == 0;
}

static bool read_answer(const struct recipe *recipe,
                        const struct result_row *row,
                        struct answer *answer,
                        struct finding *finding)
{
    *answer = (struct answer){
        .key = {.window_start = row->window_start},
        .flags = row->flags,
        .revision = row->revision,
    };
    if (!read_key(recipe, row->group_key, &answer->key)) {
        return wrong(finding, recipe, &answer->key, "a group that no event has");
    }
    struct reader in = reader_of(row->results);
    if (!value_read(&in, &answer->n) || !value_read(&in, &answer->c) ||
        !value_read(&in, &answer->s) || !value_read(&in, &answer->lo) ||
        !value_read(&in, &answer->hi) || reader_left(&in) > 0) {
        return wrong(finding, recipe, &answer->key, "results that can't be read");
    }
    return row->window_end == time_add(row->window_start, recipe->window_us) ||
           wrong(finding, recipe, &answer->key, "a window of another size");
}

static bool put_answer(struct answers *answers, struct answer answer, struct finding *finding)
{
    if (answers->count == answers->capacity) {
        size_t capacity = answers->capacity == 0 ? 256 : 2 * answers->capacity;
        struct answer *items = realloc(answers->items, capacity * sizeof(*items));
        if (items == NULL) {
            return finding_say(finding, "no memory to judge");
        }
        answers->items = items;
        answers->capacity = capacity;
    }
    answers->items[answers->count++] = answer;
    return true;
}

static bool read_answers(const struct recipe *recipe,
                         struct bytes part,
                         struct answers *answers,
                         struct finding *finding)
{
    struct reader in = reader_of(part);
    struct result_row row;
    struct answer answer;
    while (result_next(&in, &row)) {
        if (!read_answer(recipe, &row, &answer, finding) || !put_answer(answers, answer, finding)) {
            return false;
        }
    }
    return (!in.bad && reader_left(&in) == 0) ||
           finding_say(
               finding, "metric %.*s: rows that can't be read", RECIPE_NAME_BYTES, recipe->name);
}

static bool is_whole(struct value value, int128 number)
{
    return value.kind == VALUE_NUMBER && value.nano == number * NANO;
}

/* A whole number from low to high. */
static bool is_count(struct value value, uint64_t low, uint64_t high)
{
    return value.kind == VALUE_NUMBER && value.nano % NANO == 0 &&
           value.nano / NANO >= (int128)low && value.nano / NANO <= (int128)high;
}

/* What of the aggregates is wrong; NULL: nothing. */
static const char *wrong_result(const struct expected_row *row, const struct answer *answer)
{
    if (!is_count(answer->n, row->count, row->count + row->maybe)) {
        return "n is not the number of its events";
    }
    if (!is_count(answer->c, row->x_count, row->x_count + row->maybe)) {
        return "c is not the number of its x";
    }
    if (row->maybe > 0) {
        return NULL;
    }
    if (row->x_count == 0) {
        bool no_sum = answer->s.kind == VALUE_NULL || is_whole(answer->s, 0);
        bool no_ends = answer->lo.kind == VALUE_NULL && answer->hi.kind == VALUE_NULL;
        return no_sum && no_ends ? NULL : "s, lo or hi without any x";
    }
    if (!is_whole(answer->s, row->x_sum)) {
        return "s is not the sum of its x";
    }
    if (!is_whole(answer->lo, row->x_min)) {
        return "lo is not the least of its x";
    }
    return is_whole(answer->hi, row->x_max) ? NULL : "hi is not the largest of its x";
}

/* What of its time is wrong; NULL: nothing. */
static const char *wrong_time(const struct expected_row *row, const struct answer *answer)
{
    bool closed = (answer->flags & RESULT_CLOSED) != 0;
    bool final = (answer->flags & RESULT_FINAL) != 0;
    if ((answer->flags & RESULT_OVERFLOW) != 0) {
        return "an overflow";
    }
    if (final && !closed) {
        return "final, but not closed";
    }
    if (row->time_open) {
        return NULL;
    }
    if (closed != row->closed) {
        return closed ? "closed too early" : "not closed";
    }
    if (final != row->final) {
        return final ? "final too early" : "not final";
    }
    if (row->maybe > 0) {
        return NULL;
    }
    if (row->corrected != (answer->revision > 0)) {
        return row->corrected ? "corrected without a revision" : "a revision without a correction";
    }
    return answer->revision <= row->late ? NULL : "more revisions than late events";
}

static bool match_row(const struct recipe *recipe,
                      const struct expected_row *row,
                      const struct answer *answer,
                      struct finding *finding)
{
    const char *what = wrong_result(row, answer);
    what = what != NULL ? what : wrong_time(row, answer);
    return what == NULL || wrong(finding, recipe, row, what);
}

/* Both stand in the same order. */
static bool match_all(const struct recipe *recipe,
                      const struct expected_metric *expected,
                      const void **answers,
                      size_t count,
                      struct finding *finding)
{
    size_t at = 0;
    for (size_t i = 0; i < expected->row_count; i++) {
        const struct expected_row *row = &expected->rows[i];
        const struct answer *answer = at < count ? answers[at] : NULL;
        int order = answer == NULL ? -1 : expected_row_compare(row, &answer->key);
        if (order > 0) {
            return wrong(finding, recipe, &answer->key, "a row that nothing was counted in");
        }
        if (order < 0) {
            if (row->count > 0 && !row->may_be_gone) {
                return wrong(finding, recipe, row, "its row is missing");
            }
            continue;
        }
        if (!match_row(recipe, row, answer, finding)) {
            return false;
        }
        at++;
    }
    if (at < count) {
        const struct answer *more = answers[at];
        return wrong(finding, recipe, &more->key, "a row too many, or twice");
    }
    return true;
}

bool oracle_windows_match(const struct recipe *recipe,
                          const struct expected_metric *expected,
                          const struct bytes *answers,
                          size_t answer_count,
                          struct finding *finding)
{
    *finding = (struct finding){0};
    struct answers rows = {0};
    bool good = true;
    for (size_t i = 0; good && i < answer_count; i++) {
        good = read_answers(recipe, answers[i], &rows, finding);
    }
    const void **sorted = calloc(rows.count + 1, sizeof(*sorted));
    const void **scratch = calloc(rows.count + 1, sizeof(*scratch));
    if (good && (sorted == NULL || scratch == NULL)) {
        good = finding_say(finding, "no memory to judge");
    }
    if (good) {
        for (size_t i = 0; i < rows.count; i++) {
            sorted[i] = &rows.items[i];
        }
        sort_stable(sorted, scratch, rows.count, compare_answers, NULL);
        good = match_all(recipe, expected, sorted, rows.count, finding);
    }
    free(sorted);
    free(scratch);
    free(rows.items);
    return good;
}

static uint64_t missing(uint64_t least, uint64_t actual)
{
    return actual < least ? least - actual : 0;
}

static uint64_t sum_of(const struct expected_fates *fates)
{
    return fates->counted + fates->filtered + fates->late_corrected + fates->late_dropped;
}

bool oracle_fates_match(const struct recipe *recipe,
                        const struct expected_metric *expected,
                        const struct expected_fates *fates,
                        struct finding *finding)
{
    const struct expected_fates *least = &expected->fates;
    *finding = (struct finding){0};
    bool enough = missing(least->counted, fates->counted) == 0 &&
                  missing(least->filtered, fates->filtered) == 0 &&
                  missing(least->late_corrected, fates->late_corrected) == 0 &&
                  missing(least->late_dropped, fates->late_dropped) == 0;
    if (enough && sum_of(fates) <= sum_of(least) + least->open) {
        return true;
    }
    return finding_say(finding,
                       "metric %.*s: counted %llu, filtered %llu, corrected %llu, dropped %llu "
                       "instead of %llu, %llu, %llu, %llu and %llu of any",
                       RECIPE_NAME_BYTES,
                       recipe->name,
                       (unsigned long long)fates->counted,
                       (unsigned long long)fates->filtered,
                       (unsigned long long)fates->late_corrected,
                       (unsigned long long)fates->late_dropped,
                       (unsigned long long)least->counted,
                       (unsigned long long)least->filtered,
                       (unsigned long long)least->late_corrected,
                       (unsigned long long)least->late_dropped,
                       (unsigned long long)least->open);
}
