#include "adapters/http_server/http_loop.h"

#include "base/check.h"
#include "model/clock.h"

const char *http_loop_date(struct http_loop *loop)
{
    int64_t seconds = loop->clock.ops->wall(loop->clock.ctx).us / US_PER_SECOND;
    if (seconds != loop->date_seconds) {
        http_date_put(loop->date, seconds < 0 ? 0 : seconds);
        loop->date_seconds = seconds;
    }
    return loop->date;
}
