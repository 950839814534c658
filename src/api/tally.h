/* What became of a request's events: counts, and the list of those that were refused. */
#pragma once

#include "api/call.h"
#include "api/event_json.h"

#define TALLY_LISTED_MAX 1000

struct tally {
    uint64_t index; /* of the next event */
    uint64_t accepted;
    uint64_t rejected;
    uint64_t listed;
    struct out list;  /* the items of "rejected", comma separated */
    enum err first;   /* of the first refusal */
    char detail[200]; /* its words */
};

void tally_free(struct tally *tally);

/* Counts the next event as refused; as accepted. */
void tally_refuse(struct tally *tally, const struct refusal *refusal);
void tally_accept(struct tally *tally);

/* ,"rejected":[...] and, when there are more than listed, ,"rejected_more":n. */
void tally_put_rejected(struct out *out, const struct tally *tally);

/* "'member': detail", or the error's own sentence. */
void refusal_words(const struct refusal *refusal, char *words, size_t size);
