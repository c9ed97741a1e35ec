"""Key files: ours, and those of mh-cbon/dht with all that is odd about them."""
from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastdht.crypto import BEP44_TEST, SigningKey, verify
from fastdht.errors import PersistError
from fastdht.keyfiles import is_usable_by_reference, load_key, save_key
from tests.oracle import ed25519

USABLE_SEED = bytes(range(31)) + b"\x21"        # its top byte, 0x21, makes a small last digit
UNUSABLE_SEED = bytes(range(31)) + b"\xf6"      # as the key that mh-cbon/dht ships, whose top byte is 246


def write_reference(folder: Path, seed: bytes, end: str = "") -> Path:
    """A file as mh-cbon/dht writes it: seed and public key in lower-case digits."""
    path = folder / "hello.key"
    path.write_text((seed + SigningKey.from_seed(seed).public_key).hex() + end)
    path.chmod(0o600)
    return path


def test_save_when_seed_then_load_gives_it_back(tmp_path: Path) -> None:
    key = SigningKey.generate()
    path = save_key(key, "mine", tmp_path)
    assert path == tmp_path / "mine.key"
    assert load_key("mine", tmp_path).seed == load_key(path).seed == key.seed


def test_save_when_expanded_then_load_gives_it_back(tmp_path: Path) -> None:
    save_key(BEP44_TEST, "copy", tmp_path)
    assert load_key("copy", tmp_path).secret == BEP44_TEST.secret


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_save_when_written_then_only_the_owner_reads_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = save_key(SigningKey.generate(), "mine", tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_save_when_file_exists_then_refused_and_kept(tmp_path: Path) -> None:
    first = SigningKey.generate()
    save_key(first, "mine", tmp_path)
    with pytest.raises(PersistError, match="never written over"):
        save_key(SigningKey.generate(), "mine", tmp_path)
    assert load_key("mine", tmp_path).seed == first.seed


def test_load_when_bep44test_then_the_beps_key_without_a_file(tmp_path: Path) -> None:
    assert load_key("bep44test", tmp_path) is BEP44_TEST
    with pytest.raises(PersistError, match="another name"):
        save_key(SigningKey.generate(), "bep44test", tmp_path)


@pytest.mark.parametrize("end", ["", "\n"])
def test_load_when_reference_made_it_then_public_key_is_the_one_it_published(tmp_path: Path, end: str) -> None:
    path = write_reference(tmp_path, USABLE_SEED, end)
    key = load_key(path)
    assert key.public_key == ed25519.encode(ed25519.multiply(int.from_bytes(USABLE_SEED, "little")))
    assert key.public_key != SigningKey.from_seed(USABLE_SEED).public_key
    assert verify(key.sign(b"message"), b"message", key.public_key)


def test_load_when_reference_could_not_use_it_then_error_says_so_without_the_secret(tmp_path: Path) -> None:
    path = write_reference(tmp_path, UNUSABLE_SEED)
    with pytest.raises(PersistError, match=r"hello\.key.*wrong public key") as caught:
        load_key(path)
    assert UNUSABLE_SEED.hex() not in str(caught.value)


@given(st.binary(min_size=32, max_size=32))
def test_usable_when_any_scalar_then_as_its_digits_say(scalar: bytes) -> None:
    assert is_usable_by_reference(scalar) == (ed25519.ref10_digits(scalar)[63] <= 8)


@pytest.mark.parametrize(("scalar", "is_usable"), [
    (b"\x77" * 31 + b"\x87", True), (b"\x78" + b"\x77" * 30 + b"\x87", False),
    (b"\xff" * 31 + b"\x7f", True), (bytes(31) + b"\x90", False)])
def test_usable_when_on_the_edge_then_as_its_digits_say(scalar: bytes, is_usable: bool) -> None:
    assert is_usable_by_reference(scalar) == is_usable == (ed25519.ref10_digits(scalar)[63] <= 8)


@pytest.mark.parametrize(("content", "why"), [
    (b"", "secret key is 0 bytes"), (b"xyz", "no hexadecimal"), (b"\xff\xfe", "no hexadecimal"),
    (b"00" * 31, "31 bytes"), (b"ff" * 64, "neither")])
def test_load_when_content_is_no_key_then_error_names_file_and_reason(tmp_path: Path, content: bytes,
                                                                     why: str) -> None:
    path = tmp_path / "bad.key"
    path.write_bytes(content)
    with pytest.raises(PersistError, match=rf"bad\.key: .*{why}"):
        load_key("bad", tmp_path)


def test_load_when_there_is_no_file_then_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(PersistError, match=r"absent\.key: No such file"):
        load_key("absent", tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_load_when_others_can_read_it_then_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save_key(SigningKey.generate(), "mine", tmp_path)
    path.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        load_key(path)
    assert "chmod 600" in caplog.text
