"""Builds the compiled part. A failure here is an error: there is no pure-Python fallback.

FASTDHT_DEBUG=1 turns every Cython check on; FASTDHT_SANITIZE=1 builds under ASan and UBSan; FASTDHT_ANNOTATE=1
writes the annotated HTML that shows where Python is touched.
"""
import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = sorted(Path("src/fastdht/_ext").glob("*.pyx"))
if not SOURCES:
    sys.exit(f"setup.py: no .pyx under {Path('src/fastdht/_ext').resolve()}; build from the root of the source tree")
DEBUG = os.environ.get("FASTDHT_DEBUG") == "1"
SANITIZE = os.environ.get("FASTDHT_SANITIZE") == "1"
BUILD = Path("build", "sanitize" if SANITIZE else "debug" if DEBUG else "release")    # never mixed up

# To pack the sources, or to name the package, nothing need be translated: that is half of the time of a build.
IS_COMPILED = not {"sdist", "egg_info", "dist_info"} & set(sys.argv)

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "cdivision": not DEBUG,
    "overflowcheck": False,
    "embedsignature": True,
}


def compile_flags() -> list[str]:
    if sys.platform == "win32":
        return ["/O2"]
    if SANITIZE:
        return ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    # -g0: Python's own flags ask for debug information, which makes the wheel five times as large.
    return ["-O1", "-g"] if DEBUG else ["-O3", "-g0", "-fno-semantic-interposition"]


def extension(path: Path) -> Extension:
    name = ".".join(path.with_suffix("").parts[1:])
    link = ["-fsanitize=address,undefined"] if SANITIZE else []
    return Extension(
        name, [str(path)], depends=["setup.py"], extra_compile_args=compile_flags(), extra_link_args=link)


def translated(extensions: list[Extension]) -> list[Extension]:
    return cythonize(
        extensions,
        compiler_directives=DIRECTIVES,
        annotate=os.environ.get("FASTDHT_ANNOTATE") == "1",
        nthreads=0 if sys.platform == "win32" else (os.cpu_count() or 1),
        include_path=["src"],
        build_dir=str(BUILD),
        force=DEBUG or SANITIZE,
    )


if __name__ == "__main__":     # a worker of cythonize may import this file
    extensions = [extension(path) for path in SOURCES]
    setup(
        ext_modules=translated(extensions) if IS_COMPILED else extensions,
        options={"build": {"build_base": str(BUILD)}, "build_ext": {"parallel": os.cpu_count() or 1}},
    )
