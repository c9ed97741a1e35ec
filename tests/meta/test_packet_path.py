"""Functions marked `# R0` run for every packet: without the GIL, without exceptions, without touching Python."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from Cython.Build import cythonize

from tests.meta.sources import Function, cython_functions, source_files
from tools.annotate import annotate

_SCORE = re.compile(r'<pre class="cython line score-(\d+)"[^>]*>[^<]*<span class="">0*(\d+)</span>')
_ALLOCATION = re.compile(r"\b(malloc|calloc|realloc|free|PyMem_\w+|mmap)\s*\(")

R0_FUNCTIONS = [
    function for path in source_files(".pyx", ".pxd") for function in cython_functions(path) if function.is_r0
]
R0_BODIES = [function for function in R0_FUNCTIONS if function.path.suffix == ".pyx"]


def touched_lines(page: Path, function: Function) -> list[int]:
    """Lines of a function whose generated C calls Python."""
    scores = {int(line): int(score) for score, line in _SCORE.findall(page.read_text())}
    return [line for line in range(function.body, function.last + 1) if scores.get(line, 0) > 0]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, source_root: Path) -> dict[str, Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(source_root)
        return annotate(tmp_path_factory.mktemp("annotate"))


@pytest.mark.parametrize("function", R0_FUNCTIONS, ids=str)
def test_packet_function_is_noexcept_nogil(function: Function) -> None:
    assert re.search(r"\bnoexcept\s+nogil\b", function.signature), f"{function}: R0 is `noexcept nogil`"


@pytest.mark.parametrize("function", R0_FUNCTIONS, ids=str)
def test_packet_function_allocates_nothing(function: Function) -> None:
    body = function.path.read_text().splitlines()[function.body - 1:function.last]
    assert not [line for line in body if _ALLOCATION.search(line.partition("#")[0])], f"{function} allocates"


@pytest.mark.parametrize("function", R0_BODIES, ids=str)
def test_packet_function_never_touches_python(function: Function, pages: dict[str, Path]) -> None:
    lines = touched_lines(pages[function.path.stem], function)
    assert not lines, f"{function}: lines {lines} call Python; `make annotate` shows how"


def test_planted_python_call_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "planted.pyx"
    source.write_text("cdef int clean(int a) noexcept nogil:  # R0\n    return a + 1\n\n\n"
                      "cdef int dirty(int a):  # R0\n    print(a)\n    return a\n")
    monkeypatch.chdir(tmp_path)
    cythonize(["planted.pyx"], annotate=True, quiet=True, force=True, language_level=3)
    clean, dirty = cython_functions(source)
    assert touched_lines(source.with_suffix(".html"), clean) == []
    assert touched_lines(source.with_suffix(".html"), dirty) == [6]


def test_there_are_packet_functions() -> None:
    assert R0_BODIES
