"""Arguments of recvmmsg and sendmmsg, to and from Endpoints. Rate class: packet."""
from libc.stdint cimport uint32_t, uint64_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.linux cimport cmsghdr, iovec, mmsghdr, sockaddr_in6
from fastdht._ext.packets cimport Incoming


cdef enum:
    BATCH = 64                  # datagrams per system call; larger gains nothing measurable
    CONTROL_WORDS = 24          # room for a drop count, a local address and an ICMP report beside each datagram


cdef struct Batch:              # one call's arguments
    mmsghdr headers[BATCH]
    iovec parts[BATCH]
    sockaddr_in6 names[BATCH]   # large enough for a sockaddr_in
    uint64_t controls[BATCH][CONTROL_WORDS]


cdef Batch* make_batch() except NULL
cdef void read_datagram(Batch* batch, int index, Incoming* slot) noexcept nogil
cdef void read_local(cmsghdr* control, Endpoint* out) noexcept nogil
cdef uint32_t write_name(const Endpoint* target, sockaddr_in6* name) noexcept nogil
cdef size_t write_local(const Endpoint* local, uint64_t* controls) noexcept nogil
