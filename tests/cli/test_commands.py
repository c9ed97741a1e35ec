"""Commands that the reference does not have, and what all share: JSON, the environment, saved state, output."""
from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from fastdht import Node
from fastdht.cli.session import node_arguments
from fastdht.testing import Testnet, builders
from fastdht.testing.swarm import Swarm
from tests.cli.network_kit import Neighbours, Scripted, ask, free_port, invoke, lines, neighbours, options_of, process
from tests.sim.sim_kit import simulate

HASH = bytes(range(20)).hex()
LATENCY_MS = 20.0           # one way


def result_of(*words: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON object that a command prints, which must be all it prints."""
    done = invoke(*words, "--json", env=env)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("\n") == 1
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def test_scrape_when_peers_have_announced_then_counts_them(village: Neighbours) -> None:
    for number in range(3):
        lines(invoke("announce-peer", "5c" * 20, "--port", "1000", "--bootstrap", village.endpoint(),
                     "--listen", f"127.60.{number}.1:0", *(["--seed"] if number else [])))
    [swarm] = result_of("scrape", "5c" * 20, "--bootstrap", village.endpoint())["swarms"]
    for kind, truth in (("seeds", 2), ("peers", 1)):
        assert swarm[kind]["low"] <= truth <= swarm[kind]["high"]
        assert round(swarm[kind]["estimate"]) == truth
    assert swarm["answered"] > 0


def test_sample_when_nodes_keep_torrents_then_tells_them(village: Neighbours) -> None:
    lines(invoke("announce-peer", "5a" * 20, "--port", "1000", "--bootstrap", village.endpoint()))
    told = result_of("sample", "--remote", ",".join(village.endpoint(at) for at in range(8)))
    assert "5a" * 20 in told["info_hashes"]
    assert all(0 <= node["interval_s"] <= 21_600 for node in told["nodes"])


def test_publish_when_done_then_follow_prints_the_torrent(village: Neighbours) -> None:
    lines(invoke("genkey", "artist"))
    for number in (1, 2):
        [[link]] = lines(invoke("publish", f"0{number}" * 20, "--key", "artist", "--salt", "s",
                                "--bootstrap", village.endpoint()))
        assert link.startswith("magnet:?xs=urn:btpk:")
        followed = result_of("follow", link, "-n", "1", "--bootstrap", village.endpoint(number))
        assert followed == {"info_hash": f"0{number}" * 20, "seq": number}


def test_publish_when_given_records_then_resolve_prints_them(village: Neighbours) -> None:
    pytest.importorskip("dns")
    lines(invoke("genkey", "site"))
    [[name]] = lines(invoke("publish", "--key", "site", "--record", "@ 300 A 192.0.2.1",
                            "--record", "www 60 TXT \"hello there\"", "--bootstrap", village.endpoint()))
    records = result_of("resolve", name, "--bootstrap", village.endpoint(5))["records"]
    key = name.removeprefix("pk:")
    assert records == [{"name": f"{key}.", "ttl": 300, "type": "A", "data": "192.0.2.1"},
                       {"name": f"www.{key}.", "ttl": 60, "type": "TXT", "data": '"hello there"'}]


def test_put_when_another_writer_was_first_then_names_the_conflict(village: Neighbours) -> None:
    words = ["put", "--key", "bep44test", "--salt", "race", "--remote", village.endpoint(1)]
    assert result_of(*words, "one")["seq"] == 1
    assert result_of(*words, "two")["seq"] == 2
    late = invoke(*words, "three", "--cas", "1", "--seq", "3")
    assert (late.exit_code, late.stdout) == (1, "")
    assert "301" in late.stderr


@pytest.mark.parametrize(("kind", "value", "stored"), [
    ("hex", "00ff", {"hex": "00ff"}), ("json", '{"a": [1, "x"]}', {"a": [1, "x"]}), ("bencode", "li1e1:xe", [1, "x"]),
])
def test_put_when_the_value_is_no_text_then_get_gives_it_back(
    kind: str, value: str, stored: Any, village: Neighbours
) -> None:
    target = result_of("put", value, "--as", kind, "--remote", village.endpoint(1))["target"]
    assert result_of("get", target, "--remote", village.endpoint(1))["value"] == stored


def test_doctor_when_hosts_answer_then_ranks_them_and_knows_our_address(public: Swarm, monkeypatch: pytest.MonkeyPatch
                                                                        ) -> None:
    with Scripted(lambda query: None, "127.61.0.1") as silent:
        monkeypatch.setenv("FASTDHT_PUBLIC_BOOTSTRAP", ",".join([silent.endpoint, *public.bootstrap[:2]]))
        found = result_of("doctor", "--watch", "1ms", "--query-timeout", "300ms")
        assert [host["endpoint"] for host in found["hosts"]][2] == silent.endpoint
    assert [host["answered"] for host in found["hosts"]] == [5, 5, 0]
    assert {host["host"] for host in found["hosts"][:2]} == set(public.bootstrap[:2])
    assert (found["external_ip"], found["external_votes"], found["external_agreed"]) == ("127.0.0.1", 2, 2)
    assert (found["strangers"], found["is_reachable"]) == (0, None)
    assert found["contacts"] > 0


def test_doctor_when_a_stranger_asks_us_then_we_are_reachable() -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    with neighbours(1, 65) as host:
        words = ["doctor", "--bootstrap", host.endpoint(), "--listen", endpoint, "--watch", "2s", "--json"]
        with process(words) as running:
            for _ in range(5):
                ask(endpoint, b"ping", source="127.66.0.1")
            assert running.stdout is not None
            found = json.loads(running.stdout.readline())
    assert found["is_reachable"] is True
    assert 1 <= found["strangers"] <= 5


def test_doctor_when_no_host_answers_then_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted(lambda query: None) as silent:
        result = invoke("doctor", "--bootstrap", silent.endpoint, "--query-timeout", "50ms")
    assert result.exit_code == 1
    assert result.stderr == "fastdht: none of 1 bootstrap hosts answers\n"


def test_completion_when_asked_then_completes_commands_and_options() -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_FASTDHT_COMPLETE" in invoke("completion", shell).stdout
    asked = {"_FASTDHT_COMPLETE": "bash_complete", "COMP_WORDS": "fastdht get-peers --query-", "COMP_CWORD": "2"}
    assert invoke(env=asked).stdout.splitlines() == ["plain,--query-concurrency", "plain,--query-timeout"]


def test_man_when_asked_then_writes_a_page_a_command(own_folder: Path) -> None:
    assert invoke("man", "pages").exit_code == 0
    page = (own_folder / "pages" / "fastdht-get-peers.1").read_text()
    assert page.startswith('.TH "FASTDHT-GET-PEERS" "1"')
    assert "FASTDHT_QUERY_TIMEOUT" in page
    assert (own_folder / "pages" / "fastdht-crawl-census.1").exists()


def test_serve_when_metrics_are_wanted_then_tells_what_it_counts() -> None:
    pytest.importorskip("prometheus_client")
    with process(["serve", "--listen", f"127.0.0.1:{free_port()}", "--bootstrap", "none", "--metrics", ":0"]) as running:
        assert running.stdout is not None
        ready = json.loads(running.stdout.readline())
        for _ in range(3):
            ask(ready["endpoint"], b"ping")
        with urllib.request.urlopen(ready["metrics"], timeout=30) as answer:
            text = answer.read().decode()
    label = f'{{method="ping",socket="{ready["endpoint"]}"}}'
    assert f"fastdht_queries_handled_total{label} 3.0" in text
    assert "# TYPE fastdht_contacts gauge" in text


def test_serve_when_it_listens_on_two_addresses_then_tells_the_id_of_each() -> None:
    listens = [f"127.0.0.1:{free_port()}", f"127.63.0.1:{free_port('127.63.0.1')}"]
    with process(["serve", "--listen", listens[0], "--listen", listens[1], "--bootstrap", "none"]) as running:
        assert running.stdout is not None
        sockets = json.loads(running.stdout.readline())["sockets"]
        told = {each["endpoint"]: ask(each["endpoint"], b"ping")[b"r"][b"id"].hex() for each in sockets}
    assert [(each["endpoint"], each["id"]) for each in sockets] == [(where, told[where]) for where in listens]
    assert len(set(told.values())) == 2


@pytest.mark.parametrize("listen", [None, "[::1]:0"])
def test_remote_when_it_is_ipv6_then_is_asked_from_an_ipv6_address(listen: str | None) -> None:
    with process(["serve", "--listen", "[::1]:0", "--bootstrap", "none"]) as running:
        assert running.stdout is not None
        ready = json.loads(running.stdout.readline())
        pongs = result_of("ping", ready["endpoint"], *(["--listen", listen] if listen else []))["pongs"]
    assert [each["id"] for each in pongs] == [ready["id"]]


def test_blocklist_when_read_from_standard_input_then_counts() -> None:
    with Scripted() as remote:
        done = invoke("ping", remote.endpoint, "--blocklist", "-", text="127.0.0.0/8\n")
        assert (done.exit_code, remote.queries) == (1, [])
    assert "on the block list" in done.stdout


def test_environment_when_set_then_counts_as_an_option() -> None:
    with Scripted() as remote:
        env = {"FASTDHT_NODE_ID": "e0" * 20, "FASTDHT_JSON": "1"}
        done = invoke("ping", remote.endpoint, env=env)
        assert json.loads(done.stdout)["pongs"][0]["endpoint"] == remote.endpoint
    assert [each[b"id"] for each in remote.asked(b"ping")] == [b"\xe0" * 20]


def test_saved_contacts_when_joining_again_then_suffice_without_hosts(village: Neighbours) -> None:
    lines(invoke("bootstrap", "--bootstrap", village.endpoint(), "--state-file", "state"))
    found = lines(invoke("find-node", HASH, "--bootstrap", "saved", "--state-file", "state"))
    assert len(found) == len(village.nodes)


def test_state_file_when_not_to_be_saved_then_is_left_alone(village: Neighbours, own_folder: Path) -> None:
    lines(invoke("bootstrap", "--bootstrap", village.endpoint(), "--state-file", "state", "--no-save"))
    lines(invoke("find-node", HASH, "--bootstrap", village.endpoint(), "--state-file", "state"))
    assert not (own_folder / "state").exists()


@pytest.mark.parametrize(("words", "says"), [((), True), (("--no-read-only",), False)])
def test_command_when_it_asks_then_says_that_it_is_read_only(words: tuple[str, ...], says: bool) -> None:
    with Scripted() as remote:
        lines(invoke("ping", remote.endpoint, *words))
    assert [b"ro" in query for query in remote.queries] == [says]


def test_enforce_node_id_when_ids_fit_no_address_then_keeps_no_contact() -> None:
    with neighbours(1, 62, node_id=b"\1" * 20) as stranger:
        words = ["bootstrap", "--bootstrap", stranger.endpoint(), "--no-save", "--json"]
        assert len(result_of(*words[:-1])["contacts"]) == 1
        assert result_of(*words[:-1], "--enforce-node-id")["contacts"] == []


@pytest.mark.parametrize(("alpha", "is_sequential"), [(1, True), (8, False)])
def test_alpha_when_one_then_a_lookup_asks_one_after_the_other(alpha: int, is_sequential: bool, seed: int) -> None:
    async def measure() -> bool:
        async with Testnet(40, seed=seed, latency=LATENCY_MS) as net:
            place, entry = builders.endpoint(9_000), str(net.nodes[0].endpoints[0])
            options = options_of("find-node", HASH, "--alpha", str(alpha))
            arguments = node_arguments(options, (), [entry], is_server=False) | {
                "bind": [str(place)], "transport": net.network.open, "clock": net.loop.clock}
            async with Node(**arguments) as node:
                await node.joined()
                await asyncio.sleep(60)             # until what joining had begun has ended
                report = await node.find_node(builders.info_hash(seed))
                return report.elapsed >= 2 * LATENCY_MS / 1000 * report.queries

    assert simulate(measure, seed) == is_sequential


def test_get_peers_when_nobody_knows_any_then_fails(village: Neighbours) -> None:
    done = invoke("get-peers", "9e" * 20, "--bootstrap", village.endpoint())
    assert (done.exit_code, done.stderr) == (1, f"fastdht: no peers of {'9e' * 20} found\n")


def test_verbose_when_once_then_tells_of_the_lookup_but_not_of_datagrams(village: Neighbours) -> None:
    said = invoke("find-node", HASH, "-v", "--bootstrap", village.endpoint()).stderr
    assert f"lookup of {HASH}: done" in said
    assert "send quy" not in said
