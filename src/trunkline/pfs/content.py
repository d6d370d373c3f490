"""The bytes of files: one file, many as they are needed, and what two commits have that differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from trunkline.errors import Aborted, BlobGone, InvalidArgument, NotFound
from trunkline.model import paths
from trunkline.model.globs import Glob
from trunkline.model.infos import FileInfo
from trunkline.pfs.files import Files
from trunkline.pfs.reads import Source, info_of, missing
from trunkline.storage import Content, Entry, changes, entries


@dataclass(frozen=True, slots=True)
class Bounds:
    """Paths from `lower` to before `upper`; "" is no bound."""

    lower: str = ""
    upper: str = ""

    def hold(self, path: str) -> bool:
        """Whether a path lies inside."""
        return self.lower <= path and (not self.upper or path < self.upper)


EVERYWHERE = Bounds()


def get_file(
    files: Files, source: Source, path: str, *, offset: int = 0, bounds: Bounds = EVERYWHERE
) -> Iterator[bytes | memoryview]:
    """The bytes of one file, from `offset` on. A path that exists is meant literally, else it is read as a glob.

    bounds: where the file has to lie, which may leave one of several that a glob matches. Nothing is yielded before the
    path is known to be good. Raises NotFound, and InvalidArgument for a directory, for a glob that matches several
    files, and for an offset beyond the end.
    """
    if offset < 0:
        raise InvalidArgument(f"offset must be 0 or more, not {offset}")
    content = source.view.file(_one_file(source, path, bounds))
    if content is None:
        raise missing(source, path)
    if offset > content.size_bytes:
        raise InvalidArgument(f"offset {offset} lies beyond the {content.size_bytes} bytes of {content.path}")
    return guarded(files, source, content, offset)


def _one_file(source: Source, path: str, bounds: Bounds) -> str:
    entry = _literal(source, path)
    if entry is None or not bounds.hold(entry.path):
        pages = source.view.glob(Glob(path), bounds.lower or None, bounds.upper or None, limit=2)
        found = list(islice(entries(pages), 2))
        if not found:
            raise missing(source, path)
        if len(found) > 1:
            shown = " and ".join(one.path for one in found)
            raise InvalidArgument(f"{path} matched multiple files of {source.commit}: {shown}; name one")
        entry = found[0]
    if entry.is_dir:
        raise InvalidArgument(f"{entry.path} is a directory in {source.commit}; get it with -r (--recursive)")
    return entry.path


def _literal(source: Source, path: str) -> Entry | None:
    try:
        return source.view.find(paths.clean(path))
    except InvalidArgument:
        return None  # no path, but it may be a glob


def guarded(files: Files, source: Source, content: Content, offset: int = 0) -> Iterator[bytes | memoryview]:
    """The bytes, and a plain word if they are gone because somebody deleted what was being read."""
    try:
        for piece in content.read(offset):
            source.reading.touch()
            yield piece
    except BlobGone as error:
        kept = files.catalog.read(lambda tx: files.still_held(tx, source.filesets))
        if kept:
            raise
        raise Aborted(f"{content.path} of {source.commit} was deleted while it was being read") from error


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a tree that is read whole: a directory, or a file with its bytes, to be read before the next."""

    info: FileInfo
    content: Content | None


def get_tree(source: Source, path: str, bounds: Bounds = EVERYWHERE) -> Iterator[Member]:
    """Every file and directory that a path or glob means, with all below it, in path order. Raises NotFound.

    bounds: only what lies inside; nothing outside is looked at, so that ranges of one tree cost what one reading does.
    """
    entry = _literal(source, path)
    roots = [entry] if entry is not None else list(entries(source.view.glob(Glob(path))))
    if not roots and path.strip("/"):
        raise NotFound(f"nothing matches {path} in {source.commit}")
    last = ""
    for root in roots:
        if last and root.path.startswith(last):
            continue  # inside a directory that was given whole
        if root.is_dir:
            last = root.path
        if root.is_dir or bounds.hold(root.path):
            yield from _below(source, root, bounds)


def _below(source: Source, root: Entry, bounds: Bounds) -> Iterator[Member]:
    lower, upper = bounds.lower, bounds.upper
    contents = source.view.contents(root.path, lower, upper)
    waiting = next(contents, None)
    seen = ""
    for entry in entries(source.view.walk(root.path, lower=lower or None, upper=upper or None)):
        info = info_of(source, entry)
        if entry.is_dir:
            yield Member(info, None)
            continue
        while waiting is not None and waiting.path == seen:
            waiting = next(contents, None)  # further datums of a path that two wrote
        if waiting is None or waiting.path != entry.path:
            raise Aborted(f"{source.commit} changed while it was being read")
        yield Member(info, waiting)
        seen = entry.path


def diff_file(
    new: Source, new_path: str, old: Source | None, old_path: str, *, shallow: bool = False
) -> Iterator[tuple[FileInfo | None, FileInfo | None]]:
    """Files and directories that differ, as (new, old) pairs in path order; None where one side has nothing.

    Two directories of different paths are compared by what lies where in them. shallow: do not look into directories
    that differ. old None: everything is new.
    """
    path = paths.clean(new_path)
    if old is None:
        found = new.view.find(path)
        below = new.view.list if shallow and found and found.is_dir else new.view.walk
        for entry in entries(below(path)) if found else ():
            yield info_of(new, entry), None
        return
    if paths.clean(old_path) != path:
        yield from _moved(new, path, old, paths.clean(old_path), shallow)
        return
    for change in changes(new.view.diff(old.view, path, shallow)):
        there = info_of(new, change.new) if change.new is not None else None
        before = info_of(old, change.old) if change.old is not None else None
        yield there, before


def _moved(
    new: Source, new_path: str, old: Source, old_path: str, shallow: bool
) -> Iterator[tuple[FileInfo | None, FileInfo | None]]:
    """What differs between two paths, by the names below them; a file and a directory have nothing in common."""
    ours, theirs = _named(new, new_path, shallow), _named(old, old_path, shallow)
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if one is not None and (other is None or one[0] < other[0]):
            yield info_of(new, one[1]), None
            one = next(ours, None)
        elif other is not None and (one is None or other[0] < one[0]):
            yield None, info_of(old, other[1])
            other = next(theirs, None)
        elif one is not None and other is not None:
            if one[1].hash != other[1].hash:
                yield info_of(new, one[1]), info_of(old, other[1])
            one, other = next(ours, None), next(theirs, None)


def _named(source: Source, path: str, shallow: bool) -> Iterator[tuple[str, Entry]]:
    """What lies at and below a path with its name there, ascending: "" is the file itself, "/" the directory."""
    found = source.view.find(path)
    if found is None:
        return
    if not found.is_dir:
        yield "", found
        return
    stem = len(found.path) - 1
    for entry in entries(source.view.list(path) if shallow else source.view.walk(path)):
        yield entry.path[stem:], entry
