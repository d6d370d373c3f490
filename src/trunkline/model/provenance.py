"""Rules about graphs of provenance: what depends on what, and what may.

Nodes are any hashable keys: branches by address or by row number. A graph is a mapping from each node to the nodes it
depends on directly; nodes that only appear as dependencies need no entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import TypeVar

from trunkline.errors import InvalidArgument

K = TypeVar("K", bound=Hashable)

Graph = Mapping[K, Collection[K]]


def closure(graph: Graph[K], start: Iterable[K]) -> set[K]:
    """Everything that `start` depends on, directly or not; a member of `start` only if another depends on it."""
    found: set[K] = set()
    stack = [up for node in start for up in graph.get(node, ())]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(graph.get(node, ()))
    return found


def reversed_graph(graph: Graph[K]) -> dict[K, list[K]]:
    """The graph of what depends on each node directly: subvenance."""
    down: dict[K, list[K]] = {}
    for node, ups in graph.items():
        for up in dict.fromkeys(ups):
            down.setdefault(up, []).append(node)
    return down


def downstream_first(graph: Graph[K], nodes: Iterable[K]) -> list[K]:
    """`nodes`, each before everything it depends on. What depends on itself in a circle comes last, as it was given."""
    members = dict.fromkeys(nodes)
    places = {node: n for n, node in enumerate(members)}
    ups = {node: {up for up in graph.get(node, ()) if up in members and up != node} for node in members}
    waiting = Counter(up for found in ups.values() for up in found)
    order = [node for node in members if not waiting[node]]
    for node in order:
        for up in sorted(ups[node], key=places.__getitem__):
            waiting[up] -= 1
            if not waiting[up]:
                order.append(up)
    return [*order, *(node for node in members if waiting[node])]


def ordered(graph: Graph[K], nodes: Iterable[K] | None = None) -> list[K]:
    """`nodes` (all by default), each after everything it depends on; the order given decides between equals.

    Raises InvalidArgument, naming one cycle, if there is any among them.
    """
    order: list[K] = []
    state: dict[K, bool] = {}  # absent: not seen; False: below it now; True: done
    wanted = list(dict.fromkeys([*graph, *(up for ups in graph.values() for up in ups)] if nodes is None else nodes))
    allowed = set(wanted)
    for first in wanted:
        stack = [(first, False)]
        while stack:
            node, left = stack.pop()
            if left:
                state[node] = True
                order.append(node)
            elif node not in state:
                state[node] = False
                stack.append((node, True))
                ups = [up for up in graph.get(node, ()) if up in allowed]
                open_below = [up for up in ups if state.get(up) is False]
                if open_below:
                    raise InvalidArgument(_cycle([node, *_way(graph, open_below[0], node)]))
                stack.extend((up, False) for up in reversed(ups))
    return order


def connected(graph: Graph[K], start: K) -> set[K]:
    """Everything that a chain of dependencies, up and down in any mixture, ties to `start`; with `start`."""
    down = reversed_graph(graph)
    found = {start}
    stack = [start]
    while stack:
        node = stack.pop()
        for near in (*graph.get(node, ()), *down.get(node, ())):
            if near not in found:
                found.add(near)
                stack.append(near)
    return found


def check(graph: Graph[K], branch: K, repo_of: Callable[[K], Hashable]) -> None:
    """Refuse a graph that `branch` has just been given its provenance in. Raises InvalidArgument.

    Refused: a branch that depends on itself, directly or not, and two branches of one repo in one connected graph:
    a commit set holds at most one commit of a repo, so the two could never move together.
    """
    for up in graph.get(branch, ()):
        if up == branch or branch in closure(graph, [up]):
            raise InvalidArgument(_cycle([branch, *_way(graph, up, branch)]))
    tied = connected(graph, branch)
    tied_in_order = [branch, *(node for node in ordered(graph) if node in tied and node != branch)]
    seen: dict[Hashable, K] = {}
    for node in tied_in_order:
        other = seen.setdefault(repo_of(node), node)
        if other != node:
            raise InvalidArgument(
                f"branch {branch} cannot have this provenance: {other} and {node} are branches of one repo, and "
                "two branches of one repo cannot take part in one DAG; use one of them, or copy the other to a repo of "
                "its own"
            )


def _cycle(path: list[K]) -> str:
    if len(path) == 2:
        return f"branch {path[0]} cannot be in its own provenance"
    return f"provenance cannot have a cycle: {' -> '.join(map(str, path))}"


def _way(graph: Graph[K], start: K, end: K) -> list[K]:
    """A chain of dependencies from `start` to `end`, which is upstream of it."""
    came: dict[K, K] = {}
    stack = [start]
    while stack and end not in came:
        node = stack.pop()
        for up in graph.get(node, ()):
            if up not in came and up != start:
                came[up] = node
                stack.append(up)
    path = [end]
    while path[-1] != start:
        path.append(came[path[-1]])
    return path[::-1]
