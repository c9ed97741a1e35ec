"""Distance arithmetic and BEP 42 ids for both families. Rate class: packet.

CRC32C uses the SSE4.2 instruction where the processor has it, chosen when the module loads, and a table elsewhere.
Source: BEP 5 (metric), BEP 42 (id restriction), RFC 3720 B.4 (CRC32C, reflected polynomial 0x82F63B78).
"""
from fastdht._ext.addresses cimport FAMILY_V4, FAMILY_V6, load_compact, read_compact, write_be32, write_be64
from fastdht._ext.hashing cimport fill_random, seed_rng

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        object (*tp_new)(PyTypeObject* cls, object arguments, void* keywords)
    PyTypeObject PyBytes_Type

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(_MSC_VER)
    #include <intrin.h>
    static int fastdht_clz64(uint64_t x) {
        unsigned long i; _BitScanReverse64(&i, x); return 63 - (int)i;
    }
    #else
    static int fastdht_clz64(uint64_t x) { return __builtin_clzll(x); }
    #endif
    #if (defined(__x86_64__) || defined(__i386__)) && (defined(__GNUC__) || defined(__clang__))
    #include <nmmintrin.h>
    __attribute__((target("sse4.2")))
    static uint32_t fastdht_crc_hardware(uint32_t crc, const uint8_t *data, uint32_t size) {
        while (size--) crc = _mm_crc32_u8(crc, *data++);
        return crc;
    }
    static int fastdht_has_crc(void) { __builtin_cpu_init(); return __builtin_cpu_supports("sse4.2"); }
    #else
    static uint32_t fastdht_crc_hardware(uint32_t crc, const uint8_t *data, uint32_t size) {
        (void)data; (void)size; return crc;
    }
    static int fastdht_has_crc(void) { return 0; }
    #endif
    """
    int fastdht_clz64(uint64_t x) nogil
    uint32_t fastdht_crc_hardware(uint32_t crc, const uint8_t* data, uint32_t size) nogil
    int fastdht_has_crc() nogil

cdef uint32_t crc_table[256]
cdef bint has_crc_instruction = fastdht_has_crc()


cdef void fill_crc_table() noexcept nogil:
    cdef uint32_t i, crc
    cdef int bit
    for i in range(256):
        crc = i
        for bit in range(8):
            crc = (crc >> 1) ^ (<uint32_t>0x82F63B78 * (crc & 1))
        crc_table[i] = crc


fill_crc_table()


cdef uint32_t crc_by_table(uint32_t crc, const uint8_t* data, uint32_t size) noexcept nogil:  # R0
    cdef uint32_t i
    for i in range(size):
        crc = (crc >> 8) ^ crc_table[(crc ^ data[i]) & 0xFF]
    return crc


cdef uint32_t crc32c(const uint8_t* data, uint32_t size) noexcept nogil:  # R0
    if has_crc_instruction:
        return ~fastdht_crc_hardware(0xFFFFFFFF, data, size)
    return ~crc_by_table(0xFFFFFFFF, data, size)


cdef int load_seed(bytes packed, Contact* out) except -1:
    """A contact of compact node info (26 or 38 bytes), or of a compact endpoint, whose id is then zero; 1 if it has one."""
    cdef const uint8_t* data = packed
    memset(out, 0, sizeof(Contact))
    if len(packed) != COMPACT_NODE_V4 and len(packed) != COMPACT_NODE_V6:
        load_compact(packed, &out.endpoint)
        return 0
    memcpy(out.id, data, ID_SIZE)
    read_compact(data + ID_SIZE, FAMILY_V4 if len(packed) == COMPACT_NODE_V4 else FAMILY_V6, &out.endpoint)
    return 1


cdef int prefix_length(const uint8_t* a, const uint8_t* b) noexcept nogil:  # R0
    """Count of leading bits that two ids share, 0 to 160."""
    cdef Distance d = distance_between(a, b)
    if d.high:
        return fastdht_clz64(d.high)
    if d.middle:
        return 64 + fastdht_clz64(d.middle)
    if d.low:
        return 96 + fastdht_clz64(d.low)
    return 160


cdef uint32_t secure_prefix(const Endpoint* endpoint, uint8_t last_byte) noexcept nogil:  # R0
    """The CRC whose first 21 bits a BEP 42 id at this address must have, given the id's last byte."""
    cdef uint8_t masked[8]
    if endpoint.family == FAMILY_V4:
        write_be32(masked, <uint32_t>endpoint.low & 0x030F3FFF)
        masked[0] |= (last_byte & 7) << 5
        return crc32c(masked, 4)
    write_be64(masked, endpoint.high & <uint64_t>0x0103070F1F3F7FFF)
    masked[0] |= (last_byte & 7) << 5
    return crc32c(masked, 8)


cdef bint is_secure_id(const uint8_t* node_id, const Endpoint* endpoint) noexcept nogil:  # R0
    """Whether the id carries the 21-bit prefix that BEP 42 derives from the address. Exempts no address."""
    return ((read_be32(node_id) ^ secure_prefix(endpoint, node_id[19])) >> 11) == 0


cdef void make_secure_id(const Endpoint* endpoint, Rng* rng, uint8_t* out) noexcept nogil:  # R0
    """Write a random id that BEP 42 accepts at this address."""
    cdef uint32_t prefix
    fill_random(rng, out, ID_SIZE)
    prefix = secure_prefix(endpoint, out[19])
    out[0] = <uint8_t>(prefix >> 24)
    out[1] = <uint8_t>(prefix >> 16)
    out[2] = <uint8_t>((prefix >> 8) & 0xF8) | (out[2] & 7)


cdef int check_id(bytes node_id) except -1:
    if len(node_id) != ID_SIZE:
        raise ValueError(f"id is {len(node_id)} bytes; 20 needed")
    return 0


def as_id(cls, value):
    """cls(value), a subclass of bytes that only checks the size, without its Python calls where the size is right."""
    if type(value) is bytes and len(value) == ID_SIZE:
        return PyBytes_Type.tp_new(<PyTypeObject*>cls, (value,), NULL)
    return cls(value)


def distance(a: bytes, b: bytes) -> int:
    """XOR distance of two 20-byte ids as an unsigned 160-bit integer (BEP 5)."""
    check_id(a)
    check_id(b)
    cdef Distance d = distance_between(a, b)
    return (int(d.high) << 96) | (int(d.middle) << 32) | int(d.low)


def shared_prefix(a: bytes, b: bytes) -> int:
    """Count of leading bits that two 20-byte ids share, 0 to 160."""
    check_id(a)
    check_id(b)
    return prefix_length(a, b)


def is_secure(node_id: bytes, packed: bytes) -> bool:
    """Whether BEP 42 accepts a 20-byte id at a compact endpoint (6 or 18 bytes); no address is exempt."""
    cdef Endpoint endpoint
    check_id(node_id)
    load_compact(packed, &endpoint)
    return is_secure_id(node_id, &endpoint)


def secure_id(packed: bytes, seed: int) -> bytes:
    """A 20-byte id that BEP 42 accepts at a compact endpoint, random from a 64-bit `seed`."""
    cdef Endpoint endpoint
    cdef Rng rng
    cdef uint8_t out[ID_SIZE]
    load_compact(packed, &endpoint)
    seed_rng(&rng, seed)
    make_secure_id(&endpoint, &rng, out)
    return out[:ID_SIZE]


def random_id(seed: int) -> bytes:
    """A uniformly random 20-byte id from a 64-bit `seed`."""
    cdef Rng rng
    cdef uint8_t out[ID_SIZE]
    seed_rng(&rng, seed)
    fill_random(&rng, out, ID_SIZE)
    return out[:ID_SIZE]


def crc32c_of(data: bytes) -> int:
    """CRC32C of `data` (RFC 3720); the instruction and the table give the same."""
    return crc32c(data, <uint32_t>len(data))


def crc32c_by_table(data: bytes) -> int:
    """CRC32C without the processor's instruction, for tests."""
    return <uint32_t>~crc_by_table(0xFFFFFFFF, data, <uint32_t>len(data))
