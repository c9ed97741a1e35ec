"""State files: what is written is read again, and what is damaged harms nobody."""
from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from fastdht.errors import PersistError
from fastdht.persist import files
from fastdht.persist.files import Sealed, read_sealed, seal, unseal, write_file
from fastdht.persist.state import (
    MALFORMED, NewerFile, SavedContact, SavedSocket, SavedState, format_state, load_state, parse_state)
from fastdht.types import Endpoint, NodeId

CONTACTS = (SavedContact(Endpoint("1.2.3.4", 6881), NodeId(bytes(range(20))), 12_345, 3),
            SavedContact(Endpoint("2001:db8::1", 1), None))
STATE = SavedState((SavedSocket("0.0.0.0:6881", NodeId(b"a" * 20), "5.6.7.8", CONTACTS),
                    SavedSocket("[::]:0", None)), 1_700_000_000)
MUTATIONS = 20_000


def test_load_when_written_then_the_same(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    write_file(path, format_state(STATE))
    assert load_state(path) == STATE


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_write_when_new_then_only_the_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    before = os.umask(0)
    try:
        write_file(path, b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_load_when_there_is_no_file_then_empty_and_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_state(tmp_path / "state") == SavedState()
    assert not caplog.records


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_write_when_the_disk_is_full_then_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                            call: str) -> None:
    path = tmp_path / "state"
    write_file(path, b"old")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "write":
        monkeypatch.setattr(files, "write_synchronised", full)
    else:
        monkeypatch.setattr(os, call, full)
    with pytest.raises(PersistError, match="No space left"):
        write_file(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def damage(data: bytes, rng: Random) -> bytes:
    """One thing that happens to files: bits flip, ends are lost, blocks are zeroed, doubled or swapped."""
    at, end = sorted(rng.sample(range(len(data) + 1), 2))
    kind = rng.randrange(5)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + bytes(end - at) + data[end:]
    if kind == 3:
        return data[:end] + data[at:end] + data[end:]
    return data[:at] + rng.randbytes(end - at) + data[end:]


def test_unseal_when_damaged_in_any_way_then_persist_error(seed: int) -> None:
    rng = Random(seed)
    data = format_state(STATE)
    accepted = 0
    for _ in range(MUTATIONS):
        damaged = damage(data, rng)
        try:
            accepted += damaged != data and bool(unseal(damaged))
        except PersistError:
            pass
    assert accepted == 0


def test_parse_when_the_body_is_any_json_then_malformed_or_state(seed: int) -> None:
    """The checksum says that we wrote it; if that were wrong, still nothing else may escape."""
    rng = Random(seed)
    body = unseal(format_state(STATE)).body
    refused = 0
    for _ in range(MUTATIONS):
        try:
            parse_state(damage(body, rng))
        except MALFORMED:
            refused += 1
    assert refused > MUTATIONS // 2


@pytest.mark.parametrize("content", [
    b"", b"garbage", b"\0" * 1000, format_state(STATE)[:-1], seal(Sealed("stores", 1, b"")), seal(Sealed("state", 0, b"")),
    seal(Sealed("state", 1, b"[1]")), b'{"Nodes": 5}', b"[" * 100_000, b"{"])
def test_load_when_the_file_is_bad_then_set_aside_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture,
                                                          content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert load_state(path) == SavedState()
    assert not path.exists()
    assert (tmp_path / "state.bad").read_bytes() == content
    assert len(caplog.records) == 1 and "state.bad" in caplog.text


def test_load_when_it_is_a_folder_then_empty_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_state(tmp_path) == SavedState()
    assert len(caplog.records) == 1


def test_load_when_a_newer_version_wrote_it_then_untouched(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(seal(Sealed("state", 2, b"?")))
    with pytest.raises(NewerFile, match="layout 2"):
        load_state(path)
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_read_sealed_when_another_kind_then_persist_error(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_file(path, seal(Sealed("stores", 1, b"x")))
    assert read_sealed(path, "stores", 1) == b"x"
    with pytest.raises(PersistError, match="holds stores, not state"):
        read_sealed(path, "state", 1)


@pytest.mark.parametrize(("content", "places", "external"), [
    (b'{\n   "OldIP": null,\n   "Nodes": [\n      "1.2.3.4:6881",\n      "5.6.7.8:1"\n   ]\n}', 2, None),
    (b'{"OldIP": {"IP": "9.8.7.6", "Port": 7}, "Nodes": ["1.2.3.4:6881", "nonsense", "x:1", "5.6.7.8:1", 7]}', 2, "9.8.7.6"),
    (b'{"OldIP": null, "Nodes": null}', 0, None),
    (b'["1.2.3.4:6881", "5.6.7.8:1"]', 2, None)])
def test_load_when_bootstrap_json_then_its_addresses_and_a_copy(tmp_path: Path, content: bytes, places: int,
                                                               external: str | None) -> None:
    path = tmp_path / "bootstrap.json"
    path.write_bytes(content)
    state = load_state(path)
    assert [str(found.endpoint) for found in state.strangers] == ["1.2.3.4:6881", "5.6.7.8:1"][:places]
    assert [each.external for each in state.sockets] == ([external] if external else [])
    assert (tmp_path / "bootstrap.json.bak").read_bytes() == content


def test_load_when_a_killed_run_left_a_file_then_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_file(path, format_state(STATE))
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    (tmp_path / f".state.{int(gone.stdout)}.tmp").write_bytes(b"half")
    running = tmp_path / f".state.{os.getpid()}.tmp"
    running.write_bytes(b"half")
    assert load_state(path) == STATE
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([running.name, "state"])


def test_for_bind_when_ports_were_chosen_freely_then_by_address_and_order() -> None:
    first, second = SavedSocket("0.0.0.0:0", NodeId(b"1" * 20)), SavedSocket("0.0.0.0:0", NodeId(b"2" * 20))
    state = SavedState((first, SavedSocket("[::]:0", None), second))
    assert state.for_bind("0.0.0.0:0", 0) is first
    assert state.for_bind("0.0.0.0:0", 1) is second
    assert state.for_bind("0.0.0.0:0", 2) is None
    assert state.for_bind("0.0.0.0:6881", 0) is first
    assert state.for_bind("127.0.0.1:0", 0) is None
