/* Bencode scanning, random numbers and node ids, shared by the references.
 *
 * Bounded and object-free: a scanner never reads at or past `end` and returns NULL on anything malformed. What good C
 * would do and no more, so that the ratios of this folder compare with an honest opponent.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ID_SIZE = 20, COMPACT_NODE = 26, COMPACT_PEER = 6, MAX_DEPTH = 10 };

typedef struct { const uint8_t *data; uint32_t size; } span;

typedef struct {
    span tid, method, id, target, token, nodes, values, version;
    uint8_t kind;                       /* 'q', 'r', 'e' or 0 */
} message;

static inline uint64_t next_random(uint64_t *state)             /* splitmix64 */
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static inline void random_id(uint64_t *state, uint8_t *out)
{
    uint64_t words[3] = {next_random(state), next_random(state), next_random(state)};
    memcpy(out, words, ID_SIZE);
}

static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline uint64_t load_be64(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return __builtin_bswap64(x);
}

static inline uint32_t load_be32(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, 4);
    return __builtin_bswap32(x);
}

static inline void store_be32(uint8_t *p, uint32_t x)
{
    x = __builtin_bswap32(x);
    memcpy(p, &x, 4);
}

/* Is `a` closer to `target` than `b`? */
static inline bool is_closer(const uint8_t *target, const uint8_t *a, const uint8_t *b)
{
    uint64_t t = load_be64(target), x = load_be64(a) ^ t, y = load_be64(b) ^ t;
    if (x != y)
        return x < y;
    t = load_be64(target + 8), x = load_be64(a + 8) ^ t, y = load_be64(b + 8) ^ t;
    if (x != y)
        return x < y;
    uint32_t low = load_be32(target + 16);
    return (load_be32(a + 16) ^ low) < (load_be32(b + 16) ^ low);
}

static inline int prefix_length(const uint8_t *a, const uint8_t *b)
{
    for (int i = 0; i < ID_SIZE; i++)
        if (a[i] != b[i])
            return i * 8 + __builtin_clz((uint32_t)(a[i] ^ b[i])) - 24;
    return ID_SIZE * 8;
}

static inline const uint8_t *scan_string(const uint8_t *p, const uint8_t *end, span *out)
{
    uint32_t size = 0;
    int digits = 0;
    while (p < end && *p >= '0' && *p <= '9' && digits++ < 5)
        size = size * 10 + (*p++ - '0');
    if (!digits || p >= end || *p != ':' || (uint32_t)(end - p - 1) < size)
        return NULL;
    out->data = p + 1;
    out->size = size;
    return p + 1 + size;
}

static inline const uint8_t *skip_value(const uint8_t *p, const uint8_t *end)
{
    int depth = 0;
    span ignored;
    do {
        if (p >= end)
            return NULL;
        if (*p == 'd' || *p == 'l') {
            if (++depth > MAX_DEPTH)
                return NULL;
            p++;
        } else if (*p == 'e') {
            if (--depth < 0)
                return NULL;
            p++;
        } else if (*p == 'i') {
            p = memchr(p, 'e', (size_t)(end - p));
            if (!p)
                return NULL;
            p++;
        } else if (!(p = scan_string(p, end, &ignored))) {
            return NULL;
        }
    } while (depth);
    return p;
}

static inline bool is_key(const span *key, const char *name, uint32_t size)
{
    return key->size == size && !memcmp(key->data, name, size);
}

/* The inner dictionary, `a` or `r`: which string goes into which slot. */
static inline span *slot_of(message *m, const span *key)
{
    switch (key->size) {
    case 2: return is_key(key, "id", 2) ? &m->id : NULL;
    case 5: return is_key(key, "nodes", 5) ? &m->nodes : is_key(key, "token", 5) ? &m->token : NULL;
    case 6: return is_key(key, "target", 6) ? &m->target : NULL;
    case 9: return is_key(key, "info_hash", 9) ? &m->target : NULL;
    default: return NULL;
    }
}

static inline const uint8_t *parse_inner(const uint8_t *p, const uint8_t *end, message *m)
{
    if (p >= end || *p != 'd')
        return NULL;
    for (p++; p && p < end && *p != 'e';) {
        span key, *slot;
        p = scan_string(p, end, &key);
        if (!p || p >= end)
            return NULL;
        slot = slot_of(m, &key);
        if (slot && *p >= '0' && *p <= '9') {
            p = scan_string(p, end, slot);
        } else if (is_key(&key, "values", 6) && *p == 'l') {
            const uint8_t *from = p + 1;
            p = skip_value(p, end);
            if (p)
                m->values = (span){from, (uint32_t)(p - 1 - from)};
        } else {
            p = skip_value(p, end);
        }
    }
    return p && p < end ? p + 1 : NULL;
}

/* Fill `m` from a whole datagram; false when it is not one well-formed KRPC dictionary. */
static inline bool parse_message(const uint8_t *data, uint32_t size, message *m)
{
    const uint8_t *p = data, *end = data + size;
    memset(m, 0, sizeof *m);
    if (size < 2 || *p++ != 'd')
        return false;
    while (p && p < end && *p != 'e') {
        span key, kind;
        p = scan_string(p, end, &key);
        if (!p || p >= end)
            return false;
        uint8_t name = key.size == 1 ? key.data[0] : 0;
        if (name == 'a' || name == 'r') {
            p = parse_inner(p, end, m);
        } else if (name == 't') {
            p = scan_string(p, end, &m->tid);
        } else if (name == 'q') {
            p = scan_string(p, end, &m->method);
        } else if (name == 'v') {
            p = scan_string(p, end, &m->version);
        } else if (name == 'y') {
            p = scan_string(p, end, &kind);
            m->kind = p && kind.size == 1 ? kind.data[0] : 0;
        } else {
            p = skip_value(p, end);
        }
    }
    return p && p == end - 1 && m->kind;
}

static inline uint8_t *put_bytes(uint8_t *out, const void *data, size_t size)
{
    memcpy(out, data, size);
    return out + size;
}

static inline uint8_t *put_text(uint8_t *out, const char *text)
{
    return put_bytes(out, text, strlen(text));
}

static inline uint8_t *put_string(uint8_t *out, const void *data, uint32_t size)
{
    out += sprintf((char *)out, "%u:", size);
    return put_bytes(out, data, size);
}

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

#endif
