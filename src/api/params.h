/* What a URL says: decoded path segments and query parameters, and the types that they have. */
#pragma once

#include "base/err.h"

#include "api/memory.h"

#define PARAMS_MAX         64
#define LIST_LIMIT_DEFAULT 100
#define LIST_LIMIT_MAX     1000

struct param {
    struct bytes name;
    struct bytes value;
};

struct params {
    struct param entries[PARAMS_MAX];
    size_t count;
};

/* Resolves %XX (and + as a space when plus_is_space): ERR_MALFORMED for a broken escape or a NUL,
 * ERR_UTF8 when the result is no text. */
enum err percent_decode(struct bytes encoded,
                        bool plus_is_space,
                        struct memory *memory,
                        struct bytes *out) MUST_CHECK;

/* Cuts a query string into decoded pairs. ERR_DUPLICATE_MEMBER when a name comes twice, ERR_LIMIT
 * when there are more than PARAMS_MAX; then *bad names the parameter, if one is to blame. */
enum err params_parse(struct bytes query,
                      struct memory *memory,
                      struct params *params,
                      struct bytes *bad) MUST_CHECK;

/* The value, or a slice with data == NULL. */
struct bytes params_find(const struct params *params, const char *name);

/* Each leaves *out alone when the parameter is absent. */
enum err params_time(const struct params *params, const char *name, int64_t *out) MUST_CHECK;
enum err params_bool(const struct params *params, const char *name, bool *out) MUST_CHECK;
enum err params_limit(const struct params *params, uint32_t *out) MUST_CHECK;

/* 1 to 16 hexadecimal digits. */
bool hex_parse(struct bytes text, uint64_t *out);
