/* See skews.h. */
#include "host/skews.h"

#include "host/tide.h"

#include <stdlib.h>

struct skews *skews_copy(const struct tide *tide)
{
    size_t text = 0;
    uint32_t slots = 4;
    for (uint32_t n = 1; n < tide->lane_count; n++) {
        text += tide->lanes[n].used ? tide->lanes[n].source.name.len : 0;
    }
    while (slots < 2 * tide->lane_count) {
        slots *= 2;
    }
    size_t entries = tide->lane_count * sizeof(struct skew);
    size_t table = slots * sizeof(uint32_t);
    struct skews *skews = calloc(1, sizeof(*skews) + entries + table + text);
    if (skews == NULL) {
        return NULL;
    }
    skews->letter.kind = LETTER_SKEWS;
    skews->default_us = tide->lanes[LANE_DEFAULT].source.max_future_skew_us;
    skews->entries = (struct skew *)(void *)(skews + 1);
    skews->slots = (uint32_t *)(void *)(skews->entries + tide->lane_count);
    skews->slot_mask = slots - 1;
    uint8_t *names = (uint8_t *)(skews->slots + slots);
    for (uint32_t n = 1; n < tide->lane_count; n++) {
        const struct source *source = &tide->lanes[n].source;
        if (tide->lanes[n].used) {
            memcpy(names, source->name.data, source->name.len);
            skews->entries[skews->count++] =
                (struct skew){bytes_of(names, source->name.len), source->max_future_skew_us};
            names += source->name.len;
        }
    }
    return skews;
}
