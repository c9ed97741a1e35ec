"""Large zeroed arrays that are touched at random: whole huge pages where the system has them. Rate class: command."""


cdef void* map_zeroed(size_t size) noexcept nogil       # NULL when memory is short
cdef void unmap(void* memory, size_t size) noexcept nogil
cdef void make_ready(void* memory, size_t size) noexcept nogil
