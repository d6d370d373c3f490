"""What a chart is told: files, single settings, and the check that every one of them is known and of the right kind."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from trunkline.errors import InvalidArgument

Values = dict[str, Any]

_INTEGER = re.compile(r"0|-?[1-9][0-9]*\Z")
_STEP = re.compile(r"(?P<name>(?:\\.|[^.=\[\]\\])+)(?P<index>(?:\[[0-9]+\])*)")
_WORDS = {"true": True, "false": False, "null": None}
_KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_SECRET = re.compile(r"(secret|password|key|cred|token|url)\Z", re.IGNORECASE)
_MANY = 1 << 10
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built


def load(text: str) -> Any:
    """What a document of YAML says. Raises yaml.YAMLError."""
    return yaml.load(text, _LOADER)


def from_file(place: str, text: str) -> Values:
    """The values of a YAML file. Raises InvalidArgument."""
    try:
        found = load(text)
    except yaml.YAMLError as error:
        raise InvalidArgument(f"{place} is no YAML: {' '.join(str(error).split())}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidArgument(f"{place} has no values: at its top there has to be a map, as in values.yaml")
    return found


def settle(settings: Sequence[str], values: Values, *, texts: bool = False) -> None:
    """Write `a.b=c,d[0]=e` into the values, as Helm's --set does. texts: every value is one. Raises InvalidArgument."""
    for setting in settings:
        for one in _apart(setting):
            path, mark, text = one.partition("=")
            if not mark:
                raise InvalidArgument(f'--set "{one}" says no value; write NAME=VALUE, as in pachd.replicas=2')
            _put(values, _steps(path, one), _value(text, texts=texts))


def _apart(setting: str) -> Iterator[str]:
    """At commas that are neither escaped nor in braces."""
    at = depth = 0
    for number, sign in enumerate(setting):
        if number and setting[number - 1] == "\\":
            continue
        depth += (sign == "{") - (sign == "}")
        if sign == "," and not depth:
            yield setting[at:number]
            at = number + 1
    yield setting[at:]


def _steps(path: str, setting: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            break
        steps.append(re.sub(r"\\(.)", r"\1", found["name"]))
        steps += [int(one) for one in re.findall(r"[0-9]+", found["index"])]
        at = found.end() + 1
        if found.end() < len(path) and path[found.end()] != ".":
            break
    else:
        if steps and not path.endswith("."):
            return steps
    raise InvalidArgument(f'--set "{setting}" names no value; write NAME=VALUE, as in pachd.replicas=2')


def _value(text: str, *, texts: bool) -> Any:
    if text.startswith("{") and text.endswith("}"):
        return [_value(one, texts=texts) for one in _apart(text[1:-1])] if text != "{}" else []
    text = re.sub(r"\\(.)", r"\1", text)
    if texts:
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _INTEGER.fullmatch(text) else text


def _put(here: Any, steps: Sequence[str | int], value: Any) -> None:
    step, *rest = steps
    if isinstance(step, int):
        if step > _MANY:
            raise InvalidArgument(f"--set [{step}] is too far: a list has {_MANY} elements at most")
        here += [None] * (step + 1 - len(here))
        there = here[step]
    else:
        there = here.get(step)
    if not rest:
        here[step] = value
        return
    wanted = list if isinstance(rest[0], int) else dict
    if not isinstance(there, wanted):
        here[step] = there = wanted()
    _put(there, rest, value)


def over(defaults: Any, given: Any) -> Any:
    """Defaults with what was given over them: maps are joined, all else is replaced, null takes away."""
    if not isinstance(defaults, dict) or not isinstance(given, dict):
        return copy.deepcopy(given)
    both = copy.deepcopy(defaults)
    for name, value in given.items():
        if value is None:
            both.pop(name, None)
        else:
            both[name] = over(both.get(name), value)
    return both


def check(values: Values, schema: Mapping[str, Any]) -> None:
    """Raise InvalidArgument for the first value that is not known or not as the schema says."""
    for complaint in _complaints("", values, schema):
        raise InvalidArgument(complaint)


def _complaints(at: str, value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"the value {at} is {_told(at, value)}, and has to be of type {' or '.join(kinds)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        known = ", ".join(dict.fromkeys(str(one).lower() if one is True else str(one) for one in schema["enum"] if one))
        yield f"the value {at} is {_told(at, value)}, and has to be one of {known}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"the value {at} is {_told(at, value)}, and has to be {schema.get('title', schema.get('pattern'))}"
    if isinstance(value, int | float) and not isinstance(value, bool) and value < schema.get("minimum", value):
        yield f"the value {at} is {value}, and has to be at least {schema['minimum']}"
    if isinstance(value, int | float) and not isinstance(value, bool) and value > schema.get("maximum", value):
        yield f"the value {at} is {value}, and has to be at most {schema['maximum']}"
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from _complaints(f"{at}[{number}]", one, schema.get("items", {}))
    if isinstance(value, dict):
        yield from _of_map(at, value, schema)


def _of_map(at: str, value: Values, schema: Mapping[str, Any]) -> Iterator[str]:
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"the value {at} has no {name}"
    for name, one in value.items():
        here = f"{at}.{name}" if at else str(name)
        if name in known:
            yield from _complaints(here, one, known[name])
        elif isinstance(others, Mapping):
            yield from _complaints(here, one, others)
        elif not others:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"; did you mean {here.removesuffix(str(name))}{near[0]}?" if near else ""
            yield f"the value {here} is not known{hint or '; docs/chart.md lists all values'}"


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _told(at: str, value: Any) -> str:
    """A value in a sentence, unless it may be a key or a password."""
    if _SECRET.search(at):
        return "something else"
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def read(files: Sequence[Path], settings: Sequence[str], texts: Sequence[str]) -> Values:
    """What was given: files, the later over the earlier, then single settings. Raises InvalidArgument, OSError."""
    found: Values = {}
    for file in files:
        found = _joined(found, from_file(str(file), file.read_text()))
    settle(settings, found)
    settle(texts, found, texts=True)
    return found


def _joined(earlier: Any, later: Any) -> Any:
    """As `over`, but a null stays, for it is to take a default away."""
    if not isinstance(earlier, dict) or not isinstance(later, dict):
        return later
    return {**earlier, **{name: _joined(earlier.get(name), one) for name, one in later.items()}}
