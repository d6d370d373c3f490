"""metadata.API: texts attached to things, several edits in one transaction of the catalog."""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.api.rpc.call import Call
from trunkline.catalog.engine import Tx
from trunkline.errors import InvalidArgument, TrunklineError
from trunkline.model.names import DEFAULT_PROJECT
from trunkline.pfs.files import Files
from trunkline.pfs.graph import metadata as texts
from trunkline.pps import pipelines as pps_pipelines
from trunkline.wire import pickers
from trunkline.wire.gen import metadata_pb2 as wire


@dataclass(frozen=True, slots=True)
class MetadataDoor:
    """Metadata."""

    files: Files
    service: str = field(default="metadata.API")

    def EditMetadata(self, request: wire.EditMetadataRequest, _call: Call) -> wire.EditMetadataResponse:
        """Change what is attached to things: all edits, in order, or none."""

        def work(tx: Tx) -> None:
            for number, edit in enumerate(request.edits, 1):
                try:
                    _edit(tx, edit)
                except TrunklineError as error:
                    if len(request.edits) == 1:
                        raise
                    of = f"edit {number} of {len(request.edits)}"
                    raise type(error)(f"{of}: {error}; none of them was made") from error

        self.files.catalog.transact(work)
        return wire.EditMetadataResponse()


def _edit(tx: Tx, edit: wire.Edit) -> None:
    operation = _operation(edit)
    match edit.WhichOneof("target"):
        case "cluster":
            texts.edit_cluster(tx, operation)
        case "project":
            texts.edit_project(tx, edit.project.name or DEFAULT_PROJECT, operation)
        case "repo":
            texts.edit_repo(tx, pickers.repo_of(edit.repo), operation)
        case "branch":
            texts.edit_branch(tx, pickers.branch_of(edit.branch), operation)
        case "commit":
            commit = pickers.commit_of(edit.commit)
            texts.edit_commit(tx, commit.repo, commit.ref, operation)
        case "pipeline":
            pps_pipelines.edit_metadata(tx, pickers.pipeline_of(edit.pipeline), operation)
        case _:
            raise InvalidArgument(
                "an edit of metadata does not say of what: pick the cluster, a project, repo, branch, commit or "
                "pipeline"
            )


def _operation(edit: wire.Edit) -> texts.Operation:
    match edit.WhichOneof("op"):
        case "add_key":
            return texts.AddKey(edit.add_key.key, edit.add_key.value)
        case "edit_key":
            return texts.SetKey(edit.edit_key.key, edit.edit_key.value)
        case "delete_key":
            return texts.DeleteKey(edit.delete_key.key)
        case "replace":
            return texts.Replace(dict(edit.replace.replacement))
        case _:
            raise InvalidArgument(
                "an edit of metadata does not say what to do: add, edit or delete a key, or replace all of them"
            )
