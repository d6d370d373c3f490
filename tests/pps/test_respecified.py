"""Incremental equals from scratch where specs change too: globs, inputs, branches, commands, salts."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pps_world import DATA, Failed, Inputs, Recovered, World, cross, glob
from simulated_world import Quick

from trunkline.model.names import Branch
from trunkline.model.specs import Input
from trunkline.pfs.graph import branches

KEPT = Branch(DATA, "kept")


@dataclass(frozen=True)
class Shape:
    """What a spec says. beside: crossed with the other repo, by this glob; "": not."""

    pattern: str = "/*"
    name: str = "in"
    branch: str = "master"
    beside: str = ""
    command: str = "one"
    reprocess: bool = False
    every_job: bool = False

    @property
    def input(self) -> Input:
        """Its input."""
        data = glob(self.pattern, name=self.name, branch=self.branch)
        return cross(data, glob(self.beside, "side")) if self.beside else data


@dataclass(frozen=True)
class Edit:
    """What happens to the data: files written or deleted, in one repo or the other; then perhaps the head is kept."""

    files: tuple[tuple[str, bytes | None], ...]
    beside: bool
    keep: bool
    wait: bool


SHAPES = st.builds(
    Shape,
    st.sampled_from(["/*", "/", "/d/*"]),
    st.sampled_from(["in", "renamed"]),
    st.sampled_from(["master", "kept"]),
    st.sampled_from(["", "/", "/*"]),
    st.sampled_from(["one", "two"]),
    st.booleans(),
    st.booleans(),
)
FILES = st.tuples(st.sampled_from(["/a", "/b", "/d/x", "/d/y"]), st.sampled_from([b"1", b"22", b"bad", b"odd", None]))
EDITS = st.builds(Edit, st.lists(FILES, min_size=1, max_size=3).map(tuple), st.booleans(), st.booleans(), st.booleans())
STEPS = st.lists(st.one_of(SHAPES, EDITS), min_size=2, max_size=6)


def code(inputs: Inputs) -> dict[str, bytes]:
    """Files named by all that they were made of; bad bytes fail, odd ones are recovered."""
    ((_, files),) = [(name, files) for name, files in inputs.items() if name != "side"]
    if b"bad" in files.values():
        raise Failed("bad bytes")
    if b"odd" in files.values():
        raise Recovered("odd bytes")
    side = inputs.get("side", {})
    suffix = "-".join(sorted(side)).replace("/", "_")
    return {f"{path}{suffix}": data + b"".join(side.values()) for path, data in files.items()}


def keep(world: World) -> None:
    """The branch `kept` takes the head of master."""
    world.files.change(lambda change: branches.create_branch(change, KEPT, head=(DATA, "master")))


def specify(world: World, name: str, shape: Shape, *, update: bool = False) -> None:
    """Make the pipeline, or change it."""
    world.pipeline(
        name,
        code,
        shape.input,
        update=update,
        reprocess=shape.reprocess and update,
        transform=world.transform(shape.command),
        every_job=shape.every_job,
    )


def compare(steps: list[Shape | Edit]) -> None:
    """Let the steps happen to one pipeline, then see what another one makes of the same data by the same spec."""
    with tempfile.TemporaryDirectory() as folder:
        world = Quick(Path(folder))
        for name in ("data", "side"):
            world.repo(name)
            world.put({"/a": b"0", "/d/x": b"5"}, name)
        keep(world)
        shape = Shape()
        specify(world, "edges", shape)
        for step in steps:
            if isinstance(step, Shape):
                shape = step
                specify(world, "edges", shape, update=True)
            else:
                good = {path: data for path, data in step.files if data not in (b"bad", b"odd")} or {"/z": b"z"}
                world.put(good if step.beside else dict(step.files), "side" if step.beside else "data")
                if step.keep:
                    keep(world)
            if isinstance(step, Shape) or step.wait:
                world.pump()
        world.put({path: None for path, data in world.content("data").items() if data == b"bad"} or {"/q": b"q"})
        keep(world)
        world.pump()
        specify(world, "anew", shape)
        world.pump()
        last = world.last("edges")
        assert last.state.value == "SUCCESS", last.reason
        assert world.content("edges") == world.content("anew")
        assert last.data_total == world.last("anew").data_total
        assert last.data_recovered == world.last("anew").data_recovered
        world.close()
        world.kept.forget()


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_incremental_equals_from_scratch_under_edits_of_specs(steps: list[Shape | Edit]) -> None:
    compare(steps)


@pytest.mark.soak
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_under_edits_of_specs_at_length(steps: list[Shape | Edit]) -> None:
    compare(steps)
