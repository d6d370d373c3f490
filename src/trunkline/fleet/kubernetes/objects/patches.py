"""RFC 6902: a JSON patch, which a spec's pod_patch is."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from trunkline.errors import InvalidArgument

_INDEX = re.compile(r"0|[1-9][0-9]*\Z")
_WITH_VALUE = ("add", "replace", "test")
_WITH_FROM = ("move", "copy")


def patched(document: Any, patch: Sequence[Any]) -> Any:
    """A copy of `document` with all operations done. Raises InvalidArgument, which names the operation."""
    whole = [copy.deepcopy(document)]
    for number, one in enumerate(patch):
        try:
            _do(whole, one)
        except _Bad as error:
            raise InvalidArgument(f"operation {number} of the patch cannot be done: {error}") from None
    return whole[0]


class _Bad(Exception):
    """What is wrong with an operation."""


def _do(whole: list[Any], one: Any) -> None:
    if not isinstance(one, Mapping):
        raise _Bad("it is no object")
    kind, path = one.get("op"), one.get("path")
    if not isinstance(path, str):
        raise _Bad('it has no "path"')
    if kind in _WITH_VALUE and "value" not in one:
        raise _Bad(f'"{kind}" needs a "value"')
    if kind in _WITH_FROM and not isinstance(one.get("from"), str):
        raise _Bad(f'"{kind}" needs a "from"')
    if kind == "add":
        _add(whole, path, copy.deepcopy(one["value"]))
    elif kind == "remove":
        _take(whole, path)
    elif kind == "replace":
        holder, key = _find(whole, path)
        holder[key] = copy.deepcopy(one["value"])
    elif kind == "move":
        if path.startswith(one["from"] + "/"):
            raise _Bad("nothing can be moved into itself")
        _add(whole, path, _take(whole, one["from"]))
    elif kind == "copy":
        holder, key = _find(whole, one["from"])
        _add(whole, path, copy.deepcopy(holder[key]))
    elif kind == "test":
        holder, key = _find(whole, path)
        if not _same(holder[key], one["value"]):
            raise _Bad(f"{path} is not as the test says")
    else:
        raise _Bad('"op" is none of add, remove, replace, move, copy and test')


def _take(whole: list[Any], path: str) -> Any:
    holder, key = _find(whole, path)
    if not path:
        raise _Bad("the whole document cannot be removed")
    return holder.pop(key)


def _add(whole: list[Any], path: str, value: Any) -> None:
    if not path:
        whole[0] = value
        return
    holder, last = _holder(whole, path)
    if isinstance(holder, list):
        holder.insert(len(holder) if last == "-" else _index(holder, last, path, len(holder)), value)
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        raise _Bad(f"{path} lies in a single value")


def _find(whole: list[Any], path: str) -> tuple[Any, Any]:
    """What holds the value at `path`, and the key or index under which."""
    if not path:
        return whole, 0
    holder, last = _holder(whole, path)
    return holder, _key(holder, last, path)


def _holder(whole: list[Any], path: str) -> tuple[Any, str]:
    if not path.startswith("/"):
        raise _Bad(f'the path "{path}" does not begin with a slash')
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    holder = whole[0]
    for part in way:
        holder = holder[_key(holder, part, path)]
    return holder, last


def _key(holder: Any, part: str, path: str) -> Any:
    if isinstance(holder, list):
        return _index(holder, part, path, len(holder) - 1)
    if not isinstance(holder, dict) or part not in holder:
        raise _Bad(f"{path} does not exist")
    return part


def _index(holder: Sequence[Any], part: str, path: str, most: int) -> int:
    if not _INDEX.fullmatch(part) or int(part) > most:
        raise _Bad(f"{path} does not exist: there are {len(holder)} elements")
    return int(part)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
