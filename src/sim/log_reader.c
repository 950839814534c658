/* Walking a history's log.
 *
 * Invariants:
 *  1. Each record and each row is handed out once, in the order of the log.
 *  2. What does not decode to its last byte ends the walk and sets bad: nobody judges half a log. */
#include "sim/log_reader.h"

#include "api/sort.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool finding_say(struct finding *finding, const char *format, ...)
{
    if (finding->text[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(finding->text, sizeof(finding->text), format, arguments);
        va_end(arguments);
    }
    return false;
}

bool text_number(struct bytes text, char prefix, uint32_t *number)
{
    size_t skipped = prefix == 0 ? 0 : 1;
    if (text.len <= skipped || (prefix != 0 && text.data[0] != (uint8_t)prefix)) {
        return false;
    }
    struct bytes digits = bytes_of(text.data + skipped, text.len - skipped);
    uint64_t value = 0;
    if ((digits.data[0] == '0' && digits.len > 1) || !u64_parse(digits, &value) ||
        value > UINT32_MAX) {
        return false;
    }
    *number = (uint32_t)value;
    return true;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_identity(const void *a, const void *b, const void *ctx)
{
    const struct planned_event *left = a;
    const struct planned_event *right = b;
    (void)ctx;
    int order = compare_u64(left->source, right->source);
    return order != 0 ? order : compare_u64(left->id, right->id);
}

bool universe_index_init(struct universe_index *index,
                         const struct history *history,
                         struct finding *finding)
{
    size_t count = history->universe_count;
    *index = (struct universe_index){.universe = history->universe, .count = count};
    const void **sorted = calloc(count + 1, sizeof(*sorted));
    const void **scratch = calloc(count + 1, sizeof(*scratch));
    index->sorted = calloc(count + 1, sizeof(*index->sorted));
    bool good = sorted != NULL && scratch != NULL && index->sorted != NULL;
    if (good) {
        for (size_t i = 0; i < count; i++) {
            sorted[i] = &history->universe[i];
        }
        sort_stable(sorted, scratch, count, compare_identity, NULL);
        for (size_t i = 0; i < count; i++) {
            index->sorted[i] = sorted[i];
        }
    } else {
        (void)finding_say(finding, "no memory to judge");
    }
    for (size_t i = 1; good && i < count; i++) {
        if (compare_identity(index->sorted[i - 1], index->sorted[i], NULL) == 0) {
            good = finding_say(finding,
                               "the universe has source s%u, id %u twice",
                               (unsigned)index->sorted[i]->source,
                               (unsigned)index->sorted[i]->id);
        }
    }
    free(sorted);
    free(scratch);
    if (!good) {
        universe_index_free(index);
    }
    return good;
}

void universe_index_free(struct universe_index *index)
{
    free(index->sorted);
    index->sorted = NULL;
}

size_t universe_find(const struct universe_index *index, const struct event *event)
{
    struct planned_event wanted = {0};
    if (!text_number(event->source, 's', &wanted.source) ||
        !text_number(event->id, 0, &wanted.id)) {
        return EVENT_UNKNOWN;
    }
    size_t low = 0;
    size_t high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_identity(index->sorted[middle], &wanted, NULL) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < index->count && compare_identity(index->sorted[low], &wanted, NULL) == 0;
    return found ? (size_t)(index->sorted[low] - index->universe) : EVENT_UNKNOWN;
}

bool log_reader_init(struct log_reader *reader,
                     const struct history *history,
                     struct finding *finding)
{
    *reader = (struct log_reader){.history = history, .finding = finding};
    reader->words = calloc(BATCH_WORDS_MAX, sizeof(*reader->words));
    reader->bad = reader->words == NULL;
    return !reader->bad || finding_say(finding, "no memory to judge");
}

void log_reader_free(struct log_reader *reader)
{
    free(reader->words);
    reader->words = NULL;
}

/* Where the reader stands, for findings. */
static bool damaged(struct log_reader *reader, const char *what)
{
    reader->bad = true;
    return finding_say(reader->finding,
                       "frame %llu, record %u: %s",
                       (unsigned long long)reader->frame->position,
                       (unsigned)reader->record_in_frame,
                       what);
}

static bool open_batch(struct log_reader *reader)
{
    if (!batch_open(reader->record.body, &reader->batch)) {
        return damaged(reader, "its batch can't be read");
    }
    if (!batch_read_words(&reader->batch, reader->words, &reader->word_count)) {
        return damaged(reader, "its batch's dictionary can't be read");
    }
    batch_cursor_init(&reader->cursor, &reader->batch);
    return true;
}

bool log_next_record(struct log_reader *reader)
{
    const struct history *history = reader->history;
    while (!reader->bad) {
        if (reader->frame != NULL &&
            record_next(&reader->records, reader->frame->body.data, &reader->record)) {
            reader->record_in_frame++;
            return reader->record.kind != RECORD_EVENTS || open_batch(reader);
        }
        if (reader->frame != NULL && reader->records.bad) {
            return damaged(reader, "what follows is no record");
        }
        if (reader->frame != NULL && reader->record_in_frame != reader->frame->record_count) {
            return damaged(reader, "this was the last one, and record_count says otherwise");
        }
        if (reader->next_frame == history->frame_count) {
            return false;
        }
        reader->frame = &history->frames[reader->next_frame++];
        reader->records = reader_of(reader->frame->body);
        reader->record_in_frame = 0;
    }
    return false;
}

bool log_next_event(struct log_reader *reader)
{
    if (reader->bad) {
        return false;
    }
    if (batch_next_row(&reader->cursor, &reader->row)) {
        return batch_row_event(&reader->batch,
                               reader->words,
                               reader->word_count,
                               &reader->row,
                               &reader->event) ||
               damaged(reader, "a row can't be read");
    }
    if (reader->cursor.rows.bad || reader->cursor.steps.bad ||
        reader_left(&reader->cursor.rows) > 0) {
        return damaged(reader, "a row or step can't be read");
    }
    return reader->cursor.row == reader->batch.count
               ? false
               : damaged(reader, "its batch has not as many rows as it says");
}

void log_rewind_batch(struct log_reader *reader)
{
    batch_cursor_init(&reader->cursor, &reader->batch);
}
