"""Fixtures of the worker's tests: a real agent; run by root, each test once more as an ordinary user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from fakes import bench_for
from housing import WHO, Agents, place, sandbox_for, scratch_for
from worlds import World

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


@pytest.fixture(scope="session")
def agents() -> Iterator[Agents]:
    """Agents that tests share; a test may end one."""
    with place() as folder:
        shared = Agents(folder)
        yield shared
        shared.close()


@pytest.fixture
def open_runner(who: str, folder: Path) -> Iterator[Callable[..., AgentRunner]]:
    """Starts agents, as `who`; closes them at the end. Keyword arguments go to `Sandbox`."""
    opened: list[AgentRunner] = []

    def opening(**more: object) -> AgentRunner:
        opened.append(AgentRunner(scratch_for(who, folder), sandbox_for(who, **more)))
        return opened[-1]

    if refusal := refused(who):
        pytest.skip(f"namespaces are refused here: {refusal}")
    yield opening
    for runner in opened:
        runner.close()


@cache
def refused(who: str) -> str:
    """Why this machine allows no namespaces, or ""."""
    with place() as folder:
        return probe(sandbox_for(who), scratch_for(who, folder))


@pytest.fixture
def runner(agents: Agents, who: str) -> AgentRunner:
    """An agent with nothing special."""
    return agents.get(who)


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    """A worker with everything around it; skips where namespaces are refused."""
    if refusal := refused("self"):
        pytest.skip(f"namespaces are refused here: {refusal}")
    bench = bench_for(sandbox_for("self"), folder)
    yield World(bench)
    bench.close()
