"""Incremental equals from scratch (I-9): random edits, failures, stops and updates, then the same data run anew."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pps_world import Failed, Inputs, Recovered, World, cross, glob

from trunkline.errors import FailedPrecondition, NotFound
from trunkline.model.names import Repo
from trunkline.model.specs import Input
from trunkline.model.specs.spec import Own
from trunkline.pfs.graph import removal
from trunkline.pfs.graph.changes import Change
from trunkline.pps import jobs

Steps = list[tuple[str, list[tuple[str, bytes | None]]]]

NAMES = ("/a", "/b", "/d/x", "/d/y", "/e")
EDITS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([None, b"1", b"22", b"bad", b"odd"])), max_size=4)
REMOVALS = ("squash", "drop", "forget")
KINDS = ("put", "put", "put", "other", "stop", "update", "restart", "lose", *REMOVALS)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put", "put", "other", "stop", "update", "restart", "lose", "squash", "drop", "forget"]
        ),
        EDITS,
    ),
    min_size=2,
    max_size=7,
)


def code(inputs: Inputs) -> dict[str, bytes]:
    """One file a datum, named by what it read; bad bytes fail, odd ones are recovered."""
    files = inputs["data"]
    if b"bad" in files.values():
        raise Failed("bad bytes")
    if b"odd" in files.values():
        raise Recovered("odd bytes")
    side = b"".join(data for path, data in sorted(inputs.get("side", {}).items()))
    return {path: data + side for path, data in files.items()}


def input_of(pattern: str, crossed: bool) -> Input:
    """A glob of the data, alone or with the whole of the other repo."""
    return cross(glob(pattern), glob("/", "side")) if crossed else glob(pattern)


def act(
    world: World, kind: str, edits: list[tuple[str, bytes | None]], pattern: str, crossed: bool, own: Own = Own()
) -> None:
    """One thing that happens; only sometimes is the work done before the next."""
    if kind == "put" and edits:
        world.put(dict(edits))
    elif kind == "other" and edits:
        world.put({path: data for path, data in edits if data not in (b"bad", b"odd")} or {"/z": b"z"}, "side")
    elif kind == "stop":
        job = world.last("edges").job
        world.files.catalog.transact(lambda tx: jobs.stop_job(tx, job))
    elif kind == "update":
        world.pipeline("edges", code, input_of(pattern, crossed), update=True, own=own)
    elif kind == "restart":
        world.reopen()
    elif kind == "lose":
        world.controller.step()
        world.worker.work(1)
    elif kind in REMOVALS:
        remove(world, kind, f"master{'^' * len(edits)}")
    if len(edits) % 2:
        world.pump()


def remove(world: World, kind: str, ref: str) -> None:
    """Take something out of history, where that is allowed."""
    repo = Repo("default", "edges" if kind == "forget" else "data")

    def work(change: Change) -> None:
        if kind == "forget":
            removal.forget_commit(change, repo, ref)
        elif kind == "squash":
            removal.squash_commit(change, repo, ref, recursive=True)
        else:
            removal.drop_commit(change, repo, ref, recursive=True)

    with contextlib.suppress(FailedPrecondition, NotFound):
        world.files.change(work)


CASES = given(STEPS, st.sampled_from(["/*", "/", "/**/*"]), st.booleans())
CHECKS = list(HealthCheck)


@settings(max_examples=4, deadline=None, suppress_health_check=CHECKS)
@CASES
def test_incremental_equals_from_scratch(steps: Steps, pattern: str, crossed: bool) -> None:
    compare(steps, pattern, crossed)


@settings(max_examples=4, deadline=None, suppress_health_check=CHECKS)
@CASES
def test_also_where_datums_that_fail_are_left_out(steps: Steps, pattern: str, crossed: bool) -> None:
    compare(steps, pattern, crossed, Own(on_failure="skip"))


@pytest.mark.soak
@settings(max_examples=150, deadline=None, suppress_health_check=CHECKS)
@CASES
def test_incremental_equals_from_scratch_at_length(steps: Steps, pattern: str, crossed: bool) -> None:
    compare(steps, pattern, crossed)


def compare(steps: Steps, pattern: str, crossed: bool, own: Own = Own()) -> None:
    """Let the steps happen to one pipeline, then see what another makes of the same data."""
    spare = own.on_failure == "skip"
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.repo()
        world.repo("side")
        world.put({"/a": b"0"})
        world.put({"/s": b"s"}, "side")
        world.pipeline("edges", code, input_of(pattern, crossed), own=own)
        for kind, edits in steps:
            act(world, kind, edits, pattern, crossed, own)
        bad = {name: None for name, data in world.content("data").items() if data == b"bad" and not spare}
        world.put(bad or {"/q": b"q"})
        world.pump()
        last = world.last("edges")
        assert last.state.value == "SUCCESS", last.reason
        assert last.data_total == last.data_processed + last.data_skipped + last.data_recovered + last.data_failed
        assert spare or not last.data_failed
        world.pipeline("anew", code, input_of(pattern, crossed), own=own)
        world.pump()
        assert world.content("edges") == world.content("anew")
        assert last.data_failed == world.last("anew").data_failed
        assert not [job for job in world.jobs("edges") if not job.state.terminal]
        world.close()


@pytest.mark.soak
@settings(max_examples=80, deadline=None, suppress_health_check=CHECKS)
@CASES
def test_also_where_datums_that_fail_are_left_out_at_length(steps: Steps, pattern: str, crossed: bool) -> None:
    compare(steps, pattern, crossed, Own(on_failure="skip"))
