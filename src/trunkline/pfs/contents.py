"""The bytes of files: of the one file that a pattern means, or of everything that it matches."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.errors import InvalidArgument, NotFound
from trunkline.model import paths
from trunkline.model.globs import Glob
from trunkline.pfs.reads import Source, glob_file
from trunkline.storage import Content


def one_content(source: Source, pattern: str) -> Content:
    """The only file that matches. Raises NotFound for none, InvalidArgument for several or for a directory."""
    glob = Glob(pattern)
    path = glob.literal
    if path is None:
        matches = glob_file(source, pattern)
        found = next(matches, None)
        if found is None:
            raise NotFound(f'no file of {source.commit} matches "{pattern}"')
        second = next(matches, None)
        if second is not None:
            raise InvalidArgument(
                f'"{pattern}" matched multiple files of {source.commit} ({found.path}, {second.path}, …); '
                "name one, or use `pachctl get file -r` for all"
            )
        path = found.path
    content = source.view.file(path) if path != paths.ROOT else None
    if content is not None:
        return content
    if source.view.find(path) is not None:
        raise InvalidArgument(f"{path} of {source.commit} is a directory; use `pachctl get file -r` for all in it")
    raise NotFound(f"file {path} not found in {source.commit}")


def read_content(source: Source, pattern: str, offset: int = 0) -> Iterator[memoryview]:
    """The bytes, from `offset` on, of the only file that matches; none past its end."""
    if offset < 0:
        raise InvalidArgument(f"offset {offset} is negative")
    return one_content(source, pattern).read(offset)


def all_contents(source: Source, pattern: str, *, lower: str = "", upper: str = "") -> Iterator[Content]:
    """Every file that matches or lies in a directory that does, in path order; read each before the next one.

    lower, upper: only paths from one (inclusive) to the other (exclusive); "" is no bound. Raises NotFound if nothing
    matches, except for the root of an empty commit.
    """
    glob = Glob(pattern)
    found = False
    for content in _matching(source, glob):
        found = True
        if upper and content.path >= upper:
            break
        if content.path >= lower:
            yield content
    if not found and glob.literal != paths.ROOT:
        raise NotFound(f'no file of {source.commit} matches "{pattern}"')


def _matching(source: Source, glob: Glob) -> Iterator[Content]:
    if glob.literal is not None:
        yield from source.view.contents(glob.literal)
        return
    within = ""
    for info in glob_file(source, glob.pattern):
        if within and info.path.startswith(within):
            continue  # has come with the directory around it
        within = info.path if info.is_dir else ""
        yield from source.view.contents(info.path)
