/* Rules: AFTER condition EXPECT condition WITHIN span PER key ..., and EXPECT condition EVERY ...
 *
 * The first clause comes first; the others may come in any order, each at most once.
 *
 * WITHIN takes an interval, or an expression over the start. The expression is computed as all are,
 * in seconds (so that time - time and INTERVAL '1 minute' mean the same here as in a metric), and the
 * program that comes out multiplies by 1,000,000 at its end: what the core reads are microseconds.
 *
 * Invariants of the rule that comes out:
 *  1. within_us is 0 exactly when `within` holds a program.
 *  2. What its kind needs is there, what it may not have isn't (rule_valid). */
#include "lang/rule.h"

#include "base/check.h"
#include "lang/compile.h"
#include "model/number.h"

enum clause {
    CLAUSE_AFTER,
    CLAUSE_EXPECT,
    CLAUSE_HEARTBEAT,
    CLAUSE_CANCEL,
    CLAUSE_WITHIN,
    CLAUSE_EVERY,
    CLAUSE_PER,
    CLAUSE_CLOCK,
    CLAUSE_GRACE,
    CLAUSE_LATE,
};

#define CLAUSE_COUNT (CLAUSE_LATE + 1)

struct rule_parser {
    struct parser *p;
    struct rule *rule;
    struct token late; /* where LATE RETRACT stands */
    bool seen[CLAUSE_COUNT];
};

/* Which kinds of rule a clause belongs to, which it is needed by, and what it looks like. */
static const struct {
    const char *word;
    bool of_timeout;
    bool of_silence;
    bool needed;
    const char *form;
} clauses[] = {
    [CLAUSE_AFTER] = {"AFTER", true, false, true, "AFTER type = 'order.placed'"},
    [CLAUSE_EXPECT] = {"EXPECT", true, true, true, "EXPECT type = 'order.paid'"},
    [CLAUSE_HEARTBEAT] = {"HEARTBEAT", true, false, false, "HEARTBEAT type = 'order.seen'"},
    [CLAUSE_CANCEL] = {"CANCEL", true, false, false, "CANCEL type = 'order.cancelled'"},
    [CLAUSE_WITHIN] = {"WITHIN", true, false, true, "WITHIN INTERVAL '15 minutes'"},
    [CLAUSE_EVERY] = {"EVERY", false, true, true, "EVERY INTERVAL '90 minutes'"},
    [CLAUSE_PER] = {"PER", true, true, true, "PER subject"},
    [CLAUSE_CLOCK] = {"CLOCK", true, true, false, "CLOCK EVENT"},
    [CLAUSE_GRACE] = {"GRACE", true, true, false, "GRACE INTERVAL '1 minute'"},
    [CLAUSE_LATE] = {"LATE", true, false, false, "LATE RETRACT"},
};

static bool is_timeout(const struct rule_parser *r)
{
    return r->rule->kind == RULE_TIMEOUT;
}

static bool belongs(const struct rule_parser *r, int clause)
{
    return is_timeout(r) ? clauses[clause].of_timeout : clauses[clause].of_silence;
}

/* The clause that the token begins, CLAUSE_COUNT = none. */
static int clause_of(const struct token *token)
{
    int clause = 0;
    while (clause < CLAUSE_COUNT && !token_is_word(token, clauses[clause].word)) {
        clause += 1;
    }
    return clause;
}

static bool hint(struct rule_parser *r, const char *sentence)
{
    return diagnosis_hint(&r->p->diagnosis, sentence, r->p->token.text);
}

/* A clause's word may be an attribute's name as well; where another word follows it that goes on
 * with nothing, the expression before it was left out. */
static bool expression_missing(const struct rule_parser *r)
{
    static const char *const operators[] = {
        "IS", "IN", "LIKE", "BETWEEN", "NOT", "AND", "OR", NULL};
    const struct parser *p = r->p;
    bool goes_on = p->next.kind == TOKEN_SYMBOL || p->next.kind == TOKEN_END;
    for (const char *const *word = operators; *word != NULL; word++) {
        goes_on = goes_on || token_is_word(&p->next, *word);
    }
    return clause_of(&p->token) < CLAUSE_COUNT && !goes_on && clause_of(&p->next) == CLAUSE_COUNT;
}

static struct node *parse_part(struct rule_parser *r, int clause, const char *what)
{
    struct parser *p = r->p;
    if (p->token.kind == TOKEN_END || expression_missing(r)) {
        (void)parser_expected(p, what, NULL);
        (void)hint(r, clauses[clause].form);
        return NULL;
    }
    return parse_expression(p);
}

static struct compiler compiler_for(struct rule_parser *r, int clause)
{
    return (struct compiler){
        .diagnosis = &r->p->diagnosis,
        .arena = r->p->arena,
        .place = clauses[clause].word,
        .single_event = true,
    };
}

static bool parse_condition(struct rule_parser *r, int clause, struct bytes *program)
{
    struct compiler compiler = compiler_for(r, clause);
    const struct node *condition = parse_part(r, clause, "a condition");
    return condition != NULL && compile_condition(&compiler, condition, program);
}

static bool parse_key(struct rule_parser *r)
{
    struct compiler compiler = compiler_for(r, CLAUSE_PER);
    const struct node *key = parse_part(r, CLAUSE_PER, "the key, an expression");
    if (key == NULL) {
        return false;
    }
    if (parser_at_symbol(r->p, ",")) {
        (void)parser_fail(
            r->p, ERR_SQL_MEANING, "PER takes one expression", (struct bytes){.data = NULL});
        return hint(r, "join several: PER source || '/' || subject");
    }
    return compile_program(&compiler, key, &r->rule->key);
}

/* INTERVAL '...' from min to max; `limits` says which these are. */
static bool
parse_limited(struct rule_parser *r, int clause, int64_t min_us, int64_t max_us, int64_t *us)
{
    struct parser *p = r->p;
    struct token at = p->token;
    struct span span;
    if (!parser_at_word(p, "INTERVAL")) {
        (void)parser_expected(p, "an interval", NULL);
        return hint(r, clauses[clause].form);
    }
    if (!parse_interval(p, &span)) {
        return false;
    }
    if (span.us < min_us || span.us > max_us) {
        p->token = at;
        return parser_fail(p,
                           ERR_SQL_MEANING,
                           clause == CLAUSE_GRACE ? "% is at most 366 days"
                                                  : "% takes 1 millisecond to 3660 days",
                           bytes_of_string(clauses[clause].word));
    }
    *us = span.us;
    return true;
}

/* A constant that was written as an interval: microseconds, checked here and now. */
static bool take_constant(struct rule_parser *r, struct token at, const struct node *node)
{
    struct parser *p = r->p;
    bool number = node->value.kind == VALUE_NUMBER;
    p->token = at;
    if (!number || at.kind == TOKEN_NUMBER) {
        (void)parser_fail(p, ERR_SQL_MEANING, "WITHIN takes an interval, not %", at.text);
        return hint(r, clauses[CLAUSE_WITHIN].form);
    }
    int128 us = node->value.nano / (NANO_PER_UNIT / US_PER_SECOND);
    if (us < RULE_SPAN_MIN_US || us > RULE_SPAN_MAX_US) {
        return parser_fail(p, ERR_SQL_MEANING, "WITHIN takes 1 millisecond to 3660 days", at.text);
    }
    r->rule->within_us = (int64_t)us;
    return true;
}

/* The seconds of the expression as microseconds. */
static struct node *in_microseconds(struct parser *p, struct node *seconds)
{
    struct node *chain = parser_node(p, NODE_CHAIN);
    struct node *term = parser_node(p, NODE_TERM);
    struct node *factor = parser_node(p, NODE_CONSTANT);
    if (chain == NULL || term == NULL || factor == NULL) {
        return NULL;
    }
    factor->value = value_of_nano(US_PER_SECOND * (int128)NANO_PER_UNIT);
    term->op = OP_MULTIPLY;
    term->first = parser_close(p, factor);
    chain->offset = seconds->offset;
    chain->first = seconds;
    chain->second = parser_close(p, term);
    return parser_close(p, chain);
}

static bool parse_within(struct rule_parser *r)
{
    struct parser *p = r->p;
    struct token at = p->token;
    struct compiler compiler = compiler_for(r, CLAUSE_WITHIN);
    struct node *span =
        parse_part(r, CLAUSE_WITHIN, "an interval, or an expression that gives one");
    if (span == NULL) {
        return false;
    }
    if (span->kind == NODE_CONSTANT) {
        struct token behind = p->token;
        bool good = take_constant(r, at, span);
        p->token = good ? behind : p->token;
        return good;
    }
    enum known known = known_of(span);
    if (known != KNOWN_NOTHING && known != KNOWN_NUMBER) {
        p->token = at;
        (void)parser_fail(p,
                          ERR_SQL_MEANING,
                          "WITHIN takes a span of time, but this is %",
                          bytes_of_string(known_name(known)));
        return hint(r,
                    known == KNOWN_TIME ? "the span up to a moment is: moment - time"
                                        : "WITHIN data.minutes * INTERVAL '1 minute'");
    }
    struct node *scaled = in_microseconds(p, span);
    return scaled != NULL && compile_program(&compiler, scaled, &r->rule->within);
}

static bool parse_clock(struct rule_parser *r)
{
    static const char *const words[] = {"EVENT", "PROCESSING", NULL};
    struct parser *p = r->p;
    bool processing = parser_at_word(p, "PROCESSING");
    if (!processing && !parser_at_word(p, "EVENT")) {
        return parser_expected(p, "EVENT or PROCESSING", words);
    }
    r->rule->clock = processing ? TIMEOUT_BY_PROCESSING : TIMEOUT_BY_EVENTS;
    return parser_advance(p);
}

static bool parse_late(struct rule_parser *r)
{
    static const char *const words[] = {"RETRACT", "IGNORE", NULL};
    struct parser *p = r->p;
    bool retract = parser_at_word(p, "RETRACT");
    if (!retract && !parser_at_word(p, "IGNORE")) {
        return parser_expected(p, "RETRACT or IGNORE", words);
    }
    r->late = p->token;
    r->rule->late = retract ? RULE_LATE_RETRACT : RULE_LATE_IGNORE;
    return parser_advance(p);
}

/* What stands behind the clause's word. */
static bool parse_clause(struct rule_parser *r, enum clause clause)
{
    struct rule *rule = r->rule;
    switch (clause) {
    case CLAUSE_AFTER:
        return parse_condition(r, CLAUSE_AFTER, &rule->after);
    case CLAUSE_EXPECT:
        return parse_condition(r, CLAUSE_EXPECT, &rule->expect);
    case CLAUSE_HEARTBEAT:
        return parse_condition(r, CLAUSE_HEARTBEAT, &rule->heartbeat);
    case CLAUSE_CANCEL:
        return parse_condition(r, CLAUSE_CANCEL, &rule->cancel);
    case CLAUSE_WITHIN:
        return parse_within(r);
    case CLAUSE_EVERY:
        return parse_limited(r, CLAUSE_EVERY, RULE_SPAN_MIN_US, RULE_SPAN_MAX_US, &rule->within_us);
    case CLAUSE_PER:
        return parse_key(r);
    case CLAUSE_CLOCK:
        return parse_clock(r);
    case CLAUSE_GRACE:
        return parse_limited(r, CLAUSE_GRACE, 0, RULE_GRACE_MAX_US, &rule->grace_us);
    case CLAUSE_LATE:
        return parse_late(r);
    }
    return false;
}

/* What a metric would have and a rule has not. */
static bool fail_foreign(struct rule_parser *r)
{
    static const struct {
        const char *word;
        const char *advice;
    } others[] = {
        {"WHERE", "the condition stands right behind EXPECT: EXPECT type = 'order.paid'"},
        {"GROUP", "PER names the key: PER subject"},
        {"BY", "PER names the key: PER subject"},
        {"FROM", "a rule reads one stream, the events; leave FROM out"},
        {"EMIT", "a rule tells once, when it fires"},
        {"ALLOW", "GRACE INTERVAL '1 minute' waits longer before it fires"},
    };
    struct parser *p = r->p;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (parser_at_word(p, others[i].word)) {
            (void)parser_fail(p, ERR_SQL, "% is not available in a rule", p->token.text);
            return hint(r, others[i].advice);
        }
    }
    return true;
}

/* The current token can't stand here. */
static bool fail_clause(struct rule_parser *r, int clause)
{
    struct parser *p = r->p;
    const char *words[CLAUSE_COUNT + 1] = {NULL};
    size_t count = 0;
    if (clause < CLAUSE_COUNT && belongs(r, clause)) {
        return parser_fail(p, ERR_SQL, "% is given twice", p->token.text);
    }
    if (clause < CLAUSE_COUNT) {
        (void)parser_fail(p,
                          ERR_SQL_MEANING,
                          is_timeout(r) ? "% belongs to CREATE SILENCE, not to a timeout"
                                        : "% belongs to CREATE TIMEOUT, not to a silence",
                          p->token.text);
        return clause == CLAUSE_EVERY    ? hint(r, clauses[CLAUSE_WITHIN].form)
               : clause == CLAUSE_WITHIN ? hint(r, clauses[CLAUSE_EVERY].form)
                                         : false;
    }
    if (!fail_foreign(r)) {
        return false;
    }
    for (int i = 0; i < CLAUSE_COUNT; i++) {
        if (belongs(r, i) && !r->seen[i]) {
            words[count++] = clauses[i].word;
        }
    }
    return parser_expected(p,
                           is_timeout(r) ? "EXPECT, HEARTBEAT, CANCEL, WITHIN, PER, CLOCK, GRACE, "
                                           "LATE or the end"
                                         : "EVERY, PER, CLOCK, GRACE or the end",
                           words);
}

static bool at_end(const struct parser *p)
{
    return p->token.kind == TOKEN_END || parser_at_symbol(p, ";");
}

/* Everything that the rule needs was given. */
static bool complete(struct rule_parser *r)
{
    struct parser *p = r->p;
    for (int i = 0; i < CLAUSE_COUNT; i++) {
        if (belongs(r, i) && clauses[i].needed && !r->seen[i]) {
            (void)parser_expected(p, clauses[i].word, NULL);
            return hint(r, clauses[i].form);
        }
    }
    if (r->rule->clock == TIMEOUT_BY_PROCESSING && r->rule->late == RULE_LATE_RETRACT) {
        p->token = r->late;
        (void)parser_fail(p,
                          ERR_SQL_MEANING,
                          "by the processing clock nothing is late, so nothing can be retracted",
                          p->token.text);
        return hint(r, "leave LATE out, or take CLOCK EVENT");
    }
    return true;
}

bool parse_rule(struct parser *p, struct rule *rule)
{
    struct rule_parser r = {.p = p, .rule = rule};
    const char *first = clauses[is_timeout(&r) ? CLAUSE_AFTER : CLAUSE_EXPECT].word;
    rule->clock = TIMEOUT_BY_EVENTS;
    if (!parser_at_word(p, first)) {
        const char *const words[] = {first, NULL};
        (void)parser_expected(p, first, words);
        return p->diagnosis.error->hint[0] != '\0'
                   ? false
                   : hint(&r, clauses[is_timeout(&r) ? CLAUSE_AFTER : CLAUSE_EXPECT].form);
    }
    while (!p->failed && !at_end(p)) {
        int clause = clause_of(&p->token);
        if (clause == CLAUSE_COUNT || !belongs(&r, clause) || r.seen[clause]) {
            return fail_clause(&r, clause);
        }
        r.seen[clause] = true;
        if (!parser_advance(p) || !parse_clause(&r, (enum clause)clause)) {
            return false;
        }
    }
    return !p->failed && complete(&r);
}
