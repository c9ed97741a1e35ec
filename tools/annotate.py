"""Writes Cython's annotated HTML of every compiled module, which shows where compiled code touches Python.

    python tools/annotate.py FOLDER

tests/meta reads the same pages: a line inside a function marked `# R0` must not touch Python at all.
"""
from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from Cython.Build import cythonize
from Cython.Compiler import Options

ROOT = Path(__file__).resolve().parent.parent


def annotate(folder: Path) -> dict[str, Path]:
    """Annotate with the directives of setup.py; returns the page of each module. The source tree is left alone."""
    settings = runpy.run_path(str(ROOT / "setup.py"), run_name="settings")
    extensions = [settings["extension"](path) for path in settings["SOURCES"]]
    Options.annotate = True
    cythonize(
        extensions,
        compiler_directives=settings["DIRECTIVES"],
        include_path=["src"],
        build_dir=str(folder),
        annotate=True,
        force=True,
        quiet=True,
        nthreads=os.cpu_count() or 1,
    )
    return {path.stem: folder / path.with_suffix(".html") for path in settings["SOURCES"]}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for page in annotate(Path(sys.argv[1])).values():
        print(page)
