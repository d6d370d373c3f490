"""One datum from laid-out inputs to collected output: attempts, err_cmd, and the verdict."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.errors import FailedPrecondition, TrunklineError
from trunkline.model.names import Pipeline
from trunkline.worker import outcome
from trunkline.worker.ahead import PASSING
from trunkline.worker.collect import Collector, Found
from trunkline.worker.containers.contained import Contained
from trunkline.worker.images import Housing, Images
from trunkline.worker.inputs.environment import claim_environment
from trunkline.worker.inputs.masks import mask_of
from trunkline.worker.inputs.pipes import Feeder
from trunkline.worker.inputs.variables import environment
from trunkline.worker.launch import PFS_INSIDE, STAGING_INSIDE, AgentLost, Sandbox, Scratch
from trunkline.worker.layout import Pfs, Prepared
from trunkline.worker.limits import disk, gpus, volumes
from trunkline.worker.limits.volumes import Place, Places, volume_of
from trunkline.worker.logs import Journal, Lines
from trunkline.worker.outcome import Attempt, Timing
from trunkline.worker.ports import Buckets, Claim, NoBuckets, Output, Result, State
from trunkline.worker.rungs import HostScratch, Rung, lock_pfs
from trunkline.worker.runner import Command, Exited, Runner

_NOTHING = contextlib.nullcontext()


@dataclass
class Interrupt:
    """Orders for the datum in progress, set by other threads. cancelled: why the claim is over, or "".

    restart_row: run this datum again, if it is the one in progress; that attempt does not count. -1: none. finish: code
    that runs for ever is to end, and what it wrote is kept.
    """

    cancelled: str = ""
    restart_row: int = -1
    finish: bool = False


def open_bench(
    rung: Rung,
    folder: Path,
    images: Images,
    ambient: Ambient,
    variables: Mapping[str, str] | None = None,
    buckets: Buckets | None = None,
    open_containers: Callable[[Scratch], Contained] | None = None,
    *,
    completed: bool = False,
) -> Bench:
    """A bench on `rung`, with its scratch in `folder`, which is this worker's alone. Raises FailedPrecondition.

    variables: of the worker, for user code: addresses and names (behaviour C.8). buckets: none, for claims that need
    none. open_containers: None where there is no engine for them. completed: as `Bench.completed`.
    """
    if rung.sandbox.namespaces:
        scratch, inside = Scratch(folder).make(), STAGING_INSIDE
    else:
        lock_pfs()  # until this process ends
        scratch = HostScratch(folder).make()
        inside = str(scratch.staging)
    housing = Housing(scratch, rung.sandbox, images, ambient)

    def place(pfs: str) -> Place:
        aside = scratch.links if Path(pfs) == scratch.pfs else None
        return Pfs(Path(pfs), inside, aside), Collector(pfs, str(scratch.staging), inside)

    containers = open_containers(scratch) if open_containers is not None else None

    def runner(claim: Claim, tell: Callable[[str], None]) -> Runner:
        if not claim.step.image.contained:
            return housing.runner(claim.step.image, tell, claim.step.secrets, volume_of(claim.step))
        if containers is None or not rung.sandbox.namespaces:
            raise FailedPrecondition(
                f'the pipeline runs in a container of image "{claim.step.image.name}", and this server has no engine '
                "for containers now; start it again with one, or update the pipeline"
            )
        return containers.runner(claim.step, tell, str(claim.job.pipeline))

    def each(work: Callable[[Housing | Contained], None]) -> None:
        work(housing)
        if containers is not None:
            work(containers)

    return Bench(
        scratch=scratch,
        sandbox=rung.sandbox,
        places=Places(place(str(scratch.pfs)), place),
        runner=runner,
        kill=lambda: each(lambda one: one.kill()),
        close=lambda: each(lambda one: one.close()),
        idle=containers.idle if containers is not None else lambda: None,
        retire=(lambda pipeline: containers.retire(str(pipeline))) if containers is not None else lambda pipeline: None,
        ambient=ambient,
        inside=inside,
        variables=dict(variables or {}),
        buckets=buckets or NoBuckets(),
        completed=completed,
    )


class Cancelled(Exception):
    """The claim is over; nothing of this datum is wanted."""


class InputLost(Exception):
    """An input that was read while the code ran cannot be read; the message says which and why."""


@dataclass
class Bench:
    """What a worker executes datums with.

    runner: the runner for a claim's image, opened anew after one was lost; tells what takes long. places: where its
    /pfs lies. kill: end what runs, from any thread. close: end the agents. idle: told, by the thread that runs, when
    there is nothing to do. retire: told, by the same, of each pipeline stopped, updated or deleted. devices: GPUs.
    completed: the agent knows what the image says of variables and folder, and we do not.
    """

    scratch: Scratch
    sandbox: Sandbox
    places: Places
    runner: Callable[[Claim, Callable[[str], None]], Runner]
    kill: Callable[[], None]
    close: Callable[[], None]
    ambient: Ambient
    inside: str = STAGING_INSIDE
    variables: dict[str, str] = field(default_factory=dict)  # of the worker: addresses, names
    buckets: Buckets = field(default_factory=NoBuckets)
    completed: bool = False
    devices: gpus.Devices | None = None
    idle: Callable[[], None] = lambda: None
    retire: Callable[[Pipeline], None] = lambda pipeline: None

    def rest(self) -> None:
        """There is nothing to do."""
        self.idle()
        if self.devices is not None:
            self.devices.idle()


class Execution:
    """Runs the datums of one claim, one after the other."""

    def __init__(self, bench: Bench, claim: Claim, journal: Journal, interrupt: Interrupt) -> None:
        self._bench = bench
        self._claim = claim
        self._journal = journal
        self._interrupt = interrupt
        self._row = claim.first
        self._timing = Timing(0)
        self._env = claim_environment(bench, claim)
        self._env |= gpus.visible(bench.devices, claim.step, journal.system, self._stop_if_cancelled)
        self._mask = mask_of(claim.step)
        self._secret = {name: os.fsdecode(value) for name, value in claim.step.secret_env.items()}
        self._pfs, self._collector = bench.places.disk
        self._stdin = self._write_stdin("stdin", claim.step.stdin)
        self._err_stdin = self._write_stdin("err_stdin", claim.step.err_stdin)

    def run(self, prepared: Prepared, output: Output) -> Result:
        """Try until there is a verdict. Raises Cancelled; OSError and TrunklineError where the machine fails us."""
        step, datum = self._claim.step, prepared.datum
        self._row = datum.row
        timing = self._timing = Timing(self._bench.ambient.now_us())
        attempts: list[Attempt] = []
        found = Found()
        verdict = outcome.judge(step, attempts, datum.deaths) if datum.deaths else None
        if problem := prepared.problem or self._housing_problem():
            verdict = outcome.Verdict(State.FAILED, problem)
        env = {**environment(datum), **self._env}
        while verdict is None:
            try:
                attempt, found = self._try(prepared, env, timing)
                attempts.append(attempt)
                verdict = outcome.judge(step, attempts, datum.deaths)
            except (InputLost, disk.TooLarge) as error:
                verdict = outcome.Verdict(State.FAILED, str(error))
            except _Again:
                self._clear()
                continue
            if verdict is None or verdict.state is not State.SUCCESS:
                self._clear()
        size = 0
        if verdict.state is State.SUCCESS:
            for line in (*found.ignored, *outcome.doubts(attempts[-1])):
                self._journal.system(line, datum.id)
            began_s = self._bench.ambient.ticks_s()
            try:
                size = self._collector.store(found, output, datum.id)
            except BaseException:
                output.discard(datum.id)  # so that the finished datums beside it can still be reported
                raise
            timing.upload_s = self._bench.ambient.ticks_s() - began_s
            self._clear()
        else:
            self._journal.system(f"datum {verdict.state.value.lower()}: {verdict.reason}", datum.id)
        return Result(
            row=datum.row,
            id=datum.id,
            state=verdict.state,
            reason=verdict.reason,
            tries=len(attempts) + datum.deaths,
            began_us=timing.began_us,
            download_us=prepared.download_us,
            process_us=int(timing.process_s * 1e6),
            upload_us=int(timing.upload_s * 1e6),
            download_bytes=prepared.size_bytes + timing.fed_bytes,
            upload_bytes=size,
            files=found.count if verdict.state is State.SUCCESS else 0,
            cpu_us=timing.cpu_us,
            memory_bytes=timing.memory_bytes,
        )

    def _try(self, prepared: Prepared, env: dict[str, str], timing: Timing) -> tuple[Attempt, Found]:
        """Lay out and run once. An agent that is lost, or none that can be had, counts like code that fails."""
        try:
            self._lay(prepared, env)
            with self._feeding(prepared) if prepared.pipes else _NOTHING:
                return self._attempt(prepared, env, timing)
        except AgentLost as error:
            self._stop_if_told()
            return Attempt(None, complaint=str(error)), Found()

    def _lay(self, prepared: Prepared, env: dict[str, str]) -> None:
        """Show the datum's files and buckets, once there is room. Raises TooLarge where there never will be."""
        bench, step = self._bench, self._claim.step
        if step.memory_volume:  # its /pfs may have gone with its agent
            self._runner()
        folder, tell = bench.scratch.folder, self._journal.system
        wants = f"copies of inputs, {prepared.size_bytes:,} bytes, do not fit"
        waiting = disk.Waiting(folder, bench.ambient, tell, wants)
        while True:
            disk.wait_for_room(folder, bench.ambient, tell, self._stop_if_told)
            self._show(prepared, env)
            if not step.writable_inputs:
                return
            try:
                return self._pfs.copy_inputs(prepared, bench.scratch.staging)
            except OSError:
                if not (note := volumes.no_room(self._pfs, step, folder)):
                    raise
                self._clear()
                if step.memory_volume:
                    raise disk.TooLarge(f"{wants}: {note}") from None
            waiting.say()
            bench.ambient.sleep(disk.COPY_AGAIN_S)
            self._stop_if_told()

    def _show(self, prepared: Prepared, env: dict[str, str]) -> None:
        if self._pfs.used:  # by a datum that was ended in the middle
            self._clear()
        self._pfs.lay(prepared, env)
        self._bench.buckets.show(prepared.datum)

    @contextlib.contextmanager
    def _feeding(self, prepared: Prepared) -> Iterator[None]:
        """Fill what the code opens of lazy inputs. Raises InputLost; TrunklineError where it may come back."""
        feeder = Feeder(
            prepared.pipes,
            os.fsencode(self._bench.scratch.staging),
            self._bench.ambient,
            self._bench.kill,
            lambda line: self._journal.system(line, prepared.datum.id),
        )
        try:
            yield
        finally:
            self._timing.fed_bytes += feeder.stop()
        if isinstance(feeder.error, TrunklineError) and feeder.error.kind not in PASSING:
            raise InputLost(f"an input cannot be read: {feeder.error}")
        if feeder.error is not None:
            raise feeder.error

    def _housing_problem(self) -> str:
        """Why code of this image cannot run here at all, in which case trying again changes nothing; or ""."""
        try:
            self._runner()
        except FailedPrecondition as error:
            return str(error)
        except AgentLost:
            pass  # the attempts say so
        finally:
            self._stop_if_cancelled()  # which also calls off an image in the making
        return ""

    def _runner(self) -> Runner:
        runner = self._bench.runner(self._claim, self._journal.system)
        self._pfs, self._collector = self._bench.places.of(runner)
        return runner

    def _attempt(self, prepared: Prepared, env: dict[str, str], timing: Timing) -> tuple[Attempt, Found]:
        """cmd once, then what it left or, if that went wrong, err_cmd."""
        step = self._claim.step
        lines = Lines(lambda line: self._journal.user(prepared.datum.id, line), mask=self._mask)
        found, err = Found(), None
        began_s = self._bench.ambient.ticks_s()
        try:
            runner = self._runner()
            ended = self._execute(runner, step.cmd, self._stdin, env, lines)
            if outcome.accepted(step, ended):
                found = self._look(runner, prepared)
                found.fail(disk.too_much(step.limits, found.files))
            if (found.complaint or not outcome.accepted(step, ended)) and step.err_cmd:
                err = self._execute(runner, step.err_cmd, self._err_stdin, env, lines)
            note = volumes.no_room(self._pfs, step, self._bench.scratch.folder, ended)
        except AgentLost as error:
            self._stop_if_told()
            return Attempt(None, complaint=str(error), tail=lines.tail()), found
        finally:
            lines.end()
            timing.process_s += self._bench.ambient.ticks_s() - began_s
        return Attempt(ended, err, found.complaint, lines.tail(), note), found

    def _execute(self, runner: Runner, argv: tuple[str, ...], stdin: str, env: dict[str, str], lines: Lines) -> Exited:
        self._stop_if_told()
        command = self._command(argv, stdin, env, limit_us=self._claim.step.timeout_us)
        ended = runner.run(command, lines.feed)
        self._timing.add(ended)
        self._stop_if_told()
        return ended

    def _command(self, argv: tuple[str, ...], stdin: str, env: dict[str, str], limit_us: int) -> Command:
        step = self._claim.step
        return Command(
            argv,
            {**env, **self._secret},  # and not in /pfs/.env, which is a file on a disk
            cwd=step.working_dir or step.image.workdir or ("" if self._bench.completed else "/"),
            user=step.user or step.image.user,
            stdin=stdin,
            limit_us=limit_us,
            limits=step.limits,
        )

    def close(self) -> None:
        """The claim is over."""

    def _stop_if_cancelled(self) -> None:
        if self._interrupt.cancelled:
            raise Cancelled(self._interrupt.cancelled)

    def _stop_if_told(self) -> None:
        self._stop_if_cancelled()
        if self._interrupt.restart_row == self._row:
            self._interrupt.restart_row = -1
            raise _Again

    def _look(self, runner: Runner, prepared: Prepared) -> Found:
        """What lies in /pfs/out; where we cannot see or read it, the agent helps and we look again."""
        found = self._found(prepared)
        if found.blocked:
            step = self._claim.step
            trees = [PFS_INSIDE, self._bench.inside]
            told = runner.fix(f"{PFS_INSIDE}/out", step.user or step.image.user, trees)
            found = self._found(prepared)
            if found.complaint and told:
                found.complaint += f" ({told})"
        return found

    def _found(self, prepared: Prepared) -> Found:
        """What lies in /pfs/out and in the bucket `out`."""
        found = self._collector.look(prepared)
        found.put(self._bench.buckets.take())
        return found

    def _clear(self) -> None:
        """/pfs as it was before; what we may not remove the agent removes, with the code's rights."""
        self._bench.buckets.clear()
        for path in self._pfs.clear():
            folder = path if path == f"{PFS_INSIDE}/out" else os.path.dirname(path)
            try:
                self._runner().wipe(folder)
            except AgentLost:  # the code may have had a hand in it; another has not seen this code
                self._runner().wipe(folder)

    def _write_stdin(self, name: str, text: tuple[str, ...]) -> str:
        """Standard input as a file in staging, which the code can read and not change; "" for none."""
        if not text:
            return ""
        path = self._bench.scratch.staging / name
        path.unlink(missing_ok=True)
        path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8", errors="surrogateescape")
        path.chmod(0o444)
        return f"{self._bench.inside}/{name}"


class _Again(Exception):
    """The datum is to be run again, by order."""
