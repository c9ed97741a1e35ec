"""Puts that have passed every cheap check and wait for Python to verify their signature. Rate class: packet; batch
where they are taken.

Theory of operation. A place is FREE; `park` makes it WAITING, with a copy of all that the answer will need; `take`
hands it out in order of arrival and makes it TAKEN; `release` frees it. A handle is place and generation, so that one
kept too long finds nothing.
Bound: `max_parked` places. What finds none is dropped, not what waits: a put has no claim over an earlier one. A source
has at most its share of them, a subnet likewise, so that nobody fills the ring. Taking is metered: a verification costs
more than everything else that a datagram causes. Source: BEP 44; who may wait is decided in storage.pyx.
"""
from libc.stdlib cimport calloc, free

from fastdht._ext.items_slab cimport require, source_of


cdef class ParkedPuts:
    """Holds `max_parked` puts (1 to 4,096), of these `parked_per_ip` and `parked_per_subnet` of one source.

    Hands out `verifications_per_s`, after a pause all at once. Raises ValueError for a number below 1.
    """

    def __cinit__(self, *, max_parked: int = 64, parked_per_ip: int = 8, parked_per_subnet: int = 16,
                  verifications_per_s: float = 200):
        for name, value, most in (("max_parked", max_parked, MAX_PARKED), ("parked_per_ip", parked_per_ip, 1 << 30),
                                  ("parked_per_subnet", parked_per_subnet, 1 << 30),
                                  ("verifications_per_s", verifications_per_s, 1 << 30)):
            if not 1 <= value <= most:
                raise ValueError(f"{name} is {value}; 1 to {most}")
        self.capacity, self.per_ip, self.per_subnet = max_parked, parked_per_ip, parked_per_subnet
        self.interval_us = int(1_000_000 / verifications_per_s)
        self.tolerance_us = (max_parked - 1) * self.interval_us
        self.untouched_place = 1
        self.puts = <ParkedPut*>calloc(max_parked + 1, sizeof(ParkedPut))
        self.holders = <uint64_t*>calloc(max_parked + 1, sizeof(uint64_t))
        self.waiting = <uint32_t*>calloc(max_parked, sizeof(uint32_t))
        if self.puts == NULL or self.holders == NULL or self.waiting == NULL:
            raise MemoryError(f"no memory for {max_parked} parked puts")

    def __dealloc__(self):
        free(self.puts)
        free(self.holders)
        free(self.waiting)

    cdef ParkedPut* reserve(self, const Endpoint* source) noexcept nogil:  # R0
        """A free place for a put of this source, to be filled and then parked; NULL when there is none for it."""
        cdef uint32_t place = self.free_place
        if self.count == self.capacity or not self.has_share_left(source_of(source)):
            return NULL
        return &self.puts[place if place else self.untouched_place]

    cdef bint has_share_left(self, uint64_t source) noexcept nogil:  # R0
        cdef uint32_t i, of_source = 0, of_subnet = 0
        for i in range(1, self.untouched_place):
            of_source += self.holders[i] == source
            of_subnet += self.holders[i] >> 8 == source >> 8
        return of_source < self.per_ip and of_subnet < self.per_subnet

    cdef void park(self, ParkedPut* put) noexcept nogil:  # R0
        """Queue the put that was filled into a reserved place."""
        cdef uint32_t place = <uint32_t>(put - self.puts)
        if place == self.free_place:
            self.free_place = put.next
        else:
            self.untouched_place += 1
        put.stage = STAGE_WAITING
        put.generation += 1
        self.holders[place] = source_of(&put.source)
        self.waiting[(self.first_waiting + self.waiting_count) % self.capacity] = place
        self.waiting_count += 1
        self.count += 1

    cdef uint64_t take(self, int64_t now_us) noexcept nogil:  # R0
        """The handle of the put that waits longest, or NO_PLACE when none waits or the meter is full."""
        cdef uint32_t place
        if self.waiting_count == 0 or self.meter_us - now_us > self.tolerance_us:
            return NO_PLACE
        self.meter_us = max(self.meter_us, now_us) + self.interval_us
        place = self.waiting[self.first_waiting]
        self.first_waiting = (self.first_waiting + 1) % self.capacity
        self.waiting_count -= 1
        self.puts[place].stage = STAGE_TAKEN
        return (<uint64_t>self.puts[place].generation << 16) | place

    cdef ParkedPut* find(self, uint64_t handle) noexcept nogil:  # R0
        cdef uint32_t place = <uint32_t>(handle & 0xFFFF)
        if not 1 <= place < self.untouched_place:
            return NULL
        if self.puts[place].stage != STAGE_TAKEN or self.puts[place].generation != handle >> 16:
            return NULL
        return &self.puts[place]

    cdef void release(self, ParkedPut* put) noexcept nogil:  # R0
        cdef uint32_t place = <uint32_t>(put - self.puts)
        put.stage = STAGE_FREE
        put.next = self.free_place
        self.free_place = place
        self.holders[place] = nobody()
        self.count -= 1

    cdef int64_t next_due(self, int64_t now_us) noexcept nogil:  # R0
        """When the next put may be taken, or -1 when none waits."""
        return max(now_us, self.meter_us - self.tolerance_us) if self.waiting_count else -1

    def check_invariants(self) -> None:
        """Raise AssertionError where the ring contradicts itself."""
        cdef uint32_t place, taken = 0, waiting = 0
        for place in range(1, self.untouched_place):
            taken += self.puts[place].stage == STAGE_TAKEN
            waiting += self.puts[place].stage == STAGE_WAITING
            require((self.puts[place].stage == STAGE_FREE) == (self.holders[place] == nobody()), f"place {place}: who holds it?")
        require(waiting == self.waiting_count, f"{waiting} puts wait, not {self.waiting_count}")
        require(waiting + taken == self.count <= self.capacity, f"{waiting + taken} puts are parked, not {self.count}")


cdef inline uint64_t nobody() noexcept nogil:
    return <uint64_t>0xFFFFFFFFFFFFFFFF     # a multicast prefix, which never sends; 0 is the /64 of ::1
