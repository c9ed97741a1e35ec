"""Builds the core and the fuzz targets under sanitizers, beside the tree and never into it. Rate class: command.

The flags and directives are those of setup.py with FASTDHT_SANITIZE=1. What is not reachable from the core is left
out: an instrumented build is slow to make.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "fuzz" / "build"
LIBRARY = BUILD / "lib"
TARGETS = ("mutator", "parser_target", "core_target")
_CIMPORT = re.compile(r"^\s*from fastdht\._ext\.(\w+) cimport", re.MULTILINE)


class SanitizersMissing(Exception):
    """The compiler has no libasan or libubsan."""


def sanitizer_libraries() -> list[str]:
    """Paths to preload: Python itself is not instrumented. Raises SanitizersMissing."""
    found = []
    for name in ("libasan.so", "libubsan.so"):
        try:
            asked = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SanitizersMissing(f"gcc does not run ({error}); gcc with libasan and libubsan needed") from None
        path = asked.stdout.strip()
        if not Path(path).is_absolute():
            raise SanitizersMissing(f"gcc has no {name}; Debian and Ubuntu have it in libgcc-<version>-dev")
        found.append(path)
    return found


def reachable_modules() -> list[str]:
    """The compiled modules that the targets need, by following their cimports."""
    extension = ROOT / "src" / "fastdht" / "_ext"
    found: set[str] = set()
    waiting = ["core", "bencode", "krpc"]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for suffix in (".pyx", ".pxd"):
            path = extension / f"{name}{suffix}"
            if path.exists():
                waiting += _CIMPORT.findall(path.read_text())
    return sorted(name for name in found if (extension / f"{name}.pyx").exists())


def build() -> None:
    """Bring fuzz/build/lib up to date. Runs with the source tree as the current directory."""
    os.chdir(ROOT)
    os.environ["FASTDHT_SANITIZE"] = "1"
    import setup as project  # reads the environment when it is imported
    from Cython.Build import cythonize
    from setuptools import Extension
    from setuptools import setup as run_setup

    instrumented = [project.extension(Path("src/fastdht/_ext") / f"{name}.pyx") for name in reachable_modules()]
    # The mutator reads no foreign bytes as structure; plain, it runs three times as fast.
    plain = Extension("mutator", ["fuzz/mutator.pyx"], extra_compile_args=["-O2"])
    flags = project.compile_flags()
    targets = [Extension(name, [f"fuzz/{name}.pyx"], extra_compile_args=flags,
                         extra_link_args=instrumented[0].extra_link_args)
               for name in TARGETS if name != "mutator"]
    extensions = cythonize(
        [*instrumented, plain, *targets], compiler_directives=project.DIRECTIVES, include_path=["src", "fuzz"],
        build_dir=str(BUILD / "c"), nthreads=os.cpu_count() or 1, quiet=True)
    run_setup(
        name="fastdht-fuzz", version="0", packages=[], py_modules=[], ext_modules=extensions,
        script_args=["-q", "build_ext", "--build-lib", str(LIBRARY), "--build-temp", str(BUILD / "tmp"),
                     f"--parallel={os.cpu_count() or 1}"])
    shutil.copytree(ROOT / "src" / "fastdht", LIBRARY / "fastdht", dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("*.so", "*.pyd", "*.c", "*.pyx", "__pycache__"))
    (LIBRARY / "fastdht" / "__init__.py").write_text("")    # the real one imports sockets and the command line


if __name__ == "__main__":      # a worker of cythonize may import this file
    build()
