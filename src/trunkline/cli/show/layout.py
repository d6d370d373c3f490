"""Where the boxes of a drawn graph go: layers by longest path, few crossings, children under their parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_SWEEPS = 8
_GAP = 2


@dataclass(eq=False, slots=True)
class Spot:
    """A box, or a bend of an edge that passes a layer (`name` empty). `centre` is its column."""

    name: str
    width: int
    above: list[Spot] = field(default_factory=list)
    below: list[Spot] = field(default_factory=list)
    centre: int = 0


def layers(parents: Mapping[str, Sequence[str]], box_width: int) -> list[list[Spot]]:
    """Layers from the top, each from the left. parents: for each box, the boxes with an edge to it; no circles."""
    rank = _ranks(parents)
    found: list[list[Spot]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    boxes = {name: Spot(name, box_width) for name in sorted(rank, key=lambda one: (rank[one], one))}
    for name, box in boxes.items():
        found[rank[name]].append(box)
    for name, box in boxes.items():
        for parent in sorted(set(parents.get(name, ()))):
            if rank[parent] >= rank[name]:
                continue  # part of a circle, which no layers can show
            last = boxes[parent]
            for level in range(rank[parent] + 1, rank[name]):
                bend = Spot("", 1)
                found[level].append(bend)
                _join(last, bend)
                last = bend
            _join(last, box)
    for _ in range(_SWEEPS):
        for above, layer in pairwise(found):
            _sort(layer, above, lambda spot: spot.above)
        for layer, under in zip(reversed(found[:-1]), reversed(found), strict=False):
            _sort(layer, under, lambda spot: spot.below)
    _place(found)
    return found


def _ranks(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    names = sorted({*parents, *(one for many in parents.values() for one in many)})
    rank = dict.fromkeys(names, 0)
    for _ in names:
        moved = False
        for name in names:
            least = max((rank[one] + 1 for one in parents.get(name, ())), default=0)
            if least > rank[name]:
                rank[name], moved = least, True
        if not moved:
            break
    return rank


def _join(above: Spot, below: Spot) -> None:
    above.below.append(below)
    below.above.append(above)


def _sort(layer: list[Spot], beside: list[Spot], neighbours) -> None:  # type: ignore[no-untyped-def]
    at = {id(spot): place for place, spot in enumerate(beside)}
    here = {id(spot): place for place, spot in enumerate(layer)}

    def middle(spot: Spot) -> float:
        found = [at[id(one)] for one in neighbours(spot)]
        return sum(found) / len(found) if found else here[id(spot)]

    layer.sort(key=middle)


def _place(found: list[list[Spot]]) -> None:
    for layer in found:
        _spread(layer, [0] * len(layer))
    for _ in range(_SWEEPS):
        for layer in found[1:]:
            _spread(layer, [_wish(spot, spot.above) for spot in layer])
        for layer in reversed(found[:-1]):
            _spread(layer, [_wish(spot, spot.below) for spot in layer])
    left = min((spot.centre - spot.width // 2 for layer in found for spot in layer), default=0)
    for layer in found:
        for spot in layer:
            spot.centre -= left


def _wish(spot: Spot, neighbours: Sequence[Spot]) -> int:
    return round(sum(one.centre for one in neighbours) / len(neighbours)) if neighbours else spot.centre


def _spread(layer: list[Spot], wishes: Sequence[int]) -> None:
    """Put each spot as near to its wish as order and distance allow: runs that would overlap share the difference."""
    runs: list[tuple[int, list[Spot], list[int]]] = []
    for spot, wish in zip(layer, wishes, strict=True):
        run, offsets, start = [spot], [0], wish
        while runs:
            before_start, before, before_offsets = runs[-1]
            edge = before_start + before_offsets[-1] + _distance(before[-1], run[0])
            if edge <= start:
                break
            runs.pop()
            shift = before_offsets[-1] + _distance(before[-1], run[0])
            weight = len(before) + len(run)
            start = round((before_start * len(before) + (start - shift) * len(run)) / weight)
            run, offsets = before + run, before_offsets + [shift + one for one in offsets]
        runs.append((start, run, offsets))
    for start, run, offsets in runs:
        for spot, offset in zip(run, offsets, strict=True):
            spot.centre = start + offset


def _distance(left: Spot, right: Spot) -> int:
    return (left.width + 1) // 2 + right.width // 2 + _GAP
