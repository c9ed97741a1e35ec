"""Bloom filters over addresses, and how many they hold. Rate class: packet (bits), lookup (estimates).

2,048 bits, two for each address, from SHA-1 over its 4 or 16 bytes in network order; ports do not count. The estimate
is BEP 33's; it omits two guards that are here: an empty filter holds 0 (not 0.5), one without zero bits is saturated.
The interval: n addresses are 2n independent throws into m bits, of which U stay zero with
E(U) = m q1, Var(U) = m q1 + m(m-1) q2 - (m q1)^2, where q1 = (1-1/m)^2n and q2 = (1-2/m)^2n. It holds every n whose
E(U) lies within 1.96 deviations and half a bit of what is seen. A union is the filter of all addresses together,
whichever nodes named them, so its interval is the same function.
Source: BEP 33; K. Whang and others, "A linear-time probabilistic counting algorithm" (1990).
"""
from dataclasses import dataclass

from libc.math cimport HUGE_VAL, ceil, exp, floor, log, log1p, sqrt
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy, memset

from fastdht._ext.sha1 cimport SHA1_SIZE, sha1

cdef enum:
    HALVINGS = 60               # bisection from MOST down to far below one address

cdef double MOST = 1 << 20      # addresses; 7,806 leave one zero bit on average
cdef double DEVIATIONS = 1.96   # 95 % of a normal distribution
cdef double HALF_BIT = 0.5      # U is a whole number: the usual correction for continuity


@dataclass(frozen=True)
class Estimate:
    """How many addresses a filter holds: `count`, and from `low` to `high` with 95 % confidence (whole numbers).

    Saturated, without a zero bit, it holds at least `low`; `count` is then the most a filter can tell, 7,806, and `high`
    infinite. Source: BEP 33.
    """

    count: float
    low: float
    high: float
    is_saturated: bool


cdef FilterBits filter_bits(const uint8_t* ip, uint32_t ip_size) noexcept nogil:  # R0
    """The bits of an address of 4 or 16 bytes."""
    cdef uint8_t digest[SHA1_SIZE]
    cdef FilterBits bits
    sha1(ip, ip_size, digest)
    bits.first = (digest[0] | (<uint16_t>digest[1] << 8)) & (FILTER_BITS - 1)
    bits.second = (digest[2] | (<uint16_t>digest[3] << 8)) & (FILTER_BITS - 1)
    return bits


cdef void set_bits(uint8_t* data, FilterBits bits) noexcept nogil:  # R0
    data[bits.first >> 3] |= <uint8_t>(1 << (bits.first & 7))
    data[bits.second >> 3] |= <uint8_t>(1 << (bits.second & 7))


cdef void merge_filter(uint8_t* data, const uint8_t* other) noexcept nogil:  # R0
    cdef uint32_t i
    for i in range(<uint32_t>FILTER_SIZE):
        data[i] |= other[i]


cdef uint32_t count_zeros(const uint8_t* data) noexcept nogil:  # R0
    cdef uint64_t word
    cdef uint32_t i, ones = 0
    for i in range(<uint32_t>FILTER_SIZE // 8):
        memcpy(&word, data + 8 * i, 8)
        while word:
            word &= word - 1
            ones += 1
    return FILTER_BITS - ones


cdef double expected_zeros(double addresses, double side) noexcept nogil:  # R0
    """The zero bits that so many addresses leave on average, and `side` deviations more."""
    cdef double m = FILTER_BITS
    cdef double q1 = exp(2 * addresses * log1p(-1 / m))
    cdef double q2 = exp(2 * addresses * log1p(-2 / m))
    cdef double variance = m * q1 + m * (m - 1) * q2 - m * m * q1 * q1
    return m * q1 + side * sqrt(max(variance, 0))


cdef double addresses_leaving(double zeros, double side) noexcept nogil:  # R0
    """The number of addresses at which expected_zeros falls to `zeros`; it falls all the way."""
    cdef double low = 0, high = MOST, middle
    cdef int i
    for i in range(HALVINGS):
        middle = (low + high) / 2
        if expected_zeros(middle, side) > zeros:
            low = middle
        else:
            high = middle
    return (low + high) / 2


cdef double estimate_of(double zeros) noexcept nogil:  # R0
    cdef double m = FILTER_BITS
    return log(zeros / m) / (2 * log1p(-1 / m))


def estimate_zeros(zeros: int) -> Estimate:
    """The estimate from the zero bits of a filter, 0 to 2048; raises ValueError for another number."""
    cdef double count
    if not 0 <= zeros <= FILTER_BITS:
        raise ValueError(f"zeros is {zeros}; 0 to {FILTER_BITS}")
    if zeros == FILTER_BITS:
        return Estimate(0.0, 0.0, 0.0, False)
    low = ceil(addresses_leaving(zeros + HALF_BIT, -DEVIATIONS))
    if zeros == 0:
        return Estimate(estimate_of(1), low, HUGE_VAL, True)
    count = estimate_of(zeros)
    high = floor(addresses_leaving(zeros - HALF_BIT, DEVIATIONS))
    return Estimate(count, min(low, floor(count)), max(high, floor(count + HALF_BIT)), False)


cdef class Filter:
    """A set of addresses in 256 bytes: `data` as `BFsd` or `BFpe` hold them, or empty.

    Raises ValueError for data of another size.
    """

    def __init__(self, data: bytes | None = None):
        if data is None:
            memset(self.data, 0, FILTER_SIZE)
            return
        if len(data) != FILTER_SIZE:
            raise ValueError(f"data is {len(data)} bytes; {FILTER_SIZE} needed")
        memcpy(self.data, <const uint8_t*>data, FILTER_SIZE)

    def add(self, ip_packed: bytes) -> None:
        """Add an address of 4 or 16 bytes, an IPv4-mapped one as its last four; raises ValueError for another size."""
        if len(ip_packed) == 16 and ip_packed[:12] == b"\0" * 10 + b"\xff\xff":
            ip_packed = ip_packed[12:]
        if len(ip_packed) not in (4, 16):
            raise ValueError(f"ip_packed is {len(ip_packed)} bytes; 4 (IPv4) or 16 (IPv6)")
        set_bits(self.data, filter_bits(ip_packed, <uint32_t>len(ip_packed)))

    def union(self, Filter other not None) -> Filter:
        """The filter of all addresses that are in this one or in the other; neither changes."""
        cdef Filter both = Filter(bytes(self))
        merge_filter(both.data, other.data)
        return both

    def estimate(self) -> Estimate:
        """How many addresses it holds (BEP 33)."""
        return estimate_zeros(count_zeros(self.data))

    def __bytes__(self) -> bytes:
        return self.data[:FILTER_SIZE]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Filter):
            return NotImplemented
        return memcmp(self.data, (<Filter>other).data, FILTER_SIZE) == 0

    __hash__ = None     # it changes
