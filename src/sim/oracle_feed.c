/* The judge of what was read about timeouts: pages of the feed, and single timeouts.
 *
 * A note's place is (pulse ordinal, partition, number): the first two follow from the log, the number
 * is what the first reader was told, and every later one must be told the same.
 *
 * What is claimed:
 *  1. Each note read is one that fired, in all its parts, at the place where it was always read.
 *  2. A page goes on where its reader was: between two notes of it, and between the place that was
 *     asked for and the first one, there is none, but those it says are forgotten; behind a page that
 *     says it is the last, none up to its pulse.
 *  3. What is forgotten was kept as long as it had to be, or the budget was used up: whoever set a small
 *     one asks for it.
 *  4. A timeout is shown as it was at one moment of the log, not before what its reader knew, not
 *     after what was durable. */
#include "sim/oracle_timeouts.h"

#include "sim/log_reader.h"

#include <stdlib.h>

/* Notes of one pulse and partition: [first, end) of the expected ones. */
struct group {
    size_t first;
    size_t end;
};

static int compare_group(const struct heard_note *note, struct feed_place place)
{
    if (note->place.ordinal != place.ordinal) {
        return note->place.ordinal < place.ordinal ? -1 : 1;
    }
    return (note->place.partition > place.partition) - (note->place.partition < place.partition);
}

/* The group of a place; empty where nothing fired: then it is where it would be. */
static struct group find_group(const struct expected_timeouts *expected, struct feed_place place)
{
    size_t low = 0;
    size_t high = expected->note_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_group(&expected->notes[middle], place) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct group group = {low, low};
    while (group.end < expected->note_count &&
           compare_group(&expected->notes[group.end], place) == 0) {
        group.end++;
    }
    return group;
}

static bool wrong(struct finding *finding, const char *what, struct feed_place place, uint32_t key)
{
    return finding_say(finding,
                       "feed: %s: pulse %llu, partition %u, number %u, key t%u",
                       what,
                       (unsigned long long)place.ordinal,
                       (unsigned)place.partition,
                       (unsigned)place.number,
                       (unsigned)key);
}

static bool same_note(const struct heard_note *a, const struct heard_note *b)
{
    return a->kind == b->kind && a->flags == b->flags && a->generation == b->generation &&
           a->clock.us == b->clock.us && a->position == b->position && a->deadline == b->deadline &&
           a->started == b->started && a->last_seen == b->last_seen && a->fired.us == b->fired.us &&
           a->data_digest == b->data_digest;
}

static bool judge_note(struct expected_timeouts *expected,
                       const struct heard_note *note,
                       struct finding *finding)
{
    struct group group = find_group(expected, note->place);
    struct heard_note *right = NULL;
    for (size_t n = group.first; n < group.end; n++) {
        struct heard_note *one = &expected->notes[n];
        bool same =
            one->rule == note->rule && one->kind == note->kind && one->key == note->key &&
            one->generation == note->generation &&
            (one->rule == 0 || (one->deadline == note->deadline && one->started == note->started));
        if (same) {
            right = one;
        } else if (one->place.number == note->place.number) {
            return wrong(finding, "a place holds two notes", note->place, note->key);
        }
    }
    if (right == NULL) {
        return wrong(finding, "a note of what did not fire there", note->place, note->key);
    }
    if (note->place.number == 0 || note->place.number > group.end - group.first ||
        (right->place.number != 0 && right->place.number != note->place.number)) {
        return wrong(finding, "a note moved", note->place, note->key);
    }
    right->place.number = note->place.number;
    return same_note(right, note) ||
           wrong(finding, "a note is not what fired", note->place, note->key);
}

/* How many expected notes lie behind `after`, up to the group of `to` and its number, both given by
 * the expectation. */
static size_t notes_up_to(const struct expected_timeouts *expected, struct feed_place place)
{
    struct group group = find_group(expected, place);
    size_t size = group.end - group.first;
    return group.first + (place.number < size ? place.number : size);
}

/* What is forgotten was kept its time. */
static bool judge_forgotten(const struct expected_timeouts *expected,
                            const struct history *history,
                            struct feed_place forgotten,
                            struct finding *finding)
{
    struct group group = find_group(expected, forgotten);
    if (forgotten.ordinal == 0 || history->feed_keep_us == 0) {
        return true;
    }
    if (group.first == group.end) {
        return wrong(finding, "what never was is forgotten", forgotten, 0);
    }
    const struct heard_note *note = &expected->notes[group.first];
    return expected->clock.us - note->clock.us >= history->feed_keep_us ||
           wrong(finding, "a note is forgotten too soon", forgotten, note->key);
}

static bool judge_page(struct expected_timeouts *expected,
                       const struct history *history,
                       const struct heard_page *page,
                       struct finding *finding)
{
    bool late = feed_place_compare(page->forgotten, page->after) > 0;
    struct feed_place before = late ? page->forgotten : page->after;
    const struct heard_note *notes = history->notes + page->first;
    for (size_t n = 0; n < page->count; n++) {
        const struct heard_note *note = &notes[n];
        bool behind = feed_place_compare(n == 0 ? page->after : before, note->place) < 0;
        if (!behind) {
            return wrong(finding, "a page does not rise", note->place, note->key);
        }
        if (!judge_note(expected, note, finding)) {
            return false;
        }
        /* What one partition forgot, another still has: up to there any may be missing. */
        bool lost = feed_place_compare(page->forgotten, before) > 0;
        size_t base = notes_up_to(expected, lost ? page->forgotten : before);
        if (feed_place_compare(page->forgotten, note->place) < 0 &&
            notes_up_to(expected, note->place) != base + 1) {
            return wrong(finding, "a page left out what is before", note->place, note->key);
        }
        before = note->place;
    }
    before = feed_place_compare(page->forgotten, before) > 0 ? page->forgotten : before;
    const struct feed_place end = {page->ordinal, UINT32_MAX, UINT32_MAX};
    if (page->last && feed_place_compare(before, end) < 0 &&
        notes_up_to(expected, end) != notes_up_to(expected, before)) {
        return wrong(finding, "a page calls itself the last, and more fired", before, 0);
    }
    return true;
}

bool oracle_feed_holds(const struct history *history,
                       struct expected_timeouts *expected,
                       struct finding *finding)
{
    bool good = true;
    for (size_t n = 0; good && n < history->page_count; n++) {
        good = judge_forgotten(expected, history, history->pages[n].forgotten, finding) &&
               judge_page(expected, history, &history->pages[n], finding);
    }
    return good;
}

/* --- sights --- */

static bool sight_holds(const struct expected_timer *timer, const struct sight *sight)
{
    for (size_t n = 0; n <= timer->change_count; n++) {
        const struct expected_change *change = n == 0 ? NULL : &timer->changes[n - 1];
        uint64_t from = change == NULL ? 0 : change->position;
        uint64_t to = n == timer->change_count ? UINT64_MAX : timer->changes[n].position;
        bool absent = change == NULL || change->object.state == TIMEOUT_ABSENT;
        bool same = absent ? sight->object.state == TIMEOUT_ABSENT
                           : timeout_objects_equal(&change->object, &sight->object) &&
                                 change->data_digest == sight->data_digest;
        if (same && to >= sight->at_least && from < sight->at_most) {
            return true;
        }
    }
    return false;
}

bool oracle_sights_hold(const struct history *history,
                        const struct expected_timeouts *expected,
                        struct finding *finding)
{
    for (size_t n = 0; n < history->sight_count; n++) {
        const struct sight *sight = &history->sights[n];
        const struct timeout_object *object = &sight->object;
        bool may_hold = object->state == TIMEOUT_PENDING && object->clock == TIMEOUT_BY_EVENTS;
        if ((object->held && !may_hold) || !sight_holds(&expected->timers[sight->key], sight)) {
            return finding_say(finding,
                               "timeouts: t%u was shown in state %d, generation %u, version %llu, "
                               "deadline %lld, decided at %llu, between %llu and %llu: it never "
                               "was so then",
                               (unsigned)sight->key,
                               (int)object->state,
                               (unsigned)object->generation,
                               (unsigned long long)object->version,
                               (long long)object->deadline,
                               (unsigned long long)object->decided_at,
                               (unsigned long long)sight->at_least,
                               (unsigned long long)sight->at_most);
        }
    }
    return true;
}
