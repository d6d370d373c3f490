"""What a load test writes, as a person says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.specs.scalars import quantity_bytes

MOST_BYTES = 64 << 30
MOST_FILES = 1_000_000


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """commits are made one after another; each writes `files` files of min_bytes to max_bytes into one of `folders`
    folders, some of them over older ones, and removes `deletes` older ones."""

    commits: int = 5
    files: int = 50
    deletes: int = 5
    folders: int = 4
    min_bytes: int = 1
    max_bytes: int = 64 << 10

    def as_yaml(self) -> str:
        """As `read_load` reads it."""
        return "".join(f"{name}: {getattr(self, field)}\n" for name, field in _NAMES.items())


_NAMES = {
    "commits": "commits",
    "files": "files",
    "deletes": "deletes",
    "folders": "folders",
    "minBytes": "min_bytes",
    "maxBytes": "max_bytes",
}


def fields_of(text: str, known: Sequence[str], what: str) -> dict[str, Any]:
    """The fields of a YAML or JSON text. Raises InvalidArgument."""
    import yaml

    try:
        given = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidArgument(f"{what} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(given, Mapping):
        raise InvalidArgument(f"{what} consists of fields: {', '.join(known)}")
    for name in given:
        if name not in known:
            raise InvalidArgument(f'{what} has no field "{name}", only {", ".join(known)}')
    return dict(given)


def read_load(text: str) -> LoadSpec:
    """A spec, in YAML or JSON; what it does not say is usual. Raises InvalidArgument."""
    given = fields_of(text, list(_NAMES), "the spec of a load test")
    spec = LoadSpec(**{_NAMES[name]: _number(name, value) for name, value in given.items()})
    if spec.commits < 1 or spec.folders < 1:
        raise InvalidArgument("a load test has at least one of commits and folders")
    if spec.min_bytes > spec.max_bytes:
        raise InvalidArgument(f"minBytes, {spec.min_bytes}, is more than maxBytes, {spec.max_bytes}")
    if spec.commits * spec.files > MOST_FILES or spec.commits * spec.files * spec.max_bytes > MOST_BYTES:
        raise InvalidArgument(f"a load test writes at most {MOST_FILES} files and {MOST_BYTES >> 30} GiB")
    return spec


def _number(name: str, value: object) -> int:
    try:
        found = quantity_bytes(value) if isinstance(value, str) else value
    except (InvalidArgument, ValueError) as error:
        raise InvalidArgument(f"{name}: {error}") from None
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise InvalidArgument(f"{name} is a number that is not negative, not {value!r}")
    return found
