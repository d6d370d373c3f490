"""Datums that an input would make, before there is a job: listed and streamed, through a real socket."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pfs_v2_pb2_grpc, pps_v2_pb2_grpc
from trunkline.wire.gen import pps_v2_pb2 as pps

REPO = pfs.Repo(name="data", type="user")
WHOLE = pps.Input(pfs=pps.PFSInput(repo="data", glob="/*"))


@pytest.fixture(scope="module")
def calls(channel: grpc.Channel) -> Any:
    """The pipeline system's calls, with a repo of 25 files."""
    files = pfs_v2_pb2_grpc.APIStub(channel)
    files.CreateRepo(pfs.CreateRepoRequest(repo=REPO))
    where = pfs.Commit(branch=pfs.Branch(repo=REPO, name="master"))
    puts = [
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{number:02}", raw={"value": b"x"})) for number in range(25)
    ]
    files.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=where), *puts]))
    return pps_v2_pb2_grpc.APIStub(channel)


def refused(call: Any) -> str:
    with pytest.raises(grpc.RpcError) as raised:
        list(call)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return str(raised.value.details())


def paths(infos: Any) -> list[str]:
    return [info.data[0].file.path for info in infos]


def test_a_list_has_pages_order_and_filter(calls: Any) -> None:
    every = list(calls.ListDatum(pps.ListDatumRequest(input=WHOLE)))
    ids = [info.datum.id for info in every]
    assert len(set(ids)) == 25
    assert paths(every) == [f"/{number:02}" for number in range(25)]
    assert all(info.data[0].committed.seconds and not info.HasField("pfs_state") for info in every)

    def page(**more: Any) -> list[str]:
        return [info.datum.id for info in calls.ListDatum(pps.ListDatumRequest(input=WHOLE, **more))]

    assert page(number=10, paginationMarker=ids[4]) == ids[5:15]
    assert page(number=3, paginationMarker=ids[4], reverse=True) == ids[3:0:-1]
    assert page(reverse=True) == ids[::-1]
    assert page(filter=pps.ListDatumRequest.Filter(state=[pps.SUCCESS])) == []
    assert page(filter=pps.ListDatumRequest.Filter(state=[pps.UNKNOWN])) == ids
    assert "64 hex digits" in refused(calls.ListDatum(pps.ListDatumRequest(input=WHOLE, paginationMarker="x")))
    assert "number" in refused(calls.ListDatum(pps.ListDatumRequest(input=WHOLE, number=-1)))


def test_the_project_of_a_named_pipeline_enters_the_ids(calls: Any) -> None:
    whole = pps.Input(pfs=pps.PFSInput(project="default", repo="data", glob="/"))
    job = pps.Job(pipeline=pps.Pipeline(name="p", project=pfs.Project(name="other")))
    here = next(iter(calls.ListDatum(pps.ListDatumRequest(input=whole))))
    there = next(iter(calls.ListDatum(pps.ListDatumRequest(input=whole, job=job))))
    assert here.datum.id != there.datum.id
    assert there.datum.job.pipeline.project.name == "other"


def test_datums_are_streamed_in_batches(calls: Any) -> None:
    asked: SimpleQueue[Any] = SimpleQueue()
    stream = calls.CreateDatum(iter(asked.get, None))
    asked.put(pps.CreateDatumRequest(start=pps.StartCreateDatumRequest(input=WHOLE, number=10)))
    assert paths(next(stream) for _ in range(10)) == [f"/{number:02}" for number in range(10)]
    asked.put(pps.CreateDatumRequest(**{"continue": pps.ContinueCreateDatumRequest(number=4)}))
    assert paths(next(stream) for _ in range(4)) == [f"/{number:02}" for number in range(10, 14)]
    asked.put(pps.CreateDatumRequest(**{"continue": pps.ContinueCreateDatumRequest()}))
    assert paths(stream) == [f"/{number:02}" for number in range(14, 25)]  # and it has ended by itself


def test_a_stream_begins_with_an_input(calls: Any) -> None:
    start = pps.CreateDatumRequest(start=pps.StartCreateDatumRequest(input=WHOLE, number=1))
    more = pps.CreateDatumRequest(**{"continue": pps.ContinueCreateDatumRequest(number=1)})
    assert "`start`" in refused(calls.CreateDatum(iter([more])))
    assert "`continue`" in refused(calls.CreateDatum(iter([start, start])))
    below = pps.StartCreateDatumRequest(input=WHOLE, number=-1)
    assert "number" in refused(calls.CreateDatum(iter([pps.CreateDatumRequest(start=below)])))
    assert "glob" in refused(calls.ListDatum(pps.ListDatumRequest(input=pps.Input(pfs=pps.PFSInput(repo="data")))))
