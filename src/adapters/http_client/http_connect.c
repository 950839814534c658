/* Connecting, with a bound on how long it may take. */
#include "adapters/http_client/http_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static bool connect_within(int fd, const struct addrinfo *address, int timeout_ms)
{
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
        return true;
    }
    if (errno != EINPROGRESS) {
        return false;
    }
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int ready = poll(&poll_fd, 1, timeout_ms);
    int failure = ready == 0 ? ETIMEDOUT : errno;
    socklen_t len = sizeof(failure);
    if (ready > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0) {
        failure = errno;
    }
    errno = failure;
    return failure == 0;
}

static void timeouts_set(int fd, int64_t timeout_us)
{
    const struct timeval timeout = {.tv_sec = timeout_us / 1000000,
                                    .tv_usec = timeout_us % 1000000};
    const int one = 1;
    /* Only tuning: a socket without them works as well, if slower to give up. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int connect_one(const struct addrinfo *address, int64_t timeout_us)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (!connect_within(fd, address, (int)(timeout_us / 1000))) {
        int failure = errno;
        (void)close(fd);
        errno = failure;
        return -1;
    }
    /* Blocking from here on: SOCK_NONBLOCK was for the connecting alone. */
    if (fcntl(fd, F_SETFL, 0) != 0) {
        (void)close(fd);
        return -1;
    }
    timeouts_set(fd, timeout_us);
    return fd;
}

int http_connect(const struct http_url *url, int64_t timeout_us)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    if (getaddrinfo(url->host, url->port, &hints, &addresses) != 0) {
        errno = EHOSTUNREACH;
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = addresses; a != NULL && fd < 0; a = a->ai_next) {
        fd = connect_one(a, timeout_us);
    }
    int failure = errno;
    freeaddrinfo(addresses);
    errno = failure;
    return fd;
}
