/* Texts of the metric language in requests: see statements.h. */
#include "api/statements.h"

#include "api/config.h"
#include "api/problem.h"
#include "base/check.h"
#include "base/json.h"

#include <stdio.h>

#define ARENA_BYTES_FIXED ((size_t)64 * 1024)

bool sql_body(struct call *call, struct bytes *text)
{
    if (call->is_json) {
        struct config_member members[] = {{.name = "sql"}};
        if (!config_read(call, members, 1)) {
            return false;
        }
        if (!members[0].given) {
            call_fail_member(call, ERR_UNPROCESSABLE, BYTES("sql"), NULL);
            return false;
        }
        *text = members[0].text;
    } else {
        *text = buf_bytes(&call->body.whole);
    }
    if (!utf8_valid(*text)) {
        call_fail(call, ERR_UTF8, NULL);
        return false;
    }
    return true;
}

size_t statement_arena_bytes(struct bytes text)
{
    return ARENA_BYTES_FIXED + 8 * text.len + 16;
}

/* Lines and columns of a part become those of the script around it. */
static void place_in_script(const struct statement_text *text, struct error *error)
{
    int lines = 0;
    int columns = 0;
    for (const uint8_t *at = text->script.data; at < text->part.data; at++) {
        lines += *at == '\n' ? 1 : 0;
        columns = *at == '\n' ? 0 : columns + 1;
    }
    if (error->line == 1) {
        error->column += columns;
    }
    error->line += error->line > 0 ? lines : 0;
}

bool statement_read(struct call *call,
                    const struct statement_text *text,
                    struct arena *arena,
                    struct statement *statement)
{
    struct error error = {.code = OK};
    enum err err = lang_parse(text->part, arena, statement, &error);
    if (err == OK) {
        return true;
    }
    char extra[32] = "";
    if (text->number > 0) {
        place_in_script(text, &error);
        (void)snprintf(extra, sizeof(extra), "\"statement\":%u", text->number);
    }
    const struct problem problem = {
        .err = err,
        .detail = error.text,
        .line = error.line,
        .column = error.column,
        .hint = error.hint,
        .extra = bytes_of_string(extra),
    };
    call_refuse(call, &problem);
    return false;
}

struct statement *statement_of_body(struct call *call)
{
    struct bytes text;
    if (!sql_body(call, &text)) {
        return NULL;
    }
    size_t size = statement_arena_bytes(text);
    struct statement *statement = memory_take(&call->memory, sizeof(*statement));
    uint8_t *memory = memory_take(&call->memory, size);
    if (statement == NULL || memory == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this statement");
        return NULL;
    }
    struct arena arena = arena_of(memory, size);
    const struct statement_text whole = {.script = text, .part = text};
    return statement_read(call, &whole, &arena, statement) ? statement : NULL;
}

_Static_assert(RULE_BYTES_MAX <= DEFINITION_BYTES_MAX, "either fits");

static bool room_for_encoding(struct call *call, struct buf *out)
{
    uint8_t *memory = memory_take(&call->memory, DEFINITION_BYTES_MAX);
    if (memory == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this definition");
        return false;
    }
    *out = buf_of(memory, DEFINITION_BYTES_MAX);
    return true;
}

static bool encoded_whole(struct call *call, const struct buf *out, struct bytes *encoded)
{
    if (out->overflow) {
        call_fail(call, ERR_LIMIT, "the definition is too large");
        return false;
    }
    *encoded = buf_bytes(out);
    return true;
}

bool definition_encode(struct call *call,
                       const struct definition *definition,
                       struct bytes *encoded)
{
    struct buf out;
    if (!room_for_encoding(call, &out)) {
        return false;
    }
    definition_put(&out, definition);
    return encoded_whole(call, &out, encoded);
}

bool rule_encode(struct call *call, const struct rule *rule, struct bytes *encoded)
{
    struct buf out;
    if (!room_for_encoding(call, &out)) {
        return false;
    }
    rule_put(&out, rule);
    return encoded_whole(call, &out, encoded);
}
