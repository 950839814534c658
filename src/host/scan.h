/* Scans: what the kept log tells, through the librarian. */
#pragma once

#include "host/inspection.h"

enum scan_kind {
    SCAN_EVENTS,
    SCAN_FATE,
};

struct scan {
    struct letter letter;
    enum scan_kind kind;
    struct bytes type; /* filters; data NULL = any. Borrowed until done */
    struct bytes source;
    struct bytes subject;
    struct bytes id;      /* FATE */
    int64_t from;         /* event time >= from */
    int64_t to;           /* event time < to */
    uint64_t at_position; /* resume: frame position, record offset, row */
    uint32_t at_record;
    uint32_t at_row;
    uint32_t limit;
    struct metric_info *metrics; /* FATE: borrowed */
    size_t metric_count;
    struct clock_time deadline; /* give up then: a list with what was found, a fate with an error */

    struct scan *next; /* the librarian's own */

    enum err err;
    char detail[DETAIL_BYTES];
    struct buf items; /* JSON texts of the items, comma separated; malloc'ed, freed by scan_free */
    uint32_t item_count; /* FATE: metrics told; `limit` then says how many copies the log holds */
    bool more;           /* at_* say where to go on */
};

void scan_free(struct scan *scan);
