"""Arguments of recvmmsg and sendmmsg, to and from Endpoints. Rate class: packet.

Invariant: what the kernel overwrites (the lengths of name and controls) is set anew before each call; the rest is laid
out once. Source: recvmmsg(2), cmsg(3), ip(7) and ipv6(7) on the packet information messages.
"""
from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport calloc
from libc.string cimport memset

from fastdht._ext cimport linux
from fastdht._ext.addresses cimport FAMILY_V4, FAMILY_V6, read_be32, read_be64, write_be32, write_be64
from fastdht._ext.linux cimport in6_pktinfo, in_pktinfo, sockaddr_in


cdef Batch* make_batch() except NULL:
    cdef int i
    cdef Batch* batch = <Batch*>calloc(1, sizeof(Batch))
    if batch is NULL:
        raise MemoryError(f"batch of {BATCH} datagrams")
    for i in range(BATCH):
        batch.headers[i].msg_hdr.msg_name = &batch.names[i]
        batch.headers[i].msg_hdr.msg_iov = &batch.parts[i]
        batch.headers[i].msg_hdr.msg_iovlen = 1
        batch.headers[i].msg_hdr.msg_control = batch.controls[i]
    return batch


cdef void read_datagram(Batch* batch, int index, Incoming* slot) noexcept nogil:  # R0
    read_name(&batch.names[index], &slot.source)
    slot.data = <const uint8_t*>batch.parts[index].iov_base
    slot.size = batch.headers[index].msg_len
    slot.is_truncated = (batch.headers[index].msg_hdr.msg_flags & linux.MSG_TRUNC) != 0


cdef uint32_t write_name(const Endpoint* target, sockaddr_in6* name) noexcept nogil:  # R0
    """Returns the size of the name; the fields left alone are zero since the batch was made."""
    cdef sockaddr_in* name4 = <sockaddr_in*>name
    cdef uint8_t* port = <uint8_t*>&name4.sin_port      # at the same place in both
    port[0] = <uint8_t>(target.port >> 8)
    port[1] = <uint8_t>target.port
    if target.family == FAMILY_V4:
        name4.sin_family = <uint16_t>linux.AF_INET
        write_be32(<uint8_t*>&name4.sin_addr, <uint32_t>target.low)
        return sizeof(sockaddr_in)
    name.sin6_family = <uint16_t>linux.AF_INET6
    write_be64(name.sin6_addr.s6_addr, target.high)
    write_be64(name.sin6_addr.s6_addr + 8, target.low)
    return sizeof(sockaddr_in6)


cdef size_t write_local(const Endpoint* local, uint64_t* controls) noexcept nogil:  # R0
    """Write the control message that chooses the source address; returns its size. The interface index stays 0."""
    cdef cmsghdr* control = <cmsghdr*>controls
    cdef uint8_t* address
    if local.family == FAMILY_V4:
        control.cmsg_level = linux.IPPROTO_IP
        control.cmsg_type = linux.IP_PKTINFO
        control.cmsg_len = linux.CMSG_LEN(sizeof(in_pktinfo))
        write_be32(<uint8_t*>&(<in_pktinfo*>linux.CMSG_DATA(control)).ipi_spec_dst, <uint32_t>local.low)
        return linux.CMSG_SPACE(sizeof(in_pktinfo))
    control.cmsg_level = linux.IPPROTO_IPV6
    control.cmsg_type = linux.IPV6_PKTINFO
    control.cmsg_len = linux.CMSG_LEN(sizeof(in6_pktinfo))
    address = (<in6_pktinfo*>linux.CMSG_DATA(control)).ipi6_addr.s6_addr
    write_be64(address, local.high)
    write_be64(address + 8, local.low)
    return linux.CMSG_SPACE(sizeof(in6_pktinfo))


cdef void read_local(cmsghdr* control, Endpoint* out) noexcept nogil:  # R0
    """Take the local address from an IP_PKTINFO or IPV6_PKTINFO message; leave `out` alone for any other."""
    if control.cmsg_level == linux.IPPROTO_IP and control.cmsg_type == linux.IP_PKTINFO:
        memset(out, 0, sizeof(Endpoint))
        out.low = read_be32(<const uint8_t*>&(<in_pktinfo*>linux.CMSG_DATA(control)).ipi_addr)
        out.family = FAMILY_V4
    elif control.cmsg_level == linux.IPPROTO_IPV6 and control.cmsg_type == linux.IPV6_PKTINFO:
        memset(out, 0, sizeof(Endpoint))
        read_address_v6((<in6_pktinfo*>linux.CMSG_DATA(control)).ipi6_addr.s6_addr, out)


cdef void read_name(const sockaddr_in6* name, Endpoint* out) noexcept nogil:  # R0
    cdef const uint8_t* port
    cdef const sockaddr_in* name4 = <const sockaddr_in*>name
    out.high = 0
    if name4.sin_family == linux.AF_INET:
        out.low = read_be32(<const uint8_t*>&name4.sin_addr)
        out.family = FAMILY_V4
        port = <const uint8_t*>&name4.sin_port
    else:
        read_address_v6(name.sin6_addr.s6_addr, out)
        port = <const uint8_t*>&name.sin6_port
    out.port = <uint16_t>((<uint32_t>port[0] << 8) | port[1])
    out.spare = 0


cdef void read_address_v6(const uint8_t* address, Endpoint* out) noexcept nogil:  # R0
    out.high = read_be64(address)
    out.low = read_be64(address + 8)
    out.family = FAMILY_V6
    if out.high == 0 and out.low >> 32 == 0xFFFF:       # ::ffff:a.b.c.d is an IPv4 host
        out.low &= <uint64_t>0xFFFFFFFF
        out.family = FAMILY_V4
