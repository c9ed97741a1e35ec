"""Ed25519 through libsodium, loaded only when a signature is needed. Rate class: command.

Invariant: importing this module, like all of fastdht, needs no libsodium; only BEP 44's signed items do.
"""
from __future__ import annotations

import importlib
import sys
from types import ModuleType

from fastdht.errors import DHTError

# Platform as in sys.platform → how to get the library there.
INSTALL_COMMANDS = {
    "linux": "apt-get install libsodium23 (Debian, Ubuntu), dnf install libsodium (Fedora), apk add libsodium (Alpine)",
    "darwin": "brew install libsodium",
    "win32": "vcpkg install libsodium, or put libsodium.dll of its official release on PATH",
    "freebsd": "pkg install libsodium",
}


class SodiumMissing(DHTError, ImportError):
    """libsodium, which signs and verifies BEP 44 items, could not be loaded; the message names its package."""


def load_sodium() -> ModuleType:
    """The `pysodium` module. Raises SodiumMissing when it or the shared library behind it is not installed."""
    try:
        return importlib.import_module("pysodium")
    except ModuleNotFoundError as error:
        if error.name != "pysodium":
            raise
        raise SodiumMissing("pysodium is not installed; signed items need it: pip install pysodium") from error
    except (ImportError, OSError, ValueError, AttributeError) as error:     # however ctypes fails to find or bind it
        command = install_command(sys.platform)
        raise SodiumMissing(f"libsodium was not found; signed items need it: {command}") from error


def verify(signature: bytes, message: bytes, public_key: bytes) -> bool:
    """Whether the 64-byte Ed25519 signature of `message` is the 32-byte public key's. Raises SodiumMissing."""
    try:
        load_sodium().crypto_sign_verify_detached(signature, message, public_key)
    except ValueError:
        return False
    return True


def install_command(platform: str) -> str:
    """What to type on `platform` (a value of sys.platform) to install libsodium."""
    for prefix, command in INSTALL_COMMANDS.items():
        if platform.startswith(prefix):
            return command
    return "install the package of your system that holds libsodium"
