"""What a socket is told once. Rate class: command.

Source: socket(7) on SO_RCVBUFFORCE, SO_RXQ_OVFL and SO_RCVTIMEO, ip(7) on IP_RECVERR, IP_PKTINFO and IP_MTU_DISCOVER,
sock_diag(7) on the words of SO_MEMINFO.
"""
import socket
import struct

from fastdht._ext cimport linux
from fastdht._ext.addresses cimport FAMILY_V6


cdef int size_buffer(sock, int forced, int asked, int size) except -1:
    """Ask for a kernel buffer of `size` bytes: beyond the system's limit where we may, else as much as it grants."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, asked, size)
    return 0


cdef int ask_reports(sock, uint16_t family, bint sees_local) except -1:
    """Turn on drop counts, ICMP reports and, when wanted, local addresses.

    Over IPv4 datagrams go out with Don't Fragment until a path was too narrow for one: the kernel need not choose an
    identification for each, which costs it a fortieth of all it does. Over IPv6 nobody but the sender cuts.
    """
    sock.setsockopt(socket.SOL_SOCKET, linux.SO_RXQ_OVFL, 1)
    if family == FAMILY_V6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, linux.IPV6_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, linux.IPV6_RECVPKTINFO, sees_local)
        sock.setsockopt(socket.IPPROTO_IPV6, linux.IPV6_MTU_DISCOVER, linux.IP_PMTUDISC_DONT)
    else:
        sock.setsockopt(socket.IPPROTO_IP, linux.IP_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IP, linux.IP_PKTINFO, sees_local)
        sock.setsockopt(socket.IPPROTO_IP, linux.IP_MTU_DISCOVER, linux.IP_PMTUDISC_PROBE)
    return 0


cdef uint32_t read_drops(sock) except? 0:
    """The kernel's count of datagrams it dropped for this socket, modulo 2^32, or 0 where it cannot say."""
    try:
        words = memoryview(sock.getsockopt(socket.SOL_SOCKET, linux.SO_MEMINFO, 4 * (MEMINFO_DROPS + 1))).cast("I")
        return words[MEMINFO_DROPS]
    except OSError:         # before Linux 4.12: the count then comes with the next datagram
        return 0


cdef int set_patience(sock, int64_t wait_us) except -1:
    """Have receiving wait so long unless it is told not to; the kernel counts in its own ticks of 1 to 10 ms."""
    sock.setblocking(True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", wait_us // 1000000, wait_us % 1000000))
    return 0
