"""Bencode for Python: `decode` and `encode`, as fast as PyPI knows. Rate class: command.

Decoding is strict unless told otherwise; both directions bound their depth. The work is done in compiled code; this
module gives its errors their public class. Source: BEP 3, "bencoding".
"""
from __future__ import annotations

from fastdht._ext.codec_decode import decode, raise_as
from fastdht._ext.codec_encode import encode
from fastdht.errors import DecodeError

__all__ = ["DecodeError", "decode", "encode"]

raise_as(DecodeError)
