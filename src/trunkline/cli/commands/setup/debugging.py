"""What a server says about itself when something is wrong with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trunkline.cli.commands.work.logs import read_span
from trunkline.cli.late import Duration, debug, json_format, names
from trunkline.cli.options import command, project_option
from trunkline.cli.session import Session, pass_session
from trunkline.cli.show import units
from trunkline.errors import InvalidArgument
from trunkline.model.names import Pipeline

if TYPE_CHECKING:
    from trunkline.wire.gen import debug_v2_pb2

_LEVELS = ("debug", "info", "error", "off")


@command()
@click.argument("file", metavar="FILE")
@click.option("-t", "--template", metavar="FILE", help="What to take, as `pachctl debug template` prints it.")
@click.option("--pachd", is_flag=True, help="Only the server itself.")
@click.option("--database", is_flag=True, help="Only the sizes of its database.")
@click.option("-p", "--pipeline", metavar="NAME", help="Only a pipeline.")
@click.option(
    "-l", "--limit", metavar="N", type=click.IntRange(min=1), help="Jobs of a pipeline, and commits of a repo."
)
@project_option
@pass_session
def dump(
    session: Session,
    file: str,
    template: str | None,
    pachd: bool,
    database: bool,
    pipeline: str | None,
    limit: int | None,
    project: str | None,
) -> None:
    """Write what somebody needs who helps with this server to a new file, a compressed tar; `-`: to standard output.

    It holds versions and settings, the server's last log lines, where its threads are, the sizes of its database,
    specs, jobs and logs of pipelines, commits of repos. Values of environments, logins and parameters of URLs are left
    out, as are secrets and files. Code may have printed what it should not: look into it before you send it.
    """
    if template is None:
        only = debug.Filter(pachd=True) if pachd else debug.Filter(database=True) if database else debug.Filter()
        if pipeline:
            only.pipeline.CopyFrom(names.pipeline(Pipeline(session.project(project), pipeline)))
        request = debug.DumpRequest(filter=only, limit=limit or 0)
        pieces = (piece.value for piece in session.client_outside.debug.Dump(request))
    else:
        chunks = session.client_outside.debug.DumpV2(_template(template))
        pieces = (chunk.content.content for chunk in chunks if chunk.HasField("content"))
    _save(file, pieces)


def _template(file: str) -> debug_v2_pb2.DumpV2Request:
    import yaml

    try:
        given = yaml.safe_load(sys.stdin.read() if file == "-" else Path(file).read_text())
        return json_format.ParseDict(given or {}, debug.DumpV2Request())
    except OSError as error:
        raise InvalidArgument(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, json_format.ParseError, AttributeError) as error:
        raise InvalidArgument(f"{file} is no template of a dump: {' '.join(str(error).split())}") from error


@command()
@click.argument("sections", metavar="[SECTION]...", nargs=-1)
@pass_session
def template(session: Session, sections: tuple[str, ...]) -> None:
    """Print what a dump holds, as YAML, to leave out parts of it: version, database, describes, logs and so on."""
    from trunkline.cli.show.raw import to_yaml

    answer = session.client_outside.debug.GetDumpV2Template(debug.GetDumpV2TemplateRequest(filters=sections))
    click.echo(to_yaml(json_format.MessageToDict(answer.request, preserving_proto_field_name=True)))


@command()
@click.argument("profile", metavar="cpu|heap|goroutine")
@click.argument("file", metavar="FILE")
@click.option("-d", "--duration", metavar="SPAN", callback=read_span, help="How long `cpu` looks; 10s if not given.")
@pass_session
def profile(session: Session, profile: str, file: str, duration: int | None) -> None:
    """Write what the server does to a new file, as text; `-`: to standard output.

    cpu: where its threads were, as folded stacks, from which tools draw flame graphs; heap: of what kinds of objects
    there are most; goroutine: where each thread is.
    """
    asked = debug.Profile(name=profile)
    if duration is not None:
        asked.duration.CopyFrom(Duration(seconds=duration // 1_000_000, nanos=duration % 1_000_000 * 1000))
    answers = session.client_outside.debug.Profile(debug.ProfileRequest(profile=asked))
    _save(file, (piece.value for piece in answers))


@command()
@click.argument("file", metavar="FILE")
@pass_session
def binary(session: Session, file: str) -> None:
    """Write the program that the server runs to a new file, a compressed tar; `-`: to standard output.

    It holds its modules in Python, and names and versions of all packages that are installed beside it.
    """
    _save(file, (piece.value for piece in session.client_outside.debug.Binary(debug.BinaryRequest())))


@command()
@click.argument("level", metavar="debug|info|error|off", type=click.Choice(_LEVELS, case_sensitive=False))
@click.option(
    "-d", "--duration", metavar="SPAN", callback=read_span, default="5m", help="For how long; 5m if not given."
)
@pass_session
def log_level(session: Session, level: str, duration: int) -> None:
    """Have the server log more, or less, for a while."""
    request = debug.SetLogLevelRequest(
        pachyderm=debug.SetLogLevelRequest.LogLevel.Value(level.upper()),
        duration=Duration(seconds=duration // 1_000_000, nanos=duration % 1_000_000 * 1000),
    )
    answer = session.client_outside.debug.SetLogLevel(request)
    click.echo(f"{', '.join(answer.affected_pods)}: {level.lower()} for {units.span(duration)}")


def _save(file: str, pieces: Iterable[bytes]) -> None:
    if file == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    if path.exists():
        raise InvalidArgument(f"{path} is there already; name a new file")
    passing = path.with_name(f"{path.name}.part")
    try:
        with open(os.open(passing, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as target:
            for piece in pieces:
                target.write(piece)
        passing.replace(path)
    except OSError as error:
        passing.unlink(missing_ok=True)
        raise InvalidArgument(f"cannot write {path}: {error.strerror}") from error
    except BaseException:
        passing.unlink(missing_ok=True)
        raise
    click.echo(f"{path}: {units.size(path.stat().st_size)}")
