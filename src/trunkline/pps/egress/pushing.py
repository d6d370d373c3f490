"""One try to send a job's output to where its spec says.

The output was checked before, and the commit is closed after: whoever reads it can rely on its being outside as well. A
try may be made twice, when the server is killed in it; doing it again gives the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import instructions as instruction_rows
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work.instructions import InstructionRow
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import TrunklineError
from trunkline.model.specs import Egress
from trunkline.pfs import reads
from trunkline.pfs.files import Files
from trunkline.pfs.outside.rows import send_rows
from trunkline.pfs.outside.sending import send
from trunkline.pps import events as ev
from trunkline.pps.decide import Phase, fits
from trunkline.pps.egress.places import named
from trunkline.pps.events import JobEvent
from trunkline.pps.lineage import core_of, spec_of
from trunkline.pps.machine import feed
from trunkline.pps.secrets import Vault, value_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    job: JobRow
    egress: Egress


def push(files: Files, vault: Vault, do: InstructionRow, stopping: Callable[[], bool]) -> None:
    """Obey `Do(EGRESS)`. stopping: whether the server ends; what was begun is then tried again after its next start."""
    found = files.catalog.transact(lambda tx: _begin(tx, do))
    if found is None:
        return
    event: JobEvent = ev.EgressDone(do.gen)
    try:
        _send(files, vault, found, _wanted(files, do, stopping))
    except Exception as error:
        if stopping():
            return
        if not isinstance(error, TrunklineError):
            log.exception("egress of job %s failed", found.job.job)
        event = ev.EgressFailed(do.gen, named(found.egress), str(error) or type(error).__name__)
    files.catalog.transact(lambda tx: _done(tx, do, event))


def password_of(files: Files, vault: Vault, name: str, key: str) -> str:
    """The password that a secret holds; "" when none is named. Raises NotFound, FailedPrecondition."""
    if not name:
        return ""
    return files.catalog.read(lambda tx: value_of(tx, vault, name, key)).decode(errors="replace").rstrip("\n")


def _begin(tx: Tx, do: InstructionRow) -> _Task | None:
    """What is to be sent; None: nothing any more, or not yet."""
    job = job_rows.get_job(tx, do.job)
    egress = spec_of(tx, job.pipeline, job.version).egress if job is not None else None
    if job is None or egress is None or not fits(core_of(job), ev.EgressDone(do.gen)):
        instruction_rows.strike(tx, do.serial)
        return None
    # One whose inputs are not even there may wait for ever.
    older = job_rows.older_open(tx, job, Phase.INPUTS.value)
    if older is not None:
        _done(tx, do, ev.EgressHeld(do.gen, f"{older.job.pipeline.name}@{older.job.id}"))
        return None
    return _Task(job, egress)


def _done(tx: Tx, do: InstructionRow, event: JobEvent) -> None:
    instruction_rows.strike(tx, do.serial)
    feed(tx, do.job, event)


def _wanted(files: Files, do: InstructionRow, stopping: Callable[[], bool]) -> Callable[[], bool]:
    """Whether the job still waits for this; looked up only when something has happened."""
    seen, answer = -1, True

    def wanted() -> bool:
        nonlocal seen, answer
        if stopping():
            return False
        now = files.catalog.wake.seq
        if now != seen:
            seen, answer = now, files.catalog.read(lambda tx: _waits(tx, do))
        return answer

    return wanted


def _waits(tx: Tx, do: InstructionRow) -> bool:
    job = job_rows.get_job(tx, do.job)
    return job is not None and fits(core_of(job), ev.EgressDone(do.gen))


def _send(files: Files, vault: Vault, task: _Task, wanted: Callable[[], bool]) -> None:
    source = reads.output_source(files, task.job.output_commit)
    sql = task.egress.sql
    if sql is not None:
        password = password_of(files, vault, sql.secret_name, sql.secret_key)
        from trunkline.storage.databases import Layout  # late, as in `places`

        send_rows(files, source, sql.url, password, Layout(sql.format, sql.columns), wanted)
        return
    send(source, "/", task.egress.url, files.ambient, wanted=wanted)
