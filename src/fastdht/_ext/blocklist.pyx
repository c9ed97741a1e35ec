"""Address ranges, sorted and disjoint, behind an index of their upper bits. Rate class: packet (holds), command (rest).

A look-up reads two neighbouring cells of the index and searches the ranges between them: with 300,000 IPv4 ranges those
are five on average. IPv4 ranges are cut at the borders of /16s, so that four bytes hold one and a cache line holds most
buckets; the search has no branch that depends on the address, which no processor foresees. IPv6 ranges share few leading
bits with all addresses but many with each other, so their index spans only what lies between first and last of them.
"""
from libc.stdlib cimport calloc, free


cdef class AddressRanges:
    """Ranges of addresses as pairs of integers, both ends included, in any order; those that overlap or touch are one.

    Raises ValueError for a pair that ends before it begins or exceeds 32 or 128 bits.
    """

    def __cinit__(self, v4=(), v6=()):
        self.store_v4(merge(v4, 32))
        self.store_v6(merge(v6, 128))

    def __dealloc__(self):
        free(self.v4)
        free(self.v6)
        free(self.index_v4)
        free(self.index_v6)

    cdef int store_v4(self, list ranges) except -1:
        cdef uint64_t first, last, end
        cdef uint32_t used = 0
        cdef size_t room = len(ranges) + INDEX_SIZE     # at most one cut for each border
        self.count_v4 = <uint32_t>len(ranges)
        self.v4 = <uint32_t*>calloc(room, sizeof(uint32_t))
        self.index_v4 = <uint32_t*>calloc(INDEX_SIZE, sizeof(uint32_t))
        if self.v4 == NULL or self.index_v4 == NULL:
            raise MemoryError(f"no memory for {room} ranges")
        for pair in ranges:
            first, last = pair
            while first <= last:
                end = min(last, first | 0xFFFF)
                self.v4[used] = <uint32_t>(((first & 0xFFFF) << 16) | (end & 0xFFFF))
                self.index_v4[(first >> 16) + 1] += 1
                used += 1
                first = end + 1
        add_up(self.index_v4)
        return 0

    cdef int store_v6(self, list ranges) except -1:
        cdef uint32_t i
        self.count_v6 = <uint32_t>len(ranges)
        if not ranges:
            return 0
        self.v6 = <RangeV6*>calloc(self.count_v6, sizeof(RangeV6))
        self.index_v6 = <uint32_t*>calloc(INDEX_SIZE, sizeof(uint32_t))
        if self.v6 == NULL or self.index_v6 == NULL:
            raise MemoryError(f"no memory for {self.count_v6} ranges")
        self.base_v6 = ranges[0][0] >> 64
        self.top_v6 = ranges[self.count_v6 - 1][1] >> 64
        while (self.top_v6 - self.base_v6) >> self.shift_v6 >= INDEX_SIZE - 1:
            self.shift_v6 += 1
        for i in range(self.count_v6):
            first, last = ranges[i]
            self.v6[i].first_high, self.v6[i].first_low = first >> 64, first & 0xFFFFFFFFFFFFFFFF
            self.v6[i].last_high, self.v6[i].last_low = last >> 64, last & 0xFFFFFFFFFFFFFFFF
            self.index_v6[((self.v6[i].first_high - self.base_v6) >> self.shift_v6) + 1] += 1
        add_up(self.index_v6)
        return 0

    cdef bint holds_v4(self, uint32_t ip) noexcept nogil:  # R0
        cdef const uint32_t* part = &self.v4[self.index_v4[ip >> 16]]
        cdef uint32_t left = self.index_v4[(ip >> 16) + 1] - self.index_v4[ip >> 16]
        cdef uint32_t wanted = (ip << 16) | 0xFFFF      # no part that begins at or below ip is greater
        cdef uint32_t half
        if left == 0:
            return False
        while left > 1:                 # the last part that begins at or below ip, if any does
            half = left >> 1
            part += half * (part[half] <= wanted)
            left -= half
        return part[0] <= wanted and (ip & 0xFFFF) <= (part[0] & 0xFFFF)

    cdef bint holds_v6(self, uint64_t high, uint64_t low) noexcept nogil:  # R0
        cdef uint64_t bucket
        cdef uint32_t begin, end, middle
        cdef const RangeV6* found
        if self.count_v6 == 0 or high < self.base_v6 or high > self.top_v6:
            return False
        bucket = (high - self.base_v6) >> self.shift_v6
        begin = self.index_v6[bucket]
        end = self.index_v6[bucket + 1]
        while begin < end:
            middle = (begin + end) >> 1
            found = &self.v6[middle]
            if found.first_high < high or (found.first_high == high and found.first_low <= low):
                begin = middle + 1
            else:
                end = middle
        if begin == 0:
            return False
        found = &self.v6[begin - 1]
        return high < found.last_high or (high == found.last_high and low <= found.last_low)

    def holds(self, packed: bytes) -> bool:
        """Whether an address of 4 or 16 bytes lies in a range; raises ValueError for another size."""
        if len(packed) == 4:
            return self.holds_v4(int.from_bytes(packed, "big"))
        if len(packed) == 16:
            return self.holds_v6(int.from_bytes(packed[:8], "big"), int.from_bytes(packed[8:], "big"))
        raise ValueError(f"address is {len(packed)} bytes; 4 (IPv4) or 16 (IPv6)")

    def look_up_all(self, packed: bytes) -> int:
        """How many of the IPv4 addresses, 4 bytes each back to back, lie in a range; for measurements."""
        cdef const unsigned char* at = packed
        cdef uint32_t i, count = 0
        for i in range(<uint32_t>len(packed) // 4):
            count += self.holds_v4((<uint32_t>at[0] << 24) | (<uint32_t>at[1] << 16) | (<uint32_t>at[2] << 8) | at[3])
            at += 4
        return count


cdef void add_up(uint32_t* index) noexcept:
    """Turn counts into positions."""
    cdef uint32_t i
    for i in range(1, <uint32_t>INDEX_SIZE):
        index[i] += index[i - 1]


cdef list merge(ranges, object bits):     # not a C integer: 1 << 128 must not overflow
    """Sorted and disjoint, no two of them adjacent."""
    limit = 1 << bits
    merged = []
    begin, end = 0, -1
    for first, last in sorted(ranges):
        if not 0 <= first <= last < limit:
            raise ValueError(f"range {first:#x} to {last:#x}; it must not end before it begins, nor exceed {bits} bits")
        if first > end + 1 or end < 0:
            if end >= 0:
                merged.append((begin, end))
            begin, end = first, last
        elif last > end:
            end = last
    if end >= 0:
        merged.append((begin, end))
    return merged
