"""Pickers of newer clients: ways to say which repo, branch or commit is meant, as the references that are looked up."""

from __future__ import annotations

from trunkline.errors import InvalidArgument
from trunkline.model.names import DEFAULT_PROJECT, USER_REPO, Branch, Pipeline, Repo
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.nouns import CommitRef


def repo_of(picker: pfs.RepoPicker) -> Repo:
    """The repo that is picked. Raises InvalidArgument if it has no name."""
    if not picker.name.name:
        raise InvalidArgument("the request picks no repo: give its name")
    return Repo(picker.name.project.name or DEFAULT_PROJECT, picker.name.name, picker.name.type or USER_REPO)


def branch_of(picker: pfs.BranchPicker) -> Branch:
    """The branch that is picked. Raises InvalidArgument if repo or name are missing."""
    repo = repo_of(picker.name.repo)
    if not picker.name.name:
        raise InvalidArgument(f"the request picks no branch of {repo}")
    return Branch(repo, picker.name.name)


def pipeline_of(picker: pps.PipelinePicker) -> Pipeline:
    """The pipeline that is picked. Raises InvalidArgument if it has no name."""
    if not picker.name.name:
        raise InvalidArgument("the request picks no pipeline: its name is empty")
    return Pipeline(picker.name.project.name or DEFAULT_PROJECT, picker.name.name)


def commit_of(picker: pfs.CommitPicker) -> CommitRef:
    """The commit that is picked, as a repo and a reference into it. Raises InvalidArgument if nothing is picked."""
    back = 0
    while picker.WhichOneof("picker") == "ancestor":
        back += picker.ancestor.offset
        picker = picker.ancestor.start
    way = f"^{back}" if back else ""
    match picker.WhichOneof("picker"):
        case "branch_head":
            branch = branch_of(picker.branch_head)
            return CommitRef(branch.repo, id=f"{branch.name}{way}")
        case "id":
            repo = repo_of(picker.id.repo)
            if not picker.id.id:
                raise InvalidArgument(f"the request picks no commit of {repo}: its id is empty")
            return CommitRef(repo, id=f"{picker.id.id}{way}")
        case "branch_root":
            branch = branch_of(picker.branch_root.branch)
            if back:
                raise InvalidArgument(
                    f"an ancestor of {branch}.{picker.branch_root.offset} is picked: count from the beginning or from "
                    "the end, not both"
                )
            return CommitRef(branch.repo, id=f"{branch.name}.{picker.branch_root.offset}")
        case _:
            raise InvalidArgument("the request picks no commit: give a branch, an id, or a way from one of them")
