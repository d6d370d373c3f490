"""Local images: folders of files and settings that user code runs in, without any container engine."""

from __future__ import annotations

from pathlib import Path

import click

from trunkline.cli.late import images, own
from trunkline.cli.options import command, full_timestamps_option, no_pager_option, raw_options
from trunkline.cli.pages import page, page_options
from trunkline.cli.session import Session, pass_session
from trunkline.cli.show import units
from trunkline.errors import InvalidArgument, NotFound

_HEADER = ("NAME", "DIGEST", "FILES", "SIZE", "CREATED")
_DIGEST_CHARACTERS = 12


@command()
@click.argument("name")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@click.option(
    "-e", "--env", metavar="NAME=VALUE", multiple=True, help="A variable of the environment; may be repeated."
)
@click.option("-w", "--working-dir", metavar="DIR", default="", help="Where the code starts.")
@click.option("-u", "--user", metavar="USER", default="", help="As whom the code runs.")
@click.option("--python", metavar="VERSION", default="", help="The Python for --requirements, such as 3.11.")
@click.option("--requirements", metavar="FILE", help="Python packages to install for the code.")
@pass_session
def create(
    session: Session, name: str, folder: str | None, env: tuple[str, ...], working_dir: str, user: str, python: str,
    requirements: str | None,
) -> None:  # fmt: skip
    """Register a folder as an image, and print its digest.

    What lies in FOLDER appears at / for code whose spec names this image. The same name again moves on to the new
    content; jobs record the digest.
    """
    spec = own.ImageSpec(
        name=name,
        env=_environment(env),
        working_dir=working_dir,
        user=user,
        python=python,
        requirements=_text(requirements) if requirements else "",
    )
    info = images.create_image(session.client, spec, folder, lambda what: session.note(f"skipped: {what}"))
    click.echo(info.digest)


@command()
@click.argument("name")
@raw_options
@full_timestamps_option
@pass_session
def inspect(session: Session, name: str, raw: str, full: bool) -> None:
    """Show an image in full, by name or digest."""
    info = session.client.images.InspectImage(own.InspectImageRequest(name=name))
    if raw:
        session.raw([info], raw)
        return
    spec = info.spec
    pairs = [
        ("Name", spec.name),
        ("Digest", info.digest),
        ("Created", session.when(full)(info.created)),
        ("Files", str(info.files)),
        ("Size", units.size(info.size_bytes)),
    ]
    optional = (
        ("Environment", ", ".join(f"{key}={value}" for key, value in sorted(spec.env.items()))),
        ("Working Directory", spec.working_dir),
        ("User", spec.user),
        ("Python", spec.python),
        ("Requirements", f"{spec.requirements}\n" if spec.requirements else ""),
    )
    session.details([*pairs, *(pair for pair in optional if pair[1])])


@command()
@page_options
@raw_options
@full_timestamps_option
@no_pager_option
@pass_session
def list_(session: Session, number: int | None, after: str | None, raw: str, full: bool, no_pager: bool) -> None:
    """List the local images."""
    found = session.client.images.ListImage(own.ListImageRequest())
    infos = page(found, number, after, lambda info: info.spec.name)
    if raw:
        session.raw(infos, raw)
        return
    when = session.when(full)
    rows = (
        (one.spec.name, one.digest[:_DIGEST_CHARACTERS], str(one.files), units.size(one.size_bytes), when(one.created))
        for one in infos
    )
    session.table(_HEADER, rows, pager=not no_pager)


@command()
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Forget an image's name; jobs that ran in it keep its content."""
    session.client.images.DeleteImage(own.DeleteImageRequest(name=name))


def _environment(pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidArgument(f'"{pair}" is no environment variable; write NAME=VALUE')
        found[name] = value
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"cannot read {path}: {error}") from error
