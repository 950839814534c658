/* The metric language: any text is a checked statement or an error with a place, and a definition
 * that came out survives its encoding. */
#include "fuzz.h"

#include "base/check.h"
#include "lang/lang.h"

#define ARENA_BYTES (1 << 20)

/* What was encoded decodes, and encodes to the same bytes again. */
static void check_round_trip(const struct definition *definition)
{
    static uint8_t first[2 * DEFINITION_BYTES_MAX];
    static uint8_t second[2 * DEFINITION_BYTES_MAX];
    struct buf out = buf_of(first, sizeof(first));
    struct buf again = buf_of(second, sizeof(second));
    struct definition back;
    definition_put(&out, definition);
    CHECK(!out.overflow);
    CHECK(definition_read(buf_bytes(&out), &back));
    definition_put(&again, &back);
    CHECK(bytes_equal(buf_bytes(&out), buf_bytes(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t memory[ARENA_BYTES];
    struct bytes script = bytes_of(data, size);
    struct bytes text;
    while (lang_next_statement(&script, &text)) {
        struct arena arena = arena_of(memory, sizeof(memory));
        struct statement statement = {0};
        struct error error = {0};
        if (lang_parse(text, &arena, &statement, &error) != OK) {
            continue;
        }
        if (statement.kind == STATEMENT_CREATE_METRIC) {
            CHECK(definition_valid(&statement.definition));
            check_round_trip(&statement.definition);
        }
    }
    return 0;
}
