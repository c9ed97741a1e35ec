/* An exact set of IPv4 endpoints, for the crawl engine: a look touches one line of the cache and nothing else.
 *
 * Address and port are permuted into 48 bits. The leading ones choose the home line, the last 40 are the tag; whoever
 * finds home full stands in the next line with room. From 2^15 lines on, tag and distance from home are the endpoint.
 */
#ifndef PLACES_H
#define PLACES_H

#include "wire.h"
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { LINE_PLACES = 10, LEAST_LINE_BITS = 15, HUGE_PAGE = 2 << 20 };

typedef struct {                /* 64 bytes; filled from the first place on */
    uint32_t tags[LINE_PLACES];
    uint8_t more[LINE_PLACES];          /* of each tag */
    uint8_t referrers[LINE_PLACES];     /* 0: nobody stands here */
    uint32_t spare;
} line;

typedef struct { line *lines; uint32_t bits; } place_set;
typedef struct { line *line; uint32_t index; } place;

/* Zeroed memory in huge pages where there are any: on small ones, each look would walk the page tables. */
static inline void *map_pages(size_t size)
{
    size_t whole = (size + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint8_t *start = mmap(NULL, whole + HUGE_PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (start == MAP_FAILED)
        die("mmap");
    uint8_t *aligned = (uint8_t *)(((uintptr_t)start + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    madvise(aligned, whole, MADV_HUGEPAGE);
    return aligned;
}

static inline void open_places(place_set *set, uint32_t capacity)
{
    for (set->bits = LEAST_LINE_BITS; ((uint64_t)LINE_PLACES << set->bits) * 8 / 10 < capacity; set->bits++)
        continue;
    set->lines = map_pages(sizeof(line) << set->bits);
}

static inline uint64_t hash_place(uint32_t ip, uint16_t port)
{
    const uint64_t mask = (1ull << 48) - 1;
    uint64_t x = ((uint64_t)ip << 16 | port) * 0x9E3779B97F4A7C15ull & mask;
    x = (x ^ x >> 24) * 0xD6E8FEB86659FD93ull & mask;
    return (x ^ x >> 24) << 16;
}

static inline uint64_t home_line(const place_set *set, uint64_t hashed)
{
    return hashed >> (64 - set->bits);
}

static inline uint32_t same_tags(const line *l, uint32_t tag)
{
#ifdef __SSE2__
    __m128i wanted = _mm_set1_epi32((int)tag);
    const __m128i *words = (const __m128i *)l->tags;    /* twelve words of the line, of which ten are tags */
    __m128i a = _mm_cmpeq_epi32(_mm_loadu_si128(words), wanted), b = _mm_cmpeq_epi32(_mm_loadu_si128(words + 1), wanted);
    __m128i c = _mm_cmpeq_epi32(_mm_loadu_si128(words + 2), wanted);
    __m128i all = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, _mm_setzero_si128()));
    return (uint32_t)_mm_movemask_epi8(all) & ((1 << LINE_PLACES) - 1);
#else
    uint32_t all = 0;
    for (uint32_t i = 0; i < LINE_PLACES; i++)
        all |= (uint32_t)(l->tags[i] == tag) << i;
    return all;
#endif
}

/* Is the endpoint known? Sets `out` to its place, or to the free one where it belongs. Ends: the set is never full. */
static inline bool find_place(const place_set *set, uint64_t hashed, place *out)
{
    uint8_t more = (uint8_t)(hashed >> 48);
    for (uint64_t at = home_line(set, hashed);; at = (at + 1) & ((1ull << set->bits) - 1)) {
        out->line = &set->lines[at];
        for (uint32_t hits = same_tags(out->line, (uint32_t)(hashed >> 16)); hits; hits &= hits - 1) {
            out->index = (uint32_t)__builtin_ctz(hits);
            if (out->line->more[out->index] == more && out->line->referrers[out->index])
                return true;
        }
        if (out->line->referrers[LINE_PLACES - 1])
            continue;
        for (out->index = 0; out->line->referrers[out->index]; out->index++)
            continue;
        return false;
    }
}

static inline void take_place(place *at, uint64_t hashed)
{
    at->line->tags[at->index] = (uint32_t)(hashed >> 16);
    at->line->more[at->index] = (uint8_t)(hashed >> 48);
    at->line->referrers[at->index] = 1;
}

#endif
