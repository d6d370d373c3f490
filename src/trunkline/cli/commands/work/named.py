"""Which job an address means: by its id, by a commit of its output, or the newest of its pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import places
from trunkline.cli.late import names, pfs, pps
from trunkline.errors import FailedPrecondition
from trunkline.model.names import Job, Pipeline, is_id

if TYPE_CHECKING:
    from trunkline.cli.session import Session

METAVAR = "PIPELINE[@ID]"


def a_job(session: Session, text: str, project: str | None, *, newest: bool = True) -> pps.Job:
    """`pipeline@id`, or `pipeline@ref` for the job that wrote that commit, or `pipeline` alone for its newest job.

    newest: whether the name alone will do. Raises InvalidArgument, NotFound, FailedPrecondition where there is no job.
    """
    within = session.project(project)
    name, at, reference = text.partition("@")
    if is_id(text) or is_id(reference) or not name or not (at or newest):
        return names.job(places.job(text, within))
    if not at:
        return _newest(session, places.pipeline(name, within))
    place = places.commit(text, within)
    commit = names.commit(place.repo, place.target)
    found = session.client_outside.pfs.InspectCommit(pfs.InspectCommitRequest(commit=commit))
    return names.job(Job(Pipeline(place.repo.project, place.repo.name), found.commit.id))


def _newest(session: Session, pipeline: Pipeline) -> pps.Job:
    request = pps.ListJobRequest(pipeline=names.pipeline(pipeline), number=1)
    for info in session.client_outside.pps.ListJob(request):
        return info.job
    raise FailedPrecondition(
        f"pipeline {pipeline} has no job yet: it gets one with the next commit to an input; "
        f"`pachctl inspect pipeline {pipeline}` shows what it reads"
    )
