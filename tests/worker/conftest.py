"""Fixtures of the worker's tests: a real agent; run by root, each test once more as an ordinary user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import bench_for
from housing import WHO, place, sandbox_for, scratch_for
from worlds import World

from trunkline.worker.launch import CannotBuild
from trunkline.worker.rungs import probe
from trunkline.worker.runner import AgentRunner


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can reach."""
    with place() as path:
        yield path


@pytest.fixture(params=WHO)
def who(request: pytest.FixtureRequest) -> str:
    """Whose rights the agent has."""
    return str(request.param)


@pytest.fixture
def open_runner(who: str, folder: Path) -> Iterator[Callable[..., AgentRunner]]:
    """Starts agents, as `who`; closes them at the end. Keyword arguments go to `Sandbox`."""
    opened: list[AgentRunner] = []

    def opening(**more: object) -> AgentRunner:
        try:
            opened.append(AgentRunner(scratch_for(who, folder), sandbox_for(who, **more)))
        except CannotBuild as error:
            if more:
                raise
            pytest.skip(f"namespaces are refused here: {error}")
        return opened[-1]

    yield opening
    for runner in opened:
        runner.close()


@pytest.fixture
def runner(open_runner: Callable[..., AgentRunner]) -> AgentRunner:
    """An agent with nothing special."""
    return open_runner()


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    """A worker with everything around it; skips where namespaces are refused."""
    bench = bench_for(sandbox_for("self"), folder)
    if refusal := probe(bench.sandbox, bench.scratch):
        pytest.skip(f"namespaces are refused here: {refusal}")
    yield World(bench)
    bench.close()
