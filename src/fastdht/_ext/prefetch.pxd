"""Asking memory for what will soon be read: hundreds of lookups do not fit the inner caches. Rate class: packet."""

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    /* The empty asm is for gcc: a function that does nothing but prefetch is pure to it, and calls of it are dropped. */
    #define fastdht_fetch(address) do { __builtin_prefetch((const char*)(address), 1); __asm__ volatile (""); } while (0)
    #else
    #define fastdht_fetch(address) ((void)(address))
    #endif
    """
    void fastdht_fetch(const void* address) nogil


cdef inline void fetch_span(const void* start, size_t size) noexcept nogil:
    """Each cache line of a stretch of memory."""
    cdef size_t at = 0
    while at < size:
        fastdht_fetch(<const char*>start + at)
        at += 64
