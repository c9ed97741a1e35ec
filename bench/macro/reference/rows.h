/* What a crawl writes of a found node: 48 bytes, the fields of our own rows. */
#ifndef ROWS_H
#define ROWS_H

#include <stdint.h>

typedef struct {
    uint8_t ip[16], id[20];     /* an IPv4 address as ::ffff:a.b.c.d */
    uint32_t rtt_us;
    uint8_t version[4];
    uint16_t port;              /* host order */
    uint8_t status, has_version;
} row;

#endif
