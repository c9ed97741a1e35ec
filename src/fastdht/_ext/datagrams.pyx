"""Between asyncio's datagrams and the boxes: the compiled part of the portable path. Rate class: packet.

Not R0: asyncio hands over objects, so each datagram costs a bytes, a str and a tuple. What can be saved is the Python
between them, which was half of the path. Invariant: every address of the loop's is taken, or its datagram refused.
"""
import errno
import socket

from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from fastdht._ext.addresses cimport FAMILY_V4, FAMILY_V6, Endpoint, load_compact
from fastdht._ext.endpoints cimport host_text
from fastdht._ext.packets cimport INBOX_DATAGRAM, Inbox, Incoming, Outbox, Outgoing


def receive_all(Inbox inbox not None, arrived) -> int:
    """Fill the inbox anew from the left of a deque of (data, (host, port, …)); returns how many bytes it took.

    Raises OSError for a host that is no address, which no socket reports.
    """
    cdef Incoming* slot
    cdef bytes data
    cdef tuple source
    cdef size_t size, total = 0
    inbox.count = 0
    while arrived and inbox.count < inbox.capacity:
        data, source = arrived.popleft()
        slot = &inbox.datagrams[inbox.count]
        read_host(source[0], &slot.source)
        slot.source.port = source[1]
        size = len(data)
        total += size
        slot.is_truncated = size > INBOX_DATAGRAM
        slot.size = <uint32_t>min(size, <size_t>INBOX_DATAGRAM)
        slot.data = inbox.buffer_at(inbox.count)
        memcpy(<void*>slot.data, <const uint8_t*>data, slot.size)
        inbox.count += 1
    return total


def send_some(Outbox outbox not None, sendto, ipv6: bool, limit: int) -> tuple:
    """Hand up to `limit` of the oldest datagrams to `sendto(data, (host, port))`: (how many, bytes, errors).

    A target that asyncio would choke on, of port 0 or of the other family, never reaches it; that, and whatever
    `sendto` raises, is in the list of errors. Such a datagram leaves the outbox like one that was sent.
    """
    cdef uint16_t family = FAMILY_V6 if ipv6 else FAMILY_V4
    cdef Outgoing* slot
    cdef size_t total = 0
    cdef int tried, sent = 0
    errors = []
    for tried in range(min(limit, <int>outbox.count)):
        slot = outbox.peek(0)
        data = slot.data[:slot.size]
        outbox.drop_oldest(1)
        if slot.target.port == 0 or slot.target.family != family or not data:
            errors.append(OSError(errno.EINVAL, "not a target of this socket"))
            continue
        try:
            sendto(data, (host_text(&slot.target), slot.target.port))
        except Exception as error:      # whatever a loop raises here, it was about this datagram
            errors.append(error)
        else:
            sent += 1
            total += len(data)
    return sent, total, errors


cdef int read_host(str host, Endpoint* out) except -1:
    """Read an address: dotted quads here, the rest, with or without a zone, by the system."""
    cdef Py_ssize_t size, i
    cdef const char* text = PyUnicode_AsUTF8AndSize(host, &size)
    cdef uint32_t part = 0, address = 0
    for i in range(size):
        if text[i] == c'.':
            address = (address << 8) | part
            part = 0
        elif c'0' <= text[i] <= c'9':
            part = part * 10 + <uint32_t>(text[i] - c'0')
        else:
            return load_compact(socket.inet_pton(socket.AF_INET6, host.partition("%")[0]) + b"\0\0", out)
    out.high = 0
    out.low = (address << 8) | part
    out.family = FAMILY_V4
    out.spare = 0
    return 0
