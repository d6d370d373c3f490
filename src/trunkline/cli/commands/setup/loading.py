"""Load tests: the server writes what a seed draws, and looks whether it is there."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from trunkline.cli.late import debug, json_format, names, pps
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model.addresses import parse_branch


@command()
@click.argument("spec", metavar="[FILE]", required=False)
@click.option("-b", "--branch", metavar="REPO@BRANCH", help="Where to write; a repo of its own if not given.")
@click.option("-s", "--seed", metavar="N", type=int, default=0, help="What to draw from; another one each time.")
@click.option("--state-id", metavar="ID", default="", help="The commit of an earlier test, from which to go on.")
@project_option
@pass_session
def files(
    session: Session, spec: str | None, branch: str | None, seed: int, state_id: str, project: str | None
) -> None:
    """Write files as a spec says, read them back and compare them; prints what was done, as YAML.

    The spec, in YAML, may say commits, files, deletes, folders, minBytes and maxBytes. What was written stays.
    """
    request = debug.RunPFSLoadTestRequest(spec=_text(spec), seed=seed, state_id=state_id)
    if branch:
        request.branch.CopyFrom(names.branch(parse_branch(branch, session.project(project))))
    answer = session.client_outside.debug.RunPFSLoadTest(request)
    _show(answer)


@command()
@click.argument("spec", metavar="[FILE]", required=False)
@click.option("-d", "--dag", metavar="FILE", help="The pipelines: name, inputs and glob of each; two if not given.")
@click.option("-s", "--seed", metavar="N", type=int, default=0, help="What to draw from; another one each time.")
@click.option("-p", "--parallelism", metavar="N", type=click.IntRange(min=0), default=0, help="Workers of a pipeline.")
@click.option("--pod-patch", metavar="FILE", help="A pod patch for each pipeline.")
@click.option("--state-id", metavar="ID", default="", help="Not for tests of pipelines: each makes its own.")
@pass_session
def pipelines(
    session: Session,
    spec: str | None,
    dag: str | None,
    seed: int,
    parallelism: int,
    pod_patch: str | None,
    state_id: str,
) -> None:
    """Write files as a spec says into a repo that pipelines read, and compare what they make of it.

    The pipelines copy what they read. They and their repos stay.
    """
    request = pps.RunLoadTestRequest(
        load_spec=_text(spec),
        dag_spec=_text(dag),
        seed=seed,
        parallelism=parallelism,
        pod_patch=_text(pod_patch),
        state_id=state_id,
    )
    answer = session.client_outside.pps.RunLoadTest(request)
    _show(answer)


def _text(file: str | None) -> str:
    if file is None:
        return ""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        raise InvalidArgument(f"cannot read {file}: {error.strerror}") from error


def _show(answer: debug.RunPFSLoadTestResponse | pps.RunLoadTestResponse) -> None:
    import yaml

    from trunkline.cli.show.raw import to_yaml

    shown = json_format.MessageToDict(answer, preserving_proto_field_name=True)
    if "spec" in shown:
        shown["spec"] = yaml.safe_load(shown["spec"])
    click.echo(to_yaml(shown))
    if answer.error:
        raise FailedPrecondition(f"the load test found something wrong: {answer.error}")
