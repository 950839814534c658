/* Commands on an engine without a server: see direct.h. */
#include "apps/direct.h"

#include "apps/say.h"
#include "base/check.h"
#include "lang/lang.h"

#include <stdlib.h>

#define WAIT_US 50000

int direct_open(const struct node_options *options, struct node **node, struct node_start *start)
{
    struct error error = {.code = OK};
    *start = (struct node_start){.exit_code = 0};
    if (node_open(options, node, start, &error) == OK) {
        return EXIT_CODE_OK;
    }
    complain("%s", error.text);
    if (error.hint[0] != '\0') {
        note("Hint: %s\n", error.hint);
    }
    return start->exit_code != 0 ? start->exit_code : EXIT_CODE_CONFIGURATION;
}

static void proposal_done(struct letter *letter)
{
    bool *done = letter->user;
    *done = true;
}

enum err direct_propose(struct node *node, uint32_t gateway, struct proposal *proposal)
{
    bool done = false;
    proposal->letter.done = proposal_done;
    proposal->letter.user = &done;
    enum err err = ERR_OVERLOADED;
    while (err == ERR_OVERLOADED) {
        err = gateway_propose(node_gateway(node, gateway), proposal);
        if (err == ERR_OVERLOADED) {
            node_wait(node, gateway, WAIT_US);
            (void)node_gateway_step(node, gateway);
        }
    }
    if (err != OK) {
        return err;
    }
    while (!done) {
        if (!node_gateway_step(node, gateway)) {
            node_wait(node, gateway, WAIT_US);
        }
    }
    return proposal->err;
}

/* The statement as a proposal; its definition is encoded into `memory`. */
static enum err statement_proposal(const struct statement *statement,
                                   struct buf *memory,
                                   struct proposal *proposal,
                                   struct error *error)
{
    proposal->name = statement->name;
    switch (statement->kind) {
    case STATEMENT_CREATE_METRIC:
        definition_put(memory, &statement->definition);
        if (memory->overflow) {
            error_say(error, "the definition is too large");
            return ERR_LIMIT;
        }
        proposal->kind = PROPOSE_DEFINE;
        proposal->definition = buf_bytes(memory);
        proposal->mode = statement->if_not_exists ? DEFINE_IF_NOT_EXISTS : DEFINE_CREATE;
        return OK;
    case STATEMENT_DROP_METRIC:
        proposal->kind = PROPOSE_DROP;
        return OK;
    case STATEMENT_CREATE_RULE:
        rule_put(memory, &statement->rule);
        proposal->kind = PROPOSE_RULE_DEFINE;
        proposal->definition = buf_bytes(memory);
        proposal->mode = statement->if_not_exists ? DEFINE_IF_NOT_EXISTS : DEFINE_CREATE;
        return OK;
    case STATEMENT_DROP_RULE:
        proposal->kind = PROPOSE_RULE_DROP;
        proposal->rule_kind = statement->rule_kind;
        return OK;
    case STATEMENT_SHOW_METRICS:
    case STATEMENT_SHOW_METRIC:
    case STATEMENT_SHOW_RULES:
    case STATEMENT_SELECT:
    case STATEMENT_RULE:
        break;
    }
    error_say(error, "only CREATE and DROP can be run here");
    return ERR_SQL_MEANING;
}

static enum err
statement_run(struct node *node, uint32_t gateway, struct bytes text, struct error *error)
{
    uint8_t *scratch = malloc(LANG_ARENA_BYTES);
    uint8_t *encoded = malloc(DEFINITION_BYTES_MAX);
    struct proposal *proposal = calloc(1, sizeof(*proposal));
    struct statement *statement = calloc(1, sizeof(*statement));
    enum err err = ERR_UNAVAILABLE;
    error_say(error, "there is no memory left");
    if (scratch != NULL && encoded != NULL && proposal != NULL && statement != NULL) {
        struct arena arena = arena_of(scratch, LANG_ARENA_BYTES);
        struct buf memory = buf_of(encoded, DEFINITION_BYTES_MAX);
        err = lang_parse(text, &arena, statement, error);
        if (err == OK) {
            err = statement_proposal(statement, &memory, proposal, error);
        }
        if (err == OK) {
            err = direct_propose(node, gateway, proposal);
            error_say(error,
                      "%s%s%s",
                      err_text(err),
                      proposal->detail[0] != '\0' ? ": " : "",
                      proposal->detail);
            bool unknown = err == ERR_UNKNOWN_METRIC || err == ERR_UNKNOWN_RULE;
            bool absent = unknown && statement->if_exists;
            err = absent ? OK : err;
        }
    }
    free(scratch);
    free(encoded);
    free(proposal);
    free(statement);
    return err;
}

int direct_sql(struct node *node, uint32_t gateway, const char *text)
{
    struct bytes script = bytes_of_string(text);
    struct bytes statement;
    while (lang_next_statement(&script, &statement)) {
        struct error error = {.code = OK};
        enum err err = statement_run(node, gateway, statement, &error);
        if (err != OK) {
            complain("--sql: %s", error.text);
            if (error.line > 0) {
                note("At line %d, column %d of: %.*s\n",
                     error.line,
                     error.column,
                     (int)(statement.len > 400 ? 400 : statement.len),
                     (const char *)statement.data);
            }
            if (error.hint[0] != '\0') {
                note("Hint: %s\n", error.hint);
            }
            return EXIT_CODE_REFUSED;
        }
    }
    return EXIT_CODE_OK;
}
