/* What a change expects of its object's version, as the headers If-Match and If-None-Match said it.
 *
 * Invariants:
 *  1. An object that is there has a version above 0; 0 stands for one that is not.
 *  2. versions[] are above 0, and none stands there twice. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CONDITION_VERSIONS_MAX 16

enum condition_kind {
    CONDITION_NONE = 0, /* whatever there is */
    CONDITION_ABSENT,   /* If-None-Match: *: only if there is none */
    CONDITION_PRESENT,  /* If-Match: *: only if there is one */
    CONDITION_LISTED,   /* If-Match: "1", "2": only one of these */
};

struct condition {
    enum condition_kind kind;
    uint32_t count; /* LISTED; 0: no version that can be is listed */
    uint64_t versions[CONDITION_VERSIONS_MAX];
};

static inline bool condition_lists(const struct condition *condition, uint64_t version)
{
    for (uint32_t i = 0; i < condition->count; i++) {
        if (condition->versions[i] == version) {
            return true;
        }
    }
    return false;
}

static inline bool condition_holds(const struct condition *condition, uint64_t version)
{
    switch (condition->kind) {
    case CONDITION_NONE:
        return true;
    case CONDITION_ABSENT:
        return version == 0;
    case CONDITION_PRESENT:
        return version != 0;
    case CONDITION_LISTED:
        return condition_lists(condition, version);
    }
    return false;
}
