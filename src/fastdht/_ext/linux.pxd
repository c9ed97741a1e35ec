"""What udp needs of the Linux socket interface, and stand-ins that let it compile elsewhere. Rate class: packet.

On other systems, or with FASTDHT_PORTABLE defined, HAS_BATCHES is 0 and nothing here may be called: the sockets of
asyncio are used there. Source: recvmmsg(2), sendmmsg(2), cmsg(3), ip(7), ipv6(7), socket(7).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef extern from *:
    """
    #if defined(__linux__) && !defined(FASTDHT_PORTABLE)
    #define HAS_BATCHES 1
    #include <sys/epoll.h>
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <linux/errqueue.h>
    #include <stdint.h>
    static inline int watch_descriptor(int poller, int fd, uint32_t events) {
        struct epoll_event event = {.events = events, .data = {.fd = fd}};
        return epoll_ctl(poller, events ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &event);
    }
    static inline int allow_fragments(int fd) {
        int discovery = IP_PMTUDISC_DONT;
        return setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discovery, sizeof discovery);
    }
    #ifndef SO_MEMINFO
    #define SO_MEMINFO 55
    #endif
    #else
    #define HAS_BATCHES 0
    #include <stddef.h>
    #include <stdint.h>
    #define in_addr fastdht_in_addr
    #define in6_addr fastdht_in6_addr
    #define sockaddr_in fastdht_sockaddr_in
    #define sockaddr_in6 fastdht_sockaddr_in6
    #define iovec fastdht_iovec
    #define msghdr fastdht_msghdr
    #define mmsghdr fastdht_mmsghdr
    #define cmsghdr fastdht_cmsghdr
    #define in_pktinfo fastdht_in_pktinfo
    #define in6_pktinfo fastdht_in6_pktinfo
    #define sock_extended_err fastdht_sock_extended_err
    #define recvmmsg fastdht_recvmmsg
    #define sendmmsg fastdht_sendmmsg
    #undef s_addr
    #undef s6_addr
    struct in_addr { uint32_t s_addr; };
    struct in6_addr { uint8_t s6_addr[16]; };
    struct sockaddr_in { uint16_t sin_family, sin_port; struct in_addr sin_addr; };
    struct sockaddr_in6 { uint16_t sin6_family, sin6_port; struct in6_addr sin6_addr; };
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; uint32_t msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen; int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    struct cmsghdr { size_t cmsg_len; int cmsg_level, cmsg_type; };
    struct in_pktinfo { int ipi_ifindex; struct in_addr ipi_spec_dst, ipi_addr; };
    struct in6_pktinfo { struct in6_addr ipi6_addr; unsigned int ipi6_ifindex; };
    struct sock_extended_err { uint32_t ee_errno; uint8_t ee_origin; };
    static inline int watch_descriptor(int poller, int fd, uint32_t events) {
        (void)poller; (void)fd; (void)events; return -1;
    }
    static inline int allow_fragments(int fd) { (void)fd; return -1; }
    static int recvmmsg(int fd, struct mmsghdr *h, unsigned int n, int f, void *t) {
        (void)fd; (void)h; (void)n; (void)f; (void)t; return -1;
    }
    static int sendmmsg(int fd, struct mmsghdr *h, unsigned int n, int f) {
        (void)fd; (void)h; (void)n; (void)f; return -1;
    }
    #undef CMSG_FIRSTHDR
    #undef CMSG_NXTHDR
    #undef CMSG_DATA
    #undef CMSG_LEN
    #undef CMSG_SPACE
    #define CMSG_FIRSTHDR(m) ((struct cmsghdr *)(m)->msg_control)
    #define CMSG_NXTHDR(m, c) ((void)(m), (void)(c), (struct cmsghdr *)0)
    #define CMSG_DATA(c) ((uint8_t *)((c) + 1))
    #define CMSG_LEN(n) (sizeof(struct cmsghdr) + (n))
    #define CMSG_SPACE(n) (sizeof(struct cmsghdr) + (n))
    enum {
        FASTDHT_NO_CONSTANT = -1,
        SO_RCVBUFFORCE = -1, SO_SNDBUFFORCE = -1, SO_RXQ_OVFL = -1, SO_MEMINFO = -1, SO_EE_ORIGIN_ICMP = 2,
        SO_EE_ORIGIN_ICMP6 = 3, IP_RECVERR = -2, IPV6_RECVERR = -2, IP_MTU_DISCOVER = -1, IPV6_MTU_DISCOVER = -1,
        IP_PMTUDISC_DONT = 0, IP_PMTUDISC_PROBE = 3
    };
    #undef AF_INET
    #undef AF_INET6
    #undef SOL_SOCKET
    #undef IPPROTO_IP
    #undef IPPROTO_IPV6
    #undef IP_PKTINFO
    #undef IPV6_PKTINFO
    #undef IPV6_RECVPKTINFO
    #undef MSG_DONTWAIT
    #undef MSG_ERRQUEUE
    #undef MSG_TRUNC
    #undef MSG_WAITFORONE
    #define AF_INET 2
    #define AF_INET6 10
    #define SOL_SOCKET 1
    #define IPPROTO_IP 0
    #define IPPROTO_IPV6 41
    #define IP_PKTINFO 8
    #define IPV6_PKTINFO 50
    #define IPV6_RECVPKTINFO 49
    #define MSG_DONTWAIT 0x40
    #define MSG_ERRQUEUE 0x2000
    #define MSG_TRUNC 0x20
    #define MSG_WAITFORONE 0x10000
    #endif
    """
    int HAS_BATCHES
    int watch_descriptor(int poller, int fd, uint32_t events) nogil     # events 0: no longer; -1 and errno if refused
    int allow_fragments(int fd) nogil   # of IPv4

    int AF_INET, AF_INET6, SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6
    int SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_RXQ_OVFL, SO_MEMINFO
    int IP_RECVERR, IPV6_RECVERR, IP_PKTINFO, IPV6_PKTINFO, IPV6_RECVPKTINFO
    int IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE
    int MSG_DONTWAIT, MSG_ERRQUEUE, MSG_TRUNC, MSG_WAITFORONE
    int SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6

    struct in_addr:
        uint32_t s_addr                 # network order
    struct in6_addr:
        uint8_t s6_addr[16]
    struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port               # network order
        in_addr sin_addr
    struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        in6_addr sin6_addr
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        uint32_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    struct in_pktinfo:
        in_addr ipi_spec_dst            # answer from here
        in_addr ipi_addr                # was sent to there
    struct in6_pktinfo:
        in6_addr ipi6_addr
    struct sock_extended_err:
        uint32_t ee_errno
        uint8_t ee_origin

    cmsghdr* CMSG_FIRSTHDR(msghdr* message) nogil
    cmsghdr* CMSG_NXTHDR(msghdr* message, cmsghdr* control) nogil
    uint8_t* CMSG_DATA(cmsghdr* control) nogil
    size_t CMSG_LEN(size_t size) nogil
    size_t CMSG_SPACE(size_t size) nogil

    int recvmmsg(int fd, mmsghdr* headers, unsigned int count, int flags, void* timeout) nogil
    int sendmmsg(int fd, mmsghdr* headers, unsigned int count, int flags) nogil
