#include "adapters/http_server/http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool address_of(const char *text, uint8_t address[16])
{
    struct sockaddr_storage peer = {0};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(&peer, &in, sizeof(in));
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        memcpy(&peer, &in6, sizeof(in6));
    }
    return http_address_of(&peer, address);
}

static void mapped_addresses_are_the_same_and_loopback_is_none(void **state)
{
    uint8_t a[16];
    uint8_t b[16];
    struct sockaddr_storage local = {.ss_family = AF_UNIX};
    (void)state;
    assert_true(address_of("192.0.2.1", a));
    assert_true(address_of("::ffff:192.0.2.1", b));
    assert_memory_equal(a, b, sizeof(a));
    assert_false(address_of("127.0.0.1", a));
    assert_false(address_of("127.1.2.3", a));
    assert_false(address_of("::ffff:127.0.0.1", a));
    assert_false(address_of("::1", a));
    assert_true(address_of("::2", a));
    assert_false(http_address_of(&local, a));
}

/* Against plain counters, with addresses that collide often. */
static void counts_are_right_after_any_sequence(void **state)
{
    enum { ADDRESSES = 8, LIMIT = 5, STEPS = 50000 };
    struct http_addresses addresses;
    uint32_t counts[64] = {0};
    uint32_t seed = 11;
    (void)state;
    print_message("seed %u\n", seed);
    assert_true(http_addresses_init(&addresses, ADDRESSES, 42));
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1664525u + 1013904223u;
        uint8_t n = seed >> 20 & 63;
        uint8_t address[16] = {[3] = 1, [15] = n};
        if ((seed >> 12 & 1) != 0 && (counts[n] > 0 || addresses.count < ADDRESSES)) {
            bool added = http_addresses_add(&addresses, address, LIMIT);
            assert_int_equal(added, counts[n] < LIMIT);
            counts[n] += added;
        } else if (counts[n] > 0) {
            http_addresses_remove(&addresses, address);
            counts[n]--;
        }
        uint32_t known = 0;
        for (size_t i = 0; i < 64; i++) {
            known += counts[i] > 0;
        }
        assert_int_equal(addresses.count, known);
    }
    http_addresses_deinit(&addresses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapped_addresses_are_the_same_and_loopback_is_none),
        cmocka_unit_test(counts_are_right_after_any_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
