"""Placing, finding and packing candidates. Rate class: packet.

Invariants: `order` holds each index below `count` once, by rising distance; equal distance is equal id; an endpoint
stands at most once. An index stays a candidate's own for life, since transactions name it.
"""
from libc.string cimport memcpy, memmove, memset

from fastdht._ext.addresses cimport dump_compact, same_endpoint, subnet_of, write_compact
from fastdht._ext.ids cimport ID_SIZE, distance_between, is_less


cdef int check_shortlist(Shortlist* shortlist) except -1:
    cdef uint32_t i, in_flight = 0
    cdef Candidate* candidate
    cdef Candidate* before
    places = set()
    endpoints = set()
    for i in range(shortlist.count):
        candidate = &shortlist.candidates[shortlist.order[i]]
        places.add(shortlist.order[i])
        endpoints.add(dump_compact(&candidate.endpoint))
        in_flight += candidate.is_open
        before = &shortlist.candidates[shortlist.order[i - 1]] if i else NULL
        if before != NULL and is_less(&candidate.distance, &before.distance):
            raise AssertionError(f"candidate {i} is closer than the one before it")
    if len(places) != shortlist.count or len(endpoints) != shortlist.count:
        raise AssertionError(f"{shortlist.count} candidates, {len(places)} places, {len(endpoints)} endpoints")
    if in_flight != shortlist.in_flight:
        raise AssertionError(f"{in_flight} queries out, {shortlist.in_flight} counted")
    return 0


cdef uint32_t find_place(const Shortlist* shortlist, const Distance* distance) noexcept nogil:  # R0
    """How many candidates are strictly closer: the place in the order that a candidate at this distance takes."""
    cdef uint32_t low = 0, high = shortlist.count, middle, other
    if high and shortlist.nearness[shortlist.order[high - 1]] < distance.high:
        return high                 # a table names the closest first
    while low < high:
        middle = (low + high) >> 1
        other = shortlist.order[middle]
        if shortlist.nearness[other] < distance.high or (
                shortlist.nearness[other] == distance.high
                and is_less(&shortlist.candidates[other].distance, distance)):
            low = middle + 1
        else:
            high = middle
    return low


cdef bint is_known_id(const Shortlist* shortlist, uint32_t place, const Distance* distance) noexcept nogil:  # R0
    """One id, one candidate: equal distance is equal id. The first endpoint named for it keeps it until it has failed."""
    cdef uint32_t other
    while place < shortlist.count:
        other = shortlist.order[place]
        if shortlist.nearness[other] != distance.high or is_less(distance, &shortlist.candidates[other].distance):
            return False
        if shortlist.state[other] != CANDIDATE_FAILED and shortlist.candidates[other].has_id:
            return True
        place += 1
    return False


cdef bint is_refused(const Shortlist* shortlist, const Endpoint* endpoint) noexcept nogil:  # R0
    """A known endpoint, or one from a subnet that already has its share of candidates."""
    cdef uint32_t i, same_subnet = 0, mark = mark_of(endpoint)
    cdef uint64_t subnet = subnet_of(endpoint)
    cdef uint32_t alike = 0, subnet_mark = fold_subnet(subnet)
    for i in range(shortlist.count):            # without a way out, so that the compiler can use vectors
        alike += (shortlist.endpoint_mark[i] == mark) | (shortlist.subnet_mark[i] == subnet_mark)
    for i in range(shortlist.count if alike else 0):
        if same_endpoint(&shortlist.candidates[i].endpoint, endpoint):
            return True
        same_subnet += subnet_of(&shortlist.candidates[i].endpoint) == subnet
    return shortlist.subnet_limit and same_subnet >= shortlist.subnet_limit


cdef uint32_t take_place(Shortlist* shortlist, uint32_t place) noexcept nogil:  # R0
    """A candidate index, out of the order; of a full list the farthest that was never asked gives way to a closer one.

    Those asked stay, as their queries name them: seeds are the farthest of all, and must not close the list to others.
    """
    cdef uint32_t i, index
    if shortlist.count < MAX_CANDIDATES:
        shortlist.count += 1
        return shortlist.count - 1
    for i in range(MAX_CANDIDATES, place, -1):
        index = shortlist.order[i - 1]
        if shortlist.state[index] == CANDIDATE_FRESH:
            shortlist.unnamed -= not shortlist.candidates[index].has_id
            memmove(&shortlist.order[i - 1], &shortlist.order[i], MAX_CANDIDATES - i)
            return index
    return NO_CANDIDATE


cdef void place_candidate(Shortlist* shortlist, uint32_t index, uint32_t place) noexcept nogil:  # R0
    """Put `index` into the order, which holds the count - 1 others."""
    memmove(&shortlist.order[place + 1], &shortlist.order[place], shortlist.count - 1 - place)
    shortlist.order[place] = <uint8_t>index


cdef void pack_candidate(const Candidate* candidate, PackedClosest* out) noexcept nogil:  # R0
    memset(out, 0, sizeof(PackedClosest))
    out.rtt_us = candidate.rtt_us
    memcpy(out.id, candidate.id, ID_SIZE)
    out.size = <uint8_t>write_compact(&candidate.endpoint, out.endpoint)
    out.hops = candidate.depth
    out.token_size = candidate.token_size
    memcpy(out.token, candidate.token, candidate.token_size)


cdef void learn_id(Shortlist* shortlist, uint32_t index, const uint8_t* node_id) noexcept nogil:  # R0
    """A host known by address alone has an id now: it moves to its place in the order."""
    cdef Candidate* candidate = &shortlist.candidates[index]
    cdef uint32_t i
    memcpy(candidate.id, node_id, ID_SIZE)
    candidate.has_id = True
    shortlist.unnamed -= 1
    candidate.distance = distance_between(node_id, shortlist.target)
    for i in range(shortlist.count):
        if shortlist.order[i] == index:
            memmove(&shortlist.order[i], &shortlist.order[i + 1], shortlist.count - 1 - i)
            break
    shortlist.count -= 1
    i = find_place(shortlist, &candidate.distance)
    shortlist.count += 1
    shortlist.nearness[index] = candidate.distance.high
    mark_known(shortlist, index)
    place_candidate(shortlist, index, i)


cdef bint name_seed(Shortlist* shortlist, const Endpoint* endpoint, const uint8_t* node_id) noexcept nogil:  # R0
    """Whether a host given by address alone, and not asked yet, is the one named: it may be the closest of all."""
    cdef uint32_t i
    for i in range(shortlist.count):
        if (not shortlist.candidates[i].has_id and shortlist.state[i] == CANDIDATE_FRESH
                and same_endpoint(&shortlist.candidates[i].endpoint, endpoint)):
            learn_id(shortlist, i, node_id)
            return True
    return False
