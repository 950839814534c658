/* The kept answers: see answers.h.
 *
 *   buckets[hash] ─► entry ─► entry ...          by key; the newest first
 *   kept.first ────► oldest ─► ... ─► newest     in the order of the log
 *
 * Invariants:
 *  1. What is kept is a function of the log and the limits: entries come with records, in the order of
 *     their times, and go by the log's time or because newer ones need the room.
 *  2. A key has at most one entry in use, and it stands before a kept one, which is too old then.
 *  3. count and bytes are those of the kept queue and within the limits.
 *  4. Numbers rise along the kept queue. */
#include "host/answers.h"

#include "base/check.h"
#include "base/hash.h"
#include "host/need.h"

#include <stdlib.h>

#define BUCKETS ((size_t)1 << 18) /* four to a bucket when all are there; never made larger */

struct answer_entry {
    struct answer_entry *next_in_bucket;
    struct answer_entry *next; /* in its queue */
    struct answer_entry *previous;
    uint64_t hash;
    uint64_t number;
    uint64_t frame; /* whose record it is; not to be told before that is durable */
    struct fingerprint request;
    struct clock_time kept;
    bool in_use; /* its bytes are the key; else the body of its record */
    struct bytes key;
    uint32_t len;
    uint8_t bytes[];
};

void answers_init(struct answers *answers, const struct answers_limits *limits, uint64_t seed)
{
    *answers = (struct answers){.limits = *limits, .seed = seed};
    if (limits->count_max == 0) {
        answers->limits.count_max = ANSWERS_COUNT_MAX;
    }
    if (limits->bytes_max == 0) {
        answers->limits.bytes_max = ANSWERS_BYTES_MAX;
    }
}

static void queue_free(struct answers_queue *queue)
{
    struct answer_entry *next = NULL;
    for (struct answer_entry *entry = queue->first; entry != NULL; entry = next) {
        next = entry->next;
        free(entry);
    }
    *queue = (struct answers_queue){0};
}

void answers_deinit(struct answers *answers)
{
    for (size_t n = 0; answers->in_use > 0 && n < BUCKETS; n++) {
        struct answer_entry *next = NULL;
        for (struct answer_entry *entry = answers->buckets[n]; entry != NULL; entry = next) {
            next = entry->next_in_bucket;
            if (entry->in_use) {
                free(entry);
                answers->in_use--;
            }
        }
    }
    queue_free(&answers->kept);
    queue_free(&answers->freed);
    free(answers->reserved);
    free(answers->buckets);
}

static void queue_put(struct answers_queue *queue, struct answer_entry *entry)
{
    entry->next = NULL;
    entry->previous = queue->last;
    if (queue->last == NULL) {
        queue->first = entry;
    } else {
        queue->last->next = entry;
    }
    queue->last = entry;
}

static void queue_take_out(struct answers_queue *queue, struct answer_entry *entry)
{
    if (entry->previous == NULL) {
        queue->first = entry->next;
    } else {
        entry->previous->next = entry->next;
    }
    if (entry->next == NULL) {
        queue->last = entry->previous;
    } else {
        entry->next->previous = entry->previous;
    }
}

static size_t entry_bytes(const struct answer_entry *entry)
{
    return sizeof(*entry) + entry->len;
}

/* --- by key --- */

static struct answer_entry **bucket_of(const struct answers *answers, uint64_t hash)
{
    return &answers->buckets[hash & (BUCKETS - 1)];
}

static struct answer_entry *find(const struct answers *answers, uint64_t hash, struct bytes key)
{
    struct answer_entry *entry = answers->buckets == NULL ? NULL : *bucket_of(answers, hash);
    while (entry != NULL && !(entry->hash == hash && bytes_equal(entry->key, key))) {
        entry = entry->next_in_bucket;
    }
    return entry;
}

static void link_in(struct answers *answers, struct answer_entry *entry)
{
    struct answer_entry **bucket = bucket_of(answers, entry->hash);
    entry->next_in_bucket = *bucket;
    *bucket = entry;
}

static void unlink_from(struct answers *answers, const struct answer_entry *entry)
{
    struct answer_entry **at = bucket_of(answers, entry->hash);
    while (*at != entry) {
        CHECK(*at != NULL);
        at = &(*at)->next_in_bucket;
    }
    *at = entry->next_in_bucket;
}

static void give_back(struct answers *answers, uint64_t hash, struct bytes key)
{
    struct answer_entry *entry = find(answers, hash, key);
    if (entry != NULL && entry->in_use) {
        CHECK(answers->in_use > 0);
        answers->in_use--;
        unlink_from(answers, entry);
        free(entry);
    }
}

static void forget(struct answers *answers, struct answer_entry *entry)
{
    CHECK(entry != NULL && !entry->in_use);
    CHECK(answers->count > 0 && answers->bytes >= entry_bytes(entry));
    unlink_from(answers, entry);
    queue_take_out(&answers->kept, entry);
    answers->count--;
    answers->bytes -= entry_bytes(entry);
    answers->gone++;
    if (answers->frozen && entry->number < answers->frozen_end) {
        queue_put(&answers->freed, entry);
    } else {
        free(entry);
    }
}

/* --- by age --- */

static bool is_too_old(const struct answer_entry *entry, struct clock_time now)
{
    return entry->kept.us <= time_add(now.us, -ANSWERS_KEEP_US);
}

void answers_expire(struct answers *answers, struct clock_time now)
{
    while (answers->kept.first != NULL && is_too_old(answers->kept.first, now)) {
        forget(answers, answers->kept.first);
    }
}

/* --- claims --- */

static bool buckets_make(struct answers *answers)
{
    if (answers->buckets == NULL) {
        answers->buckets = calloc(BUCKETS, sizeof(struct answer_entry *));
    }
    return answers->buckets != NULL;
}

static enum err claim_take(struct answers *answers, const struct claim *claim, uint64_t hash)
{
    struct answer_entry *entry = malloc(sizeof(*entry) + claim->key.len);
    if (entry == NULL || !buckets_make(answers)) {
        free(entry);
        return ERR_UNAVAILABLE;
    }
    *entry = (struct answer_entry){
        .hash = hash, .request = claim->request, .in_use = true, .len = (uint32_t)claim->key.len};
    memcpy(entry->bytes, claim->key.data, claim->key.len);
    entry->key = bytes_of(entry->bytes, entry->len);
    link_in(answers, entry);
    answers->in_use++;
    return OK;
}

static enum err
claim_replay(struct answers *answers, struct claim *claim, const struct answer_entry *entry)
{
    size_t lent = atomic_load(&answers->lent);
    if (lent > 0 && lent + entry->len > ANSWERS_LENT_MAX) {
        return ERR_OVERLOADED;
    }
    uint8_t *copy = malloc(entry->len);
    if (copy == NULL) {
        return ERR_UNAVAILABLE;
    }
    memcpy(copy, entry->bytes, entry->len);
    claim->answer = bytes_of(copy, entry->len);
    claim->lent = &answers->lent;
    atomic_fetch_add(&answers->lent, entry->len);
    answers->replays++;
    return OK;
}

void answers_claim(struct answers *answers,
                   struct claim *claim,
                   struct clock_time now,
                   uint64_t durable_frame)
{
    uint64_t hash = hash64(claim->key, answers->seed);
    if (claim->kind == CLAIM_GIVE_BACK) {
        give_back(answers, hash, claim->key);
        return;
    }
    CHECK(idempotency_key_valid(claim->key));
    const struct answer_entry *entry = find(answers, hash, claim->key);
    if (entry == NULL || (!entry->in_use && is_too_old(entry, now))) {
        claim->err = claim_take(answers, claim, hash);
    } else if (!fingerprint_equal(entry->request, claim->request)) {
        claim->err = ERR_KEY_REUSED;
    } else if (entry->in_use || entry->frame > durable_frame) {
        claim->err = ERR_KEY_IN_USE;
    } else {
        claim->err = claim_replay(answers, claim, entry);
    }
}

/* --- records --- */

void answers_propose(struct answers *answers,
                     struct proposal *proposal,
                     struct clock_time now,
                     struct buf *out)
{
    CHECK(proposal->records.len > RECORD_HEADER_BYTES);
    size_t len = proposal->records.len - RECORD_HEADER_BYTES;
    CHECK(answers->reserved == NULL);
    if (sizeof(struct answer_entry) + len > answers->limits.bytes_max / ANSWERS_ONE_PART) {
        proposal->err = ERR_TOO_LARGE; /* it would drive out those of all others */
        return;
    }
    answers->reserved = malloc(sizeof(struct answer_entry) + len);
    if (answers->reserved == NULL || !buckets_make(answers)) {
        free(answers->reserved);
        answers->reserved = NULL;
        proposal->err = ERR_UNAVAILABLE;
        return;
    }
    size_t start = out->len;
    buf_put_bytes(out, proposal->records);
    CHECK(!out->overflow);
    kept_answer_stamp(out, start + RECORD_HEADER_BYTES, now);
    proposal->changed = true;
}

/* Makes room and takes it in, in place of whatever the key had: its claim, or a former answer that the
 * limits of another start had let go. */
static void keep(struct answers *answers, struct answer_entry *entry)
{
    give_back(answers, entry->hash, entry->key);
    struct answer_entry *former = find(answers, entry->hash, entry->key);
    if (former != NULL) {
        forget(answers, former);
    }
    link_in(answers, entry);
    queue_put(&answers->kept, entry);
    answers->count++;
    answers->bytes += entry_bytes(entry);
    answers->taken++;
    while (answers->count > answers->limits.count_max ||
           answers->bytes > answers->limits.bytes_max) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what is freed has left queue and bucket. */
        forget(answers, answers->kept.first);
    }
}

/* The entry of a record's body, in memory that was reserved live and is there, or ends a start. */
static struct answer_entry *
entry_make(struct answers *answers, const struct kept_answer *answer, struct bytes body)
{
    struct answer_entry *entry = answers->reserved;
    answers->reserved = NULL;
    if (entry == NULL) {
        entry = memory_needed(sizeof(*entry) + body.len, "the answers that are kept");
    }
    if (!buckets_make(answers)) {
        memory_missing(BUCKETS * sizeof(struct answer_entry *), "the answers that are kept");
    }
    *entry = (struct answer_entry){
        .hash = hash64(answer->key, answers->seed),
        .number = answers->next_number++,
        .request = answer->request,
        .kept = answer->kept,
        .len = (uint32_t)body.len,
    };
    memcpy(entry->bytes, body.data, body.len);
    entry->key = bytes_of(entry->bytes + (answer->key.data - body.data), answer->key.len);
    return entry;
}

void answers_apply(struct answers *answers, const struct record *record, uint64_t frame)
{
    struct kept_answer answer;
    if (record->kind == RECORD_ANSWER) {
        CHECK(kept_answer_read(record->body, &answer));
        answers_expire(answers, answer.kept);
        struct answer_entry *entry = entry_make(answers, &answer, record->body);
        entry->frame = frame;
        keep(answers, entry);
    }
}

/* --- snapshots --- */

void answers_freeze(struct answers *answers)
{
    answers_thaw(answers);
    answers->frozen = true;
    answers->frozen_end = answers->next_number;
}

void answers_thaw(struct answers *answers)
{
    queue_free(&answers->freed);
    answers->frozen = false;
}

/* The next one to be saved; NULL: none. */
static const struct answer_entry *next_frozen(const struct answers *answers,
                                              const struct answer_entry *entry)
{
    const struct answer_entry *next = entry == NULL ? answers->freed.first : entry->next;
    bool freed_end = entry == NULL || entry == answers->freed.last;
    next = next == NULL && freed_end ? answers->kept.first : next;
    return next != NULL && next->number < answers->frozen_end ? next : NULL;
}

void answers_save(const struct answers *answers, struct writer *out)
{
    CHECK(answers->frozen);
    uint32_t count = 0;
    const struct answer_entry *entry = NULL;
    while ((entry = next_frozen(answers, entry)) != NULL) {
        count++;
    }
    write_u32(out, count);
    while ((entry = next_frozen(answers, entry)) != NULL) {
        write_string(out, bytes_of(entry->bytes, entry->len));
    }
}

bool answers_load(struct answers *answers, struct loader *in)
{
    uint32_t count = load_u32(in);
    struct kept_answer answer;
    for (uint32_t n = 0; n < count && !in->bad; n++) {
        uint32_t len = load_u32(in);
        if (in->bad || len > KEPT_ANSWER_BYTES_MAX) {
            return false;
        }
        uint8_t *body = memory_needed((size_t)len + 1, "the answers of a snapshot");
        load_bytes(in, body, len);
        bool good = !in->bad && kept_answer_read(bytes_of(body, len), &answer) &&
                    find(answers, hash64(answer.key, answers->seed), answer.key) == NULL;
        if (good) {
            keep(answers, entry_make(answers, &answer, bytes_of(body, len)));
        }
        free(body);
        if (!good) {
            return false;
        }
    }
    answers->taken = 0; /* since the start, as all counters of this kind */
    answers->gone = 0;
    return !in->bad;
}

void answers_validate(const struct answers *answers)
{
    uint32_t count = 0;
    size_t bytes = 0;
    const struct answer_entry *last = NULL;
    for (const struct answer_entry *entry = answers->kept.first; entry != NULL;
         entry = entry->next) {
        CHECK(!entry->in_use && find(answers, entry->hash, entry->key) != NULL);
        CHECK(entry->previous == last);
        CHECK(last == NULL || (last->number < entry->number && last->kept.us <= entry->kept.us));
        CHECK(entry->number < answers->next_number);
        last = entry;
        count++;
        bytes += entry_bytes(entry);
    }
    CHECK(count == answers->count && bytes == answers->bytes);
    CHECK(count <= answers->limits.count_max && bytes <= answers->limits.bytes_max);
    CHECK(last == answers->kept.last);
    CHECK(answers->frozen || answers->freed.first == NULL);
}
