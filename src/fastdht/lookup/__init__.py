"""Lookup policy: when to ask, how many, when to stop. No bytes, no sockets, no clock. Rate class: lookup."""
