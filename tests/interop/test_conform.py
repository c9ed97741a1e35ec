"""`fastdht conform` against libtorrent: it names what that program is known to do otherwise, and nothing else."""
from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fastdht import cli

pytestmark = pytest.mark.interop

KNOWN = {"unknown method"}      # answered with 203, as it wants a target of methods that it does not know


def test_libtorrent_when_checked_then_deviates_only_where_known() -> None:
    pytest.importorskip("libtorrent")
    from tests.interop.peers.children.libtorrent_session import open_session
    session = open_session("127.0.0.1:0")
    endpoint = f"127.0.0.1:{session.listen_port()}"
    done = CliRunner().invoke(cli.main, ["conform", endpoint, "--json"])
    found = json.loads(done.stdout)["checks"]
    assert {each["name"] for each in found if each["verdict"] == "deviates"} == KNOWN
    assert {each["bep"] for each in found if each["verdict"] == "conforms"} >= {5, 33, 42, 43, 44, 51}
