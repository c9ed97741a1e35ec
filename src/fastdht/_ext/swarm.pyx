"""Answers as any node of a virtual network. Rate class: packet (respond), command (the rest).

Invariants: the same question to the same node gets the same contacts, whoever asks and whenever; only simulated loss
depends on the order of packets. A datagram is counted for the node it was sent to before anything can lose it.
Source: BEP 5, BEP 32 (`want`), BEP 42 (`ip`), BEP 43 (`ro`: a virtual node keeps no askers, so it only counts).
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from fastdht._ext.addresses cimport read_be64, write_be64
from fastdht._ext.hashing cimport mix_words, next_random, seed_rng
from fastdht._ext.krpc cimport (DECODE_NO_ARGUMENTS, DECODE_NO_METHOD, DECODE_OK, HAS_PORT, KIND_QUERY,
                                METHOD_ANNOUNCE_PEER, METHOD_FIND_NODE, METHOD_GET_PEERS, METHOD_PING,
                                METHOD_SAMPLE_INFOHASHES, WANT_V4, decode)
from fastdht._ext.swarm_catalog cimport SUPPORT_REFUSES, SUPPORT_SAMPLES, Catalog, Support
from fastdht._ext.swarm_liars cimport distort
from fastdht._ext.swarm_limits cimport AnswerLimit
from fastdht._ext.swarm_memory cimport swarm_allocate, swarm_prefetch
from fastdht._ext.swarm_population cimport (HOST_BITS, NO_SERIAL, ROLE_DEAD, ROLE_HONEST, ROLE_HUGE_NUM, ROLE_LIMITED,
                                            ROLE_OTHER_PORT, ROLE_REFLECTOR, ROLE_REPEATED_SAMPLES, ROLE_TWO_REPLIES,
                                            ROLE_WRONG_TID, draw_key)
from fastdht._ext.swarm_replies cimport MAX_VALUES, REPLY_ROOM, TOKEN_BYTES, write_refusal, write_reply
from fastdht._ext.swarm_store cimport PeerStore
from fastdht._ext.swarm_tables cimport MAX_WIDTH, closest_contacts, is_among_closest
from fastdht._ext.swarm_torrents cimport TORRENT_PEERS, is_torrent, write_torrent, write_torrent_peer

cdef enum:
    K = 8                       # BEP 5
    LIBTORRENT_SHARE = 36045    # of 65536: 55 % libtorrent, 25 % µTorrent, the rest others
    UTORRENT_SHARE = 52429
    LIMITED_ANSWERS = 1         # of the kind `limited`, in 10 s: stricter than any node known


cdef class Responder:
    """Turns datagrams into the replies of `people`, a Population.

    `loss` is the share lost each way; `wide` and `narrow` the shares of nodes that answer 16-20 and 1-3 contacts;
    `widened`: half of the nodes keep libtorrent's larger first buckets; `torrents` synthetic torrents exist, told by
    the 8 honest nodes closest to each, as are those of `catalog`, which nodes also tell of when they are asked for
    samples (BEP 51); `values_everywhere`: every infohash is such a torrent; `crowds`: of any size; `node_limit`: how
    many questions of one address an honest node answers in 10 s, 0 for all.
    """

    def __cinit__(self, people, seed, *, loss=0.0, wide=0.0, narrow=0.0, widened=True, torrents=0,
                  values_everywhere=False, Catalog catalog=None, node_limit=0, Crowds crowds=None):
        cdef Rng rng
        self.people = people
        seed_rng(&rng, (seed ^ 0x5AFEC0DE) & 0xFFFFFFFFFFFFFFFF)
        draw_key(&rng, &self.table_key)
        draw_key(&rng, &self.trait_key)
        draw_key(&rng, &self.token_key)
        draw_key(&rng, &self.torrent_key)
        draw_key(&rng, &self.lie_key)
        seed_rng(&self.loss_rng, next_random(&rng))
        self.loss_limit = round(loss * 4294967296)
        self.wide_limit = round(wide * 65536)
        self.narrow_limit = round(narrow * 65536)
        self.has_widened = widened
        self.torrents = torrents
        self.catalog = catalog
        self.has_catalog = catalog is not None
        self.crowds = crowds
        self.has_crowds = crowds is not None
        self.has_values_everywhere = values_everywhere
        self.node_limit = node_limit
        self.has_sessions = self.people.sessions is not None
        if node_limit or self.people.first_serial[ROLE_LIMITED] < self.people.first_serial[ROLE_LIMITED + 1]:
            self.limit = AnswerLimit(seed)
        self.has_limit = self.limit is not None
        self.asked_counts = <uint32_t*>swarm_allocate(<size_t>self.people.total * sizeof(uint32_t))
        self.store = PeerStore(seed)
        if not self.asked_counts:
            raise MemoryError("no memory for the swarm's counters")

    def __dealloc__(self):
        free(self.asked_counts)

    cdef uint32_t expect(self, uint32_t place) noexcept nogil:  # R0
        """The contact at a place, or NO_SERIAL; fetches its counter, which a whole batch's worth of work then hides."""
        cdef uint32_t serial = self.people.serial_of(place)
        if serial != <uint32_t>NO_SERIAL:
            swarm_prefetch(&self.asked_counts[serial])
        return serial

    cdef Role admit(self, uint32_t serial) noexcept nogil:  # R0
        """Count a datagram; its contact's role, or ROLE_DEAD also when it is lost or for nobody."""
        cdef Role role
        self.totals.received += 1
        self.last_us = self.now_us
        if self.totals.received == 1:
            self.first_us = self.now_us
        if serial == <uint32_t>NO_SERIAL:
            self.totals.strays += 1
            return ROLE_DEAD
        self.asked_counts[serial] += 1
        role = self.people.role_of(serial)
        if role == ROLE_DEAD:
            self.totals.to_dead += 1
        elif (self.has_sessions and role == ROLE_HONEST
                and self.people.sessions.is_away(serial, self.now_us - self.started_us)):
            self.totals.to_away += 1
            return ROLE_DEAD
        elif self.is_lost():
            self.totals.lost_in += 1
            return ROLE_DEAD
        return role

    cdef bint is_lost(self) noexcept nogil:  # R0
        return self.loss_limit != 0 and (next_random(&self.loss_rng) >> 32) < self.loss_limit

    cdef void respond(self, const Asked* asked, uint32_t serial, Role role, uint8_t* out,
                      Outcome* outcome) noexcept nogil:  # R0
        """Fill `out` (REPLY_ROOM bytes) with what the node sends to an admitted query."""
        outcome.copies = 0
        outcome.from_other_port = role == ROLE_OTHER_PORT
        if self.has_limit and self.is_muted(asked, serial, role):
            self.totals.muted += 1
            return
        if role == ROLE_REFLECTOR:
            outcome.size = min(asked.size, <uint32_t>REPLY_ROOM)
            memcpy(out, asked.data, outcome.size)
        else:
            outcome.size = self.write_answer(asked, serial, role, out)
        if outcome.size == 0:
            self.totals.ignored += 1
        elif self.is_lost():
            self.totals.lost_out += 1
        else:
            outcome.copies = 2 if role == ROLE_TWO_REPLIES else 1
            self.totals.replies += outcome.copies

    cdef bint is_muted(self, const Asked* asked, uint32_t serial, Role role) noexcept nogil:  # R0
        """Whether the asker has had its share of this node's answers."""
        cdef uint32_t most = LIMITED_ANSWERS if role == ROLE_LIMITED else self.node_limit if role == ROLE_HONEST else 0
        return most != 0 and self.limit.is_over(serial, asked.source_ip, most, self.now_us)

    cdef uint32_t write_answer(self, const Asked* asked, uint32_t serial, Role role, uint8_t* out) noexcept nogil:  # R0
        cdef int verdict = decode(asked.data, asked.size, &self.message)
        cdef TableShape shape
        if verdict == DECODE_NO_METHOD or verdict == DECODE_NO_ARGUMENTS:
            return self.refuse(203, b"Protocol Error", out)
        if verdict != DECODE_OK or self.message.kind != KIND_QUERY:
            return 0
        if self.message.id == NULL:
            return self.refuse(203, b"Protocol Error", out)
        self.totals.queries += 1
        self.totals.read_only += self.message.read_only
        self.start_draft(asked, serial)
        if self.message.method == METHOD_ANNOUNCE_PEER:
            if not self.accept_announce(asked, serial):
                return self.refuse(203, b"Bad Token", out)
        elif self.message.method != METHOD_PING:
            if self.message.target == NULL:
                if self.message.method == METHOD_FIND_NODE or self.message.method == METHOD_GET_PEERS:
                    return self.refuse(203, b"Protocol Error", out)
                return self.refuse(204, b"Method Unknown", out)
            if self.message.method == METHOD_SAMPLE_INFOHASHES and not self.add_samples(serial, role):
                return self.refuse(204, b"Method Unknown", out)
            self.shape_of(serial, asked.place, &shape)
            if not self.message.want or self.message.want & WANT_V4:
                self.add_nodes(&shape)
            if self.message.method == METHOD_GET_PEERS:
                self.add_token(asked, serial)
                self.add_values(&shape, serial)
        if role != ROLE_HONEST:
            distort(self.people, &self.lie_key, role, serial, &self.message, &self.draft)
        if role == ROLE_WRONG_TID:
            memcpy(self.lied_tid, self.draft.tid.data, self.draft.tid.size)
            self.lied_tid[0] ^= 0xFF
            self.draft.tid.data = self.lied_tid
        return write_reply(&self.draft, out)

    cdef uint32_t refuse(self, int code, const char* text, uint8_t* out) noexcept nogil:  # R0
        self.totals.refusals += 1
        return write_refusal(&self.message.tid, code, text, out)

    cdef void start_draft(self, const Asked* asked, uint32_t serial) noexcept nogil:  # R0
        cdef uint32_t trait = <uint32_t>(mix_words(&self.trait_key, serial, 0) >> 16) & 0xFFFF
        cdef const char* version = b"LT\x02\x0b" if trait < LIBTORRENT_SHARE else b"UT\xae\x08"
        if trait >= UTORRENT_SHARE:
            version = b"JC\x00\x00" if trait & 1 else b"\x00\x00\x00\x00"
        memcpy(self.draft.version, version, 4)
        self.draft.asker_ip = asked.source_ip
        self.draft.asker_port = asked.source_port
        self.draft.tid = self.message.tid
        self.draft.has_nodes = False
        self.draft.has_token = False
        self.draft.has_samples = False
        self.draft.has_filters = False
        self.draft.is_unsorted = False
        self.draft.nodes_size = 0
        self.draft.value_count = 0
        self.draft.nesting = 0
        self.draft.pad_to = 0
        self.people.write_id(serial, asked.place, self.draft.id)

    cdef void shape_of(self, uint32_t serial, uint32_t place, TableShape* shape) noexcept nogil:  # R0
        """How the node keeps its table; all of it follows from the seed."""
        cdef uint64_t trait = mix_words(&self.trait_key, serial, 1)
        cdef uint32_t draw = <uint32_t>(trait >> 8) & 0xFFFF
        shape.place = place
        shape.prefix = read_be64(self.draft.id)
        shape.is_widened = self.has_widened and trait & 1
        shape.width = K
        if draw < self.wide_limit:
            shape.width = 16 + ((trait >> 32) % 5)
        elif draw < self.wide_limit + self.narrow_limit:
            shape.width = 1 + ((trait >> 32) % 3)

    cdef void add_nodes(self, const TableShape* shape) noexcept nogil:  # R0
        cdef uint32_t ranks[MAX_WIDTH]
        cdef uint32_t i, count
        count = closest_contacts(self.people, &self.table_key, shape, read_be64(self.message.target), ranks)
        for i in range(count):
            swarm_prefetch(&self.people.nodes[ranks[i]])
        for i in range(count):
            self.people.write_contact(&self.people.nodes[ranks[i]], self.draft.nodes + 26 * i)
        self.draft.nodes_size = 26 * count
        self.draft.has_nodes = True

    cdef void make_token(self, const Asked* asked, uint32_t serial, uint8_t* out) noexcept nogil:  # R0
        """Bound to node, asker and infohash; good for the swarm's whole run, which no expiry test may rely on."""
        cdef uint64_t who = (<uint64_t>serial << 32) | asked.source_ip
        write_be64(out, mix_words(&self.token_key, who, read_be64(self.message.target)))

    cdef bint add_samples(self, uint32_t serial, Role role) noexcept nogil:  # R0
        """Add what the node holds, if it knows the method; False: it refuses. A liar of no other method takes it
        for find_node."""
        cdef Support support
        if not self.has_catalog:
            return True
        if ROLE_HUGE_NUM <= role <= ROLE_REPEATED_SAMPLES:
            self.catalog.choose_samples(serial, read_be64(self.draft.id), self.now_us, &self.draft.holding)
            self.draft.has_samples = True
        if role != ROLE_HONEST:
            return True
        support = self.catalog.support_of(serial)
        if support == SUPPORT_SAMPLES:
            self.catalog.take_samples(serial, read_be64(self.draft.id), self.now_us, &self.draft.holding)
            self.draft.has_samples = True
        return support != SUPPORT_REFUSES

    cdef void add_token(self, const Asked* asked, uint32_t serial) noexcept nogil:  # R0
        self.make_token(asked, serial, self.draft.token)
        self.draft.has_token = True

    cdef bint accept_announce(self, const Asked* asked, uint32_t serial) noexcept nogil:  # R0
        """Store the asker."""
        cdef uint8_t token[TOKEN_BYTES]
        cdef uint32_t port = asked.source_port
        if self.message.target == NULL or self.message.token.size != TOKEN_BYTES:
            return False
        self.make_token(asked, serial, token)
        if memcmp(token, self.message.token.data, TOKEN_BYTES) != 0:
            return False
        if not self.message.implied_port:
            if not self.message.present & HAS_PORT or not 0 < self.message.port < 65536:
                return False
            port = <uint32_t>self.message.port
        self.totals.announces += self.store.add(serial, self.message.target, asked.source_ip, <uint16_t>port)
        return True

    cdef void add_values(self, const TableShape* shape, uint32_t serial) noexcept nogil:  # R0
        cdef uint32_t i
        if self.totals.announces:
            self.draft.value_count = self.store.write(serial, self.message.target, MAX_VALUES, self.draft.values)
        if not self.has_values_everywhere and not self.knows(self.message.target):
            return
        if not is_among_closest(self.people, shape.prefix, read_be64(self.message.target), K):
            return
        if self.has_crowds:
            self.crowds.tell(serial, &self.message, &self.draft)
            return
        for i in range(min(<uint32_t>TORRENT_PEERS, <uint32_t>MAX_VALUES - self.draft.value_count)):
            write_torrent_peer(&self.torrent_key, self.message.target, i, self.draft.values + 6 * self.draft.value_count)
            self.draft.value_count += 1

    cdef bint knows(self, const uint8_t* info_hash) noexcept nogil:  # R0
        return ((self.has_catalog and self.catalog.knows(info_hash))
                or is_torrent(&self.torrent_key, self.torrents, info_hash))

    def handle(self, data: bytes, source: tuple, destination: tuple, now_us: int = 0) -> list:
        """The datagrams sent to one that came from `source` to `destination`, each (host order ip, port), at `now_us`.

        Returns a list of (from_other_port, bytes); simulated loss and the counters apply.
        """
        cdef bytearray room = bytearray(REPLY_ROOM)
        cdef Asked asked
        cdef Outcome outcome
        cdef uint32_t serial
        cdef Role role
        self.now_us = now_us
        asked.data = data
        asked.size = <uint32_t>len(data)
        asked.source_ip = source[0]
        asked.source_port = source[1]
        asked.place = ((destination[1] - self.people.base_port) & 0xFF) << HOST_BITS | (destination[0] & 0xFFFFFF)
        serial = self.expect(asked.place)
        role = self.admit(serial)
        if role == ROLE_DEAD:
            return []
        self.respond(&asked, serial, role, room, &outcome)
        return [(bool(outcome.from_other_port), bytes(room[:outcome.size]))] * outcome.copies

    def answer(self, serial: int, target: bytes) -> bytes:
        """The compact contacts (26 bytes each) in an honest node's table that are closest to a 20-byte target."""
        cdef TableShape shape
        cdef uint32_t ranks[MAX_WIDTH]
        cdef uint8_t contacts[26 * MAX_WIDTH]
        cdef uint32_t i, count, place
        if not 0 <= serial < self.people.total or len(target) != 20:
            raise ValueError(f"serial {serial} of {self.people.total}, target of {len(target)} bytes; 20 needed")
        place = self.people.place_of(serial)
        self.people.write_id(serial, place, self.draft.id)
        self.shape_of(serial, place, &shape)
        count = closest_contacts(self.people, &self.table_key, &shape, read_be64(target), ranks)
        for i in range(count):
            self.people.write_contact(&self.people.nodes[ranks[i]], contacts + 26 * i)
        return contacts[:26 * count]

    def replay(self, queries: list, rounds: int) -> int:
        """Answer each query `rounds` times in memory, every time as another node; the bytes made. For benchmarks."""
        cdef bytearray room = bytearray(REPLY_ROOM)
        cdef uint8_t* out = room
        cdef Asked* asked = <Asked*>calloc(max(len(queries), 1), sizeof(Asked))
        cdef uint32_t i, round, serial, count = len(queries), round_count = rounds
        cdef uint64_t made = 0
        cdef uint64_t number = self.totals.received         # so that a second call asks other nodes
        cdef Outcome outcome
        cdef Role role
        if not asked:
            raise MemoryError(f"no memory for {count} queries")
        for i in range(count):
            asked[i].data = queries[i]
            asked[i].size = <uint32_t>len(queries[i])
        with nogil:
            for round in range(round_count):
                for i in range(count):
                    number += 1
                    serial = <uint32_t>(number * <uint64_t>0x9E3779B97F4A7C15 >> 32)
                    serial = <uint32_t>(<uint64_t>serial * self.people.first_serial[1] >> 32)
                    asked[i].place = self.people.place_of(serial)
                    serial = self.expect(asked[i].place)
                    role = self.admit(serial)
                    if role != ROLE_DEAD:
                        self.respond(&asked[i], serial, role, out, &outcome)
                        made += outcome.size
        free(asked)
        return made

    def torrent(self, number: int) -> bytes:
        """The infohash of a synthetic torrent, 0 ≤ number < torrents."""
        cdef uint8_t info_hash[20]
        if not 0 <= number < self.torrents:
            raise ValueError(f"torrent {number}; there are {self.torrents}")
        write_torrent(&self.torrent_key, number, info_hash)
        return info_hash[:20]

    def torrent_peers(self, info_hash: bytes) -> bytes:
        """The compact peers (6 bytes each) told for a synthetic torrent."""
        cdef uint8_t peers[6 * TORRENT_PEERS]
        cdef uint32_t i
        if len(info_hash) != 20:
            raise ValueError(f"infohash is {len(info_hash)} bytes; 20 needed")
        for i in range(<uint32_t>TORRENT_PEERS):
            write_torrent_peer(&self.torrent_key, info_hash, i, peers + 6 * i)
        return peers[:6 * TORRENT_PEERS]

    def counters(self) -> dict:
        """Totals since the start, by name; exact once nothing is being received."""
        sampled = {"sampled": self.catalog.sampled, "interval_violations": self.catalog.violations} if self.catalog else {}
        return {**self.totals, **sampled, **({"limits_forgotten": self.limit.forgotten} if self.limit else {})}

    def span_us(self) -> tuple:
        """When the first and the last datagram came, after the start, as sessions count; zeros before there was one."""
        if self.totals.received == 0:
            return 0, 0
        return self.first_us - self.started_us, self.last_us - self.started_us

    def max_packets_per_ip(self) -> int:
        """The most datagrams that one address received, over all its ports. Takes 64 MB while it runs."""
        cdef uint32_t* sums = <uint32_t*>calloc(<size_t>1 << HOST_BITS, sizeof(uint32_t))
        cdef uint32_t serial, host, most = 0
        if not sums:
            raise MemoryError("no memory to sum up what each address received")
        with nogil:
            for serial in range(self.people.total):
                if self.asked_counts[serial]:
                    host = self.people.place_of(serial) & 0xFFFFFF
                    sums[host] += self.asked_counts[serial]
                    most = max(most, sums[host])
        free(sums)
        return most

    def asked(self, start: int, count: int) -> bytes:
        """Datagrams received by each of `count` contacts from serial `start`: native uint32."""
        cdef uint32_t first = min(start, self.people.total)
        cdef uint32_t last = min(start + count, self.people.total)
        return (<const uint8_t*>(self.asked_counts + first))[:4 * <Py_ssize_t>(last - first)]
