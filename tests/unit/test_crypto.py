"""libsodium is loaded late, and its absence says what to install."""
from __future__ import annotations

import ctypes.util
import sys
import types

import pytest

from fastdht import crypto
from fastdht.errors import DHTError


def test_load_sodium_when_library_is_absent_then_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pysodium", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(crypto.SodiumMissing, match="apt-get install libsodium23") as caught:
        crypto.load_sodium()
    assert isinstance(caught.value, DHTError)


def test_load_sodium_when_pysodium_is_absent_then_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysodium", None)
    with pytest.raises(crypto.SodiumMissing, match="pip install pysodium"):
        crypto.load_sodium()


def test_load_sodium_when_absent_once_then_found_after_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysodium", None)
    with pytest.raises(crypto.SodiumMissing):
        crypto.load_sodium()
    installed = types.ModuleType("pysodium")
    monkeypatch.setitem(sys.modules, "pysodium", installed)
    assert crypto.load_sodium() is installed


@pytest.mark.parametrize(("platform", "command"), [
    ("linux", "dnf install libsodium"),
    ("darwin", "brew install libsodium"),
    ("win32", "libsodium.dll"),
    ("freebsd14", "pkg install libsodium"),
    ("sunos5", "the package of your system"),
])
def test_install_command_when_platform_is_known_then_names_its_package(platform: str, command: str) -> None:
    assert command in crypto.install_command(platform)
