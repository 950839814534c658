/* The post: letters arrive where they are sent, in their order, and go back where they came from.
 */
#include "../base/support.h"

#include "host/post.h"

static struct post post;

static int set_up(void **state)
{
    (void)state;
    assert_true(post_init(&post, 3, 2));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    post_deinit(&post);
    return 0;
}

static void everybody_has_an_address(void **state)
{
    (void)state;
    assert_int_equal(post.address_count, 7);
    assert_int_equal(post_runner(2), 4);
    assert_int_equal(post_network(&post, 0), 5);
    assert_int_equal(post_network(&post, 1), 6);
    for (uint32_t address = 0; address < post.address_count; address++) {
        assert_null(post_take(&post, address));
        assert_false(post_waiting(&post, address));
    }
}

static void a_question_goes_there_and_comes_back(void **state)
{
    (void)state;
    struct letter letter = {.kind = LETTER_PROPOSAL};
    post_send(&post, 6, POST_SEQUENCER, &letter);
    assert_int_equal(letter.from, 6);
    post_flush(&post, 6);
    assert_true(post_waiting(&post, POST_SEQUENCER));
    assert_false(post_waiting(&post, 6));
    assert_ptr_equal(post_take(&post, POST_SEQUENCER), &letter);
    assert_null(post_take(&post, POST_SEQUENCER));
    post_return(&post, POST_SEQUENCER, &letter);
    post_flush(&post, POST_SEQUENCER);
    assert_int_equal(letter.from, 6);
    assert_ptr_equal(post_take(&post, 6), &letter);
}

static void letters_of_one_sender_keep_their_order(void **state)
{
    (void)state;
    static struct letter letters[POST_LETTERS_MAX];
    for (uint32_t n = 0; n < POST_LETTERS_MAX; n++) {
        post_send(&post, 5, post_runner(1), &letters[n]);
    }
    post_flush(&post, 5);
    for (uint32_t n = 0; n < POST_LETTERS_MAX; n++) {
        assert_ptr_equal(post_take(&post, post_runner(1)), &letters[n]);
    }
    assert_null(post_take(&post, post_runner(1)));
}

static void one_letter_may_go_to_many(void **state)
{
    (void)state;
    struct letter frame = {.kind = LETTER_FRAME};
    for (uint32_t n = 0; n < 3; n++) {
        post_send(&post, POST_SEQUENCER, post_runner(n), &frame);
    }
    for (uint32_t n = 0; n < 3; n++) {
        assert_ptr_equal(post_take(&post, post_runner(n)), &frame);
        post_return(&post, post_runner(n), &frame);
    }
    for (uint32_t n = 0; n < 3; n++) {
        assert_ptr_equal(post_take(&post, POST_SEQUENCER), &frame);
    }
    assert_null(post_take(&post, POST_SEQUENCER));
}

/* One sender that never stops must not keep the others from being heard for ever. */
static void every_sender_is_heard(void **state)
{
    (void)state;
    struct letter loud[4] = {0};
    struct letter quiet = {0};
    for (uint32_t n = 0; n < 4; n++) {
        post_send(&post, POST_SEQUENCER, 5, &loud[n]);
    }
    post_send(&post, post_runner(2), 5, &quiet);
    bool heard = false;
    for (uint32_t n = 0; n < 5; n++) {
        heard = heard || post_take(&post, 5) == &quiet;
    }
    assert_true(heard);
}

static bool told(uint32_t thread)
{
    uint32_t address = post_network(&post, thread);
    assert_int_equal(post_waiting(&post, address), atomic_load(&post.feed_grown[address]));
    return post_feed_grown(&post, address);
}

static void when_the_feed_grew_each_network_thread_learns_it_once(void **state)
{
    (void)state;
    assert_true(post.network_count >= 2);
    assert_false(told(0));
    post_tell_feed(&post, 1, true);
    post_tell_feed(&post, 1, true);
    assert_true(told(1));
    assert_false(told(1));
    assert_true(told(0));
    assert_false(told(0));
}

/* A note of pulse 5 may only be shown when all runners have passed pulse 5. */
static void the_last_runner_past_the_pulse_tells_it_again(void **state)
{
    (void)state;
    post_tell_feed(&post, 4, false);
    assert_false(told(0));
    post_tell_feed(&post, 5, false); /* passed it before anybody had told anything */
    assert_false(told(0));
    post_tell_feed(&post, 5, true);
    assert_true(told(0));
    post_tell_feed(&post, 5, false);
    assert_true(told(0));
    post_tell_feed(&post, 6, false);
    assert_false(told(0));
}

static struct post full;
static struct letter too_many[POST_LETTERS_MAX + 1];

static void send_too_many(void)
{
    if (!post_init(&full, 1, 1)) {
        return;
    }
    for (uint32_t n = 0; n <= POST_LETTERS_MAX; n++) {
        post_send(&full, 3, POST_SEQUENCER, &too_many[n]);
    }
}

static void send_to_nobody(void)
{
    if (post_init(&full, 1, 1)) {
        post_send(&full, 3, 4, &too_many[0]);
    }
}

static void more_letters_than_a_box_holds_are_a_bug_as_is_a_wrong_address(void **state)
{
    (void)state;
    assert_true(dies(send_too_many));
    assert_true(dies(send_to_nobody));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everybody_has_an_address),
        TEST(a_question_goes_there_and_comes_back),
        TEST(letters_of_one_sender_keep_their_order),
        TEST(one_letter_may_go_to_many),
        TEST(every_sender_is_heard),
        TEST(when_the_feed_grew_each_network_thread_learns_it_once),
        TEST(the_last_runner_past_the_pulse_tells_it_again),
        TEST(more_letters_than_a_box_holds_are_a_bug_as_is_a_wrong_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
