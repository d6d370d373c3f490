"""trunkline.v1.Datums: why a datum ran, what would run, what datums took, and what it takes to run one again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from trunkline.api.rpc.call import Call
from trunkline.api.rpc.settling import Settling
from trunkline.api.work.datums import opened
from trunkline.api.workers.handout import datums_of, step_of
from trunkline.model.infos_pps import ProcessStats
from trunkline.model.names import Commit
from trunkline.model.plan import RowClass
from trunkline.pps.controller import Pps
from trunkline.pps.datums.forecast import forecast
from trunkline.pps.datums.listing import list_failures
from trunkline.pps.datums.reasons import DatumReason, why
from trunkline.pps.datums.replay import replay
from trunkline.pps.datums.usage import DatumUsage, datum_usage, job_usage
from trunkline.pps.images.resolving import Rules
from trunkline.pps.specs import requests
from trunkline.wire import infos_pps, nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as wire

FATES = {
    RowClass.RUN: wire.DATUM_RUNS,
    RowClass.SKIP: wire.DATUM_SKIPPED,
    RowClass.ADOPTED: wire.DATUM_ADOPTED,
    RowClass.UNDECIDED: wire.DATUM_WAITS,
}


@dataclass(frozen=True, slots=True)
class OwnDatumDoor:
    """What only our own clients ask about datums. workers: how many this server runs."""

    system: Pps
    settling: Settling
    rules: Rules
    workers: int
    service: str = field(default="trunkline.v1.Datums")

    def Why(self, request: wire.WhyRequest, _call: Call) -> Iterator[wire.DatumReason]:
        """The reason for each datum of a job, or for one."""
        job = nouns.job_of(request.job)
        return map(_reason, why(self.system.files, self.system.tables, job, request.datum))

    async def Forecast(self, request: wire.ForecastRequest, _call: Call) -> wire.ForecastResponse:
        """What a spec would run."""
        text = request.create_pipeline_request_json
        files, unary = self.system.files, self.settling.bridge.unary
        written = await unary(partial(files.catalog.read, lambda tx: requests.read(tx, text, self.rules)))
        spec, again = written.spec, request.reprocess or written.asks("reprocess")
        sources = await opened(self.settling, spec.input) if spec.input is not None else {}
        found = await unary(partial(forecast, files, self.system.tables, spec, sources, reprocess=again))
        workers = min(self.workers, spec.parallelism or self.workers)
        return wire.ForecastResponse(
            reasons=[
                wire.ForecastReason(fate=FATES[fate], reason=reason, datums=count)
                for fate, reason, count in found.reasons
            ],
            runs=found.runs,
            total=found.total,
            datum_us=found.datum_us,
            estimate_us=found.estimate_us(workers),
            workers=workers,
            older_code=found.older_code,
        )

    def Replay(self, request: wire.ReplayRequest, _call: Call) -> wire.ReplayResponse:
        """What a datum ran, and on what."""
        job = nouns.job_of(request.job)
        found = replay(self.system.files, self.system.tables, job, request.datum)
        handed, ran = found.handed, found.handed.leased.job.job
        secrets = handed.spec.transform.secrets
        where = Commit(ran.pipeline.meta, ran.id)
        return wire.ReplayResponse(
            spec=step_of(handed, ()).to_bytes(),
            datums=datums_of(handed.datums, found.row, {}),
            state=infos_pps.datum_state(found.state),
            reason=found.reason,
            recorded=pfs.File(commit=nouns.commit(where), path=f"/pfs/{request.datum}/out"),
            job=nouns.job(ran),
            secrets=[one.env_var or one.mount_path for one in secrets],
        )

    def InspectJobUsage(self, request: wire.InspectJobUsageRequest, _call: Call) -> wire.JobUsage:
        """What a job took."""
        found = job_usage(self.system.files, self.system.tables, nouns.job_of(request.job), request.number)
        return wire.JobUsage(
            spent=_usage(found.spent),
            saved=_usage(found.saved),
            reused=found.reused,
            slowest=map(_datum_usage, found.slowest),
            largest=map(_datum_usage, found.largest),
        )

    def InspectDatumUsage(self, request: wire.InspectDatumUsageRequest, _call: Call) -> wire.DatumUsage:
        """What a datum took."""
        job = nouns.job_of(request.datum.job)
        return _datum_usage(datum_usage(self.system.files, self.system.tables, job, request.datum.id))

    def ListDatumFailure(self, request: wire.ListDatumFailureRequest, _call: Call) -> Iterator[wire.DatumFailure]:
        """Datums that did not succeed, and why."""
        job, number, marker = nouns.job_of(request.job), request.number, request.marker
        for one in list_failures(self.system.files, self.system.tables, job, number, marker, reverse=request.reverse):
            yield wire.DatumFailure(
                datum=one.datum, state=infos_pps.datum_state(one.state), reason=one.reason, tries=one.tries
            )


def _usage(stats: ProcessStats) -> wire.Usage:
    return wire.Usage(stats=infos_pps.process_stats(stats), cpu_us=stats.cpu_us, memory_bytes=stats.memory_bytes)


def _datum_usage(one: DatumUsage) -> wire.DatumUsage:
    return wire.DatumUsage(
        datum=one.datum,
        paths=one.paths,
        state=infos_pps.datum_state(one.state),
        usage=_usage(one.stats),
        reason=one.reason,
        tries=one.tries,
    )


def _reason(one: DatumReason) -> wire.DatumReason:
    return wire.DatumReason(
        datum=one.datum,
        paths=one.paths,
        fate=FATES[one.fate],
        reason=one.reason,
        changes=[
            wire.ChangedInput(
                input=each.input, path=each.path, before=nouns.commit(each.before), after=nouns.commit(each.after)
            )
            for each in one.changes
        ],
        ran_in=nouns.job(one.ran_in) if one.ran_in is not None else None,
        older_code=one.older_code,
    )
