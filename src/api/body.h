/* A request's body on its way in: decoded, bounded, and gathered when it is wanted whole. */
#pragma once

#include "base/err.h"
#include "ports/codec.h"
#include "ports/http.h"

/* What all bodies of a thread that are on their way may hold together. A client that begins many
 * large bodies and ends none would otherwise hold that much memory for each. */
struct body_budget {
    size_t used_bytes;
    size_t bytes_max;
};

/* False, and nothing changed, when it would be too much. */
bool body_budget_take(struct body_budget *budget, size_t bytes) MUST_CHECK;
void body_budget_give(struct body_budget *budget, size_t bytes);

struct body {
    struct body_budget *budget;
    const struct codec_ops *codec;
    void *decoder; /* NULL: not encoded */
    uint64_t bytes_max;
    struct buf whole; /* what was gathered; malloc'ed */
};

/* Reads Content-Encoding and Content-Length: ERR_MEDIA_TYPE for an encoding that is not understood,
 * ERR_TOO_LARGE when the length is above bytes_max. The budget is borrowed for the body's life. */
enum err body_init(struct body *body,
                   struct body_budget *budget,
                   struct codec_port codec,
                   const struct http_request *request,
                   uint64_t bytes_max) MUST_CHECK;
void body_deinit(struct body *body);

/* Moves decoded bytes from *part (advancing it) into target, up to its capacity. *more: call again
 * when there is room, something is left. */
enum err
body_take(struct body *body, struct bytes *part, struct buf *target, bool *more) MUST_CHECK;

/* Appends all of the part to body->whole. ERR_TOO_LARGE above bytes_max, ERR_OVERLOADED when
 * the budget is used up, ERR_UNAVAILABLE without memory. */
enum err body_gather(struct body *body, struct bytes part, uint64_t expected) MUST_CHECK;

/* After the last part: ERR_ENCODING when the encoding was cut short. */
enum err body_finish(const struct body *body) MUST_CHECK;
