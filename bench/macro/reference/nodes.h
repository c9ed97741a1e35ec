/* Virtual nodes that the load and the lookups' swarm are made of: one 127.x.y.z each, ids valid under BEP 42. */
#ifndef NODES_H
#define NODES_H

#include "udp.h"

enum { CLOSEST = 8 };

typedef struct { uint8_t id[ID_SIZE]; uint32_t ip; } node;      /* ip in network order */

static inline uint32_t crc32c_of(const uint8_t *data, uint32_t size)
{
    uint32_t crc = ~0u;
    for (uint32_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

/* BEP 42: the first 21 bits follow from the address and three random bits, which the last byte repeats. */
static inline void make_id(uint32_t ip, uint64_t *state, uint8_t *id)
{
    uint8_t masked[4], random = (uint8_t)(next_random(state) & 7);
    store_be32(masked, (ntohl(ip) & 0x030f3fff) | ((uint32_t)random << 29));
    uint32_t crc = crc32c_of(masked, 4);
    random_id(state, id);
    id[0] = (uint8_t)(crc >> 24);
    id[1] = (uint8_t)(crc >> 16);
    id[2] = (uint8_t)((crc >> 8 & 0xf8) | (id[2] & 7));
    id[19] = random;
}

/* Each in a /24 of its own as far as they go (16,384): no limit of a table keeps them out. */
static inline node *make_nodes(uint32_t count, uint64_t seed)
{
    node *nodes = calloc(count, sizeof *nodes);
    if (!nodes)
        die("calloc");
    for (uint32_t i = 0; i < count; i++) {
        nodes[i].ip = htonl(127u << 24 | (64 + (i & 63)) << 16 | (i >> 6 & 255) << 8 | (10 + (i >> 14)));
        make_id(nodes[i].ip, &seed, nodes[i].id);
    }
    return nodes;
}

/* The closest to `target` among the first `count`, as compact nodes; returns the bytes written. */
static inline uint32_t write_closest(const node *nodes, uint32_t count, uint16_t port, const uint8_t *target, uint8_t *out)
{
    const node *best[CLOSEST];
    uint32_t held = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = held < CLOSEST ? held : CLOSEST;
        while (at && is_closer(target, nodes[i].id, best[at - 1]->id)) {
            if (at < CLOSEST)
                best[at] = best[at - 1];
            at--;
        }
        if (at < CLOSEST) {
            best[at] = &nodes[i];
            held += held < CLOSEST;
        }
    }
    uint16_t wire_port = htons(port);
    for (uint32_t i = 0; i < held; i++, out += COMPACT_NODE) {
        memcpy(out, best[i]->id, ID_SIZE);
        memcpy(out + ID_SIZE, &best[i]->ip, 4);
        memcpy(out + ID_SIZE + 4, &wire_port, 2);
    }
    return held * COMPACT_NODE;
}

#endif
