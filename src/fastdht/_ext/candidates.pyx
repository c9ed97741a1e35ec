"""Placing, finding and packing candidates. Rate class: packet.

Invariants: `order` holds each index below `count` once, by rising distance; equal distance is equal id; an endpoint
stands at most once. An index stays a candidate's own for life, since transactions name it.
"""
from libc.string cimport memcpy, memmove, memset

from fastdht._ext.addresses cimport COMPACT_V6, dump_compact, same_endpoint, subnet_of, write_compact
from fastdht._ext.ids cimport ID_SIZE, distance_between, is_less

cdef Distance FARTHEST
FARTHEST.high = FARTHEST.middle = ~<uint64_t>0
FARTHEST.low = ~<uint32_t>0


cdef int check_shortlist(Shortlist* shortlist) except -1:
    cdef uint32_t i, in_flight = 0
    cdef Candidate* candidate
    cdef Distance distance, before
    places = set()
    endpoints = set()
    for i in range(shortlist.count):
        candidate = &shortlist.candidates[shortlist.order[i]]
        places.add(shortlist.order[i])
        endpoints.add(dump_compact(&candidate.endpoint))
        in_flight += candidate.is_open
        distance = distance_of(shortlist, shortlist.order[i])
        if i and is_less(&distance, &before):
            raise AssertionError(f"candidate {i} is closer than the one before it")
        before = distance
    if len(places) != shortlist.count or len(endpoints) != shortlist.count:
        raise AssertionError(f"{shortlist.count} candidates, {len(places)} places, {len(endpoints)} endpoints")
    if in_flight != shortlist.in_flight:
        raise AssertionError(f"{in_flight} queries out, {shortlist.in_flight} counted")
    return 0


cdef bint add_candidate(Shortlist* shortlist, const Contact* contact, bint has_id, int depth) noexcept nogil:  # R0
    """Offer a candidate; False when it is known, too far for a full list, or its subnet has its share."""
    cdef Distance distance = distance_between(contact.id, shortlist.target) if has_id else FARTHEST
    cdef uint32_t index, place = find_place(shortlist, &distance), mark = fold_subnet(subnet_of(&contact.endpoint))
    cdef Candidate* candidate
    if place >= MAX_CANDIDATES or (has_id and is_known_id(shortlist, place, &distance)):
        return False
    if has_id and shortlist.unnamed and name_seed(shortlist, &contact.endpoint, contact.id):
        return True
    if holds_subnet(shortlist, mark) and is_refused(shortlist, &contact.endpoint, mark):
        return False
    index = take_place(shortlist, place)
    if index == NO_CANDIDATE:
        return False
    candidate = &shortlist.candidates[index]
    candidate.endpoint = contact.endpoint
    memcpy(candidate.id, contact.id, ID_SIZE)
    candidate.is_open = False
    candidate.has_id = has_id
    candidate.depth = <uint8_t>depth
    candidate.token_size = 0
    candidate.rtt_us = 0
    shortlist.state[index] = CANDIDATE_FRESH
    shortlist.nearness[index] = distance.high
    shortlist.unnamed += not has_id
    shortlist.subnet_mark[index] = mark
    shortlist.subnets[subnet_bit(mark) >> 6] |= <uint64_t>1 << (subnet_bit(mark) & 63)
    if has_id:
        mark_known(shortlist, index)
    place_candidate(shortlist, index, place)
    return True


cdef inline uint32_t subnet_bit(uint32_t mark) noexcept nogil:
    return (mark * <uint32_t>0x9E3779B1) >> 23         # the top bits of a product depend on all bits below


cdef inline bint holds_subnet(const Shortlist* shortlist, uint32_t mark) noexcept nogil:
    """Whether somebody of this subnet may be a candidate; seldom said in error, never forgotten."""
    return (shortlist.subnets[subnet_bit(mark) >> 6] >> (subnet_bit(mark) & 63)) & 1


cdef inline Distance distance_of(const Shortlist* shortlist, uint32_t index) noexcept nogil:
    """Of a candidate, whole: wanted only where the first 64 bits are equal."""
    cdef const Candidate* candidate = &shortlist.candidates[index]
    return distance_between(candidate.id, shortlist.target) if candidate.has_id else FARTHEST


cdef uint32_t find_place(const Shortlist* shortlist, const Distance* distance) noexcept nogil:  # R0
    """How many candidates are strictly closer: the place in the order that a candidate at this distance takes."""
    cdef uint32_t low = 0, high = shortlist.count, middle, other
    cdef Distance tied
    if high and shortlist.nearness[shortlist.order[high - 1]] < distance.high:
        return high                 # a table names the closest first
    while low < high:
        middle = (low + high) >> 1
        other = shortlist.order[middle]
        if shortlist.nearness[other] == distance.high:
            tied = distance_of(shortlist, other)
            if is_less(&tied, distance):
                low = middle + 1
            else:
                high = middle
        elif shortlist.nearness[other] < distance.high:
            low = middle + 1
        else:
            high = middle
    return low


cdef bint is_known_id(const Shortlist* shortlist, uint32_t place, const Distance* distance) noexcept nogil:  # R0
    """One id, one candidate: equal distance is equal id. The first endpoint named for it keeps it until it has failed."""
    cdef uint32_t other
    cdef Distance tied
    while place < shortlist.count:
        other = shortlist.order[place]
        if shortlist.nearness[other] != distance.high:
            return False
        tied = distance_of(shortlist, other)
        if is_less(distance, &tied):
            return False
        if shortlist.state[other] != CANDIDATE_FAILED and shortlist.candidates[other].has_id:
            return True
        place += 1
    return False


cdef bint is_refused(const Shortlist* shortlist, const Endpoint* endpoint, uint32_t mark) noexcept nogil:  # R0
    """A known endpoint, or one from a subnet, marked `mark`, that already has its share of candidates."""
    cdef uint32_t i, same_subnet = 0, alike = 0
    cdef uint64_t subnet = subnet_of(endpoint)
    for i in range(shortlist.count):            # without a way out, so that the compiler can use vectors
        alike += shortlist.subnet_mark[i] == mark
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


cdef void pack_candidate(const Shortlist* shortlist, uint32_t index, PackedClosest* out) noexcept nogil:  # R0
    """What stands behind an endpoint or a token that is short means nothing."""
    cdef const Candidate* candidate = &shortlist.candidates[index]
    memset(out.endpoint, 0, COMPACT_V6)
    out.rtt_us = candidate.rtt_us
    memcpy(out.id, candidate.id, ID_SIZE)
    out.size = <uint8_t>write_compact(&candidate.endpoint, out.endpoint)
    out.hops = candidate.depth
    out.token_size = candidate.token_size
    if candidate.token_size > SHORT_TOKEN:
        memcpy(out.token, shortlist.tokens[index], MAX_TOKEN)   # of a size that the compiler knows: no call
    else:
        memcpy(out.token, candidate.token, SHORT_TOKEN)
        memset(&out.token[SHORT_TOKEN], 0, MAX_TOKEN - SHORT_TOKEN)


cdef void learn_id(Shortlist* shortlist, uint32_t index, const uint8_t* node_id) noexcept nogil:  # R0
    """A host known by address alone has an id now: it moves to its place in the order."""
    cdef Candidate* candidate = &shortlist.candidates[index]
    cdef Distance distance
    cdef uint32_t i
    memcpy(candidate.id, node_id, ID_SIZE)
    candidate.has_id = True
    shortlist.unnamed -= 1
    distance = distance_between(node_id, shortlist.target)
    for i in range(shortlist.count):
        if shortlist.order[i] == index:
            memmove(&shortlist.order[i], &shortlist.order[i + 1], shortlist.count - 1 - i)
            break
    shortlist.count -= 1
    i = find_place(shortlist, &distance)
    shortlist.count += 1
    shortlist.nearness[index] = distance.high
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
