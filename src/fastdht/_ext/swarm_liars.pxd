"""How each adversary spoils an honest draft. Rate class: packet."""
from libc.stdint cimport uint32_t

from fastdht._ext.krpc cimport Message
from fastdht._ext.hashing cimport HashKey
from fastdht._ext.swarm_population cimport Population, Role
from fastdht._ext.swarm_replies cimport Draft


cdef void distort(Population people, const HashKey* key, Role role, uint32_t serial, const Message* message,
                  Draft* draft) noexcept nogil
