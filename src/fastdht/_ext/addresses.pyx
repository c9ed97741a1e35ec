"""Compact endpoints and the bogon filter. Rate class: packet (the filter), command (the rest).

Invariant: an address is contactable when it is public, or inside a range the caller allowed, it is not on the block
list, and its port is not 0.
Nothing is exempted in code: tests on loopback pass `127.0.0.0/8` like any user would.
Source: IANA special-purpose address registries; BEP 5 and BEP 32 (compact forms).
"""
import ipaddress


cdef class AddressFilter:
    """Decides which addresses count as public: all but the special ranges, plus the `allowed` CIDR ranges; never those
    `blocked`.

    Raises ValueError for a malformed range or more than 16 of them.
    """

    def __init__(self, allowed=(), AddressRanges blocked=None):
        ranges = [ipaddress.ip_network(text, strict=False) for text in allowed]
        if len(ranges) > MAX_ALLOWED_NETS:
            raise ValueError(f"{len(ranges)} allowed ranges; at most {MAX_ALLOWED_NETS}")
        for i, network in enumerate(ranges):
            fill_net(&self.allowed[i], network)
        self.allowed_count = len(ranges)
        self.blocked = blocked
        self.has_blocked = blocked is not None

    cdef bint is_public(self, const Endpoint* endpoint) noexcept nogil:  # R0
        cdef int i
        cdef const Net* net
        if self.is_blocked(endpoint):
            return False
        if not is_special_address(endpoint):
            return True
        for i in range(self.allowed_count):
            net = &self.allowed[i]
            if (net.family == endpoint.family and (endpoint.high & net.mask_high) == net.high
                    and (endpoint.low & net.mask_low) == net.low):
                return True
        return False

    cdef bint is_blocked(self, const Endpoint* endpoint) noexcept nogil:  # R0
        if not self.has_blocked:
            return False
        if endpoint.family == FAMILY_V4:
            return self.blocked.holds_v4(<uint32_t>endpoint.low)
        return self.blocked.holds_v6(endpoint.high, endpoint.low)

    cdef bint is_contactable(self, const Endpoint* endpoint) noexcept nogil:  # R0
        return endpoint.port != 0 and self.is_public(endpoint)

    def allows(self, packed: bytes) -> bool:
        """Whether a compact endpoint (6 or 18 bytes) may be contacted."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        return self.is_contactable(&endpoint)


cdef int fill_net(Net* net, network) except -1:
    cdef object address = int(network.network_address)
    cdef object mask = int(network.netmask)
    net.family = FAMILY_V4 if network.version == 4 else FAMILY_V6
    net.high = address >> 64
    net.low = address & 0xFFFFFFFFFFFFFFFF
    net.mask_high = mask >> 64
    net.mask_low = mask & 0xFFFFFFFFFFFFFFFF
    return 0


cdef bint is_special_v4(uint32_t ip) noexcept nogil:  # R0
    cdef uint32_t first = ip >> 24
    if first >= 224 or first == 0 or first == 10 or first == 127:
        return True
    if first == 100:
        return (ip >> 22) == (100 << 2 | 1)                     # 100.64/10, carrier NAT
    if first == 169:
        return (ip >> 16) == (169 << 8 | 254)
    if first == 172:
        return (ip >> 20) == (172 << 4 | 1)
    if first == 192:
        return ((ip >> 16) == (192 << 8 | 168) or (ip >> 8) == 0xC00000 or (ip >> 8) == 0xC00002
                or (ip >> 8) == 0xC05863)                       # 192.0.0/24, 192.0.2/24, 192.88.99/24
    if first == 198:
        return (ip >> 17) == (198 << 7 | 9) or (ip >> 8) == 0xC63364  # 198.18/15, 198.51.100/24
    return (ip >> 8) == 0xCB0071                                # 203.0.113/24


cdef bint is_special_v6(uint64_t high) noexcept nogil:  # R0
    if high >> 61 != 1:
        return True                                             # only 2000::/3 is global unicast
    if high >> 41 == (<uint64_t>0x20010000 >> 9):
        return True                                             # 2001::/23: Teredo, ORCHID, benchmarks
    return high >> 32 == 0x20010DB8 or high >> 44 == 0x3FFF0 or high >> 48 == 0x2002


cdef bint is_special_address(const Endpoint* endpoint) noexcept nogil:  # R0
    """Whether the address lies in a range that no node of the public network can have."""
    if endpoint.family == FAMILY_V4:
        return is_special_v4(<uint32_t>endpoint.low)
    return is_special_v6(endpoint.high)


cdef int load_compact(bytes packed, Endpoint* out) except -1:
    cdef Py_ssize_t size = len(packed)
    if size != COMPACT_V4 and size != COMPACT_V6:
        raise ValueError(f"compact endpoint is {size} bytes; 6 (IPv4) or 18 (IPv6)")
    read_compact(packed, FAMILY_V4 if size == COMPACT_V4 else FAMILY_V6, out)
    return 0


cdef bytes dump_compact(const Endpoint* endpoint):
    cdef uint8_t packed[COMPACT_V6]
    cdef uint32_t size = write_compact(endpoint, packed)
    return packed[:size]
