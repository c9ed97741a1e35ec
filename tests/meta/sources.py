"""Reads our own source files: functions of Python and Cython files, and what they import."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "src" / "fastdht"

_CYTHON_DEF = re.compile(r"^(?P<indent>\s*)(cdef|cpdef|def|async def)\s+(?!class\b)[^=#]*?(?P<name>\w+)\s*\(")
_CYTHON_IMPORT = re.compile(r"^\s*from\s+(fastdht[\w.]*)\s+c?import\s+([\w, ()*]+)|^\s*c?import\s+(fastdht[\w.]*)")


@dataclass(frozen=True)
class Function:
    path: Path
    name: str
    first: int              # line of its def
    body: int               # first line after the signature
    last: int
    signature: str          # one line, comments kept

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    @property
    def is_r0(self) -> bool:
        return self.signature.rstrip().endswith("# R0")

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.first} {self.name}"


def source_files(*suffixes: str) -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix in suffixes)


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def functions(path: Path) -> list[Function]:
    return list(python_functions(path) if path.suffix == ".py" else cython_functions(path))


def python_functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(path, node.name, node.lineno, node.body[0].lineno, node.end_lineno or node.lineno, "")


def cython_functions(path: Path) -> Iterator[Function]:
    """By indentation: a function ends before the next line of code that is indented no deeper than its def."""
    lines = path.read_text().splitlines()
    quoted = quoted_lines(lines)
    for start, line in enumerate(lines):
        match = None if start in quoted else _CYTHON_DEF.match(line)
        if match is None:
            continue
        end = signature_end(lines, start)
        if not re.search(r":\s*(#.*)?$", lines[end]):       # a declaration in a .pxd
            yield Function(path, match["name"], start + 1, end + 2, end + 1, " ".join(lines[start:end + 1]))
            continue
        last = end
        for number in range(end + 1, len(lines)):
            text = lines[number]
            if text.strip() and number not in quoted and len(text) - len(text.lstrip()) <= len(match["indent"]):
                break
            if text.strip() and not (text.lstrip().startswith("#") and len(text) - len(text.lstrip()) == 0):
                last = number
        yield Function(path, match["name"], start + 1, end + 2, last + 1, " ".join(lines[start:end + 1]))


def signature_end(lines: list[str], start: int) -> int:
    depth = 0
    for number in range(start, len(lines)):
        code = lines[number].partition("#")[0]
        depth += code.count("(") + code.count("[") - code.count(")") - code.count("]")
        if depth <= 0:
            return number
    return len(lines) - 1


def quoted_lines(lines: list[str]) -> set[int]:
    """Lines inside triple quotes, the closing one included: docstrings and verbatim C."""
    inside, quoted = False, set()
    for number, line in enumerate(lines):
        if inside:
            quoted.add(number)
        if line.count('"""') % 2:
            inside = not inside
    return quoted


def imports(path: Path) -> set[str]:
    """Full names of the modules of fastdht that a file imports or cimports, `if TYPE_CHECKING` left out."""
    found = python_imports(path) if path.suffix == ".py" else cython_imports(path)
    return {resolve(name) for name in found if name.split(".")[0] == "fastdht"}


def python_imports(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def cython_imports(path: Path) -> Iterator[str]:
    lines = path.read_text().splitlines()
    quoted = quoted_lines(lines)
    for number, line in enumerate(lines):
        match = None if number in quoted else _CYTHON_IMPORT.match(line)
        if match is None:
            continue
        if match[3]:
            yield match[3]
        else:
            yield from (f"{match[1]}.{name}" for name in re.findall(r"\w+", match[2]) or ["*"])


def resolve(name: str) -> str:
    """The module that a dotted name lies in: `fastdht.types.Endpoint` → `fastdht.types`."""
    parts = name.split(".")
    while len(parts) > 1:
        path = PACKAGE.parent.joinpath(*parts)
        if path.is_dir() or any(path.with_suffix(suffix).exists() for suffix in (".py", ".pyx", ".pxd")):
            return ".".join(parts)
        parts.pop()
    return "fastdht"
