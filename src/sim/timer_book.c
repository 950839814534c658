#include "sim/timer_book.h"

#include "base/check.h"
#include "base/hash.h"
#include "host/timeout_rows.h"
#include "sim/log_reader.h"
#include "sim/oracle_lagging.h"

#include <stdlib.h>
#include <string.h>

static void *grown(void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return list;
    }
    *capacity = *capacity == 0 ? 256 : 2 * *capacity;
    void *more = realloc(list, *capacity * size);
    CHECK(more != NULL);
    return more;
}

void timer_book_free(struct timer_book *book)
{
    for (size_t n = 0; n < book->asking_count; n++) {
        free((void *)(uintptr_t)timer_book_record(book, n).data);
        free(book->askings[n].results);
    }
    free(book->askings);
    free(book->sights);
    free(book->watch_sights);
    free(book->instances);
    free(book->pages);
    free(book->notes);
    *book = (struct timer_book){0};
}

size_t timer_book_ask(struct timer_book *book, struct bytes record, uint32_t count)
{
    uint8_t *copy = malloc(record.len);
    CHECK(copy != NULL);
    memcpy(copy, record.data, record.len);
    book->askings =
        grown(book->askings, book->asking_count, &book->asking_capacity, sizeof(*book->askings));
    book->askings[book->asking_count] = (struct asking){
        .body = bytes_of(copy + RECORD_HEADER_BYTES, record.len - RECORD_HEADER_BYTES),
        .count = count,
        .outcome = OUTCOME_UNKNOWN};
    return book->asking_count++;
}

void timer_book_acked(struct timer_book *book,
                      size_t asking,
                      uint64_t as_of,
                      const struct timeout_result *results)
{
    struct asking *told = &book->askings[asking];
    CHECK(told->outcome == OUTCOME_UNKNOWN);
    told->results = malloc(told->count * sizeof(*results));
    CHECK(told->results != NULL);
    memcpy(told->results, results, told->count * sizeof(*results));
    told->outcome = OUTCOME_ACKED;
    told->as_of = as_of;
}

void timer_book_refused(struct timer_book *book, size_t asking)
{
    CHECK(book->askings[asking].outcome == OUTCOME_UNKNOWN);
    book->askings[asking].outcome = OUTCOME_REFUSED;
}

struct bytes timer_book_record(const struct timer_book *book, size_t asking)
{
    struct bytes body = book->askings[asking].body;
    return bytes_of(body.data - RECORD_HEADER_BYTES, body.len + RECORD_HEADER_BYTES);
}

void timer_book_see(struct timer_book *book, const struct sight *sight)
{
    book->sights =
        grown(book->sights, book->sight_count, &book->sight_capacity, sizeof(*book->sights));
    book->sights[book->sight_count++] = *sight;
}

void timer_book_watch(struct timer_book *book, const struct watch_sight *sight)
{
    book->watch_sights = grown(book->watch_sights,
                               book->watch_sight_count,
                               &book->watch_sight_capacity,
                               sizeof(*book->watch_sights));
    struct watch_sight *kept = &book->watch_sights[book->watch_sight_count++];
    *kept = *sight;
    kept->first = book->instance_count;
    kept->count = 0;
}

bool timer_book_watched(struct timer_book *book, const struct timeout_row *row)
{
    uint32_t key = 0;
    CHECK(book->watch_sight_count > 0);
    if (!text_number(row->key, 'k', &key) && !text_number(row->key, 's', &key)) {
        return false;
    }
    book->instances = grown(
        book->instances, book->instance_count, &book->instance_capacity, sizeof(*book->instances));
    book->instances[book->instance_count++] =
        (struct seen_instance){.key = key, .object = row->object};
    book->watch_sights[book->watch_sight_count - 1].count++;
    return true;
}

struct heard_page *timer_book_page(struct timer_book *book, const struct heard_page *page)
{
    book->pages = grown(book->pages, book->page_count, &book->page_capacity, sizeof(*book->pages));
    struct heard_page *kept = &book->pages[book->page_count++];
    *kept = *page;
    kept->first = book->note_count;
    kept->count = 0;
    return kept;
}

void timer_book_hear(struct timer_book *book, const struct heard_note *note)
{
    CHECK(book->page_count > 0);
    book->notes = grown(book->notes, book->note_count, &book->note_capacity, sizeof(*book->notes));
    book->notes[book->note_count++] = *note;
    book->pages[book->page_count - 1].count++;
}

void timer_book_forgive(struct timer_book *book, uint64_t end)
{
    for (size_t n = 0; n < book->asking_count; n++) {
        struct asking *asking = &book->askings[n];
        if (asking->outcome == OUTCOME_ACKED && asking->as_of > end) {
            asking->outcome = OUTCOME_UNKNOWN;
            free(asking->results);
            asking->results = NULL;
        }
    }
    size_t kept = 0;
    for (size_t n = 0; n < book->sight_count; n++) {
        if (book->sights[n].at_most <= end) {
            book->sights[kept++] = book->sights[n];
        }
    }
    book->sight_count = kept;
    kept = 0;
    for (size_t n = 0; n < book->watch_sight_count; n++) {
        if (book->watch_sights[n].at_most <= end) {
            book->watch_sights[kept++] = book->watch_sights[n];
        }
    }
    book->watch_sight_count = kept;
    kept = 0;
    for (size_t n = 0; n < book->page_count; n++) {
        if (book->pages[n].at_most <= end) {
            book->pages[kept++] = book->pages[n];
        }
    }
    book->page_count = kept;
}

bool heard_note_of(const struct feed_row *row, struct heard_note *note)
{
    *note = (struct heard_note){.place = row->place,
                                .kind = row->note.kind,
                                .flags = row->note.flags,
                                .generation = row->note.generation,
                                .clock = row->note.clock,
                                .position = row->note.position,
                                .deadline = row->note.deadline,
                                .started = row->note.started,
                                .last_seen = row->note.last_seen,
                                .fired = row->note.fired,
                                .data_digest = hash64(row->note.data, 0)};
    if (row->note.kind == NOTE_ENGINE_LAGGING) {
        note->key = LAGGING_KEY;
        return row->note.rule == 0 && bytes_equal(row->note.key, BYTES("engine"));
    }
    if (row->note.rule == 0) {
        return text_number(row->note.key, 't', &note->key);
    }
    uint32_t number = 0;
    bool good = text_number(row->note.rule_name, 'r', &number) &&
                (text_number(row->note.key, 'k', &note->key) ||
                 text_number(row->note.key, 's', &note->key));
    note->rule = number + 1;
    return good;
}
