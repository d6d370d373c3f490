"""From inputs and matched files to datums: tables, and the columns beside a slow model with Python sets."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import ResourceExhausted
from trunkline.model.datums import DatumTable
from trunkline.model.globs import Glob, Template
from trunkline.model.inputs import MATCHES, evaluate
from trunkline.model.specs.spec import Combination, CronInput, Input, PfsInput, leaves_of

File = tuple[str, int]


def pfs(repo: str, glob: str = "/*", name: str = "", **more: object) -> PfsInput:
    return PfsInput("default", repo, glob, name or repo, commit="c" * 32, **more)  # type: ignore[arg-type]


def both(kind: Literal["cross", "union", "join", "group"], *members: Input) -> Combination:
    return Combination(kind, members)


def matched(*files: str | File) -> pa.Table:
    """Files with a size of one byte, or as given; the hash is made from path and size."""
    sized = [(file, 1) if isinstance(file, str) else file for file in files]
    return pa.table(
        [
            [path for path, _ in sized],
            [path.endswith("/") for path, _ in sized],
            [size for _, size in sized],
            [hashlib.sha256(f"{path} {size}".encode()).digest() for path, size in sized],
        ],
        schema=MATCHES,
    )


def shown(table: DatumTable) -> list[str]:
    """Each datum as text: `images/a.png+edges/`."""
    return ["+".join(f"{e.slot.name}{e.path}" for e in datum) for datum in table.datums(0, len(table))]


A, B, C = matched("/1", "/2"), matched("/x", "/y"), matched("/p")


@pytest.mark.parametrize(
    ("node", "matches", "datums"),
    [
        (pfs("a"), [A], ["a/1", "a/2"]),
        (pfs("a"), [matched("/2", "/1/")], ["a/1", "a/2"]),
        (pfs("a", "/"), [matched("/")], ["a/"]),
        (pfs("a"), [matched()], []),
        (CronInput("default", "p_tick", "tick", "@daily", commit="c"), [matched("/2024-01-01")], ["tick/2024-01-01"]),
        (both("cross", pfs("a"), pfs("b")), [A, B], ["a/1+b/x", "a/1+b/y", "a/2+b/x", "a/2+b/y"]),
        (both("cross", pfs("a"), pfs("b")), [A, matched()], []),
        (both("cross", pfs("a"), pfs("b")), [A, matched(("/x", 9), ("/y", 9))],
         ["a/1+b/x", "a/2+b/x", "a/1+b/y", "a/2+b/y"]),
        (both("cross", pfs("b"), pfs("a", "/")), [B, matched(("/", 9))], ["a/+b/x", "a/+b/y"]),
        (both("union", pfs("a"), pfs("b")), [A, B], ["a/1", "a/2", "b/x", "b/y"]),
        (both("union", pfs("a", "/*"), pfs("a", "/1")), [A, matched("/1")], ["a/1", "a/2"]),
        (both("union", pfs("a", name="in"), pfs("b", name="in")), [A, matched("/1")], ["in/1", "in/2", "in/1"]),
        (both("cross", both("union", pfs("a"), pfs("b")), pfs("c")), [A, matched(), C], ["a/1+c/p", "a/2+c/p"]),
        (both("cross", both("union", pfs("a", name="n"), pfs("a", "/1", name="n")), pfs("c")),
         [A, matched("/1"), C], ["c/p+n/1", "c/p+n/2"]),
        (pfs("a", "/", s3=True), [matched()], ["a/"]),
    ],
)  # fmt: skip
def test_datums(node: Input, matches: Sequence[pa.Table], datums: list[str]) -> None:
    assert shown(evaluate(node, matches, "default")) == datums


def keyed(repo: str, **more: object) -> PfsInput:
    return pfs(repo, f"/{repo}(?)*", join_on="$1", group_by="$1", **more)


@pytest.mark.parametrize(
    ("node", "matches", "datums"),
    [
        (both("join", keyed("a"), keyed("b")), [matched("/a1", "/a2"), matched("/b1", "/b3")], ["a/a1+b/b1"]),
        (both("join", keyed("a"), keyed("b")), [matched("/a1x", "/a1y"), matched("/b1", "/b1z")],
         ["a/a1x+b/b1", "a/a1x+b/b1z", "a/a1y+b/b1", "a/a1y+b/b1z"]),
        (both("join", keyed("a", outer_join=True), keyed("b")), [matched("/a1", "/a2"), matched("/b1", "/b3")],
         ["a/a1+b/b1", "a/a2"]),
        (both("join", keyed("a", outer_join=True), keyed("b", outer_join=True)),
         [matched("/a1", "/a2"), matched("/b1", "/b3")], ["a/a1+b/b1", "a/a2", "b/b3"]),
        (both("join", keyed("a", outer_join=True), keyed("b", outer_join=True), keyed("c")),
         [matched("/a1"), matched("/b1", "/b3"), matched("/c2")], ["a/a1+b/b1", "b/b3"]),
        (both("join", pfs("a"), pfs("b")), [A, B], ["a/1+b/x", "a/1+b/y", "a/2+b/x", "a/2+b/y"]),
        (both("join", keyed("a"), keyed("b")), [matched(), matched("/b1")], []),
        (both("group", keyed("a"), keyed("b")), [matched("/a1", "/a1x", "/a2"), matched("/b2", "/b3")],
         ["a/a1+a/a1x", "a/a2+b/b2", "b/b3"]),
        (both("group", pfs("a"), pfs("b")), [A, B], ["a/1+a/2+b/x+b/y"]),
        (both("group", pfs("a")), [matched()], []),
        (both("group", both("join", keyed("a"), keyed("b")), keyed("c")),
         [matched("/a1", "/a1x", "/a2"), matched("/b1", "/b3"), matched("/c1", "/c4")],
         ["a/a1+a/a1x+b/b1+c/c1", "c/c4"]),
        (both("join", both("union", keyed("a"), keyed("b")), keyed("c")),
         [matched("/a1"), matched("/b1", "/b2"), matched("/c1", "/c2")], ["a/a1+c/c1", "b/b1+c/c1", "b/b2+c/c2"]),
        (both("cross", both("join", keyed("a"), keyed("b")), pfs("c", "/")),
         [matched("/a1"), matched("/b1"), matched(("/", 9))], ["a/a1+b/b1+c/"]),
    ],
)  # fmt: skip
def test_joins_and_groups(node: Input, matches: Sequence[pa.Table], datums: list[str]) -> None:
    assert sorted(shown(evaluate(node, matches, "default"))) == sorted(datums)


def test_keys_and_sources_are_kept() -> None:
    table = evaluate(both("join", keyed("a"), keyed("b")), [matched("/a1"), matched("/b1")], "default")
    left, right = table.datum(0)
    assert (left.join_on, left.group_by, left.size_bytes, left.is_dir) == ("1", "1", 1, False)
    assert left.slot.commit == "c" * 32
    assert str(right.slot.source) == "default/b"
    assert table.sizes.to_pylist() == [2]


def test_the_order_of_members_does_not_matter() -> None:
    one = evaluate(both("cross", pfs("a"), pfs("b"), pfs("c")), [A, B, C], "default")
    other = evaluate(both("cross", pfs("c"), pfs("b"), pfs("a")), [C, B, A], "default")
    assert one.ids.to_pylist() == other.ids.to_pylist()


def test_too_many_datums_are_refused_before_they_take_memory() -> None:
    many = matched(*(f"/{n}" for n in range(8000)))
    with pytest.raises(ResourceExhausted, match=r"makes 64,000,000 datums; at most 20,000,000 are possible"):
        evaluate(both("cross", pfs("a"), pfs("b")), [many, many], "default")


# A slow model: elements are tuples, datums are frozensets of them.

Item = tuple[tuple[str, ...], str, str, str, bool]  # identity, path, join key, group key, outer


def slow(node: Input, matches: Sequence[pa.Table]) -> list[frozenset[Item]]:
    tables = dict(zip((id(leaf) for leaf in leaves_of(node)), matches, strict=True))

    def items(leaf: PfsInput) -> list[Item]:
        found = []
        for path in tables[id(leaf)].column("path").to_pylist():
            captures = Glob(leaf.glob).match(path) or ()
            keys = [Template(text).expand(path, captures) for text in (leaf.join_on, leaf.group_by)]
            found.append(((leaf.name, leaf.project, leaf.repo, leaf.branch), path, *keys, leaf.outer_join))
        return found  # type: ignore[return-value]

    def datums(node: Input) -> list[frozenset[Item]]:
        if isinstance(node, PfsInput):
            return [frozenset([item]) for item in items(node)]
        assert isinstance(node, Combination)
        members = [datums(member) for member in node.members]
        if node.kind == "cross":
            return [frozenset().union(*way) for way in itertools.product(*members)]
        if node.kind == "union":
            return [datum for member in members for datum in member]
        flat = [frozenset().union(*member) for member in members]
        if node.kind == "group":
            everything = frozenset().union(*flat)
            return [frozenset(i for i in everything if i[3] == key) for key in {i[3] for i in everything}]
        found = []
        for key in {item[2] for member in flat for item in member}:
            sides = [[item for item in member if item[2] == key] for member in flat]
            if not all(sides):
                sides = [kept for side in sides if (kept := [item for item in side if item[4]])]
            found += [frozenset(way) for way in itertools.product(*sides)] if sides else []
        return found

    return datums(node)


REPOS = st.sampled_from(["a", "b", "c"])
LEAVES = st.builds(
    lambda repo, name, outer, glob: pfs(repo, glob, name or repo, join_on="$1", group_by="$2", outer_join=outer),
    REPOS,
    st.sampled_from(["", "n"]),
    st.booleans(),
    st.sampled_from(["/(?)(?)", "/(1|2)(?)", "/?(?)(?)"]),
)
KINDS = st.sampled_from(["cross", "union", "join", "group"])
NODES = st.recursive(
    LEAVES,
    lambda inner: st.builds(Combination, KINDS, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None)
@given(NODES, st.data())
def test_columns_agree_with_sets(node: Input, data: st.DataObject) -> None:
    node = _copied(node)
    leaves = list(leaves_of(node))
    commits = {
        repo: data.draw(st.sets(st.sampled_from(["/11", "/12", "/21", "/22", "/31", "/311", "/x"]), max_size=5), repo)
        for repo in ("a", "b", "c")
    }
    matches = []
    for leaf in leaves:
        assert isinstance(leaf, PfsInput)
        matches.append(
            matched(*(path for path in sorted(commits[leaf.repo]) if Glob(leaf.glob).match(path) is not None))
        )
    wanted = {frozenset((item[0], item[1]) for item in datum) for datum in slow(node, matches)}
    table = evaluate(node, matches, "default")
    found = [frozenset((e.slot.identity, e.path) for e in datum) for datum in table.datums(0, len(table))]
    assert set(found) == wanted
    assert len(found) == len(wanted), "a datum came twice"
    for datum in table.datums(0, len(table)):
        names = [(e.slot.identity, e.path) for e in datum]
        assert names == sorted(set(names))


def _copied(node: Input) -> Input:
    """A tree in which no leaf is the same object as another."""
    if isinstance(node, Combination):
        return Combination(node.kind, tuple(map(_copied, node.members)))
    assert isinstance(node, PfsInput)
    return pfs(
        node.repo, node.glob, node.name, join_on=node.join_on, group_by=node.group_by, outer_join=node.outer_join
    )
