"""Requests that were right, with one thing or a few of them changed: field by field, also inside of specs in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from trunkline.testing.fuzzing.messages import GLOBS, NANOS, REAL, SECONDS, TEXTS, TIMES, WHOLE, Pool, span
from trunkline.testing.fuzzing.valid import Luck

JSON: Sequence[Any] = (
    None, True, 0, -1, 1 << 70, 1e400, "", "x", "/", "$1", "-1s", "1e99", [], {}, [None], {"": ""}, {"a": {}}, [[]],
    "a" * 20_000, {"pfs": {}}, {"cron": {"spec": "* * * * *"}}, [{"pfs": {"repo": "one", "glob": "/"}}], "one", "two",
)  # fmt: skip
"""What is put into a spec."""

QUOTE, NUL = '"', "\0"

NAMES = ("pipeline", "input", "transform", "pfs", "name", "glob", "repo", "join_on", "s3", "trigger", "egress", "spout")
"""Fields that are put where they need not belong."""


def mutate(requests: Sequence[Message], pool: Pool, luck: Luck) -> list[Message]:
    """The same requests, or with a few things changed in them, left out or sent twice."""
    found = list(requests)
    for _ in range(luck.choice([0, 1, 1, 1, 2, 4])):
        at = luck.randrange(len(found)) if found else 0
        if len(found) > 1 and luck.random() < 0.2:
            found.insert(luck.randrange(len(found)), found.pop(at)) if luck.random() < 0.5 else found.pop(at)
        elif found:
            change(luck.choice(list(messages(found[at]))), pool, luck)
    return found


def messages(top: Message) -> Iterator[Message]:
    """A message and all messages in it."""
    yield top
    for each, value in top.ListFields():
        if each.message_type is None or each.message_type.GetOptions().map_entry:
            continue
        for one in value if each.is_repeated else [value]:
            yield from messages(one)


def change(target: Message, pool: Pool, luck: Luck) -> None:
    """Change one field: more often one that is set."""
    every, there = list(target.DESCRIPTOR.fields), [each for each, _ in target.ListFields()]
    if not every:
        return
    each = luck.choice(there) if there and luck.random() < 0.7 else luck.choice(every)
    if luck.random() < 0.15:
        target.ClearField(each.name)
    elif each.message_type is not None and each.message_type.GetOptions().map_entry:
        _change_map(getattr(target, each.name), each.message_type.fields_by_name["value"], luck)
    elif each.is_repeated:
        _change_many(getattr(target, each.name), each, pool, luck)
    elif each.message_type is not None:
        getattr(target, each.name).SetInParent()
        if each.message_type.full_name in TIMES:
            inner = getattr(target, each.name)
            inner.seconds, inner.nanos = luck.choice(SECONDS), luck.choice(NANOS)
    elif each.name.endswith("_json"):
        setattr(target, each.name, spoiled(getattr(target, each.name), luck))
    else:
        setattr(target, each.name, _scalar(each, pool, luck))


def _change_map(found: Any, value: FieldDescriptor, luck: Luck) -> None:
    key = luck.choice([*found, *TEXTS])
    if value.type == FieldDescriptor.TYPE_STRING:
        found[key] = luck.choice(TEXTS)
    elif found:
        found.pop(luck.choice(list(found)))


def _change_many(found: Any, each: FieldDescriptor, pool: Pool, luck: Luck) -> None:
    if found and luck.random() < 0.4:
        found.pop(luck.randrange(len(found)))
    elif each.message_type is None:
        found.extend([_scalar(each, pool, luck)] * luck.choice([1, 1, 2]))
    elif found:
        found.add().CopyFrom(luck.choice(list(found)))
    else:
        found.add()


def _scalar(each: FieldDescriptor, pool: Pool, luck: Luck) -> Any:
    if each.type == FieldDescriptor.TYPE_STRING:
        kind = pool.kind(each.containing_type, each.name) if each.containing_type is not None else ""
        known = pool.things.get(kind, [])
        return luck.choice(known) if known and luck.random() < 0.4 else luck.choice([*TEXTS, *GLOBS])
    if each.type == FieldDescriptor.TYPE_BYTES:
        return luck.randbytes(luck.choice([0, 1, 40]))
    if each.type == FieldDescriptor.TYPE_BOOL:
        return luck.random() < 0.5
    if each.enum_type is not None:
        return luck.choice([*(value.number for value in each.enum_type.values), 9999, -1])
    if each.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return luck.choice(REAL)
    low, high = span(each)
    return luck.choice([number for number in WHOLE if low <= number <= high])


def spoiled(text: str, luck: Luck) -> str:
    """A text of JSON with one value of it changed, left out or put elsewhere; now and then no JSON any more."""
    if luck.random() < 0.1:
        at = luck.randrange(len(text) + 1)
        return f"{text[:at]}{luck.choice(['', '{', QUOTE, ',', NUL, ']'])}{text[at + 1 :]}"
    try:
        found = json.loads(text)
    except ValueError:
        return text
    for _ in range(luck.choice([1, 1, 1, 2, 3])):
        places = list(_places(found))
        if places:
            luck.choice(CHANGES)(*luck.choice(places), luck)
    return json.dumps(found)


Place = dict[str, Any] | list[Any]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each value in a document: what it is in, and its key there."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _replaced(owner: Any, key: Any, luck: Luck) -> None:
    owner[key] = luck.choice([*JSON, *TEXTS])


def _left_out(owner: Any, key: Any, luck: Luck) -> None:
    owner.pop(key)


def _added(owner: Any, key: Any, luck: Luck) -> None:
    if isinstance(owner, dict):
        owner[luck.choice(NAMES)] = luck.choice([*JSON, owner[key]])
    else:
        owner.append(owner[key])


def _nested(owner: Any, key: Any, luck: Luck) -> None:
    for _ in range(luck.choice([1, 3, 200])):
        owner[key] = luck.choice([[owner[key]], {"cross": [owner[key]]}, {"union": [owner[key]]}])


CHANGES: Sequence[Callable[[Any, Any, Luck], None]] = (_replaced, _replaced, _replaced, _left_out, _added, _nested)
