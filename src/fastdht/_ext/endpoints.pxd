"""Endpoints as Python sees them: the text of an address, and a port. Rate class: lookup."""
from fastdht._ext.addresses cimport Endpoint


cdef str host_text(const Endpoint* endpoint)
