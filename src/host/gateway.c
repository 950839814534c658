/* Gateway: see gateway.h. Counts what is under way, so that queues have a limit that users see.
 *
 * Invariants:
 *  1. letters = letters that were sent and are not back; bytes = the records among them; queries
 *     and scans = the questions among them.
 *  2. `done` is called from gateway_step only. */
#include "host/gateway.h"

#include "base/check.h"
#include "base/hash.h"
#include "host/gateway_thread.h"
#include "host/skews.h"
#include "host/tide.h"

#include <stdlib.h>

struct gateway {
    struct gateway_options options;
    uint32_t address;
    uint32_t letters;
    uint32_t queries; /* among them, counted once each */
    uint32_t deep_queries;
    uint32_t scans;
    size_t bytes;
    bool closed;
    struct skews *skews;    /* NULL: the sequencer is not ready yet */
    struct clock_time *now; /* as of the last gateway_now: cheap to ask again for each event */
    struct gateway_counters counters;  /* this thread's, plain */
    struct gateway_counters published; /* a copy for the others, written and read atomically */
    uint64_t feed_count;
};

struct gateway *gateway_create(const struct gateway_options *options)
{
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    if (gateway != NULL) {
        gateway->options = *options;
        gateway->address = post_network(options->post, options->thread);
        gateway->now = calloc(1, sizeof(*gateway->now));
    }
    if (gateway != NULL && gateway->now == NULL) {
        free(gateway);
        return NULL;
    }
    return gateway;
}

void gateway_destroy(struct gateway *gateway)
{
    free(gateway->skews);
    free(gateway->now);
    free(gateway);
}

const struct gateway_facts *gateway_facts(const struct gateway *gateway)
{
    return &gateway->options.facts;
}

struct clock_time gateway_now(const struct gateway *gateway)
{
    *gateway->now = gateway->options.clock.ops->wall(gateway->options.clock.ctx);
    return *gateway->now;
}

bool gateway_ready(const struct gateway *gateway)
{
    return gateway->skews != NULL && !gateway->closed;
}

void gateway_close(struct gateway *gateway)
{
    gateway->closed = true;
}

uint32_t gateway_under_way(const struct gateway *gateway)
{
    return gateway->letters;
}

/* --- asking --- */

static enum err admit(const struct gateway *gateway, uint32_t letters, size_t bytes)
{
    if (!gateway_ready(gateway)) {
        return ERR_UNAVAILABLE;
    }
    bool full =
        gateway->letters + letters > gateway->options.letters_max ||
        (bytes > 0 && gateway->bytes > 0 && gateway->bytes + bytes > gateway->options.bytes_max);
    return full ? ERR_OVERLOADED : OK;
}

static void send(struct gateway *gateway, uint32_t to, struct letter *letter)
{
    gateway->letters++;
    post_send(gateway->options.post, gateway->address, to, letter);
}

enum err gateway_propose(struct gateway *gateway, struct proposal *proposal)
{
    bool ends_claim = proposal->kind == PROPOSE_ANSWER;
    enum err err = ends_claim ? OK : admit(gateway, 1, proposal->records.len);
    if (err == OK && proposal->kind == PROPOSE_TIMEOUTS) {
        proposal->wants_applied = true; /* what became of a command is known then */
        memset(proposal->results, 0, proposal->event_count * sizeof(*proposal->results));
    }
    if (err == OK) {
        proposal->letter.kind = LETTER_PROPOSAL;
        proposal->err = OK;
        proposal->detail[0] = '\0';
        proposal->changed = false;
        proposal->created = false;
        proposal->version = 0;
        proposal->duplicates = 0;
        proposal->late = 0;
        proposal->notes_missing = proposal->wants_applied ? gateway->options.post->runner_count : 0;
        gateway->bytes += proposal->records.len;
        send(gateway, POST_SEQUENCER, &proposal->letter);
    }
    return err;
}

enum err gateway_claim(struct gateway *gateway, struct claim *claim)
{
    enum err err = claim->kind == CLAIM_GIVE_BACK ? OK : admit(gateway, 1, 0);
    if (err == OK) {
        claim->letter.kind = LETTER_CLAIM;
        claim->err = OK;
        claim->answer = (struct bytes){0};
        send(gateway, POST_SEQUENCER, &claim->letter);
    }
    return err;
}

enum err gateway_inspect(struct gateway *gateway, struct inspection *inspection)
{
    enum err err = inspection->owed ? OK : admit(gateway, 1, 0);
    if (err == OK) {
        inspection->letter.kind = LETTER_INSPECTION;
        send(gateway, POST_SEQUENCER, &inspection->letter);
    }
    return err;
}

enum err gateway_scan(struct gateway *gateway, struct scan *scan)
{
    bool full = gateway->scans == GATEWAY_SCANS_MAX;
    enum err err = admit(gateway, 1, 0);
    err = err == OK && full ? ERR_OVERLOADED : err;
    if (err == OK) {
        gateway->scans++;
        scan->letter.kind = LETTER_SCAN;
        send(gateway, POST_LIBRARIAN, &scan->letter);
    }
    return err;
}

/* What it asks for may be large: many rows to sort and to skip, the whole late stream, every
 * timeout. */
static bool is_deep(const struct query *query)
{
    return query->kind == QUERY_LATE || query->kind == QUERY_TIMEOUTS_DUE ||
           (query->kind == QUERY_VALUES && query->offset + query->limit > GATEWAY_DEEP_ROWS);
}

enum err gateway_query(struct gateway *gateway, struct query *query)
{
    uint32_t runners = gateway->options.post->runner_count;
    bool deep = is_deep(query);
    bool full = gateway->queries == GATEWAY_QUERIES_MAX ||
                (deep && gateway->deep_queries == GATEWAY_DEEP_QUERIES_MAX);
    enum err err = admit(gateway, runners, 0);
    err = err == OK && full ? ERR_OVERLOADED : err;
    if (err != OK) {
        return err;
    }
    gateway->queries++;
    gateway->deep_queries += deep;
    query->letter.kind = LETTER_QUERY;
    query->now = gateway_now(gateway);
    query->runner_count = runners;
    query->answers_missing = runners;
    for (uint32_t n = 0; n < runners; n++) {
        query->answers[n] = (struct query_answer){0};
        query->parts[n] =
            (struct query_part){.letter = {.kind = LETTER_QUERY}, .query = query, .runner = n};
        send(gateway, post_runner(n), &query->parts[n].letter);
    }
    return OK;
}

/* --- answers --- */

static void proposal_done(struct gateway *gateway, struct proposal *proposal)
{
    CHECK(gateway->bytes >= proposal->records.len);
    CHECK(gateway->letters > 0);
    gateway->bytes -= proposal->records.len;
    gateway->letters--;
    proposal->letter.done(&proposal->letter);
}

static void take_note(struct gateway *gateway, const struct applied_note *note)
{
    struct proposal *proposal = note->proposal;
    CHECK(proposal->notes_missing > 0);
    proposal->duplicates += note->duplicates;
    proposal->late += note->late;
    proposal->notes_missing--;
    if (proposal->notes_missing == 0) {
        proposal_done(gateway, proposal);
    }
}

/* The slot of a source in the table of skews: its own, or the free one where it would go. */
static uint32_t *skew_slot(const struct gateway *gateway, struct bytes source)
{
    const struct skews *skews = gateway->skews;
    uint32_t at = (uint32_t)hash64(source, gateway->options.facts.seed) & skews->slot_mask;
    while (skews->slots[at] != 0 &&
           !bytes_equal(skews->entries[skews->slots[at] - 1].source, source)) {
        at = (at + 1) & skews->slot_mask;
    }
    return &skews->slots[at];
}

static void take_skews(struct gateway *gateway, struct skews *skews)
{
    free(gateway->skews);
    gateway->skews = skews;
    for (uint32_t n = 0; n < skews->count; n++) {
        *skew_slot(gateway, skews->entries[n].source) = n + 1;
    }
}

static void take(struct gateway *gateway, struct letter *letter)
{
    if (letter->kind == LETTER_SKEWS) {
        take_skews(gateway, (struct skews *)(void *)letter);
    } else if (letter->kind == LETTER_APPLIED) {
        take_note(gateway, (const struct applied_note *)(void *)letter);
    } else if (letter->kind == LETTER_PROPOSAL) {
        proposal_done(gateway, (struct proposal *)(void *)letter);
    } else if (letter->kind == LETTER_QUERY) {
        struct query *query = ((struct query_part *)(void *)letter)->query;
        gateway->letters--;
        query->answers_missing--;
        if (query->answers_missing == 0) {
            CHECK(gateway->queries > 0);
            gateway->queries--;
            gateway->deep_queries -= is_deep(query);
            query->letter.done(&query->letter);
        }
    } else {
        CHECK(letter->kind == LETTER_INSPECTION || letter->kind == LETTER_SCAN ||
              letter->kind == LETTER_CLAIM);
        gateway->letters--;
        gateway->scans -= letter->kind == LETTER_SCAN;
        letter->done(letter);
    }
}

static void publish(uint64_t *published, uint64_t value)
{
    __atomic_store_n(published, value, __ATOMIC_RELAXED);
}

static void publish_counters(struct gateway *gateway)
{
    publish(&gateway->published.events_accepted, gateway->counters.events_accepted);
    publish(&gateway->published.events_refused, gateway->counters.events_refused);
    publish(&gateway->published.requests, gateway->counters.requests);
    publish(&gateway->published.requests_refused, gateway->counters.requests_refused);
    publish(&gateway->published.requests_shed, gateway->counters.requests_shed);
    if (gateway->published.writes_shed != gateway->counters.writes_shed) {
        publish(&gateway->published.writes_shed, gateway->counters.writes_shed);
        post_tell_refusal(gateway->options.post);
    }
    publish(&gateway->published.bytes_in, gateway->counters.bytes_in);
}

bool gateway_step(struct gateway *gateway)
{
    bool busy = false;
    publish_counters(gateway);
    if (post_feed_grown(gateway->options.post, gateway->address)) {
        gateway->feed_count++;
        busy = true;
    }
    for (struct letter *letter;
         (letter = post_take(gateway->options.post, gateway->address)) != NULL;) {
        take(gateway, letter);
        busy = true;
    }
    post_flush(gateway->options.post, gateway->address);
    return busy;
}

/* --- facts --- */

struct event_time gateway_time_limit(const struct gateway *gateway, struct bytes source)
{
    int64_t skew = TIDE_FUTURE_SKEW_US;
    if (gateway->skews != NULL) {
        skew = gateway->skews->default_us;
    }
    if (gateway->skews != NULL && gateway->skews->count > 0) {
        uint32_t entry = *skew_slot(gateway, source);
        skew = entry == 0 ? skew : gateway->skews->entries[entry - 1].max_future_skew_us;
    }
    return (struct event_time){time_add(gateway->now->us, skew)};
}

uint64_t gateway_feed_count(const struct gateway *gateway)
{
    return gateway->feed_count;
}

struct gateway_counters *gateway_counters(struct gateway *gateway)
{
    return &gateway->counters;
}

struct gateway_counters gateway_counters_sum(const struct gateway *gateway)
{
    struct gateway_counters sum = {0};
    for (uint32_t n = 0; n < gateway->options.peer_count; n++) {
        const struct gateway_counters *one = &gateway->options.peers[n]->published;
        sum.events_accepted += __atomic_load_n(&one->events_accepted, __ATOMIC_RELAXED);
        sum.events_refused += __atomic_load_n(&one->events_refused, __ATOMIC_RELAXED);
        sum.requests += __atomic_load_n(&one->requests, __ATOMIC_RELAXED);
        sum.requests_refused += __atomic_load_n(&one->requests_refused, __ATOMIC_RELAXED);
        sum.writes_shed += __atomic_load_n(&one->writes_shed, __ATOMIC_RELAXED);
        sum.requests_shed += __atomic_load_n(&one->requests_shed, __ATOMIC_RELAXED);
        sum.bytes_in += __atomic_load_n(&one->bytes_in, __ATOMIC_RELAXED);
    }
    return sum;
}
