/* How many connections each address has, so that one client can't take them all.
 *
 * Invariants:
 *  1. An address stands in the table exactly while its count is above zero.
 *  2. count <= capacity / 2, so a search always ends at an empty place. */
#pragma once

#include "base/bytes.h"

#include <sys/socket.h>

struct http_address_entry {
    uint8_t address[16];
    uint32_t count; /* 0: the place is empty */
};

struct http_addresses {
    struct http_address_entry *entries;
    uint32_t capacity; /* a power of two */
    uint32_t count;    /* addresses */
    uint64_t seed;
};

/* Room for so many addresses; false on no memory. */
bool http_addresses_init(struct http_addresses *addresses, uint32_t addresses_max, uint64_t seed);
void http_addresses_deinit(struct http_addresses *addresses);

/* Counts one more; false when it has `limit` already (nothing happened). */
bool http_addresses_add(struct http_addresses *addresses,
                        const uint8_t address[16],
                        uint32_t limit);

/* Counts one less of one that was added. */
void http_addresses_remove(struct http_addresses *addresses, const uint8_t address[16]);

/* The address of a peer as IPv6, IPv4 in its mapped form (::ffff:a.b.c.d); false when it has none
 * or is loopback, which is not counted. */
bool http_address_of(const struct sockaddr_storage *peer, uint8_t address[16]);
