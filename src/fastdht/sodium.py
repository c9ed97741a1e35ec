"""The library behind Ed25519, loaded only when a signature is needed. Rate class: command.

libsodium comes through pysodium; where that or the system library is missing and PyNaCl is installed, PyNaCl's own
copy of libsodium serves. Both are the same four functions to `crypto`. Invariant: importing this module needs neither.
"""
from __future__ import annotations

import ctypes
import functools
import importlib
import sys
from types import ModuleType
from typing import Any, Protocol

from fastdht.errors import DHTError

POINT_SIZE = 32
SIGNATURE_SIZE = 64
# Platform as in sys.platform → how to get the library there.
INSTALL_COMMANDS = {
    "linux": "apt-get install libsodium23 (Debian, Ubuntu), dnf install libsodium (Fedora), apk add libsodium (Alpine)",
    "darwin": "brew install libsodium",
    "win32": "vcpkg install libsodium, or put libsodium.dll of its official release on PATH",
    "freebsd": "pkg install libsodium",
}
INSTEAD = "or, instead of it: pip install 'fastdht[nacl]'"


class SodiumMissing(DHTError, ImportError):
    """libsodium, which signs and verifies BEP 44 items, could not be loaded; the message names its package."""


class Backend(Protocol):
    """Ed25519 as libsodium gives it; sizes are checked by the caller."""

    def verify(self, signature: bytes, message: bytes, public_key: bytes) -> bool: ...
    def public_key(self, seed: bytes) -> bytes: ...
    def sign(self, seed: bytes, public_key: bytes, message: bytes) -> bytes: ...
    def multiply_base(self, scalar: bytes) -> bytes: ...


@functools.cache
def backend() -> Backend:
    """What signs and verifies here. Raises SodiumMissing when nothing is installed that can; then asks again."""
    try:
        return Pysodium(load_sodium())
    except SodiumMissing as error:
        bindings = load_nacl()
        if bindings is None:
            raise SodiumMissing(f"{error}; {INSTEAD}") from error
        return PyNaCl(bindings)


def load_sodium() -> ModuleType:
    """The `pysodium` module. Raises SodiumMissing when it or the shared library behind it is not installed."""
    try:
        return importlib.import_module("pysodium")
    except ModuleNotFoundError as error:
        if error.name != "pysodium":
            raise
        raise SodiumMissing("pysodium is not installed; signed items need it: pip install pysodium") from error
    # TypeError: pysodium on Windows hands the absent library's None to ctypes
    except (ImportError, OSError, ValueError, AttributeError, TypeError) as error:
        command = install_command(sys.platform)
        raise SodiumMissing(f"libsodium was not found; signed items need it: {command}") from error


def load_nacl() -> ModuleType | None:
    """PyNaCl's bindings, or None when it is not installed."""
    try:
        return importlib.import_module("nacl.bindings")
    except ImportError:
        return None


def install_command(platform: str) -> str:
    """What to type on `platform` (a value of sys.platform) to install libsodium."""
    for prefix, command in INSTALL_COMMANDS.items():
        if platform.startswith(prefix):
            return command
    return "install the package of your system that holds libsodium"


class Pysodium:
    """The system's libsodium."""

    def __init__(self, module: Any) -> None:
        self._module = module
        module.sodium_init()        # pysodium leaves it to its user; libsodium asks for it before anything else

    def verify(self, signature: bytes, message: bytes, public_key: bytes) -> bool:
        try:
            self._module.crypto_sign_verify_detached(signature, message, public_key)
        except ValueError:
            return False
        return True

    def public_key(self, seed: bytes) -> bytes:
        return bytes(self._module.crypto_sign_seed_keypair(seed)[0])

    def sign(self, seed: bytes, public_key: bytes, message: bytes) -> bytes:
        return bytes(self._module.crypto_sign_detached(message, seed + public_key))

    def multiply_base(self, scalar: bytes) -> bytes:
        """pysodium wraps no scalar multiplication; the library that it has loaded is asked directly."""
        point = ctypes.create_string_buffer(POINT_SIZE)
        try:
            multiply = self._module.sodium.crypto_scalarmult_ed25519_base_noclamp
        except AttributeError as error:
            raise SodiumMissing("this libsodium cannot sign with expanded keys: 1.0.18 or newer is needed, "
                                "not a minimal build") from error
        if multiply(point, scalar):
            raise ValueError("the scalar is 0")
        return point.raw


class PyNaCl:
    """The libsodium that PyNaCl carries."""

    def __init__(self, bindings: Any) -> None:
        self._bindings = bindings
        self._bad = importlib.import_module("nacl.exceptions").BadSignatureError

    def verify(self, signature: bytes, message: bytes, public_key: bytes) -> bool:
        try:
            self._bindings.crypto_sign_open(signature + message, public_key)
        except self._bad:
            return False
        return True

    def public_key(self, seed: bytes) -> bytes:
        return bytes(self._bindings.crypto_sign_seed_keypair(seed)[0])

    def sign(self, seed: bytes, public_key: bytes, message: bytes) -> bytes:
        return bytes(self._bindings.crypto_sign(message, seed + public_key)[:SIGNATURE_SIZE])

    def multiply_base(self, scalar: bytes) -> bytes:
        return bytes(self._bindings.crypto_scalarmult_ed25519_base_noclamp(scalar))
