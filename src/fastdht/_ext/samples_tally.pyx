"""How often each infohash was sampled, for the estimate of how many there are. Rate class: batch.

A hash table of 16 bytes a place, keyed by 64 bits of the infohash, that doubles at load 0.7. Runs in the writer's
thread. What it sums up, and what that says, is in crawl/estimate.py. Nums far beyond the others' are doubted: the bound
comes from a histogram that a block enters before its samples are counted, so that the first block has one too.
"""
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint32_t, uint64_t
from libc.math cimport log2
from libc.stdlib cimport calloc, free

from fastdht._ext.addresses cimport read_be64
from fastdht._ext.hashing cimport HashKey, mix_words
from fastdht._ext.samples cimport SampleRow

cdef enum:
    FIRST_SIZE = 1 << 12
    BINS_PER_OCTAVE = 8
    NUM_BINS = 256              # of MAX_NUM = 2^20 the 161 first
    FEW_ANSWERS = 64            # too few to say what is usual
    REACH = 6                   # how often the way from the median to the upper quartile a num may be above the median
    LEAST_STEP = 4              # bins of that way at least: where all nodes store alike, eight times as much is doubted


cdef struct Sighting:
    uint64_t mark               # of the infohash; 0: free
    uint32_t count              # nodes that showed it
    float weight                # sum of num / samples over them: one over the chance that each had to show it


cdef class SampleTally:
    """Counts sightings of infohashes; one sweep each, for a node must not show an infohash twice. Raises MemoryError."""
    cdef Sighting* places
    cdef uint64_t size
    cdef uint64_t distinct
    cdef uint64_t sightings
    cdef uint64_t answers
    cdef uint64_t bin_counts[NUM_BINS]      # answers by their num
    cdef uint64_t bin_sums[NUM_BINS]        # of the nums
    cdef HashKey key

    def __cinit__(self, seed: int = 0):
        self.key.k0 = seed & 0xFFFFFFFFFFFFFFFF
        self.key.k1 = 0x5A3D1E0FB7C96842
        self.size = FIRST_SIZE
        self.places = <Sighting*>calloc(self.size, sizeof(Sighting))
        if self.places == NULL:
            raise MemoryError("no memory for a tally of samples")

    def __dealloc__(self):
        free(self.places)

    cdef Sighting* find(self, uint64_t mark) noexcept nogil:
        cdef uint64_t at = mark & (self.size - 1)
        while self.places[at].mark != 0 and self.places[at].mark != mark:
            at = (at + 1) & (self.size - 1)
        return &self.places[at]

    cdef int grow(self) except -1 nogil:
        cdef Sighting* old = self.places
        cdef uint64_t i, old_size = self.size
        self.places = <Sighting*>calloc(2 * old_size, sizeof(Sighting))
        if self.places == NULL:
            self.places = old
            with gil:
                raise MemoryError(f"no memory for {self.distinct} infohashes")
        self.size = 2 * old_size
        for i in range(old_size):
            if old[i].mark != 0:
                self.find(old[i].mark)[0] = old[i]
        free(old)
        return 0

    cdef void note_nums(self, const SampleRow* rows, Py_ssize_t count) noexcept nogil:
        """Each answer's num into the histogram; the rows of an answer follow each other."""
        cdef Py_ssize_t i = 0
        cdef int bin
        while i < count:
            bin = bin_of(&rows[i])
            self.bin_counts[bin] += 1
            self.bin_sums[bin] += told(&rows[i])
            self.answers += 1
            i += max(rows[i].count, 1)

    cdef int quantile_bin(self, uint64_t rank) noexcept nogil:
        cdef int bin = 0
        cdef uint64_t below = self.bin_counts[0]
        while below <= rank and bin < NUM_BINS - 1:
            bin += 1
            below += self.bin_counts[bin]
        return bin

    cdef int last_believed(self) noexcept nogil:
        """The bin of the largest num that is not doubted."""
        cdef int median = self.quantile_bin(self.answers // 2)
        cdef int step = self.quantile_bin(self.answers * 3 // 4) - median
        return NUM_BINS if self.answers < FEW_ANSWERS else median + REACH * max(step, LEAST_STEP)

    def add(self, block: bytes) -> None:
        """Count a block of SampleRow structs (52 bytes each). Raises ValueError for a broken block."""
        if len(block) % sizeof(SampleRow):
            raise ValueError(f"a block of samples is {len(block)} bytes; a multiple of {sizeof(SampleRow)} needed")
        cdef const SampleRow* rows = <const SampleRow*>PyBytes_AS_STRING(block)
        cdef uint64_t mark
        cdef Sighting* place
        cdef Py_ssize_t i, count = len(block) // sizeof(SampleRow)
        cdef int believed
        with nogil:
            self.note_nums(rows, count)
            believed = self.last_believed()
            for i in range(count):
                if self.distinct * 10 >= self.size * 7:
                    self.grow()
                mark = mix_words(&self.key, read_be64(rows[i].info_hash), read_be64(rows[i].info_hash + 12)) | 1
                place = self.find(mark)
                self.distinct += place.mark == 0
                place.mark = mark
                if bin_of(&rows[i]) <= believed:
                    place.count += 1
                    place.weight += <float>told(&rows[i]) / <float>max(rows[i].count, 1)
                    self.sightings += 1

    def __len__(self):
        return self.distinct

    def sums(self) -> dict[str, float]:
        """distinct infohashes, sightings in all, infohashes seen once and twice, and `pairs`: over all ordered pairs of
        sightings of one infohash, the sum of one over the chance of the second; `num_sum` over the answers that are
        believed; and how many are `doubted`, whose sightings are none."""
        cdef uint64_t i, once = 0, twice = 0, num_sum = 0, believed_answers = 0
        cdef int bin, believed = self.last_believed()
        cdef double pairs = 0.0
        cdef Sighting* place
        for bin in range(min(believed + 1, NUM_BINS)):
            num_sum += self.bin_sums[bin]
            believed_answers += self.bin_counts[bin]
        with nogil:
            for i in range(self.size):
                place = &self.places[i]
                once += place.count == 1
                twice += place.count == 2
                if place.count > 1:
                    pairs += <double>(place.count - 1) * place.weight
        return {"distinct": self.distinct, "sightings": self.sightings, "once": once, "twice": twice, "pairs": pairs,
                "num_sum": num_sum, "doubted": self.answers - believed_answers}


cdef inline uint32_t told(const SampleRow* row) noexcept nogil:
    return max(max(row.num, <uint32_t>row.count), <uint32_t>1)


cdef inline int bin_of(const SampleRow* row) noexcept nogil:
    return <int>(BINS_PER_OCTAVE * log2(<double>told(row)))
