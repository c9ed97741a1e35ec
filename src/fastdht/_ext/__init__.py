"""Compiled code: everything entered per packet. Imports nothing of fastdht outside itself."""
