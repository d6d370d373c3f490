"""Datums that an input would make, before there is a job."""

from __future__ import annotations

from trunkline.model.datums import DatumTable
from trunkline.model.inputs import evaluate
from trunkline.model.names import Repo
from trunkline.model.specs import Input, leaves_of
from trunkline.pfs import reads
from trunkline.pfs.files import Files
from trunkline.pps.planning import match, with_commits


def preview(files: Files, root: Input, project: str) -> DatumTable:
    """The datums that an input would make of what its branches hold now. Raises NotFound, FailedPrecondition."""
    sources = {}
    commits: dict[Repo, str] = {}
    for leaf in leaves_of(root):
        sources[leaf.source] = reads.need_source(files, leaf.source, leaf.commit or leaf.branch)
        commits[leaf.source] = sources[leaf.source].commit.id
    matches = [match(sources[leaf.source].view, leaf) for leaf in leaves_of(root)]
    return evaluate(with_commits(root, commits), matches, project)
