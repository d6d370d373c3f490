"""Pipelines created, refused, updated, stopped, started and deleted."""

from __future__ import annotations

import pytest
from pps_world import DATA, World, copy, cross, glob

from trunkline.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import CommitState
from trunkline.model.jobs import JobState, PipelineState
from trunkline.model.names import MASTER, Branch, Pipeline, Repo
from trunkline.model.specs import PipelineSpec, Transform
from trunkline.model.specs.spec import DEFAULT_IMAGE
from trunkline.pfs import images
from trunkline.pfs.graph import branches, commits, removal, repos
from trunkline.pps import jobs, pipelines
from trunkline.pps.images.resolving import Rules, resolve

EDGES = Pipeline("default", "edges")


def inspect(world: World, name: str = "edges", back: int = 0) -> jobs.PipelineInfo:
    """A pipeline, or an older version of it."""
    return world.files.catalog.read(lambda tx: jobs.inspect_pipeline(tx, Pipeline("default", name), back=back))


def change(world: World, verb: object, name: str = "edges", **more: object) -> object:
    """Apply one of the functions of `pipelines` to a pipeline."""
    return world.files.change(lambda one: verb(one, Pipeline("default", name), **more))  # type: ignore[operator]


def test_a_pipeline_is_made_with_its_repos_and_branches(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), description="finds edges")
    info = inspect(world)
    assert (info.version, info.state, info.kind, info.stopped) == (1, PipelineState.RUNNING, "TRANSFORM", False)
    found = world.files.catalog.read(lambda tx: branches.inspect_branch(tx, world.branch("edges")))
    assert [str(one) for one in found.direct_provenance] == ["default/data@master", "default/edges.spec@master"]
    job = world.last("edges")
    assert job.job.id == info.spec_commit.id == found.head.id
    assert job.state is JobState.STARTING
    meta = world.files.catalog.read(lambda tx: commits.inspect_commit(tx, EDGES.meta, MASTER))
    assert meta.commit.id == job.job.id
    world.pump()
    meta = world.files.catalog.read(lambda tx: commits.inspect_commit(tx, EDGES.meta, MASTER))
    assert meta.state is CommitState.FINISHED


@pytest.mark.parametrize(
    ("input", "error", "words"),
    [
        (glob("/*", "dat"), NotFound, "repo default/dat not found; did you mean data?"),
        (cross(glob("/*"), glob("/", "nowhere")), NotFound, "default/nowhere"),
        (cross(glob("/*"), glob("/", "data", name="x", branch="dev")), InvalidArgument, "two branches of one repo"),
    ],
)
def test_what_cannot_work_is_refused_and_leaves_nothing(
    world: World, input: object, error: type[Exception], words: str
) -> None:
    world.put({"/a": b"1"})
    with pytest.raises(error, match=words.replace("?", r"\?")):
        world.pipeline("edges", copy, input)  # type: ignore[arg-type]
    assert not world.has("edges")
    names = [info.repo.name for info in world.files.catalog.read(lambda tx: repos.list_repos(tx, [], ""))]
    assert names == ["data"]


def test_a_name_that_is_taken_is_refused(world: World) -> None:
    with pytest.raises(AlreadyExists, match="a repo of that name exists"):
        world.pipeline("data", copy, glob("/*"))
    world.pipeline("edges", copy, glob("/*"))
    with pytest.raises(AlreadyExists, match="update pipeline"):
        world.pipeline("edges", copy, glob("/*"))
    with pytest.raises(InvalidArgument, match="only alphanumeric"):
        world.pipeline("a.b", copy, glob("/*"))


def test_an_update_keeps_salt_and_ends_jobs_that_run(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    world.worker.work(1)
    before = inspect(world)
    world.pipeline("edges", copy, glob("/b"), update=True)
    world.pump()
    newer, older = world.jobs("edges")
    assert (older.state, older.version) == (JobState.KILLED, 1)
    assert older.reason == "the pipeline was updated to version 2"
    assert (newer.state, newer.version) == (JobState.SUCCESS, 2)
    assert world.content("edges") == {"/b": b"2"}
    assert inspect(world).salt == before.salt
    assert inspect(world, back=1).version == 1
    with pytest.raises(NotFound, match="has 2 versions"):
        inspect(world, back=2)
    listed = world.files.catalog.read(lambda tx: jobs.list_pipelines(tx, history=-1))
    assert [one.version for one in listed] == [2, 1]


def test_update_of_what_is_not_there_creates_it(world: World) -> None:
    world.pipeline("edges", copy, glob("/*"), update=True)
    assert inspect(world).version == 1


def test_another_output_branch_takes_over(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    world.pipeline("edges", copy, glob("/*"), update=True, output_branch="dev")
    world.pump()
    assert world.content("edges", "dev") == {"/a": b"1"}
    count = len(world.jobs("edges"))
    world.put({"/b": b"2"})
    world.pump()
    assert len(world.jobs("edges")) == count + 1
    assert world.content("edges", "dev") == {"/a": b"1", "/b": b"2"}
    assert world.content("edges") == {"/a": b"1"}


def test_a_stopped_pipeline_rests_until_it_is_started(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    change(world, pipelines.stop_pipeline)
    world.pump()
    assert (inspect(world).state, inspect(world).stopped) == (PipelineState.PAUSED, True)
    assert world.last("edges").state is JobState.KILLED
    assert world.last("edges").reason == "the pipeline was stopped"
    world.put({"/b": b"2"})
    world.pump()
    assert len(world.jobs("edges")) == 1
    world.pipeline("edges", copy, glob("/*"), update=True)
    world.pump()
    assert inspect(world).stopped
    assert len(world.jobs("edges")) == 1
    change(world, pipelines.start_pipeline)
    world.pump()
    assert inspect(world).state is PipelineState.RUNNING
    assert world.counts("edges") == "SUCCESS 2+0/2"


@pytest.mark.parametrize("at_once", [True, False])
def test_what_a_stop_ended_runs_after_the_start_and_what_was_done_does_not(world: World, at_once: bool) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    world.worker.work(1)
    change(world, pipelines.stop_pipeline)
    world.worker.handed = None
    if not at_once:
        world.pump()
    change(world, pipelines.start_pipeline)
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+1/2"
    change(world, pipelines.stop_pipeline)
    change(world, pipelines.start_pipeline)
    world.pump()
    assert len(world.jobs("edges")) == 2


def test_a_deleted_pipeline_takes_everything_with_it(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pipeline("down", copy, glob("/*", "edges"))
    world.pump()
    with pytest.raises(FailedPrecondition, match="default/down@master"):
        change(world, pipelines.delete_pipeline)
    assert world.has("edges")
    assert change(world, pipelines.delete_pipeline, "down")
    assert change(world, pipelines.delete_pipeline)
    names = [str(info.repo) for info in world.files.catalog.read(lambda tx: repos.list_repos(tx, [], ""))]
    assert names == ["default/data"]
    assert not change(world, pipelines.delete_pipeline)
    with pytest.raises(NotFound, match="pipeline default/edges not found"):
        change(world, pipelines.delete_pipeline, must_exist=True)
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+0/1"


def test_all_pipelines_go_whatever_was_made_first(world: World) -> None:
    world.put({"/a": b"1"})
    for name in ("old", "new"):
        world.pipeline(name, copy, glob("/*"))
    world.pipeline("old", copy, glob("/*", "new"), update=True)
    world.pump()
    gone = world.files.change(lambda one: pipelines.delete_pipelines(one, ["default"]))
    assert [each.name for each in gone] == ["old", "new"]
    assert not world.has("old")
    for name, source in (("new", "data"), ("old", "new"), ("below", "old")):
        world.pipeline(name, copy, glob("/*", source))
    change(world, pipelines.stop_pipeline, "old")
    world.pipeline("new", copy, glob("/*", "below"), update=True)  # a circle, were "old" not stopped
    assert len(world.files.change(lambda one: pipelines.delete_pipelines(one, force=True))) == 3


def test_all_repos_go_whatever_was_made_first(world: World) -> None:
    first, second = (world.repo(name) for name in ("first", "second"))
    reads = Branch(second, MASTER)
    world.files.change(lambda one: branches.create_branch(one, reads))
    world.files.change(lambda one: branches.create_branch(one, Branch(first, MASTER), provenance=[reads]))
    gone = world.files.change(lambda one: repos.delete_repos(one, ["default"]))
    assert [each.name for each in gone if each.name != "data"] == ["first", "second"]


def test_a_pipeline_whose_input_was_deleted_by_force_says_so(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pipeline("down", copy, glob("/*", "edges"))
    world.pump()
    refusal = "^cannot delete pipeline default/edges: default/down@master depends on it"
    with pytest.raises(FailedPrecondition, match=refusal):
        change(world, pipelines.delete_pipeline)
    assert change(world, pipelines.delete_pipeline, force=True)
    info = inspect(world, "down")
    assert info.state is PipelineState.FAILURE
    assert info.reason.startswith("its input branch default/edges@master was deleted")
    world.put({"/b": b"2"})
    world.pump()
    world.pipeline("down", copy, glob("/*"), update=True)
    world.pump()
    assert inspect(world, "down").state is PipelineState.RUNNING
    assert world.content("down") == {"/a": b"1", "/b": b"2"}


def test_the_output_of_a_deleted_pipeline_may_stay(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    world.put({"/b": b"2"})
    world.pump(work=False)
    assert change(world, pipelines.delete_pipeline, keep_repo=True)
    world.pump()
    parent = world.files.catalog.read(lambda tx: commits.inspect_commit(tx, EDGES.output, f"{MASTER}^"))
    assert world.content("edges", parent.commit.id) == {"/a": b"1"}
    assert world.files.catalog.read(lambda tx: commits.inspect_commit(tx, EDGES.output, MASTER)).error
    world.put({"/own": b"x"}, "edges")
    world.pump()
    assert world.content("edges")["/own"] == b"x"
    with pytest.raises(AlreadyExists, match="a repo of that name exists"):
        world.pipeline("edges", copy, glob("/*"))


def test_nobody_but_the_pipeline_writes_where_its_versions_are(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    versions = Branch(EDGES.spec, MASTER)
    for deed in (
        lambda one: commits.start_commit(one, versions),
        lambda one: commits.start_commit(one, Branch(EDGES.spec, "other")),
        lambda one: branches.create_branch(one, versions, head=(EDGES.spec, MASTER)),
        lambda one: branches.delete_branch(one, versions, force=True),
    ):
        with pytest.raises(FailedPrecondition, match="holds the versions of the pipeline default/edges"):
            world.files.change(deed)
    version = inspect(world).spec_commit.id
    world.put({"/b": b"2"})
    world.pump()
    for remove in (removal.squash_set, removal.drop_set):
        with pytest.raises(FailedPrecondition, match="it is a version of the pipeline default/edges"):
            world.files.change(lambda one, remove=remove: remove(one, version))
    world.pump()
    assert world.last("edges").state is JobState.SUCCESS


def test_where_code_runs_is_decided_and_said(world: World) -> None:
    catalog = world.files.catalog
    where = catalog.read(lambda tx: resolve(tx, "alpine", Rules()))
    assert where.runner == "host"
    assert "not registered here" in where.note
    with pytest.raises(FailedPrecondition, match="create image alpine"):
        catalog.read(lambda tx: resolve(tx, "alpine", Rules(strict_images=True)))
    docker = Rules(engine="Docker 20.10")
    where = catalog.read(lambda tx: resolve(tx, "alpine", docker))
    assert (where.runner, where.note) == ("container", 'runs in a container of image "alpine" (Docker 20.10)')
    assert catalog.read(lambda tx: resolve(tx, DEFAULT_IMAGE, docker)).runner == "host"
    made = images.create_image(world.files, "alpine", images.ImageSpec(), [])
    where = catalog.read(lambda tx: resolve(tx, "alpine", docker))
    assert (where.runner, where.digest) == ("image", made.digest)


def test_a_spec_may_insist_on_where_its_code_runs(world: World) -> None:
    def runner(wanted: str, engine: str = "Docker 20.10") -> str:
        rules = Rules(engine=engine)
        return world.files.catalog.read(lambda tx: resolve(tx, "alpine", rules, wanted)).runner

    assert (runner("process"), runner("container"), runner("")) == ("host", "container", "container")
    with pytest.raises(FailedPrecondition, match="no container engine answers here; start Docker or Podman"):
        runner("container", engine="")
    images.create_image(world.files, "alpine", images.ImageSpec(), [])
    assert (runner("process"), runner("container"), runner("")) == ("image", "container", "image")


def test_a_pipeline_pins_the_image_it_was_made_with(world: World) -> None:
    made = images.create_image(world.files, "mine", images.ImageSpec(env={"A": "1"}), [])
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), transform=Transform(image="mine", cmd=("x",)))
    newer = images.create_image(world.files, "mine", images.ImageSpec(env={"A": "2"}), [])
    assert newer.digest != made.digest
    world.pump(work=False)
    assert world.worker.claim()
    assert world.worker.handed is not None
    assert world.worker.handed.image is not None
    assert world.worker.handed.image.digest == made.digest == inspect(world).image_digest


def test_specs_in_the_catalog_are_read_back_as_they_were(world: World) -> None:
    world.pipeline("edges", copy, glob("/*"), datum_tries=5, job_timeout_us=7_000_000)
    spec = PipelineSpec.from_json(inspect(world).effective_spec)
    assert (spec.datum_tries, spec.job_timeout_us, spec.salt) == (5, 7_000_000, inspect(world).salt)
    assert spec.input == glob("/*")
    assert Repo("default", "edges") == spec.pipeline.output


def test_an_update_may_read_another_branch_of_the_same_repo(world: World) -> None:
    world.put({"/a": b"1"})
    kept = Branch(DATA, "kept")
    world.files.change(lambda change: branches.create_branch(change, kept, head=(DATA, "master")))
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    world.put({"/b": b"2"})
    world.pump()
    world.pipeline("edges", copy, glob("/*", branch="kept"), update=True)
    world.pump()
    assert world.content("edges") == {"/a": b"1"}
    world.pipeline("edges", copy, glob("/*"), update=True)
    world.pump()
    assert world.content("edges") == {"/a": b"1", "/b": b"2"}
