"""F2: one whole core that keeps its state, answered out of its own questions. Rate class: batch.

A third of the inputs answer a query that the core has sent, from where it was sent to; some announce, or put an item, with
a token that it has given. Signatures turn out good, bad or unknown by chance. All may be damaged, and most sources are new, so that the limits on one source do not hide the rest.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastdht._ext.addresses cimport Endpoint, FAMILY_V4, write_be32, write_compact
from fastdht._ext.bencode cimport Span
from fastdht._ext.core cimport Core
from fastdht._ext.hashing cimport Rng, fill_random, next_random, random_below, seed_rng
from fastdht._ext.krpc cimport DECODE_OK, KIND_QUERY, KIND_RESPONSE, Message, decode
from fastdht._ext.packets cimport Outgoing
from fastdht._ext.reception cimport receive_one
from fastdht._ext.sha1 cimport sha1
from fastdht._ext.storage cimport finish_put
from fastdht._ext.writer cimport Writer, open_writer, put_number_key, put_raw, put_string
from mutator cimport MAX_INPUT, Mutator

cdef enum:
    PENDING = 128               # the newest queries of the core; older ones time out
    TOKENS = 64
    MAX_NODES = 12
    FRIENDS = 64                # sources that come back
    IMMUTABLE = 6               # the targets below that items have: of the value 1:a, …
    MUTABLE = 7                 # … and of a key of zeros


cdef struct Asked:
    Endpoint endpoint
    uint8_t tid[4]


cdef struct Given:              # a token the core has given, to whom and for which query
    Endpoint endpoint
    uint8_t token[64]
    uint32_t size


cdef class CoreTarget:
    """Drives `core` with inputs of `mutator`; `current` (8 + 8,192 bytes) holds the one under way."""

    cdef Core core
    cdef Mutator mutator
    cdef Rng rng
    cdef Asked asked[PENDING]
    cdef uint32_t asked_count
    cdef Given given[TOKENS]
    cdef uint32_t given_count
    cdef uint8_t targets[8][20]     # few, so that writes and questions meet
    cdef uint8_t zeros[64]
    cdef uint8_t[::1] current
    cdef readonly int64_t now_us
    cdef readonly uint64_t fed

    def __init__(self, core: Core, mutator: Mutator, seed: int, uint8_t[::1] current, int64_t now_us):
        if current.shape[0] < 8 + MAX_INPUT:
            raise ValueError(f"current is {current.shape[0]} bytes; {8 + MAX_INPUT} needed")
        self.core = core
        self.mutator = mutator
        self.current = current
        self.now_us = now_us
        seed_rng(&self.rng, seed)
        fill_random(&self.rng, &self.targets[0][0], 160)
        sha1(b"1:a", 3, self.targets[IMMUTABLE])
        sha1(self.zeros, 32, self.targets[MUTABLE])

    def run(self, uint32_t inputs) -> None:
        """Feed `inputs` inputs; time passes between them, and the outbox is drained, but not always at once."""
        cdef uint32_t i
        with nogil:
            for i in range(inputs):
                self.step()

    def feed(self, data: bytes) -> None:
        """One input as it is, from a fresh source."""
        cdef Endpoint source
        self.pick_source(&source)
        self.deliver(data, <uint32_t>len(data), &source)

    def advance(self, int64_t by_us) -> None:
        self.now_us += by_us
        self.core.advance(self.now_us)

    cdef void step(self) noexcept nogil:
        cdef uint8_t* input = &self.current[8]
        cdef Endpoint source
        cdef uint32_t size
        cdef uint32_t kind = <uint32_t>random_below(&self.rng, 16)
        if kind < 6 and self.asked_count:
            size = self.answer(input, &source)
        elif kind == 6 and self.given_count:
            size = self.announce(input, &source)
        elif kind == 7:
            size = self.ask_for_peers(input, &source)
        elif kind == 8 and self.given_count:
            size = self.put_item(input, &source)
        else:
            self.pick_source(&source)
            size = self.mutator.next_input(input)
        if kind <= 8 and random_below(&self.rng, 3) == 0:
            size = self.mutator.damage(input, size)
        self.deliver(input, size, &source)
        self.now_us += <int64_t>random_below(&self.rng, 20000)
        if random_below(&self.rng, 4):
            self.drain()
        if self.core.state.has_table and random_below(&self.rng, 8) == 0:
            self.verify()

    cdef void deliver(self, const uint8_t* data, uint32_t size, const Endpoint* source) noexcept nogil:
        """In a block of its exact size: a read past its end is seen."""
        cdef uint8_t* block = <uint8_t*>malloc(size if size else 1)
        memcpy(&self.current[0], &size, 4)
        memcpy(block, data, size)
        receive_one(self.core.state, block, size, source, random_below(&self.rng, 500) == 0, self.now_us)
        free(block)
        self.fed += 1

    cdef void pick_source(self, Endpoint* out) noexcept nogil:
        cdef uint64_t word = random_below(&self.rng, FRIENDS) if random_below(&self.rng, 4) == 0 else next_random(&self.rng)
        cdef bint is_v4 = self.core.state.family == FAMILY_V4
        out.family = self.core.state.family
        out.spare = 0
        out.port = <uint16_t>(1024 + (word & 0x7FFF)) if random_below(&self.rng, 32) else 0
        out.high = 0 if is_v4 else (<uint64_t>0x2A00000000000000 | (word >> 16))
        out.low = word
        if is_v4:                   # 64.0.0.0 to 127.255.255.255, friends far apart
            out.low = ((word * <uint64_t>0x9E3779B1) & <uint64_t>0x3FFFFFFF) + <uint64_t>0x40000000

    cdef void drain(self) noexcept nogil:
        """Send what waits, and remember questions and tokens."""
        cdef Outgoing* outgoing
        cdef Message message
        cdef Asked* asked
        cdef Given* given
        while self.core.outbox.count:
            outgoing = self.core.outbox.peek(0)
            if decode(outgoing.data, outgoing.size, &message) == DECODE_OK:
                if message.kind == KIND_QUERY and message.tid.size == 4:
                    asked = &self.asked[self.asked_count % PENDING]
                    asked.endpoint = outgoing.target
                    memcpy(asked.tid, message.tid.data, 4)
                    self.asked_count += 1
                elif message.kind == KIND_RESPONSE and message.token.data != NULL and message.token.size <= 64:
                    given = &self.given[self.given_count % TOKENS]
                    given.endpoint = outgoing.target
                    given.size = message.token.size
                    memcpy(given.token, message.token.data, given.size)
                    self.given_count += 1
            self.core.outbox.drop_oldest(1)

    cdef uint32_t answer(self, uint8_t* out, Endpoint* source) noexcept nogil:
        """A response or an error to one of the newest queries; sometimes from elsewhere."""
        cdef Asked* asked = &self.asked[random_below(&self.rng, min(self.asked_count, <uint32_t>PENDING))]
        cdef Writer writer = open_writer(out, MAX_INPUT - 1)
        cdef uint8_t node_id[20]
        source[0] = asked.endpoint
        if random_below(&self.rng, 32) == 0:
            source.port ^= 1
        if random_below(&self.rng, 16) == 0:
            put_raw(&writer, b"d1:eli201e5:Sorrye1:t4:", 23)
            put_raw(&writer, asked.tid, 4)
            put_raw(&writer, b"1:y1:ee", 7)
            return <uint32_t>(writer.at - out)
        put_raw(&writer, b"d", 1)
        self.put_claim(&writer)
        put_raw(&writer, b"1:rd2:id20:", 11)
        self.stable_id(source, node_id)
        put_raw(&writer, node_id, 20)
        self.put_body(&writer)
        put_raw(&writer, b"e1:t4:", 6)
        put_raw(&writer, asked.tid, 4)
        put_raw(&writer, b"1:y1:re", 7)
        return <uint32_t>(writer.at - out)

    cdef void put_claim(self, Writer* writer) noexcept nogil:
        """What our address would be: the same for most."""
        cdef Endpoint claimed
        cdef uint8_t packed[18]
        if random_below(&self.rng, 2):
            self.pick_source(&claimed)
            put_raw(writer, b"2:ip", 4)
            put_string(writer, packed, write_compact(&claimed, packed))

    cdef void put_body(self, Writer* writer) noexcept nogil:
        cdef uint8_t nodes[MAX_NODES * 38]
        cdef uint8_t peer[18]
        cdef uint32_t i, size = 0
        cdef uint32_t count = <uint32_t>random_below(&self.rng, MAX_NODES)
        cdef Endpoint endpoint
        for i in range(count):
            self.pick_source(&endpoint)
            self.stable_id(&endpoint, nodes + size)
            size += 20 + write_compact(&endpoint, nodes + size + 20)
        if self.core.state.family == FAMILY_V4:
            put_raw(writer, b"5:nodes", 7)
        else:
            put_raw(writer, b"6:nodes6", 8)
        put_string(writer, nodes, size)
        put_raw(writer, b"5:token8:tokentok", 17)
        if random_below(&self.rng, 2):
            put_raw(writer, b"6:valuesl", 9)
            for i in range(<uint32_t>random_below(&self.rng, 40)):
                self.pick_source(&endpoint)
                put_string(writer, peer, write_compact(&endpoint, peer))
            put_raw(writer, b"e", 1)

    cdef void stable_id(self, const Endpoint* endpoint, uint8_t* out) noexcept nogil:
        """One id per endpoint, but for a few who lie; half of them close to a target."""
        cdef Rng own
        seed_rng(&own, endpoint.low ^ endpoint.high ^ endpoint.port)
        if random_below(&self.rng, 16) == 0:
            seed_rng(&own, next_random(&self.rng))
        fill_random(&own, out, 20)
        if random_below(&own, 2):
            memcpy(out, self.targets[random_below(&own, 8)], 1 + <uint32_t>random_below(&own, 19))

    cdef uint32_t ask_for_peers(self, uint8_t* out, Endpoint* source) noexcept nogil:
        cdef Writer writer = open_writer(out, MAX_INPUT - 1)
        self.pick_source(source)
        self.put_query(&writer, source)
        put_raw(&writer, b"e1:q9:get_peers1:t2:gp1:y1:qe", 29)
        return <uint32_t>(writer.at - out)

    cdef uint32_t announce(self, uint8_t* out, Endpoint* source) noexcept nogil:
        """With a token that the core gave to this source; one in eight for another target than it was given for."""
        cdef Given* given = &self.given[random_below(&self.rng, min(self.given_count, <uint32_t>TOKENS))]
        cdef Writer writer = open_writer(out, MAX_INPUT - 1)
        source[0] = given.endpoint
        self.put_query(&writer, source)
        put_raw(&writer, b"4:porti6881e5:token", 19)
        put_string(&writer, given.token, given.size)
        put_raw(&writer, b"e1:q13:announce_peer1:t2:an1:y1:qe", 34)
        return <uint32_t>(writer.at - out)

    cdef uint32_t put_item(self, uint8_t* out, Endpoint* source) noexcept nogil:
        """With a token as above, which fits where the source asked for an item: an eighth of all for each kind."""
        cdef Given* given = &self.given[random_below(&self.rng, min(self.given_count, <uint32_t>TOKENS))]
        cdef Writer writer = open_writer(out, MAX_INPUT - 1)
        cdef uint8_t node_id[20]
        cdef bint is_mutable = given.endpoint.low & 7 != IMMUTABLE
        source[0] = given.endpoint
        self.stable_id(source, node_id)
        put_raw(&writer, b"d1:ad", 5)
        if random_below(&self.rng, 4) == 0:
            put_number_key(&writer, b"3:casi", 6, <int64_t>random_below(&self.rng, 4))
        put_raw(&writer, b"2:id20:", 7)
        put_raw(&writer, node_id, 20)
        if is_mutable:
            put_raw(&writer, b"1:k", 3)
            put_string(&writer, self.zeros, 32)
            put_number_key(&writer, b"3:seqi", 6, <int64_t>random_below(&self.rng, 4))
            put_raw(&writer, b"3:sig", 5)
            put_string(&writer, self.zeros, 64)
        put_raw(&writer, b"5:token", 7)
        put_string(&writer, given.token, given.size)
        put_raw(&writer, b"1:v1:", 5)
        put_raw(&writer, b"b" if is_mutable and random_below(&self.rng, 2) else b"a", 1)
        put_raw(&writer, b"e1:q3:put1:t2:pu1:y1:qe", 23)
        return <uint32_t>(writer.at - out)

    cdef void verify(self) noexcept nogil:
        """What an engine does with parked puts, and at times with some that are not."""
        cdef uint64_t handle = self.core.state.parked.take(self.now_us)
        while handle:
            finish_put(self.core.state, handle, <int>random_below(&self.rng, 3), self.now_us)
            if random_below(&self.rng, 4) == 0:
                finish_put(self.core.state, handle, 1, self.now_us)
            handle = self.core.state.parked.take(self.now_us)
        finish_put(self.core.state, next_random(&self.rng), 1, self.now_us)

    cdef void put_query(self, Writer* writer, const Endpoint* source) noexcept nogil:
        """Up to the target, which a source asks for again in seven cases of eight."""
        cdef uint8_t node_id[20]
        cdef uint64_t which = source.low if random_below(&self.rng, 8) else random_below(&self.rng, 8)
        self.stable_id(source, node_id)
        put_raw(writer, b"d1:ad2:id20:", 12)
        put_raw(writer, node_id, 20)
        put_raw(writer, b"9:info_hash20:", 14)
        put_raw(writer, self.targets[which & 7], 20)
