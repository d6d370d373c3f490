"""From an input and the files its globs matched to datums: cross, union, join, group, nested as one likes.

Everything works on positions of elements in whole columns; no loop runs over datums. While it is put together a column
of datums is `Lists`: each datum a run of element positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.errors import ResourceExhausted
from trunkline.model.datums import ELEMENTS, DatumTable, Slot
from trunkline.model.globs import Glob, Template
from trunkline.model.specs.spec import Combination, Input, Leaf, PfsInput, leaves_of

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

MOST_DATUMS = 20_000_000
"""A job with more is refused: its table would not fit into memory."""

MATCHES = pa.schema([("path", pa.string()), ("is_dir", pa.bool_()), ("size", pa.int64()), ("hash", pa.binary())])
"""What a glob matched in a commit, as `evaluate` takes it; a slash at the end of a path does not matter."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Runs of element positions: the n-th is values[offsets[n]:offsets[n + 1]]."""

    offsets: Ints
    values: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """How many elements each has."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> Ints:
        """For each value which run it is in."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, which: Ints) -> Lists:
        """These runs, in this order."""
        lengths = self.lengths[which]
        offsets = _offsets(lengths)
        inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return Lists(offsets, self.values[np.repeat(self.offsets[which], lengths) + inside])


@dataclass(frozen=True, slots=True)
class _Elements:
    """All elements, sorted, with what the rules need to know of each, by position.

    names: equal for elements that are one file under one name, else ascending. join_keys, group_keys: numbers that
    ascend as the keys do. outer: whether its input keeps what found no partner. slots: the input.
    """

    table: pa.Table
    slots: Ints
    names: Ints
    join_keys: Ints
    group_keys: Ints
    outer: np.ndarray[Any, np.dtype[np.bool_]]
    shared: bool


def evaluate(root: Input, matches: Sequence[pa.Table], project: str) -> DatumTable:
    """The datums of an input, in the order in which they run.

    matches: for each leaf, in the order of `leaves_of`, what its glob matched, as `MATCHES`. project: the pipeline's.
    Elements of a datum are a set; datums that are equal are one. Order: by the paths of their elements, the input with
    the most bytes changing slowest, so that neighbours share what is large.
    Raises ResourceExhausted for more than `MOST_DATUMS`.
    """
    leaves = list(leaves_of(root))
    slots = [_slot(leaf) for leaf in leaves]
    elements = _elements(leaves, slots, matches)
    positions = iter(range(len(leaves)))
    lists = _tidy(_node(root, positions, elements), elements)
    lists = lists.take(_run_order(lists, elements, slots))
    rows = pa.ListArray.from_arrays(pa.array(lists.offsets, pa.int32()), pa.array(lists.values, pa.int32()))
    return DatumTable(slots, elements.table, rows, project)


def _slot(leaf: Leaf) -> Slot:
    slot = Slot(leaf.name, leaf.project, leaf.repo, leaf.branch, leaf.commit)
    if isinstance(leaf, PfsInput):
        return replace(slot, repo_type=leaf.repo_type, empty_files=leaf.empty_files, lazy=leaf.lazy, s3=leaf.s3)
    return slot


def _elements(leaves: Sequence[Leaf], slots: Sequence[Slot], matches: Sequence[pa.Table]) -> _Elements:
    parts = [_leaf_elements(n, leaf, found) for n, (leaf, found) in enumerate(zip(leaves, matches, strict=True))]
    together: dict[tuple[str, ...], list[int]] = {}
    for n in sorted(range(len(slots)), key=lambda n: slots[n].identity):
        together.setdefault(slots[n].identity, []).append(n)
    tables, shared, names, start = [], False, [], 0
    for members in together.values():
        table = _by_path(pa.concat_tables([parts[n] for n in members]))
        paths = table.column("path").combine_chunks()
        fresh = np.ones(len(paths), np.int64)
        if len(members) > 1 and len(paths):
            fresh[1:] = pc.not_equal(paths[1:], paths[:-1]).to_numpy(zero_copy_only=False)
            shared = True
        names.append(start + np.cumsum(fresh))
        start += int(fresh.sum())
        tables.append(table)
    table = pa.concat_tables(tables).combine_chunks() if tables else ELEMENTS.empty_table()
    of_slots = table.column("slot").to_numpy().astype(np.int64)
    outer = np.array([isinstance(leaf, PfsInput) and leaf.outer_join for leaf in leaves], bool)
    return _Elements(
        table=table,
        slots=of_slots,
        names=np.concatenate([np.empty(0, np.int64), *names]),
        join_keys=_codes(table.column("join_on")),
        group_keys=_codes(table.column("group_by")),
        outer=outer[of_slots] if len(of_slots) else np.empty(0, bool),
        shared=shared,
    )


def _leaf_elements(number: int, leaf: Leaf, found: pa.Table) -> pa.Table:
    found = found.select(MATCHES.names).cast(MATCHES).combine_chunks()
    if isinstance(leaf, PfsInput) and leaf.s3 and not found.num_rows:
        # Code that reads through the gateway runs once, even on an empty bucket.
        found = pa.table([["/"], [True], [0], [b""]], schema=MATCHES)
    paths = pc.utf8_rtrim(_whole(found.column("path")), characters="/")
    paths = pc.if_else(pc.equal(paths, ""), "/", paths)
    nothing = pa.array([""]).take(pa.array(np.zeros(len(paths), np.int8)))
    keys = {"join_on": nothing, "group_by": nothing}
    if isinstance(leaf, PfsInput) and (leaf.join_on or leaf.group_by):
        captures = Glob(leaf.glob).capture_columns(paths)
        keys = {name: Template(getattr(leaf, name)).expand_column(paths, captures) for name in keys}
    columns = {
        "slot": pa.array(np.full(len(paths), number, np.int16)),
        "path": paths,
        "is_dir": found.column("is_dir"),
        "size": found.column("size"),
        "hash": pc.fill_null(found.column("hash"), b""),
        **keys,
    }
    return pa.table([columns[name] for name in ELEMENTS.names], schema=ELEMENTS)


def _by_path(table: pa.Table) -> pa.Table:
    """`table` sorted by path, then slot; a look first, since it mostly is."""
    paths = _whole(table.column("path"))
    if len(paths) > 1 and pc.any(pc.less_equal(paths[1:], paths[:-1])).as_py():
        return table.sort_by([("path", "ascending"), ("slot", "ascending")])
    return table


def _codes(column: pa.ChunkedArray) -> Ints:
    """Numbers that are equal where the texts are, and ascend as they do."""
    encoded = _whole(column).dictionary_encode()
    rank = np.empty(len(encoded.dictionary), np.int64)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(rank))
    codes: Ints = rank[encoded.indices.to_numpy(zero_copy_only=False)]
    return codes


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _node(node: Input, leaves: Any, elements: _Elements) -> Lists:
    """The datums of `node`; `leaves` counts the leaves on, in their order."""
    if not isinstance(node, Combination):
        here = np.flatnonzero(elements.slots == next(leaves))
        return Lists(np.arange(len(here) + 1), here)
    members = [_node(member, leaves, elements) for member in node.members]
    if node.kind == "cross":
        return _cross(members)
    if node.kind == "union":
        return _after_another(members)
    if node.kind == "join":
        return _join([np.unique(member.values) for member in members], elements)
    together = np.unique(np.concatenate([member.values for member in members]))
    order = together[np.argsort(elements.group_keys[together], kind="stable")]
    _, counts = np.unique(elements.group_keys[together], return_counts=True)
    return Lists(_offsets(counts), order)


def _cross(members: Sequence[Lists]) -> Lists:
    counts = [np.array([len(member)]) for member in members]
    picks = _pick(counts)
    return _side_by_side([member.take(pick) for member, pick in zip(members, picks, strict=True)])


def _join(members: Sequence[Ints], elements: _Elements) -> Lists:
    """Elements with equal keys, one of each member; keys that a member lacks only from inputs marked outer."""
    size = int(elements.join_keys.max()) + 1 if len(elements.join_keys) else 0
    counts = [np.bincount(elements.join_keys[member], minlength=size) for member in members]
    complete = np.logical_and.reduce([count > 0 for count in counts])
    lists = []
    kept = []
    for member in members:
        keys = elements.join_keys[member]
        wanted = member[complete[keys] | elements.outer[member]]
        ordered = wanted[np.argsort(elements.join_keys[wanted], kind="stable")]
        lists.append(ordered)
        kept.append(np.bincount(elements.join_keys[ordered], minlength=size))
    present = np.logical_or.reduce([count > 0 for count in kept])
    picks = _pick([np.where(present, np.maximum(count, 1), 0) for count in kept])
    owners = np.repeat(np.arange(size), _products([np.where(present, np.maximum(c, 1), 0) for c in kept]))
    sides = []
    for ordered, count, pick in zip(lists, kept, picks, strict=True):
        there = count[owners] > 0
        starts = _offsets(count)[:-1]
        values = ordered[(starts[owners] + pick)[there]]
        sides.append(Lists(_offsets(there.astype(np.int64)), values))
    return _side_by_side(sides)


def _products(counts: Sequence[Ints]) -> Ints:
    """For each key how many ways there are to take one of each member. Raises ResourceExhausted for too many."""
    total = np.ones(len(counts[0]), np.float64)
    for count in counts:
        total *= count
    if total.sum() > MOST_DATUMS:
        raise ResourceExhausted(
            f"the input makes {int(total.sum()):,} datums; at most {MOST_DATUMS:,} are possible. "
            "A narrower glob, or one that matches directories, makes fewer"
        )
    return total.astype(np.int64)


def _pick(counts: Sequence[Ints]) -> list[Ints]:
    """For each way to take one of each member's `counts` (per key), which one it takes; the first changes slowest."""
    products = _products(counts)
    ways = np.arange(products.sum()) - np.repeat(_offsets(products)[:-1], products)
    picks = []
    for count in reversed(counts):
        radix = np.repeat(count, products)
        picks.append(ways % np.maximum(radix, 1))
        ways = ways // np.maximum(radix, 1)
    return picks[::-1]


def _after_another(members: Sequence[Lists]) -> Lists:
    lengths = np.concatenate([member.lengths for member in members])
    return Lists(_offsets(lengths), np.concatenate([member.values for member in members]))


def _side_by_side(members: Sequence[Lists]) -> Lists:
    """Runs of the same number from each, put together one by one."""
    lengths = np.sum([member.lengths for member in members], axis=0)
    offsets = _offsets(lengths)
    values = np.empty(offsets[-1], np.int64)
    start = offsets[:-1].copy()
    for member in members:
        inside = np.arange(len(member.values)) - np.repeat(member.offsets[:-1], member.lengths)
        values[np.repeat(start, member.lengths) + inside] = member.values
        start += member.lengths
    return Lists(offsets, values)


def _tidy(lists: Lists, elements: _Elements) -> Lists:
    """Elements of each datum in order and each once, datums each once."""
    lists = _sorted_inside(lists)
    if not elements.shared or not len(lists):
        return lists
    names, owners = elements.names[lists.values], lists.owners
    again = np.zeros(len(names), bool)
    again[1:] = (names[1:] == names[:-1]) & (owners[1:] == owners[:-1])
    lists = Lists(_offsets(np.bincount(owners[~again], minlength=len(lists))), lists.values[~again])
    kept = []
    for length in np.unique(lists.lengths):
        which = np.flatnonzero(lists.lengths == length)
        named = elements.names[lists.take(which).values].reshape(len(which), length)
        _, first = np.unique(named, axis=0, return_index=True)
        kept.append(which[first])
    return lists.take(np.sort(np.concatenate(kept)))


def _sorted_inside(lists: Lists) -> Lists:
    lengths = lists.lengths
    if len(lengths) and (lengths == lengths[0]).all():
        values = np.sort(lists.values.reshape(len(lengths), lengths[0]), axis=1).ravel()
        return Lists(lists.offsets, values)
    return Lists(lists.offsets, lists.values[np.lexsort((lists.values, lists.owners))])


def _run_order(lists: Lists, elements: _Elements, inputs: Sequence[Slot]) -> Ints:
    """Positions of datums in the order in which they run."""
    sizes = elements.table.column("size").to_numpy()
    weights = np.bincount(elements.slots, weights=sizes, minlength=len(inputs))
    owners, slots = lists.owners, elements.slots[lists.values]
    columns = []
    for slot in sorted(range(len(inputs)), key=lambda n: (-weights[n], inputs[n].identity)):
        here = np.flatnonzero(slots == slot)[::-1]
        first = np.full(len(lists), np.iinfo(np.int64).max)
        first[owners[here]] = lists.values[here]  # backwards, so that a datum's first element of the slot stays
        columns.append(first)
    return np.lexsort(columns[::-1]) if columns else np.arange(len(lists))


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
