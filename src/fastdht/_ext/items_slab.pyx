"""Items in hash chains, and in a chain for each subnet that stored some. Rate class: packet.

Invariants: every item in use is found under its target and stands in the chain of its origin; an origin in use has an
item. Memory is taken once and touched only as it is needed.
"""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from fastdht._ext.addresses cimport load_compact, read_be64
from fastdht._ext.hashing cimport mix_words
from fastdht._ext.ids cimport ID_SIZE


cdef class ItemSlab:
    """The storage under ItemStore; not made on its own."""

    cdef int allocate(self, uint32_t max_items) except -1:
        cdef uint32_t heads = 1 << int(max_items).bit_length()
        self.head_mask = heads - 1
        self.untouched_item = self.untouched_origin = 1
        self.items = <Item*>calloc(<size_t>max_items + 1, sizeof(Item))
        self.bodies = <Body*>calloc(<size_t>max_items + 1, sizeof(Body))
        self.origins = <Origin*>calloc(<size_t>max_items + 1, sizeof(Origin))
        self.heads = <uint32_t*>calloc(heads, sizeof(uint32_t))
        self.origin_heads = <uint32_t*>calloc(heads, sizeof(uint32_t))
        self.order = <uint32_t*>calloc(max_items, sizeof(uint32_t))
        if (self.items == NULL or self.bodies == NULL or self.origins == NULL or self.heads == NULL
                or self.origin_heads == NULL or self.order == NULL):
            raise MemoryError(f"a store of {max_items} items needs {max_items * sizeof(Body)} bytes")
        return 0

    def __dealloc__(self):
        free(self.items)
        free(self.bodies)
        free(self.origins)
        free(self.heads)
        free(self.origin_heads)
        free(self.order)

    # -- items ----------------------------------------------------------------------------------------------------

    cdef uint32_t find_item(self, const uint8_t* target, uint32_t kinds) noexcept nogil:  # R0
        cdef uint32_t item = self.head_of(target)[0]
        while item != NO_ITEM and (
                not self.items[item].kind & kinds or memcmp(self.items[item].target, target, ID_SIZE) != 0):
            item = self.items[item].next
        return item

    cdef uint32_t open_item(self, const uint8_t* target, uint32_t kind, uint64_t source) noexcept nogil:  # R0
        cdef uint32_t* head = self.head_of(target)
        cdef uint32_t item = self.free_item
        cdef Item* record
        cdef Origin* origin
        if item != NO_ITEM:
            self.free_item = self.items[item].next
        else:
            item = self.untouched_item
            self.untouched_item += 1
        record = &self.items[item]
        memset(record, 0, sizeof(Item))
        memcpy(record.target, target, ID_SIZE)
        record.kind = <uint8_t>kind
        record.source = source
        record.next = head[0]
        head[0] = item
        record.position = self.item_count
        self.order[self.item_count] = item
        self.item_count += 1
        record.origin = self.open_origin(source >> 8)
        origin = &self.origins[record.origin]
        record.next_of_origin = origin.first
        origin.first = item
        origin.count += 1
        return item

    cdef void close_item(self, uint32_t item) noexcept nogil:  # R0
        cdef Item* record = &self.items[item]
        cdef Origin* origin = &self.origins[record.origin]
        cdef uint32_t* link = self.head_of(record.target)
        while link[0] != item:
            link = &self.items[link[0]].next
        link[0] = record.next
        link = &origin.first
        while link[0] != item:
            link = &self.items[link[0]].next_of_origin
        link[0] = record.next_of_origin
        origin.count -= 1
        if origin.count == 0:
            self.close_origin(record.origin)
        self.item_count -= 1
        self.order[record.position] = self.order[self.item_count]
        self.items[self.order[record.position]].position = record.position
        record.kind = 0
        record.next = self.free_item
        self.free_item = item

    cdef uint32_t* head_of(self, const uint8_t* target) noexcept nogil:  # R0
        cdef uint64_t h = mix_words(&self.key, read_be64(target), read_be64(target + 8))
        return &self.heads[<uint32_t>h & self.head_mask]

    # -- origins --------------------------------------------------------------------------------------------------

    cdef void survey(self, uint64_t source, Survey* out) noexcept nogil:  # R0
        cdef uint32_t item, origin = self.find_origin(source >> 8)
        memset(out, 0, sizeof(Survey))
        if origin == NO_ORIGIN:
            return
        out.of_subnet = self.origins[origin].count
        item = self.origins[origin].first
        while item != NO_ITEM:
            if out.oldest_of_subnet == NO_ITEM or self.items[item].seen_us < self.items[out.oldest_of_subnet].seen_us:
                out.oldest_of_subnet = item
            if self.items[item].source == source:
                out.of_source += 1
                if (out.oldest_of_source == NO_ITEM
                        or self.items[item].seen_us < self.items[out.oldest_of_source].seen_us):
                    out.oldest_of_source = item
            item = self.items[item].next_of_origin

    cdef uint32_t find_origin(self, uint64_t subnet) noexcept nogil:  # R0
        cdef uint32_t origin = self.origin_head_of(subnet)[0]
        while origin != NO_ORIGIN and self.origins[origin].subnet != subnet:
            origin = self.origins[origin].next
        return origin

    cdef uint32_t open_origin(self, uint64_t subnet) noexcept nogil:  # R0
        """The origin of a subnet, made when it has none; one is always free, as each has an item."""
        cdef uint32_t* head
        cdef uint32_t origin = self.find_origin(subnet)
        if origin != NO_ORIGIN:
            return origin
        origin = self.free_origin
        if origin != NO_ORIGIN:
            self.free_origin = self.origins[origin].next
        else:
            origin = self.untouched_origin
            self.untouched_origin += 1
        head = self.origin_head_of(subnet)
        self.origins[origin].subnet = subnet
        self.origins[origin].count = 0
        self.origins[origin].first = NO_ITEM
        self.origins[origin].next = head[0]
        head[0] = origin
        return origin

    cdef void close_origin(self, uint32_t origin) noexcept nogil:  # R0
        cdef uint32_t* link = self.origin_head_of(self.origins[origin].subnet)
        while link[0] != origin:
            link = &self.origins[link[0]].next
        link[0] = self.origins[origin].next
        self.origins[origin].next = self.free_origin
        self.free_origin = origin

    cdef uint32_t* origin_head_of(self, uint64_t subnet) noexcept nogil:  # R0
        return &self.origin_heads[<uint32_t>mix_words(&self.key, subnet, 1) & self.head_mask]

    # -- for tests and tools --------------------------------------------------------------------------------------

    def targets(self) -> list[tuple[bytes, bool]]:
        """(target, whether mutable) of every item, expired ones too."""
        return [(self.items[self.order[i]].target[:ID_SIZE], self.items[self.order[i]].kind == ITEM_MUTABLE)
                for i in range(self.item_count)]

    def items_from(self, packed: bytes) -> tuple[int, int]:
        """How many items the source of a compact endpoint has here, and how many its subnet."""
        cdef Endpoint endpoint
        cdef Survey survey
        load_compact(packed, &endpoint)
        self.survey(source_of(&endpoint), &survey)
        return survey.of_source, survey.of_subnet

    def check_invariants(self) -> None:
        """Raise AssertionError unless every item is found, by target and by origin, and all counts are true."""
        cdef uint32_t i, item, count, counted = 0
        cdef Item* record
        seen = set()
        origins = set()
        for i in range(self.item_count):
            item = self.order[i]
            record = &self.items[item]
            require(record.position == i, f"item {item} is not at its position")
            require(self.find_item(record.target, record.kind) == item, f"item {item} is not found")
            require(record.kind == ITEM_IMMUTABLE or record.kind == ITEM_MUTABLE, f"item {item} is of no kind")
            require(0 < record.value_size <= MAX_VALUE, f"item {item} has a value of {record.value_size} bytes")
            require(self.find_origin(record.source >> 8) == record.origin, f"item {item} is under a wrong origin")
            seen.add(item)
            origins.add(record.origin)
        require(len(seen) == self.item_count, "an item stands twice")
        for origin in origins:
            count = 0
            item = self.origins[origin].first
            while item != NO_ITEM:
                count += 1
                require(item in seen and self.items[item].origin == <uint32_t>origin, f"item {item} is in a wrong chain")
                item = self.items[item].next_of_origin
            require(count == self.origins[origin].count, f"origin {origin} has {count} items, not as many as it says")
            counted += count
        require(counted == self.item_count, f"{counted} items have an origin, of {self.item_count}")


cdef int require(bint condition, str what) except -1:
    if not condition:
        raise AssertionError(what)
    return 0
