"""Pipelines whose code runs in pods: how many are wanted, who may claim what, and what is said while none runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from pps_world import DATA, World, copy, glob

from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.work import containers
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model.names import Branch, Pipeline
from trunkline.model.specs import PipelineSpec
from trunkline.pfs.graph import branches
from trunkline.pps import claims, datums, pipelines
from trunkline.pps.images.resolving import Rules
from trunkline.pps.pods.wishes import PodWish, pod_wishes, tell

CLUSTER = Rules(cluster="Kubernetes v1.20.2")
EDGES = Pipeline("default", "edges")


def make(world: World, *, update: bool = False, rules: Rules = CLUSTER, **more: object) -> None:
    world.pipeline("edges", copy, glob("/*"), update=update, rules=rules, **more)


def wishes(world: World) -> list[PodWish]:
    return world.files.catalog.read(lambda tx: pod_wishes(tx, world.pps.vault))


def state(world: World) -> tuple[str, str]:
    found = world.files.catalog.read(lambda tx: pipeline_rows.find_pipeline(tx, EDGES))
    assert found is not None
    return found.state, found.reason


def say(world: World, reason: str, version: int = 1) -> None:
    world.files.catalog.transact(lambda tx: tell(tx, EDGES, version, reason))


def test_every_pipeline_is_wanted_with_as_many_pods_as_it_says(world: World) -> None:
    world.put({"/a": b"1"})
    make(world)
    assert [(one.pipeline, one.version, one.pods, one.kind) for one in wishes(world)] == [(EDGES, 1, 1, "TRANSFORM")]
    make(world, update=True, parallelism=3)
    assert [(one.version, one.pods) for one in wishes(world)] == [(2, 3)]
    world.files.change(lambda change: pipelines.stop_pipeline(change, EDGES))
    assert [one.pods for one in wishes(world)] == [0]
    world.files.change(lambda change: pipelines.delete_pipeline(change, EDGES))
    assert wishes(world) == []


def test_a_pipeline_whose_input_is_gone_wants_no_pods_until_it_reads_another(world: World) -> None:
    world.put({"/a": b"1"})
    make(world, parallelism=2)
    branch = Branch(DATA, "master")
    world.files.change(lambda change: branches.delete_branch(change, branch, force=True))
    assert [one.pods for one in wishes(world)] == [0]
    world.put({"/b": b"2"})
    make(world, update=True, parallelism=2)
    assert [one.pods for one in wishes(world)] == [2]


def test_pipelines_that_run_elsewhere_are_none_of_ours(world: World) -> None:
    world.put({"/a": b"1"})
    make(world, rules=Rules())
    assert wishes(world) == []


def test_with_autoscaling_pods_follow_the_work(world: World) -> None:
    world.put({f"/{number}": b"1" for number in range(3)})
    make(world, autoscaling=True, parallelism=2)
    world.pump(work=False)
    assert [(one.pods, one.grows) for one in wishes(world)] == [(2, True)]
    world.pump()
    assert [one.pods for one in wishes(world)] == [0]
    world.put({"/one": b"1"})
    world.pump(work=False)
    assert [one.pods for one in wishes(world)] == [1]


def test_the_image_in_a_pod_is_recorded_with_each_datum(world: World) -> None:
    first, other = "1" * 64, "2" * 64

    def known(**images: str) -> dict[str, str]:
        world.files.catalog.transact(lambda tx: containers.set_pod_images(tx, images))
        return {name: world.files.catalog.read(partial(containers.pod_image, worker=name)) for name in ("a", "b", "c")}

    assert known(a=first, b=first) == {"a": first, "b": first, "c": ""}
    assert known(b=other, c=first) == {"a": "", "b": other, "c": first}
    world.put({"/a": b"1"})
    make(world)
    world.pump(work=False)
    assert world.worker.claim()
    world.worker.send(replace(world.worker.prepare(), image=other))
    world.pump()
    (one,) = datums.list_datums(world.files, world.pps.tables, world.last("edges").job)
    assert one.image == other


def test_a_pod_works_for_its_own_version_only(world: World) -> None:
    world.put({"/a": b"1"})
    make(world)
    make(world, update=True, reprocess=True)
    world.pump(work=False)

    def claimed(version: int) -> bool:
        def work(tx: object) -> bool:
            gen = session_rows.open_session(tx, "worker", leased=True)  # type: ignore[arg-type]
            return claims.claim(tx, "pod", gen, pipeline=EDGES, version=version) is not None  # type: ignore[arg-type]

        return world.files.catalog.transact(work)

    assert not claimed(1)
    assert claimed(2)


def test_what_keeps_pods_from_running_is_said_and_taken_back(world: World) -> None:
    world.put({"/a": b"1"})
    make(world)
    say(world, "pod edges-v1-x: its image cannot be pulled")
    assert state(world) == ("CRASHING", "pod edges-v1-x: its image cannot be pulled")
    say(world, "")
    assert state(world) == ("RUNNING", "")
    make(world, update=True)
    say(world, "of a version that is gone")
    assert state(world) == ("RUNNING", "")
    world.files.change(lambda change: pipelines.stop_pipeline(change, EDGES))
    say(world, "too late", 2)
    assert state(world)[0] == "PAUSED"


def test_a_spec_that_cannot_become_pods_is_refused_whole(world: World) -> None:
    def admit(spec: PipelineSpec) -> None:
        raise InvalidArgument("pod_spec takes the node")

    world.put({"/a": b"1"})
    with pytest.raises(InvalidArgument, match="takes the node"):
        make(world, rules=Rules(cluster="Kubernetes", admit=admit))
    assert not world.has("edges")
    own = PipelineSpec.from_dict({"pipeline": {"name": "x"}, "transform": {}, "trunkline": {"runner": "process"}}).own
    with pytest.raises(FailedPrecondition, match=r"as a process .*are pods of Kubernetes v1\.20\.2"):
        make(world, own=own)
