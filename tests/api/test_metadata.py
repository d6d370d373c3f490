"""Texts attached to things: every operation on every kind of thing, all edits of a request or none."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from transaction_things import Refusal, Rooms, pipeline_request, refused

from trunkline.pfs.graph.metadata import MOST_BYTES
from trunkline.wire.gen import admin_v2_pb2 as admin
from trunkline.wire.gen import metadata_pb2 as wire
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps


class Things:
    """One of each kind, how it is picked, and what is attached to it."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.repo = rooms.client.repo()
        rooms.client.put(self.repo, {"/a": b"1"})
        rooms.client.put(self.repo, {"/b": b"2"})
        self.name = self.repo.name
        rooms.pfs.CreateProject(pfs.CreateProjectRequest(project=pfs.Project(name=f"p-{self.name}")))
        rooms.pps.CreatePipeline(pipeline_request(f"of-{self.name}", self.name))
        self.commit = rooms.head(self.repo).commit
        self.first = rooms.head(self.repo, "master^").commit
        repo = pfs.RepoPicker(name=pfs.RepoPicker.RepoName(project=pfs.ProjectPicker(name="default"), name=self.name))
        master = pfs.BranchPicker(name=pfs.BranchPicker.BranchName(repo=repo, name="master"))
        head = pfs.CommitPicker(branch_head=master)
        by_id = pfs.CommitPicker.CommitByGlobalId(repo=repo, id=self.commit.id)
        self.pickers: dict[str, dict[str, Any]] = {
            "cluster": {"cluster": wire.ClusterPicker()},
            "project": {"project": pfs.ProjectPicker(name=f"p-{self.name}")},
            "repo": {"repo": repo},
            "branch": {"branch": master},
            "commit": {"commit": pfs.CommitPicker(id=by_id)},
            "head": {"commit": head},
            "ancestor": {"commit": pfs.CommitPicker(ancestor=pfs.CommitPicker.AncestorOf(offset=1, start=head))},
            "root": {"commit": pfs.CommitPicker(branch_root=pfs.CommitPicker.BranchRoot(offset=1, branch=master))},
            "pipeline": {"pipeline": pps.PipelinePicker(name=pps.PipelinePicker.PipelineName(name=f"of-{self.name}"))},
        }

    def edit(self, *edits: tuple[str, Any]) -> None:
        made = [wire.Edit(**self.pickers[kind], **operation) for kind, operation in edits]
        self.rooms.metadata.EditMetadata(wire.EditMetadataRequest(edits=made))

    def refused(self, *edits: tuple[str, Any]) -> Refusal:
        return refused(lambda: self.edit(*edits))

    def attached(self, kind: str) -> dict[str, str]:
        rooms, found = self.rooms, None
        match kind:
            case "cluster":
                found = rooms.admin.InspectCluster(admin.InspectClusterRequest())
            case "project":
                project = pfs.Project(name=f"p-{self.name}")
                found = rooms.pfs.InspectProject(pfs.InspectProjectRequest(project=project))
            case "repo":
                found = rooms.pfs.InspectRepo(pfs.InspectRepoRequest(repo=self.repo))
            case "branch":
                branch = pfs.Branch(repo=self.repo, name="master")
                found = rooms.pfs.InspectBranch(pfs.InspectBranchRequest(branch=branch))
            case "commit" | "head":
                found = rooms.head(self.repo)
            case "ancestor" | "root":
                found = rooms.pfs.InspectCommit(pfs.InspectCommitRequest(commit=self.first))
            case "pipeline":
                pipeline = pps.Pipeline(name=f"of-{self.name}")
                found = rooms.pps.InspectPipeline(pps.InspectPipelineRequest(pipeline=pipeline))
        assert found is not None
        return dict(found.metadata)


@pytest.fixture
def things(rooms: Rooms) -> Things:
    return Things(rooms)


def add(key: str, value: str = "v") -> dict[str, Any]:
    return {"add_key": wire.Edit.AddKey(key=key, value=value)}


def change(key: str, value: str = "v") -> dict[str, Any]:
    return {"edit_key": wire.Edit.EditKey(key=key, value=value)}


def delete(key: str) -> dict[str, Any]:
    return {"delete_key": wire.Edit.DeleteKey(key=key)}


def replace(**texts: str) -> dict[str, Any]:
    return {"replace": wire.Edit.Replace(replacement=texts)}


KINDS = ["cluster", "project", "repo", "branch", "commit", "head", "ancestor", "root", "pipeline"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_on_every_kind(things: Things, kind: str) -> None:
    things.edit((kind, replace()))
    assert things.attached(kind) == {}
    things.edit((kind, add("owner", "änn")), (kind, add("empty", "")))
    assert things.attached(kind) == {"owner": "änn", "empty": ""}
    said = things.refused((kind, add("owner", "bob")))
    assert (said.code, "edit it instead" in said.details) == (grpc.StatusCode.ALREADY_EXISTS, True)
    things.edit((kind, change("owner", "bob")), (kind, change("new", "1")), (kind, delete("empty")))
    assert things.attached(kind) == {"owner": "bob", "new": "1"}
    things.edit((kind, delete("never there")), (kind, replace(a="1", b="2")))
    assert things.attached(kind) == {"a": "1", "b": "2"}


def test_all_edits_are_made_or_none(things: Things) -> None:
    said = things.refused(("repo", add("a")), ("branch", add("a")), ("branch", add("a")))
    assert "edit 3 of 3: the metadata of branch default/" in said.details
    assert "none of them was made" in said.details
    assert (things.attached("repo"), things.attached("branch")) == ({}, {})


def test_what_cannot_be_is_refused(things: Things) -> None:
    long = "x" * (MOST_BYTES // 2)
    things.edit(("repo", add("a", long)))
    assert things.refused(("repo", add("b", long))).code is grpc.StatusCode.FAILED_PRECONDITION
    for operation in (add(""), change(""), delete(""), {"replace": wire.Edit.Replace(replacement={"": "1"})}, {}):
        assert things.refused(("repo", operation)).code is grpc.StatusCode.INVALID_ARGUMENT
    things.pickers["nothing"] = {}
    things.pickers["empty"] = {"repo": pfs.RepoPicker()}
    for kind in ("nothing", "empty"):
        assert things.refused((kind, add("b"))).code is grpc.StatusCode.INVALID_ARGUMENT
    gone = pfs.RepoPicker(name=pfs.RepoPicker.RepoName(name="nowhere"))
    things.pickers |= {
        "no repo": {"repo": gone},
        "no project": {"project": pfs.ProjectPicker(name="nowhere")},
        "no branch": {"branch": pfs.BranchPicker(name=pfs.BranchPicker.BranchName(repo=gone, name="b"))},
        "no pipeline": {"pipeline": pps.PipelinePicker(name=pps.PipelinePicker.PipelineName(name="nowhere"))},
    }
    for kind in ("no repo", "no project", "no branch", "no pipeline"):
        said = things.refused((kind, add("b")))
        assert (said.code, "nowhere" in said.details) == (grpc.StatusCode.NOT_FOUND, True)


def test_what_is_attached_stays(things: Things) -> None:
    for kind in ("repo", "branch", "commit", "pipeline"):
        things.edit((kind, add("k")))
    rooms, name = things.rooms, f"of-{things.name}"
    rooms.client.put(things.repo, {"/c": b"3"})
    rooms.pfs.CreateRepo(pfs.CreateRepoRequest(repo=things.repo, description="other", update=True))
    rooms.pps.CreatePipeline(pipeline_request(name, things.name, update=True))
    assert [things.attached(kind) for kind in ("repo", "branch", "pipeline")] == [{"k": "v"}] * 3
    assert things.attached("commit") == {}, "a new commit has none of its own"
    listed = {info.repo.name: dict(info.metadata) for info in rooms.pfs.ListRepo(pfs.ListRepoRequest(type="user"))}
    assert listed[things.name] == {"k": "v"}
