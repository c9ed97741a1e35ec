"""The shape of our files: their length, their functions' length, and what their first lines promise."""
from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.meta.sources import ROOT, functions, module_name, source_files

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
RATE_CLASS = re.compile(r"Rate class(?:es)?: (packet|batch|lookup|second|command)")
CODE = source_files(".py", ".pyx", ".pxd")
OWN_CODE = CODE + [
    path for folder in ("tests", "bench", "fuzz", "tools", "examples") for path in sorted((ROOT / folder).rglob("*.py"))
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def first_docstring(path: Path) -> str:
    text = path.read_text()
    if path.suffix == ".py":
        return ast.get_docstring(ast.parse(text)) or ""
    match = re.match(r'\s*(?:#[^\n]*\n)*\s*"""(.*?)"""', text, re.DOTALL)
    return match[1] if match else ""


@pytest.mark.parametrize("path", OWN_CODE, ids=name_of)
def test_file_is_short(path: Path) -> None:
    length = len(path.read_text().splitlines())
    assert length <= MAX_FILE_LINES, f"{name_of(path)} has {length} lines; at most {MAX_FILE_LINES}"


@pytest.mark.parametrize("path", OWN_CODE, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    long = [f"{each}: {each.length} lines" for each in functions(path) if each.length > MAX_FUNCTION_LINES]
    assert not long, f"at most {MAX_FUNCTION_LINES} lines: {'; '.join(long)}"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_docstring_states_the_rate_class(path: Path) -> None:
    assert RATE_CLASS.search(first_docstring(path)), f"{name_of(path)}: its docstring must say `Rate class: …`"


@pytest.mark.parametrize("path", source_files(".pyx"), ids=name_of)
def test_compiled_module_that_python_imports_has_a_stub(path: Path) -> None:
    name = module_name(path)
    use = re.compile(rf"\b{re.escape(name)}\b|from fastdht\._ext import [\w, ]*\b{path.stem}\b")
    importers = [other for other in OWN_CODE if other.suffix == ".py" and use.search(other.read_text())]
    if importers:
        assert path.with_suffix(".pyi").exists(), f"{name_of(importers[0])} imports {name}, which has no stub"


def test_function_lengths_are_measured() -> None:
    lengths = {function.name: function.length for function in functions(ROOT / "src/fastdht/_ext/ids.pyx")}
    assert lengths["check_id"] == 4         # def, if, raise, return
