"""A PeerStore as bytes, and back. Rate class: command."""
from fastdht._ext.peers cimport PeerStore


cpdef bytes dump_peers(PeerStore store, now_us)
cpdef int load_peers(PeerStore store, bytes data, now_us, away_us=*) except -1
