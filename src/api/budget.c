/* Budgets: see budget.h. */
#include "api/budget.h"

#include "base/check.h"

#include <stdint.h>

bool budget_take(struct budget *budget, size_t bytes)
{
    if (budget->used_bytes > budget->bytes_max || bytes > budget->bytes_max - budget->used_bytes) {
        return false;
    }
    budget->used_bytes += bytes;
    return true;
}

bool budget_charge(struct budget *budget, size_t bytes)
{
    CHECK(bytes <= SIZE_MAX - budget->used_bytes);
    budget->used_bytes += bytes;
    return budget->used_bytes <= budget->bytes_max;
}

void budget_give(struct budget *budget, size_t bytes)
{
    CHECK(bytes <= budget->used_bytes);
    budget->used_bytes -= bytes;
}

bool budget_is_tight(const struct budget *budget)
{
    return budget->used_bytes > budget->bytes_max / 2;
}
