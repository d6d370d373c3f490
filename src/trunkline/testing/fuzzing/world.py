"""A few projects, repos, files, pipelines, secrets, transactions and file sets, for requests to name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage

from trunkline.ambient import RealAmbient
from trunkline.testing.calls import add, edits, on
from trunkline.testing.fuzzing.messages import Pool
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pfs_v2_pb2_grpc, pps_v2_pb2_grpc, transaction_v2_pb2_grpc, trunkline_pb2_grpc
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as transactions
from trunkline.wire.gen import trunkline_pb2 as own

PROJECTS = ("default", "second")
REPOS = ("one", "two")
PIPELINES = ("pipe", "pair")
ENDED = (pps.JOB_SUCCESS, pps.JOB_FAILURE, pps.JOB_KILLED, pps.JOB_UNRUNNABLE)
LOOKS, LOOK_S = 100, 0.1
"""How often, and after how long each time, is looked for a datum."""
FILES = {"/a": b"1", "/d/b": b"22", "/d/c": b"333"}


def fill(channel: grpc.Channel, pool: Pool) -> None:
    """Make what is missing, and tell the pool what there is."""
    files, work = pfs_v2_pb2_grpc.APIStub(channel), pps_v2_pb2_grpc.APIStub(channel)
    pool.things["project"] = [*PROJECTS, ""]
    pool.things["repo"] = [*REPOS, *PIPELINES]
    pool.things["pipeline"] = list(PIPELINES)
    for project in PROJECTS:
        _try(files.CreateProject, pfs.CreateProjectRequest(project=pfs.Project(name=project)))
    for name in REPOS:
        repo = pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))
        _try(files.CreateRepo, pfs.CreateRepoRequest(repo=repo))
        _whole(files, repo)
    work.SetClusterDefaults(pps.SetClusterDefaultsRequest(cluster_defaults_json="{}"))
    for name, source in zip(PIPELINES, REPOS, strict=True):
        _made(files, work, name, source)
    _kept(channel, files, work, pool)
    _nouns(files, work, pool)
    _lent(channel, files, pool)


def _whole(files: Any, repo: pfs.Repo) -> None:
    """Its newest commit holds the files that requests name, whatever was written to it before."""
    try:
        for path in FILES:
            files.InspectFile(pfs.InspectFileRequest(file=pfs.File(commit=on(repo), path=path)))
    except grpc.RpcError:
        _try(files.ModifyFile, edits(on(repo), FILES))


def _kept(channel: grpc.Channel, files: Any, work: Any, pool: Pool) -> None:
    """What calls need that name more than repos, branches and pipelines."""
    repos = {name: pfs.Repo(name=name, type="user", project=pfs.Project(name="default")) for name in ("open", "line")}
    for repo in repos.values():
        _try(files.CreateRepo, pfs.CreateRepoRequest(repo=repo))
    _try(files.StartCommit, pfs.StartCommitRequest(branch=pfs.Branch(repo=repos["open"], name="master")))
    for _ in range(2):  # of which the older one can be squashed and the newer one dropped
        _try(files.ModifyFile, edits(on(repos["line"]), FILES))
    with suppress(grpc.RpcError):
        line = list(files.ListCommit(pfs.ListCommitRequest(repo=repos["line"], number=2)))
        files.InspectCommit(pfs.InspectCommitRequest(commit=line[0].commit, wait=pfs.FINISHED))
        pool.things["line"] = [info.commit.id for info in line]
    text = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kept"}, "data": {"k": "dg=="}}
    _try(work.CreateSecret, pps.CreateSecretRequest(file=json.dumps(text).encode()))
    images, versions = trunkline_pb2_grpc.ImagesStub(channel), trunkline_pb2_grpc.VersionsStub(channel)
    _try(images.CreateImage, iter([own.CreateImageRequest(image=own.ImageSpec(name="kept"))]))
    one = pfs.Repo(name="one", type="user", project=pfs.Project(name="default"))
    _try(versions.CreateTag, own.CreateTagRequest(tag=own.Tag(repo=one, name="kept"), commit=on(one)))
    _try(files.CreateBranch, pfs.CreateBranchRequest(branch=pfs.Branch(repo=one, name="other"), head=on(one)))
    clock = {"cron": {"name": "clock", "spec": "@yearly"}}
    spec = json.loads(_spec("tick", "one")) | {"input": clock}
    _try(work.CreatePipelineV2, pps.CreatePipelineV2Request(create_pipeline_request_json=json.dumps(spec)))
    pool.things |= {"secret": ["kept"], "image": ["kept"]}


def _nouns(files: Any, work: Any, pool: Pool) -> None:
    """Whole addresses of what exists now."""
    repos = [pfs.Repo(name=name, type="user", project=pfs.Project(name="default")) for name in (*REPOS, *PIPELINES)]
    commits: list[pfs.Commit] = [on(repo) for repo in repos[:2]]
    with suppress(grpc.RpcError):
        for repo in repos:
            commits += [info.commit for info in files.ListCommit(pfs.ListCommitRequest(repo=repo, number=3))]
    pipelines = [pps.Pipeline(name=name, project=pfs.Project(name="default")) for name in PIPELINES]
    found: list[pps.JobInfo] = []
    with suppress(grpc.RpcError):  # and not those of a load test, of which there are as many as it came to in its time
        for pipeline in pipelines:
            found += work.ListJob(pps.ListJobRequest(pipeline=pipeline, number=3))
    jobs = [info.job for info in found]
    datums = _datums(work, jobs)
    ids = sorted({commit.id for commit in commits if commit.id})
    pool.things["commit"] = [*ids, ""]
    pool.things["datum"] = [datum.id for datum in datums]
    pool.things["Project"] = [pfs.Project(name=name) for name in PROJECTS]
    pool.things["Repo"] = repos
    pool.things["Branch"] = [pfs.Branch(repo=repo, name=name) for repo in repos for name in ("master", "other")]
    pool.things["Commit"] = commits
    pool.things["File"] = [pfs.File(commit=commit, path=path) for commit in commits for path in ("/a", "/d/", "/d/b")]
    pool.things["Pipeline"] = pipelines
    pool.things["Job"] = jobs
    pool.things["job that goes on"] = [info.job for info in found if info.state not in ENDED]
    pool.things["CommitSet"] = [pfs.CommitSet(id=id) for id in ids]
    pool.things["JobSet"] = [pps.JobSet(id=id) for id in ids]
    pool.things["Datum"] = datums


def _datums(work: Any, jobs: Sequence[pps.Job]) -> list[pps.Datum]:
    """Those of the newest two jobs that have some; a job has none before it is planned."""
    found: list[list[pps.Datum]] = []
    for _ in range(LOOKS):
        for job in jobs:
            with suppress(grpc.RpcError):
                found.append([info.datum for info in work.ListDatum(pps.ListDatumRequest(job=job))])
        if any(found) or not jobs:
            break
        RealAmbient().sleep(LOOK_S)
    return [datum for datums in [each for each in found if each][:2] for datum in datums]


def _lent(channel: grpc.Channel, files: Any, pool: Pool) -> None:
    """File sets and transactions."""
    with suppress(grpc.RpcError):
        pool.things["fileset"] = [files.CreateFileSet(iter([add("/f", b"f")])).file_set_id]
        held = pool.things["fileset"]
        files.PutCache(pfs.PutCacheRequest(key="kept", value=AnyMessage(type_url="x/y"), file_set_ids=held))
    with suppress(grpc.RpcError):
        api = transaction_v2_pb2_grpc.APIStub(channel)
        listed = api.ListTransaction(transactions.ListTransactionRequest()).transaction_info
        # One in which changed requests were recorded may be impossible to finish.
        empty = [info.transaction.id for info in listed if not info.requests]
        first = empty[0] if empty else api.StartTransaction(transactions.StartTransactionRequest()).id
        pool.things["transaction"] = list(dict.fromkeys([first, *(info.transaction.id for info in listed[:2])]))


def _made(files: Any, work: Any, name: str, source: str) -> None:
    """A pipeline, unless it is there; it must be possible, whatever was sent before."""
    there = {info.pipeline.name for info in work.ListPipeline(pps.ListPipelineRequest())}
    if name not in there:
        repo = pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))
        files.DeleteRepo(pfs.DeleteRepoRequest(repo=repo, force=True))  # as a deleted pipeline may leave it
        work.CreatePipelineV2(pps.CreatePipelineV2Request(create_pipeline_request_json=_spec(name, source)))


def _spec(name: str, repo: str) -> str:
    return json.dumps(
        {
            "pipeline": {"name": name, "project": {"name": "default"}},
            "transform": {"cmd": ["true"]},
            "input": {"pfs": {"repo": repo, "glob": "/*", "name": "in"}},
        }
    )


def _try(call: Callable[[Any], Any], request: Any) -> None:
    with suppress(grpc.RpcError):
        call(request)
