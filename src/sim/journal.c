#include "sim/journal.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void journal_init(struct journal *journal)
{
    *journal = (struct journal){0};
}

void journal_free(struct journal *journal)
{
    journal_cut(journal, 0);
    free(journal->frames);
    free(journal->submissions);
}

size_t journal_submit(struct journal *journal, uint32_t event)
{
    if (journal->submission_count == journal->submission_capacity) {
        size_t capacity =
            journal->submission_capacity == 0 ? 1024 : 2 * journal->submission_capacity;
        struct submission *grown =
            realloc(journal->submissions, capacity * sizeof(*journal->submissions));
        CHECK(grown != NULL);
        journal->submissions = grown;
        journal->submission_capacity = capacity;
    }
    journal->submissions[journal->submission_count] =
        (struct submission){.event = event, .outcome = OUTCOME_UNKNOWN};
    return journal->submission_count++;
}

void journal_outcome(struct journal *journal,
                     size_t submission,
                     enum outcome outcome,
                     uint64_t as_of)
{
    CHECK(submission < journal->submission_count);
    struct submission *told = &journal->submissions[submission];
    CHECK(told->outcome == OUTCOME_UNKNOWN);
    told->outcome = outcome;
    told->as_of = as_of;
    journal->acked += outcome == OUTCOME_ACKED;
}

void journal_frame(struct journal *journal,
                   uint64_t position,
                   uint64_t end,
                   uint32_t record_count,
                   struct bytes body)
{
    if (journal->frame_count == journal->frame_capacity) {
        size_t capacity = journal->frame_capacity == 0 ? 1024 : 2 * journal->frame_capacity;
        struct history_frame *grown = realloc(journal->frames, capacity * sizeof(*journal->frames));
        CHECK(grown != NULL);
        journal->frames = grown;
        journal->frame_capacity = capacity;
    }
    uint8_t *copy = malloc(body.len + 1);
    CHECK(copy != NULL);
    memcpy(copy, body.data, body.len);
    journal->frames[journal->frame_count++] =
        (struct history_frame){.position = position,
                               .end = end,
                               .record_count = record_count,
                               .body = bytes_of(copy, body.len)};
}

void journal_cut(struct journal *journal, uint64_t position)
{
    while (journal->frame_count > 0 &&
           journal->frames[journal->frame_count - 1].position >= position) {
        journal->frame_count--;
        free((void *)(uintptr_t)journal->frames[journal->frame_count].body.data);
    }
}

bool journal_same(const struct journal *a, const struct journal *b)
{
    if (a->submission_count != b->submission_count || a->frame_count != b->frame_count) {
        return false;
    }
    for (size_t n = 0; n < a->submission_count; n++) {
        const struct submission *one = &a->submissions[n];
        const struct submission *other = &b->submissions[n];
        if (one->event != other->event || one->outcome != other->outcome ||
            one->as_of != other->as_of) {
            return false;
        }
    }
    for (size_t n = 0; n < a->frame_count; n++) {
        if (a->frames[n].position != b->frames[n].position ||
            !bytes_equal(a->frames[n].body, b->frames[n].body)) {
            return false;
        }
    }
    return true;
}

/* Where the recovered log ends. */
static uint64_t end_of_log(const struct log_reader_port *port, uint64_t oldest)
{
    void *reader = port->ops->open(port->ctx, oldest);
    CHECK(reader != NULL);
    struct log_view view;
    uint64_t end = oldest;
    while (port->ops->next(reader, &view) == OK) {
        end = view.end;
    }
    port->ops->close(reader);
    return end;
}

static void forgive_behind(struct journal *journal, uint64_t end)
{
    journal_cut(journal, end);
    for (size_t n = 0; n < journal->submission_count; n++) {
        struct submission *submission = &journal->submissions[n];
        if (submission->outcome == OUTCOME_ACKED && submission->as_of > end) {
            submission->outcome = OUTCOME_UNKNOWN;
        }
    }
}

void journal_forgive_last(struct journal *journal,
                          const struct log_reader_port *port,
                          uint64_t oldest)
{
    size_t count = journal->frame_count;
    uint64_t end = end_of_log(port, oldest);
    uint64_t before_last = count < 2 ? 0 : journal->frames[count - 2].end;
    if (count > 0 && end < journal->frames[count - 1].end && end >= before_last) {
        forgive_behind(journal, end);
    }
}

void journal_forgive_end(struct journal *journal,
                         const struct log_reader_port *port,
                         uint64_t oldest)
{
    forgive_behind(journal, end_of_log(port, oldest));
}

static bool same(const struct history_frame *frame, const struct log_view *view)
{
    return frame->position == view->position && frame->end == view->end &&
           frame->record_count == view->record_count && bytes_equal(frame->body, view->body);
}

static bool compare(struct journal *journal,
                    const struct log_view *view,
                    size_t *at,
                    size_t known,
                    struct finding *finding)
{
    while (*at < known && journal->frames[*at].position < view->position) {
        (void)snprintf(finding->text,
                       sizeof(finding->text),
                       "the frame at %" PRIu64 " was durable and is lost",
                       journal->frames[*at].position);
        return false;
    }
    if (*at < known && !same(&journal->frames[*at], view)) {
        (void)snprintf(finding->text,
                       sizeof(finding->text),
                       "the frame at %" PRIu64 " is not what was durable there",
                       view->position);
        return false;
    }
    if (*at >= known) {
        journal_frame(journal, view->position, view->end, view->record_count, view->body);
    }
    (*at)++;
    return true;
}

bool journal_recovered(struct journal *journal,
                       const struct log_reader_port *port,
                       uint64_t oldest,
                       struct finding *finding)
{
    void *reader = port->ops->open(port->ctx, oldest);
    CHECK(reader != NULL);
    size_t known = journal->frame_count;
    size_t at = 0;
    while (at < known && journal->frames[at].position < oldest) {
        at++; /* trimmed */
    }
    struct log_view view;
    bool good = true;
    enum err err = OK;
    while (good && (err = port->ops->next(reader, &view)) == OK) {
        good = compare(journal, &view, &at, known, finding);
    }
    port->ops->close(reader);
    if (good && (err != ERR_NOT_FOUND || at < known || at > known + 1)) {
        (void)snprintf(finding->text,
                       sizeof(finding->text),
                       "%zu frames were durable, the recovered log ends after %zu (error %d)",
                       known,
                       at,
                       (int)err);
        good = false;
    }
    return good;
}
