/* The merge of the feed: see feed_merge.h.
 *
 * Invariants:
 *  1. What comes out rises strictly.
 *  2. When a place comes out, all notes before it have come out, or can't be known any more. */
#include "host/feed_merge.h"

#include "base/check.h"

static void advance(struct feed_merge *merge, uint32_t runner)
{
    merge->there[runner] = feed_row_next(&merge->rows[runner], &merge->next[runner]);
    CHECK(!merge->rows[runner].bad);
}

void feed_merge_init(struct feed_merge *merge, const struct query *query)
{
    merge->count = query->runner_count;
    merge->ordinal = UINT64_MAX;
    for (uint32_t n = 0; n < merge->count; n++) {
        const struct query_answer *answer = &query->answers[n];
        CHECK(answer->err == OK);
        merge->ordinal = answer->ordinal < merge->ordinal ? answer->ordinal : merge->ordinal;
        merge->cut[n] = answer->next_place != UINT32_MAX;
        merge->rows[n] = reader_of(buf_bytes(&answer->rows));
        advance(merge, n);
    }
}

bool feed_merge_next(struct feed_merge *merge, struct feed_row *row)
{
    uint32_t first = merge->count;
    for (uint32_t n = 0; n < merge->count; n++) {
        if (!merge->there[n] && merge->cut[n]) {
            return false; /* its next note is not known */
        }
        bool before = merge->there[n] &&
                      (first == merge->count ||
                       feed_place_compare(merge->next[n].place, merge->next[first].place) < 0);
        first = before ? n : first;
    }
    if (first == merge->count || merge->next[first].place.ordinal > merge->ordinal) {
        return false;
    }
    *row = merge->next[first];
    advance(merge, first);
    return true;
}

struct feed_place feed_forgotten(const struct query *query)
{
    struct feed_place forgotten = {0};
    for (uint32_t n = 0; n < query->runner_count; n++) {
        if (feed_place_compare(query->answers[n].forgotten, forgotten) > 0) {
            forgotten = query->answers[n].forgotten;
        }
    }
    return forgotten;
}
