"""Pipelines and their repos as boxes and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trunkline.cli.show.colour import paint
from trunkline.cli.show.layout import Spot, layers

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = " │││─┘┐┤─└┌├─┴┬┼"
"""What joins the sides whose bits are set."""
_ASCII = str.maketrans("│─┘┐┤└┌├┴┬┼╭╮╰╯▼…", "|-" + "+" * 13 + "v~")


@dataclass(frozen=True, slots=True)
class Node:
    """One box. `source`: a repo that no pipeline writes, drawn with round corners. `colour` for terminals."""

    name: str
    source: bool = False
    colour: str = ""


def draw(
    nodes: Sequence[Node], parents: Mapping[str, Sequence[str]], *, box_width: int = 11, edge_height: int = 5,
    ascii_only: bool = False, colour: bool = False,
) -> list[str]:  # fmt: skip
    """The lines of the drawing, inputs above what reads them.

    parents: for each node, those with an edge to it. box_width: letters in a box; longer names are cut. edge_height:
    lines between two layers at least, more where edges would run into each other.
    """
    width = max(3, box_width) + 2
    by_name = {node.name: node for node in nodes}
    found = layers({**{node.name: () for node in nodes}, **parents}, width)
    columns = max((spot.centre + spot.width // 2 + 1 for layer in found for spot in layer), default=0)
    lines: list[str] = []
    for place, layer in enumerate(found):
        lines += _boxes(layer, by_name, columns, colour)
        if place + 1 < len(found):
            lines += _edges(layer, max(3, edge_height), columns)
    return [(line.translate(_ASCII) if ascii_only else line).rstrip() for line in lines]


def _boxes(layer: Sequence[Spot], nodes: Mapping[str, Node], columns: int, colour: bool) -> list[str]:
    rows: list[list[str]] = [[" "] * columns for _ in range(3)]
    for spot in layer:
        left = spot.centre - spot.width // 2
        if not spot.name:
            for row in rows:
                row[spot.centre] = "│"
            continue
        node = nodes.get(spot.name, Node(spot.name))
        corners = "╭╮╰╯" if node.source else "┌┐└┘"
        inside = spot.width - 2
        text = spot.name if len(spot.name) <= inside else spot.name[: inside - 1] + "…"
        _write(rows[0], left, corners[0] + "─" * inside + corners[1])
        _write(rows[1], left, "│" + text.center(inside) + "│")
        _write(rows[2], left, corners[2] + "─" * inside + corners[3])
        if spot.below:
            rows[2][spot.centre] = "┬"
        if colour and node.colour:
            first = left + 1 + text.center(inside).index(text)
            rows[1][first] = paint(text, node.colour)
            for at in range(first + 1, first + len(text)):
                rows[1][at] = ""
    return ["".join(row) for row in rows]


def _write(row: list[str], left: int, text: str) -> None:
    row[left : left + len(text)] = list(text)


def _edges(layer: Sequence[Spot], height: int, columns: int) -> list[str]:
    """The lines below `layer`: each spot's edges run down, along a row of their own, and down to the spots below."""
    buses = _bus_rows([spot for spot in layer if spot.below])
    rows = max(height, max(buses.values(), default=0) + 2)
    canvas: list[list[dict[int, int]]] = [[{} for _ in range(columns)] for _ in range(rows)]
    heads: set[int] = set()
    for spot in layer:
        if not spot.below:
            continue
        bus, net = buses[id(spot)], id(spot)
        for child in spot.below:
            _run(canvas, net, spot.centre, child.centre, bus)
            if child.name:
                heads.add(child.centre)
    lines: list[str] = []
    for at, row in enumerate(canvas):
        line = [_LINES[_bits(cell)] for cell in row]
        if at == rows - 1:
            for column in heads:
                line[column] = "▼"
        lines.append("".join(line))
    return lines


def _bus_rows(spots: Sequence[Spot]) -> dict[int, int]:
    """A row for the level part of each spot's edges, so that no two that overlap share one."""
    taken: dict[int, list[tuple[int, int]]] = {}
    found = {}
    for spot in spots:
        ends = [spot.centre, *(child.centre for child in spot.below)]
        first, last = min(ends), max(ends)
        row = 1
        while first != last and any(first <= b + 1 and a - 1 <= last for a, b in taken.get(row, ())):
            row += 1
        if first != last:
            taken.setdefault(row, []).append((first, last))
        found[id(spot)] = row
    return found


def _run(canvas: list[list[dict[int, int]]], net: int, start: int, end: int, bus: int) -> None:
    def mark(row: int, column: int, bits: int) -> None:
        cell = canvas[row][column]
        cell[net] = cell.get(net, 0) | bits

    for row in range(bus):
        mark(row, start, _UP | _DOWN)
    if start == end:
        mark(bus, start, _UP | _DOWN)
    else:
        mark(bus, start, _UP | (_RIGHT if end > start else _LEFT))
        for column in range(min(start, end) + 1, max(start, end)):
            mark(bus, column, _LEFT | _RIGHT)
        mark(bus, end, _DOWN | (_LEFT if end > start else _RIGHT))
    for row in range(bus + 1, len(canvas)):
        mark(row, end, _UP | _DOWN)


def _bits(cell: Mapping[int, int]) -> int:
    """The sides to join in one cell. Edges of different boxes that only cross are not joined: the upright one shows."""
    merged = 0
    for bits in cell.values():
        merged |= bits
    crossing = any(bits & (_UP | _DOWN) == 0 for bits in cell.values()) and len(cell) > 1
    return merged & (_UP | _DOWN) if crossing and merged & (_UP | _DOWN) else merged
