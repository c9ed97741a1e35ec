"""Every group of dht.json is held against by a test, so that none is forgotten when the file grows."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
VECTORS = json.loads((TESTS / "vectors" / "dht.json").read_text())
ABOUT_THE_FILE = {"_meta", "verified"}

# Group → the modules that hold it, each naming the group.
CLAIMED = {
    "bep5": ["vectors/test_messages.py", "unit/test_krpc_encode.py"],
    "constructed_messages": ["vectors/test_messages.py", "unit/test_krpc_encode.py"],
    "compact": ["vectors/test_messages.py"],
    "bep33": ["vectors/test_filters.py"],
    "bep42": ["unit/test_ids.py"],
    "bep44": ["vectors/test_stored_items.py", "unit/test_crypto.py"],
    "bep46": ["vectors/test_stored_items.py", "unit/test_links.py"],
    "bep9_10": ["vectors/test_metadata.py"],
    "bep52": ["vectors/test_metadata.py"],
    "pkarr": ["unit/test_pkarr.py"],
}


def test_every_group_is_claimed_and_no_other() -> None:
    assert set(CLAIMED) == set(VECTORS) - ABOUT_THE_FILE


@pytest.mark.parametrize(("group", "module"), [(group, module) for group in CLAIMED for module in CLAIMED[group]])
def test_claimed_group_is_named_by_tests(group: str, module: str) -> None:
    text = (TESTS / module).read_text()
    assert f'"{group}"' in text
    assert re.search(r"^def test_", text, re.MULTILINE)
