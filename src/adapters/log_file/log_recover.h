/* What a start makes of the files: the durable frontier rule (docs/formats/log.md, "Recovery"). */
#pragma once

#include "adapters/log_file/log_file.h"
#include "adapters/log_file/log_segments.h"

struct log_recovery {
    bool empty;         /* there is no log yet */
    bool append;        /* frames go on in the last segment; else a new segment is needed */
    bool clean;         /* the last frame is a CLEAN_SHUTDOWN seal */
    bool sealed;        /* the last frame is a seal, or there is none in the last segment */
    uint64_t end;       /* where the last valid frame ends */
    uint64_t resume;    /* where the next frame goes: end, but after an accepted loss maybe more */
    uint64_t seq;       /* of the next frame */
    uint64_t prev_hash; /* of the next frame */
    uint64_t next_number; /* of a new segment */
    uint64_t frontier;    /* everything below was durable before this start */
    uint64_t torn_bytes;
    uint64_t lost_from; /* positions given up (accept_loss) ... */
    uint64_t lost_to;   /* ... end here, as far as is known; lost_from: none */
};

/* The table must be listed. On OK it holds all headers, and all that is not part of the log was
 * kept aside; nothing on disk was changed otherwise. ERR_UNPROCESSABLE: durable data is damaged or
 * missing; error says what and where. ERR_NO_SPACE: there is none to keep a torn end aside. */
enum err log_recover(struct log_segments *segments,
                     const struct log_file_options *options,
                     struct log_recovery *recovery,
                     struct error *error) MUST_CHECK;

/* Reads and checks the header of each listed segment and that each follows the one before. Returns
 * the index of the first bad one (count when all are good), *problem why. */
size_t log_check_headers(struct log_segments *segments, const char **problem);

/* True when segment `index` ends where and how its successor says, looking at its last block
 * only.*/
bool log_check_junction(const struct log_segments *segments, size_t index);
