/* An open-addressing table with linear probing. Removing moves back the entries that were pushed
 * beyond the freed place, so there are no tombstones. The hash is seeded, as clients choose their
 * addresses. */
#include "adapters/http_server/http_address.h"

#include "base/check.h"
#include "base/hash.h"

#include <netinet/in.h>
#include <stdlib.h>

#define ADDRESS_BYTES 16

bool http_addresses_init(struct http_addresses *addresses, uint32_t addresses_max, uint64_t seed)
{
    uint32_t capacity = 16;
    CHECK(addresses_max <= UINT32_MAX / 4);
    while (capacity < addresses_max * 2) {
        capacity *= 2;
    }
    *addresses = (struct http_addresses){
        .entries = calloc(capacity, sizeof(struct http_address_entry)),
        .capacity = capacity,
        .seed = seed,
    };
    return addresses->entries != NULL;
}

void http_addresses_deinit(struct http_addresses *addresses)
{
    free(addresses->entries);
    *addresses = (struct http_addresses){0};
}

static uint32_t home_of(const struct http_addresses *addresses, const uint8_t *address)
{
    uint64_t hash = hash64(bytes_of(address, ADDRESS_BYTES), addresses->seed);
    return (uint32_t)hash & (addresses->capacity - 1);
}

/* Where the address stands, or the empty place where it would. */
static uint32_t find(const struct http_addresses *addresses, const uint8_t *address)
{
    uint32_t at = home_of(addresses, address);
    while (addresses->entries[at].count > 0 &&
           memcmp(addresses->entries[at].address, address, ADDRESS_BYTES) != 0) {
        at = (at + 1) & (addresses->capacity - 1);
    }
    return at;
}

bool http_addresses_add(struct http_addresses *addresses, const uint8_t address[16], uint32_t limit)
{
    struct http_address_entry *entry = &addresses->entries[find(addresses, address)];
    if (entry->count >= limit) {
        return false;
    }
    if (entry->count == 0) {
        CHECK(addresses->count < addresses->capacity / 2);
        addresses->count++;
        memcpy(entry->address, address, ADDRESS_BYTES);
    }
    entry->count++;
    return true;
}

void http_addresses_remove(struct http_addresses *addresses, const uint8_t address[16])
{
    uint32_t mask = addresses->capacity - 1;
    uint32_t hole = find(addresses, address);
    CHECK(addresses->entries[hole].count > 0);
    if (--addresses->entries[hole].count > 0) {
        return;
    }
    addresses->count--;
    for (uint32_t at = (hole + 1) & mask; addresses->entries[at].count > 0; at = (at + 1) & mask) {
        uint32_t home = home_of(addresses, addresses->entries[at].address);
        bool may_move = ((at - home) & mask) >= ((at - hole) & mask);
        if (may_move) {
            addresses->entries[hole] = addresses->entries[at];
            addresses->entries[at].count = 0;
            hole = at;
        }
    }
}

bool http_address_of(const struct sockaddr_storage *peer, uint8_t address[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (peer->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, peer, sizeof(in));
        memcpy(address, mapped, sizeof(mapped));
        memcpy(address + sizeof(mapped), &in.sin_addr, 4);
    } else if (peer->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, peer, sizeof(in6));
        memcpy(address, &in6.sin6_addr, ADDRESS_BYTES);
    } else {
        return false;
    }
    static const uint8_t loopback[ADDRESS_BYTES] = {[15] = 1};
    bool loopback_4 = memcmp(address, mapped, sizeof(mapped)) == 0 && address[12] == 127;
    return !loopback_4 && memcmp(address, loopback, ADDRESS_BYTES) != 0;
}
