"""What goes wrong ends as one clear line on stderr: exit code 2 for wrong usage, 1 for failure. Never a traceback."""
from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from tests.cli.network_kit import Scripted, compat, invoke

HASH = "00" * 20
NOWHERE = "127.0.0.1:9"         # the discard port: nobody answers


@pytest.mark.parametrize(("words", "told"), [
    (["ping", "nowhere"], "1 to 65535"),
    (["ping", "127.0.0.1:0"], "1 to 65535"),
    (["ping", "127.0.0.1:99999"], "1 to 65535"),
    (["ping", "300.0.0.1:6881"], "not an IP address"),
    (["ping", "::1:6881"], "needs brackets"),
    (["ping", "127.0.0.1:1,"], "empty entry"),
    (["ping"], "Missing argument"),
    (["find-node", "abc"], "40 digits needed"),
    (["find-node", "zz" * 20], "not hexadecimal"),
    (["find-node", "me"], "not hexadecimal"),
    (["get-peers", "00" * 21], "40 needed"),
    (["get-peers", HASH, "--remote", "x"], "1 to 65535"),
    (["get-peers", HASH, "--query-timeout", "0"], "more than 0"),
    (["get-peers", HASH, "--query-timeout", "soon"], "as in 1.5s"),
    (["get-peers", HASH, "--query-timeout", "2h"], "at most 3600 s"),
    (["get-peers", HASH, "--query-concurrency", "0"], "--query-concurrency"),
    (["get-peers", HASH, "--bucket-size", "0"], "--bucket-size"),
    (["get-peers", HASH, "--bucket-size", "129"], "--bucket-size"),
    (["get-peers", HASH, "--alpha", "x"], "--alpha"),
    (["get-peers", HASH, "--node-id", "12"], "40 needed"),
    (["get-peers", HASH, "--public-ip", "home"], "home"),
    (["get-peers", HASH, "--allow-net", "127.0.0.1/8"], "host bits"),
    (["get-peers", HASH, "--listen", "localhost:0"], "not an IP address"),
    (["get-peers", HASH, "--bootstrap", "none"], "nobody to ask"),
    (["get-peers", HASH, "--bootstrap", "none", "--bootstrap", "public"], "stands alone"),
    (["get-peers", HASH, "--token-secret", "", "--remote", NOWHERE], "token secret is empty"),
    (["get-peers", HASH, "--block", "gibberish", "--remote", NOWHERE], "line 1"),
    (["announce-peer", HASH], "--port N or --implied-port"),
    (["announce-peer", HASH, "--port", "65536"], "--port"),
    (["get"], "a target, --key or --public-key"),
    (["get", "--public-key", "12"], "64 needed"),
    (["get", "--public-key", "77" * 32, "--key", "bep44test"], "one of them"),
    (["get", HASH, "--public-key", "77" * 32], "not that of the key"),
    (["get", HASH, "--seq", "-1"], "--seq"),
    (["put", "x", "--cas", "1"], "give --key too"),
    (["put", "x", "--seq", "1"], "give --key too"),
    (["put", "zz", "--as", "hex", "--remote", NOWHERE], "no hex"),
    (["put", "{", "--as", "json", "--remote", NOWHERE], "no json"),
    (["put", "1.5", "--as", "json", "--remote", NOWHERE], "float"),
    (["put", "i01e", "--as", "bencode", "--remote", NOWHERE], "no bencode"),
    (["put", "x" * 1000, "--remote", NOWHERE], "BEP 44 allows 1000"),
    (["put", "x", "--key", "bep44test", "--salt", "s" * 65, "--remote", NOWHERE], "BEP 44 allows 64"),
    (["sign", "x"], "--key"),
    (["follow", "12"], "z-base-32"),
    (["follow", "magnet:?xt=urn:btih:" + HASH], "names no key"),
    (["follow", "77" * 32, "--every", "1s", "--bootstrap", "none"], "nobody to ask"),
    (["publish", "--key", "bep44test"], "an infohash or --record"),
    (["publish", "--key", "bep44test", "--record", "nonsense"], "NAME TTL TYPE DATA"),
    (["publish", "--key", "bep44test", "--record", "@ 300 A home"], "home"),
    (["scrape"], "Missing argument"),
    (["conform", "somewhere"], "1 to 65535"),
    (["conform", NOWHERE, "--bep", "99"], "checks are of"),
    (["completion", "powershell"], "powershell"),
    (["serve", "--metrics", "here"], "1 to 65535"),
    (["compat", "-nosuch"], "no flag -nosuch"),
    (["compat", "-taget", "x"], "did you mean -target?"),
    (["compat", "stray"], "no flag"),
    (["compat", "-do"], "needs a value"),
    (["compat", "-wait=maybe"], "true or false"),
    (["compat", "-seq", "one"], "whole number"),
    (["compat", "-do", "find_node"], "needs -target"),
    (["compat", "-do", "ping"], "needs -remote"),
    (["compat", "-do", "announce_peer", "-target", HASH], "-annport or -annimplied"),
    (["compat", "-do", "sign", "-val", "x"], "needs -keyname"),
    (["compat", "-do", "get", "-target", "12"], "40 needed"),
    (["compat", "-do", "get", "-target", HASH, "-qtimeout", "1 week"], "as in 1.5s"),
    (["compat", "-do", "get", "-target", HASH, "-ksize", "0"], "--bucket-size"),
], ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "")
def test_usage_when_wrong_then_one_line_and_exit_2(words: list[str], told: str) -> None:
    result = invoke(*words)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert told in result.stderr
    assert result.stderr.startswith("fastdht")


def test_file_when_it_is_none_or_unreadable_then_one_line_names_it(own_folder: Path) -> None:
    (own_folder / "torn.key").write_text("no key at all")
    (own_folder / "list").write_text("fine:1.2.3.4-1.2.3.5\nnot fine\n")
    for words, told, code in (
        (["get", "--key", "missing"], "missing.key: No such file", 1),
        (["get", "--key", "torn"], "torn.key: no hexadecimal digits", 1),
        (["genkey", "nowhere/mine"], "nowhere/mine", 1),
        (["ping", NOWHERE, "--blocklist", "list"], "list, line 2", 2),
        (["ping", NOWHERE, "--blocklist", "gone"], "gone: No such file", 2),
        (["ping", NOWHERE, "--token-secret-file", "gone"], "gone: No such file", 2),
        (["ping", NOWHERE, "--state-file", "."], "directory", 2),
        (["man", "list"], "list", 2),
    ):
        result = invoke(*words)
        assert (result.exit_code, result.stdout) == (code, ""), (words, result.output)
        assert result.stderr.count("\n") == 1
        assert told in result.stderr


def test_listen_when_the_address_is_taken_then_says_so() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        for words in (["serve", "--bootstrap", "none"], ["ping", NOWHERE], ["conform", NOWHERE]):
            result = invoke(*words, "--listen", where)
            assert result.exit_code == 2
            assert result.stderr == f"fastdht: cannot listen on {where}: {os.strerror(errno.EADDRINUSE).lower()}\n"


def test_bootstrap_when_nobody_answers_then_gives_up_and_names_them() -> None:
    with Scripted(lambda query: None) as silent:
        result = invoke("get-peers", HASH, "--bootstrap", silent.endpoint, "--join-timeout", "1500ms")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"fastdht: no bootstrap host answered within 1.5 s: {silent.endpoint}\n"
    assert silent.queries


def test_bootstrap_when_the_name_is_unknown_then_gives_up_and_names_it() -> None:
    result = invoke("find-node", HASH, "--bootstrap", "router.invalid:6881", "--join-timeout", "1s")
    assert (result.exit_code, "router.invalid:6881" in result.stderr) == (1, True)


def test_remote_when_the_name_is_unknown_then_says_so() -> None:
    result = invoke("get-peers", HASH, "--remote", "router.invalid:6881")
    assert (result.exit_code, result.stderr) == (1, "fastdht: router.invalid:6881: no such host\n")


def test_state_file_when_it_cannot_be_written_then_warns_and_goes_on(public: object, own_folder: Path) -> None:
    (own_folder / "file").write_text("in the way")
    result = invoke("bootstrap", "--state-file", "file/state")
    assert result.exit_code == 0
    assert "state was not saved" in result.stderr


def test_state_file_when_damaged_then_is_set_aside_and_said(public: object, own_folder: Path) -> None:
    (own_folder / "state").write_bytes(b"fastdht state 1 5 00\ngarbage")
    result = invoke("bootstrap", "--state-file", "state")
    assert result.exit_code == 0
    assert "state.bad" in result.stderr
    assert (own_folder / "state.bad").exists() and (own_folder / "state").exists()


def test_error_when_a_stranger_words_it_then_commands_no_terminal() -> None:
    with Scripted(lambda query: None, error=b"\x1b]0;owned\x07\x1b[2Jnot yours") as rude:
        result = invoke("announce-peer", HASH, "--port", "1", "--remote", rude.endpoint)
        told = invoke("ping", rude.endpoint)
    assert (result.exit_code, told.exit_code) == (1, 1)
    assert "not yours" in told.stdout
    assert not {"\x1b", "\x07"} & set(result.output + told.output)


def test_answers_when_garbage_then_the_query_fails_in_one_line() -> None:
    with Scripted(lambda query: {b"id": b"short"}) as broken:
        result = compat("-do", "ping", "-bnodes", "no", "-remote", broken.endpoint, "-qtimeout", "300ms")
    assert result.exit_code == 1
    assert result.stderr == "fastdht: none of 1 nodes answered\n"
