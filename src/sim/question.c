#include "sim/question.h"

#include "base/check.h"
#include "host/timeout_rows.h"
#include "sim/memory.h"

#include <stdlib.h>

#define STRIDE_US  20000
#define PATIENT_US (10 * US_PER_SECOND)

static void question_done(struct letter *letter)
{
    struct question *question = letter->user;
    question->answered = true;
}

void question_wait(struct run *run)
{
    process_settle(&run->process);
    run->machine.now_us += STRIDE_US;
}

struct question *question_ask(struct run *run, const struct query *asked, enum err *why)
{
    memory_switch(true);
    struct question *question = calloc(1, sizeof(*question));
    CHECK(question != NULL);
    question->query = *asked;
    question->query.letter = (struct letter){.done = question_done, .user = question};
    question->query.deadline.us = machine_wall_us(&run->machine) + PATIENT_US;
    bool taken = gateway_query(run->process.gateways[0], &question->query) == OK;
    memory_switch(false);
    for (uint32_t turn = 0; taken && !question->answered && turn < QUESTION_TURNS_MAX; turn++) {
        question_wait(run);
    }
    bool answered = taken && question->answered;
    enum err err = OK;
    for (uint32_t n = 0; answered && err == OK && n < question->query.runner_count; n++) {
        err = question->query.answers[n].err;
    }
    if (why != NULL) {
        *why = err;
    }
    if (!answered) {
        return NULL; /* the process may still have it */
    }
    if (err != OK) {
        question_free(question);
        return NULL;
    }
    return question;
}

void question_free(struct question *question)
{
    memory_switch(true);
    query_free(&question->query);
    free(question);
    memory_switch(false);
}

void question_counts(const struct question *question, uint64_t counts[TIMEOUT_STATES])
{
    for (uint32_t n = 0; n < question->query.runner_count; n++) {
        struct reader rows = reader_of(buf_bytes(&question->query.answers[n].rows));
        struct count_row row;
        while (count_row_next(&rows, &row) && row.index < TIMEOUT_STATES) {
            counts[row.index] += row.count;
        }
    }
}
