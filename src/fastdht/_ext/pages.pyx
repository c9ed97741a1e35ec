"""Anonymous mappings on 2 MiB boundaries, with huge pages asked for. Rate class: command.

A hash table larger than the cache costs a page walk per look-up on 4 KiB pages: a crawl of a million contacts spends
a tenth of its time there. Untouched parts cost nothing, and the first touch of a huge page takes up to milliseconds:
who cannot afford that asks for it ahead of time. Small arrays, and systems other than Linux, get calloc.
Source: madvise(2), MADV_HUGEPAGE and MADV_POPULATE_WRITE.
"""
cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(__linux__)
    #include <stdint.h>
    #include <sys/mman.h>
    #define FASTDHT_PAGE ((size_t)2 << 20)

    static size_t fastdht_whole_pages(size_t size) { return (size + FASTDHT_PAGE - 1) & ~(FASTDHT_PAGE - 1); }

    static void *fastdht_map(size_t size) {
        size_t whole = fastdht_whole_pages(size), before, after;
        char *start, *aligned;
        if (size < FASTDHT_PAGE)
            return calloc(1, size ? size : 1);
        start = mmap(NULL, whole + FASTDHT_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start == MAP_FAILED)
            return NULL;
        aligned = (char *)fastdht_whole_pages((uintptr_t)start);
        before = (size_t)(aligned - start);
        after = FASTDHT_PAGE - before;
        if (before)
            munmap(start, before);
        if (after)
            munmap(aligned + whole, after);
        madvise(aligned, whole, MADV_HUGEPAGE);
        return aligned;
    }

    static void fastdht_unmap(void *memory, size_t size) {
        if (size < FASTDHT_PAGE)
            free(memory);
        else if (memory)
            munmap(memory, fastdht_whole_pages(size));
    }

    #ifndef MADV_POPULATE_WRITE
    #define MADV_POPULATE_WRITE 23
    #endif
    static void fastdht_make_ready(void *memory, size_t size) {
        uintptr_t start = (uintptr_t)memory & ~(uintptr_t)4095, end = ((uintptr_t)memory + size) & ~(uintptr_t)4095;
        if (end > start)
            (void)madvise((void *)start, end - start, MADV_POPULATE_WRITE);     /* before Linux 5.14 it refuses */
    }
    #else
    static void *fastdht_map(size_t size) { return calloc(1, size ? size : 1); }
    static void fastdht_unmap(void *memory, size_t size) { (void)size; free(memory); }
    static void fastdht_make_ready(void *memory, size_t size) { (void)memory; (void)size; }
    #endif
    """
    void* fastdht_map(size_t size) nogil
    void fastdht_make_ready(void* memory, size_t size) nogil
    void fastdht_unmap(void* memory, size_t size) nogil


cdef void* map_zeroed(size_t size) noexcept nogil:
    """`size` zeroed bytes; give them back with `unmap` and the same size."""
    return fastdht_map(size)


cdef void unmap(void* memory, size_t size) noexcept nogil:
    fastdht_unmap(memory, size)


cdef void make_ready(void* memory, size_t size) noexcept nogil:
    """Have the system provide these bytes now; what they hold stays. A hint: it may do nothing."""
    fastdht_make_ready(memory, size)
