"""Backups: a server's whole content into a file, and back from one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.client.connection import Client
from trunkline.errors import InvalidArgument, TrunklineError, Unavailable
from trunkline.model import backups as form
from trunkline.wire.gen import trunkline_pb2 as own

NAMES = 1000
"""Names of blobs in one message."""

ANEW_S = 60.0
LOOK_EVERY_S = 0.1

URLS = (
    "s3://",
    "s3a://",
    "gs://",
    "gcs://",
    "az://",
    "azure://",
    "as://",
    "abfs://",
    "abfss://",
    "wasb://",
    "wasbs://",
)


def is_url(place: str) -> bool:
    """Whether this names an object store, and not a file of this machine."""
    return place.lower().startswith(URLS)


def save(
    client: Client,
    target: str,
    since: str,
    *,
    with_keys: bool,
    begun: Callable[[own.BackupFigures], Callable[[int], None]],
) -> own.BackupFigures:
    """Write a backup to a file, or have the server write it to a URL. since: an earlier one, likewise; "": none.

    begun: told how much comes; what it gives is told each further count of bytes. The file appears when it is whole.
    """
    if is_url(target):
        start = own.BackupStart(url=target, with_keys=with_keys)
        answers = client.backups.Backup(_asked(start, since))
        return next(iter(answers)).figures
    path = Path(target)
    if path.exists():
        raise InvalidArgument(f"{path} is there already; name a new file for each backup")
    answers = client.backups.Backup(_asked(own.BackupStart(with_keys=with_keys), since))
    figures: own.BackupFigures | None = None
    told: Callable[[int], None] = _nobody
    passing = path.with_name(f"{path.name}.part")
    try:
        with open(os.open(passing, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            for piece in answers:
                if figures is None:
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
    return figures or own.BackupFigures()


def _nobody(_count: int) -> None:
    pass


def _asked(start: own.BackupStart, since: str) -> Iterator[own.BackupRequest]:
    if not since:
        return iter([own.BackupRequest(start=start)])
    if is_url(since):
        start.since_url = since
        return iter([own.BackupRequest(start=start)])
    known = _known(since)
    start.since = next(known)
    return _with_names(start, known)


def _with_names(start: own.BackupStart, known: Iterator[str]) -> Iterator[own.BackupRequest]:
    yield own.BackupRequest(start=start)
    while names := list(islice(known, NAMES)):
        yield own.BackupRequest(known=own.BlobNames(names=names))


def _known(earlier: str) -> Iterator[str]:
    """The id of a backup, then the names of all blobs that it has or lists."""
    try:
        with Path(earlier).open("rb") as file:
            for kind, name, data in form.listing(form.FORM, file):
                if kind == form.ABOUT:
                    yield form.About.from_bytes(data).id
                elif kind in (form.BLOB, form.LISTED):
                    yield name
    except OSError as error:
        raise InvalidArgument(f"cannot read {earlier}: {error.strerror}") from error


def put_back(client: Client, backups: Iterable[str], told: Callable[[int], None]) -> own.RestoreResponse:
    """Restore the first of these into an empty server; the others have what it only lists. Files or URLs.

    Raises what the server refuses, InvalidArgument for a file that cannot be read.
    """
    broken: list[Exception] = []
    try:
        return client.backups.Restore(_guarded(_sent(backups, told), broken))
    except TrunklineError:
        if broken:
            raise broken[0] from None
        raise


def _guarded(messages: Iterator[own.RestoreRequest], broken: list[Exception]) -> Iterator[own.RestoreRequest]:
    try:
        yield from messages
    except Exception as error:  # gRPC keeps it to itself
        broken.append(error)
        raise


def _sent(backups: Iterable[str], told: Callable[[int], None]) -> Iterator[own.RestoreRequest]:
    for place in backups:
        if is_url(place):
            yield own.RestoreRequest(url=place)
            continue
        try:
            with Path(place).open("rb") as file:
                while data := file.read(form.PIECE_BYTES):
                    yield own.RestoreRequest(data=data)
                    told(len(data))
        except OSError as error:
            raise InvalidArgument(f"cannot read {place}: {error.strerror}") from error
        yield own.RestoreRequest(next=True)


def wait_anew(client: Client, ambient: Ambient) -> None:
    """Wait until a server that starts anew answers again. Raises Unavailable when it does not within a minute."""
    from trunkline.wire.gen import admin_v2_pb2 as admin

    gone = False
    for _ in range(int(ANEW_S / LOOK_EVERY_S)):
        ambient.sleep(LOOK_EVERY_S)
        try:
            client.admin.InspectCluster(admin.InspectClusterRequest())
        except Unavailable:
            gone = True  # until then it is the one that is about to end
            continue
        if gone:
            return
    raise Unavailable("the backup is restored, but the server does not answer yet; look at its log")
