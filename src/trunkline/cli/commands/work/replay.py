"""Run a datum of a past job again, on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trunkline.cli import complete
from trunkline.cli.commands.work.named import METAVAR, a_job
from trunkline.cli.late import own, pps
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session
from trunkline.cli.show.tables import Cell
from trunkline.errors import FailedPrecondition, Unimplemented

if TYPE_CHECKING:
    from trunkline.wire.gen.trunkline_pb2 import ReplayResponse
    from trunkline.worker.containers.housing import Containers
    from trunkline.worker.execute import Bench
    from trunkline.worker.launch import Scratch
    from trunkline.worker.ports import Claim, LogSegment, Result, Step

SHELL = "exec /bin/sh -i <{0}/keys >{0}/screen 2>&1"
"""What the terminal shows and takes goes through two pipes: where the code runs there are no terminals."""


@command()
@click.argument("job", metavar=METAVAR, shell_complete=complete.pipelines)
@click.argument("datum")
@click.option("--shell", is_flag=True, help="A shell where its code would run, instead of the code.")
@click.option("--keep", metavar="FOLDER", type=click.Path(file_okay=False), help="Put what it writes here.")
@project_option
@pass_session
def replay(session: Session, job: str, datum: str, shell: bool, keep: str | None, project: str | None) -> None:
    """Run a datum of a job again on this machine, and compare what it writes with what is recorded.

    Inputs, environment, code and working folder are those of the job that ran it. Exits with 1 where the output is not
    the recorded one, or the datum fails.
    """
    if shell and not sys.stdin.isatty():
        raise click.UsageError("--shell needs a terminal")
    at = a_job(session, job, project)
    answer = session.client.datums.Replay(own.ReplayRequest(job=at, datum=datum))
    if answer.secrets:
        session.note(f"its secrets are not sent, and so are missing here: {', '.join(answer.secrets)}")
    with tempfile.TemporaryDirectory(prefix="trunkline-replay-", ignore_cleanup_errors=True) as scratch:
        out = Path(keep) if keep else Path(scratch) / "out"
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise FailedPrecondition(f"{out} is not empty; name a folder that is, or a new one")
        result = _run(session, answer, Path(scratch), out, shell)
        if shell:
            return
        good = _report(session, answer, result, out)
    sys.exit(0 if good else 1)


def _run(session: Session, answer: ReplayResponse, scratch: Path, out: Path, shell: bool) -> Result:
    from trunkline.client.work.replay import FolderOutput, RemoteContent
    from trunkline.client.work.workers import replayed
    from trunkline.worker.batching.batches import Batches
    from trunkline.worker.batching.desk import Desk
    from trunkline.worker.execute import Interrupt
    from trunkline.worker.layout import Staging
    from trunkline.worker.logs import Journal

    claim = replayed(answer)
    _refuse_buckets(claim)
    content = RemoteContent(session.client)
    bench = _bench(session, scratch, content, claim)
    try:
        journal = Journal(claim.id, session.ambient, _print)
        prepared = Staging(bench.scratch.staging, content).prepare(claim.datums)[0]
        _tell(session, claim)
        if shell:
            claim = replace(claim, step=_shell(bench, claim.step))
        batches = Batches(Desk(session.ambient))
        execution = batches.execution(bench, claim, journal, Interrupt())
        try:
            return execution.run(prepared, FolderOutput(session.client, out))
        finally:
            execution.close()
            batches.end()
            journal.flush()
    finally:
        bench.close()


def _bench(session: Session, scratch: Path, content: object, claim: Claim) -> Bench:
    from trunkline.worker.execute import open_bench
    from trunkline.worker.images import Images
    from trunkline.worker.launch import Sandbox, Scratch, programs
    from trunkline.worker.rungs import choose

    folder = scratch / "worker"
    rung = choose("auto", Sandbox(shown=programs()), Scratch(scratch / "probe").make())
    images = Images(scratch / "images", content, session.ambient)  # type: ignore[arg-type]
    containers = _containers(session, claim) if claim.step.image.contained else None
    return open_bench(rung, folder, images, session.ambient, {}, open_containers=containers)


def _containers(session: Session, claim: Claim) -> Callable[[Scratch], Containers]:
    """What opens containers of this machine's engine. Raises FailedPrecondition where there is none."""
    from trunkline.worker.containers import engine, housing

    url = engine.socket_url(session.environ)
    if not url:
        raise FailedPrecondition(
            f'the datum ran in a container of image "{claim.step.image.name}", and no container engine was found on '
            "this machine; start Docker or Podman, or set DOCKER_HOST"
        )
    whose = (f"replay-{session.ambient.new_id()}", "replay")
    return lambda scratch: housing.Containers(engine.Engine(url), scratch, *whose, session.ambient)


def _refuse_buckets(claim: Claim) -> None:
    """Raise Unimplemented for code that needs buckets, which only a worker of the server has."""
    names = [element.input for element in claim.datums[0].elements if element.s3]
    if names or claim.step.s3_out:
        what = " and ".join([*names, *["out"] * claim.step.s3_out])
        raise Unimplemented(
            f"the code of datum {claim.datums[0].id} uses S3 buckets ({what}), which are there in a job only; "
            "get its inputs with `pachctl get file` to run the code by hand"
        )


def _shell(bench: Bench, step: Step) -> Step:
    """A shell in the place of the code, tied to this terminal."""
    pipes = [bench.scratch.staging / name for name in ("keys", "screen")]
    for pipe in pipes:
        os.mkfifo(pipe)
        pipe.chmod(0o666)

    def relay(source: int | Path, target: int | Path) -> None:
        read = source if isinstance(source, int) else os.open(source, os.O_RDONLY)
        write = target if isinstance(target, int) else os.open(target, os.O_WRONLY)
        with contextlib.suppress(OSError):
            while data := os.read(read, 4096):
                os.write(write, data)
        for end in {read, write} - {0, 1}:
            os.close(end)

    for ends in ((0, pipes[0]), (pipes[1], 1)):
        threading.Thread(target=relay, args=ends, daemon=True).start()
    cmd = ("/bin/sh", "-c", SHELL.format(bench.inside))
    return replace(step, cmd=cmd, stdin=(), err_cmd=(), timeout_us=0, datum_tries=1, batching=False)


def _tell(session: Session, claim: Claim) -> None:
    files = ", ".join(f"/pfs/{one.input}{one.path}" for one in claim.datums[0].elements)
    session.note(f"as job {claim.job.id} ran it: {' '.join(claim.step.cmd)} on {files}")


def _print(segment: LogSegment) -> None:
    for text in segment.data.splitlines():
        line = json.loads(text)
        if line["user"]:
            click.echo(line["message"], err=True)


def _report(session: Session, answer: ReplayResponse, result: Result, out: Path) -> bool:
    from trunkline.client.work.replay import compare

    before = pps.DatumState.Name(answer.state).lower()
    click.echo(f"{result.state.value.lower()}" + (f": {result.reason}" if result.reason else ""))
    if result.state.value != "SUCCESS":
        click.echo(f"in the job it ended as {before}" + (f": {answer.reason}" if answer.reason else ""))
        return False
    rows = list(compare(session.client, answer.recorded, out))
    colours = {"same": "green"}
    session.table(("FILE", "COMPARED"), [(path, Cell(word, colours.get(word, "red"))) for path, word in rows])
    same = all(word == "same" for _, word in rows)
    click.echo(
        "the output is the recorded one" if same else f"the output is not the recorded one (it ended as {before})"
    )
    return same
