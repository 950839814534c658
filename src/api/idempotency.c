/* Requests that may be repeated: see idempotency.h for their states and invariants.
 *
 * Two requests are the same when method, path, query and (decoded) body are, and of events the fields
 * that say what the body is: compared by a hash of 128 bits under the log's own seed, which nobody
 * outside knows.
 *
 * Kept is what was decided: a success, or a refusal that follows from what is there (404, 409, 412,
 * 422 of a proposal that came back). What a client may mend or wait for is not: then the key is free
 * again. Neither is an answer of more than KEPT_ANSWER_BYTES_MAX, or one that there is no room for; the
 * repetition is then done anew, as without a key. */
#include "api/idempotency.h"

#include "api/config.h"
#include "api/ingest.h"
#include "api/problem.h"
#include "api/routes.h"
#include "base/check.h"
#include "base/hash.h"

#include <stdlib.h>

#define FIELD "Idempotency-Key"

enum key_state {
    KEY_ASKED,
    KEY_HELD,
    KEY_STORING,
    KEY_LOOSE,
    KEY_DONE,
};

struct idempotency {
    enum key_state state;
    struct claim claim;
    struct proposal store;
    struct buf record;   /* of the answer; its capacity is held of the API's budget */
    struct answer again; /* the answer as it was kept, on its way out */
    size_t key_len;
    uint8_t key[IDEMPOTENCY_KEY_MAX];
};

/* --- the header --- */

/* What was kept is told again, with one field more. */
_Static_assert(KEPT_ANSWER_FIELDS_MAX < ANSWER_FIELDS_MAX, "a kept answer fits into an answer");

/* The text of a string of RFC 8941 §3.3.3, or the value as it is. False: it is no key. */
static bool key_read(struct bytes value, struct idempotency *key)
{
    bool quoted = value.len > 0 && value.data[0] == '"';
    if (quoted && (value.len < 2 || value.data[value.len - 1] != '"')) {
        return false;
    }
    size_t end = quoted ? value.len - 1 : value.len;
    struct buf text = buf_of(key->key, sizeof(key->key));
    for (size_t at = quoted ? 1 : 0; at < end; at++) {
        uint8_t c = value.data[at];
        if (quoted && c == '\\') {
            at++;
            if (at == end || (value.data[at] != '"' && value.data[at] != '\\')) {
                return false;
            }
            c = value.data[at];
        } else if (quoted && c == '"') {
            return false;
        }
        buf_put_u8(&text, c);
    }
    key->key_len = text.len;
    return !text.overflow && idempotency_key_valid(buf_bytes(&text));
}

/* The field's value, data NULL when there is none; false when there are several. */
static bool field_find(const struct http_request *request, struct bytes *value)
{
    *value = (struct bytes){0};
    for (size_t i = 0; i < request->field_count; i++) {
        if (http_name_equal(request->fields[i].name, BYTES(FIELD))) {
            if (value->data != NULL) {
                return false;
            }
            *value = request->fields[i].value;
            value->data = value->data != NULL ? value->data : (const uint8_t *)"";
        }
    }
    return true;
}

bool idempotency_head(struct call *call, const struct http_request *request)
{
    struct bytes value = {0};
    bool one = !route_takes_key(call->route) || field_find(request, &value);
    if (one && value.data == NULL) {
        return true;
    }
    struct idempotency *key = calloc(1, sizeof(*key));
    if (key == NULL) {
        call_fail(call, ERR_UNAVAILABLE, "there is no memory for this request");
        return false;
    }
    key->state = KEY_DONE;
    call->idempotency = key;
    if (one && key_read(value, key)) {
        return true;
    }
    call_fail_member(call,
                     ERR_MALFORMED,
                     BYTES(FIELD),
                     "a key is 1 to 255 visible ASCII characters, bare or as a quoted string");
    return false;
}

/* --- sending --- */

/* Sends the answer of a record's body; it may be the first time or a repetition. */
static void answer_kept(struct call *call, struct bytes record, bool again)
{
    struct kept_answer kept;
    struct answer *answer = &call->idempotency->again;
    CHECK(kept_answer_read(record, &kept)); /* we wrote it, or the engine did */
    *answer = (struct answer){.status = kept.status};
    bool marked = false;
    for (uint32_t n = 0; n < kept.field_count; n++) {
        struct http_field *field = &answer->fields[answer->field_count++];
        *field = (struct http_field){kept.fields[n].name, kept.fields[n].value};
        marked = marked || http_name_equal(field->name, BYTES("Idempotent-Replayed"));
    }
    if (again && !marked) {
        answer_field(answer, "Idempotent-Replayed", BYTES("true"));
    }
    out_clear(&call->api->out);
    out_bytes(&call->api->out, kept.body);
    call_answer(call, answer);
}

/* --- claiming --- */

/* Each half by a seed of its own, through and through, so that both collide only by chance. */
static uint64_t request_hash(const struct call *call, uint64_t seed)
{
    const struct http_request *request = call->exchange->request;
    uint64_t hash = hash64_pair(request->path, request->query, seed);
    hash = hash64_mix(hash, (uint64_t)request->method);
    if (call->ingest != NULL) {
        hash = hash64_mix(hash, ingest_fields_hash(request, seed));
    }
    return hash64(buf_bytes(&call->body.whole), hash);
}

static struct letter *
letter_of(struct letter *letter, struct call *call, void (*done)(struct letter *letter))
{
    letter->done = done;
    letter->user = call;
    call->letters++;
    return letter;
}

static struct call *letter_return(const struct letter *letter)
{
    struct call *call = letter->user;
    CHECK(call->letters > 0);
    call->letters--;
    return call;
}

static void claim_back(struct letter *letter)
{
    struct call *call = letter_return(letter);
    struct idempotency *key = call->idempotency;
    const struct claim *claim = &key->claim;
    CHECK(key->state == KEY_ASKED);
    if (claim->err != OK) {
        key->state = KEY_DONE;
        call_fail(call, claim->err, NULL);
    } else if (claim->answer.data != NULL) {
        key->state = KEY_DONE;
        answer_kept(call, claim->answer, true);
    } else if (call_open(call)) {
        key->state = KEY_HELD;
        out_clear(&call->api->out);
        call->route->run(call);
    } else {
        key->state = KEY_LOOSE; /* its peer went before anything was done */
    }
    call_settle(call);
}

void idempotency_run(struct call *call)
{
    struct idempotency *key = call->idempotency;
    bool dry_run = false;
    if (key == NULL) {
        call->route->run(call);
        return;
    }
    if (!config_dry_run(call, &dry_run)) {
        return;
    }
    if (dry_run) {
        call->route->run(call);
        return;
    }
    uint64_t seed = gateway_facts(call->api->gateway)->seed;
    key->claim = (struct claim){
        .kind = CLAIM_TAKE,
        .key = bytes_of(key->key, key->key_len),
        .request.half = {request_hash(call, hash64_mix(seed, 1)),
                         request_hash(call, hash64_mix(seed, 2))},
    };
    (void)letter_of(&key->claim.letter, call, claim_back);
    enum err err = gateway_claim(call->api->gateway, &key->claim);
    if (err != OK) {
        call->letters--;
        call_fail(call, err, NULL);
        return;
    }
    key->state = KEY_ASKED;
}

/* --- keeping --- */

bool idempotency_owes(const struct call *call)
{
    return call->idempotency != NULL && call->idempotency->state == KEY_HELD;
}

static bool is_worth_keeping(const struct call *call, const struct answer *answer)
{
    int status = answer->status;
    bool success = status >= 200 && status < 300;
    bool refusal = status == 404 || status == 409 || status == 412 || status == 422;
    return !answer->close && !call->api->out.buf.overflow &&
           answer->field_count < ANSWER_FIELDS_MAX && (success || (refusal && call->decided));
}

static void store_back(struct letter *letter)
{
    struct call *call = letter_return(letter);
    struct idempotency *key = call->idempotency;
    CHECK(key->state == KEY_STORING);
    key->state = key->store.err == OK ? KEY_DONE : KEY_LOOSE;
    if (call_open(call)) {
        struct bytes record = buf_bytes(&key->record);
        answer_kept(call,
                    bytes_slice(record, RECORD_HEADER_BYTES, record.len - RECORD_HEADER_BYTES),
                    false);
    }
    call_settle(call);
}

/* Encodes the answer as a record. False: there is no room for it. */
static bool record_make(struct call *call, const struct answer *answer)
{
    struct idempotency *key = call->idempotency;
    struct kept_answer kept = {
        .request = key->claim.request,
        .key = key->claim.key,
        .status = (uint16_t)answer->status,
        .field_count = (uint32_t)answer->field_count,
        .body = buf_bytes(&call->api->out.buf),
    };
    for (size_t n = 0; n < answer->field_count; n++) {
        kept.fields[n] = (struct kept_field){answer->fields[n].name, answer->fields[n].value};
    }
    size_t size = kept_answer_bytes_max(&kept);
    if (size > KEPT_ANSWER_BYTES_MAX || !budget_take(&call->api->held, size)) {
        return false;
    }
    key->record = buf_of(malloc(size), size);
    if (key->record.data == NULL) {
        key->record.cap = 0;
        budget_give(&call->api->held, size);
        return false;
    }
    kept_answer_put(&key->record, &kept);
    CHECK(!key->record.overflow);
    return true;
}

bool idempotency_keeps(struct call *call, const struct answer *answer)
{
    struct idempotency *key = call->idempotency;
    if (!idempotency_owes(call) || call->letters > 0) {
        return false; /* in the latter case its peer has waited too long: the true answer is to come */
    }
    if (!is_worth_keeping(call, answer) || !record_make(call, answer)) {
        key->state = KEY_LOOSE;
        return false;
    }
    key->state = KEY_STORING;
    key->store = (struct proposal){.kind = PROPOSE_ANSWER, .records = buf_bytes(&key->record)};
    (void)letter_of(&key->store.letter, call, store_back);
    CHECK(gateway_propose(call->api->gateway, &key->store) == OK);
    return true;
}

/* --- giving back --- */

static void loose_back(struct letter *letter)
{
    struct call *call = letter_return(letter);
    call->idempotency->state = KEY_DONE;
    call_settle(call);
}

bool idempotency_lingers(struct call *call)
{
    struct idempotency *key = call->idempotency;
    if (key == NULL || key->state != KEY_LOOSE) {
        return false;
    }
    key->claim.kind = CLAIM_GIVE_BACK;
    (void)letter_of(&key->claim.letter, call, loose_back);
    CHECK(gateway_claim(call->api->gateway, &key->claim) == OK);
    return true;
}

void idempotency_destroy(struct call *call)
{
    struct idempotency *key = call->idempotency;
    if (key == NULL) {
        return;
    }
    CHECK(key->state == KEY_DONE);
    claim_free(&key->claim);
    budget_give(&call->api->held, key->record.cap);
    free(key->record.data);
    free(key);
}
