"""The system calls of the virtual network's sockets, as small C functions. Rate class: packet.

Linux: wildcard sockets with IP_PKTINFO, recvmmsg, sendmmsg, epoll. Elsewhere every opening fails with ENOSYS, so that
the package still builds. Addresses and ports are in host order; failures of the opening calls are -errno.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t


cdef extern from *:
    """
    #include <stdint.h>
    #include <errno.h>
    #define SWARM_BATCH 64
    #define SWARM_OUT 128
    #if defined(__linux__)
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <arpa/inet.h>
    #include <netinet/in.h>
    #include <string.h>
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/socket.h>
    #include <time.h>
    #include <unistd.h>
    #ifndef SO_MEMINFO
    #define SO_MEMINFO 55
    #endif
    typedef struct { char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))]; } swarm_control;
    typedef struct {
        struct mmsghdr messages[SWARM_BATCH];
        struct iovec parts[SWARM_BATCH];
        struct sockaddr_in sources[SWARM_BATCH];
        swarm_control controls[SWARM_BATCH];
        uint8_t data[SWARM_BATCH][2048];
    } swarm_inbox;
    typedef struct {
        struct mmsghdr messages[SWARM_OUT];
        struct iovec parts[SWARM_OUT];
        struct sockaddr_in targets[SWARM_OUT];
        swarm_control controls[SWARM_OUT];
    } swarm_outbox;

    static int64_t swarm_now_us(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    }
    static int swarm_fail(int fd) { int e = errno; close(fd); return -e; }

    static int swarm_open(int port, int buffer) {
        int one = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        if (fd < 0) return -errno;
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one)) return swarm_fail(fd);
        if (bind(fd, (struct sockaddr *)&address, sizeof address)) return swarm_fail(fd);
        return fd;
    }
    static int swarm_port(int fd) {
        struct sockaddr_in address;
        socklen_t size = sizeof address;
        return getsockname(fd, (struct sockaddr *)&address, &size) ? -errno : ntohs(address.sin_port);
    }
    static int swarm_buffer(int fd) {
        int value = 0;
        socklen_t size = sizeof value;
        getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &size);
        return value;
    }
    static uint32_t swarm_drops(int fd) {               /* exact even when no packet followed the last drop */
        uint32_t values[16] = {0};
        socklen_t size = sizeof values;
        return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &size) ? 0 : values[8];
    }
    static int swarm_poller(void) { int fd = epoll_create1(EPOLL_CLOEXEC); return fd < 0 ? -errno : fd; }
    static int swarm_event(void) {
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    static void swarm_signal(int fd) {
        uint64_t one = 1;
        if (write(fd, &one, sizeof one) < 0) return;    /* full means that it is signalled already */
    }
    static int swarm_watch(int poller, int fd, uint32_t index) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
        return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
    }
    static int swarm_wait(int poller, uint32_t *ready, int timeout_ms) {
        struct epoll_event events[SWARM_BATCH];
        int i, n = epoll_wait(poller, events, SWARM_BATCH, timeout_ms);
        for (i = 0; i < n; i++) ready[i] = events[i].data.u32;
        return n;
    }
    static int swarm_receive(int fd, swarm_inbox *box) {
        int i;
        for (i = 0; i < SWARM_BATCH; i++) {
            box->parts[i] = (struct iovec){box->data[i], sizeof box->data[i]};
            box->messages[i].msg_hdr = (struct msghdr){
                .msg_name = &box->sources[i], .msg_namelen = sizeof box->sources[i], .msg_iov = &box->parts[i],
                .msg_iovlen = 1, .msg_control = &box->controls[i], .msg_controllen = sizeof box->controls[i]};
        }
        return recvmmsg(fd, box->messages, SWARM_BATCH, MSG_DONTWAIT, NULL);
    }
    static uint32_t swarm_asked_ip(swarm_inbox *box, int i) {
        struct cmsghdr *c = CMSG_FIRSTHDR(&box->messages[i].msg_hdr);
        if (!c || c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO) return 0;
        return ntohl(((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr.s_addr);
    }
    static uint32_t swarm_source_ip(swarm_inbox *box, int i) { return ntohl(box->sources[i].sin_addr.s_addr); }
    static uint16_t swarm_source_port(swarm_inbox *box, int i) { return ntohs(box->sources[i].sin_port); }
    static uint32_t swarm_size(swarm_inbox *box, int i) {
        return box->messages[i].msg_hdr.msg_flags & MSG_TRUNC ? 0 : box->messages[i].msg_len;
    }
    static const uint8_t *swarm_data(swarm_inbox *box, int i) { return box->data[i]; }

    static void swarm_queue(swarm_outbox *box, uint32_t i, const uint8_t *data, uint32_t size, uint32_t from_ip,
                            uint32_t to_ip, uint16_t to_port) {
        struct msghdr *header = &box->messages[i].msg_hdr;
        struct cmsghdr *c;
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(from_ip)};
        box->targets[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(to_port),
                                               .sin_addr.s_addr = htonl(to_ip)};
        box->parts[i] = (struct iovec){(void *)data, size};
        *header = (struct msghdr){.msg_name = &box->targets[i], .msg_namelen = sizeof box->targets[i],
                                  .msg_iov = &box->parts[i], .msg_iovlen = 1, .msg_control = &box->controls[i],
                                  .msg_controllen = sizeof box->controls[i]};
        c = CMSG_FIRSTHDR(header);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
    }
    static int swarm_send(int fd, swarm_outbox *box, uint32_t first, uint32_t count) {
        return sendmmsg(fd, box->messages + first, count, 0);
    }
    static void swarm_close(int fd) { close(fd); }
    #else
    typedef struct { int none; } swarm_inbox;
    typedef struct { int none; } swarm_outbox;
    static int64_t swarm_now_us(void) { return 0; }
    static int swarm_open(int port, int buffer) { (void)port; (void)buffer; return -ENOSYS; }
    static int swarm_port(int fd) { (void)fd; return -ENOSYS; }
    static int swarm_buffer(int fd) { (void)fd; return 0; }
    static uint32_t swarm_drops(int fd) { (void)fd; return 0; }
    static int swarm_poller(void) { return -ENOSYS; }
    static int swarm_event(void) { return -ENOSYS; }
    static void swarm_signal(int fd) { (void)fd; }
    static int swarm_watch(int p, int fd, uint32_t i) { (void)p; (void)fd; (void)i; return -ENOSYS; }
    static int swarm_wait(int p, uint32_t *r, int t) { (void)p; (void)r; (void)t; return -1; }
    static int swarm_receive(int fd, swarm_inbox *b) { (void)fd; (void)b; return -1; }
    static uint32_t swarm_asked_ip(swarm_inbox *b, int i) { (void)b; (void)i; return 0; }
    static uint32_t swarm_source_ip(swarm_inbox *b, int i) { (void)b; (void)i; return 0; }
    static uint16_t swarm_source_port(swarm_inbox *b, int i) { (void)b; (void)i; return 0; }
    static uint32_t swarm_size(swarm_inbox *b, int i) { (void)b; (void)i; return 0; }
    static const uint8_t *swarm_data(swarm_inbox *b, int i) { (void)b; (void)i; return 0; }
    static void swarm_queue(swarm_outbox *b, uint32_t i, const uint8_t *d, uint32_t s, uint32_t f, uint32_t t,
                            uint16_t p) { (void)b; (void)i; (void)d; (void)s; (void)f; (void)t; (void)p; }
    static int swarm_send(int fd, swarm_outbox *b, uint32_t f, uint32_t c) {
        (void)fd; (void)b; (void)f; (void)c; return -1;
    }
    static void swarm_close(int fd) { (void)fd; }
    #endif
    """
    ctypedef struct swarm_inbox:
        pass
    ctypedef struct swarm_outbox:
        pass
    enum:
        SWARM_BATCH             # datagrams received at once
        SWARM_OUT               # replies sent at once
    int64_t swarm_now_us() nogil
    int swarm_open(int port, int buffer) nogil
    int swarm_port(int fd) nogil
    int swarm_buffer(int fd) nogil
    uint32_t swarm_drops(int fd) nogil
    int swarm_poller() nogil
    int swarm_event() nogil
    void swarm_signal(int fd) nogil
    int swarm_watch(int poller, int fd, uint32_t index) nogil
    int swarm_wait(int poller, uint32_t* ready, int timeout_ms) nogil
    int swarm_receive(int fd, swarm_inbox* box) nogil
    uint32_t swarm_asked_ip(swarm_inbox* box, int i) nogil
    uint32_t swarm_source_ip(swarm_inbox* box, int i) nogil
    unsigned short swarm_source_port(swarm_inbox* box, int i) nogil
    uint32_t swarm_size(swarm_inbox* box, int i) nogil
    const uint8_t* swarm_data(swarm_inbox* box, int i) nogil
    void swarm_queue(swarm_outbox* box, uint32_t i, const uint8_t* data, uint32_t size, uint32_t from_ip,
                     uint32_t to_ip, unsigned short to_port) nogil
    int swarm_send(int fd, swarm_outbox* box, uint32_t first, uint32_t count) nogil
    void swarm_close(int fd) nogil
