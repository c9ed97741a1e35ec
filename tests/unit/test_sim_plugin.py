"""The plugin's fixtures work in somebody else's test suite, and a failure says how to repeat it."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastdht

pytest_plugins = ["pytester", "fastdht.testing.plugin"]

PLUGIN = ("-p", "fastdht.testing.plugin", "-p", "no:cacheprovider")


@pytest.fixture(autouse=True)
def same_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package under test in child processes too, wherever they run."""
    monkeypatch.setenv("PYTHONPATH", str(Path(fastdht.__file__).parent.parent))


def test_fixtures_when_used_then_one_loop_and_its_seed(virtual_loop, sim_network, fastdht_seed: int) -> None:
    assert sim_network.loop is virtual_loop
    assert virtual_loop.seed == fastdht_seed


def test_seed_when_given_then_used_and_printed_on_failure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(virtual_loop): assert virtual_loop.seed != 77")
    result = pytester.runpytest_subprocess(*PLUGIN, "--fastdht-seed=77")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*--fastdht-seed=77*repeats this run*"])


def test_seed_when_a_failing_test_does_not_use_it_then_not_printed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): assert False")
    result = pytester.runpytest_subprocess(*PLUGIN)
    assert "--fastdht-seed" not in result.stdout.str()


def test_seed_when_not_given_then_random(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTDHT_TEST_SEED", raising=False)
    pytester.makepyfile("def test_it(fastdht_seed): print('seed is', fastdht_seed)")
    outputs = [pytester.runpytest_subprocess(*PLUGIN, "-s").stdout.str() for _ in range(2)]
    assert len({re.search(r"seed is (\d+)", output)[1] for output in outputs}) == 2


def test_loop_when_tasks_are_left_running_then_closed_without_a_warning(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import asyncio

        def test_it(virtual_loop):
            async def main():
                asyncio.create_task(asyncio.sleep(1e6))
                await asyncio.sleep(1)
            virtual_loop.run_until_complete(main())
    """)
    result = pytester.runpytest_subprocess(*PLUGIN, "-W", "error::RuntimeWarning", "-W", "error::ResourceWarning")
    result.assert_outcomes(passed=1)
    assert "destroyed" not in result.stdout.str() + result.stderr.str()
