"""Statements that are compiled once: they do what the same statement does that is built anew, and cost no building."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Table, delete, event, insert, select, update

from trunkline.catalog.engine import Fixed, Tx, fixed, given, some
from trunkline.catalog.tables import events, holders, sessions
from trunkline.catalog.tables_pps import jobs, pipelines
from trunkline.errors import Internal
from trunkline.testing.catalogs import counted_statements, open_catalog

ADD = Fixed(insert(pipelines).returning(pipelines.c.key))
CHANGE = Fixed(update(pipelines).where(pipelines.c.key == given("at")))
AMONG = Fixed(select(pipelines).where(pipelines.c.key.in_(some("keys"))).order_by(pipelines.c.key))
NOT_STOPPED = Fixed(select(pipelines.c.name).where(pipelines.c.stopped.is_(False), pipelines.c.state == "RUNNING"))
REMOVE = Fixed(delete(pipelines).where(pipelines.c.key.in_(some("keys"))))
HOLD = Fixed(insert(holders))


def test_nothing_is_built_or_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    compile_ = fixed._compile
    monkeypatch.setattr(fixed, "_compile", lambda *given: (compiled.append(given), compile_(*given))[1])
    statement = Fixed(select(jobs.c.seq).where(jobs.c.seq.in_(some("seqs")), jobs.c.base == given("base")))
    with open_catalog(tmp_path, rehearse=False) as catalog:

        def work(tx: Tx) -> None:
            for seq in range(50):
                tx.execute(statement, {"seqs": [seq, seq + 1], "base": seq})

        catalog.transact(work)
        catalog.read(work)
        assert len(compiled) == 1
        catalog.read(lambda tx: tx.execute(statement, {"seqs": [1], "base": 1}))
        assert len(compiled) == 2  # another length is another text


def test_lists_of_all_lengths_need_few_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has seen every length must not keep a statement for each, and for each pair of two lists."""
    compiled: list[object] = []
    compile_ = fixed._compile
    monkeypatch.setattr(fixed, "_compile", lambda *given: (compiled.append(given), compile_(*given))[1])
    statement = Fixed(select(jobs.c.seq).where(jobs.c.seq.in_(some("a")), jobs.c.base.in_(some("b"))))
    among = Fixed(select(pipelines.c.key).where(pipelines.c.key.in_(some("keys"))).order_by(pipelines.c.key))
    with open_catalog(tmp_path, rehearse=False) as catalog:
        new = {"project": "default", "version": 1, "state": "RUNNING", "created_us": 5, "updated_us": 6}
        keys = catalog.transact(
            lambda tx: [int(tx.execute(ADD, {**new, "name": f"p{at}"}).scalar()) for at in range(40)]
        )
        compiled.clear()
        for count in range(41):
            found = catalog.read(lambda tx: tx.execute(among, {"keys": keys[:count]}).scalars())  # noqa: B023
            assert found == keys[:count]
        assert len(compiled) == 8  # none, 1, 2, 4 … 64
        compiled.clear()
        for a in range(1, 20):
            for b in range(1, 20):
                catalog.read(lambda tx: tx.execute(statement, {"a": list(range(a)), "b": list(range(b))}))  # noqa: B023
        assert len(compiled) == 36


def test_who_listens_hears_of_each(tmp_path: Path) -> None:
    def work(tx: Tx) -> None:
        tx.execute(NOT_STOPPED)
        tx.execute(AMONG, {"keys": [1]})

    with open_catalog(tmp_path, rehearse=False) as catalog:
        with counted_statements() as count:
            catalog.read(work)
            assert count() == 2
        catalog.read(work)
        assert count() == 2  # and when they have left, it goes to the driver again
        catalog.read(lambda tx: fixed.listened_to(tx._scope.connection) and pytest.fail("nobody listens"))


def test_rows_that_are_known_are_forgotten_when_it_changes_them(tmp_path: Path) -> None:
    looks: list[int] = []

    def look() -> int:
        looks.append(1)
        return len(looks)

    def work(tx: Tx) -> None:
        tx.row((pipelines,), 1, look)
        tx.row((pipelines,), 1, look)
        tx.execute(CHANGE, {"at": 1, "reason": "x"})
        tx.row((pipelines,), 1, look)
        tx.execute(HOLD, [])  # nobody to run it for

    with open_catalog(tmp_path, rehearse=False) as catalog:
        with pytest.raises(ValueError, match="no set of values"):
            catalog.transact(work)
        assert len(looks) == 2


def test_a_rule_of_the_catalog_that_it_breaks_is_told_in_words(tmp_path: Path) -> None:
    with open_catalog(tmp_path, rehearse=False) as catalog:
        with pytest.raises(Internal, match="a change would break a rule of the catalog"):
            catalog.transact(lambda tx: tx.execute(HOLD, {"fileset_id": "none", "kind": "k", "key": "1"}))
        with pytest.raises(Internal, match="a read tried to change rows"):
            catalog.read(lambda tx: tx.execute(REMOVE, {"keys": [1]}))


def test_no_default_of_a_column_needs_more_than_a_plain_value() -> None:
    for table in (events, sessions, holders, jobs, pipelines):
        assert isinstance(table, Table)
        assert all(column.default is None or column.default.is_scalar for column in table.c)


def test_the_text_is_what_sqlalchemy_would_send(tmp_path: Path) -> None:
    sent: list[str] = []
    with open_catalog(tmp_path, rehearse=False) as catalog:
        catalog.read(lambda tx: tx.execute(AMONG, {"keys": [1, 2]}))
        (plan,) = [each for key, each in AMONG._plans.items() if key[2] == (2,)]
        note = lambda _conn, _cursor, text, *_rest: sent.append(text)  # noqa: E731
        event.listen(catalog._writer._side.connection, "before_cursor_execute", note)
        catalog.transact(lambda tx: tx.execute(AMONG, {"keys": [1, 2]}))
    assert sent == [plan.text]
