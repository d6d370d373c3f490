"""Each call of the file system, and the step of the model in which it is made: none that is added can be forgotten."""

from __future__ import annotations

import inspect

import pytest
from test_pfs_model import CALL_OF, KINDS, OFTEN, Whole

from trunkline.wire.gen import metadata_pb2, pfs_v2_pb2, storage_pb2, transaction_v2_pb2, trunkline_pb2

SERVICES = (
    *pfs_v2_pb2.DESCRIPTOR.services_by_name.values(),
    *transaction_v2_pb2.DESCRIPTOR.services_by_name.values(),
    *metadata_pb2.DESCRIPTOR.services_by_name.values(),
    *storage_pb2.DESCRIPTOR.services_by_name.values(),
    *trunkline_pb2.DESCRIPTOR.services_by_name.values(),
)

PLAYED = {
    "pfs_v2.API": {
        "CreateProject": "project", "DeleteProject": "project", "CreateRepo": "repo", "DeleteRepo": "delete_repo",
        "DeleteRepos": "delete_many", "DeleteAll": "delete_many", "StartCommit": "start", "FinishCommit": "finish",
        "ClearCommit": "clear", "SquashCommit": "remove", "DropCommit": "remove", "SquashCommitSet": "remove",
        "DropCommitSet": "remove", "ForgetCommit": "forget", "CreateBranch": "branch", "DeleteBranch": "delete_branch",
        "ModifyFile": "put", "CreateFileSet": "lend", "GetFileSet": "lend_commit", "AddFileSet": "lay",
        "RenewFileSet": "later", "ComposeFileSet": "compose", "ShardFileSet": "renew", "PutCache": "cache",
        "ClearCache": "cache", "Fsck": "check",
    },
    "transaction_v2.API": {
        "BatchTransaction": "batch", "StartTransaction": "recorded", "DeleteTransaction": "recorded",
        "FinishTransaction": "recorded", "DeleteAll": "abandoned",
    },
    "metadata.API": {"EditMetadata": "note"},
    "storage.Fileset": {
        "CreateFileset": "lend", "RenewFileset": "renew", "ComposeFileset": "compose", "ShardFileset": "renew",
    },
    "trunkline.v1.Files": {"BulkPut": "put"},
    "trunkline.v1.Versions": {"CreateTag": "tag", "DeleteTag": "untag", "MergeBranch": "merge"},
    "trunkline.v1.Space": {"RunCollection": "collect"},
    "trunkline.v1.Purges": {"PurgePath": "purge", "StopPurge": "purge"},
}  # fmt: skip
"""By service: each call that changes something, and the step of `OFTEN` that makes it."""

READ_ONLY = {
    "pfs_v2.API": {
        "InspectRepo", "ListRepo", "InspectCommit", "ListCommit", "SubscribeCommit", "InspectCommitSet",
        "ListCommitSet", "FindCommits", "WalkCommitProvenance", "WalkCommitSubvenance", "InspectBranch", "ListBranch",
        "WalkBranchProvenance", "WalkBranchSubvenance", "GetFile", "GetFileTAR", "InspectFile", "ListFile", "WalkFile",
        "GlobFile", "DiffFile", "CheckStorage", "GetCache", "ListTask", "InspectProject", "InspectProjectV2",
        "ListProject", "ReposSummary",
    },
    "transaction_v2.API": {"InspectTransaction", "ListTransaction"},
    "storage.Fileset": {"ReadFileset", "ReadFilesetCDR"},
    "trunkline.v1.Files": {"CheckFiles", "ListFiles", "GlobFiles"},
    "trunkline.v1.Versions": {"ListTag"},
    "trunkline.v1.Space": {"InspectStorage", "CheckData"},
    "trunkline.v1.Purges": {"InspectPurge", "ListPurge", "ListPurgedCommit"},
    "trunkline.v1.Backups": {"Backup"},
    "trunkline.v1.Moving": {"ExportRepo"},
}  # fmt: skip

ELSEWHERE = {
    "pfs_v2.API": {
        "ActivateAuth": "changes who may do what, and no file",
        "Egress": "writes outside only",
        "RunLoadTest": "makes calls that are here",
        "RunLoadTestDefault": "makes calls that are here",
    },
    "trunkline.v1.Files": {
        "Handover": "names a place, and changes nothing; test_handover.py",
        "FetchFile": "writes to the caller's own file; test_handover.py",
    },
    "trunkline.v1.Backups": {"Restore": "needs an empty server; test_backups.py"},
    "trunkline.v1.Moving": {
        "ImportRepo": "needs a bundle of another server; test_bundles.py",
        "AdoptCommit": "needs a history from elsewhere; test_copied_repos.py",
    },
}
"""What changes something and is not in the model, and why."""

NO_FILES = {"trunkline.v1.Images", "trunkline.v1.Datums"}
"""Services of pipelines and their images, for which there are models of their own in tests/pps."""


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.full_name)
def test_every_call_is_in_the_model_or_it_is_said_why_not(service) -> None:
    name = service.full_name
    told = [set(PLAYED.get(name, ())), READ_ONLY.get(name, set()), set(ELSEWHERE.get(name, ()))]
    known = set().union(*told)
    assert len(known) == sum(map(len, told)), "one place for each"
    if known or name not in NO_FILES:
        assert known == {method.name for method in service.methods}


def test_each_step_is_made_and_makes_its_call() -> None:
    """A step is found by its name; its call stands in it or in what it is made of."""
    written = "".join(inspect.getsource(each) for each in Whole.__mro__[:-1])
    for service, calls in PLAYED.items():
        for call, step in calls.items():
            assert step in OFTEN, f"{service}/{call}: no step {step}"
            assert f".{call}(" in written, f"{service}/{call} is made by no step"
    assert {name for name, each in inspect.getmembers(Whole, inspect.isfunction) if name in OFTEN} == set(OFTEN)


def test_a_transaction_may_have_whatever_it_can_hold() -> None:
    held = {field.name for field in transaction_v2_pb2.TransactionRequest.DESCRIPTOR.fields}
    of_pipelines = {"update_job_state", "stop_job", "create_pipeline", "create_pipeline_v2"}
    assert set(CALL_OF) == held - of_pipelines
    assert len(KINDS) == len(CALL_OF) + 1, "branches are moved, or given other provenance"
