"""Every list that can be cut: so many of it, from here on, and from its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from transaction_things import Rooms

from trunkline.testing.calls import on
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.gen import trunkline_pb2_grpc as own_grpc

COUNT = 5
DATA = pfs.Repo(name="data", type="user")
CLEANED = pfs.Repo(name="cleaned", type="user")
TOP = pfs.File(commit=on(DATA), path="/")
EDGES = pps.Pipeline(name="edges")


@dataclass(frozen=True)
class World:
    """A repo with five commits of a file each, as many branches and tags, other repos and pipelines, and jobs."""

    rooms: Rooms
    tags: Any
    images: Any
    purges: Any


@pytest.fixture(scope="module")
def world(channel: grpc.Channel) -> World:
    made = World(
        Rooms(channel),
        own_grpc.VersionsStub(channel),
        own_grpc.ImagesStub(channel),
        own_grpc.PurgesStub(channel),
    )
    fill(made)
    return made


def fill(world: World) -> None:
    rooms = world.rooms
    rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=DATA))
    for number in range(COUNT):
        spec = {
            "pipeline": {"name": f"edges{number or ''}"},
            "transform": {"cmd": ["true"]},
            "input": {"pfs": {"repo": "data", "glob": "/*", "branch": "master" if not number else "other"}},
        }
        rooms.pps.CreatePipelineV2(pps.CreatePipelineV2Request(create_pipeline_request_json=json.dumps(spec)))
    for number in range(COUNT):
        rooms.client.put(DATA, {f"/f{number}": b"%d" % number, "/same": b"%d" % number})
        head = rooms.client.finished(DATA).commit
        branch = pfs.Branch(repo=DATA, name=f"b{number}")
        rooms.pfs.CreateBranch(pfs.CreateBranchRequest(branch=branch, head=head))
        world.tags.CreateTag(own.CreateTagRequest(tag=own.Tag(repo=DATA, name=f"t{number}"), commit=head))
        image = own.CreateImageRequest(image=own.ImageSpec(name=f"i{number}", env={"N": str(number)}))
        world.images.CreateImage(iter([image]))
    purge(world)


def purge(world: World) -> None:
    """A repo with five commits, which all lose five paths, one after the other."""
    rooms = world.rooms
    rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=CLEANED))
    rooms.client.put(CLEANED, {f"/gone{number}": b"%d" % number for number in range(COUNT)})
    for number in range(1, COUNT):
        rooms.client.put(CLEANED, {f"/kept{number}": b"%d" % number})
    for number in range(COUNT):
        request = own.PurgePathRequest(repo=CLEANED, path=f"/gone{number}")
        id = next(iter(world.purges.PurgePath(request))).purge.id
        world.purges.InspectPurge(own.InspectPurgeRequest(id=id, wait=True))


@dataclass(frozen=True)
class Listing:
    """One call. ask: given number, marker (what `mark` makes of an answer) and reverse, what it answers.

    can: which of the three it knows. all: the number that stands for all, in reverse.
    """

    ask: Callable[[World, int, Any, bool], Iterator[Any]]
    key: Callable[[Any], Any]
    mark: Callable[[Any], Any] = lambda _: None
    can: Sequence[str] = ("number", "marker", "reverse")
    all: int = 0


def marked(path: str | None) -> pfs.File | None:
    return pfs.File(commit=on(DATA), path=path) if path else None


def commit_ids(world: World, number: int, reverse: bool, **more: Any) -> Iterator[pfs.CommitInfo]:
    return world.rooms.pfs.ListCommit(pfs.ListCommitRequest(repo=DATA, number=number, reverse=reverse, **more))


def a_purge(world: World) -> str:
    return str(next(iter(world.purges.ListPurge(own.ListPurgeRequest(repo=CLEANED, number=1)))).id)


LISTS: dict[str, Listing] = {
    "ListFile": Listing(
        lambda world, number, marker, reverse: world.rooms.pfs.ListFile(
            pfs.ListFileRequest(file=TOP, number=number, paginationMarker=marked(marker), reverse=reverse)
        ),
        lambda info: info.file.path,
        lambda info: info.file.path,
        all=1000,
    ),
    "WalkFile": Listing(
        lambda world, number, marker, reverse: world.rooms.pfs.WalkFile(
            pfs.WalkFileRequest(file=TOP, number=number, paginationMarker=marked(marker), reverse=reverse)
        ),
        lambda info: info.file.path,
        lambda info: info.file.path,
        all=1000,
    ),
    "ListCommit": Listing(
        lambda world, number, _marker, reverse: commit_ids(world, number, reverse),
        lambda info: info.commit.id,
        can=("number", "reverse"),
    ),
    "ListCommit to": Listing(
        lambda world, number, _marker, reverse: commit_ids(world, number, reverse, to=on(DATA)),
        lambda info: info.commit.id,
        can=("number", "reverse"),
    ),
    "FindCommits": Listing(
        lambda world, number, _marker, _reverse: (
            one
            for one in world.rooms.pfs.FindCommits(
                pfs.FindCommitsRequest(start=on(DATA), file_path="/same", limit=number)
            )
            if one.HasField("found_commit")
        ),
        lambda answer: answer.found_commit.id,
        can=("number",),
    ),
    "ListBranch": Listing(
        lambda world, _number, _marker, reverse: world.rooms.pfs.ListBranch(
            pfs.ListBranchRequest(repo=DATA, reverse=reverse)
        ),
        lambda info: info.branch.name,
        can=("reverse",),
    ),
    "ListTag": Listing(
        lambda world, number, marker, reverse: (
            one
            for one in world.tags.ListTag(own.ListTagRequest(repo=DATA, number=number, marker=marker, reverse=reverse))
        ),
        lambda info: info.tag.name,
        lambda info: info.tag,
    ),
    "ListImage": Listing(
        lambda world, number, marker, reverse: world.images.ListImage(
            own.ListImageRequest(number=number, marker=marker, reverse=reverse)
        ),
        lambda info: info.spec.name,
        lambda info: info.spec.name,
    ),
    "ListPurge": Listing(
        lambda world, number, marker, reverse: world.purges.ListPurge(
            own.ListPurgeRequest(repo=CLEANED, number=number, marker=marker, reverse=reverse)
        ),
        lambda info: info.id,
        lambda info: info.id,
    ),
    "ListPurgedCommit": Listing(
        lambda world, number, marker, reverse: world.purges.ListPurgedCommit(
            own.ListPurgedCommitRequest(purge=a_purge(world), number=number, marker=marker, reverse=reverse)
        ),
        lambda info: info.commit.id,
        lambda info: info,
    ),
    "ListPurgedCommit of a commit": Listing(
        lambda world, number, marker, reverse: world.purges.ListPurgedCommit(
            own.ListPurgedCommitRequest(commit=on(CLEANED), number=number, marker=marker, reverse=reverse)
        ),
        lambda info: info.purge,
        lambda info: info,
    ),
    "ListJob": Listing(
        lambda world, number, marker, reverse: world.rooms.pps.ListJob(
            pps.ListJobRequest(pipeline=EDGES, number=number, paginationMarker=marker, reverse=reverse)
        ),
        lambda info: info.job.id,
        lambda info: info.created,
    ),
    "ListJobSet": Listing(
        lambda world, number, marker, reverse: world.rooms.pps.ListJobSet(
            pps.ListJobSetRequest(number=number, paginationMarker=marker, reverse=reverse)
        ),
        lambda info: info.job_set.id,
        lambda info: info.jobs[0].created,
    ),
    "ListDatum": Listing(
        lambda world, number, marker, reverse: world.rooms.pps.ListDatum(
            pps.ListDatumRequest(
                input=pps.Input(pfs=pps.PFSInput(repo="data", branch="master", glob="/*", name="data")),
                number=number,
                paginationMarker=marker or "",
                reverse=reverse,
            )
        ),
        lambda info: info.datum.id,
        lambda info: info.datum.id,
    ),
}


@pytest.mark.parametrize("call", LISTS)
def test_a_list_is_cut_where_it_was_asked_to_be(world: World, call: str) -> None:
    listing = LISTS[call]
    answers = list(listing.ask(world, 0, None, False))
    every = [listing.key(one) for one in answers]
    assert len(every) >= COUNT
    assert len(set(every)) == len(every)

    def asked(number: int = 0, marker: Any = None, *, reverse: bool = False) -> list[Any]:
        wanted = number or (listing.all if reverse else 0)
        return [listing.key(one) for one in listing.ask(world, wanted, marker, reverse)]

    if "number" in listing.can:
        assert asked(1) == every[:1]
        assert asked(3) == every[:3]
        assert asked(len(every) + 7) == every
    if "reverse" in listing.can:
        assert asked(reverse=True) == every[::-1]
    if {"number", "reverse"} <= set(listing.can):
        assert asked(2, reverse=True) == every[::-1][:2]
    if "marker" in listing.can:
        for at in range(len(every)):
            marker = listing.mark(answers[at])
            assert asked(marker=marker) == every[at + 1 :]
            assert asked(2, marker) == every[at + 1 :][:2]
            assert asked(marker=marker, reverse=True) == every[:at][::-1]
            assert asked(1, marker, reverse=True) == every[:at][::-1][:1]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_of_repos_and_of_pipelines_are_the_whole_list(world: World, size: int) -> None:
    rooms = world.rooms
    repos = sorted(info.repo.name for info in rooms.pfs.ListRepo(pfs.ListRepoRequest(type="user")))
    pipelines = sorted(info.pipeline.name for info in rooms.pps.ListPipeline(pps.ListPipelineRequest()))
    assert (len(repos), len(pipelines)) == (COUNT + 2, COUNT)
    found: tuple[list[str], list[str]] = [], []
    for index in range(COUNT + 3):
        repo_page = pfs.RepoPage(page_size=size, page_index=index)
        asked = rooms.pfs.ListRepo(pfs.ListRepoRequest(type="user", page=repo_page))
        found[0].extend(info.repo.name for info in asked)
        page = pps.PipelinePage(page_size=size, page_index=index)
        found[1].extend(info.pipeline.name for info in rooms.pps.ListPipeline(pps.ListPipelineRequest(page=page)))
    assert found == (repos, pipelines)


@pytest.mark.parametrize("call", ["ListFile", "WalkFile", "ListDatum"])
def test_less_than_nothing_is_refused(world: World, call: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        list(LISTS[call].ask(world, -1, None, False))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "number" in refused.value.details()
