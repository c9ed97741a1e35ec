/* The info_hash that has peers: load announces them, and the reply server knows it by its first bytes.
 * The item that is stored: load puts ITEM_SIZE bytes `v` as a string; its target is the SHA-1 of `500:` and them. */
#ifndef HIT_H
#define HIT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { ITEM_SIZE = 500 };

static const uint8_t hit_target[20] = "\xbe\xef\xbe\xef hit of the load";
static const uint8_t item_target[20] = {0xd1, 0x68, 0x21, 0x03, 0x8f, 0xa5, 0x08, 0x72, 0x09, 0x73,
                                        0xff, 0xff, 0xe4, 0x0e, 0x9e, 0x14, 0x26, 0x05, 0x9d, 0x70};

static inline bool is_hit(const uint8_t *target)
{
    return !memcmp(target, hit_target, 4);
}

#endif
