/* The metric language over HTTP: texts from bodies, parsed, with errors that say where. */
#pragma once

#include "api/call.h"
#include "lang/lang.h"

/* The body's text: as it is, or the member "sql" of an object. False: answered. */
bool sql_body(struct call *call, struct bytes *text);

/* One statement of a script (a slice of it) or a whole text, parsed into the call's memory. */
struct statement_text {
    struct bytes script;
    struct bytes part;
    uint32_t number; /* 1, 2, ... in the script; 0: there is no script */
};

/* False: answered. The statement borrows from the arena and the text. */
bool statement_read(struct call *call,
                    const struct statement_text *text,
                    struct arena *arena,
                    struct statement *statement);

/* The size of an arena that lang_parse wants for this text. */
size_t statement_arena_bytes(struct bytes text);

/* The body's one statement, parsed into the call's memory. NULL: answered. */
struct statement *statement_of_body(struct call *call);

/* Encoded into the call's memory. False: answered. */
bool definition_encode(struct call *call,
                       const struct definition *definition,
                       struct bytes *encoded);

bool rule_encode(struct call *call, const struct rule *rule, struct bytes *encoded);
