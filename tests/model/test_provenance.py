"""Graphs of branches: closure, order, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model.provenance import check, closure, connected, downstream_first, ordered, reversed_graph

OPENCV = {
    "edges@master": ["images@master", "edges.spec@master"],
    "montage@master": ["images@master", "edges@master", "montage.spec@master"],
}
BRANCHES = {*OPENCV, "images@master", "edges.spec@master", "montage.spec@master"}


def repo(branch: str) -> str:
    return branch.partition("@")[0]


def test_closure_and_its_reverse() -> None:
    assert closure(OPENCV, ["montage@master"]) == BRANCHES - {"montage@master"}
    assert closure(OPENCV, ["images@master"]) == set()
    assert closure(reversed_graph(OPENCV), ["images@master"]) == {"edges@master", "montage@master"}
    assert connected({"a": ["c"], "b": ["c"], "d": []}, "a") == {"a", "b", "c"}


def test_what_depends_comes_before_what_it_depends_on() -> None:
    reads = {"a": ["b"], "b": ["d", "elsewhere"], "c": ["a", "b"], "x": ["y"], "y": ["x", "d"], "e": ["e"]}
    assert downstream_first({"a": ["b"], "b": ["d"], "c": ["a", "b"]}, "dbac") == ["c", "a", "b", "d"]
    assert downstream_first(reads, "eabcxyd") == ["e", "c", "a", "b", "x", "y", "d"]


def test_order_puts_dependencies_first() -> None:
    assert ordered(OPENCV) == [
        "images@master",
        "edges.spec@master",
        "edges@master",
        "montage.spec@master",
        "montage@master",
    ]
    assert ordered(OPENCV, ["montage@master", "edges@master"]) == ["edges@master", "montage@master"]


@pytest.mark.parametrize(
    ("graph", "branch", "complaint"),
    [
        ({"a@m": ["a@m"]}, "a@m", "branch a@m cannot be in its own provenance"),
        (
            {"a@m": ["b@m"], "b@m": ["c@m"], "c@m": ["a@m"]},
            "a@m",
            "provenance cannot have a cycle: a@m -> b@m -> c@m -> a@m",
        ),
        (
            {"out@m": ["data@a", "data@b"]},
            "out@m",
            "branch out@m cannot have this provenance: data@a and data@b are branches of one repo, and two branches "
            "of one repo cannot take part in one DAG; use one of them, or copy the other to a repo of its own",
        ),
        (
            {"out@m": ["mid@m", "data@staging"], "mid@m": ["data@master"]},
            "out@m",
            "branch out@m cannot have this provenance: data@master and data@staging are branches of one repo, and two "
            "branches of one repo cannot take part in one DAG; use one of them, or copy the other to a repo of its own",
        ),
        (
            {"data@b": ["data@a"]},
            "data@b",
            "branch data@b cannot have this provenance: data@b and data@a are branches of one repo, and two branches "
            "of one repo cannot take part in one DAG; use one of them, or copy the other to a repo of its own",
        ),
    ],
)
def test_bad_provenance_is_refused(graph: dict[str, list[str]], branch: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(graph, branch, repo)
    assert str(caught.value) == complaint


def test_good_provenance_passes() -> None:
    for branch in OPENCV:
        check(OPENCV, branch, repo)
    check({"x@m": ["data@a"], "y@m": ["data@b"]}, "x@m", repo)


def test_an_order_of_a_cycle_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"provenance cannot have a cycle: c -> a -> b -> c"):
        ordered({"a": ["b"], "b": ["c"], "c": ["a"]})


@given(st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 12), max_size=4), max_size=12))
def test_order_and_closure_of_random_graphs(drawn: dict[int, list[int]]) -> None:
    graph = {node: [up for up in ups if up < node] for node, ups in drawn.items()}
    nodes = list(range(13))
    order = ordered(graph, nodes)
    assert sorted(order) == nodes
    assert all(order.index(up) < order.index(node) for node, ups in graph.items() for up in ups)
    assert closure(graph, [12]) == {up for up in nodes if 12 in closure(reversed_graph(graph), [up])}
