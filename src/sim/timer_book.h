/* What clients sent about timeouts and were told, what was shown, and what listeners heard: the parts
 * of a history (sim/history.h) that the oracle of timeouts judges. All memory is the book's. */
#pragma once

#include "sim/history.h"

struct timer_book {
    struct asking *askings;
    size_t asking_count;
    size_t asking_capacity;
    struct sight *sights;
    size_t sight_count;
    size_t sight_capacity;
    struct watch_sight *watch_sights;
    size_t watch_sight_count;
    size_t watch_sight_capacity;
    struct seen_instance *instances;
    size_t instance_count;
    size_t instance_capacity;
    struct heard_page *pages;
    size_t page_count;
    size_t page_capacity;
    struct heard_note *notes;
    size_t note_count;
    size_t note_capacity;
};

void timer_book_free(struct timer_book *book);

/* A sending of a whole record of commands; the index by which to tell its outcome later. */
size_t timer_book_ask(struct timer_book *book, struct bytes record, uint32_t count);
void timer_book_acked(struct timer_book *book,
                      size_t asking,
                      uint64_t as_of,
                      const struct timeout_result *results);
void timer_book_refused(struct timer_book *book, size_t asking);

/* The record as it was sent. */
struct bytes timer_book_record(const struct timer_book *book, size_t asking);

void timer_book_see(struct timer_book *book, const struct sight *sight);

/* A sight of a rule begins; then what it shows. False: a row's key is none of ours. */
void timer_book_watch(struct timer_book *book, const struct watch_sight *sight);
struct timeout_row;
bool timer_book_watched(struct timer_book *book, const struct timeout_row *row);

/* A page begins; then its notes, one by one. */
struct heard_page *timer_book_page(struct timer_book *book, const struct heard_page *page);
void timer_book_hear(struct timer_book *book, const struct heard_note *note);

/* The log ends at `end` and was longer: who was told of more counts as never told. */
void timer_book_forgive(struct timer_book *book, uint64_t end);

/* A note as a row of an answer holds it; false: its key is none of ours. */
struct feed_row;
bool heard_note_of(const struct feed_row *row, struct heard_note *note);
