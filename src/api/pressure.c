/* Pressure: see pressure.h for its states. Turns are told apart by the moment when the loop saw what
 * it serves in them. */
#include "api/pressure.h"

#include "base/check.h"

void pressure_init(struct pressure *pressure)
{
    *pressure = (struct pressure){
        .turn_us = INT64_MIN, .long_since_us = INT64_MIN, .pressed_until_us = INT64_MIN};
}

static void turn_begin(struct pressure *pressure, int64_t seen_us)
{
    if (!pressure->turn_too_long) {
        pressure->long_since_us = INT64_MIN;
    }
    pressure->turn_us = seen_us;
    pressure->turn_too_long = false;
    pressure->turn_taken = 0;
}

bool pressure_refuses(struct pressure *pressure,
                      int64_t seen_us,
                      int64_t now_us,
                      uint64_t body_bytes)
{
    CHECK(now_us >= seen_us);
    int64_t waited_us = now_us - seen_us;
    if (seen_us > pressure->turn_us) { /* else one of an earlier turn, whose wait belongs to now */
        turn_begin(pressure, seen_us);
    }
    bool too_long = waited_us > PRESSURE_TARGET_US && pressure->turn_taken >= PRESSURE_TAKEN_MIN;
    if (too_long) {
        pressure->turn_too_long = true;
        if (pressure->long_since_us == INT64_MIN) {
            pressure->long_since_us = now_us;
        }
        bool lasting = now_us - pressure->long_since_us >= PRESSURE_PATIENCE_US;
        if (lasting || now_us < pressure->pressed_until_us) {
            pressure->pressed_until_us = now_us + PRESSURE_MEMORY_US;
        }
    }
    uint64_t body_kb = body_bytes / 1024;
    uint64_t more_us = body_kb > INT32_MAX ? INT64_MAX / 2 : body_kb * PRESSURE_US_PER_BODY_KB;
    bool refuses = too_long && now_us < pressure->pressed_until_us &&
                   waited_us - PRESSURE_TARGET_US > (int64_t)more_us;
    pressure->turn_taken += refuses ? 0 : 1;
    return refuses;
}
