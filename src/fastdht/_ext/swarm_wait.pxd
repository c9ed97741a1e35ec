"""Waiting for sockets and reading the clock without Python: for the swarm's own loop only. Rate class: packet."""
from libc.stdint cimport int64_t, uint32_t


cdef extern from *:
    """
    #include <stdint.h>
    #define SWARM_READY 64
    #if defined(__linux__)
    #include <sys/epoll.h>
    #include <time.h>
    static int64_t swarm_now_us(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    }
    static int swarm_wait(int poller, int *ready, int timeout_ms) {
        struct epoll_event events[SWARM_READY];
        int i, count = epoll_wait(poller, events, SWARM_READY, timeout_ms);
        for (i = 0; i < count; i++) ready[i] = events[i].data.fd;
        return count;
    }
    #else
    static int64_t swarm_now_us(void) { return 0; }
    static int swarm_wait(int poller, int *ready, int timeout_ms) {
        (void)poller; (void)ready; (void)timeout_ms;
        return -1;
    }
    #endif
    """
    enum:
        SWARM_READY                     # descriptors reported at once
    int64_t swarm_now_us() nogil    # monotonic
    int swarm_wait(int poller, int* ready, int timeout_ms) nogil    # epoll_wait; fills in descriptors
