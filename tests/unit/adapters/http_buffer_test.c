#include "adapters/http_server/http_buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void an_empty_queue_holds_no_memory(void **state)
{
    struct http_pool pool;
    struct http_buffer buffer = {0};
    (void)state;
    http_pool_init(&pool, 100000);
    assert_true(http_buffer_append(&pool, &buffer, BYTES("abc")));
    assert_int_equal(pool.used_bytes, HTTP_BLOCK_BYTES_MIN);
    http_buffer_consume(&pool, &buffer, 2);
    assert_true(bytes_equal(http_buffer_bytes(&buffer), BYTES("c")));
    http_buffer_consume(&pool, &buffer, 1);
    assert_int_equal(pool.used_bytes, 0);
    assert_null(buffer.data);
    assert_true(http_buffer_append(&pool, &buffer, (struct bytes){0}));
    assert_null(buffer.data);
    http_pool_deinit(&pool);
}

static void beyond_the_limit_nothing_happens(void **state)
{
    static uint8_t large[3 * HTTP_BLOCK_BYTES_MIN];
    struct http_pool pool;
    struct http_buffer a = {0};
    struct http_buffer b = {0};
    (void)state;
    http_pool_init(&pool, 3 * HTTP_BLOCK_BYTES_MIN);
    assert_false(http_buffer_append(&pool, &a, bytes_of(large, sizeof(large))));
    assert_true(http_buffer_append(&pool, &a, BYTES("a")));
    assert_true(http_buffer_append(&pool, &b, BYTES("b")));
    assert_false(http_buffer_append(&pool, &b, bytes_of(large, HTTP_BLOCK_BYTES_MIN)));
    assert_true(bytes_equal(http_buffer_bytes(&b), BYTES("b")));
    assert_null(http_buffer_reserve(&pool, &b, SIZE_MAX));
    http_buffer_release(&pool, &a);
    assert_true(http_buffer_append(&pool, &b, bytes_of(large, HTTP_BLOCK_BYTES_MIN)));
    http_buffer_release(&pool, &b);
    http_pool_deinit(&pool);
}

static void queues_keep_their_bytes_in_order(void **state)
{
    enum { QUEUES = 5, STEPS = 20000 };
    struct http_pool pool;
    struct http_buffer queues[QUEUES] = {0};
    uint32_t put[QUEUES] = {0};
    uint32_t taken[QUEUES] = {0};
    uint32_t seed = 7;
    (void)state;
    print_message("seed %u\n", seed);
    http_pool_init(&pool, (size_t)1 << 20);
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1664525u + 1013904223u;
        size_t n = seed >> 24 & 3;
        struct http_buffer *queue = &queues[n];
        uint8_t part[2000];
        size_t len = seed >> 8 & 1023;
        if ((seed >> 20 & 1) != 0) {
            for (size_t i = 0; i < len; i++) {
                part[i] = (uint8_t)(put[n] + i);
            }
            put[n] += http_buffer_append(&pool, queue, bytes_of(part, len)) ? (uint32_t)len : 0;
        } else {
            len = len < queue->len ? len : queue->len;
            struct bytes bytes = http_buffer_bytes(queue);
            for (size_t i = 0; i < len; i++) {
                assert_int_equal(bytes.data[i], (uint8_t)(taken[n] + i));
            }
            taken[n] += (uint32_t)len;
            http_buffer_consume(&pool, queue, len);
        }
        assert_int_equal(queue->len, put[n] - taken[n]);
        assert_true(pool.used_bytes <= pool.limit_bytes);
    }
    for (size_t n = 0; n < QUEUES; n++) {
        http_buffer_release(&pool, &queues[n]);
    }
    http_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_holds_no_memory),
        cmocka_unit_test(beyond_the_limit_nothing_happens),
        cmocka_unit_test(queues_keep_their_bytes_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
