"""More callers wait for commits that are being finished than there are threads, and others are answered meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from trunkline.testing.calls import Client, edits, on
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import pps_v2_pb2_grpc, trunkline_pb2_grpc
from trunkline.wire.gen import trunkline_pb2 as own

LONG_S = 60


@dataclass
class Place:
    """A repo of which another is made: there a commit is open, and one on top of it is closed already.

    So that one is not finished before the open one is. A branch without provenance points to it, too.
    """

    channel: grpc.Channel
    client: Client
    source: pfs.Repo
    repo: pfs.Repo
    first: pfs.Commit
    under: pfs.Commit


def head(client: Client, repo: pfs.Repo) -> pfs.Commit:
    commit: pfs.Commit = client.stub.InspectCommit(pfs.InspectCommitRequest(commit=on(repo))).commit
    return commit


def finish(client: Client, commit: pfs.Commit) -> None:
    client.stub.FinishCommit(pfs.FinishCommitRequest(commit=commit, force=True))


@pytest.fixture
def place(channel: grpc.Channel, client: Client) -> Place:
    source, repo = client.repo(), client.repo()
    request = pfs.CreateBranchRequest(branch=pfs.Branch(repo=repo, name="master"))
    request.provenance.add(repo=source, name="master")
    client.stub.CreateBranch(request)
    first = head(client, repo)
    finish(client, first)
    client.finished(repo)
    client.put(source, {"/a": b"1"})
    under = head(client, repo)
    client.put(source, {"/b": b"2"})
    last = head(client, repo)
    finish(client, last)
    client.stub.CreateBranch(pfs.CreateBranchRequest(branch=pfs.Branch(repo=repo, name="side"), head=last))
    return Place(channel, client, source, repo, first, under)


def squash(place: Place) -> tuple[Any, Any]:
    return place.client.stub.SquashCommit, pfs.SquashCommitRequest(commit=place.under)


def squash_set(place: Place) -> tuple[Any, Any]:
    return place.client.stub.SquashCommitSet, pfs.SquashCommitSetRequest(commit_set=pfs.CommitSet(id=place.under.id))


def forget(place: Place) -> tuple[Any, Any]:
    repo = pfs.RepoPicker(
        name=pfs.RepoPicker.RepoName(project=pfs.ProjectPicker(name="default"), name=place.repo.name, type="user")
    )
    picked = pfs.CommitPicker(id=pfs.CommitPicker.CommitByGlobalId(repo=repo, id=place.under.id))
    return place.client.stub.ForgetCommit, pfs.ForgetCommitRequest(commit=picked)


def search(place: Place) -> tuple[Any, Any]:
    return place.client.stub.FindCommits, pfs.FindCommitsRequest(start=on(place.repo, "side"), file_path="/b")


def check(place: Place) -> tuple[Any, Any]:
    request = own.CheckFilesRequest(commit=on(place.repo, "side"), paths=["/b"], sizes=[1], hashes=b"x" * 32)
    return place.client.bulk.CheckFiles, request


def egress(place: Place) -> tuple[Any, Any]:
    nowhere = pfs.ObjectStorageEgress(url="nosuch://nowhere")
    return place.client.stub.Egress, pfs.EgressRequest(commit=on(place.repo, "side"), object_storage=nowhere)


def egress_of_rows(place: Place) -> tuple[Any, Any]:
    nowhere = pfs.SQLDatabaseEgress(url="nosuch://nowhere")
    return place.client.stub.Egress, pfs.EgressRequest(commit=on(place.repo, "side"), sql_database=nowhere)


def merge(place: Place) -> tuple[Any, Any]:
    branch = pfs.Branch(repo=place.repo, name="other")
    place.client.stub.CreateBranch(pfs.CreateBranchRequest(branch=branch, head=place.first))
    request = own.MergeBranchRequest(source=on(place.repo, "side"), target=branch)
    return trunkline_pb2_grpc.VersionsStub(place.channel).MergeBranch, request


def purge(place: Place) -> tuple[Any, Any]:
    request = own.PurgePathRequest(repo=place.source, path="/a", dry_run=True)
    return trunkline_pb2_grpc.PurgesStub(place.channel).PurgePath, request


def purge_for_good(place: Place) -> tuple[Any, Any]:
    request = own.PurgePathRequest(repo=place.source, path="/a")
    return trunkline_pb2_grpc.PurgesStub(place.channel).PurgePath, request


def the_input(place: Place) -> pps.Input:
    return pps.Input(pfs=pps.PFSInput(repo=place.repo.name, branch="side", glob="/*"))


def preview(place: Place) -> tuple[Any, Any]:
    return pps_v2_pb2_grpc.APIStub(place.channel).ListDatum, pps.ListDatumRequest(input=the_input(place))


def forecast(place: Place) -> tuple[Any, Any]:
    spec = (
        '{"pipeline": {"name": "p"}, "transform": {"cmd": ["true"]}, '
        f'"input": {{"pfs": {{"repo": "{place.repo.name}", "branch": "side", "glob": "/*"}}}}}}'
    )
    request = own.ForecastRequest(create_pipeline_request_json=spec)
    return trunkline_pb2_grpc.DatumsStub(place.channel).Forecast, request


class Asked:
    """A call under way, whether it answers once or with a stream."""

    def __init__(self, call: Any, request: Any) -> None:
        streams = isinstance(call, grpc.UnaryStreamMultiCallable)
        self._answer = call(request) if streams else call.future(request)
        self._streams = streams

    def end(self) -> grpc.StatusCode:
        """Its code, once it is answered."""
        try:
            if self._streams:
                list(self._answer)
            else:
                self._answer.result(LONG_S)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def leave(self) -> None:
        """Wait for it no more."""
        self._answer.cancel()

    @property
    def waits(self) -> bool:
        """Whether it was not answered yet."""
        return not self._answer.done()


OK, GONE = grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND
REFUSED = grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("what", "callers", "ends"),
    [
        (squash, 20, {OK, GONE}),  # one of them does it
        (squash_set, 20, {OK, GONE}),
        (forget, 20, {OK}),
        (search, 20, {OK}),
        (check, 20, {OK}),
        (egress, 70, {grpc.StatusCode.INVALID_ARGUMENT}),
        (egress_of_rows, 70, {grpc.StatusCode.INVALID_ARGUMENT}),
        (merge, 70, {OK, grpc.StatusCode.ABORTED}),
        (purge, 20, {OK}),
        (purge_for_good, 20, {OK, REFUSED}),
        (preview, 20, {OK}),
        (forecast, 20, {OK}),
    ],
)
def test_waiting_for_an_open_base_holds_no_thread(
    place: Place, what: Callable[[Place], tuple[Any, Any]], callers: int, ends: set[grpc.StatusCode]
) -> None:
    other = place.client.repo()
    call, request = what(place)
    asked = [Asked(call, request) for _ in range(callers)]
    stub = place.client.stub  # all that follows is answered in threads
    stub.InspectRepo(pfs.InspectRepoRequest(repo=place.repo), timeout=LONG_S)
    stub.ModifyFile(edits(on(other), {"/d": b"x"}), timeout=LONG_S)
    assert all(one.waits for one in asked)
    asked.pop().leave()
    finish(place.client, place.under)
    assert {one.end() for one in asked} <= ends
