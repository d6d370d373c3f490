"""Each kind of request that a transaction holds is refused when it is added, in the words of the call by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from transaction_things import NOWHERE, Rooms, branch_request, named, pipeline_request, refused, spec, within

from trunkline.api.transactions.members import members
from trunkline.pps.images.resolving import Rules
from trunkline.testing.calls import on
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as transactions

Ask = Callable[[Rooms, pfs.Repo], tuple[Callable[..., Any], Any]]

REFUSED: dict[str, tuple[Ask, str]] = {
    "create_repo": (lambda r, repo: (r.pfs.CreateRepo, pfs.CreateRepoRequest(repo=repo)), "already exists"),
    "delete_repo": (
        lambda r, _repo: (r.pfs.DeleteRepo, pfs.DeleteRepoRequest(repo=pfs.Repo(name=""))),
        "names no repo",
    ),
    "start_commit": (
        lambda r, _: (r.pfs.StartCommit, pfs.StartCommitRequest(branch=pfs.Branch(repo=named("none"), name="b"))),
        "repo default/none not found",
    ),
    "finish_commit": (
        lambda r, repo: (r.pfs.FinishCommit, pfs.FinishCommitRequest(commit=on(repo, "none"))),
        "not found",
    ),
    "create_branch": (lambda r, repo: (r.pfs.CreateBranch, branch_request(repo, "b", "none")), "not found"),
    "delete_branch": (
        lambda r, _: (r.pfs.DeleteBranch, pfs.DeleteBranchRequest(branch=pfs.Branch(repo=named("none"), name="b"))),
        "repo default/none not found",
    ),
    "squash_commit_set": (
        lambda r, _: (
            r.pfs.SquashCommitSet,
            pfs.SquashCommitSetRequest(commit_set=pfs.CommitSet(id=NOWHERE)),
        ),
        "not found",
    ),
    "stop_job": (
        lambda r, _: (r.pps.StopJob, pps.StopJobRequest(job=pps.Job(pipeline=pps.Pipeline(name="none"), id=NOWHERE))),
        "not found",
    ),
    "update_job_state": (
        lambda r, _: (
            r.pps.UpdateJobState,
            pps.UpdateJobStateRequest(
                job=pps.Job(pipeline=pps.Pipeline(name="none"), id=NOWHERE), state=pps.JOB_KILLED
            ),
        ),
        "not found",
    ),
    "create_pipeline": (lambda r, _: (r.pps.CreatePipeline, pipeline_request("p", "none")), "not found"),
    "create_pipeline_v2": (
        lambda r, _: (
            r.pps.CreatePipelineV2,
            pps.CreatePipelineV2Request(create_pipeline_request_json=spec("p", "none")),
        ),
        "not found",
    ),
}


@pytest.mark.parametrize("member", REFUSED)
def test_what_would_be_refused_is_refused_when_it_is_added(rooms: Rooms, member: str) -> None:
    make, words = REFUSED[member]
    repo, id = rooms.client.repo(), rooms.start()
    call, request = make(rooms, repo)
    alone, added = refused(lambda: call(request)), refused(lambda: call(request, metadata=within(id)))
    assert words in added.details
    assert added == alone, "in the same words as by itself"
    assert not rooms.inspect(id).requests


def test_every_kind_of_request_that_is_held_is_tried_above() -> None:
    assert {member.name for member in members(Rules())} == REFUSED.keys()


@pytest.mark.parametrize(
    ("kept", "request_"),
    [
        (
            "1a2c120762792068616e641a210a170a04646174611204757365721a090a0764656661756c7412066d6173746572",
            {
                "start_commit": pfs.StartCommitRequest(
                    branch=pfs.Branch(repo=named("data"), name="master"), description="by hand"
                )
            },
        ),
        (
            "5a240a070a030a0170300112197b22706970656c696e65223a7b226e616d65223a2270227d7d",
            {
                "create_pipeline_v2": pps.CreatePipelineTransaction(
                    user_json='{"pipeline":{"name":"p"}}',
                    create_pipeline_request=pps.CreatePipelineRequest(pipeline=pps.Pipeline(name="p"), update=True),
                )
            },
        ),
    ],
)
def test_a_request_that_was_kept_once_is_read_for_ever(kept: str, request_: dict[str, Any]) -> None:
    assert transactions.TransactionRequest.FromString(bytes.fromhex(kept)) == transactions.TransactionRequest(
        **request_
    )
