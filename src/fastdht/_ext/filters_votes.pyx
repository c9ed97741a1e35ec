"""The size of a swarm from the filters of several nodes, none of which is trusted alone. Rate class: lookup.

Theory of operation. From three filters on a bit counts when two nodes set it: a single liar, whatever it sends, adds
nothing that another does not confirm. Filters without a zero bit tell nothing and are left out while they are fewer
than half; when they are not, the swarm is saturated.
Each node knows a share of the swarm, c_i, so that bits which only one sets are missed. Of N addresses, thrown to
λ = 2N/m on a bit, the share of bits that fewer than two nodes set is
    p(N) = Σ_i [exp(-λ(1-a_i)) - exp(-λ(1-a))] + exp(-λ(1-a)),  a = Π(1-c_j),  a_i = Π_{j≠i}(1-c_j).
The c_i are n_i/N', n_i being a filter's own count and N' the median over pairs of n_i n_j / n_ij (Lincoln, Petersen):
liars that are few do not move a median. The count is the N at which m p(N) is what was seen, but never less than what
the middle one of the nodes says.
The interval joins two parts, as squares: 1.96 deviations of the bits, m(p(1-p) - λp'²), with half a bit; and 1.96 of
the spread between nodes, a jackknife over counts that leave out one node each.
Where nodes do not know random parts of the swarm, which shows in a count far above the union of all nodes but the one
that adds most, that union is the count, and the interval reaches from its bits up to what the theory above says.
With one filter or two, the union of all is the count, as BEP 33 has it.
Source: BEP 33; K. Whang and others, "A linear-time probabilistic counting algorithm" (1990).
"""
from libc.math cimport HUGE_VAL, ceil, exp, floor, log, log1p, sqrt
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy, memset

from fastdht._ext.filters cimport count_zeros, estimate_of, merge_filter

from fastdht._ext.filters import Estimate, Filter as PlainFilter, estimate_zeros

cdef enum:
    LEAST_VOTERS = 3
    HALVINGS = 50

cdef double MOST = 1 << 16      # addresses; 7,806 leave one zero bit on average
cdef double DEVIATIONS = 1.96   # 95 % of a normal distribution
cdef double HALF_BIT = 0.5
cdef double MOST_EXTRAPOLATED = 1.25
cdef double MOST_SPREAD = 2.0   # nodes that share nothing might hold any share: at most so many times what all hold


cdef int compare_doubles(const void* left, const void* right) noexcept nogil:
    cdef double a = (<const double*>left)[0]
    cdef double b = (<const double*>right)[0]
    return (a > b) - (a < b)


cdef double median(double* values, uint32_t count) noexcept nogil:
    """Of at least one value, which are put in order."""
    qsort(values, count, sizeof(double), compare_doubles)
    return (values[count // 2] + values[(count - 1) // 2]) / 2


cdef double addresses_in(const uint8_t* data) noexcept nogil:
    return estimate_of(max(count_zeros(data), <uint32_t>1))


cdef void compare_filters(Voters* voters) noexcept nogil:  # R0
    """Count the votes, each filter's addresses and what each pair has in common."""
    cdef uint8_t both[FILTER_SIZE]
    cdef uint32_t i, j, bit
    memset(voters.votes, 0, FILTER_BITS)
    for i in range(voters.count):
        voters.sizes[i] = addresses_in(voters.data[i])
        for bit in range(<uint32_t>FILTER_BITS):
            voters.votes[bit] += (voters.data[i][bit >> 3] >> (bit & 7)) & 1
    for i in range(voters.count):
        for j in range(i):
            memcpy(both, voters.data[i], FILTER_SIZE)
            merge_filter(both, voters.data[j])
            voters.common[i][j] = max(voters.sizes[i] + voters.sizes[j] - addresses_in(both), 0)


cdef uint32_t count_doubtful(const Voters* voters, uint32_t left_out) noexcept nogil:  # R0
    """Bits that fewer than two set, one voter (or none: its number is too high) left out."""
    cdef uint32_t bit, doubtful = 0
    cdef const uint8_t* data = voters.data[left_out if left_out < voters.count else 0]
    cdef uint8_t mask = 1 if left_out < voters.count else 0
    for bit in range(<uint32_t>FILTER_BITS):
        doubtful += voters.votes[bit] - ((data[bit >> 3] >> (bit & 7)) & mask) < 2
    return doubtful


cdef uint32_t count_unset(const Voters* voters, uint32_t left_out) noexcept nogil:  # R0
    """The zero bits of the union of all but one."""
    cdef uint32_t bit, unset = 0
    cdef const uint8_t* data = voters.data[left_out]
    for bit in range(<uint32_t>FILTER_BITS):
        unset += voters.votes[bit] == (data[bit >> 3] >> (bit & 7)) & 1
    return unset


cdef double guess_size(const Voters* voters, uint32_t left_out) noexcept nogil:
    """N' of the theory: the median of what pairs that hold something say."""
    cdef double guesses[MAX_PAIRS]
    cdef double together = 0
    cdef uint32_t i, j, count = 0
    for i in range(voters.count):
        if i == left_out:
            continue
        together += voters.sizes[i]
        for j in range(i):
            if j == left_out or voters.sizes[i] < HALF_BIT or voters.sizes[j] < HALF_BIT:
                continue
            guesses[count] = HUGE_VAL
            if voters.common[i][j] > 0:
                guesses[count] = voters.sizes[i] * voters.sizes[j] / voters.common[i][j]
            count += 1
    return min(median(guesses, count), MOST_SPREAD * together) if count else together


cdef double most_of(const Voters* voters) noexcept nogil:
    cdef double together = 0
    cdef uint32_t i
    for i in range(voters.count):
        together += voters.sizes[i]
    return MOST_SPREAD * together


cdef void assume(const Voters* voters, uint32_t left_out, Model* model) noexcept nogil:  # R0
    cdef double size = max(guess_size(voters, left_out), 1e-9)
    cdef uint32_t i, j
    model.count = 0
    model.unseen = 1
    for i in range(voters.count):
        if i != left_out:
            model.shares[model.count] = min(voters.sizes[i] / size, 1)
            model.unseen *= 1 - model.shares[model.count]
            model.count += 1
    for i in range(model.count):
        model.lone[i] = 1
        for j in range(model.count):
            if j != i:
                model.lone[i] *= 1 - model.shares[j]


cdef double expect_doubtful(const Model* model, double addresses, double side) noexcept nogil:  # R0
    """The bits that fewer than two set, on average, and `side` deviations more."""
    cdef double load = -2 * addresses * log1p(-1.0 / FILTER_BITS)
    cdef double none = exp(-load * (1 - model.unseen))
    cdef double share = none, slope = -(1 - model.unseen) * none
    cdef double alone
    cdef uint32_t i
    for i in range(model.count):
        alone = exp(-load * (1 - model.lone[i]))
        share += alone - none
        slope += (1 - model.unseen) * none - (1 - model.lone[i]) * alone
    return FILTER_BITS * share + side * sqrt(max(FILTER_BITS * (share * (1 - share) - load * slope * slope), 0))


cdef double addresses_leaving(const Model* model, double doubtful, double side, double most) noexcept nogil:
    """The number of addresses, up to `most`, at which expect_doubtful falls to `doubtful`; it falls all the way."""
    cdef double low = 0, high = most, middle
    cdef int i
    for i in range(HALVINGS):
        middle = (low + high) / 2
        if expect_doubtful(model, middle, side) > doubtful:
            low = middle
        else:
            high = middle
    return (low + high) / 2


cdef double spread_between(const Voters* voters) noexcept nogil:
    """The deviation of the count that comes from which nodes were met (jackknife)."""
    cdef double counts[MAX_VOTERS]
    cdef double mean = 0, squares = 0, most = most_of(voters)
    cdef Model model
    cdef uint32_t i
    for i in range(voters.count):
        assume(voters, i, &model)
        counts[i] = addresses_leaving(&model, max(count_doubtful(voters, i), <uint32_t>1), 0, most)
        mean += counts[i] / voters.count
    for i in range(voters.count):
        squares += (counts[i] - mean) * (counts[i] - mean)
    return sqrt(squares * (voters.count - 1) / voters.count)


cdef uint32_t choose(list filters, Voters* voters):
    """Take the filters that have a zero bit; how many have none."""
    cdef uint32_t full = 0
    cdef bytes each
    voters.count = 0
    for each in filters[:MAX_VOTERS]:
        memcpy(voters.data[voters.count], <const uint8_t*>each, FILTER_SIZE)
        if count_zeros(voters.data[voters.count]):
            voters.count += 1
        else:
            full += 1
    return full


cdef object estimate_middle(Voters* voters):
    """What the middle one of the nodes says; the lower of two."""
    cdef uint32_t i
    ordered = sorted([count_zeros(voters.data[i]) for i in range(voters.count)])
    return estimate_zeros(ordered[len(ordered) // 2])


cdef object estimate_all(Voters* voters):
    cdef Model model
    cdef uint32_t doubtful
    cdef double count, low, high, spread
    compare_filters(voters)
    doubtful = count_doubtful(voters, MAX_VOTERS)
    middle = estimate_middle(voters)
    if doubtful == 0:
        return estimate_zeros(0)
    assume(voters, MAX_VOTERS, &model)
    count = addresses_leaving(&model, doubtful, 0, most_of(voters))
    if doubtful == FILTER_BITS or count < middle.count:
        return middle
    spread = DEVIATIONS * spread_between(voters)
    low = count - addresses_leaving(&model, doubtful + HALF_BIT, -DEVIATIONS, MOST)
    high = addresses_leaving(&model, doubtful - HALF_BIT, DEVIATIONS, MOST) - count
    low = ceil(count - sqrt(low * low + spread * spread))
    high = floor(count + sqrt(high * high + spread * spread))
    union = estimate_zeros(max([count_unset(voters, i) for i in range(voters.count)]))
    if low > MOST_EXTRAPOLATED * union.high:
        return Estimate(union.count, union.low, high, False)
    return Estimate(count, max(min(low, floor(count)), 0.0), max(high, floor(count + HALF_BIT)), False)


cdef object estimate_union(list filters):
    whole = PlainFilter()
    for each in filters:
        whole = whole.union(PlainFilter(each))
    return whole.estimate()


def estimate_votes(filters: list[bytes]) -> Estimate:
    """How many addresses a swarm has, from the filters of its nodes, 256 bytes each; raises ValueError for others."""
    cdef Voters* voters
    cdef uint32_t i, full
    for each in filters:
        if len(each) != FILTER_SIZE:
            raise ValueError(f"a filter is {len(each)} bytes; {FILTER_SIZE} needed")
    voters = <Voters*>malloc(sizeof(Voters))
    if not voters:
        raise MemoryError("no memory for filters")
    try:
        full = choose(filters, voters)
        if full and 2 * full >= voters.count + full:
            return estimate_zeros(0)
        if voters.count < LEAST_VOTERS:
            return estimate_union([voters.data[i][:FILTER_SIZE] for i in range(voters.count)])
        return estimate_all(voters)
    finally:
        free(voters)


cdef class Votes:
    """What nodes say of one swarm.

    Peers that nodes without BEP 33 name are no filter, and seeds among them look like others: they count, as peers,
    only while fewer than two nodes have sent filters.
    """

    def __cinit__(self):
        self.seed_filters = []
        self.peer_filters = []
        self.named = PlainFilter()

    @property
    def count(self) -> int:
        """How many nodes sent filters."""
        return len(self.seed_filters)

    def add(self, seeds: bytes | None, peers: bytes | None, values=()) -> None:
        """One node's filters, or the compact endpoints that it names when it has none. Raises ValueError."""
        if seeds is None and peers is None:
            for packed in values:
                self.named.add(packed[:len(packed) - 2])
                self.has_named = True
            return
        self.seed_filters.append(bytes(PlainFilter(seeds)))
        self.peer_filters.append(bytes(PlainFilter(peers)))

    def seeds(self) -> Estimate:
        """How many seeds there are."""
        return estimate_votes(self.seed_filters)

    def peers(self) -> Estimate:
        """How many others there are."""
        if self.has_named and len(self.peer_filters) < 2:
            return estimate_union([*self.peer_filters, bytes(self.named)])
        return estimate_votes(self.peer_filters)
