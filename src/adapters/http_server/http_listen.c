/* Listening.
 *
 * With SO_REUSEPORT two processes of one user may bind the same port, and each would get half of
 * the other's connections. So a probe binds first without it, which fails as soon as anyone listens
 * there; the port it got (if any was asked for) is then bound for good. */
#include "adapters/http_server/http_listen.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel holds it to net.core.somaxconn */

struct socket_address {
    struct sockaddr_storage storage;
    socklen_t len;
    int family;
};

static enum err fail(struct error *error,
                     enum err code,
                     const struct http_listen_address *address,
                     const char *what)
{
    *error = (struct error){.code = code};
    (void)snprintf(error->text,
                   sizeof(error->text),
                   "can't listen on %.80s port %u: %.60s",
                   address->host,
                   (unsigned)address->port,
                   what);
    return code;
}

static enum err
fail_errno(struct error *error, const struct http_listen_address *address, int number)
{
    char text[60];
    enum err code = ERR_UNAVAILABLE;
    if (number == EADDRINUSE) {
        enum err taken = fail(error, ERR_CONFLICT, address, "the port is taken");
        (void)snprintf(error->hint,
                       sizeof(error->hint),
                       "stop the program that listens there, or choose another port");
        return taken;
    }
    return fail(error, code, address, strerror_r(number, text, sizeof(text)));
}

/* The host without brackets, as a socket address; false when it is no literal. */
static bool resolve(const struct http_listen_address *address, struct socket_address *out)
{
    char host[INET6_ADDRSTRLEN];
    struct bytes text = bytes_of_string(address->host);
    if (bytes_equal(text, BYTES("localhost"))) {
        text = BYTES("127.0.0.1");
    }
    if (text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']') {
        text = bytes_of(text.data + 1, text.len - 2);
    }
    if (text.len >= sizeof(host)) {
        return false;
    }
    memcpy(host, text.data, text.len);
    host[text.len] = '\0';
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    *out = (struct socket_address){0};
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        memcpy(&out->storage, &in, sizeof(in));
        out->len = sizeof(in);
        out->family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        memcpy(&out->storage, &in6, sizeof(in6));
        out->len = sizeof(in6);
        out->family = AF_INET6;
        return true;
    }
    return false;
}

static void set_port(struct socket_address *address, uint16_t port)
{
    if (address->family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &address->storage, sizeof(in));
        in.sin_port = htons(port);
        memcpy(&address->storage, &in, sizeof(in));
    } else {
        struct sockaddr_in6 in6;
        memcpy(&in6, &address->storage, sizeof(in6));
        in6.sin6_port = htons(port);
        memcpy(&address->storage, &in6, sizeof(in6));
    }
}

/* A bound socket, or -1 and errno. */
static int bind_one(const struct socket_address *address, bool shared)
{
    int on = 1;
    int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    bool well = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0;
    if (shared) {
        well = well && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
    }
    well = well && bind(fd, (const struct sockaddr *)&address->storage, address->len) == 0;
    if (!well) {
        int number = errno;
        (void)close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

/* Finds out whether the port is free, and which one it is when any will do. */
static bool probe(struct socket_address *address)
{
    int fd = bind_one(address, false);
    if (fd < 0) {
        return false;
    }
    bool well = listen(fd, 1) == 0;
    int number = errno;
    uint16_t port = http_listen_port(fd);
    (void)close(fd);
    set_port(address, port);
    errno = number;
    return well;
}

enum err
http_listen(const struct http_listen_address *address, int *fds, size_t count, struct error *error)
{
    CHECK(count > 0);
    CHECK(count <= HTTP_LISTEN_SOCKETS_MAX);
    struct socket_address where;
    if (!resolve(address, &where)) {
        return fail(error, ERR_MALFORMED, address, "the host is no IP address");
    }
    if (!probe(&where)) {
        return fail_errno(error, address, errno);
    }
    for (size_t i = 0; i < count; i++) {
        fds[i] = bind_one(&where, true);
        if (fds[i] < 0 || listen(fds[i], BACKLOG) != 0) {
            int number = errno;
            for (size_t opened = 0; opened <= i; opened++) {
                (void)(fds[opened] >= 0 && close(fds[opened]));
            }
            return fail_errno(error, address, number);
        }
    }
    return OK;
}

uint16_t http_listen_port(int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    CHECK(getsockname(fd, (struct sockaddr *)&storage, &len) == 0);
    if (storage.ss_family == AF_INET) {
        memcpy(&in, &storage, sizeof(in));
        return ntohs(in.sin_port);
    }
    memcpy(&in6, &storage, sizeof(in6));
    return ntohs(in6.sin6_port);
}
