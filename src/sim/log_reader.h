/* The log of a history, walked record by record and event by event, for the oracles; and what they
 * share beside: finding an event of the universe, and saying what is wrong. */
#pragma once

#include "model/batch.h"
#include "sim/history.h"

/* Writes the text, the first one only, and returns false. */
__attribute__((format(printf, 2, 3))) bool
finding_say(struct finding *finding, const char *format, ...);

/* The number in "s17" (prefix 's') or "17" (prefix 0), decimal and without leading zeros. */
bool text_number(struct bytes text, char prefix, uint32_t *number);

/* The universe by (source, id). */
struct universe_index {
    const struct planned_event *universe;
    const struct planned_event **sorted; /* malloc'ed */
    size_t count;
};

#define EVENT_UNKNOWN SIZE_MAX

/* False on no memory, or when two events of the universe are the same (source, id). */
bool universe_index_init(struct universe_index *index,
                         const struct history *history,
                         struct finding *finding);
void universe_index_free(struct universe_index *index);

/* The event's number in the universe, by its texts; EVENT_UNKNOWN when there is none. O(log n). */
size_t universe_find(const struct universe_index *index, const struct event *event);

struct log_reader {
    const struct history *history;
    struct finding *finding;
    const struct history_frame *frame; /* of the record; NULL before the first */
    size_t next_frame;
    struct reader records;
    uint32_t record_in_frame; /* how many records of this frame were read, the last one included */
    struct record record;     /* the last one */
    struct batch batch;       /* when it holds events */
    struct batch_word *words; /* malloc'ed */
    uint32_t word_count;
    struct batch_cursor cursor; /* cursor.watermark: in force before the event read last */
    struct batch_row row;
    struct event event; /* the last one */
    bool bad;           /* something did not decode; the finding says what */
};

bool log_reader_init(struct log_reader *reader,
                     const struct history *history,
                     struct finding *finding);
void log_reader_free(struct log_reader *reader);

/* The next record, whatever frame it is in; false at the end and when bad. Of a RECORD_EVENTS the
 * batch is open then. */
bool log_next_record(struct log_reader *reader);

/* The next event of the open batch; false at its end and when bad. */
bool log_next_event(struct log_reader *reader);

/* Before the first event of the open batch again. */
void log_rewind_batch(struct log_reader *reader);
