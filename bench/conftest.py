"""Settings of the micro benchmarks: one core, and results that name no machine."""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Iterator[None]:
    """Keep the measured code on one core: a migration costs more than most of what is measured."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Reports may be published: what the figures need stays, the host's name does not."""
    machine_info.pop("node", None)
