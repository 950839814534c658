/* Kept answers: claims and records by themselves, then in a world, through crashes and snapshots. */
#include "../base/saved.h"
#include "../base/support.h"

#include "host/answers.h"

#include "world.h"

#define MS 1000

static struct answers answers;
static struct machine machine;
static struct world world;

static void fresh(struct answers_limits limits)
{
    answers_deinit(&answers);
    answers_init(&answers, &limits, 42);
}

static int set_up(void **state)
{
    (void)state;
    answers_init(&answers, &(struct answers_limits){0}, 42);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    answers_validate(&answers);
    answers_deinit(&answers);
    return 0;
}

/* --- by hand --- */

static enum err ask(const char *key, uint64_t request, int64_t now_us, char *body)
{
    struct claim claim = {.key = bytes_of_string(key), .request.half = {request, ~request}};
    answers_claim(&answers, &claim, (struct clock_time){now_us}, 0);
    struct kept_answer kept = {0};
    assert_true(claim.answer.data == NULL || kept_answer_read(claim.answer, &kept));
    if (body != NULL) {
        (void)snprintf(body, 64, "%.*s", (int)kept.body.len, (const char *)kept.body.data);
    }
    claim_free(&claim);
    return claim.err;
}

/* OK, and the claim is held. */
static void assert_fresh(const char *key, int64_t now_us)
{
    char body[64];
    assert_int_equal(ask(key, 1, now_us, body), OK);
    assert_string_equal(body, "");
}

static void assert_replayed(const char *key, int64_t now_us, const char *expected)
{
    char body[64];
    assert_int_equal(ask(key, 1, now_us, body), OK);
    assert_string_equal(body, expected);
}

static void give_back(const char *key)
{
    struct claim claim = {.kind = CLAIM_GIVE_BACK, .key = bytes_of_string(key)};
    answers_claim(&answers, &claim, (struct clock_time){0}, 0);
}

static size_t record_of(struct buf *out, const char *key, struct bytes body)
{
    const struct kept_answer answer = {.key = bytes_of_string(key),
                                       .request.half = {1, ~(uint64_t)1},
                                       .status = 201,
                                       .body = body};
    kept_answer_put(out, &answer);
    assert_false(out->overflow);
    return out->len;
}

/* Decides and applies, as the sequencer does. */
static void keep_in(const char *key, struct bytes body, int64_t now_us, uint64_t frame)
{
    static uint8_t given[KEPT_ANSWER_BYTES_MAX];
    static uint8_t memory[KEPT_ANSWER_BYTES_MAX];
    struct buf encoded = buf_of(given, sizeof(given));
    struct buf out = buf_of(memory, sizeof(memory));
    (void)record_of(&encoded, key, body);
    struct proposal proposal = {.kind = PROPOSE_ANSWER, .records = buf_bytes(&encoded)};
    answers_propose(&answers, &proposal, (struct clock_time){now_us}, &out);
    assert_int_equal(proposal.err, OK);
    struct reader reader = reader_of(buf_bytes(&out));
    for (struct record record; record_next(&reader, memory, &record);) {
        answers_apply(&answers, &record, frame);
    }
    assert_false(reader.bad);
}

static void keep(const char *key, const char *body, int64_t now_us)
{
    keep_in(key, bytes_of_string(body), now_us, 0);
}

static void a_claim_is_held_until_its_answer_is_kept(void **state)
{
    (void)state;
    assert_fresh("a", 10);
    assert_int_equal(answers.in_use, 1);
    assert_int_equal(ask("a", 1, 11, NULL), ERR_KEY_IN_USE);
    assert_int_equal(ask("a", 2, 11, NULL), ERR_KEY_REUSED);
    keep("a", "done", 12);
    assert_int_equal(answers.in_use, 0);
    assert_replayed("a", 13, "done");
    assert_replayed("a", 14, "done");
    assert_int_equal(ask("a", 2, 15, NULL), ERR_KEY_REUSED);
    assert_int_equal(answers.replays, 2);
    assert_int_equal(answers.taken, 1);
    assert_fresh("b", 16);
}

static void a_claim_that_is_given_back_is_free_and_a_kept_answer_is_not(void **state)
{
    (void)state;
    give_back("never asked");
    assert_fresh("a", 10);
    give_back("a");
    give_back("a");
    assert_int_equal(answers.in_use, 0);
    assert_fresh("a", 11);
    keep("a", "done", 12);
    give_back("a");
    assert_replayed("a", 13, "done");
}

static void an_answer_is_not_told_before_its_frame_is_durable(void **state)
{
    (void)state;
    assert_fresh("a", 10);
    keep_in("a", BYTES("x"), 10, 8);
    struct claim claim = {.key = BYTES("a"), .request.half = {1, ~(uint64_t)1}};
    answers_claim(&answers, &claim, (struct clock_time){11}, 7);
    assert_int_equal(claim.err, ERR_KEY_IN_USE);
    answers_claim(&answers, &claim, (struct clock_time){11}, 8);
    assert_int_equal(claim.err, OK);
    assert_non_null(claim.answer.data);
    claim_free(&claim);
}

static void after_a_day_an_answer_is_forgotten(void **state)
{
    (void)state;
    keep("a", "first", 1000);
    keep("b", "other", 2000);
    assert_replayed("a", 1000 + ANSWERS_KEEP_US - 1, "first");
    answers_expire(&answers, (struct clock_time){1000 + ANSWERS_KEEP_US - 1});
    assert_int_equal(answers.count, 2);
    /* Too old already, though no pulse has said so yet: the claim stands before it. */
    assert_fresh("a", 1000 + ANSWERS_KEEP_US);
    assert_int_equal(answers.count, 2);
    assert_int_equal(ask("a", 1, 1000 + ANSWERS_KEEP_US, NULL), ERR_KEY_IN_USE);
    keep("a", "second", 1000 + ANSWERS_KEEP_US);
    assert_int_equal(answers.count, 2);
    assert_int_equal(answers.gone, 1);
    assert_replayed("a", 1000 + ANSWERS_KEEP_US, "second");
    answers_expire(&answers, (struct clock_time){INT64_MAX});
    assert_int_equal(answers.count, 0);
    assert_int_equal(answers.bytes, 0);
    assert_int_equal(answers.gone, 3);
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    (void)state;
    char key[16];
    fresh((struct answers_limits){.count_max = 3});
    for (uint32_t n = 0; n < 10; n++) {
        (void)snprintf(key, sizeof(key), "k%u", n);
        keep(key, key, n);
        answers_validate(&answers);
    }
    assert_int_equal(answers.count, 3);
    assert_int_equal(answers.gone, 7);
    assert_fresh("k6", 10);
    assert_replayed("k7", 10, "k7");
    assert_replayed("k9", 10, "k9");
}

static void the_oldest_go_when_they_take_too_much(void **state)
{
    (void)state;
    static uint8_t large[100 * 1000];
    fresh((struct answers_limits){.bytes_max = 256 * 1024});
    keep_in("a", bytes_of(large, sizeof(large)), 1, 0);
    keep_in("b", bytes_of(large, sizeof(large)), 2, 0);
    assert_int_equal(answers.count, 2);
    keep_in("c", bytes_of(large, sizeof(large)), 3, 0);
    assert_int_equal(answers.count, 2);
    assert_true(answers.bytes > 200000 && answers.bytes <= 256 * 1024);
    assert_fresh("a", 4);
    keep_in("d", bytes_of(large, 200000 / 4), 5, 0);
    assert_int_equal(answers.count, 3);
}

/* Only where an earlier start had smaller limits does the log hold a key twice within a day. */
static void a_key_that_the_log_holds_twice_has_its_newest_answer(void **state)
{
    (void)state;
    keep("a", "first", 1);
    keep("b", "other", 2);
    keep("a", "second", 3);
    assert_int_equal(answers.count, 2);
    answers_validate(&answers);
    assert_replayed("a", 4, "second");
    assert_replayed("b", 4, "other");
    keep("a", "third", 5);
    answers_validate(&answers);
    assert_replayed("a", 6, "third");
}

static void many_keys_come_and_go_as_a_model_says(void **state)
{
    (void)state;
    enum { KEYS = 200 };
    static int64_t kept_at[KEYS];
    static bool held[KEYS];
    uint64_t random = seed_of_run("answers");
    int64_t now = 1;
    memset(held, 0, sizeof(held));
    memset(kept_at, 0, sizeof(kept_at));
    for (uint32_t step = 0; step < 20000; step++) {
        char key[16];
        size_t n = random_below(&random, KEYS);
        (void)snprintf(key, sizeof(key), "key-%zu", n);
        now += (int64_t)random_below(&random, ANSWERS_KEEP_US / 500);
        bool known = kept_at[n] > 0 && kept_at[n] > now - ANSWERS_KEEP_US;
        if (held[n]) {
            assert_int_equal(ask(key, 1, now, NULL), ERR_KEY_IN_USE);
            held[n] = false;
            if (random_below(&random, 3) == 0) {
                give_back(key);
            } else {
                keep(key, key, now);
                kept_at[n] = now;
            }
        } else if (known) {
            assert_replayed(key, now, key);
        } else {
            assert_fresh(key, now);
            held[n] = true;
        }
        if (step % 100 == 0) {
            answers_expire(&answers, (struct clock_time){now});
            answers_validate(&answers);
        }
    }
}

/* --- bytes --- */

static uint8_t saved[64 * 1024];
static size_t saved_len;

static void save(void)
{
    uint8_t memory[64];
    struct buf out = buf_of(saved, sizeof(saved));
    struct writer writer = {
        .buf = buf_of(memory, sizeof(memory)), .flush = saved_take, .ctx = &out};
    answers_save(&answers, &writer);
    writer_flush(&writer);
    assert_false(out.overflow);
    saved_len = out.len;
}

static bool load(size_t len)
{
    struct reader reader = reader_of(bytes_of(saved, len));
    struct loader loader = {.read = saved_give, .ctx = &reader};
    fresh((struct answers_limits){0});
    return answers_load(&answers, &loader) && reader_left(&reader) == 0;
}

static void what_is_saved_is_loaded_and_a_part_of_it_is_not(void **state)
{
    (void)state;
    keep("a", "1", 1);
    keep("b", "2", 2);
    assert_fresh("held", 3);
    keep("c", "3", 4);
    answers_freeze(&answers);
    save();
    for (size_t len = 0; len < saved_len; len++) {
        assert_false(load(len));
    }
    assert_true(load(saved_len));
    answers_validate(&answers);
    assert_int_equal(answers.count, 3);
    assert_int_equal(answers.in_use, 0); /* who held a claim is gone */
    assert_replayed("a", 5, "1");
    assert_replayed("b", 5, "2");
    assert_replayed("c", 5, "3");
    assert_fresh("held", 5);
    answers_expire(&answers, (struct clock_time){2 + ANSWERS_KEEP_US});
    assert_int_equal(answers.count, 1);
}

static void bytes_that_are_no_answers_are_refused(void **state)
{
    (void)state;
    keep("a", "1", 1);
    answers_freeze(&answers);
    save();
    uint8_t whole[256];
    size_t len = saved_len;
    memcpy(whole, saved, len);
    saved[0] = 2; /* the same again: a key stands there once */
    memcpy(saved + len, whole + 4, len - 4);
    assert_false(load(2 * len - 4));
    memcpy(saved, whole, len);
    saved[7] = 0xff; /* a length beyond all limits */
    assert_false(load(len));
}

static void what_is_saved_is_what_was_there_at_the_freeze(void **state)
{
    (void)state;
    fresh((struct answers_limits){.count_max = 3});
    keep("a", "1", 1);
    keep("b", "2", 2);
    keep("c", "3", 3);
    answers_freeze(&answers);
    keep("d", "4", 4);                   /* pushes a out */
    keep("e", "5", ANSWERS_KEEP_US + 2); /* b is too old by then, and c stays */
    keep("f", "6", ANSWERS_KEEP_US + 2);
    keep("g", "7", ANSWERS_KEEP_US + 2); /* pushes c and d out, d to be freed at once */
    answers_validate(&answers);
    save();
    answers_thaw(&answers);
    assert_null(answers.freed.first);
    assert_fresh("a", ANSWERS_KEEP_US + 2);
    assert_replayed("g", ANSWERS_KEEP_US + 3, "7");
    assert_true(load(saved_len));
    assert_int_equal(answers.count, 3);
    assert_replayed("a", 5, "1");
    assert_replayed("b", 5, "2");
    assert_replayed("c", 5, "3");
    assert_fresh("d", 5);
}

static void a_freeze_without_its_thaw_is_begun_anew(void **state)
{
    (void)state;
    fresh((struct answers_limits){.count_max = 1});
    keep("a", "1", 1);
    answers_freeze(&answers);
    keep("b", "2", 2);
    answers_freeze(&answers);
    save();
    assert_true(load(saved_len));
    assert_int_equal(answers.count, 1);
    assert_replayed("b", 5, "2");
}

/* --- in a world --- */

static void begin(void)
{
    machine_init(&machine);
    assert_true(world_start(&world, &machine, &(struct world_options){0}));
    world_settle(&world);
}

static int end(void **state)
{
    (void)state;
    answers_validate(&world.sequencer.answers);
    world_stop(&world);
    machine_deinit(&machine);
    return 0;
}

static void crash(bool ignore_snapshots)
{
    answers_validate(&world.sequencer.answers);
    world_stop(&world);
    machine.now_us += US_PER_SECOND;
    assert_true(world_start(
        &world, &machine, &(struct world_options){.ignore_snapshots = ignore_snapshots}));
    world_settle(&world);
}

static void claim_done(struct letter *letter)
{
    uint32_t *done = letter->user;
    (*done)++;
}

/* What the engine says about the key; its answer's body, or "". */
static enum err world_ask_key(const char *key, uint64_t request, char body[64])
{
    static uint32_t done;
    struct claim claim = {.key = bytes_of_string(key),
                          .request.half = {request, ~request},
                          .letter = {.done = claim_done, .user = &done}};
    struct kept_answer kept = {0};
    done = 0;
    assert_int_equal(gateway_claim(world.gateways[0], &claim), OK);
    world_settle(&world);
    assert_int_equal(done, 1);
    assert_true(claim.answer.data == NULL || kept_answer_read(claim.answer, &kept));
    (void)snprintf(body, 64, "%.*s", (int)kept.body.len, (const char *)kept.body.data);
    claim_free(&claim);
    return claim.err;
}

static void world_says(const char *key, const char *expected)
{
    char body[64];
    assert_int_equal(world_ask_key(key, 1, body), OK);
    assert_string_equal(body, expected);
}

static const struct ticket *world_keep(const char *key)
{
    uint8_t memory[512];
    struct buf out = buf_of(memory, sizeof(memory));
    (void)record_of(&out, key, bytes_of_string(key));
    const struct proposal proposal = {.kind = PROPOSE_ANSWER, .records = buf_bytes(&out)};
    return world_propose(&world, &proposal);
}

static void an_answer_is_durable_before_it_is_told(void **state)
{
    (void)state;
    char body[64];
    begin();
    world_says("a", "");
    assert_int_equal(world_ask_key("a", 1, body), ERR_KEY_IN_USE);
    const struct ticket *kept = world_keep("a");
    assert_int_equal(kept->done, 0);
    world_settle(&world);
    assert_int_equal(kept->done, 1);
    assert_int_equal(kept->proposal.err, OK);
    world_says("a", "a");
    assert_int_equal(world_ask_key("a", 2, body), ERR_KEY_REUSED);
}

static void answers_survive_a_crash_by_the_log_and_by_a_snapshot(void **state)
{
    (void)state;
    begin();
    world_says("held", "");
    (void)world_keep("early");
    world_settle(&world);
    (void)world_propose(&world, &(struct proposal){.kind = PROPOSE_SNAPSHOT});
    world_pass(&world, 100 * MS);
    assert_int_equal(machine.snapshots.count, 1);
    (void)world_keep("late");
    world_settle(&world);
    for (uint32_t round = 0; round < 2; round++) {
        crash(round == 1);
        assert_int_equal(world.sequencer.answers.count, 2);
        world_says("early", "early");
        world_says("late", "late");
        world_says("held", "");
    }
}

/* The log's clock, not the wall's: a replay forgets what had been forgotten. */
static void answers_are_forgotten_at_pulses_live_and_in_replay(void **state)
{
    (void)state;
    begin();
    (void)world_keep("a");
    world_settle(&world);
    machine.now_us += ANSWERS_KEEP_US / 2;
    (void)world_keep("b");
    world_pass(&world, US_PER_SECOND);
    assert_int_equal(world.sequencer.answers.count, 2);
    machine.now_us += ANSWERS_KEEP_US / 2;
    (void)world_propose(&world, &(struct proposal){.kind = PROPOSE_SNAPSHOT}); /* needs a pulse */
    world_pass(&world, US_PER_SECOND);
    assert_int_equal(world.sequencer.answers.count, 1);
    for (uint32_t round = 0; round < 2; round++) {
        crash(round == 1);
        assert_int_equal(world.sequencer.answers.count, 1);
        world_says("b", "b");
    }
    world_says("a", "");
}

static void what_ends_a_claim_is_taken_also_when_all_else_is_refused(void **state)
{
    (void)state;
    static uint32_t done;
    begin();
    world_says("a", "");
    world_says("b", "");
    gateway_close(world.gateways[0]);
    struct claim refused = {.key = BYTES("c")};
    assert_int_equal(gateway_claim(world.gateways[0], &refused), ERR_UNAVAILABLE);
    const struct ticket *kept = world_keep("a");
    assert_int_equal(kept->refused, OK);
    struct claim back = {
        .kind = CLAIM_GIVE_BACK, .key = BYTES("b"), .letter = {.done = claim_done, .user = &done}};
    assert_int_equal(gateway_claim(world.gateways[0], &back), OK);
    world_settle(&world);
    assert_int_equal(kept->done, 1);
    assert_int_equal(done, 1);
    assert_int_equal(world.sequencer.answers.in_use, 0);
    assert_int_equal(world.sequencer.answers.count, 1);
}

#define TABLE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define WORLD(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLE(a_claim_is_held_until_its_answer_is_kept),
        TABLE(a_claim_that_is_given_back_is_free_and_a_kept_answer_is_not),
        TABLE(an_answer_is_not_told_before_its_frame_is_durable),
        TABLE(after_a_day_an_answer_is_forgotten),
        TABLE(the_oldest_go_when_there_are_too_many),
        TABLE(the_oldest_go_when_they_take_too_much),
        TABLE(a_key_that_the_log_holds_twice_has_its_newest_answer),
        TABLE(many_keys_come_and_go_as_a_model_says),
        TABLE(what_is_saved_is_loaded_and_a_part_of_it_is_not),
        TABLE(bytes_that_are_no_answers_are_refused),
        TABLE(what_is_saved_is_what_was_there_at_the_freeze),
        TABLE(a_freeze_without_its_thaw_is_begun_anew),
        WORLD(an_answer_is_durable_before_it_is_told),
        WORLD(answers_survive_a_crash_by_the_log_and_by_a_snapshot),
        WORLD(answers_are_forgotten_at_pulses_live_and_in_replay),
        WORLD(what_ends_a_claim_is_taken_also_when_all_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
