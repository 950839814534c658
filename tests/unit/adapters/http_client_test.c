#include "adapters/http_client/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

/* --- Heads --- */

static void a_head_is_read_when_it_is_complete(void **state)
{
    const char *text =
        "HTTP/1.1 429 Too Many\r\nContent-Length: 5\r\nRetry-After: 7\r\nX-A:  b \r\n\r\nhello";
    struct http_reply_head head;
    (void)state;
    size_t complete = strlen(text) - 5;
    for (size_t len = 0; len < complete; len++) {
        assert_int_equal(http_reply_head_parse(bytes_of(text, len), &head), ERR_NOT_FOUND);
    }
    assert_int_equal(http_reply_head_parse(bytes_of_string(text), &head), OK);
    assert_int_equal(head.status, 429);
    assert_int_equal(head.len, complete);
    assert_int_equal(head.content_length, 5);
    assert_int_equal(head.retry_after_s, 7);
    assert_false(head.close);
    assert_true(bytes_equal(http_reply_field(&head, "x-a"), BYTES("b")));
    assert_null(http_reply_field(&head, "x-b").data);
}

static void heads_that_are_none_or_ambiguous_are_refused(void **state)
{
    static const char *const bad[] = {
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
    };
    struct http_reply_head head;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        print_message("%s", bad[i]);
        assert_int_equal(http_reply_head_parse(bytes_of_string(bad[i]), &head), ERR_MALFORMED);
    }
}

static void statuses_without_body_have_none(void **state)
{
    struct http_reply_head head;
    (void)state;
    assert_int_equal(
        http_reply_head_parse(BYTES("HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n"), &head), OK);
    assert_true(head.length_known);
    assert_int_equal(head.content_length, 0);
}

static void chunk_lines_have_a_bounded_size(void **state)
{
    uint64_t size = 0;
    size_t len = 0;
    (void)state;
    assert_int_equal(http_chunk_line_parse(BYTES("1aF;x=y\r\nrest"), &size, &len), OK);
    assert_int_equal(size, 0x1af);
    assert_int_equal(len, 9);
    assert_int_equal(http_chunk_line_parse(BYTES("1a"), &size, &len), ERR_NOT_FOUND);
    assert_int_equal(http_chunk_line_parse(BYTES("\r\n"), &size, &len), ERR_MALFORMED);
    assert_int_equal(http_chunk_line_parse(BYTES("g\r\n"), &size, &len), ERR_MALFORMED);
    assert_int_equal(http_chunk_line_parse(BYTES("1234567890123\r\n"), &size, &len), ERR_MALFORMED);
}

/* --- URLs --- */

static void urls_have_a_host_and_a_port(void **state)
{
    struct http_url url;
    struct error error;
    (void)state;
    assert_int_equal(http_url_parse("http://localhost:7070/", &url, &error), OK);
    assert_string_equal(url.host, "localhost");
    assert_string_equal(url.port, "7070");
    assert_string_equal(url.authority, "localhost:7070");
    assert_int_equal(http_url_parse("example.org", &url, &error), OK);
    assert_string_equal(url.port, "80");
    assert_int_equal(http_url_parse("http://[::1]:81", &url, &error), OK);
    assert_string_equal(url.host, "::1");
    assert_string_equal(url.authority, "[::1]:81");
}

static void what_is_no_plain_url_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "http://",
                                      "https://x",
                                      "http://x:0",
                                      "http://x:65536",
                                      "http://x:",
                                      "http://x/path",
                                      "http://u@x",
                                      "http://[::1",
                                      "http://::1",
                                      "http://x y",
                                      "http://x:1:2"};
    struct http_url url;
    struct error error;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        print_message("%s\n", bad[i]);
        assert_int_equal(http_url_parse(bad[i], &url, &error), ERR_MALFORMED);
        assert_true(error.text[0] != '\0');
    }
}

static void everything_but_unreserved_characters_is_encoded(void **state)
{
    char text[64];
    struct buf out = buf_of(text, sizeof(text));
    (void)state;
    http_put_encoded(&out, BYTES("a-Z_0.~ /%*\xc3\xa4"));
    buf_put_u8(&out, 0);
    assert_string_equal(text, "a-Z_0.~%20%2F%25%2A%C3%A4");
}

/* --- Against a peer that says what the test wants --- */

struct peer {
    int listen_fd;
    struct http_url url;
    const char *const *answers; /* one for each connection; NULL: the end */
    pthread_t thread;
    char heard[4096]; /* of the first connection */
};

/* Each connection: reads something, says its answer, closes. */
static void *peer_run(void *argument)
{
    struct peer *peer = argument;
    for (size_t i = 0; peer->answers[i] != NULL; i++) {
        char heard[4096];
        int fd = accept(peer->listen_fd, NULL, NULL);
        if (fd < 0) {
            break;
        }
        ssize_t got = recv(fd, heard, sizeof(heard) - 1, 0);
        heard[got > 0 ? got : 0] = '\0';
        if (i == 0) {
            memcpy(peer->heard, heard, sizeof(heard));
        }
        const char *answer = peer->answers[i];
        /* '~' in an answer: a pause, so that it comes in two pieces. */
        while (*answer != '\0') {
            size_t len = strcspn(answer, "~");
            (void)send(fd, answer, len, MSG_NOSIGNAL);
            answer += len;
            if (*answer == '~') {
                (void)usleep(20000);
                answer++;
            }
        }
        (void)shutdown(fd, SHUT_WR);
        while (recv(fd, heard, sizeof(heard), 0) > 0) {
        }
        (void)close(fd);
    }
    return NULL;
}

static void peer_start(struct peer *peer, const char *const *answers)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    char text[64];
    struct error error;
    *peer = (struct peer){.answers = answers};
    peer->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(peer->listen_fd >= 0);
    assert_int_equal(bind(peer->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(peer->listen_fd, 8), 0);
    assert_int_equal(getsockname(peer->listen_fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(text, sizeof(text), "http://127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(http_url_parse(text, &peer->url, &error), OK);
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
}

static void peer_stop(struct peer *peer)
{
    assert_int_equal(pthread_join(peer->thread, NULL), 0);
    (void)close(peer->listen_fd);
}

#define ANSWER(text) "HTTP/1.1 200 OK\r\nContent-Length: " text

static void a_request_says_what_it_must_and_the_answer_comes_in_pieces(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-~Length: 5\r\n\r\nhe~llo", NULL};
    struct peer peer;
    struct http_client_response response;
    (void)state;
    peer_start(&peer, answers);
    struct http_client *client = http_client_create(&peer.url, 2000000);
    const struct http_client_request request = {.method = "POST",
                                                .target = "/v1/x?a=b",
                                                .content_type = "text/plain",
                                                .body = BYTES("body"),
                                                .accept = "text/csv"};
    assert_int_equal(http_client_exchange(client, &request, &response), OK);
    assert_int_equal(response.status, 200);
    assert_true(bytes_equal(response.body, BYTES("hello")));
    assert_int_equal(http_client_under_way(client), 0);
    http_client_destroy(client);
    peer_stop(&peer);
    assert_non_null(strstr(peer.heard, "POST /v1/x?a=b HTTP/1.1\r\nHost: 127.0.0.1:"));
    assert_non_null(strstr(peer.heard, "\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n"));
    assert_non_null(strstr(peer.heard, "\r\nAccept: text/csv\r\n\r\nbody"));
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    static const char *const answers[] = {
        ANSWER("1\r\n\r\na") ANSWER("2\r\n\r\nbc") ANSWER("0\r\n\r\n"), NULL};
    struct peer peer;
    struct http_client_response response;
    (void)state;
    peer_start(&peer, answers);
    struct http_client *client = http_client_create(&peer.url, 2000000);
    const struct http_client_request request = {.method = "GET", .target = "/"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_client_send(client, &request), OK);
    }
    assert_int_equal(http_client_under_way(client), 3);
    assert_int_equal(http_client_receive(client, &response), OK);
    assert_true(bytes_equal(response.body, BYTES("a")));
    assert_int_equal(http_client_receive(client, &response), OK);
    assert_true(bytes_equal(response.body, BYTES("bc")));
    assert_int_equal(http_client_receive(client, &response), OK);
    assert_int_equal(response.body.len, 0);
    http_client_destroy(client);
    peer_stop(&peer);
}

static void chunks_and_bodies_up_to_the_end_are_put_together(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: "
        "close\r\n\r\n5;x\r\nhe~llo\r\n"
        "1\r\n!\r~\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nup to the~ end",
        NULL};
    struct peer peer;
    struct http_client_response response;
    (void)state;
    peer_start(&peer, answers);
    struct http_client *client = http_client_create(&peer.url, 2000000);
    const struct http_client_request request = {.method = "GET", .target = "/"};
    assert_int_equal(http_client_exchange(client, &request, &response), OK);
    assert_true(bytes_equal(response.body, BYTES("hello!")));
    assert_int_equal(http_client_exchange(client, &request, &response), OK);
    assert_true(bytes_equal(response.body, BYTES("up to the end")));
    http_client_destroy(client);
    peer_stop(&peer);
}

static void a_kept_connection_that_was_closed_is_opened_again(void **state)
{
    static const char *const answers[] = {ANSWER("1\r\n\r\na"), ANSWER("1\r\n\r\nb"), NULL};
    struct peer peer;
    struct http_client_response response;
    (void)state;
    peer_start(&peer, answers);
    struct http_client *client = http_client_create(&peer.url, 2000000);
    const struct http_client_request request = {.method = "GET", .target = "/"};
    assert_int_equal(http_client_exchange(client, &request, &response), OK);
    assert_int_equal(http_client_exchange(client, &request, &response), OK);
    assert_true(bytes_equal(response.body, BYTES("b")));
    http_client_destroy(client);
    peer_stop(&peer);
}

static void broken_answers_are_told_apart(void **state)
{
    static const char *const answers[] = {"", "nonsense\r\n\r\n", ANSWER("9\r\n\r\nshort"), NULL};
    struct peer peer;
    struct http_client_response response;
    (void)state;
    peer_start(&peer, answers);
    struct http_client *client = http_client_create(&peer.url, 2000000);
    const struct http_client_request request = {.method = "GET", .target = "/"};
    assert_int_equal(http_client_exchange(client, &request, &response), ERR_UNAVAILABLE);
    assert_non_null(strstr(http_client_error(client), "closed"));
    assert_int_equal(http_client_exchange(client, &request, &response), ERR_MALFORMED);
    assert_int_equal(http_client_exchange(client, &request, &response), ERR_UNAVAILABLE);
    assert_int_equal(http_client_under_way(client), 0);
    http_client_destroy(client);
    peer_stop(&peer);
}

static void a_silent_peer_is_given_up(void **state)
{
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\n~~~~~~", NULL};
    struct peer peer;
    struct http_client_response response;
    (void)state;
    peer_start(&peer, answers);
    struct http_client *client = http_client_create(&peer.url, 20000);
    const struct http_client_request request = {.method = "GET", .target = "/"};
    assert_int_equal(http_client_exchange(client, &request, &response), ERR_REQUEST_TIMEOUT);
    http_client_destroy(client);
    peer_stop(&peer);
}

static volatile sig_atomic_t ticks;

static void on_tick(int number)
{
    (void)number;
    ticks++;
}

/* The first signals mean nothing. */
static bool third_tick_seen(void)
{
    return ticks >= 3;
}

static void a_signal_that_means_it_ends_a_wait(void **state)
{
    static const char *const answers[] = {"~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~", NULL};
    const struct sigaction action = {.sa_handler = on_tick};
    const struct itimerval often = {.it_interval = {.tv_usec = 10000},
                                    .it_value = {.tv_usec = 10000}};
    const struct itimerval never = {.it_value = {0}};
    struct sigaction before;
    sigset_t alarms;
    struct peer peer;
    struct http_client_response response;
    (void)state;
    assert_int_equal(sigemptyset(&alarms), 0);
    assert_int_equal(sigaddset(&alarms, SIGALRM), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &alarms, NULL), 0);
    peer_start(&peer, answers); /* the peer's thread gets none */
    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL), 0);
    struct http_client *client = http_client_create(&peer.url, 60000000);
    const struct http_client_request request = {.method = "GET", .target = "/"};
    http_client_interrupt_by(client, third_tick_seen);
    ticks = 0;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    assert_int_equal(http_client_exchange(client, &request, &response), ERR_REQUEST_TIMEOUT);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    assert_true(ticks >= 3);
    assert_non_null(strstr(http_client_error(client), "was not waited for"));
    assert_int_equal(http_client_under_way(client), 0);
    http_client_destroy(client);
    peer_stop(&peer);
}

static void nobody_there_is_said(void **state)
{
    struct http_client_response response;
    struct http_url url;
    struct error error;
    (void)state;
    assert_int_equal(http_url_parse("http://127.0.0.1:1", &url, &error), OK);
    struct http_client *client = http_client_create(&url, 500000);
    const struct http_client_request request = {.method = "GET", .target = "/"};
    assert_int_equal(http_client_exchange(client, &request, &response), ERR_UNAVAILABLE);
    assert_non_null(strstr(http_client_error(client), "can't be reached"));
    http_client_destroy(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_read_when_it_is_complete),
        cmocka_unit_test(heads_that_are_none_or_ambiguous_are_refused),
        cmocka_unit_test(statuses_without_body_have_none),
        cmocka_unit_test(chunk_lines_have_a_bounded_size),
        cmocka_unit_test(urls_have_a_host_and_a_port),
        cmocka_unit_test(what_is_no_plain_url_is_refused),
        cmocka_unit_test(everything_but_unreserved_characters_is_encoded),
        cmocka_unit_test(a_request_says_what_it_must_and_the_answer_comes_in_pieces),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(chunks_and_bodies_up_to_the_end_are_put_together),
        cmocka_unit_test(a_kept_connection_that_was_closed_is_opened_again),
        cmocka_unit_test(broken_answers_are_told_apart),
        cmocka_unit_test(a_silent_peer_is_given_up),
        cmocka_unit_test(a_signal_that_means_it_ends_a_wait),
        cmocka_unit_test(nobody_there_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
