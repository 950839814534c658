/* See lagging.h.
 *
 * Saved: u32 why (pulse flags), and above them 256: told, 512: wanted; i64 since. */
#include "core/lagging.h"

#include "base/check.h"

#define SAVED_TOLD   256u
#define SAVED_WANTED 512u

static void tell(const struct lagging *lagging,
                 const struct pulse *pulse,
                 struct clock_time now,
                 struct feed *feed)
{
    const struct note note = {
        .kind = NOTE_ENGINE_LAGGING,
        .clock = now,
        .position = pulse->position,
        .flags = lagging->holding ? NOTE_HOLDING : 0,
        .generation = lagging->why,
        .started = lagging->since.us,
        .key = BYTES("engine"),
    };
    if (feed != NULL) {
        feed_add(feed, pulse->ordinal, &note);
    }
}

/* A clock that passed the moment: exactly a second is what a single refusal takes. */
static bool is_long(const struct lagging *lagging, struct clock_time now)
{
    return (lagging->why & PULSE_RESUMED) != 0 ||
           now.us > time_add(lagging->since.us, LAGGING_TOLD_AFTER_US);
}

void lagging_move(struct lagging *lagging,
                  const struct pulse *pulse,
                  struct clock_time now,
                  bool wanted,
                  struct feed *feed)
{
    uint8_t reasons = pulse->flags & PULSE_REASONS;
    if (reasons == 0) {
        bool told = lagging->told;
        lagging->holding = false;
        if (told) {
            tell(lagging, pulse, now, feed);
        }
        *lagging = (struct lagging){0};
        return;
    }
    if (!lagging->holding) {
        *lagging = (struct lagging){.holding = true, .since = now};
    }
    lagging->why |= reasons;
    lagging->wanted = wanted;
    if (!lagging->told && wanted && is_long(lagging, now)) {
        lagging->told = true;
        tell(lagging, pulse, now, feed);
    }
}

int64_t lagging_next_due(const struct lagging *lagging)
{
    bool waits = lagging->holding && lagging->wanted && !lagging->told;
    return waits ? time_add(lagging->since.us, LAGGING_TOLD_AFTER_US + 1) : INT64_MAX;
}

void lagging_save(const struct lagging *lagging, struct writer *out)
{
    CHECK(lagging->holding);
    write_u32(out,
              lagging->why | (lagging->told ? SAVED_TOLD : 0) |
                  (lagging->wanted ? SAVED_WANTED : 0));
    write_i64(out, lagging->since.us);
}

bool lagging_load(struct lagging *lagging, struct loader *in)
{
    uint32_t bits = load_u32(in);
    *lagging = (struct lagging){
        .holding = true,
        .told = (bits & SAVED_TOLD) != 0,
        .wanted = (bits & SAVED_WANTED) != 0,
        .why = (uint8_t)(bits & PULSE_REASONS),
    };
    lagging->since.us = load_i64(in);
    return !in->bad && lagging->why != 0 &&
           (bits & ~(uint32_t)(PULSE_REASONS | SAVED_TOLD | SAVED_WANTED)) == 0;
}

void lagging_validate(const struct lagging *lagging)
{
    CHECK(lagging->holding == (lagging->why != 0));
    CHECK((lagging->why & ~PULSE_REASONS) == 0);
    CHECK(lagging->holding || (!lagging->told && !lagging->wanted && lagging->since.us == 0));
}
