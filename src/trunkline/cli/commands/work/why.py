"""Why datums ran or were skipped, and what would run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trunkline.cli import complete
from trunkline.cli.commands.work.named import METAVAR, a_job
from trunkline.cli.commands.work.sources import specfile
from trunkline.cli.late import inputrules, own
from trunkline.cli.options import command, no_pager_option, project_option, raw_options
from trunkline.cli.session import Session, pass_session
from trunkline.cli.show import units
from trunkline.cli.show.tables import Cell, Row
from trunkline.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from trunkline.cli.commands.work.sources.specfile import Spec
    from trunkline.wire.gen.trunkline_pb2 import DatumFate, DatumReason, ForecastResponse

HEADER = ("DATUM", "FILES", "FATE", "WHY")
SHOWN_FILES = 3


@command()
@click.argument("job", metavar=f"[{METAVAR}]", required=False, shell_complete=complete.pipelines)
@click.argument("datum", required=False)
@click.option("-f", "--file", "spec", metavar="SPEC", help="Not of a job: what this spec would run, and for how long.")
@click.option("--reprocess", is_flag=True, help="With --file: as if it were sent with --reprocess.")
@project_option
@raw_options
@no_pager_option
@pass_session
def why(
    session: Session, job: str | None, datum: str | None, spec: str | None, reprocess: bool, project: str | None,
    raw: str, no_pager: bool,
) -> None:  # fmt: skip
    """Say why datums of a job ran or were skipped, or what a spec would run.

    The pipeline alone is its newest job; a branch or tag may stand for the id, too.
    """
    if (job is None) is (spec is None):
        raise click.UsageError("give either a job or --file SPEC")
    if spec is not None:
        _forecast(session, spec, project, reprocess, raw)
        return
    if reprocess:
        raise click.UsageError("--reprocess goes with --file SPEC")
    request = own.WhyRequest(job=a_job(session, job or "", project), datum=datum or "")
    reasons = session.client.datums.Why(request)
    if raw:
        session.raw(reasons, raw)
    else:
        session.table(HEADER, map(_row, reasons), pager=not no_pager)


def _row(one: DatumReason) -> Row:
    files = ", ".join(one.paths[:SHOWN_FILES]) + (", ..." if len(one.paths) > SHOWN_FILES else "")
    reason = one.reason + ("; it stems from older code" if one.older_code else "")
    return one.datum, files or "-", _fate(one.fate), reason


def _fate(fate: DatumFate.ValueType) -> Cell:
    word = own.DatumFate.Name(fate).rpartition("_")[2].lower()
    return Cell(word, {"runs": "green", "waits": "yellow"}.get(word, ""))


def _forecast(session: Session, source: str, project: str | None, reprocess: bool, raw: str) -> None:
    specs = specfile.read_specs(session, source, project)
    made = {_named(spec) for spec in specs}
    for spec in specs:
        request = own.ForecastRequest(create_pipeline_request_json=specfile.as_json(spec), reprocess=reprocess)
        try:
            answer = session.client.datums.Forecast(request)
        except (InvalidArgument, NotFound):
            unknown = "" if raw or len(specs) == 1 else _unknown(spec, made)
            if not unknown:
                raise
            click.echo(f"{spec['pipeline']['name']}: {unknown}")
            continue
        if raw:
            session.raw([answer], raw)
            continue
        click.echo(f"{spec['pipeline']['name']}: {summary(answer)}")
        rows = [(str(one.datums), _fate(one.fate), one.reason) for one in answer.reasons]
        if rows:
            session.table(("DATUMS", "FATE", "WHY"), rows)


def _named(spec: Spec) -> tuple[str, str]:
    return spec["pipeline"]["project"]["name"], spec["pipeline"].get("name", "")


def _unknown(spec: Spec, made: set[tuple[str, str]]) -> str:
    """Why the file as a whole says nothing of this pipeline's datums yet; "" where that is its own fault."""
    if not spec.get("input"):
        return "it has no input, and so no datums"
    above = [repo for project, repo, *_ in inputrules.branches(spec["input"], *_named(spec)) if (project, repo) in made]
    if not above:
        return ""
    return f"it reads what {', '.join(dict.fromkeys(above))} will have made, so that nothing is known yet"


def summary(answer: ForecastResponse) -> str:
    """What would run, in a sentence."""
    text = f"{answer.runs} of {answer.total} datums would run"
    if answer.runs and answer.estimate_us:
        minutes = answer.estimate_us / 60e6
        told = f"about {minutes:.1f} minutes" if minutes >= 0.1 else "a few seconds"
        each = units.seconds(answer.datum_us / 1e6)
        text += f", for {told} ({each} a datum on {answer.workers} worker{'s' * (answer.workers != 1)})"
    elif answer.runs:
        text += "; how long that takes is not known, since none has run yet"
    if answer.older_code:
        text += "; the others keep what older code made (--reprocess runs everything)"
    return text
