"""For each call a request that is done: what mutants are made of, so that they get past the first look at them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.testing.calls import add, bulk, delete, edits, on
from trunkline.testing.fuzzing.messages import NOUNS, Pool, class_of
from trunkline.wire.gen import debug_v2_pb2 as debug
from trunkline.wire.gen import logs_pb2 as logs
from trunkline.wire.gen import metadata_pb2 as metadata
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import storage_pb2 as storage
from trunkline.wire.gen import transaction_v2_pb2 as transactions
from trunkline.wire.gen import trunkline_pb2 as own

Luck = Any
"""What `trunkline.ambient.chance` gives."""

DEFAULT = pfs.Project(name="default")
KEPT = "kept"
"""The name of the secret, the image, the key of the cache and the tag that are there."""
OPEN, LINE, TICK = "open", "line", "tick"
"""A repo whose master is open, one whose master has a parent, and a pipeline with a cron input."""


def repo(name: str) -> pfs.Repo:
    """A repo of the default project."""
    return pfs.Repo(name=name, type="user", project=DEFAULT)


def fresh(luck: Luck) -> str:
    """A name that few things have."""
    return f"n{luck.randrange(40)}"


def spec_of(name: str, luck: Luck, *, cron: bool = True) -> dict[str, Any]:
    """A pipeline that says much: of one of several kinds of input, with most fields set."""
    one: dict[str, Any] = {"repo": "one", "glob": "/*", "name": "first"}
    two: dict[str, Any] = {"repo": "two", "glob": "/(*)", "name": "second"}
    joined = [{"pfs": each | {"join_on": "$1", "glob": "/(*)"}} for each in (one, two)]
    grouped = [{"pfs": each | {"group_by": "$1", "glob": "/(*)"}} for each in (one, two)]
    inputs: list[dict[str, Any]] = [
        {"cron": {"name": "clock", "spec": "@daily"}},
        {"pfs": one},
        {"cross": [{"pfs": one}, {"pfs": two}]},
        {"union": [{"pfs": one | {"name": "in"}}, {"pfs": two | {"name": "in"}}]},
        {"join": joined},
        {"group": grouped},
    ]
    return {
        "pipeline": {"name": name, "project": {"name": "default"}},
        "description": "what it does",
        "transform": {"cmd": ["sh"], "stdin": ["true"], "env": {"A": "1"}, "accept_return_code": [3], "user": ""},
        "input": luck.choice(inputs[not cron :]),
        "parallelism_spec": {"constant": 2},
        "output_branch": "master",
        "datum_tries": 2,
        "datum_timeout": "60s",
        "job_timeout": "600s",
        "resource_requests": {"cpu": 1, "memory": "64M"},
        "resource_limits": {"cpu": 2, "memory": "1G"},
        "reprocess_spec": "until_success",
        "autoscaling": True,
        "metadata": {"annotations": {"a": "b"}, "labels": {"c": "d"}},
    }


def _going_on(pool: Pool) -> list[pps.Job | None]:
    """Jobs that have not ended; where there are none, any."""
    return pool.things["job that goes on"] or pool.things["Job"] or [None]


def _created(luck: Luck) -> dict[str, Any]:
    return spec_of(fresh(luck), luck) | {"update": True}


def _project(name: str) -> pfs.ProjectPicker:
    return pfs.ProjectPicker(name=name)


def _repo_picker(name: str) -> pfs.RepoPicker:
    return pfs.RepoPicker(name=pfs.RepoPicker.RepoName(project=_project("default"), name=name, type="user"))


def _branch_picker(name: str) -> pfs.BranchPicker:
    return pfs.BranchPicker(name=pfs.BranchPicker.BranchName(repo=_repo_picker(name), name="master"))


def _commit_picker(name: str) -> pfs.CommitPicker:
    return pfs.CommitPicker(branch_head=_branch_picker(name))


def _modify(_pool: Pool, luck: Luck) -> list[Message]:
    copied = pfs.CopyFile(dst="/copy", src=pfs.File(commit=on(repo("one")), path="/a"))
    some = [add(f"/x{luck.randrange(9)}", b"more"), delete("/gone"), pfs.ModifyFileRequest(copy_file=copied)]
    return [*edits(on(repo("two")), {"/put": b"1", "/d/put": b"22"}), *some]


def _bulk(_pool: Pool, luck: Luck) -> list[Message]:
    small = own.SmallFiles(paths=["/s", "/d/t"], sizes=[1, 2], data=b"122")
    piece = own.FilePiece(path=f"/p{luck.randrange(9)}", data=b"piece")
    return list(bulk(on(repo("two")), small, piece, own.DeletePaths(paths=["/gone", "/d/"])))


def _image(name: str) -> list[Message]:
    entries = [own.ImageEntry(path="bin/", mode=0o755), own.ImageEntry(path="bin/run", mode=0o755, size_bytes=3)]
    return [
        own.CreateImageRequest(image=own.ImageSpec(name=name, env={"A": "1"})),
        own.CreateImageRequest(files=own.ImageFiles(entries=entries, data=b"run")),
    ]


def _fileset(pool: Pool) -> str:
    return str(pool.things["fileset"][0])


def _head(pool: Pool, luck: Luck) -> pfs.Branch:
    return pfs.Branch(repo=repo("two"), name=fresh(luck))


def _line(pool: Pool) -> list[str]:
    return pool.things.get("line") or [""]


def _datum(pool: Pool) -> pps.Datum:
    known: list[pps.Datum] = pool.things["Datum"]
    return known[0] if known else pps.Datum()


def _recorded(pool: Pool) -> transactions.Transaction:
    return transactions.Transaction(id=pool.things["transaction"][0])


def _batch(_pool: Pool, luck: Luck) -> list[Message]:
    made = pfs.CreateRepoRequest(repo=repo(fresh(luck)), update=True)
    moved = pfs.CreateBranchRequest(branch=pfs.Branch(repo=repo("two"), name=fresh(luck)), head=on(repo("two")))
    steps = [transactions.TransactionRequest(create_repo=made), transactions.TransactionRequest(create_branch=moved)]
    return [transactions.BatchTransactionRequest(requests=steps)]


def _noted(_pool: Pool, luck: Luck) -> list[Message]:
    one = metadata.Edit(repo=_repo_picker("one"), edit_key=metadata.Edit.EditKey(key=fresh(luck), value="v"))
    two = metadata.Edit(branch=_branch_picker("two"), replace=metadata.Edit.Replace(replacement={"k": "v"}))
    return [metadata.EditMetadataRequest(edits=[one, two])]


def _secret(name: str) -> Message:
    text = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"k": "dg=="}}
    return pps.CreateSecretRequest(file=json.dumps(text).encode())


Builder = Callable[[Pool, Luck], list[Message]]

SPECIAL: Mapping[str, Builder] = {
    "debug_v2.Debug.DumpV2": lambda pool, luck: [debug.DumpV2Request(system=debug.System(version=True))],
    "debug_v2.Debug.GetDumpV2Template": lambda pool, luck: [debug.GetDumpV2TemplateRequest(filters=["version"])],
    "debug_v2.Debug.Profile": lambda pool, luck: [debug.ProfileRequest(profile=debug.Profile(name="goroutine"))],
    "debug_v2.Debug.RunPFSLoadTest": lambda pool, luck: [debug.RunPFSLoadTestRequest(spec="{commits: 1, files: 2}")],
    "debug_v2.Debug.SetLogLevel": lambda pool, luck: [
        debug.SetLogLevelRequest(pachyderm=debug.SetLogLevelRequest.INFO, duration=Duration(nanos=1000))
    ],
    "pfs_v2.API.RunLoadTest": lambda pool, luck: [pfs.RunLoadTestRequest(spec="{commits: 1, files: 2}")],
    "pps_v2.API.RunLoadTest": lambda pool, luck: [pps.RunLoadTestRequest(load_spec="{commits: 1, files: 2}")],
    "logs.API.GetLogs": lambda pool, luck: [
        logs.GetLogsRequest(
            query=logs.LogQuery(
                user=logs.UserLogQuery(pipeline=logs.PipelineLogQuery(project="default", pipeline="pipe"))
            )
        )
    ],
    "metadata.API.EditMetadata": _noted,
    "pfs_v2.API.AddFileSet": lambda pool, luck: [
        pfs.AddFileSetRequest(commit=on(repo(OPEN)), file_set_id=_fileset(pool))
    ],
    "pfs_v2.API.ClearCommit": lambda pool, luck: [pfs.ClearCommitRequest(commit=on(repo(OPEN)))],
    "pfs_v2.API.ComposeFileSet": lambda pool, luck: [
        pfs.ComposeFileSetRequest(file_set_ids=[_fileset(pool)] * 2, ttl_seconds=60)
    ],
    "pfs_v2.API.CreateBranch": lambda pool, luck: [
        pfs.CreateBranchRequest(
            branch=_head(pool, luck),
            trigger=pfs.Trigger(branch="master", size="1M", commits=3, rate_limit_spec="@daily", all=True),
        )
        if luck.random() < 0.5
        else pfs.CreateBranchRequest(branch=_head(pool, luck), head=on(repo("two")))
    ],
    "pfs_v2.API.CreateFileSet": lambda pool, luck: [add("/f", b"f"), delete("/g")],
    "pfs_v2.API.CreateProject": lambda pool, luck: [
        pfs.CreateProjectRequest(project=pfs.Project(name=fresh(luck)), description="d", update=False)
    ],
    "pfs_v2.API.CreateRepo": lambda pool, luck: [
        pfs.CreateRepoRequest(repo=repo(fresh(luck)), description="d", update=True)
    ],
    "pfs_v2.API.DropCommit": lambda pool, luck: [pfs.DropCommitRequest(commit=on(repo(LINE)), recursive=True)],
    "pfs_v2.API.DropCommitSet": lambda pool, luck: [
        pfs.DropCommitSetRequest(commit_set=pfs.CommitSet(id=_line(pool)[0]))
    ],
    "pfs_v2.API.FindCommits": lambda pool, luck: [pfs.FindCommitsRequest(start=on(repo("one")), file_path="/a")],
    "pfs_v2.API.FinishCommit": lambda pool, luck: [
        pfs.FinishCommitRequest(commit=on(repo(OPEN)), description="d", error=luck.choice(["", "bad"]))
    ],
    "pfs_v2.API.GetCache": lambda pool, luck: [pfs.GetCacheRequest(key=KEPT)],
    "pfs_v2.API.GetFile": lambda pool, luck: [
        pfs.GetFileRequest(file=pfs.File(commit=on(repo("one")), path="/d/b"), offset=1)
    ],
    "pfs_v2.API.ModifyFile": _modify,
    "pfs_v2.API.PutCache": lambda pool, luck: [
        pfs.PutCacheRequest(
            key=fresh(luck), value=AnyMessage(type_url="x/y"), file_set_ids=[_fileset(pool)], tag=fresh(luck)
        )
    ],
    "pfs_v2.API.RenewFileSet": lambda pool, luck: [pfs.RenewFileSetRequest(file_set_id=_fileset(pool), ttl_seconds=60)],
    "pfs_v2.API.SquashCommit": lambda pool, luck: [
        pfs.SquashCommitRequest(commit=pfs.Commit(repo=repo(LINE), id="master^"), recursive=True)
    ],
    "pfs_v2.API.SquashCommitSet": lambda pool, luck: [
        pfs.SquashCommitSetRequest(commit_set=pfs.CommitSet(id=_line(pool)[-1]))
    ],
    "pfs_v2.API.StartCommit": lambda pool, luck: [
        pfs.StartCommitRequest(branch=_head(pool, luck), parent=on(repo("two")), description="d")
    ],
    "pfs_v2.API.WalkBranchProvenance": lambda pool, luck: [
        pfs.WalkBranchProvenanceRequest(start=[_branch_picker("pipe")], max_depth=3, max_branches=5)
    ],
    "pfs_v2.API.WalkBranchSubvenance": lambda pool, luck: [
        pfs.WalkBranchSubvenanceRequest(start=[_branch_picker("one")], max_depth=3, max_branches=5)
    ],
    "pfs_v2.API.WalkCommitProvenance": lambda pool, luck: [
        pfs.WalkCommitProvenanceRequest(start=[_commit_picker("pipe")], max_depth=3, max_commits=5)
    ],
    "pfs_v2.API.WalkCommitSubvenance": lambda pool, luck: [
        pfs.WalkCommitSubvenanceRequest(start=[_commit_picker("one")], max_depth=3, max_commits=5)
    ],
    "pfs_v2.API.DeleteRepos": lambda pool, luck: [pfs.DeleteReposRequest(projects=[DEFAULT], force=True)],
    "pfs_v2.API.DeleteProject": lambda pool, luck: [pfs.DeleteProjectRequest(project=pfs.Project(name="second"))],
    "pps_v2.API.QueryLoki": lambda pool, luck: [pps.LokiRequest(query='{pipelineName="pipe"} |= "word"')],
    "pps_v2.API.UpdateJobState": lambda pool, luck: [
        pps.UpdateJobStateRequest(job=luck.choice(_going_on(pool)), state=pps.JOB_RUNNING, reason="why")
    ],
    "pps_v2.API.CreateDatum": lambda pool, luck: [
        pps.CreateDatumRequest(
            start=pps.StartCreateDatumRequest(
                input=pps.Input(pfs=pps.PFSInput(project="default", repo="one", glob="/*", name="in")), number=1000
            )
        )
    ],
    "pps_v2.API.CreatePipeline": lambda pool, luck: [
        ParseDict(_created(luck), pps.CreatePipelineRequest(), ignore_unknown_fields=True)
    ],
    "pps_v2.API.CreatePipelineV2": lambda pool, luck: [
        pps.CreatePipelineV2Request(
            create_pipeline_request_json=json.dumps(spec_of(fresh(luck), luck)),
            update=True,
            reprocess=luck.random() < 0.3,
            dry_run=luck.random() < 0.2,
        )
    ],
    "pps_v2.API.CreateSecret": lambda pool, luck: [_secret(fresh(luck))],
    "pps_v2.API.DeleteSecret": lambda pool, luck: [pps.DeleteSecretRequest(secret=pps.Secret(name=KEPT))],
    "pps_v2.API.InspectSecret": lambda pool, luck: [pps.InspectSecretRequest(secret=pps.Secret(name=KEPT))],
    "pps_v2.API.RenderTemplate": lambda pool, luck: [
        pps.RenderTemplateRequest(
            template='function(name) {pipeline: {name: name}, transform: {cmd: ["true"]}, input: {pfs: {repo: "one", '
            'glob: "/*"}}}',
            args={"name": "made"},
        )
    ],
    "pps_v2.API.RestartDatum": lambda pool, luck: [
        pps.RestartDatumRequest(job=_datum(pool).job, data_filters=[_datum(pool).id])
    ],
    "pps_v2.API.RunCron": lambda pool, luck: [pps.RunCronRequest(pipeline=pps.Pipeline(name=TICK, project=DEFAULT))],
    "pps_v2.API.SetClusterDefaults": lambda pool, luck: [
        pps.SetClusterDefaultsRequest(
            cluster_defaults_json='{"create_pipeline_request": {"datum_tries": 4, "autoscaling": false}}',
            regenerate=luck.random() < 0.5,
        )
    ],
    "pps_v2.API.SetProjectDefaults": lambda pool, luck: [
        pps.SetProjectDefaultsRequest(
            project=DEFAULT, project_defaults_json='{"create_pipeline_request": {"datum_timeout": "5m"}}'
        )
    ],
    "storage.Fileset.CreateFileset": lambda pool, luck: [
        storage.CreateFilesetRequest(append_file=storage.AppendFile(path="/f", data=BytesValue(value=b"f"))),
        storage.CreateFilesetRequest(delete_file=storage.DeleteFile(path="/g")),
    ],
    "storage.Fileset.RenewFileset": lambda pool, luck: [
        storage.RenewFilesetRequest(fileset_id=_fileset(pool), ttl_seconds=60)
    ],
    "transaction_v2.API.BatchTransaction": _batch,
    "transaction_v2.API.DeleteTransaction": lambda pool, luck: [
        transactions.DeleteTransactionRequest(transaction=_recorded(pool))
    ],
    "transaction_v2.API.FinishTransaction": lambda pool, luck: [
        transactions.FinishTransactionRequest(transaction=_recorded(pool))
    ],
    "transaction_v2.API.InspectTransaction": lambda pool, luck: [
        transactions.InspectTransactionRequest(transaction=_recorded(pool))
    ],
    "trunkline.v1.Backups.Backup": lambda pool, luck: [
        own.BackupRequest(start=own.BackupStart()),
        own.BackupRequest(known=own.BlobNames()),
    ],
    "trunkline.v1.Moving.ExportRepo": lambda pool, luck: [
        own.ExportRepoRequest(start=own.ExportStart(repo=repo("one"))),
        own.ExportRepoRequest(known=own.BlobNames()),
    ],
    "trunkline.v1.Datums.Forecast": lambda pool, luck: [
        own.ForecastRequest(create_pipeline_request_json=json.dumps(spec_of("pipe", luck, cron=False)))
    ],
    "trunkline.v1.Datums.Replay": lambda pool, luck: [own.ReplayRequest(job=_datum(pool).job, datum=_datum(pool).id)],
    "trunkline.v1.Datums.Why": lambda pool, luck: [own.WhyRequest(job=_datum(pool).job, datum=_datum(pool).id)],
    "trunkline.v1.Files.BulkPut": _bulk,
    "trunkline.v1.Images.CreateImage": lambda pool, luck: _image(fresh(luck)),
    "trunkline.v1.Images.DeleteImage": lambda pool, luck: [own.DeleteImageRequest(name=KEPT)],
    "trunkline.v1.Images.GetImage": lambda pool, luck: [own.InspectImageRequest(name=KEPT)],
    "trunkline.v1.Images.InspectImage": lambda pool, luck: [own.InspectImageRequest(name=KEPT)],
    "trunkline.v1.Purges.PurgePath": lambda pool, luck: [
        own.PurgePathRequest(repo=repo(LINE), path="/d/b", reason="why", tagged=True, dry_run=True)
    ],
    "trunkline.v1.Versions.CreateTag": lambda pool, luck: [
        own.CreateTagRequest(tag=own.Tag(repo=repo("one"), name=fresh(luck)), commit=on(repo("one")), force=True)
    ],
    "trunkline.v1.Versions.DeleteTag": lambda pool, luck: [
        own.DeleteTagRequest(tag=own.Tag(repo=repo("one"), name=KEPT))
    ],
    "trunkline.v1.Versions.MergeBranch": lambda pool, luck: [
        own.MergeBranchRequest(
            source=on(repo("one")), target=pfs.Branch(repo=repo("one"), name="other"), choice=own.MERGE_UNION
        )
    ],
}
"""Requests of calls that want more than the name of something that exists."""


NEVER: Mapping[str, str] = {
    "pfs_v2.API.Egress": "writes to an object store or a database outside",
    "pfs_v2.API.ForgetCommit": "is for outputs that a newer one has followed",
    "pps_v2.API.RunPipeline": "there is none any more",
    "pps_v2.API.RestartDatum": "is for datums that somebody works on",
    "trunkline.v1.Backups.Restore": "is for an empty server",
    "trunkline.v1.Files.FetchFile": "writes to a file that was handed over",
    "trunkline.v1.Purges.InspectPurge": "is of a purge, and all here are dry runs",
    "trunkline.v1.Purges.ListPurgedCommit": "is of a purge, and all here are dry runs",
    "trunkline.v1.Purges.StopPurge": "is of a purge, and all here are dry runs",
    "trunkline.v1.Moving.ImportRepo": "takes what ExportRepo gives",
    "trunkline.v1.Moving.AdoptCommit": "takes what another server has",
}
"""Calls of which nothing here can say that they succeed, and why."""


def valid(method: MethodDescriptor, pool: Pool, luck: Luck) -> list[Message]:
    """What one call is sent so that it is done."""
    special = SPECIAL.get(str(method.full_name))
    if special is not None:
        return special(pool, luck)
    return [plain(class_of(method.input_type)(), pool)]


def plain(request: Message, pool: Pool) -> Message:
    """A request whose fields name the first of what exists of their kind."""
    for each in request.DESCRIPTOR.fields:
        kind = each.message_type
        owner: Any = each.containing_type
        known = pool.things.get(kind.name if kind is not None else pool.kind(owner, each.name))
        if not known or each.containing_oneof is not None or (kind is not None and kind.name not in NOUNS):
            continue
        if kind is not None and kind.full_name != known[0].DESCRIPTOR.full_name:
            continue  # another service's message of the same name
        if kind is not None and not each.is_repeated:
            getattr(request, each.name).CopyFrom(known[0])
        elif kind is None and not each.is_repeated and each.type == each.TYPE_STRING:
            setattr(request, each.name, known[0])
        elif each.is_repeated:
            getattr(request, each.name).append(known[0])
    return request
