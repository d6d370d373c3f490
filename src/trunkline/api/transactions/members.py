"""What a transaction may hold: each kind of request, the call that it stands for, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from trunkline.api.files import changes as files
from trunkline.api.work import changes as work
from trunkline.errors import InvalidArgument
from trunkline.model.names import DEFAULT_PROJECT
from trunkline.model.specs.writing import read_spec
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.graph.transactions import Played
from trunkline.pps.images.resolving import Rules
from trunkline.pps.specs import requests
from trunkline.pps.specs.requests import Request
from trunkline.wire import nouns, specs
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as transactions


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller of a request is told: the message, and sentences beside it."""

    message: Message
    notes: Sequence[str] = ()


def itself(request: Any) -> Any:
    """A request that is kept as it came."""
    return request


def for_good(_request: Any) -> bool:
    """Of requests that cannot ask for a dry run."""
    return False


@dataclass(frozen=True, slots=True)
class Member:
    """A kind of request.

    name: its field in `transaction_v2.TransactionRequest`. call: the path of the call that is kept so. kept: makes of
    that call's request what is kept. dry: whether such a request only asks what would happen.
    """

    name: str
    call: str
    do: Callable[[Change, Any], Message | Answer]
    kept: Callable[[Any], Message] = itself
    dry: Callable[[Any], bool] = for_good


def members(rules: Rules) -> Sequence[Member]:
    """All kinds. rules: what the server lets pipelines be."""

    def create_pipeline(change: Change, request: pps.CreatePipelineRequest) -> Answer:
        wanted = Request(specs.form_of(request), update=request.update, reprocess=request.reprocess)
        return Answer(Empty(), requests.create(change, wanted, rules).notes)

    def create_pipeline_v2(change: Change, request: pps.CreatePipelineTransaction) -> Answer:
        inner = request.create_pipeline_request
        source = request.user_json or specs.form_of(inner)
        made = requests.create(change, Request(source, update=inner.update, reprocess=inner.reprocess), rules)
        answer = pps.CreatePipelineV2Response(effective_create_pipeline_request_json=made.row.effective_spec)
        return Answer(answer, made.notes)

    return (
        Member("create_repo", "/pfs_v2.API/CreateRepo", files.create_repo),
        Member("delete_repo", "/pfs_v2.API/DeleteRepo", files.delete_repo),
        Member("start_commit", "/pfs_v2.API/StartCommit", files.start_commit),
        Member("finish_commit", "/pfs_v2.API/FinishCommit", files.finish_commit),
        Member("squash_commit_set", "/pfs_v2.API/SquashCommitSet", files.squash_commit_set),
        Member("create_branch", "/pfs_v2.API/CreateBranch", files.create_branch),
        Member("delete_branch", "/pfs_v2.API/DeleteBranch", files.delete_branch),
        Member("stop_job", "/pps_v2.API/StopJob", work.stop_job),
        Member("update_job_state", "/pps_v2.API/UpdateJobState", work.update_job_state),
        Member("create_pipeline", "/pps_v2.API/CreatePipeline", create_pipeline, dry=_older_dry),
        Member("create_pipeline_v2", "/pps_v2.API/CreatePipelineV2", create_pipeline_v2, _as_kept, _newer_dry),
    )


def _older_dry(request: pps.CreatePipelineRequest) -> bool:
    return bool(request.dry_run)


def _newer_dry(request: pps.CreatePipelineV2Request) -> bool:
    return bool(request.dry_run) or Request(request.create_pipeline_request_json).tries


def refuse_dry(request: transactions.TransactionRequest) -> None:
    """Raises InvalidArgument for a pipeline that is only to be tried: a batch is carried out, as a whole."""
    newer = request.create_pipeline_v2
    inner = newer.create_pipeline_request
    if request.create_pipeline.dry_run or inner.dry_run or (newer.user_json and Request(newer.user_json).tries):
        raise InvalidArgument(
            "a pipeline in a batch asks for a dry run, and a batch does what it says; leave out dry_run, or send the "
            "pipeline by itself"
        )


def _as_kept(request: pps.CreatePipelineV2Request) -> pps.CreatePipelineTransaction:
    """The newer call keeps the text as it was written: its meaning may hang on defaults that change until the end."""
    text = request.create_pipeline_request_json
    named = read_spec(text, rules=False).user.get("pipeline") or {}
    pipeline = pps.Pipeline(
        name=named.get("name") or "", project=nouns.project((named.get("project") or {}).get("name") or DEFAULT_PROJECT)
    )
    inner = pps.CreatePipelineRequest(pipeline=pipeline, update=request.update, reprocess=request.reprocess)
    return pps.CreatePipelineTransaction(create_pipeline_request=inner, user_json=text)


@dataclass(frozen=True, slots=True)
class Requests:
    """Fills the port of `pfs.graph.transactions`: requests are messages of the wire. by_name: their kinds."""

    by_name: Mapping[str, Member]

    def name(self, request: bytes) -> str:
        """What kind of request it is."""
        fields = transactions.TransactionRequest.FromString(request).ListFields()
        return ", ".join(descriptor.name for descriptor, _ in fields) or "empty"

    def play(self, change: Change, request: bytes) -> Played:
        """Do what a request says."""
        name, message = _only(request)
        member = self.by_name.get(name)
        if member is None:
            raise InvalidArgument(f"{name} cannot be part of a transaction on this server; make that call by itself")
        done = member.do(change, message)
        answer = done if isinstance(done, Answer) else Answer(done)
        response = transactions.TransactionResponse()
        if isinstance(answer.message, pfs.Commit):
            response.commit.CopyFrom(answer.message)
        return Played(response.SerializeToString(deterministic=True), answer)


def _only(request: bytes) -> tuple[str, Any]:
    """The one thing that a request asks for, with its name."""
    fields = transactions.TransactionRequest.FromString(request).ListFields()
    if len(fields) != 1:
        names = ", ".join(descriptor.name for descriptor, _ in fields)
        what = f"several things at once ({names})" if names else "nothing"
        raise InvalidArgument(f"a request of a transaction asks for {what}: give each request one of its fields")
    return fields[0][0].name, fields[0][1]
