#include "adapters/http_server/http_listen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static enum err
listen_on(const char *host, uint16_t port, int *fds, size_t count, struct error *error)
{
    struct http_listen_address address = {.host = host, .port = port};
    return http_listen(&address, fds, count, error);
}

static void one_port_is_shared_by_the_threads_of_one_process(void **state)
{
    struct error error;
    int fds[3];
    int more;
    (void)state;
    assert_int_equal(listen_on("localhost", 0, fds, 3, &error), OK);
    uint16_t port = http_listen_port(fds[0]);
    assert_true(port > 0);
    assert_int_equal(http_listen_port(fds[1]), port);
    assert_int_equal(http_listen_port(fds[2]), port);
    /* Nobody else gets it, not even the same user's next process. */
    assert_int_equal(listen_on("127.0.0.1", port, &more, 1, &error), ERR_CONFLICT);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_non_null(strstr(error.text, "the port is taken"));
    assert_true(error.hint[0] != '\0');
    for (int i = 0; i < 3; i++) {
        (void)close(fds[i]);
    }
    assert_int_equal(listen_on("127.0.0.1", port, &more, 1, &error), OK);
    (void)close(more);
}

static void hosts_are_literals(void **state)
{
    static const char *bad[] = {
        "", "example.com", "127.0.0.1.1", "[::1", "[127", "a:b", "localhost."};
    struct error error;
    int fd;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(listen_on(bad[i], 0, &fd, 1, &error), ERR_MALFORMED);
    }
    assert_int_equal(listen_on("192.0.2.1", 0, &fd, 1, &error), ERR_UNAVAILABLE);
}

static void ipv6_hosts_may_have_brackets(void **state)
{
    static const char *hosts[] = {"::1", "[::1]"};
    struct error error;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int fd;
        enum err err = listen_on(hosts[i], 0, &fd, 1, &error);
        assert_true(err == OK || err == ERR_UNAVAILABLE); /* a machine without IPv6 */
        if (err == OK) {
            assert_true(http_listen_port(fd) > 0);
            (void)close(fd);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_port_is_shared_by_the_threads_of_one_process),
        cmocka_unit_test(hosts_are_literals),
        cmocka_unit_test(ipv6_hosts_may_have_brackets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
