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

/* "{k}" stands for the key, {r} the rule, {s} the state, {g} the generation, {w} when, with a comma
 * before it. */
static void put_form(struct buf *out, const char *form, const struct timeout_refusal *refusal)
{
    for (const char *at = form; *at != '\0'; at++) {
        if (at[0] != '{') {
            buf_put_u8(out, (uint8_t)*at);
            continue;
        }
        if (at[1] == 'g') {
            i64_put(out, refusal->generation);
        } else if (at[1] == 'w') {
            buf_put_text(out, refusal->when[0] != '\0' ? ", " : "");
            buf_put_text(out, refusal->when);
        } else {
            buf_put_text(out,
                         at[1] == 'k'   ? refusal->key
                         : at[1] == 'r' ? refusal->rule
                                        : refusal->state);
        }
        at += 2;
    }
}

bool refusal_put(struct buf *out, const struct timeout_refusal *refusal)
{
    static const struct {
        const char *name;
        const char *form;
        const char *of_rule; /* where it is another */
    } rows[] = {
        {"already-fired",
         "{k} has fired already{w}; `--on-exists replace` at its create begins its next "
         "generation",
         "{k} of {r} has fired already{w}"},
        {"already-ended",
         "{k} is {s} already{w}; `--on-exists replace` at its create begins its next generation",
         "{k} of {r} is {s} already{w}"},
        {"conflict",
         "{k} is there already with other parameters{w}; `--on-exists return` takes it as it is, "
         "`--on-exists replace` puts yours in its place",
         NULL},
        {"other-generation",
         "{k} is at generation {g} now, {s}; leave --generation out to mean whichever is there",
         NULL},
        {"unknown-timeout",
         "there is no timeout {k}; `tidemark timeouts list` shows those there are",
         "there is no {k} of {r}, or not yet: it is there when the watermark has passed its start; "
         "`tidemark timeouts list --rule {r}` shows those there are"},
        {"unknown-rule",
         "there is no rule {r}; `tidemark sql \"SHOW RULES\"` shows those there are, and without "
         "--rule explicit timeouts are meant",
         NULL},
        {"no-room",
         "the memory for timeouts is used up; end some that nobody needs, or give the server more "
         "--memory",
         NULL},
    };
    static const char prefix[] = "urn:tidemark:problem:";
    if (strncmp(refusal->type, prefix, sizeof(prefix) - 1) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(refusal->type + sizeof(prefix) - 1, rows[i].name) == 0) {
            bool of_rule = refusal->rule[0] != '\0' && rows[i].of_rule != NULL;
            put_form(out, of_rule ? rows[i].of_rule : rows[i].form, refusal);
            return true;
        }
    }
    return false;
}
