/* Opening listening sockets. */
#pragma once

#include "base/err.h"

#define HTTP_LISTEN_SOCKETS_MAX 64

/* What to listen on. */
struct http_listen_address {
    const char
        *host; /* an IPv4 or IPv6 literal (with or without brackets) or "localhost" (127.0.0.1) */
    uint16_t port; /* 0: any free one */
};

/* Opens `count` sockets on the same address and port, one per network thread, among which the
 * kernel shares the connections out (SO_REUSEPORT). Non-blocking, closed on exec; the caller owns
 * them.
 *
 * OK; ERR_CONFLICT when the port is taken by anyone, this user's processes included; ERR_MALFORMED
 * when the host is none; ERR_UNAVAILABLE when the address is not this machine's or may not be used.
 * On an error no socket is open, and *error says in words what failed. */
enum err http_listen(const struct http_listen_address *address,
                     int *fds,
                     size_t count,
                     struct error *error) MUST_CHECK;

/* The port a listening socket got. */
uint16_t http_listen_port(int fd);
