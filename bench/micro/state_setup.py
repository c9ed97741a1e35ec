"""What the benchmarks of table, transactions, throttle, tokens and peers share: the compiled loops, and ns per call."""
from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pyximport

# Compiled into a folder of its own, against the installed package's .pxd files.
HOOKS = pyximport.install(build_dir=Path(tempfile.gettempdir()) / "fastdht-bench", language_level=3)
sys.path.insert(0, str(Path(__file__).parent))

import state_loops as loops  # noqa: E402

sys.path.pop(0)
pyximport.uninstall(*HOOKS)

__all__ = ["loops", "per_call"]

ROUNDS = 20_000


def per_call(benchmark: Any, function: Any, *arguments: Any) -> None:
    """Time `function(*arguments, ROUNDS)`; `ns_per_call` of the extra information is what to read."""
    benchmark(function, *arguments, ROUNDS)
    if benchmark.stats is not None:
        benchmark.extra_info["ns_per_call"] = round(benchmark.stats.stats.median / ROUNDS * 1e9, 1)
