"""A worker's way to its server: the calls of `trunkline.worker.v1`, in the worker's own words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from trunkline.ambient import Ambient
from trunkline.client.connection import Client
from trunkline.client.sessions import RemoteSession
from trunkline.errors import Aborted, FailedPrecondition, Internal
from trunkline.model.jobs import DatumState
from trunkline.model.names import Job, Pipeline
from trunkline.model.results import CODE, to_ipc
from trunkline.model.results import results as table_of
from trunkline.storage.ports import Sealed
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import trunkline_pb2 as own
from trunkline.wire.gen import worker_pb2 as messages
from trunkline.wire.work import DATUMS, WorkImage, WorkStep, table_from_bytes
from trunkline.worker import ports

LEAVE_S = 60.0
"""A session is left at the first claim after this time: it holds inputs that nobody reads now."""

REFRESH_S = 600.0
"""A session in use is refreshed so often, so that collection need not wait for it."""


class RemoteServer:
    """Fills `worker.ports.Server`. It has a write session while there is work, and none while there is not.

    pipeline: the only one that it works for: a service, a spout, or that of its pod. version: the only one of that.
    """

    def __init__(
        self, client: Client, worker: str, ambient: Ambient, pipeline: Pipeline | None = None, version: int = 0
    ) -> None:
        self._pipeline = pipeline
        self._version = version
        self.calls = client.workers
        self._worker = worker
        self._ambient = ambient
        self._session: RemoteSession | None = None
        self._opened_s = self._refreshed_s = 0.0
        self.steps: dict[str, WorkStep] = {}

    @property
    def session(self) -> RemoteSession:
        """The session of the claim in hand. Raises Internal where there never was one."""
        if self._session is None:
            raise Internal("a worker writes in the session of a claim, and this one has none")
        return self._session

    @property
    def _gen(self) -> int:
        return self._session.gen if self._session is not None else 0

    def _leave(self) -> None:
        """Between two claims nothing is being written, so that the session can go."""
        former, self._session = self._session, None
        if former is not None:
            former.end()

    def _refresh_in_time(self) -> None:
        if self._ambient.ticks_s() - self._refreshed_s >= REFRESH_S:
            try:
                self.session.refresh()
            except FailedPrecondition as error:
                raise Aborted(str(error)) from None
            self._refreshed_s = self._ambient.ticks_s()

    def claim(self) -> ports.Claim | None:
        """Lease a range of datums; None: nothing to do now."""
        if self._ambient.ticks_s() - self._opened_s >= LEAVE_S:
            self._leave()
        try:
            answer = self.calls.Claim(self._claim_request(self._gen))
        except Aborted:  # the server gave the session up; what it covered was reported or is lost
            self._session = None
            answer = self.calls.Claim(self._claim_request(0))
        if not answer.HasField("claim"):
            self._session = None  # it has ended with that answer
        return self._claimed(answer)

    def _claim_request(self, gen: int) -> messages.ClaimRequest:
        request = messages.ClaimRequest(worker=self._worker, gen=gen, version=self._version)
        if self._pipeline is not None:
            request.pipeline.CopyFrom(_pipeline(self._pipeline))
        return request

    def stand(self) -> ports.Claim | None:
        """What the code of this worker's spout is to run; None: nothing now."""
        request = messages.StandRequest(worker=self._worker)
        if self._pipeline is not None:
            request.pipeline.CopyFrom(_pipeline(self._pipeline))
        return self._claimed(self.calls.Stand(request))

    def tell(self, version: int, running: bool, reason: str) -> None:
        """How the code of this worker's service or spout does."""
        request = messages.TellRequest(worker=self._worker, version=version, running=running, reason=reason)
        if self._pipeline is not None:
            request.pipeline.CopyFrom(_pipeline(self._pipeline))
        self.calls.Tell(request)

    def _claimed(self, answer: messages.ClaimResponse) -> ports.Claim | None:
        if not answer.HasField("claim"):
            self._leave()
            return None
        claim = answer.claim
        if claim.gen != self._gen:
            self._session = RemoteSession(self.calls, self._worker, claim.gen)
            self._opened_s = self._refreshed_s = self._ambient.ticks_s()
        step = WorkStep.from_bytes(claim.spec)
        self.steps = {claim.id: step}
        pipeline = Pipeline(claim.job.pipeline.project.name or "default", claim.job.pipeline.name)
        return ports.Claim(
            id=claim.id,
            fence=claim.fence,
            job=Job(pipeline, claim.job.id),
            step=_step(step),
            datums=_datums(claim.datums, step) if claim.datums else [],
            first=claim.first,
            last=claim.last,
            lease_us=claim.lease_us,
            output_commit=step.output_commit,
            spec_commit=step.spec_commit,
        )

    def renew(self, claim: ports.Claim, row: int) -> Sequence[ports.Order]:
        """Keep a claim; `row` is in progress (-1: none)."""
        self._refresh_in_time()
        renewal = messages.Renewal(claim=claim.id, fence=claim.fence, row=row)
        answer = self.calls.Renew(messages.RenewRequest(worker=self._worker, gen=self._gen, claims=[renewal]))
        return [order for command in answer.commands if (order := _order(command)) is not None]

    def report(self, claim: ports.Claim, done: int, sealed: object, results: Sequence[ports.Result]) -> tuple[int, int]:
        """Rows before `done` are finished; `sealed` is what `Output.seal` gave. The range still ours."""
        output = sealed if isinstance(sealed, list) else []
        image = self.steps[claim.id].image.digest if claim.id in self.steps else ""
        table = table_of(_result(row, image, claim.step.code) for row in results)
        request = messages.ReportRequest(
            worker=self._worker,
            gen=self._gen,
            claim=claim.id,
            fence=claim.fence,
            done=done,
            output=[one.to_bytes() for one in output if isinstance(one, Sealed)],
            stats=to_ipc(table),
        )
        answer = self.calls.Report(request)
        return answer.first, answer.last

    def give_back(self, claim: ports.Claim, reason: str) -> None:
        """Nothing comes of what is left of a claim, and no code is to blame."""
        self.calls.GiveBack(
            messages.GiveBackRequest(worker=self._worker, claim=claim.id, fence=claim.fence, reason=reason)
        )

    def watch(self) -> Iterator[ports.Order]:
        """Orders as they come, until the connection ends."""
        for command in self.calls.Watch(messages.WatchRequest(worker=self._worker, gen=self._gen)):
            order = _order(command)
            if order is not None:
                yield order

    def send_logs(self, segment: ports.LogSegment) -> None:
        """Hand over some log lines."""
        body = messages.LogSegment(
            claim=segment.claim,
            first_us=segment.first_us,
            last_us=segment.last_us,
            lines=segment.lines,
            data=segment.data,
        )
        self.calls.Logs(messages.LogsRequest(worker=self._worker, gen=self._gen, segments=[body]))


def _pipeline(pipeline: Pipeline) -> pps.Pipeline:
    return pps.Pipeline(name=pipeline.name, project=pfs.Project(name=pipeline.project))


def _result(row: ports.Result, image: str, code: str) -> dict[str, object]:
    return {
        "row": row.row,
        "state": CODE[DatumState[row.state.value]],
        "tries": row.tries,
        "reason": row.reason,
        "started_us": row.began_us,
        "download_us": row.download_us,
        "process_us": row.process_us,
        "upload_us": row.upload_us,
        "download_bytes": row.download_bytes,
        "upload_bytes": row.upload_bytes,
        "cpu_us": row.cpu_us,
        "memory_bytes": row.memory_bytes,
        "image": image,
        "code": code,
    }


def replayed(answer: own.ReplayResponse) -> ports.Claim:
    """A datum of a past job, as a claim that nobody waits for."""
    step = WorkStep.from_bytes(answer.spec)
    datums = _datums(answer.datums, step)
    pipeline = Pipeline(answer.job.pipeline.project.name or "default", answer.job.pipeline.name)
    return ports.Claim(
        id="replay",
        fence=0,
        job=Job(pipeline, answer.job.id),
        step=_step(step),
        datums=datums,
        first=datums[0].row,
        last=datums[0].row + 1,
        lease_us=0,
        output_commit=step.output_commit,
        spec_commit=step.spec_commit,
    )


def _order(command: messages.Command) -> ports.Order | None:
    match command.WhichOneof("command"):
        case "cancel":
            return ports.Cancel(command.cancel.claim, command.cancel.reason)
        case "restart":
            return ports.Restart(command.restart.claim, tuple(command.restart.rows))
        case "finish":
            return ports.Finish(command.finish.claim)
        case "shorten":
            return ports.Shorten(command.shorten.claim, command.shorten.last)
        case "wake":
            return ports.Wake()
        case "retire":
            named = command.retire.pipeline
            return ports.Retire(Pipeline(named.project.name or "default", named.name))
    return None


def _step(step: WorkStep) -> ports.Step:
    return ports.Step(
        cmd=step.cmd,
        stdin=step.stdin,
        err_cmd=step.err_cmd,
        err_stdin=step.err_stdin,
        env=step.env,
        accept_return_code=frozenset(step.accept_return_code),
        working_dir=step.working_dir,
        user=step.user,
        datum_tries=step.datum_tries,
        timeout_us=step.timeout_us,
        writable_inputs=step.writable_inputs,
        image=_image(step.image),
        code=step.code,
        secret_env=step.secret_env,
        secrets=tuple(ports.SecretFolder(one.path, tuple(one.files.items())) for one in step.secrets),
        standing=step.standing,
        batching=step.batching,
        batch_on=step.batch_on,
        limits=ports.Limits(**msgspec.structs.asdict(step.limits)),
        memory_volume=step.memory_volume,
        s3_out=step.s3_out,
    )


def _image(image: WorkImage) -> ports.Image:
    return ports.Image(
        digest=image.digest,
        name=image.name,
        env=image.env,
        workdir=image.working_dir,
        user=image.user,
        python=image.python,
        requirements=image.requirements,
        contained=image.contained,
    )


def _datums(data: bytes, step: WorkStep) -> list[ports.Datum]:
    rows = table_from_bytes(data, DATUMS).to_pylist()
    return [
        ports.Datum(
            row=row["row"],
            id=row["id"],
            elements=tuple(_element(element, step) for element in row["elements"]),
            deaths=row["deaths"],
        )
        for row in rows
    ]


def _element(element: dict[str, object], step: WorkStep) -> ports.Element:
    source = step.inputs[int(str(element["input"]))]
    digest = element["hash"]
    return ports.Element(
        input=source.name,
        project=source.project,
        repo=source.repo,
        branch=source.branch,
        commit=source.commit,
        path=str(element["path"]),
        hash=digest if isinstance(digest, bytes) else b"",
        size_bytes=int(str(element["size"])),
        join_on=str(element["join_on"] or ""),
        group_by=str(element["group_by"] or ""),
        empty_files=source.empty_files,
        is_dir=bool(element["is_dir"]),
        repo_type=source.repo_type,
        lazy=source.lazy,
        s3=source.s3,
        modified_us=source.modified_us,
    )
