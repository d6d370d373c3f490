"""Which datums run: the matrix of what may happen between two jobs (C.16), running bases, donors, settling."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.model import plan as rules
from trunkline.model.datums import DatumTable
from trunkline.model.inputs import MATCHES, evaluate
from trunkline.model.jobs import DatumState
from trunkline.model.plan import Known, Plan, RowClass, plan, settle
from trunkline.model.results import CODE
from trunkline.model.specs.spec import Combination, Input, PfsInput

SUCCESS, SKIPPED, FAILED, RECOVERED = DatumState.SUCCESS, DatumState.SKIPPED, DatumState.FAILED, DatumState.RECOVERED
IMAGES = PfsInput("default", "images", "/*", "images", commit="c")
EDGES = PfsInput("default", "edges", "/", "edges", commit="c")


def matched(**files: str) -> pa.Table:
    names = sorted(files)
    hashes = [hashlib.sha256(files[name].encode()).digest() for name in names]
    return pa.table([[f"/{n}" for n in names], [False] * len(names), [1] * len(names), hashes], schema=MATCHES)


def whole(content: str) -> pa.Table:
    return pa.table([["/"], [True], [1], [content.encode()]], schema=MATCHES)


def table(**files: str) -> DatumTable:
    return evaluate(IMAGES, [matched(**files)], "default")


def known(table: DatumTable, *states: DatumState | None, ended: bool = True) -> Known:
    codes = [None if state is None else CODE[state] for state in states or [SUCCESS] * len(table)]
    return Known(table, pa.array(codes, pa.int8()), ended)


def classes(found: Plan) -> list[str]:
    return [RowClass(code).name for code in found.classes.to_pylist()]


OLD = {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("new", "run", "skipped", "gone"),
    [
        (OLD | {"d": "4"}, 1, 3, 0),
        (OLD | {"a": "changed"}, 1, 2, 0),
        ({"a": "1", "b": "2"}, 0, 2, 1),
        (OLD, 0, 3, 0),
        ({}, 0, 0, 3),
        ({"x": "1", "b": "2", "c": "3"}, 1, 2, 1),
    ],
)
def test_only_what_is_new_runs(new: dict[str, str], run: int, skipped: int, gone: int) -> None:
    found = plan(table(**new), known(table(**OLD)))
    assert (found.count(RowClass.RUN), found.count(RowClass.SKIP), len(found.gone)) == (run, skipped, gone)


def test_a_whole_tree_runs_again_with_any_change_and_a_cross_with_its_right_side() -> None:
    node: Input = Combination("cross", (IMAGES, EDGES))
    old = evaluate(node, [matched(**OLD), whole("x")], "default")
    same = evaluate(node, [matched(**OLD), whole("x")], "default")
    other = evaluate(node, [matched(**OLD), whole("y")], "default")
    assert classes(plan(same, known(old))) == ["SKIP"] * 3
    assert classes(plan(other, known(old))) == ["RUN"] * 3


def test_every_row_has_a_reason_and_a_source() -> None:
    base = known(table(**OLD, e="5", f="6"), SUCCESS, SKIPPED, FAILED, RECOVERED, None)
    found = plan(table(a="1", b="2", c="3", d="4", e="5", f="6"), base)
    assert list(zip(classes(found), found.reasons.to_pylist(), found.source.to_pylist(), strict=True)) == [
        ("SKIP", rules.UNCHANGED, 0),
        ("SKIP", rules.UNCHANGED, 1),
        ("RUN", rules.FAILED, None),
        ("RUN", rules.NEW, None),
        ("RUN", rules.RECOVERED, None),
        ("RUN", rules.NO_RESULT, None),
    ]
    assert found.rows(RowClass.SKIP).to_pylist() == [0, 1]
    changed = plan(table(c="other"), base)
    assert changed.reasons.to_pylist() == [rules.CHANGED]
    assert changed.gone.to_pylist() == [0, 1, 3, 4]


def test_without_a_base_all_run_for_the_reason_given() -> None:
    found = plan(table(**OLD), None, first="first job of this version")
    assert classes(found) == ["RUN"] * 3
    assert found.reasons.to_pylist() == ["first job of this version"] * 3
    assert found.gone.to_pylist() == []
    assert classes(plan(table(), known(table()))) == []


def test_while_the_base_runs_only_what_it_has_unchanged_waits() -> None:
    running = known(table(**OLD), SUCCESS, None, None, ended=False)
    now = table(a="1", b="2", c="changed", d="4")
    found = plan(now, running)
    assert classes(found) == ["UNDECIDED", "UNDECIDED", "RUN", "RUN"]
    assert found.reasons[0].as_py() == rules.WAITING

    good = settle(found, now, known(running.table))
    assert classes(good) == ["SKIP", "SKIP", "RUN", "RUN"]
    assert good.reasons.to_pylist()[2:] == [rules.CHANGED, rules.NEW]

    older = known(table(a="1", d="4"))
    fallen_back = settle(found, now, older, known(running.table, SUCCESS, SUCCESS, FAILED))
    assert classes(fallen_back) == ["SKIP", "ADOPTED", "RUN", "RUN"], "what was to run is never placed again"
    assert fallen_back.source.to_pylist() == [0, 1, None, None]
    assert classes(settle(found, now, known(table(**OLD), None, None, None, ended=False))) == classes(found)
    assert classes(settle(found, now, None, first="no job before")) == ["RUN"] * 4


def test_good_results_of_a_failed_job_are_adopted() -> None:
    donor = known(table(**OLD, d="4"), SUCCESS, FAILED, RECOVERED, None)
    now = table(**OLD, d="4", e="5")
    found = plan(now, None, donor)
    assert classes(found) == ["ADOPTED", "RUN", "RUN", "RUN", "RUN"]
    assert found.reasons[0].as_py() == rules.ADOPTED
    assert found.source.to_pylist() == [0, None, None, None, None]
    changed = plan(table(a="other"), None, donor)
    assert classes(changed) == ["RUN"]
    both = plan(now, known(table(a="1", b="2")), donor)
    assert classes(both) == ["SKIP", "SKIP", "RUN", "RUN", "RUN"], "a base comes before a donor"
    waiting = plan(now, known(table(a="1", b="2"), None, None, ended=False), donor)
    assert classes(waiting) == ["ADOPTED", "UNDECIDED", "RUN", "RUN", "RUN"], "a donor's result need not wait"


FILES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("12"), max_size=6)
STATES = st.sampled_from([SUCCESS, SKIPPED, FAILED, RECOVERED, None])


@given(FILES, FILES, st.lists(STATES, min_size=6, max_size=6), FILES, st.lists(STATES, min_size=6, max_size=6))
def test_the_join_agrees_with_dicts(
    new: dict[str, str],
    old: dict[str, str],
    states: list[DatumState | None],
    failed: dict[str, str],
    kept: list[DatumState | None],
) -> None:
    now, before, donor = table(**new), table(**old), table(**failed)
    found = plan(now, Known(before, _codes(states, before)), Known(donor, _codes(kept, donor)))
    base_states = dict(zip(sorted(old), states, strict=False))
    donor_states = dict(zip(sorted(failed), kept, strict=False))
    expected = []
    for name in sorted(new):
        if old.get(name) == new[name] and base_states[name] in (SUCCESS, SKIPPED):
            expected.append("SKIP")
        elif failed.get(name) == new[name] and donor_states[name] in (SUCCESS, SKIPPED):
            expected.append("ADOPTED")
        else:
            expected.append("RUN")
    assert classes(found) == expected
    assert found.gone.to_pylist() == [n for n, name in enumerate(sorted(old)) if name not in new]


def _codes(states: list[DatumState | None], table: DatumTable) -> pa.Array:
    return pa.array([None if s is None else CODE[s] for s in states[: len(table)]], pa.int8())
