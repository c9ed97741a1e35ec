/* Preloaded into a foreign DHT program: it stays on this machine, loopback looks public to it if need be, and it ends
 * with the process that started it, however that ends.
 *
 * Names are not resolved and nothing is sent beyond 127.0.0.0/8. With LOOPBACK_SHOWN_AS=11 the program sees 127.a.b.c as
 * 11.a.b.c and may send there, in socket addresses and in the compact `nodes` and `values` of KRPC messages alike:
 * Transmission's DHT drops whatever comes from 127.0.0.0/8. On the wire there is only 127.0.0.0/8.
 *
 * cc -O2 -shared -fPIC -o loopback.so loopback.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPBACK = 127, COMPACT_NODE = 26, COMPACT_NODE_IP = 20, PEER_ITEM = 8, PEER_ITEM_IP = 2, LONGEST = 65536 };

__attribute__((constructor)) static void end_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int shown_as(void)
{
    const char *text = getenv("LOOPBACK_SHOWN_AS");
    return text ? atoi(text) : LOOPBACK;
}

static void swap_octet(unsigned char *octet, int from, int to)
{
    if (*octet == from)
        *octet = (unsigned char)to;
}

static void swap_nodes(unsigned char *message, size_t size, int from, int to)
{
    unsigned char *end = message + size, *at = memmem(message, size, "5:nodes", 7);
    size_t length = 0;

    if (!at)
        return;
    for (at += 7; at < end && *at >= '0' && *at <= '9'; at++)
        length = length * 10 + (size_t)(*at - '0');
    if (at == end || *at++ != ':' || length > (size_t)(end - at))
        return;
    for (size_t node = 0; node + COMPACT_NODE <= length; node += COMPACT_NODE)
        swap_octet(at + node + COMPACT_NODE_IP, from, to);
}

static void swap_values(unsigned char *message, size_t size, int from, int to)
{
    unsigned char *end = message + size, *at = memmem(message, size, "6:valuesl", 9);

    if (!at)
        return;
    for (at += 9; at + PEER_ITEM <= end && at[0] == '6' && at[1] == ':'; at += PEER_ITEM)
        swap_octet(at + PEER_ITEM_IP, from, to);
}

static void swap_message(unsigned char *message, size_t size, int from, int to)
{
    if (from == to)
        return;
    swap_nodes(message, size, from, to);
    swap_values(message, size, from, to);
}

static void swap_address(struct sockaddr_in *address, int from, int to)
{
    swap_octet((unsigned char *)&address->sin_addr, from, to);
}

/* Where the program sends to, as the wire has it; 0 when that leads off this machine. */
static int to_wire(const struct sockaddr *address, socklen_t size, struct sockaddr_storage *wire)
{
    static const unsigned char mapped[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, LOOPBACK};
    const struct in6_addr *ip6 = &((struct sockaddr_in6 *)wire)->sin6_addr;

    if (size > sizeof *wire || size < sizeof(struct sockaddr_in))
        return 0;
    memcpy(wire, address, size);
    if (address->sa_family == AF_INET) {
        swap_address((struct sockaddr_in *)wire, shown_as(), LOOPBACK);
        return *(unsigned char *)&((struct sockaddr_in *)wire)->sin_addr == LOOPBACK;
    }
    return size >= sizeof(struct sockaddr_in6) && (IN6_IS_ADDR_LOOPBACK(ip6) || !memcmp(ip6, mapped, sizeof mapped));
}

static int is_local(const struct sockaddr *address)
{
    return address->sa_family != AF_INET && address->sa_family != AF_INET6;
}

/* Where it wanted to go stands in its log: tests read there what a program made of an answer. */
static int refuse(const struct sockaddr *address)
{
    const struct sockaddr_in *ip4 = (const void *)address;
    const struct sockaddr_in6 *ip6 = (const void *)address;
    const unsigned char *octet = address->sa_family == AF_INET ? (const void *)&ip4->sin_addr : ip6->sin6_addr.s6_addr + 12;
    unsigned port = ntohs(address->sa_family == AF_INET ? ip4->sin_port : ip6->sin6_port);

    dprintf(STDERR_FILENO, "kept from %d.%d.%d.%d:%u\n", octet[0], octet[1], octet[2], octet[3], port);
    errno = ENETUNREACH;
    return -1;
}

ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *source, socklen_t *source_size)
{
    static ssize_t (*next)(int, void *, size_t, int, struct sockaddr *, socklen_t *);
    if (!next)
        next = dlsym(RTLD_NEXT, "recvfrom");
    ssize_t count = next(fd, data, size, flags, source, source_size);
    if (count > 0 && source && source->sa_family == AF_INET) {
        swap_address((struct sockaddr_in *)source, LOOPBACK, shown_as());
        swap_message(data, (size_t)count < size ? (size_t)count : size, LOOPBACK, shown_as());
    }
    return count;
}

/* What recvfrom is called as when the program was built with _FORTIFY_SOURCE. */
ssize_t __recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, struct sockaddr *source,
                       socklen_t *source_size)
{
    return recvfrom(fd, data, size < room ? size : room, flags, source, source_size);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *target, socklen_t target_size)
{
    static ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    static __thread unsigned char copy[LONGEST];
    struct sockaddr_storage wire;
    if (!next)
        next = dlsym(RTLD_NEXT, "sendto");
    if (!target || is_local(target))
        return next(fd, data, size, flags, target, target_size);
    if (size > sizeof copy || !to_wire(target, target_size, &wire))
        return refuse(target);
    memcpy(copy, data, size);
    swap_message(copy, size, shown_as(), LOOPBACK);
    return next(fd, copy, size, flags, (struct sockaddr *)&wire, target_size);
}

int connect(int fd, const struct sockaddr *target, socklen_t size)
{
    static int (*next)(int, const struct sockaddr *, socklen_t);
    struct sockaddr_storage wire;
    if (!next)
        next = dlsym(RTLD_NEXT, "connect");
    if (is_local(target))
        return next(fd, target, size);
    if (!to_wire(target, size, &wire))
        return refuse(target);
    return next(fd, (struct sockaddr *)&wire, size);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    static int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    struct addrinfo numeric = {0};
    if (!next)
        next = dlsym(RTLD_NEXT, "getaddrinfo");
    if (hints)
        numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    return next(host, service, &numeric, found);
}
