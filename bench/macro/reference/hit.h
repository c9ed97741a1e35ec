/* The info_hash that has peers: load announces them, and the reply server knows it by its first bytes. */
#ifndef HIT_H
#define HIT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const uint8_t hit_target[20] = "\xbe\xef\xbe\xef hit of the load";

static inline bool is_hit(const uint8_t *target)
{
    return !memcmp(target, hit_target, 4);
}

#endif
