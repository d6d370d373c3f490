"""The promises of `trunkline.catalog.engine.Catalog`, whatever database is behind it."""

from __future__ import annotations

import threading
from collections.abc import Set

import pytest
from sqlalchemy import select

from trunkline.catalog import outbox
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.engine import Catalog, Seed, Trace, Tx
from trunkline.catalog.tables_pfs import projects
from trunkline.errors import Internal, NotFound, Unavailable
from trunkline.model.names import Repo


def note(tx: Tx, word: str) -> int:
    """Keep a word; answers how many are kept."""
    tx.emit("word", {"word": word})
    return count(tx) + 1


def words(tx: Tx) -> list[str]:
    """The words kept, in order."""
    return [event.payload["word"] for event in outbox.read_after(tx, 0, 100_000, ["word"])]


def count(tx: Tx) -> int:
    """How many words are kept."""
    return len(words(tx))


class CatalogContract:
    """Supply the fixture `catalog`: a fresh one for each test, which the fixture closes."""

    def test_what_a_function_answers_comes_back(self, catalog: Catalog) -> None:
        assert catalog.transact(lambda tx: note(tx, "a")) == 1
        assert catalog.read(words) == ["a"]

    def test_an_error_undoes_its_own_function_and_reaches_its_caller(self, catalog: Catalog) -> None:
        def fails(tx: Tx) -> None:
            note(tx, "lost")
            raise NotFound("no such repo")

        catalog.transact(lambda tx: note(tx, "kept"))
        with pytest.raises(NotFound, match="no such repo"):
            catalog.transact(fails)
        assert catalog.read(words) == ["kept"]

    def test_a_bug_in_a_function_undoes_it_too(self, catalog: Catalog) -> None:
        def fails(tx: Tx) -> None:
            note(tx, "lost")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            catalog.transact(fails)
        assert catalog.read(words) == []
        catalog.transact(lambda tx: note(tx, "goes on"))

    def test_a_statement_that_breaks_a_rule_is_told_in_words(self, catalog: Catalog) -> None:
        def twice(tx: Tx) -> None:
            tx.execute("INSERT INTO cursors (name, position, fence) VALUES ('x', 0, 0)")
            tx.execute("INSERT INTO cursors (name, position, fence) VALUES ('x', 0, 0)")

        with pytest.raises(Internal, match="break a rule"):
            catalog.transact(twice)
        assert catalog.read(lambda tx: outbox.position_of(tx, "x")) is None

    def test_neighbours_of_a_failing_function_are_kept(self, catalog: Catalog) -> None:
        """Many at once, so that they share commits: each outcome is its own."""
        outcomes: dict[int, object] = {}

        def work(number: int) -> None:
            def f(tx: Tx) -> int:
                note(tx, str(number))
                if number % 3 == 0:
                    raise NotFound(str(number))
                return number

            try:
                outcomes[number] = catalog.transact(f)
            except NotFound as error:
                outcomes[number] = str(error)

        _at_once([lambda n=n: work(n) for n in range(60)])
        assert outcomes == {n: str(n) if n % 3 == 0 else n for n in range(60)}
        assert sorted(map(int, catalog.read(words))) == [n for n in range(60) if n % 3]

    def test_writes_are_one_after_another(self, catalog: Catalog) -> None:
        """Read, then write: no update is lost."""
        catalog.transact(lambda tx: outbox.open_cursor(tx, "sum"))

        def add(tx: Tx) -> None:
            value = outbox.position_of(tx, "sum")
            assert value is not None
            tx.execute("UPDATE cursors SET position = :value WHERE name = 'sum'", {"value": value + 1})

        def many() -> None:
            for _ in range(25):
                catalog.transact(add)

        _at_once([many] * 8)
        assert catalog.read(lambda tx: outbox.position_of(tx, "sum")) == 200

    def test_a_seed_gives_the_same_ids_and_instant_again(self, catalog: Catalog) -> None:
        def f(tx: Tx) -> tuple[int, str, str]:
            return tx.now_us, tx.new_id(), tx.new_id()

        seed = Seed(123, 456)
        first = catalog.dry_run(f, seed)
        assert catalog.transact(f, seed) == first
        assert first[0] == 123
        assert len({first[1], first[2], catalog.transact(f)[1]}) == 3

    def test_a_recorded_request_keeps_its_seed_inside_another_transaction(self, catalog: Catalog) -> None:
        seed = Seed(5, 6)
        alone = catalog.transact(lambda tx: (tx.now_us, tx.new_id()), seed)

        def together(tx: Tx) -> tuple[int, str]:
            tx.new_id()
            request = tx.seeded(seed)
            note(request, "x")
            return request.now_us, request.new_id()

        assert catalog.transact(together) == alone
        assert catalog.read(words) == ["x"]

    def test_a_dry_run_answers_and_leaves_nothing(self, catalog: Catalog) -> None:
        before = catalog.wake.seq
        assert catalog.dry_run(lambda tx: note(tx, "a")) == 1
        assert catalog.read(words) == []
        assert catalog.wake.seq == before

    def test_what_is_tried_in_a_function_is_undone_in_it(self, catalog: Catalog) -> None:
        before = catalog.wake.seq

        marks: list[int] = []

        def work(tx: Tx) -> str:
            mark = tx.mark
            marks.append(mark)
            with tx.undone():
                repo_rows.insert_project(tx, "tried", "", "")
                note(tx, "tried")
                tx.new_id()
                assert repo_rows.find_project(tx, "tried") is not None
            assert repo_rows.find_project(tx, "tried") is None
            assert tx.unchanged(mark)
            return tx.new_id()

        id = catalog.transact(work, Seed(1, 2))
        mark = marks[-1]
        assert catalog.wake.seq == before
        assert id != catalog.transact(lambda tx: tx.new_id(), Seed(1, 2))
        assert catalog.transact(lambda tx: tx.unchanged(mark))
        catalog.transact(lambda tx: repo_rows.insert_project(tx, "kept", "", ""))
        assert not catalog.transact(lambda tx: tx.unchanged(mark))
        assert catalog.transact(lambda tx: tx.unchanged(mark, [projects]))

    def test_what_is_undone_takes_no_statement_with_it(self, catalog: Catalog) -> None:
        """However often others were run before: a driver may prepare those, and forget all of them together."""

        def tries(tx: Tx) -> int:
            for number in range(12):
                tx.execute(select(projects.c.name).where(projects.c.name == f"p{number}"))
            with tx.undone():
                note(tx, "undone")
            return note(tx, "kept")

        assert [catalog.transact(tries) for _ in range(3)] == [1, 2, 3]
        assert catalog.read(words) == ["kept"] * 3

    def test_what_was_changed_is_changed_again_on_the_same_rows(self, catalog: Catalog) -> None:
        catalog.transact(lambda tx: repo_rows.insert_project(tx, "p", "", ""))

        def change(tx: Tx) -> None:
            tx.new_id()
            for name in ("one", "two", "three"):
                repo_rows.insert_repo(tx, Repo("p", name), "of a first try")
            repo_rows.delete_repo(tx, repo_rows.list_repos(tx, ["p"], "")[1].key)

        def first(tx: Tx) -> tuple[list[repo_rows.RepoRow], Trace]:
            with tx.undone():
                with tx.traced() as trace:
                    change(tx)
                return repo_rows.list_repos(tx, ["p"], ""), trace

        def again(tx: Tx) -> tuple[list[repo_rows.RepoRow] | None, str]:
            with tx.undone():
                done = tx.again(trace)
                return repo_rows.list_repos(tx, ["p"], "") if done else None, tx.new_id()

        had, trace = catalog.transact(first, Seed(1, 2))
        assert [row.repo.name for row in had] == ["three", "one"]
        for _ in range(2):
            has, id = catalog.transact(again, Seed(1, 2))
            if has is None:  # a database that gives no number twice does nothing at all
                assert catalog.transact(lambda tx: tx.on_server)
                assert id == catalog.transact(lambda tx: tx.new_id(), Seed(1, 2))
            else:
                assert has == had
                assert id == catalog.transact(lambda tx: [tx.new_id(), tx.new_id()], Seed(1, 2))[1]
        assert catalog.read(lambda tx: repo_rows.list_repos(tx, ["p"], "")) == []

    def test_a_read_is_one_snapshot(self, catalog: Catalog) -> None:
        catalog.transact(lambda tx: note(tx, "before"))
        seen, written = threading.Event(), threading.Event()

        def look(tx: Tx) -> tuple[list[str], list[str]]:
            first = words(tx)
            seen.set()
            assert written.wait(60)
            return first, words(tx)

        def write() -> None:
            assert seen.wait(60)
            catalog.transact(lambda tx: note(tx, "during"))  # readers do not hold up the writer
            written.set()

        writer = threading.Thread(target=write)
        writer.start()
        assert catalog.read(look) == (["before"], ["before"])
        writer.join()
        assert catalog.read(words) == ["before", "during"]

    def test_a_read_changes_nothing(self, catalog: Catalog) -> None:
        with pytest.raises(Internal):
            catalog.read(lambda tx: tx.execute("DELETE FROM events").rowcount)
        with pytest.raises(Internal):
            catalog.read(lambda tx: tx.emit("word", {}))
        with pytest.raises(Internal):
            catalog.read(lambda tx: tx.new_id())

    def test_a_transaction_is_dead_when_its_function_has_returned(self, catalog: Catalog) -> None:
        for run in (catalog.transact, catalog.read):
            kept: list[Tx] = []
            run(kept.append)
            with pytest.raises(Internal, match="after its function had returned"):
                words(kept[-1])

    @pytest.mark.parametrize("inner", ["transact", "read", "dry_run"])
    def test_a_transaction_cannot_wait_for_another(self, catalog: Catalog, inner: str) -> None:
        with pytest.raises(Internal, match=r"own tx|pass the tx on"):
            catalog.transact(lambda _tx: getattr(catalog, inner)(words))

    def test_a_read_inside_a_read_is_refused(self, catalog: Catalog) -> None:
        with pytest.raises(Internal, match="pass the tx on"):
            catalog.read(lambda _tx: catalog.read(words))
        assert catalog.read(words) == []

    def test_more_readers_than_connections_take_turns(self, catalog: Catalog) -> None:
        catalog.transact(lambda tx: note(tx, "a"))
        answers: list[list[str]] = []
        _at_once([lambda: answers.append(catalog.read(words))] * 30)
        assert answers == [["a"]] * 30

    def test_events_wake_who_waits(self, catalog: Catalog) -> None:
        start = catalog.wake.seq
        got: list[int] = []
        waiting = threading.Thread(target=lambda: got.append(catalog.wake.wait(start, 60)))
        waiting.start()
        catalog.transact(lambda _tx: None)  # emits nothing, wakes nobody
        assert not got
        catalog.transact(lambda tx: note(tx, "a"))
        waiting.join()
        assert got == [start + 1]

    def test_events_are_announced_before_their_function_is_answered(self, catalog: Catalog) -> None:
        for number in range(1, 200):
            catalog.transact(lambda tx: tx.emit("word", {}))
            assert catalog.wake.seq == number

    def test_waiting_ends_when_the_time_is_up(self, catalog: Catalog) -> None:
        assert catalog.wake.wait(catalog.wake.seq, 0.01) == catalog.wake.seq

    def test_a_subscriber_hears_of_each_commit_with_events(self, catalog: Catalog) -> None:
        heard: list[tuple[int, Set[str]]] = []
        cancel = catalog.wake.subscribe(lambda seq, names: heard.append((seq, names)))
        catalog.wake.subscribe(_broken)  # one that fails is dropped and harms nobody
        for word in "abc":
            catalog.transact(lambda tx, word=word: note(tx, word))  # type: ignore[misc]
        catalog.transact(lambda _tx: None)
        cancel()
        catalog.transact(lambda tx: note(tx, "d"))
        assert heard == [(1, {"word"}), (2, {"word"}), (3, {"word"})]

    def test_who_waits_for_a_topic_is_woken_by_nothing_else(self, catalog: Catalog) -> None:
        start = catalog.wake.seq
        got: list[int] = []
        waiting = threading.Thread(target=lambda: got.append(catalog.wake.wait(start, 60, "thing", "deed")))
        waiting.start()
        for word in "abc":
            catalog.transact(lambda tx, word=word: note(tx, word))  # type: ignore[misc]
        assert catalog.wake.newest("thing", "deed") == start
        assert catalog.wake.wait(start, 0.01, "thing") == start
        assert not got
        catalog.transact(lambda tx: tx.emit("thing", {"seq": 7}))
        waiting.join()
        assert got == [start + 4] == [catalog.wake.newest("thing")]
        assert catalog.wake.newest("word") == start + 3

    def test_a_word_without_topics_wakes_everybody(self, catalog: Catalog) -> None:
        wake = catalog.wake
        wake.set(wake.seq + 1)
        assert wake.wait(wake.seq - 1, 60, "thing") == wake.seq

    def test_a_closed_catalog_says_so(self, catalog: Catalog) -> None:
        catalog.close()
        with pytest.raises(Unavailable, match="closed"):
            catalog.transact(words)
        with pytest.raises(Unavailable, match="closed"):
            catalog.read(words)
        assert catalog.wake.wait(100, 60) == 0  # does not wait
        catalog.close()

    def test_closing_finishes_what_was_accepted(self, catalog: Catalog) -> None:
        outcomes: list[object] = []

        def work() -> None:
            try:
                outcomes.append(catalog.transact(lambda tx: note(tx, "x")))
            except Unavailable as error:
                outcomes.append(error)

        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        catalog.close()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 20


def _broken(_seq: int, _names: Set[str]) -> None:
    raise RuntimeError("its loop is closed")


def _at_once(functions: list[object]) -> None:
    """Run them in threads that start together; the first error is raised."""
    gate = threading.Barrier(len(functions))
    errors: list[BaseException] = []

    def run(function: object) -> None:
        gate.wait(60)
        try:
            function()  # type: ignore[operator]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
