/* What each expected failure is called, answered and explained with: errors.def as three tables.
 *
 * Invariants:
 *  1. Row i of each table belongs to enum err i; the list is expanded in one order everywhere.
 *  2. Names never change once released: clients match on them. */
#include "base/err.h"

#include "base/check.h"

static const char *const names[ERR_COUNT] = {
    [OK] = "ok",
#define ERR(name, problem, status, text) [name] = (problem),
#include "base/errors.def"
#undef ERR
};

static const int statuses[ERR_COUNT] = {
    [OK] = 200,
#define ERR(name, problem, status, text) [name] = (status),
#include "base/errors.def"
#undef ERR
};

static const char *const texts[ERR_COUNT] = {
    [OK] = "It went well",
#define ERR(name, problem, status, text) [name] = (text),
#include "base/errors.def"
#undef ERR
};

const char *err_name(enum err err)
{
    CHECK((unsigned)err < ERR_COUNT);
    return names[err];
}

int err_status(enum err err)
{
    CHECK((unsigned)err < ERR_COUNT);
    return statuses[err];
}

const char *err_text(enum err err)
{
    CHECK((unsigned)err < ERR_COUNT);
    return texts[err];
}
