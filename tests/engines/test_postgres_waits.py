"""How often a server on PostgreSQL waits for an answer: on a network that is most of what a small change costs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from trunkline.ambient import RealAmbient, SimulatedAmbient
from trunkline.catalog import outbox
from trunkline.catalog.engine import Catalog, Tx
from trunkline.catalog.tables import cursors
from trunkline.errors import Internal, InvalidArgument, TrunklineError
from trunkline.model.names import Repo
from trunkline.pfs.edits import Add, Target, modify
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.storage import Store
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.contracts.statements import ADD, CLEAR, MOVE
from trunkline.testing.engines.postgres import Postgres, drop_schema

pytestmark = pytest.mark.engines


@pytest.fixture
def catalog(tmp_path: Path, pg: Postgres, request: pytest.FixtureRequest) -> Iterator[Catalog]:
    """One that does not wait for the disk, and runs each function once."""
    url = pg.schema(request.node.nodeid)
    with Catalog.open(tmp_path / "data", RealAmbient(), database=url, synchronous="OFF") as catalog:
        yield catalog
    drop_schema(url)


def waits(catalog: Catalog) -> int:
    """How often the server was waited for, by all connections of a catalog."""
    reading = [each.line for each in list(catalog._readers._idle.queue) if each is not None]
    lines: list[Any] = [catalog._writer._side.line, *reading]
    return sum(line.count for line in lines)


def told(tx: Tx, times: int) -> None:
    """Emit some events."""
    for _ in range(times):
        tx.emit("a", {})


def waited(catalog: Catalog, what: Callable[[], object]) -> int:
    """How often it is waited for in this, which is done twice: the first time prepares its statements."""
    what()
    before = waits(catalog)
    what()
    return waits(catalog) - before


def test_a_transaction_waits_to_begin_and_to_end_and_a_read_for_its_statements(catalog: Catalog) -> None:
    rows = [{"name": str(number), "position": number, "fence": 1} for number in range(100)]
    assert waited(catalog, lambda: catalog.transact(lambda tx: None)) == 2
    assert waited(catalog, lambda: catalog.transact(lambda tx: told(tx, 1))) == 3
    assert waited(catalog, lambda: catalog.transact(lambda tx: told(tx, 9))) == 3
    assert waited(catalog, lambda: catalog.read(lambda tx: None)) == 0
    assert waited(catalog, lambda: catalog.read(outbox.newest)) == 1
    assert waited(catalog, lambda: catalog.read(lambda tx: (outbox.newest(tx), outbox.newest(tx)))) == 2
    assert waited(catalog, lambda: catalog.transact(lambda tx: (tx.execute(CLEAR), tx.execute(ADD, rows)))) == 2
    assert waited(catalog, lambda: catalog.transact(lambda tx: tx.execute(MOVE, {"of": "1", "to": 1}).rowcount)) == 3
    assert waited(catalog, lambda: catalog.transact(lambda tx: tx.execute(MOVE, [{"of": "1", "to": 1}] * 100))) == 2 + 1


def test_a_change_that_was_put_off_fails_for_its_function_alone(catalog: Catalog) -> None:
    catalog.transact(lambda tx: tx.execute(ADD, {"name": "taken", "position": 0, "fence": 0}))

    def work(number: int, begun: threading.Barrier) -> list[int] | str:
        def add(tx: Tx) -> list[int]:
            first = tx.execute(ADD, {"name": f"n{number}", "position": 0, "fence": 0})
            if number % 4 == 2:
                raise InvalidArgument("a mistake of the caller")  # nothing was sent yet
            other = "taken" if number % 4 == 1 else f"m{number}"
            second = tx.execute(ADD, {"name": other, "position": 0, "fence": 0})
            return [first.rowcount, second.rowcount] if number % 4 == 3 else []

        begun.wait()
        try:
            return catalog.transact(add)
        except TrunklineError as error:
            return str(error)

    begun = threading.Barrier(16)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: work(number, begun), range(16)))
    assert found[0::4] + found[3::4] == [[]] * 4 + [[1, 1]] * 4
    assert all("would break a rule of the catalog" in one for one in found[1::4])
    assert found[2::4] == ["a mistake of the caller"] * 4
    kept = {*catalog.read(lambda tx: tx.execute(select(cursors.c.name)).scalars())}
    assert kept == {"taken"} | {f"{letter}{number}" for letter in "nm" for number in range(16) if number % 4 in (0, 3)}


def test_a_trial_hears_of_a_change_that_was_put_off(catalog: Catalog) -> None:
    row = {"name": "once", "position": 0, "fence": 0}
    catalog.transact(lambda tx: tx.execute(ADD, row))
    with pytest.raises(Internal, match="would break a rule of the catalog"):
        catalog.dry_run(lambda tx: tx.execute(ADD, row))


def test_each_function_of_a_group_waits_once_more(catalog: Catalog) -> None:
    catalog.transact(lambda tx: None)
    with ThreadPoolExecutor(20) as pool:
        before, began = waits(catalog), catalog.counts.commits
        list(pool.map(lambda _: catalog.transact(lambda tx: None), range(100)))
        assert waits(catalog) - before <= 100 + 2 * (catalog.counts.commits - began)


def test_a_commit_waits_a_known_number_of_times(catalog: Catalog, tmp_path: Path) -> None:
    catalog.transact(repos.ensure_default_project)
    catalog.transact(lambda tx: repos.create_repo(tx, Repo("default", "data")))
    ambient = SimulatedAmbient(3)
    files = Files(catalog, Store(MemoryBlobs(), tmp_path, ambient), ambient)
    target = Target(Repo("default", "data"), branch="master")
    put = partial(modify, files, target, [Add("/f", b"x")])
    for _ in range(3):
        put()
        finish_waiting(files)
    assert waited(catalog, lambda: (put(), finish_waiting(files))) <= 61
