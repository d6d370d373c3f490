"""Strategies for messages, from their descriptors: what is sent now and then exists, and mostly is nonsense.

Names and ids of things that exist come from a `Pool`, so that requests get past the first look at them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

TEXTS = (
    "", " ", ".", "..", "/", "//", "a/../b", "../../etc/passwd", "/..", "a\0b", "a\nb", "\x7f", "\t", "\u202e",
    "é", "e\u0301", "😀", "%s%n%d", "'; DROP TABLE repos; --", "-", "--help", "_", "*", "**", "/**", "[", "{", "\\",
    "^", "~", "@", ":", "a@b", "a@b:c", "a^", "a~9999999999999", "a.1", "a.-1", "a/b/c", "0" * 32, "f" * 32, "f" * 31,
    "0" * 64, "null", "true", "0", "-1", "1e400", "{}", "[]", '{"a":', "a" * 300, "é" * 5000, "a" * 100_000,
    "a/" * 3000, "../" * 2000, "(" * 2000, "{a," * 1000, "[" * 5000, "@every 1s", "* * * * *", "0 0 31 2 *",
    "file:///etc/passwd", "http://127.0.0.1:1/x", "s3://", "postgres://x", "mailto:x", "http://[::1", "$(id)",
)  # fmt: skip
"""Texts that have broken programs before."""

GLOBS = ("/", "/*", "/**", "/(*)", "/(*)/(*)", "/a*", "/d/*", "!(", "/{a,b}", "/[a-", "/@(a|b)", "\\", "/a\\")
PATHS = ("/", "/a", "a", "/d/b", "/d", "d/", "/a/x", "/new", "/..", "/a\n", "/d//b", "")
BRANCHES = ("master", "other", "new", "master^", "master.1", "")
KINDS = ("user", "meta", "spec", "build", "")
WHOLE = (0, 1, 2, 3, 10, 100, -1, -2, 1 << 31, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, -(1 << 63), (1 << 64) - 1)
REAL = (0.0, 1.0, -1.0, 0.5, 1e308, -1e-308, float("inf"), float("-inf"), float("nan"))
SECONDS = (0, 1, -1, 1_700_000_000, 253_402_300_799, 253_402_300_800, -62_135_596_800, -62_135_596_801, (1 << 63) - 1)
NANOS = (0, 1, -1, 999_999_999, 1_000_000_000, (1 << 31) - 1, -(1 << 31))
TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")
NOUNS = ("Repo", "Branch", "Commit", "File", "Pipeline", "Job", "CommitSet", "JobSet", "Datum", "Project")
"""Messages that mostly name something that exists."""

MANY = 5
"""How many fields of a big message are set besides those that name something."""


@dataclass
class Pool:
    """What exists, by the kind of thing. `fields` says which fields of which message hold which kind."""

    things: dict[str, list[Any]] = field(default_factory=dict)

    def kind(self, owner: Descriptor, name: str) -> str:
        """The kind of thing that a field names; "" : none in particular."""
        return FIELDS.get(f"{owner.name}.{name}") or FIELDS.get(name, "")

    def said(self, thing: Any) -> Any:
        """What is sent for what was drawn."""
        if not isinstance(thing, Slot):
            return thing
        known = self.things.get(thing.kind)
        return known[thing.number % len(known)] if known else ""


@dataclass(frozen=True)
class Slot:
    """A thing that exists when the message is made. What is drawn may not depend on what exists."""

    kind: str
    number: int


FIELDS: Mapping[str, str] = {
    "Project.name": "project", "Repo.name": "repo", "Repo.type": "type", "Branch.name": "branch", "Commit.id": "commit",
    "CommitSet.id": "commit", "File.path": "path", "Pipeline.name": "pipeline", "Job.id": "commit",
    "Datum.id": "datum", "Transaction.id": "transaction", "Secret.name": "secret", "Trigger.branch": "branch",
    "PFSInput.repo": "repo", "PFSInput.branch": "branch", "PFSInput.project": "project", "PFSInput.glob": "glob",
    "PFSInput.repo_type": "type", "PFSInput.commit": "commit", "PFSInput.name": "name", "CronInput.spec": "cron",
    "CronInput.name": "name", "pattern": "glob", "path": "path", "paths": "path", "prefix": "path", "dst": "path",
    "src": "path", "file_path": "path", "datum": "datum", "fileset_id": "fileset", "file_set_id": "fileset",
    "file_set_ids": "fileset", "fileset_ids": "fileset", "tag_prefix": "name", "glob": "glob",
    "JobSet.id": "commit", "output_branch": "branch", "job_id": "commit",
    "branch": "branch", "repo": "repo", "project": "project", "size": "size",
    "create_pipeline_request_json": "spec", "details_json": "json", "cluster_defaults_json": "json",
    "project_defaults_json": "json", "user_json": "spec", "paginationMarker": "datum", "jqFilter": "jq",
    "cron_spec": "cron", "rate_limit_spec": "cron", "reason": "name", "state_id": "fileset",
}  # fmt: skip

SAID: Mapping[str, tuple[str, ...]] = {
    "type": KINDS,
    "branch": BRANCHES,
    "path": PATHS,
    "glob": GLOBS,
    "cron": ("@every 1s", "@daily", "* * * * *", "0 0 31 2 *", "@never", "@every -1s", "60 * * * *"),
    "name": ("in", "out", "x", "a b"),
    "size": ("1", "1M", "-1", "1e99", "9" * 40),
    "json": ("{}", "null", "[]", "1", '{"a": 1}', '{"create_pipeline_request": {"autoscaling": 1}}', "{", "[" * 3000),
    "spec": (
        "{}",
        "null",
        '{"pipeline": null}',
        '{"pipeline": {"name": "p"}}',
        '{"pipeline":{"name":"../x"},"input":[]}',
    ),
    "jq": (".", ".a", "select(.state", "..", "input", "error", "$ENV", "[limit(9;repeat(1))]"),
}
"""What is said in fields of a kind beside what exists."""


def message(cls: type[Message], pool: Pool, depth: int = 4) -> st.SearchStrategy[Message]:
    """Messages of a class."""

    @st.composite
    def build(draw: Draw) -> Message:
        found = cls()
        _fill(found, draw, pool, depth)
        return found

    return build()


def _fill(target: Message, draw: Draw, pool: Pool, depth: int) -> None:
    descriptor: Any = target.DESCRIPTOR
    if descriptor.full_name in TIMES:
        target.seconds = draw(st.sampled_from(SECONDS))  # type: ignore[attr-defined]
        target.nanos = draw(st.sampled_from(NANOS))  # type: ignore[attr-defined]
        return
    if descriptor.name in NOUNS:
        luck, number = draw(st.integers(0, 9)), draw(st.integers(0, MANY))
        there = pool.said(Slot(descriptor.name, number))
        if luck < 8 and isinstance(there, type(target)):
            target.CopyFrom(there)
        if luck < 7:
            return  # else: with something of it changed
    fields = list(descriptor.fields)
    for group in descriptor.oneofs:
        chosen = draw(st.sampled_from([None, *group.fields])) if len(group.fields) > 1 else group.fields[0]
        fields = [each for each in fields if each.containing_oneof != group or each == chosen]
    if len(fields) > 2 * MANY:
        naming = [each for each in fields if each.name in ("pipeline", "transform", "input", "update")]
        rest = draw(st.lists(st.sampled_from(fields), max_size=MANY, unique_by=lambda each: each.name))
        fields = naming + [each for each in rest if each not in naming]
    for each in fields:
        if depth and draw(st.integers(0, 9)) > 1:
            _set(target, each, draw, pool, depth - 1)


def _set(target: Message, each: FieldDescriptor, draw: Draw, pool: Pool, depth: int) -> None:
    kind = each.message_type
    if kind is not None and kind.GetOptions().map_entry:
        _set_map(getattr(target, each.name), kind, draw, pool, depth)
    elif kind is not None and each.is_repeated:
        for _ in range(draw(st.integers(0, 3))):
            _fill(getattr(target, each.name).add(), draw, pool, depth)
    elif kind is not None:
        inner = getattr(target, each.name)
        inner.SetInParent()
        _fill(inner, draw, pool, depth)
    elif each.is_repeated:
        getattr(target, each.name).extend(draw(st.lists(_scalar(each, pool), max_size=3)))
    else:
        setattr(target, each.name, draw(_scalar(each, pool)))


def _set_map(target: Any, kind: Descriptor, draw: Draw, pool: Pool, depth: int) -> None:
    value = kind.fields_by_name["value"]
    for key in draw(st.lists(_scalar(kind.fields_by_name["key"], pool), max_size=3)):
        if value.message_type is not None:
            _fill(target[key], draw, pool, depth)
        else:
            target[key] = draw(_scalar(value, pool))


def _scalar(each: FieldDescriptor, pool: Pool) -> st.SearchStrategy[Any]:
    if each.type == FieldDescriptor.TYPE_STRING:
        return _texts(pool, pool.kind(each.containing_type, each.name) if each.containing_type else "")
    if each.type == FieldDescriptor.TYPE_BYTES:
        return st.just(b"") | st.binary(max_size=40)
    if each.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if each.enum_type is not None:
        return st.sampled_from([*(value.number for value in each.enum_type.values), 9999, -1])
    if each.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return st.sampled_from(REAL)
    low, high = span(each)
    return st.sampled_from([number for number in WHOLE if low <= number <= high])


def span(each: FieldDescriptor) -> tuple[int, int]:
    """The least and the greatest number that a field takes."""
    bits = 32 if each.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
    if each.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64):
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def _texts(pool: Pool, kind: str) -> st.SearchStrategy[str]:
    """Mostly what exists, where the field is known to name something."""
    wild = st.sampled_from(TEXTS) | st.text(st.characters(codec="utf-8"), max_size=12)
    if not kind:
        return wild
    fitting = st.sampled_from([*(Slot(kind, number) for number in range(MANY)), *SAID.get(kind, ())])
    return st.integers(0, 9).flatmap(lambda luck: wild if luck < 2 else fitting.map(pool.said))


def class_of(descriptor: Descriptor) -> type[Message]:
    """The class of a message type."""
    return message_factory.GetMessageClass(descriptor)
