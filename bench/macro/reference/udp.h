/* Sockets and batches of datagrams, shared by the references.
 *
 * One UDP socket, non-blocking, with 4 MiB buffers. With `wildcard` it is bound to every address and IP_PKTINFO tells
 * which 127.x.y.z a datagram came to, and lets one be sent from any of them: no address has to be configured.
 */
#ifndef UDP_H
#define UDP_H

#include "wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { BATCH = 64, DATAGRAM = 2048, BUFFER_BYTES = 4 << 20 };

typedef union {
    char bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(uint32_t))];
    struct cmsghdr align;
} control_space;

typedef struct {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    struct sockaddr_in peers[BATCH];
    control_space controls[BATCH];
    uint8_t data[BATCH][DATAGRAM];
    uint32_t count;
    bool with_control;
} batch;

static inline void prepare_batch(batch *b, bool with_control)
{
    memset(b->messages, 0, sizeof b->messages);
    b->count = 0;
    b->with_control = with_control;
    for (int i = 0; i < BATCH; i++) {
        b->vectors[i] = (struct iovec){b->data[i], DATAGRAM};
        b->messages[i].msg_hdr.msg_name = &b->peers[i];
        b->messages[i].msg_hdr.msg_namelen = sizeof b->peers[i];
        b->messages[i].msg_hdr.msg_iov = &b->vectors[i];
        b->messages[i].msg_hdr.msg_iovlen = 1;
        if (with_control) {
            b->messages[i].msg_hdr.msg_control = &b->controls[i];
            b->messages[i].msg_hdr.msg_controllen = sizeof b->controls[i];
        }
    }
}

/* How many datagrams came, at most BATCH; 0 when none waits. */
static inline int receive_batch(int fd, batch *b)
{
    for (int i = 0; i < BATCH; i++) {
        b->messages[i].msg_hdr.msg_namelen = sizeof b->peers[i];
        if (b->with_control)
            b->messages[i].msg_hdr.msg_controllen = sizeof b->controls[i];
    }
    int count = recvmmsg(fd, b->messages, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
        die("recvmmsg");
    return count < 0 ? 0 : count;
}

/* The address a datagram of a wildcard socket was sent to, network order. */
static inline uint32_t local_address(batch *b, int i)
{
    struct msghdr *header = &b->messages[i].msg_hdr;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            return info.ipi_addr.s_addr;
        }
    return 0;
}

/* Room for the next datagram to send; write at most DATAGRAM bytes, then commit. */
static inline uint8_t *reserve(batch *b)
{
    return b->data[b->count];
}

static inline void commit(batch *b, uint32_t size, const struct sockaddr_in *to, uint32_t from)
{
    uint32_t i = b->count++;
    struct msghdr *header = &b->messages[i].msg_hdr;
    b->vectors[i].iov_len = size;
    b->peers[i] = *to;
    if (!b->with_control)
        return;
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = from};
    header->msg_controllen = CMSG_SPACE(sizeof info);
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
}

static inline void flush(int fd, batch *b)
{
    for (uint32_t sent = 0; sent < b->count;) {
        int done = sendmmsg(fd, b->messages + sent, b->count - sent, 0);
        if (done > 0)
            sent += (uint32_t)done;
        else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ECONNREFUSED)
            die("sendmmsg");
    }
    b->count = 0;
}

static inline struct sockaddr_in make_address(const char *ip, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) {
        fprintf(stderr, "%s is no IPv4 address\n", ip);
        exit(2);
    }
    return address;
}

/* "A.B.C.D:PORT" */
static inline struct sockaddr_in parse_address(const char *text)
{
    char ip[32];
    const char *colon = strrchr(text, ':');
    if (!colon || colon - text >= (long)sizeof ip) {
        fprintf(stderr, "%s is no IP:PORT\n", text);
        exit(2);
    }
    memcpy(ip, text, (size_t)(colon - text));
    ip[colon - text] = 0;
    return make_address(ip, (uint16_t)atoi(colon + 1));
}

/* Datagrams are never split, so that the kernel is spared their numbering: 2 to 4 % of its work. */
static inline int open_socket(struct sockaddr_in address, bool wildcard)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), bytes = BUFFER_BYTES, on = 1;
    int discovery = IP_PMTUDISC_PROBE;
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discovery, sizeof discovery);
    if (wildcard) {
        setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
        setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
        address.sin_addr.s_addr = htonl(INADDR_ANY);
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof address))
        die("bind");
    return fd;
}

/* Datagrams this socket lost so far, as the kernel counts them (/proc/net/udp has the same number). */
static inline uint32_t dropped_so_far(batch *b, int count, uint32_t before)
{
    if (!count)
        return before;
    struct msghdr *header = &b->messages[count - 1].msg_hdr;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
            memcpy(&before, CMSG_DATA(c), sizeof before);
    return before;
}

#endif
