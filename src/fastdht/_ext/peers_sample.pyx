"""Which info-hashes are shown to whoever asks for a sample. Rate class: packet.

Up to 20 are all shown. Of more, 20 are drawn at random and stay the same for an interval, so that asking again before
its end tells nothing new; one that has expired meanwhile is replaced by another. The sample does not depend on the
target asked for, and shows info-hashes with peers only, no items. Source: BEP 51.
"""
from libc.string cimport memcmp, memcpy

from fastdht._ext.hashing cimport random_below, seed_rng
from fastdht._ext.ids cimport ID_SIZE

cdef enum:
    MAX_INTERVAL_S = 21600      # BEP 51
    TRIES = 8                   # to find an info-hash that is not yet in the sample

cdef int64_t SECOND_US = 1000000


cdef class InfoHashSample:
    """Samples `store`, drawn anew every `interval_s` (0 to 21,600) seconds; `seed` makes its choices repeatable.

    Raises ValueError for another interval.
    """

    def __cinit__(self, PeerStore store not None, interval_s: int, seed: int):
        if not 0 <= interval_s <= MAX_INTERVAL_S:
            raise ValueError(f"interval_s is {interval_s}; 0 to {MAX_INTERVAL_S} (BEP 51)")
        self.store = store
        self.interval_us = interval_s * SECOND_US
        seed_rng(&self.rng, seed)

    cdef uint32_t write(self, uint32_t limit, int64_t now_us, uint8_t* out) noexcept nogil:  # R0
        """Write up to `limit` info-hashes, back to back; returns how many."""
        cdef uint32_t i, count = 0
        if self.store.info_hash_count <= MAX_SAMPLES:
            self.count = 0
            return self.write_all(limit, now_us, out)
        if self.count == 0 or now_us - self.drawn_us >= self.interval_us:
            self.draw(now_us)
        for i in range(min(limit, self.count)):
            if self.store.is_alive(self.store.find_swarm(self.drawn[i]), now_us) or self.renew(i, now_us):
                memcpy(out + count * ID_SIZE, self.drawn[i], ID_SIZE)
                count += 1
        return count

    cdef int64_t seconds_left(self, int64_t now_us) noexcept nogil:  # R0
        """Until the sample changes, rounded up; with all shown, the whole interval."""
        if self.count == 0:
            return self.interval_us // SECOND_US
        return max(0, (self.drawn_us + self.interval_us - now_us + SECOND_US - 1) // SECOND_US)

    cdef uint32_t write_all(self, uint32_t limit, int64_t now_us, uint8_t* out) noexcept nogil:  # R0
        cdef uint32_t i, swarm, count = 0
        for i in range(self.store.info_hash_count):
            swarm = self.store.order[i]
            if count < limit and self.store.is_alive(swarm, now_us):
                memcpy(out + count * ID_SIZE, self.store.swarms[swarm].info_hash, ID_SIZE)
                count += 1
        return count

    cdef void draw(self, int64_t now_us) noexcept nogil:  # R0
        """Choose MAX_SAMPLES of more, each set as likely as any other (R. Floyd's way)."""
        cdef uint32_t size = self.store.info_hash_count
        cdef uint32_t last, swarm
        self.drawn_us = now_us
        self.count = 0
        for last in range(size - MAX_SAMPLES, size):
            swarm = self.store.order[random_below(&self.rng, last + 1)]
            if self.has_drawn(self.store.swarms[swarm].info_hash):
                swarm = self.store.order[last]
            memcpy(self.drawn[self.count], self.store.swarms[swarm].info_hash, ID_SIZE)
            self.count += 1

    cdef bint renew(self, uint32_t place, int64_t now_us) noexcept nogil:  # R0
        """Draw another for one that has gone; False when a few tries found none."""
        cdef uint32_t i, swarm
        for i in range(<uint32_t>TRIES):
            swarm = self.store.order[random_below(&self.rng, self.store.info_hash_count)]
            if self.store.is_alive(swarm, now_us) and not self.has_drawn(self.store.swarms[swarm].info_hash):
                memcpy(self.drawn[place], self.store.swarms[swarm].info_hash, ID_SIZE)
                return True
        return False

    cdef bint has_drawn(self, const uint8_t* info_hash) noexcept nogil:  # R0
        cdef uint32_t i
        for i in range(self.count):
            if memcmp(self.drawn[i], info_hash, ID_SIZE) == 0:
                return True
        return False

    def take(self, limit: int, now_us: int) -> tuple[int, list[bytes]]:
        """Seconds until the sample changes, and up to `limit` (at most 20) info-hashes of it."""
        cdef uint8_t out[MAX_SAMPLES * 20]
        cdef uint32_t count = self.write(min(limit, MAX_SAMPLES), now_us, out)
        return self.seconds_left(now_us), [out[i * ID_SIZE:(i + 1) * ID_SIZE] for i in range(count)]
