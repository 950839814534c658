/* A request's body on its way in: decoded, bounded, and gathered when it is wanted whole. */
#pragma once

#include "api/budget.h"
#include "base/err.h"
#include "ports/codec.h"
#include "ports/http.h"

struct body {
    struct budget *budget;
    const struct codec_ops *codec;
    void *decoder;        /* NULL: not encoded */
    size_t decoder_bytes; /* of it, as counted in the budget */
    uint64_t bytes_max;
    struct buf whole; /* what was gathered; malloc'ed */
};

/* Reads Content-Encoding and Content-Length: ERR_MEDIA_TYPE for an encoding that is not understood,
 * ERR_TOO_LARGE when the length is above bytes_max, ERR_OVERLOADED when the budget has no room for
 * the decoder. The budget is borrowed for the body's life. */
enum err body_init(struct body *body,
                   struct budget *budget,
                   struct codec_port codec,
                   const struct http_request *request,
                   uint64_t bytes_max) MUST_CHECK;
void body_deinit(struct body *body);

/* Moves decoded bytes from *part (advancing it) into target, up to its capacity. *more: call again
 * when there is room, something is left. ERR_OVERLOADED when the decoder took too much. */
enum err
body_take(struct body *body, struct bytes *part, struct buf *target, bool *more) MUST_CHECK;

/* Appends all of the part to body->whole. ERR_TOO_LARGE above bytes_max, ERR_OVERLOADED when
 * the budget is used up, ERR_UNAVAILABLE without memory. */
enum err body_gather(struct body *body, struct bytes part, uint64_t expected) MUST_CHECK;

/* After the last part: ERR_ENCODING when the encoding was cut short. */
enum err body_finish(const struct body *body) MUST_CHECK;
