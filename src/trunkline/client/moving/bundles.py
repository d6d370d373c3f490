"""Bundles: one repo with its history in a file, and back from one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from trunkline.client.connection import Client
from trunkline.errors import InvalidArgument, TrunklineError
from trunkline.model.backups import bundles as form
from trunkline.model.backups.records import ABOUT, PIECE_BYTES, listing
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

NAMES = 1000
"""Names of chunks in one message."""

Told = Callable[[int], None]


def export(
    client: Client, repo: pfs.Repo, path: Path, since: str, begun: Callable[[own.ExportFigures], Told]
) -> own.ExportFigures:
    """Write a repo to a new file, which appears when it is whole. since: an earlier bundle's file; "": none.

    begun: told how much comes; what it gives is told each further count of bytes. Raises InvalidArgument for files that
    cannot be read or written, and what the server refuses.
    """
    if path.exists():
        raise InvalidArgument(f"{path} is there already; name a new file for each bundle")
    pieces = client.moving.ExportRepo(_asked(repo, since))
    figures = own.ExportFigures()
    told: Told = _nobody
    passing = path.with_name(f"{path.name}.part")
    try:
        with open(os.open(passing, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            for piece in pieces:
                if piece.HasField("figures"):
                    figures = piece.figures
                    told = begun(figures)
                told(file.write(piece.data))
            file.flush()
            os.fsync(file.fileno())
        passing.replace(path)
    except OSError as error:
        passing.unlink(missing_ok=True)
        raise InvalidArgument(f"cannot write {path}: {error.strerror}") from error
    except BaseException:
        passing.unlink(missing_ok=True)
        raise
    return figures


def _nobody(_count: int) -> None:
    pass


def _asked(repo: pfs.Repo, since: str) -> Iterator[own.ExportRepoRequest]:
    if not since:
        return iter([own.ExportRepoRequest(start=own.ExportStart(repo=repo))])
    known = _known(since)
    start = own.ExportRepoRequest(start=own.ExportStart(repo=repo, since=next(known)))
    return _with_names(start, known)


def _with_names(start: own.ExportRepoRequest, known: Iterator[str]) -> Iterator[own.ExportRepoRequest]:
    yield start
    while names := list(islice(known, NAMES)):
        yield own.ExportRepoRequest(known=own.BlobNames(names=names))


def _known(earlier: str) -> Iterator[str]:
    """The id of a bundle, then the names of all chunks that it has or lists."""
    try:
        with Path(earlier).open("rb") as file:
            for kind, name, data in listing(form.FORM, file):
                if kind == ABOUT:
                    yield form.About.from_bytes(data).id
                elif kind in (form.CHUNK, form.LISTED):
                    yield name
    except OSError as error:
        raise InvalidArgument(f"cannot read {earlier}: {error.strerror}") from error


def import_files(client: Client, repo: pfs.Repo, bundles: Sequence[str], told: Told) -> own.ImportRepoResponse:
    """Make a repo of the first of these files; the others have what it only lists. An empty name, or project: as in the
    bundle. Raises what the server refuses, InvalidArgument for a file that cannot be read."""
    broken: list[Exception] = []
    try:
        return client.moving.ImportRepo(_guarded(_sent(repo, bundles, told), broken))
    except TrunklineError:
        if broken:
            raise broken[0] from None
        raise


def _guarded(messages: Iterator[own.ImportRepoRequest], broken: list[Exception]) -> Iterator[own.ImportRepoRequest]:
    try:
        yield from messages
    except Exception as error:  # gRPC keeps it to itself
        broken.append(error)
        raise


def _sent(repo: pfs.Repo, bundles: Sequence[str], told: Told) -> Iterator[own.ImportRepoRequest]:
    yield own.ImportRepoRequest(start=own.ImportStart(repo=repo, earlier=len(bundles) - 1))
    for number, place in enumerate(reversed(bundles)):  # what is needed comes before who needs it
        if number:
            yield own.ImportRepoRequest(next=True)
        try:
            with Path(place).open("rb") as file:
                while data := file.read(PIECE_BYTES):
                    yield own.ImportRepoRequest(data=data)
                    told(len(data))
        except OSError as error:
            raise InvalidArgument(f"cannot read {place}: {error.strerror}") from error
