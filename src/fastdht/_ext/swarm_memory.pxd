"""Large zeroed arrays that are read at random. Rate class: command.

A look-up among millions of contacts is a cache miss; with 4 KiB pages it is a miss of the address translation too.
Huge pages take that away where the system grants them.
"""

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif
    #define SWARM_HUGE_PAGE ((size_t)2 << 20)

    static void *swarm_allocate(size_t size) {
    #if defined(__linux__)
        void *memory = NULL;
        if (size >= SWARM_HUGE_PAGE) {
            size = (size + SWARM_HUGE_PAGE - 1) & ~(SWARM_HUGE_PAGE - 1);
            if (posix_memalign(&memory, SWARM_HUGE_PAGE, size)) return NULL;
            madvise(memory, size, MADV_HUGEPAGE);
            memset(memory, 0, size);
            return memory;
        }
    #endif
        return calloc(size ? size : 1, 1);
    }
    #if defined(_MSC_VER)
    #include <intrin.h>
    #define swarm_prefetch(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
    #else
    #define swarm_prefetch(p) __builtin_prefetch(p)
    #endif
    """
    void* swarm_allocate(size_t size) nogil     # freed by free(); NULL when there is none
    void swarm_prefetch(const void* p) nogil
