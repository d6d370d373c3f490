"""Rules about inputs: what each kind needs, what may stand inside what, names that would meet under /pfs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.errors import InvalidArgument
from trunkline.model.globs import Glob
from trunkline.model.names import (
    DEFAULT_PROJECT,
    MASTER,
    USER_REPO,
    check_branch,
    check_project,
    check_repo,
    check_repo_type,
)
from trunkline.model.paths import quoted
from trunkline.model.specs.complaints import Complaints, Path
from trunkline.model.specs.cron import check_cron
from trunkline.model.specs.forms import COMBINATIONS, trigger_branch
from trunkline.model.specs.scalars import size_bytes
from trunkline.model.specs.spec import OUT

KINDS = ("pfs", "cron", *COMBINATIONS)
MAX_DEPTH = 32
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
Form = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands. around: the kinds of what it is inside of, outermost first."""

    path: Path
    around: tuple[str, ...] = ()

    def member(self, kind: str, number: int) -> Place:
        """The place of a member."""
        return Place((*self.path, kind, number), (*self.around, kind))


class InputRules:
    """Checks one input of a pipeline."""

    def __init__(self, complaints: Complaints, project: str, pipeline: str) -> None:
        self.complaints = complaints
        self.project = project or DEFAULT_PROJECT
        self.pipeline = pipeline

    def check(self, node: Form, place: Place) -> None:
        """Complain about `node` and all in it."""
        if self.complaints.about(place.path) and not node:
            return
        kinds = [kind for kind in KINDS if kind in node]
        if len(kinds) != 1:
            found = f"found {' and '.join(kinds)}" if kinds else "found none"
            self.complain(place.path, f"an input is exactly one of {', '.join(KINDS)}; {found}")
        if len(place.around) > MAX_DEPTH:
            self.complain(place.path, f"inputs are nested more than {MAX_DEPTH} deep")
            return
        for kind in kinds:
            if kind == "pfs":
                self.pfs(node["pfs"], (*place.path, "pfs"), place.around)
            elif kind == "cron":
                self.cron(node["cron"], (*place.path, "cron"), place.around)
            else:
                self.combination(kind, node[kind], place)

    def combination(self, kind: str, members: list[Form], place: Place) -> None:
        """A cross, union, join or group."""
        path = (*place.path, kind)
        if not members:
            self.complain(path, f"a {kind} needs at least one member")
        if kind == "cross" and (outer := _first(place.around, ("join", "group"))):
            self.complain(
                path,
                f"a cross cannot stand inside a {outer}, whose members are pfs, or a union, join or group of those; "
                f"put the {outer} inside the cross",
            )
        taken: dict[str, Path] = {}
        for number, member in enumerate(members):
            inside = place.member(kind, number)
            self.check(member, inside)
            if kind == "union":
                continue  # its members are never seen together
            for name, where in _names(member, inside.path):
                other = taken.setdefault(name, where)
                if other[: len(inside.path)] != inside.path:
                    self.complain(
                        where,
                        f"the name {quoted(name)} is used by {self.complaints.shown(other)} too; "
                        "members of a cross, join or group need different names",
                    )

    def pfs(self, pfs: Form, path: Path, around: tuple[str, ...]) -> None:
        """Files of a branch."""
        self.need(pfs, path, "repo", "an input must specify a repo", check_repo)
        self.optional(pfs, path, "project", check_project)
        self.optional(pfs, path, "repo_type", check_repo_type)
        self.optional(pfs, path, "branch", check_branch)
        if pfs.get("commit"):
            self.complain((*path, "commit"), "an input cannot come from a commit; name a branch")
        self.name(pfs, path, pfs.get("repo", ""), "name")
        self.need(pfs, path, "glob", 'an input must specify a glob, for example "/*"', Glob)
        for field, kind in (("join_on", "join"), ("outer_join", "join"), ("group_by", "group")):
            if pfs.get(field) and kind not in around:
                self.complain((*path, field), f"it only means something inside a {kind}")
        own = pfs.get("repo") == self.pipeline and pfs.get("repo_type", USER_REPO) == USER_REPO
        if own and (pfs.get("project") or self.project) == self.project:
            self.complain((*path, "repo"), "a pipeline cannot read its own output")
        if pfs.get("s3"):
            self.s3(pfs, path, around)
        if "trigger" in pfs:
            self.trigger(pfs["trigger"], (*path, "trigger"))

    def s3(self, pfs: Form, path: Path, around: tuple[str, ...]) -> None:
        """An input that code reads through the S3 gateway."""
        if pfs.get("glob") not in (None, "/"):
            self.complain((*path, "glob"), 'an s3 input is the whole commit: its glob must be "/"')
        for field in ("lazy", "empty_files"):
            if pfs.get(field):
                self.complain((*path, field), "it cannot be combined with s3")
        if outer := _first(around, ("join", "group", "union")):
            self.complain((*path, "s3"), f"an s3 input cannot stand inside a {outer}")

    def trigger(self, trigger: Form, path: Path) -> None:
        """When the branch follows another."""
        self.optional(trigger, path, "branch", check_branch)
        self.optional(trigger, path, "size", size_bytes)
        for field in ("rate_limit_spec", "cron_spec"):
            self.optional(trigger, path, field, check_cron)
        if trigger.get("commits", 0) < 0:
            self.complain((*path, "commits"), "a number of commits cannot be negative")
        conditions = [name for name in ("rate_limit_spec", "size", "commits") if trigger.get(name)]
        if trigger.get("cron_spec") and (conditions or trigger.get("all")):
            other = conditions[0] if conditions else "all"
            self.complain((*path, "cron_spec"), f"it cannot be combined with {other}")

    def cron(self, cron: Form, path: Path, around: tuple[str, ...]) -> None:
        """Ticks."""
        if outer := _first(around, ("join", "group")):
            self.complain(
                path, f"a cron cannot stand inside a {outer}, whose members are pfs, or a union, join or group of those"
            )
        self.name(cron, path, "", "name")
        self.need(cron, path, "spec", 'a cron input must specify when, for example "@every 60s"', check_cron)
        self.optional(cron, path, "repo", check_repo)
        self.optional(cron, path, "project", check_project)
        if cron.get("commit"):
            self.complain((*path, "commit"), "an input cannot come from a commit")

    def name(self, node: Form, path: Path, default: str, field: str) -> None:
        """The name under which code sees it."""
        name = node.get(field) or default
        if not name:
            if field not in node or not default:
                self.missing(path, field, "an input must specify a name" if not default else "")
            return
        if name == OUT:
            whole = (*path, field)
            if node.get(field):
                self.complain(whole, f'no input can be called "{OUT}": that is where code puts its output')
            else:
                self.complain(whole, f'an input that reads a repo called "{OUT}" needs another name')
        elif not _NAME.match(name):
            self.complain(
                (*path, field),
                f"{quoted(name)} cannot name an input: only letters, digits, underscores, dashes, periods are allowed",
            )

    def need(self, node: Form, path: Path, field: str, sentence: str, check: Callable[[str], object]) -> None:
        """Complain if a field is missing or wrong."""
        if node.get(field):
            self.optional(node, path, field, check)
        else:
            self.missing(path, field, sentence)

    def optional(self, node: Form, path: Path, field: str, check: Callable[[str], object]) -> None:
        """Complain if a field is there and wrong."""
        if not node.get(field):
            return
        try:
            check(node[field])
        except (InvalidArgument, ValueError) as error:
            self.complain((*path, field), str(error))

    def missing(self, path: Path, field: str, sentence: str) -> None:
        """Complain about a field that is not there, unless what was there was complained about."""
        if sentence and not self.complaints.about((*path, field)):
            self.complain((*path, field), sentence)

    def complain(self, path: Path, text: str) -> None:
        """Pass a complaint on."""
        self.complaints.add(path, text)


def branches(node: Form, project: str, pipeline: str) -> Iterator[tuple[str, str, str, str]]:
    """Project, repo, type and branch of each pfs input below `node`."""
    for kind in COMBINATIONS:
        for member in node.get(kind, ()):
            yield from branches(member, project, pipeline)
    pfs = node.get("pfs")
    if pfs and pfs.get("repo"):
        yield (
            pfs.get("project") or project,
            pfs["repo"],
            pfs.get("repo_type") or USER_REPO,
            pfs.get("branch") or (trigger_branch(pipeline) if "trigger" in pfs else MASTER),
        )


def _names(node: Form, path: Path) -> Iterator[tuple[str, Path]]:
    """The names that an input shows under /pfs, each with where it is given; those of union members once."""
    seen = set()
    for kind in COMBINATIONS:
        for number, member in enumerate(node.get(kind, ())):
            for name, where in _names(member, (*path, kind, number)):
                if name not in seen:
                    seen.add(name)
                    yield name, where
    for leaf in ("pfs", "cron"):
        if leaf in node:
            name = node[leaf].get("name") or node[leaf].get("repo", "")
            if name:
                yield name, (*path, leaf, "name")


def _first(around: tuple[str, ...], kinds: tuple[str, ...]) -> str:
    return next((kind for kind in around if kind in kinds), "")
