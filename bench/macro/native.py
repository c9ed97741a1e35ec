"""Compiles the C references on demand, into .cache/bench: `cc -O3`, like our own extensions."""
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench.macro.pairs import BenchFailed

SOURCES = Path(__file__).resolve().parent / "reference"
BUILT = Path(__file__).resolve().parents[2] / ".cache" / "bench"
FLAGS = ["-O3", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-function"]


def build_reference(name: str) -> Path:
    """The path of the compiled reference/NAME.c; raises BenchFailed with the compiler's words when it fails."""
    source, program = SOURCES / f"{name}.c", BUILT / name
    newest = max(path.stat().st_mtime for path in (source, *SOURCES.glob("*.h")))
    if program.exists() and program.stat().st_mtime > newest:
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BenchFailed("no C compiler: the references need cc (Debian: apt-get install gcc libc6-dev)")
    BUILT.mkdir(parents=True, exist_ok=True)
    command = [compiler, *FLAGS, "-o", str(program), str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchFailed(f"{compiler} failed on {source.name}:\n{done.stderr}")
    return program
