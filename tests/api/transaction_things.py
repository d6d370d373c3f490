"""What tests of transactions ask for, and of whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
import pytest

from trunkline.testing.calls import Client, on
from trunkline.wire.gen import admin_v2_pb2_grpc, metadata_pb2_grpc, pps_v2_pb2_grpc, transaction_v2_pb2_grpc
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as wire

NOWHERE = "0" * 31 + "1"


class Rooms:
    """The stubs of the services."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.client = Client.on(channel)
        self.pfs = self.client.stub
        self.pps = pps_v2_pb2_grpc.APIStub(channel)
        self.admin = admin_v2_pb2_grpc.APIStub(channel)
        self.metadata = metadata_pb2_grpc.APIStub(channel)
        self.api = transaction_v2_pb2_grpc.APIStub(channel)

    def start(self) -> str:
        return str(self.api.StartTransaction(wire.StartTransactionRequest()).id)

    def finish(self, id: str) -> wire.TransactionInfo:
        return self.api.FinishTransaction(wire.FinishTransactionRequest(transaction=wire.Transaction(id=id)))

    def inspect(self, id: str) -> wire.TransactionInfo:
        return self.api.InspectTransaction(wire.InspectTransactionRequest(transaction=wire.Transaction(id=id)))

    def head(self, repo: pfs.Repo, branch: str = "master") -> pfs.CommitInfo:
        return self.pfs.InspectCommit(pfs.InspectCommitRequest(commit=on(repo, branch)))

    def jobs(self, name: str) -> list[pps.JobInfo]:
        return list(self.pps.ListJob(pps.ListJobRequest(pipeline=pps.Pipeline(name=name))))


def within(id: str) -> tuple[tuple[str, str], ...]:
    return (("pach-transaction", id),)


def named(name: str) -> pfs.Repo:
    return pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))


class Refusal(NamedTuple):
    """Code and details."""

    code: grpc.StatusCode
    details: str


def refused(call: Callable[[], object]) -> Refusal:
    """How a call is refused."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return Refusal(raised.value.code(), raised.value.details() or "")


def branch_request(repo: pfs.Repo, branch: str, head: str = "", *provenance: pfs.Repo) -> pfs.CreateBranchRequest:
    return pfs.CreateBranchRequest(
        branch=pfs.Branch(repo=repo, name=branch),
        head=on(repo, head) if head else None,
        provenance=[pfs.Branch(repo=up, name="master") for up in provenance],
    )


def pipeline_request(name: str, *reads: str, **given: Any) -> pps.CreatePipelineRequest:
    inputs = [pps.Input(pfs=pps.PFSInput(repo=repo, glob="/*")) for repo in reads]
    return pps.CreatePipelineRequest(
        pipeline=pps.Pipeline(name=name),
        transform=pps.Transform(cmd=["true"]),
        input=pps.Input(cross=inputs) if len(inputs) > 1 else inputs[0],
        **given,
    )


def spec(name: str, repo: str, **given: Any) -> str:
    return json.dumps(
        {
            "pipeline": {"name": name},
            "transform": {"cmd": ["true"]},
            "input": {"pfs": {"repo": repo, "glob": "/*"}},
            **given,
        }
    )
