"""trunkline.worker.v1.Workers: what a worker asks of its server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.events import Events
from trunkline.api.rpc.tokens import WorkerTokens
from trunkline.api.workers.handout import datums_of, standing_step, step_of
from trunkline.api.workers.pod_images import PodImages
from trunkline.catalog import images as image_rows
from trunkline.catalog import outbox
from trunkline.catalog.collection import chunks as chunk_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.outbox import Event
from trunkline.catalog.work import claims as claim_rows
from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from trunkline.fleet.kubernetes.names import object_name
from trunkline.model.jobs import JobState
from trunkline.model.names import Job, Pipeline
from trunkline.pfs.files import load
from trunkline.pps import claims
from trunkline.pps import logs as pps_logs
from trunkline.pps.claims import LEASE_US, Cancel, Command, Finish, Handed, Renewal, Report
from trunkline.pps.controller import Pps
from trunkline.pps.jobs import set_state
from trunkline.pps.logs import SPOUT_CLAIM, Segment
from trunkline.pps.machine import CLAIMS_TOPIC, COMMAND_TOPIC, RETIRED_TOPIC
from trunkline.pps.secrets import Given, given_to
from trunkline.pps.standing import states
from trunkline.pps.standing.wishes import stand
from trunkline.storage import NewChunk, Sealed
from trunkline.wire import nouns
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import worker_pb2 as wire

KIND = "worker"
WATCHED = (COMMAND_TOPIC, CLAIMS_TOPIC, RETIRED_TOPIC)
PAGE = 100


@dataclass(frozen=True, slots=True)
class WorkerDoor:
    """Sessions, claims, reports and logs of workers. tokens: what they show with each call.

    workers: how many this server runs. gpus: devices that these share; None: nobody counts them.
    images: of pods, where workers may be some.
    """

    system: Pps
    bridge: Bridge
    events: Events
    tokens: WorkerTokens = field(repr=False)
    workers: int = 1
    gpus: int | None = None
    images: PodImages | None = None
    service: str = field(default="trunkline.worker.v1.Workers")

    def admit(self, call: Call) -> None:
        """Whoever may call this could write any result into any job: only the server's own workers may."""
        if not call.worker_token:
            raise Unauthenticated(
                f"{call.method} is for this server's own workers, which show a token that it gave them, and this call "
                "has none; use the public services instead"
            )
        self.tokens.name_in(call.worker_token)

    def _only(self, call: Call, worker: str, said: pps.Pipeline | None = None, version: int | None = None) -> None:
        """Raise PermissionDenied for a worker of one version of a pipeline that speaks for another."""
        name = self.tokens.name_in(call.worker_token)
        if not name:
            return
        wanted = version if version is not None else name.rpartition("-v")[2]
        other = said is not None and (not said.name or object_name(nouns.pipeline_of(said), int(wanted)) != name)
        if worker.rpartition("-")[0] != name or other:
            raise PermissionDenied(
                f"{call.method} was called with the token of {name}, which is good for its own pods and pipeline only"
            )

    # --- write sessions

    def OpenSession(self, _request: wire.OpenSessionRequest, _call: Call) -> wire.OpenSessionResponse:
        """A new write session."""
        gen = self.system.files.catalog.transact(lambda tx: session_rows.open_session(tx, KIND, leased=True))
        return wire.OpenSessionResponse(gen=gen, lease_us=LEASE_US)

    def Refresh(self, request: wire.RefreshRequest, _call: Call) -> wire.RefreshResponse:
        """Keep a session."""
        if len(request.hashes) != len(request.gens):
            raise InvalidArgument("the chunks of a refresh do not add up: give a generation for each hash")
        hits = list(zip(request.hashes, request.gens, strict=True))

        def work(tx: Tx) -> None:
            if not session_rows.renew(tx, [request.gen]):
                raise FailedPrecondition(f"write session {request.gen} is over; open another and start the write again")
            chunk_rows.refresh(tx, request.gen, hits)

        self.system.files.catalog.transact(work)
        return wire.RefreshResponse()

    def EndSession(self, request: wire.EndSessionRequest, _call: Call) -> wire.EndSessionResponse:
        """Give a session back."""
        self.system.files.catalog.transact(lambda tx: session_rows.end_session(tx, request.gen))
        return wire.EndSessionResponse()

    def Known(self, request: wire.KnownRequest, _call: Call) -> wire.Chunks:
        """Which chunks need no writing."""
        hashes = list(request.hashes)
        return _chunks(chunk_rows.ask(self.system.files.catalog, request.gen, hashes))

    def Register(self, request: wire.RegisterRequest, _call: Call) -> wire.Chunks:
        """Chunks that were written."""
        new = [NewChunk(one.hash, one.gen, one.size_bytes, one.stored_bytes) for one in request.chunks]
        return _chunks(self.system.files.catalog.transact(lambda tx: chunk_rows.register(tx, request.gen, new)))

    def Seal(self, request: wire.SealRequest, _call: Call) -> wire.SealResponse:
        """File sets that were written, to be adopted later."""
        sealed = _sealed(request.sealed)
        self.system.files.catalog.transact(lambda tx: fileset_rows.seal(tx, request.gen, sealed))
        return wire.SealResponse()

    def Hold(self, request: wire.HoldRequest, _call: Call) -> wire.HoldResponse:
        """Hold file sets for reading, and say what they are."""
        ids = list(request.filesets)

        def work(tx: Tx) -> list[Sealed]:
            fileset_rows.hold(tx, request.gen, ids)
            return load(tx, ids)

        held = self.system.files.catalog.transact(work)
        return wire.HoldResponse(sealed=[one.to_bytes() for one in held])

    # --- claims

    async def Watch(self, request: wire.WatchRequest, call: Call) -> AsyncGenerator[wire.Command, None]:
        """Commands for one worker, and a word whenever there may be something to claim."""
        self._only(call, request.worker)
        of_all = not self.tokens.name_in(call.worker_token)
        at = await self.bridge.unary(partial(self.system.files.catalog.read, outbox.newest))
        yield wire.Command(wake=wire.Wake())  # what was there before this watcher came
        while True:
            seq = self.events.seq
            found = await self.bridge.unary(partial(self._since, at))
            for event in found or []:
                at = event.seq
                if event.topic == COMMAND_TOPIC and event.payload["worker"] == request.worker:
                    yield _told(event)
                if event.topic == RETIRED_TOPIC and of_all:
                    yield wire.Command(retire=wire.Retire(pipeline=nouns.pipeline(Pipeline(**event.payload))))
            if found is None or any(event.topic == CLAIMS_TOPIC for event in found):
                yield wire.Command(wake=wire.Wake())
            if found is None:  # events that this watcher has not seen are gone: look at everything again
                at = await self.bridge.unary(partial(self.system.files.catalog.read, outbox.newest))
            elif len(found) < PAGE:
                await self.events.after(seq, *WATCHED)

    def _since(self, position: int) -> list[Event] | None:
        return self.system.files.catalog.read(lambda tx: outbox.follow(tx, position, PAGE, WATCHED))

    def Claim(self, request: wire.ClaimRequest, call: Call) -> wire.ClaimResponse:
        """Lease a range of datums, in the session given or a new one. With nothing to lease, the session has ended."""
        self._only(call, request.worker, request.pipeline, request.version)
        if not request.gen and not self.system.files.catalog.read(claim_rows.any_claim):
            return wire.ClaimResponse()
        gen = request.gen
        while (handed := self._hand_out(request, gen)) is not None:
            try:
                given = self.system.files.catalog.read(partial(given_to, vault=self.system.vault, spec=handed.spec))
            except (DataLoss, FailedPrecondition) as error:  # no worker could run it
                gen = handed.leased.claim.session or 0
                self._fail(handed.leased.job.job, str(error))
            else:
                return wire.ClaimResponse(claim=self._claim(handed, given))
        return wire.ClaimResponse()

    def _hand_out(self, request: wire.ClaimRequest, gen: int) -> Handed | None:
        pipeline = nouns.pipeline_of(request.pipeline) if request.pipeline.name else None
        return claims.hand_out(
            self.system.files,
            self.system.tables,
            request.worker,
            lambda tx: gen or session_rows.open_session(tx, KIND, leased=True),
            max_datums=request.max_datums,
            pipeline=pipeline,
            version=request.version,
            workers=max(1, self.workers),
            gpus=self.gpus,
        )

    def _fail(self, job: Job, reason: str) -> None:
        with contextlib.suppress(FailedPrecondition, NotFound):  # it has ended meanwhile
            self.system.files.catalog.transact(lambda tx: set_state(tx, job, JobState.FAILURE, reason))

    def _claim(self, handed: Handed, given: Given) -> wire.Claim:
        row = handed.leased.claim
        image = handed.image
        filesets: list[str] = []
        if image is not None:
            filesets = self.system.files.catalog.read(lambda tx: image_rows.filesets_of(tx, image.digest))
        return wire.Claim(
            id=row.id,
            job=nouns.job(handed.leased.job.job),
            first=row.done,
            last=row.last,
            fence=row.fence,
            gen=row.session or 0,
            lease_us=LEASE_US,
            spec=step_of(handed, filesets, given).to_bytes(),
            datums=datums_of(handed.datums, row.done, handed.deaths),
        )

    def Stand(self, request: wire.StandRequest, call: Call) -> wire.ClaimResponse:
        """What the code of a spout is to run."""
        pipeline, catalog = nouns.pipeline_of(request.pipeline), self.system.files.catalog
        self._only(call, request.worker, request.pipeline)
        found = catalog.read(lambda tx: stand(tx, pipeline))
        if found is None:
            return wire.ClaimResponse()
        given = catalog.read(lambda tx: given_to(tx, self.system.vault, found.spec))
        filesets = catalog.read(lambda tx: image_rows.filesets_of(tx, found.version.image_digest))
        step = standing_step(found, filesets, given)
        claim = wire.Claim(id=f"{SPOUT_CLAIM}.{found.key}", spec=step.to_bytes())
        if found.image is not None:  # which is read in a session
            claim.gen = catalog.transact(lambda tx: session_rows.open_session(tx, KIND, leased=True))
        claim.job.pipeline.CopyFrom(request.pipeline)
        return wire.ClaimResponse(claim=claim)

    def Tell(self, request: wire.TellRequest, call: Call) -> wire.TellResponse:
        """How a service or spout does."""
        pipeline = nouns.pipeline_of(request.pipeline)
        self._only(call, request.worker, request.pipeline, request.version)
        self.system.files.catalog.transact(
            lambda tx: states.tell(tx, pipeline, request.version, running=request.running, reason=request.reason)
        )
        return wire.TellResponse()

    def Renew(self, request: wire.RenewRequest, call: Call) -> wire.RenewResponse:
        """Keep claims; the commands that stand for them."""
        self._only(call, request.worker)
        kept = [Renewal(one.claim, one.fence, one.row if one.row >= 0 else None) for one in request.claims]
        commands = self.system.leases.renew(request.worker, request.gen, kept)
        return wire.RenewResponse(commands=map(_command, commands))

    async def Report(self, request: wire.ReportRequest, call: Call) -> wire.ReportResponse:
        """Adopt a finished prefix."""
        self._only(call, request.worker)
        image = await self.images.of(request.worker) if self.images is not None else ""
        return await self.bridge.unary(partial(self._adopt, request, image))

    def _adopt(self, request: wire.ReportRequest, image: str) -> wire.ReportResponse:
        one = Report(
            worker=request.worker,
            gen=request.gen,
            claim=request.claim,
            fence=request.fence,
            done=request.done,
            output=tuple(_sealed(request.output)),
            results=claims.parse_results(request.stats),
            image=image,
        )
        first, last = self.system.files.catalog.transact(lambda tx: claims.report(tx, one))
        return wire.ReportResponse(first=first, last=last)

    def GiveBack(self, request: wire.GiveBackRequest, call: Call) -> wire.GiveBackResponse:
        """Free a claim that its worker can do nothing with."""
        self._only(call, request.worker)
        self.system.files.catalog.transact(
            lambda tx: claims.give_back(tx, request.worker, request.claim, request.fence, request.reason)
        )
        return wire.GiveBackResponse()

    def Logs(self, request: wire.LogsRequest, call: Call) -> wire.LogsResponse:
        """Keep log lines."""
        self._only(call, request.worker)
        segments = [Segment(one.claim, one.first_us, one.last_us, one.lines, one.data) for one in request.segments]
        self.system.files.catalog.transact(lambda tx: pps_logs.write(tx, request.worker, segments))
        return wire.LogsResponse()


def _sealed(bodies: Iterable[bytes]) -> list[Sealed]:
    try:
        return [Sealed.from_bytes(body) for body in bodies]
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"a file set in the request cannot be read: {error}") from error


def _chunks(gens: dict[bytes, int]) -> wire.Chunks:
    return wire.Chunks(hashes=gens.keys(), gens=gens.values())


def _told(event: Event) -> wire.Command:
    claim = event.payload["claim"]
    if "last" in event.payload:
        return wire.Command(shorten=wire.Shorten(claim=claim, last=event.payload["last"]))
    if "finish" in event.payload:
        return wire.Command(finish=wire.Finish(claim=claim))
    if "cancel" in event.payload:
        return wire.Command(cancel=wire.Cancel(claim=claim, reason=event.payload["cancel"]))
    return wire.Command(restart=wire.Restart(claim=claim, rows=event.payload["restart"]))


def _command(command: Command) -> wire.Command:
    if isinstance(command, Cancel):
        return wire.Command(cancel=wire.Cancel(claim=command.claim, reason=command.reason))
    if isinstance(command, Finish):
        return wire.Command(finish=wire.Finish(claim=command.claim))
    return wire.Command(restart=wire.Restart(claim=command.claim, rows=command.rows))
