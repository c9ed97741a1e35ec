"""Who may not be asked for samples yet: an open hash table in memory that its owner may map to a file.

Rate class: packet (claim, settle), second (growth).
Theory of operation. `claim` writes down that an endpoint is being asked before the question is sent, for the longest
interval there is: an answer may be lost, and a crawl may be killed. `settle` shortens that to what the node tells. An
endpoint counts, whatever id it answers under: ids are told by others, and could be told to keep a node unasked.
Invariants: an entry is never removed but by growth, once its time has passed; a full table is never searched, for its
owner stops asking at three quarters. Source: BEP 51 (interval, 0 to 21,600 s).
"""
from libc.stdint cimport uint8_t

from fastdht._ext.addresses cimport hash_endpoint, load_compact
from fastdht._ext.hashing cimport load_key

HEADER_SIZE = LEDGER_HEADER
ENTRY_SIZE = sizeof(LedgerEntry)
LONGEST_S = MAX_INTERVAL_S + MARGIN_S


cdef class Ledger:
    """The table in `buffer`: a writable buffer of a 64-byte header, left alone, and a power of two of 16-byte entries.

    `key` (16 bytes) must be the one that the entries were made with. `wall_offset_us`: Unix time less the clock that
    `now_us` is taken from. Raises ValueError.
    """

    def __init__(self, buffer, key: bytes, wall_offset_us: int = 0):
        if len(key) != 16:
            raise ValueError(f"key is {len(key)} bytes; 16 needed")
        load_key(&self.key, <const uint8_t*><bytes>key)
        self.wall_offset_us = wall_offset_us
        self.adopt(buffer)

    cdef int adopt(self, object buffer) except -1:
        cdef uint64_t i
        cdef unsigned char[::1] view = buffer
        size = (view.shape[0] - LEDGER_HEADER) // <Py_ssize_t>sizeof(LedgerEntry)
        if size < 16 or size & (size - 1) or view.shape[0] != LEDGER_HEADER + size * <Py_ssize_t>sizeof(LedgerEntry):
            raise ValueError(f"a ledger is {view.shape[0]} bytes; {LEDGER_HEADER} and a power of two of entries needed")
        self.buffer = buffer
        self.view = view
        self.entries = <LedgerEntry*>&view[LEDGER_HEADER]
        self.size = size
        self.count = 0
        with nogil:
            for i in range(self.size):
                self.count += self.entries[i].mark != 0
        return 0

    cdef uint32_t wall_s(self, int64_t now_us) noexcept nogil:  # R0
        return <uint32_t>((now_us + self.wall_offset_us) // 1000000)

    cdef uint64_t mark_of(self, const Endpoint* endpoint) noexcept nogil:  # R0
        cdef uint64_t mark = hash_endpoint(&self.key, endpoint)
        return mark if mark else 1

    cdef LedgerEntry* find(self, uint64_t mark) noexcept nogil:  # R0
        """The entry of a mark, or the free one where it belongs; NULL when the table is full without it."""
        cdef uint64_t at = mark & (self.size - 1)
        cdef uint64_t left
        for left in range(self.size):
            if self.entries[at].mark == mark or self.entries[at].mark == 0:
                return &self.entries[at]
            at = (at + 1) & (self.size - 1)
        return NULL

    cdef bint claim(self, const Endpoint* endpoint, int64_t now_us) noexcept nogil:  # R0
        """Whether the endpoint may be asked now; then it may not be again before the longest interval has passed."""
        cdef uint64_t mark = self.mark_of(endpoint)
        cdef LedgerEntry* entry = self.find(mark)
        if entry == NULL or (entry.mark == mark and entry.not_before_s > self.wall_s(now_us)):
            return False
        self.count += entry.mark == 0
        entry.not_before_s = self.wall_s(now_us) + 1 + MAX_INTERVAL_S + MARGIN_S
        entry.mark = mark
        return True

    cdef void settle(self, const Endpoint* endpoint, int64_t interval_s, int64_t now_us) noexcept nogil:  # R0
        """The endpoint has told its interval; what is outside the bounds counts as the bound."""
        cdef uint64_t mark = self.mark_of(endpoint)
        cdef LedgerEntry* entry = self.find(mark)
        if entry != NULL and entry.mark == mark and entry.not_before_s > self.wall_s(now_us):
            interval_s = min(max(interval_s, <int64_t>0), <int64_t>MAX_INTERVAL_S)
            entry.not_before_s = self.wall_s(now_us) + 1 + <uint32_t>interval_s + MARGIN_S

    cdef bint is_crowded(self) noexcept nogil:  # R0
        return self.count * 4 >= self.size * 3

    def __len__(self):
        return self.count

    @property
    def capacity(self) -> int:
        """How many entries there is room for; half of them should stay free."""
        return self.size

    def set_wall_offset(self, offset_us: int) -> None:
        """The machine has slept, or its clock was set: Unix time less the clock of `now_us`, from now on. Never less."""
        self.wall_offset_us = max(self.wall_offset_us, <int64_t>offset_us)

    def count_live(self, now_us: int) -> int:
        """How many endpoints may not be asked yet."""
        cdef uint64_t i, live = 0
        cdef uint32_t now_s = self.wall_s(now_us)
        with nogil:
            for i in range(self.size):
                live += self.entries[i].mark != 0 and self.entries[i].not_before_s > now_s
        return live

    def move(self, buffer, now_us: int) -> None:
        """Go on in another buffer of zeros behind its header, without the entries whose time has passed.

        The old buffer is released. Raises ValueError when the new one has no room.
        """
        cdef unsigned char[::1] kept = self.view
        cdef LedgerEntry* old = self.entries
        cdef LedgerEntry* entry
        cdef uint64_t i, old_size = self.size
        cdef uint32_t now_s = self.wall_s(now_us)
        live = self.count_live(now_us)
        if (len(buffer) - LEDGER_HEADER) // sizeof(LedgerEntry) < live:
            raise ValueError(f"{live} entries do not fit a ledger of {len(buffer)} bytes")
        self.adopt(buffer)
        with nogil:
            for i in range(old_size):
                if old[i].mark != 0 and old[i].not_before_s > now_s:
                    entry = self.find(old[i].mark)
                    entry[0] = old[i]
                    self.count += 1
        del kept

    def release(self) -> None:
        """Let go of the buffer, so that its mapping can be closed; the ledger is then empty and full."""
        self.view = None
        self.buffer = None
        self.entries = NULL
        self.size = self.count = 0

    def ask(self, packed: bytes, now_us: int) -> bool:
        """`claim` for a compact endpoint (6 or 18 bytes), for tests and tools."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        return self.claim(&endpoint, now_us)

    def answered(self, packed: bytes, interval_s: int, now_us: int) -> None:
        """`settle`, likewise."""
        cdef Endpoint endpoint
        load_compact(packed, &endpoint)
        self.settle(&endpoint, interval_s, now_us)
