"""The catalog on PostgreSQL: the contract of the engine, and what is peculiar to a server that others use too."""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections.abc import Iterator, Set
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from trunkline.ambient import RealAmbient, SimulatedAmbient
from trunkline.catalog import migrate, outbox
from trunkline.catalog.collection import checks, sessions
from trunkline.catalog.copies import empty, numbers
from trunkline.catalog.engine import Catalog, Tx
from trunkline.catalog.engine.postgres import connections
from trunkline.catalog.engine.postgres.connections import Place, make_engine
from trunkline.catalog.migrate.run import upgrade
from trunkline.catalog.tables import cursors, metadata
from trunkline.catalog.tables_pfs import commits as table_of_commits
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound, TrunklineError, Unavailable
from trunkline.model.names import Branch, Repo
from trunkline.pfs.edits import Add, Delete, Target, modify
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, repos
from trunkline.storage import Store
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.contracts.catalogs import CatalogContract, note, words
from trunkline.testing.contracts.statements import StatementContract
from trunkline.testing.engines.postgres import PASSWORD, Postgres, drop_schema

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
pytestmark = pytest.mark.engines


@pytest.fixture
def url(pg: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a schema of the test's own."""
    url = pg.schema(request.node.nodeid)
    yield url
    drop_schema(url)


class TestPlain(CatalogContract, StatementContract):
    """As the server runs it."""

    @pytest.fixture
    def catalog(self, tmp_path: Path, url: str) -> Iterator[Catalog]:
        with Catalog.open(tmp_path, RealAmbient(), database=url) as catalog:
            yield catalog


class TestRehearsing(CatalogContract, StatementContract):
    """Every function twice."""

    @pytest.fixture
    def catalog(self, tmp_path: Path, url: str) -> Iterator[Catalog]:
        with Catalog.open(tmp_path, RealAmbient(), database=url, rehearse=True) as catalog:
            yield catalog


@pytest.fixture
def catalog(tmp_path: Path, url: str) -> Iterator[Catalog]:
    """One that does not wait for the disk, and runs each function once."""
    with Catalog.open(tmp_path / "data", RealAmbient(), database=url, synchronous="OFF") as catalog:
        yield catalog


def work_on(catalog: Catalog, place: Path, ambient: SimulatedAmbient) -> list[object]:
    """A small history of two repos, one derived from the other; what can be seen of it in the end."""
    data, derived = Repo("default", "data"), Repo("default", "derived")
    files = Files(catalog, Store(MemoryBlobs(), place, ambient), ambient)
    catalog.transact(repos.ensure_default_project)
    for repo in (data, derived):
        catalog.transact(lambda tx, repo=repo: repos.create_repo(tx, repo))  # type: ignore[misc]
    files.change(
        lambda change: branches.create_branch(change, Branch(derived, "master"), provenance=[Branch(data, "master")])
    )
    seen: list[object] = []
    for number in range(12):
        modify(files, Target(data, branch="master"), [Add(f"/{number}", b"%d" % number), Delete(f"/{number - 3}")])
        with contextlib.suppress(NotFound):
            files.change(lambda change: commits.start_commit(change, Branch(Repo("default", "none"), "master")))
        finish_waiting(files)
        for repo in (data, derived):
            info = catalog.read(partial(commits.inspect_commit, repo=repo, ref="master"))
            seen.append(replace(info, seq=0))  # a number that was given and not used is not given again
    return seen + [
        (one.topic, sorted(one.payload)) for one in catalog.read(partial(outbox.read_after, position=0, limit=1000))
    ]


def refused_at_times(catalog: Catalog, monkeypatch: pytest.MonkeyPatch, state: str, every: int) -> list[int]:
    """From now on each n-th COMMIT is one that the server refuses; answers the list that counts them."""
    side = catalog._writer._side
    commit, count = side.commit, [0, 0]

    def fails_at_times(last_event: int, names: Set[str]) -> None:
        count[0] += 1
        if count[0] % every == 0:
            count[1] += 1
            side.run(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")
        commit(last_event, names)

    monkeypatch.setattr(side, "commit", fails_at_times)
    return count


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_what_could_not_be_serialised_is_run_again_and_ends_the_same(
    pg: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    urls = [pg.schema(f"{tmp_path}-{number}") for number in range(2)]
    seen = []
    for number, url in enumerate(urls):
        ambient = SimulatedAmbient(3)
        with Catalog.open(tmp_path / str(number), ambient, database=url, synchronous="OFF") as catalog:
            count = refused_at_times(catalog, monkeypatch, state, 3) if number else [0, 0]
            seen.append(work_on(catalog, tmp_path / f"cache-{number}", ambient))
            assert catalog.read(lambda tx: list(checks.violations(tx))) == []
            assert catalog.counts.retries == count[1]
        drop_schema(url)
    assert count[1] > 20
    assert seen[0] == seen[1]


def test_one_that_is_refused_every_time_is_told_in_words(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_at_times(catalog, monkeypatch, "40001", 1)
    with pytest.raises(Unavailable, match="try again"):
        catalog.transact(lambda tx: note(tx, "a"))
    monkeypatch.undo()
    assert catalog.read(words) == []
    catalog.transact(lambda tx: note(tx, "b"))


def backend_of(catalog: Catalog) -> int:
    """The server's number of the writing connection."""
    side: Any = catalog._writer._side
    return int(side.process)


def hang_up(pg: Postgres, catalog: Catalog) -> None:
    """The server ends the writing connection."""
    with psycopg.connect(pg.whole_url) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (backend_of(catalog),))


def test_a_connection_that_breaks_costs_nothing(catalog: Catalog, pg: Postgres) -> None:
    catalog.transact(lambda tx: note(tx, "a"))
    hang_up(pg, catalog)
    catalog.transact(lambda tx: note(tx, "b"))  # between two turns
    tries: list[int] = []

    def broken_once(tx: Tx) -> None:
        note(tx, "c")
        tries.append(len(tries))
        if len(tries) == 1:
            hang_up(pg, catalog)
        note(tx, "d")

    catalog.transact(broken_once)
    assert tries == [0, 1]
    assert catalog.read(words) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_commit_whose_answer_is_lost_happens_once(
    catalog: Catalog, pg: Postgres, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    catalog.transact(lambda tx: note(tx, "first"))
    side: Any = catalog._writer._side
    say, broken = side._line.say, list[str]()

    def loses_the_answer(words: str) -> object:
        if "COMMIT" in words and not broken:
            broken.append(words)
            if kept:
                say(words)
            hang_up(pg, catalog)
        return say(words)

    monkeypatch.setattr(side._line, "say", loses_the_answer)
    catalog.transact(lambda tx: note(tx, "once"))
    assert broken
    assert catalog.counts.retries == (0 if kept else 1)
    assert catalog.read(words) == ["first", "once"]


def test_a_server_that_starts_anew_is_waited_for(pg: Postgres, tmp_path: Path, url: str) -> None:
    # One that waits for the disk: others may lose their last moment with the server.
    with Catalog.open(tmp_path, RealAmbient(), database=url) as catalog:
        survives(pg, catalog)


def survives(pg: Postgres, catalog: Catalog) -> None:
    """What was acknowledged is there when the server comes back, and what was asked meanwhile is done."""
    catalog.transact(lambda tx: note(tx, "before"))
    assert catalog.read(words) == ["before"]
    pg.kill()
    done: list[object] = []
    threads = [
        threading.Thread(target=lambda: done.append(catalog.transact(lambda tx: note(tx, "during")))),
        threading.Thread(target=lambda: done.append(catalog.read(words))),
    ]
    for thread in threads:
        thread.start()
    pg.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    assert catalog.read(words) == ["before", "during"]


def test_what_one_process_commits_wakes_the_others_in_order(tmp_path: Path, url: str, pg: Postgres) -> None:
    with ExitStack() as stack:
        some = [
            stack.enter_context(Catalog.open(tmp_path / str(number), RealAmbient(), database=url))
            for number in range(3)
        ]
        heard: list[list[int]] = [[], []]
        for mine, one in zip(heard, some[:2], strict=True):
            one.wake.subscribe(lambda seq, _names, mine=mine: mine.append(seq))
        threads = [
            threading.Thread(target=lambda one=one: [one.transact(lambda tx: note(tx, "x")) for _ in range(20)])
            for one in some
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in some:
            while one.wake.seq < 60:
                assert one.wake.wait(one.wake.seq, 60) > 0
            events = one.read(lambda tx: outbox.read_after(tx, 0, 100))
            assert [event.seq for event in events] == list(range(1, 61))
        assert [max(mine) for mine in heard] == [60, 60]
        pg.kill()
        pg.start()
        some[0].transact(lambda tx: note(tx, "after"))
        while some[1].wake.seq < 61:
            some[1].wake.wait(60, 60)


def test_a_process_that_stops_in_its_turn_loses_it(
    tmp_path: Path, url: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 1)
    with Catalog.open(tmp_path / "sleeper", RealAmbient(), database=url) as sleeper:
        mine, other = threading.Event(), threading.Event()

        def sleeps(tx: Tx) -> None:
            note(tx, "sleeper")
            if not mine.is_set():
                mine.set()
                assert other.wait(60)

        thread = threading.Thread(target=lambda: sleeper.transact(sleeps))
        thread.start()
        assert mine.wait(60)
        catalog.transact(lambda tx: note(tx, "the others go on"))
        other.set()
        thread.join()
        assert catalog.read(words) == ["the others go on", "sleeper"]


@pytest.mark.parametrize(
    ("url", "kind", "told"),
    [
        ("mysql://h/d", InvalidArgument, "is no URL of PostgreSQL"),
        ("postgresql://u:{}@127.0.0.1:{port}/nothing", FailedPrecondition, "nothing"),
        ("postgresql://tester:wrong-one@127.0.0.1:{port}/postgres", FailedPrecondition, "password authentication"),
        ("postgresql://tester:wrong-one@127.0.0.1:1/postgres", Unavailable, "cannot be reached"),
        ("postgresql://tester:wrong-one@127.0.0.1:x/postgres", FailedPrecondition, "port"),
        ("postgresql://tester@127.0.0.1/postgres?password=wrong-one&nonsense=1", InvalidArgument, "nonsense"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_and_no_password_is_shown(
    pg: Postgres, tmp_path: Path, url: str, kind: type[TrunklineError], told: str, caplog: Any
) -> None:
    whole = url.replace("{port}", str(pg.port)).replace("u:{}", f"tester:{PASSWORD}")
    with pytest.raises(kind, match=told) as caught:
        Catalog.open(tmp_path, RealAmbient(), database=whole)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "wrong-one" not in shown.replace(repr(url), "").replace(whole, "")
    assert PASSWORD not in str(caught.value)


def test_a_driver_that_is_missing_is_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(FailedPrecondition, match=r"pip install 'trunkline\[postgres\]'"):
        Catalog.open(tmp_path, RealAmbient(), database="postgresql://u:secret@h/d")


def test_a_newer_release_and_anybody_elses_tables_are_left_alone(tmp_path: Path, url: str, catalog: Catalog) -> None:
    with Catalog.open(tmp_path / "newer", RealAmbient(), database=url) as newer:
        newer.transact(lambda tx: tx.execute("UPDATE schema_version SET version = 99"))
    with pytest.raises(FailedPrecondition, match="start that release here too"):
        catalog.transact(lambda tx: note(tx, "a"))
    with pytest.raises(FailedPrecondition, match=r"newer Trunkline \(tables of version 99"):
        Catalog.open(tmp_path / "old", RealAmbient(), database=url)


def test_a_fresh_database_equals_a_migrated_one(pg: Postgres, tmp_path: Path) -> None:
    fresh, old = (pg.schema(f"{tmp_path}-{name}") for name in ("fresh", "old"))
    Catalog.open(tmp_path, RealAmbient(), database=fresh).close()
    with make_engine(Place.of(old)).connect() as connection:
        upgrade(connection, 0, migrate.NEWEST)
        migrate.first_rows(connection)
    Catalog.open(tmp_path, RealAmbient(), database=old).close()
    assert shape(fresh) == shape(old)
    assert {row[0] for row in shape(fresh)["columns"]} == set(metadata.tables)
    for url in (fresh, old):
        drop_schema(url)


def shape(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that statements can depend on."""
    queries = {
        "columns": "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, collation_name, "
        "regexp_replace(column_default, '\\w+\\.', '') FROM information_schema.columns "
        "WHERE table_schema = current_schema() ORDER BY 1, ordinal_position",
        "indexes": "SELECT tablename, indexname, replace(indexdef, current_schema(), '') FROM pg_indexes "
        "WHERE schemaname = current_schema() ORDER BY 1, 2",
        "rules": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = current_schema()::regnamespace ORDER BY 1, 2",
    }
    with psycopg.connect(url) as connection:
        return {name: connection.execute(query.encode()).fetchall() for name, query in queries.items()}


def test_texts_are_ordered_byte_by_byte_whatever_the_language(pg: Postgres, catalog: Catalog) -> None:
    names = ["a", "B", "_", "ä", "aa", "-b", "Z"]
    catalog.transact(lambda tx: [tx.execute(insert(cursors).values(name=one, position=0, fence=0)) for one in names])
    found = catalog.read(lambda tx: tx.execute(select(cursors.c.name).order_by(cursors.c.name)).scalars())
    assert found == sorted(names, key=str.encode)


def test_a_text_with_a_zero_in_it_is_refused_in_words(catalog: Catalog) -> None:
    with pytest.raises(InvalidArgument, match="number 0"):
        catalog.transact(lambda tx: tx.execute(insert(cursors).values(name="a\0b", position=0, fence=0)))


def test_numbers_given_by_hand_are_passed(catalog: Catalog) -> None:
    catalog.transact(lambda tx: empty.pass_gen(tx, 41))
    assert catalog.transact(lambda tx: sessions.open_session(tx, "test")) == 42
    assert catalog.transact(lambda tx: numbers.reserve(tx, table_of_commits.c.seq, 7)) == 0
    assert catalog.transact(lambda tx: numbers.reserve(tx, table_of_commits.c.seq, 2)) == 7
