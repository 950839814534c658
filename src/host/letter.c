/* Giving back what letters carry: see claim.h, inspection.h, query.h and scan.h.
 *
 * Invariants:
 *  1. Only the asking side calls these, after done (or before the question was posted).
 *  2. Afterwards the letter holds no memory, so freeing twice is harmless. */
#include "host/letter.h"

#include "base/check.h"
#include "host/claim.h"
#include "host/inspection.h"
#include "host/query.h"
#include "host/scan.h"

#include <stdlib.h>

void claim_free(struct claim *claim)
{
    CHECK(claim != NULL);
    if (claim->lent != NULL) {
        atomic_fetch_sub(claim->lent, claim->answer.len);
        claim->lent = NULL;
    }
    free(bytes_owned(claim->answer));
    claim->answer = (struct bytes){0};
}

void inspection_free(struct inspection *inspection)
{
    CHECK(inspection != NULL);
    free(inspection->memory);
    inspection->memory = NULL;
    inspection->metrics = NULL;
    inspection->metric_count = 0;
    inspection->rules = NULL;
    inspection->rule_count = 0;
    inspection->lanes = NULL;
    inspection->lane_count = 0;
    inspection->consumers = NULL;
    inspection->consumer_count = 0;
}

void query_free(struct query *query)
{
    CHECK(query != NULL);
    for (size_t i = 0; i < RUNNERS_MAX; i++) {
        struct query_answer *answer = &query->answers[i];
        free(answer->rows.data);
        answer->rows = (struct buf){0};
        answer->row_count = 0;
        free(answer->definition);
        answer->definition = NULL;
        answer->definition_len = 0;
    }
}

void scan_free(struct scan *scan)
{
    CHECK(scan != NULL);
    free(scan->items.data);
    scan->items = (struct buf){0};
    scan->item_count = 0;
}
