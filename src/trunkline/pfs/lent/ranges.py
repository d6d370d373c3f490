"""Parts of a lent file set: ranges of paths that cut it into work, and the files that filters let through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import InvalidArgument
from trunkline.model.names import DEFAULT_PROJECT, LENT_REPO, Repo
from trunkline.pfs import reads
from trunkline.pfs.files import Files
from trunkline.storage import Content, View, shards

SHARD_FILES = 1_000_000
SHARD_BYTES = 1_000_000_000
"""What a range holds at most where the client does not say."""
WITHOUT_BOUND = 1 << 61
"""More than there is, and still few enough to be added to."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Paths from `lower` to before `upper`, "" being no bound, in which the RE2 expression `regex` is found."""

    lower: str = ""
    upper: str = ""
    regex: str = ""


def shards_of(files: Files, lease: str, number: int = 0, size_bytes: int = 0) -> list[tuple[str, str]]:
    """Ranges that cover a file set, each with about `number` files or `size_bytes`; 0: the usual. Raises NotFound."""
    if number < 0 or size_bytes < 0:
        raise InvalidArgument(f"a shard has 1 file or byte at least, not {min(number, size_bytes)}; 0 is the usual")
    most = min(number or SHARD_FILES, WITHOUT_BOUND), min(size_bytes or SHARD_BYTES, WITHOUT_BOUND)
    return shards(_view(files, lease), *most)


def filtered(files: Files, lease: str, filters: Sequence[Filter]) -> Iterator[Content]:
    """The files of a file set that every filter lets through, in path order; read each when it comes.

    Raises NotFound, InvalidArgument for an expression that cannot be read.
    """
    lower = max((one.lower for one in filters), default="")
    uppers = [one.upper for one in filters if one.upper]
    expressions = [_checked(one.regex) for one in filters if one.regex]
    return _contents(files, _view(files, lease), lower, min(uppers, default=""), expressions)


def _contents(files: Files, view: View, lower: str, upper: str, expressions: Sequence[str]) -> Iterator[Content]:
    for rows in view.rows("/", lower, upper):
        masks = [pc.match_substring_regex(rows.column("path"), one) for one in expressions]
        yield from files.store.contents(rows.filter(reduce(pc.and_, masks)) if masks else rows)


def _checked(expression: str) -> str:
    try:
        pc.match_substring_regex(pa.array([""]), expression)
    except pa.ArrowInvalid as error:
        raise InvalidArgument(f'path_regex "{expression}" cannot be read: {error}') from error
    return expression


def _view(files: Files, lease: str) -> View:
    return reads.need_source(files, Repo(DEFAULT_PROJECT, LENT_REPO), lease).view
