"""What lies at a URL, read as a stream that goes on where it broke off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from trunkline.ambient import Ambient
from trunkline.errors import Aborted, InvalidArgument, NotFound, Unavailable
from trunkline.storage.objects.places import SCHEMES, Place, is_place, open_place, store_errors, translated

TRIES = 6
"""How often in a row a read may break off without a byte gained."""
FIRST_PAUSE_S = 0.5
PIECE_BYTES = 4 << 20


class Remote(Protocol):
    """A file somewhere else."""

    @property
    def shown(self) -> str:
        """Its name in messages."""
        ...

    def open(self, offset: int, tag: str | None) -> tuple[int | None, str | None, Iterator[bytes]]:
        """Its whole size if that is known, its version, and its bytes from `offset` on.

        tag: the version that was read so far. Raises Aborted when it is another now, Unavailable (as the iterator may)
        when another try may do better, and what cannot be mended by one.
        """
        ...


class StoredObject:
    """An object of a store. Fills `Remote`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.shown = place.shown

    def open(self, offset: int, tag: str | None) -> tuple[int | None, str | None, Iterator[bytes]]:
        """See `Remote.open`."""
        import obstore
        from obstore.exceptions import PreconditionError

        options: dict[str, Any] = {"if_match": tag} if tag else {}
        if offset:
            options["range"] = {"offset": offset}
        try:
            answer = obstore.get(self._place.store, self._place.path, options=options)  # type: ignore[arg-type]
        except PreconditionError as error:
            raise Aborted(f"{self.shown} changed while it was being fetched; start again") from error
        except store_errors() as error:
            raise translated(error, self.shown, "read") from error
        return answer.meta["size"], answer.meta["e_tag"], self._pieces(answer)

    def _pieces(self, answer: Any) -> Iterator[bytes]:
        try:
            for piece in answer.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)
        except store_errors() as error:
            raise translated(error, self.shown, "read") from error


@dataclass(frozen=True, slots=True)
class Found:
    """An object below a place: its path from there, and its size."""

    place: Place
    path: str
    size_bytes: int


def fetch(url: str | Place, ambient: Ambient) -> Iterator[bytes]:
    """The bytes at a URL (http, https, or of an object store). Raises InvalidArgument for another, NotFound,
    PermissionDenied, Unavailable after several tries, Aborted when it changes meanwhile."""
    return resumed(_remote(url), ambient)


def _remote(url: str | Place) -> Remote:
    if isinstance(url, Place):
        return StoredObject(url)
    from trunkline.storage.objects import web  # what it stands on is large

    scheme = urlsplit(url).scheme.lower()
    if scheme in web.SCHEMES:
        return web.WebFile(url)
    if is_place(url):
        return StoredObject(open_place(url))
    raise InvalidArgument(
        f'"{url}" cannot be fetched: the server reads {", ".join((*web.SCHEMES, *SCHEMES))}; '
        "put files of this machine by their names"
    )


def resumed(remote: Remote, ambient: Ambient) -> Iterator[bytes]:
    """The bytes of a remote file. Where reading breaks off it goes on from there, with growing pauses."""
    offset, failures = 0, 0
    size: int | None = None
    tag: str | None = None
    while True:
        try:
            known, tag, pieces = remote.open(offset, tag)
            size = known if size is None else size
            for piece in pieces:
                offset += len(piece)
                failures = 0
                yield piece
            if size is None or offset >= size:
                return
            raise Unavailable(f"{remote.shown} ended after {offset} of {size} bytes")
        except Unavailable as error:
            failures += 1
            if failures == TRIES:
                raise Unavailable(f"{error} (tried {TRIES} times)") from error
            ambient.sleep(FIRST_PAUSE_S * 2 ** (failures - 1))


def listed(url: str) -> Iterator[Found]:
    """Every object below a URL of a store, by path. The object at the URL itself is listed, with the path "".

    What only marks a folder is left out. Raises NotFound where there is nothing.
    """
    from trunkline.storage.objects import web

    if urlsplit(url).scheme.lower() in web.SCHEMES:
        raise InvalidArgument(f"{url} cannot be listed: a web server does not say what it has; name each file")
    if not is_place(url):
        raise InvalidArgument(f'"{url}" cannot be listed: it begins with none of {", ".join(SCHEMES)}')
    top = open_place(url)
    nothing = True
    for one in _without_markers(_below(top)):
        nothing = False
        yield one
    if nothing:
        yield _itself(top)


def _below(top: Place) -> Iterator[Found]:
    import obstore

    prefix = f"{top.path}/" if top.path else ""
    try:
        for page in obstore.list(top.store, prefix=top.path or None):
            for meta in page:
                path = meta["path"].removeprefix(prefix)
                yield Found(top.below(path), path, meta["size"])
    except store_errors() as error:
        raise translated(error, top.shown, "list") from error


def _without_markers(found: Iterator[Found]) -> Iterator[Found]:
    waiting: Found | None = None
    for one in found:
        if waiting is not None and not (waiting.size_bytes == 0 and one.path.startswith(f"{waiting.path}/")):
            yield waiting
        waiting = one
    if waiting is not None:
        yield waiting


def _itself(top: Place) -> Found:
    import obstore

    if not top.path:
        raise NotFound(f"nothing lies in {top.shown}")
    try:
        return Found(top, "", obstore.head(top.store, top.path)["size"])
    except FileNotFoundError as error:
        raise NotFound(f"nothing lies at {top.shown} or below it") from error
    except store_errors() as error:
        raise translated(error, top.shown, "read") from error
