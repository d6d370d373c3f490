"""What a spec would run if it were created or updated now, and about how long that would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog.engine import Tx
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import InvalidArgument
from trunkline.model import plan as plans
from trunkline.model.datums import code_digest
from trunkline.model.jobs import JobState
from trunkline.model.names import Repo
from trunkline.model.plan import Known, RowClass
from trunkline.model.specs import PipelineSpec
from trunkline.pfs.files import Files
from trunkline.pfs.images import find_image
from trunkline.pfs.reads import Source
from trunkline.pps.datums.preview import preview
from trunkline.pps.tables import JobTable, Tables

FIRST = "first seen: there is no good job whose results could be taken over"
SALT = "new salt: everything is to be reprocessed"


@dataclass(frozen=True, slots=True)
class Forecast:
    """Datums by fate and reason, most first. datum_us: what one took so far, 0: unknown.

    older_code: some that would be skipped have results of other code.
    """

    reasons: tuple[tuple[RowClass, str, int], ...]
    datum_us: int = 0
    older_code: bool = False

    @property
    def runs(self) -> int:
        """How many would run."""
        return sum(count for fate, _, count in self.reasons if fate is RowClass.RUN)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(count for _, _, count in self.reasons)

    def estimate_us(self, workers: int) -> int:
        """For all that run, on so many workers; 0: unknown."""
        return -(-self.runs // max(workers, 1)) * self.datum_us


def forecast(
    files: Files, tables: Tables, spec: PipelineSpec, sources: Mapping[Repo, Source], *, reprocess: bool = False
) -> Forecast:
    """What would run. sources: what its input reads, as for `preview`. Raises InvalidArgument."""
    if spec.input is None:
        raise InvalidArgument(f"{spec.pipeline} has no input, and so no datums")
    table = preview(spec.input, spec.pipeline.project, sources)
    base, last, image = files.catalog.read(lambda tx: _past(tx, spec))
    past = tables.load(last.datums) if last is not None and last.datums is not None else None
    held = tables.load(base.datums) if base is not None and base.datums is not None else None
    if not spec.skips:
        known, first = None, spec.never_skips
    elif reprocess or (base is not None and spec.salt not in ("", base.salt)):
        known, first = None, SALT
    else:
        known, first = _known(held), FIRST
    plan = plans.plan(table, known, first=first)
    code = code_digest(spec.transform, image)
    kept = plan.source.filter(pc.equal(plan.classes, int(RowClass.SKIP)))
    older = held is not None and bool(pc.any(pc.not_equal(held.rows["code"].take(kept), code)).as_py())
    return Forecast(_counts(plan.classes, plan.reasons), _usual_us(past), older)


def _past(tx: Tx, spec: PipelineSpec) -> tuple[JobRow | None, JobRow | None, str]:
    """The last good job, the last that has run datums, and the image that the code would run in."""
    image = find_image(tx, spec.transform.image)
    digest = image.digest if image is not None else ""
    known = pipeline_rows.find_pipeline(tx, spec.pipeline)
    if known is None:
        return None, None, digest
    good = job_rows.list_jobs(tx, pipeline=known.key, states=[JobState.SUCCESS.value], limit=1)
    some = [job for job in job_rows.list_jobs(tx, pipeline=known.key, limit=20) if job.datums is not None]
    version = pipeline_rows.get_version(tx, known.key, known.version)
    fits = bool(good) and version is not None and good[0].salt == version.salt
    return good[0] if fits else None, some[0] if some else None, digest


def _known(held: JobTable | None) -> Known | None:
    return Known(held.datums, held.rows["state"].combine_chunks()) if held is not None else None


def _counts(classes: pa.Array, reasons: pa.Array) -> tuple[tuple[RowClass, str, int], ...]:
    table = pa.table({"fate": classes, "reason": reasons}).group_by(["fate", "reason"]).aggregate([([], "count_all")])
    rows = [(RowClass(row["fate"]), row["reason"], row["count_all"]) for row in table.to_pylist()]
    return tuple(sorted(rows, key=lambda row: (-row[2], row[1])))


def _usual_us(past: JobTable | None) -> int:
    """What a datum takes: the mean of those recorded, whichever job ran them."""
    if past is None or not past.rows.num_rows:
        return 0
    times = np.sum([past.rows[name].to_numpy() for name in ("download_us", "process_us", "upload_us")], axis=0)
    ran = times[times > 0]
    return int(ran.mean()) if len(ran) else 0
