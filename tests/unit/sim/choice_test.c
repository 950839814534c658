#include "../base/support.h"

#include "sim/choice.h"

#define DRAWS 20000

static void the_same_seed_makes_the_same_choices(void **state)
{
    (void)state;
    struct choice one;
    struct choice same;
    struct choice other;
    choice_from_seed(&one, 7);
    choice_from_seed(&same, 7);
    choice_from_seed(&other, 8);
    int differing = 0;
    for (int n = 0; n < DRAWS; n++) {
        uint32_t end = 1 + (uint32_t)n % 1000;
        uint32_t value = choose(&one, CHOICE_DISK, end);
        assert_true(value < end);
        assert_int_equal(value, choose(&same, CHOICE_DISK, end));
        differing += value != choose(&other, CHOICE_DISK, end);
    }
    assert_true(differing > DRAWS / 2);
    choice_free(&one);
    choice_free(&same);
    choice_free(&other);
}

static void a_draw_of_one_stream_does_not_change_another(void **state)
{
    (void)state;
    struct choice quiet;
    struct choice busy;
    choice_from_seed(&quiet, 3);
    choice_from_seed(&busy, 3);
    for (int n = 0; n < 1000; n++) {
        for (int more = 0; more < n % 3; more++) {
            (void)choose(&busy, CHOICE_DISK, 10);
        }
        assert_int_equal(choose(&quiet, CHOICE_CLIENTS, 1000000),
                         choose(&busy, CHOICE_CLIENTS, 1000000));
    }
    assert_int_not_equal(quiet.state[CHOICE_DISK][0], quiet.state[CHOICE_CLIENTS][0]);
    choice_free(&quiet);
    choice_free(&busy);
}

static void every_answer_is_about_as_likely(void **state)
{
    (void)state;
    struct choice choice;
    choice_from_seed(&choice, seed_of_run("choice_test"));
    int counts[8] = {0};
    int yes = 0;
    for (int n = 0; n < DRAWS; n++) {
        counts[choose(&choice, CHOICE_TURNS, 8)]++;
        yes += choose_once_in(&choice, CHOICE_TURNS, 10) ? 1 : 0;
    }
    for (int n = 0; n < 8; n++) {
        assert_in_range(counts[n], DRAWS / 8 - DRAWS / 32, DRAWS / 8 + DRAWS / 32);
    }
    assert_in_range(yes, DRAWS / 10 - DRAWS / 40, DRAWS / 10 + DRAWS / 40);
    choice_free(&choice);
}

static void magnitudes_cover_their_range(void **state)
{
    (void)state;
    struct choice choice;
    choice_from_seed(&choice, seed_of_run("choice_test"));
    int below_100 = 0;
    uint32_t highest = 0;
    for (int n = 0; n < DRAWS; n++) {
        uint32_t value = choose_magnitude(&choice, CHOICE_OPTIONS, 1, 10000);
        assert_in_range(value, 1, 10000);
        below_100 += value < 100 ? 1 : 0;
        highest = value > highest ? value : highest;
        assert_true(choose_magnitude(&choice, CHOICE_OPTIONS, 5, UINT32_MAX) >= 5);
        assert_int_equal(choose_magnitude(&choice, CHOICE_OPTIONS, 77, 77), 77);
    }
    assert_in_range(below_100, DRAWS * 4 / 10, DRAWS * 6 / 10);
    assert_true(highest > 9000);
    choice_free(&choice);
}

/* Draws of all kinds, into `values`. */
static void draw_all(struct choice *choice, uint32_t *values, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        enum choice_stream stream = (enum choice_stream)(n % CHOICE_STREAMS);
        if (n % 3 == 0) {
            values[n] = choose(choice, stream, (uint32_t)n + 1);
        } else if (n % 3 == 1) {
            values[n] = choose_once_in(choice, stream, 3) ? 1 : 0;
        } else {
            values[n] = choose_magnitude(choice, stream, 2, 1000);
        }
    }
}

static void a_tape_replays_its_run(void **state)
{
    (void)state;
    static uint32_t drawn[DRAWS];
    static uint32_t played[DRAWS];
    struct choice choice;
    struct choice replay;
    choice_from_seed(&choice, seed_of_run("choice_test"));
    draw_all(&choice, drawn, DRAWS);
    choice_from_tapes(&replay, choice.tapes);
    choice_free(&choice);
    draw_all(&replay, played, DRAWS);
    assert_memory_equal(drawn, played, sizeof(drawn));
    choice_free(&replay);
}

static void beyond_a_tape_all_is_simple(void **state)
{
    (void)state;
    struct choice choice;
    struct choice replay;
    choice_from_seed(&choice, 11);
    uint32_t drawn[10];
    for (int n = 0; n < 10; n++) {
        drawn[n] = choose(&choice, CHOICE_CRASH, 1U << 30);
    }
    choice.tapes[CHOICE_CRASH].count = 4;
    choice_from_tapes(&replay, choice.tapes);
    for (int n = 0; n < 10; n++) {
        assert_int_equal(choose(&replay, CHOICE_CRASH, 1U << 30), n < 4 ? drawn[n] : 0);
    }
    assert_false(choose_once_in(&replay, CHOICE_CRASH, 1));
    assert_int_equal(choose_magnitude(&replay, CHOICE_CRASH, 3, 500), 3);
    assert_int_equal(choose(&replay, CHOICE_CLOCK, 100), 0);
    choice_free(&choice);
    choice_free(&replay);
}

static void what_a_tape_says_out_of_range_is_zero(void **state)
{
    (void)state;
    uint32_t values[] = {99, 5, 2, 1};
    struct choice_tape tapes[CHOICE_STREAMS] = {[CHOICE_DISK] = {.values = values, .count = 4}};
    struct choice replay;
    choice_from_tapes(&replay, tapes);
    assert_int_equal(choose(&replay, CHOICE_DISK, 10), 0);
    assert_int_equal(choose(&replay, CHOICE_DISK, 10), 5);
    assert_false(choose_once_in(&replay, CHOICE_DISK, 10));
    assert_true(choose_once_in(&replay, CHOICE_DISK, 10));
    choice_free(&replay);
}

static void where_there_is_one_answer_the_tape_is_left_alone(void **state)
{
    (void)state;
    struct choice choice;
    choice_from_seed(&choice, 1);
    assert_int_equal(choose(&choice, CHOICE_DISK, 1), 0);
    assert_int_equal(choice.tapes[CHOICE_DISK].count, 0);
    assert_true(choose_once_in(&choice, CHOICE_DISK, 1));
    assert_int_equal(choice.tapes[CHOICE_DISK].count, 1);
    choice_free(&choice);
}

static struct choice broken;

static void choose_of_nothing(void)
{
    choice_from_seed(&broken, 1);
    (void)choose(&broken, CHOICE_DISK, 0);
}

static void a_choice_of_nothing_is_a_bug(void **state)
{
    (void)state;
    assert_true(dies(choose_of_nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_makes_the_same_choices),
        cmocka_unit_test(a_draw_of_one_stream_does_not_change_another),
        cmocka_unit_test(every_answer_is_about_as_likely),
        cmocka_unit_test(magnitudes_cover_their_range),
        cmocka_unit_test(a_tape_replays_its_run),
        cmocka_unit_test(beyond_a_tape_all_is_simple),
        cmocka_unit_test(what_a_tape_says_out_of_range_is_zero),
        cmocka_unit_test(where_there_is_one_answer_the_tape_is_left_alone),
        cmocka_unit_test(a_choice_of_nothing_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
