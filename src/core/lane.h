/* A lane (a source with a watermark of its own) as the core knows it: by number, and by name once it was declared. */
#pragma once

#include "model/record.h"

struct lane {
    struct lane_state state;
    struct bytes name; /* data NULL: not declared */
};

/* What is known of the lane that a word stands for as a source. */
enum word_lane {
    WORD_LANE_UNKNOWN = 0,
    WORD_LANE_OPEN = 1,
    WORD_LANE_FINAL = 2,
};
