"""Found nodes as packed rows. Rate class: packet (filling), batch (columns)."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from fastdht._ext.addresses cimport Endpoint
from fastdht._ext.krpc cimport Message


cdef enum RowStatus:
    ROW_OK                      # answered under the id it was named with
    ROW_RENAMED                 # under another id, and twice the same


cdef struct FoundRow:           # 48 bytes, no padding
    uint8_t ip[16]              # an IPv4 address as ::ffff:a.b.c.d
    uint8_t id[20]
    uint32_t rtt_us
    uint8_t version[4]          # `v` of the answer
    uint16_t port               # host order
    uint8_t status              # RowStatus
    uint8_t has_version         # 0 or 1


cdef void fill_row(FoundRow* row, const Endpoint* endpoint, const Message* message, uint8_t status,
                   int64_t rtt_us) noexcept nogil
cdef void write_ip(const Endpoint* endpoint, uint8_t* out) noexcept nogil
cdef uint32_t write_number(char* out, uint32_t value) noexcept nogil
cdef uint32_t write_hex(char* out, const uint8_t* data, uint32_t size) noexcept nogil
cdef uint32_t write_address(char* out, const FoundRow* row) noexcept nogil
cdef uint32_t write_text(char* out, const char* text) noexcept nogil
