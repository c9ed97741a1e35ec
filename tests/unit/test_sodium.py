"""libsodium is loaded late, and its absence says what to install."""
from __future__ import annotations

import ctypes.util
import sys
import types
from collections.abc import Iterator

import pytest

from fastdht import sodium
from fastdht.errors import DHTError


def test_load_sodium_when_library_is_absent_then_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pysodium", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(sodium.SodiumMissing, match="apt-get install libsodium23") as caught:
        sodium.load_sodium()
    assert isinstance(caught.value, DHTError)


def test_load_sodium_when_pysodium_is_absent_then_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysodium", None)
    with pytest.raises(sodium.SodiumMissing, match="pip install pysodium"):
        sodium.load_sodium()


def test_load_sodium_when_absent_once_then_found_after_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysodium", None)
    with pytest.raises(sodium.SodiumMissing):
        sodium.load_sodium()
    installed = types.ModuleType("pysodium")
    monkeypatch.setitem(sys.modules, "pysodium", installed)
    assert sodium.load_sodium() is installed


@pytest.mark.parametrize(("platform", "command"), [
    ("linux", "dnf install libsodium"),
    ("darwin", "brew install libsodium"),
    ("win32", "libsodium.dll"),
    ("freebsd14", "pkg install libsodium"),
    ("sunos5", "the package of your system"),
])
def test_install_command_when_platform_is_known_then_names_its_package(platform: str, command: str) -> None:
    assert command in sodium.install_command(platform)


@pytest.fixture
def _asked_anew() -> Iterator[None]:
    sodium.backend.cache_clear()
    yield
    sodium.backend.cache_clear()


@pytest.mark.usefixtures("_asked_anew")
def test_backend_when_pysodium_is_absent_then_pynacl_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nacl")
    monkeypatch.setitem(sys.modules, "pysodium", None)
    assert isinstance(sodium.backend(), sodium.PyNaCl)


@pytest.mark.usefixtures("_asked_anew")
def test_backend_when_both_are_absent_then_error_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysodium", None)
    monkeypatch.setitem(sys.modules, "nacl.bindings", None)
    with pytest.raises(sodium.SodiumMissing, match=r"pip install pysodium.*fastdht\[nacl\]"):
        sodium.backend()


def test_multiply_base_when_libsodium_is_too_old_then_error_says_which_is_needed() -> None:
    module = types.SimpleNamespace(sodium=types.SimpleNamespace(), sodium_init=lambda: 0)
    with pytest.raises(sodium.SodiumMissing, match=r"1\.0\.18"):
        sodium.Pysodium(module).multiply_base(bytes(32))
