/* Words for timeouts: see timeouts_text.h. */
#include "apps/timeouts_text.h"

#include "base/check.h"
#include "base/text.h"

#include <string.h>

#define US_PER_MS 1000
#define US_PER_S  1000000
#define US_PER_M  (60LL * US_PER_S)
#define US_PER_H  (60 * US_PER_M)
#define US_PER_D  (24 * US_PER_H)

#define SECONDS_EXACT_BELOW_US US_PER_M /* tenths of a second matter only there */
#define EIGHTHS                8

struct step {
    int64_t us;
    const char *name;
};

static void put_amount(struct buf *out, int64_t amount, const char *unit)
{
    i64_put(out, amount);
    buf_put_text(out, " ");
    buf_put_text(out, unit);
}

static void put_seconds(struct buf *out, int64_t us)
{
    int64_t tenths = us / (US_PER_S / 10);
    i64_put(out, tenths / 10);
    if (tenths % 10 != 0) {
        buf_put_text(out, ".");
        i64_put(out, tenths % 10);
    }
    buf_put_text(out, " s");
}

void span_put(struct buf *out, int64_t us)
{
    static const struct step steps[] = {
        {US_PER_D, "d"}, {US_PER_H, "h"}, {US_PER_M, "min"}, {US_PER_S, "s"}};
    size_t step = 0;
    CHECK(us >= 0);
    if (us < US_PER_S) {
        put_amount(out, us / US_PER_MS, "ms");
        return;
    }
    if (us < SECONDS_EXACT_BELOW_US) {
        put_seconds(out, us);
        return;
    }
    while (us < steps[step].us) {
        step++;
    }
    put_amount(out, us / steps[step].us, steps[step].name);
    int64_t rest = us % steps[step].us / steps[step + 1].us; /* minutes at least: there is a next */
    if (rest > 0) {
        buf_put_text(out, " ");
        put_amount(out, rest, steps[step + 1].name);
    }
}

void moment_put(struct buf *out, int64_t us, int64_t now_us)
{
    int64_t left = us - now_us;
    if (left >= US_PER_MS) {
        buf_put_text(out, "in ");
        span_put(out, left);
    } else if (left <= -US_PER_MS) {
        span_put(out, -left);
        buf_put_text(out, " ago");
    } else {
        buf_put_text(out, "now");
    }
}

void bar_put(struct buf *out, uint64_t count, uint64_t count_max, size_t width)
{
    static const char *const parts[EIGHTHS] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    if (count == 0 || width == 0) {
        return;
    }
    CHECK(count <= count_max);
    double whole = (double)count / (double)count_max * (double)(width * EIGHTHS);
    size_t eighths = whole < 1 ? 1 : (size_t)whole;
    for (size_t i = 0; i < eighths / EIGHTHS; i++) {
        buf_put_text(out, "█");
    }
    buf_put_text(out, parts[eighths % EIGHTHS]);
}

const char *timeout_advice(const char *type)
{
    static const struct {
        const char *name;
        const char *advice;
    } rows[] = {
        {"already-fired", "`--on-exists replace` at its create begins the key's next generation."},
        {"already-ended", "`--on-exists replace` at its create begins the key's next generation."},
        {"conflict",
         "`tidemark timeouts show` tells what is there; `--on-exists return` takes that, "
         "`--on-exists replace` puts yours in its place."},
        {"other-generation",
         "Somebody replaced it; `tidemark timeouts show` tells which generation is there now."},
        {"unknown-timeout", "`tidemark timeouts list` shows the keys that are there."},
        {"unknown-rule", "`tidemark sql \"SHOW RULES\"` lists the rules."},
        {"no-room", "End some timeouts that nobody needs, or give the server more --memory."},
        {"cursor-expired", "Without --after the oldest notification that is kept comes first."},
    };
    static const char prefix[] = "urn:tidemark:problem:";
    if (strncmp(type, prefix, sizeof(prefix) - 1) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(type + sizeof(prefix) - 1, rows[i].name) == 0) {
            return rows[i].advice;
        }
    }
    return NULL;
}
