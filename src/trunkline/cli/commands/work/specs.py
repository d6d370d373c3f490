"""Pipelines from specs: create, update, edit, check."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from typing import Any

import click

from trunkline.cli import complete, places
from trunkline.cli.commands.work.sources import pushes, specfile
from trunkline.cli.commands.work.sources.pushes import Wish, image_options
from trunkline.cli.late import json_format, names, own, pps, transactions
from trunkline.cli.options import command, project_option, raw_options
from trunkline.cli.session import Session, pass_session
from trunkline.errors import FailedPrecondition, InvalidArgument, TrunklineError

_IN_BATCH = re.compile(r"request (\d+) of the batch \([a-z0-9_]*\): (.*); nothing of the batch was done$", re.DOTALL)
"""How the server names the request that was refused, of several."""


def spec_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where the spec comes from."""
    for option in (
        click.option(
            "--dry-run", is_flag=True, help="Check it and print the whole spec that would run; change nothing."
        ),
        click.option(
            "--arg", "arguments", metavar="NAME=VALUE", multiple=True, help="An argument of the template; repeat."
        ),
        click.option("--jsonnet", metavar="TEMPLATE", help="A jsonnet template that gives specs: a file, a URL, or -."),
        click.option("-f", "--file", "source", metavar="SPEC", help="A file of specs (JSON or YAML), a URL, or -."),
    ):
        function = option(function)
    return function


@command()
@spec_options
@image_options
@project_option
@raw_options
@pass_session
def create(
    session: Session, source: str | None, jsonnet: str | None, arguments: tuple[str, ...], dry_run: bool, wish: Wish,
    project: str | None, raw: str,
) -> None:  # fmt: skip
    """Create the pipelines that a spec describes.

    A file may hold several specs: an array, a stream of JSON objects, or YAML documents. All are checked before any is
    sent; each complaint says where. They are made together, or not at all.
    """
    found = _specs(session, source, jsonnet, arguments, project)
    _prepare(session, found, wish, source or jsonnet, update=False)
    _send(session, found, update=False, reprocess=False, dry_run=dry_run, raw=raw)


@command()
@spec_options
@image_options
@click.option("--reprocess", is_flag=True, help="Run every datum again, also those that were processed before.")
@project_option
@raw_options
@pass_session
def update(
    session: Session, source: str | None, jsonnet: str | None, arguments: tuple[str, ...], dry_run: bool, wish: Wish,
    reprocess: bool, project: str | None, raw: str,
) -> None:  # fmt: skip
    """Change pipelines to what a spec describes; those that are not there are created.

    Datums that were processed and whose inputs have not changed are not run again, even if the code has changed:
    --reprocess runs them.
    """
    found = _specs(session, source, jsonnet, arguments, project)
    _prepare(session, found, wish, source or jsonnet, update=True)
    _send(session, found, update=True, reprocess=reprocess, dry_run=dry_run, raw=raw)


def _specs(
    session: Session, source: str | None, jsonnet: str | None, arguments: tuple[str, ...], project: str | None
) -> list[specfile.Spec]:
    if jsonnet is not None:
        if source is not None:
            raise click.UsageError("give either --file or --jsonnet")
        return specfile.render(session, jsonnet, arguments, project)
    if arguments:
        raise click.UsageError("--arg is for templates; add --jsonnet TEMPLATE")
    return specfile.read_specs(session, source, project)


def _prepare(session: Session, found: list[specfile.Spec], wish: Wish, source: str | None, *, update: bool) -> None:
    """Build and push images where that is wished, once the server would take the spec as it is."""
    if not wish:
        return
    if len(found) == 1 and not session.context.transaction:  # of several, one may read what another makes
        text = specfile.as_json(found[0])
        request = pps.CreatePipelineV2Request(create_pipeline_request_json=text, dry_run=True, update=update)
        with contextlib.closing(session.connect("", quiet=True)) as asking:
            asking.pps.CreatePipelineV2(request)
    pushes.prepare(session, found, wish, source)


def _send(
    session: Session, found: list[specfile.Spec], *, update: bool, reprocess: bool, dry_run: bool, raw: str
) -> None:
    requests = [
        pps.CreatePipelineV2Request(
            create_pipeline_request_json=specfile.as_json(spec),
            dry_run=dry_run or bool(spec.get("dry_run")),
            update=update,
            reprocess=reprocess,
        )
        for spec in found
    ]
    foreseen = [_foreseen(session, request) if update and not request.dry_run else "" for request in requests]
    made = [request for request in requests if not request.dry_run]
    together = len(made) > 1 and not session.context.transaction
    if together:
        _send_together(session, made)
    for number, request in enumerate(requests, 1):
        if together and not request.dry_run:
            continue
        answer = _send_one(session, request, number, len(found))
        if request.dry_run:
            _print(answer.effective_create_pipeline_request_json, raw)
    for spec, sentence in zip(found, foreseen, strict=True):
        if sentence:
            session.note(f"{spec.get('pipeline', {}).get('name', '')}: {sentence}")
    if made:
        session.added_to_transaction()


def _send_one(
    session: Session, request: pps.CreatePipelineV2Request, number: int, count: int
) -> pps.CreatePipelineV2Response:
    """Send a spec by itself, or into the transaction that is open."""
    try:
        return session.client.pps.CreatePipelineV2(request)
    except TrunklineError as error:
        if count == 1:
            raise
        left = "" if request.dry_run else "; those before it are in the transaction"
        raise type(error)(f"spec {number} of {count}: {error}{left}") from None


def _send_together(session: Session, requests: list[pps.CreatePipelineV2Request]) -> None:
    """Send several specs as one: all of them go in, or none does."""
    batch = transactions.BatchTransactionRequest()
    for request in requests:
        inner = pps.CreatePipelineRequest(update=request.update, reprocess=request.reprocess)
        kept = pps.CreatePipelineTransaction(
            create_pipeline_request=inner, user_json=request.create_pipeline_request_json
        )
        batch.requests.add(create_pipeline_v2=kept)
    try:
        session.client.transactions.BatchTransaction(batch)
    except TrunklineError as error:
        which = _IN_BATCH.match(str(error))
        what = f"spec {which[1]} of {len(requests)}: {which[2]}" if which else f"{error}"
        raise type(error)(f"{what}; none of them went in") from None


def _foreseen(session: Session, request: pps.CreatePipelineV2Request) -> str:
    """What the update will run, in a sentence; "" where that cannot be said, as in a transaction."""
    from trunkline.cli.commands.work.why import summary

    if session.context.transaction:
        return ""
    text, again = request.create_pipeline_request_json, request.reprocess
    with contextlib.suppress(TrunklineError):  # the update itself says what is wrong
        asked = own.ForecastRequest(create_pipeline_request_json=text, reprocess=again)
        return summary(session.client.datums.Forecast(asked)).replace(" would ", " will ")
    return ""


def _print(text: str, form: str) -> None:
    from trunkline.cli.show.raw import to_yaml

    spec = json.loads(text)
    click.echo(f"---\n{to_yaml(spec)}" if form == "yaml" else json.dumps(spec, indent=2, ensure_ascii=False))


@command()
@click.argument("pipeline", shell_complete=complete.pipelines)
@click.option("--editor", metavar="CMD", help="The editor; $VISUAL or $EDITOR if not given.")
@click.option("--reprocess", is_flag=True, help="Run every datum again, also those that were processed before.")
@click.option(
    "-o", "--output", type=click.Choice(["json", "yaml"]), default="json", help="How the spec is shown; json."
)
@project_option
@pass_session
def edit(
    session: Session, pipeline: str, editor: str | None, reprocess: bool, output: str, project: str | None
) -> None:
    """Change a pipeline's spec in an editor."""
    from trunkline.cli.show.raw import to_yaml

    place = places.pipeline(pipeline, session.project(project))
    request = pps.InspectPipelineRequest(pipeline=names.pipeline(place), details=True)
    info = session.client.pps.InspectPipeline(request)
    if not info.user_spec_json:
        raise FailedPrecondition(
            f"the server keeps no spec of {place}; change it with `pachctl update pipeline -f SPEC`"
        )
    before = json.loads(info.user_spec_json)
    text = to_yaml(before) + "\n" if output == "yaml" else json.dumps(before, indent=2, ensure_ascii=False) + "\n"
    after = click.edit(text, editor=editor, extension=f".{output}")
    if after is None or after == text:
        click.echo("Pipeline unchanged, no update will be performed.")
        return
    edited = specfile.load(session, after, "the edited spec", place.project)
    if len(edited) != 1:
        raise InvalidArgument(f"the edited text holds {len(edited)} specs; keep it to one")
    named = edited[0].get("pipeline", {})
    if named.get("name") != place.name or (named.get("project") or {}).get("name", place.project) != place.project:
        raise InvalidArgument("a pipeline's name and project cannot be changed; create another with `create pipeline`")
    named["project"] = {"name": place.project}
    _send(session, edited, update=True, reprocess=reprocess, dry_run=False, raw="")


@command()
@click.option("-f", "--file", "source", metavar="SPEC", help="A file of specs (JSON or YAML), a URL, or -.")
@project_option
@pass_session
def validate(session: Session, source: str | None, project: str | None) -> None:
    """Check specs without sending them; the exit status tells."""
    specfile.read_specs(session, source, project)


def single_spec(session: Session, source: str, project: str) -> pps.CreatePipelineRequest:
    """Name and input of the one spec in `source`. Raises InvalidArgument."""
    found = specfile.read_specs(session, source, project)
    if len(found) != 1:
        raise InvalidArgument(f"{source} holds {len(found)} specs; datums are listed for one")
    wanted: dict[str, Any] = {key: found[0][key] for key in ("pipeline", "input") if key in found[0]}
    return json_format.ParseDict(wanted, pps.CreatePipelineRequest())


@command()
def schema() -> None:
    """Print the JSON Schema of pipeline specs, for editors; the server has it at /schemas/pipeline.json."""
    from trunkline.model.specs.reference.jsonschema import shipped

    click.echo(shipped(), nl=False)
