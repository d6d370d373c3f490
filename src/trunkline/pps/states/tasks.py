"""Work under way for pipelines: instructions that stand, and ranges of datums that wait for workers or are run."""

from __future__ import annotations

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import claims as claim_rows
from trunkline.catalog.work import instructions as instruction_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.pfs.past.tasks import Task


def tasks(tx: Tx) -> list[Task]:
    """All of it. The namespace is the pipeline, the group the job."""
    asked = instruction_rows.list_all(tx)
    held = claim_rows.all_claims(tx)
    jobs = {row.seq: row.job for row in job_rows.open_jobs(tx)}
    found = []
    for one in asked:
        if job := jobs.get(one.job):
            name, data = str(job.pipeline), {"job": job.id, "generation": one.gen}
            found.append(Task(f"{one.job}-{one.work}", name, job.id, False, one.work, data))
    for claim in held:
        if job := jobs.get(claim.job):
            data = {"job": job.id, "first": claim.done, "last": claim.last, "worker": claim.worker or ""}
            found.append(Task(claim.id, str(job.pipeline), job.id, claim.worker is not None, "datums", data))
    return found
