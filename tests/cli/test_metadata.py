"""`fastdht crawl metadata` against a peer of our own making."""
from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

INFO = b"d6:lengthi5e4:name5:hello12:piece lengthi16384e6:pieces20:" + bytes(20) + b"e"
HASH = hashlib.sha1(INFO).hexdigest()
OTHER = "11" * 20


def run(*args: str, text: str | None = None) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "fastdht", "crawl", "metadata", *args], input=text, text=True,
                          capture_output=True, timeout=60, env=os.environ | {"COLUMNS": "100"})
    return done.returncode, done.stdout, done.stderr


def frame(content: bytes) -> bytes:
    return (len(content) + 1).to_bytes(4, "big") + b"\x14" + content


@pytest.fixture
def peer() -> Iterator[str]:
    """One peer that has INFO and hands it to whoever comes, until the test ends."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(68, socket.MSG_WAITALL)
                connection.sendall(b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\0" + bytes.fromhex(HASH) + bytes(20)
                                   + frame(b"\x00d1:md11:ut_metadatai9ee13:metadata_sizei%dee" % len(INFO)))
                heard = b""
                while b"5:piecei0e" not in heard:
                    heard += connection.recv(4096) or b"5:piecei0e"
                connection.sendall(frame(b"\x03d8:msg_typei1e5:piecei0e10:total_sizei%dee" % len(INFO) + INFO))
                connection.recv(4096)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def test_metadata_goes_to_stdout_as_one_json_line_a_hash(peer: str) -> None:
    code, output, errors = run("-", "--bootstrap", "none", text=f"{HASH} {peer}\n{OTHER}\n")
    records = {record["info_hash"]: record for record in map(json.loads, output.splitlines())}
    assert code == 0
    assert (records[HASH]["status"], records[HASH]["name"], records[HASH]["size"]) == ("ok", "hello", 5)
    assert records[OTHER]["status"] == "no_peers"
    assert "1 of 2 fetched" in errors


def test_peer_that_opted_out_is_not_connected_to(peer: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("127.0.0.1\n")
    code, output, _ = run("-", "--bootstrap", "none", "--exclude", str(tmp_path / "list"), text=f"{HASH} {peer}\n")
    record = json.loads(output)
    assert (code, record["status"], record["peers"], record["tried"]) == (0, "no_peers", 0, 0)


def test_infohashes_of_a_harvest_are_each_taken_once(peer: str, tmp_path: Path) -> None:
    folder = tmp_path / "harvest" / "parts" / "samples"
    folder.mkdir(parents=True)
    (tmp_path / "harvest" / "crawl.json").write_text('{"layout": 1, "mode": "harvest"}')
    row = {"ip": "127.0.0.1", "port": 1, "num": 2, "interval": 3, "t": 4}
    (folder / "part-0.jsonl").write_text("".join(
        json.dumps({"info_hash": each, **row}) + "\n" for each in (OTHER, HASH, OTHER)))
    code, output, errors = run("--from-harvest", str(tmp_path / "harvest"), "--bootstrap", "127.0.0.1:9", "--allow-net",
                               "127.0.0.0/8")
    assert code == 0, errors
    assert sorted(json.loads(line)["info_hash"] for line in output.splitlines()) == sorted((HASH, OTHER))
    for arguments in ((), ("-", "--from-harvest", str(tmp_path / "harvest")),
                      ("--from-harvest", str(tmp_path / "harvest"), "--bootstrap", "none")):
        code, output, errors = run(*arguments, text="")
        assert (code, output, len(errors.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_directory_holds_records_torrents_and_a_summary(peer: str, tmp_path: Path, format_: str) -> None:
    (tmp_path / "hashes").write_text(f"{HASH} {peer}\n{OTHER}\n")
    out = tmp_path / "out"
    code, output, _ = run(str(tmp_path / "hashes"), "--bootstrap", "none", "--out", str(out), "--purpose", "a test",
                          "--format", format_, "--json")
    assert code == 0
    assert json.loads(output.splitlines()[-1])["by_status"] == {"ok": 1, "no_peers": 1}
    assert json.loads((out / "crawl.json").read_text())["state"] == "complete"
    assert json.loads((out / "crawl.json").read_text())["purpose"] == "a test"
    assert (out / "torrents" / HASH[:2] / f"{HASH}.torrent").read_bytes() == b"d4:info" + INFO + b"e"
    assert {row["info_hash"]: row["metadata_size"] for row in read_rows(out / "parts" / "metadata")} == {
        HASH: len(INFO), OTHER: None}


def read_rows(folder: Path) -> list[dict]:
    (path,) = folder.iterdir()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


@pytest.mark.parametrize(("args", "text", "reason"), [
    (("-", "--out", "x"), "", "--purpose"),
    (("/does/not/exist",), None, "/does/not/exist"),
    (("-", "--max-size", "big"), "", "16MiB"),
    (("-", "--bootstrap", "none"), "nonsense\n", "line 1"),
])
def test_bad_input_is_one_clear_line(args: tuple[str, ...], text: str | None, reason: str) -> None:
    code, output, errors = run(*args, text=text)
    assert (code, output) == (2, "")
    assert reason in errors.splitlines()[-1]
