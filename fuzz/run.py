"""`make fuzz`: builds the targets, runs them in watched processes, keeps the input that broke one. Rate class: command.

    python -m fuzz.run                       both targets in turn, new seeds, until stopped
    python -m fuzz.run --gate                the bounded run of CI
    python -m fuzz.run --self-test           a seeded defect must be found
    python -m fuzz.run --replay FILE         one saved input again
"""
from __future__ import annotations

import argparse
import os
import secrets
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz.build import BUILD, LIBRARY, ROOT, SanitizersMissing, sanitizer_libraries

CRASHES = ROOT / "fuzz" / "crashes"
GATE = {"parser": 2_000_000, "core": 300_000}
GATE_SEED = 20260101            # fixed: a change is not blamed for what chance found
ROUND = {"parser": 5_000_000, "core": 500_000}


def environment() -> dict[str, str]:
    """Python's own allocator would hide what AddressSanitizer is to see."""
    return os.environ | {
        "LD_PRELOAD": " ".join(sanitizer_libraries()),
        "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16:handle_abort=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": f"{LIBRARY}{os.pathsep}{ROOT}",
    }


def run_target(python: str, target: str, seed: int, inputs: int) -> int:
    """One target in a process of its own; its exit status. The input under way is in a mapped file."""
    CRASHES.mkdir(exist_ok=True)
    current = BUILD / f"current-{target}-{seed}"
    command = [python, "-m", "fuzz.worker", target, str(seed), str(inputs), str(current)]
    started = time.monotonic()
    status = subprocess.run(command, env=environment(), cwd=ROOT, check=False).returncode
    took = time.monotonic() - started
    if status == 0:
        print(f"{target}: {inputs:,} inputs, seed {seed}: nothing found in {took:.0f} s", flush=True)
    else:
        keep_input(target, seed, inputs, status, current)
    current.unlink(missing_ok=True)
    return status


def keep_input(target: str, seed: int, inputs: int, status: int, current: Path) -> None:
    data = current.read_bytes() if current.exists() else b""
    size = struct.unpack_from("=I", data)[0] if len(data) >= 8 else 0
    kept = CRASHES / f"{target}-{seed}.bin"
    kept.write_bytes(data[8:8 + size])
    print(f"{target}: seed {seed}: failed with status {status}; the last input is in {kept.relative_to(ROOT)}\n"
          f"  alone:     python -m fuzz.run --replay {kept.relative_to(ROOT)}\n"
          f"  whole run: python -m fuzz.run --target {target} --seed {seed} --inputs {inputs}", flush=True)


def self_test(python: str) -> int:
    """A decoder whose length check wraps must be caught, or the gate proves nothing."""
    current = BUILD / "current-self-test"
    command = [python, "-m", "fuzz.worker", "parser", "1", "200000", str(current), "--broken"]
    ended = subprocess.run(command, env=environment(), cwd=ROOT, check=False, capture_output=True, text=True)
    current.unlink(missing_ok=True)
    if "AddressSanitizer: heap-buffer-overflow" in ended.stderr:
        print("self-test: the seeded defect was found", flush=True)
        return 0
    print(f"self-test: the seeded defect was NOT found (status {ended.returncode})\n{ended.stderr}", file=sys.stderr)
    return 1


def gate(python: str) -> int:
    """Both targets at once: CI machines have two cores."""
    with ThreadPoolExecutor(len(GATE)) as pool:
        return int(any(pool.map(lambda target: run_target(python, target, GATE_SEED, GATE[target]), GATE)))


def endless(python: str, options: argparse.Namespace) -> int:
    """Rounds until something breaks, the time is over, or a signal; with --seed one round."""
    targets = [options.target] if options.target else list(ROUND)
    end = time.monotonic() + options.seconds if options.seconds else None
    while True:
        seed = options.seed if options.seed is not None else secrets.randbits(32)
        for target in targets:
            if run_target(python, target, seed, options.inputs or ROUND[target]):
                return 1
        if options.seed is not None or options.inputs or (end is not None and time.monotonic() > end):
            return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description="fuzz the scanner and the core")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that builds and runs the targets")
    parser.add_argument("--gate", action="store_true", help="the bounded run of CI")
    parser.add_argument("--self-test", action="store_true", help="a seeded defect must be found")
    parser.add_argument("--replay", metavar="FILE", help="one saved input again")
    parser.add_argument("--target", choices=list(GATE))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--inputs", type=int, default=int(os.environ.get("FUZZ_INPUTS", "0")), help="per round")
    parser.add_argument("--seconds", type=float, default=0, help="start no round after this; 0: no limit")
    return parser.parse_args()


def main() -> int:
    options = parse()
    try:
        sanitizer_libraries()
    except SanitizersMissing as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 1
    if subprocess.run([options.python, "-m", "fuzz.build"], cwd=ROOT, check=False).returncode:
        print("fuzz: the targets did not build; what is above says why", file=sys.stderr)
        return 1
    if options.replay:
        return subprocess.run([options.python, "-m", "fuzz.worker", "replay", options.replay], env=environment(),
                              cwd=ROOT, check=False).returncode
    if options.self_test:
        return self_test(options.python)
    if options.gate:
        return self_test(options.python) or gate(options.python)
    return endless(options.python, options)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
