"""The functions of Go's templates, of Sprig and of Helm that our chart uses, with their names there."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from urllib.parse import quote_plus

import yaml

from trunkline.errors import InvalidArgument


def true(value: Any) -> bool:
    """What an `if` takes for true."""
    return bool(value)


def shown(value: Any) -> str:
    """A value as it is written into the text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def indented(spaces: int, text: str) -> str:
    """Each line further right."""
    return "\n".join(" " * spaces + line for line in text.split("\n"))


def as_yaml(value: Any) -> str:
    """A value as YAML without the last line's end."""
    return yaml.safe_dump(value, default_flow_style=False, sort_keys=True, allow_unicode=True, width=10_000).rstrip(
        "\n"
    )


def as_json(value: Any) -> str:
    """A value as Go writes it: without spaces, and so that it can stand in a page."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _fail(why: str) -> NoReturn:
    raise InvalidArgument(why)


def _required(why: str, value: Any) -> Any:
    return _fail(why) if value is None or value == "" else value


def _printf(form: str, *values: Any) -> str:
    pieces = form.split("%")
    written, left = pieces[0], list(values)
    for piece in pieces[1:]:
        value = left.pop(0)
        written += (json.dumps(value) if piece[:1] == "q" else shown(value)) + piece[1:]
    return written


def _at_least(wanted: str, version: str) -> bool:
    """semverCompare, for conditions that look like >=1.21-0."""
    if not wanted.startswith(">="):
        return _fail(f"the condition {wanted} is not known here")
    return _numbers(version) >= _numbers(wanted.removeprefix(">="))


def _numbers(version: str) -> tuple[int, int]:
    major, minor, *_ = version.lstrip("v").partition("-")[0].split(".")
    return int(major), int("".join(sign for sign in minor if sign.isdigit()))


def _number(value: Any) -> int:
    return int(float(value or 0))


_KINDS: Mapping[str, type] = {"map": Mapping, "slice": list, "string": str, "bool": bool}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "b64enc": lambda text: base64.b64encode(text.encode()).decode(),
    "contains": lambda part, text: part in text,
    "default": lambda otherwise, value=None: value if value else otherwise,
    "dict": lambda *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
    "eq": lambda one, *others: any(one == other for other in others),
    "fail": _fail,
    "fromYaml": yaml.safe_load,
    "ge": lambda one, other: one >= other,
    "get": lambda those, name: those.get(name, ""),
    "gt": lambda one, other: one > other,
    "has": lambda one, those: one in (those or ()),
    "hasPrefix": lambda prefix, text: text.startswith(prefix),
    "indent": indented,
    "index": lambda those, at: those[at],
    "int": _number,
    "join": lambda between, those: between.join(map(shown, those)),
    "kindIs": lambda kind, value: isinstance(value, _KINDS[kind]),
    "list": lambda *values: list(values),
    "mul": lambda *values: math.prod(map(_number, values)),
    "ne": lambda one, other: one != other,
    "nindent": lambda spaces, text: "\n" + indented(spaces, text),
    "not": lambda value: not true(value),
    "printf": _printf,
    "quote": lambda value: json.dumps(shown(value), ensure_ascii=False),
    "regexMatch": lambda pattern, text: re.search(pattern, text) is not None,
    "required": _required,
    "semverCompare": _at_least,
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "splitList": lambda between, text: text.split(between),
    "toJson": as_json,
    "toString": shown,
    "toYaml": as_yaml,
    "trim": lambda text: text.strip(),
    "trimPrefix": lambda prefix, text: text.removeprefix(prefix),
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
    "urlquery": lambda text: quote_plus(shown(text)),
}
