"""Sessions, chunks, file sets, pins and cycles: what each function of collection promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.world import Chunk, FileSet, X
from trunkline.catalog.collection import checks, chunks, cycle, filesets, sessions
from trunkline.catalog.engine import Catalog
from trunkline.catalog.tables import metadata
from trunkline.errors import Aborted, Internal
from trunkline.testing.catalogs import open_catalog


@pytest.fixture
def catalog(tmp_path: Path):
    with open_catalog(tmp_path) as catalog:
        yield catalog


def opened(catalog: Catalog) -> int:
    return catalog.transact(lambda tx: sessions.open_session(tx, "test"))


def uploaded(catalog: Catalog, gen: int, digest: bytes = X) -> int:
    return catalog.transact(lambda tx: chunks.register(tx, gen, [Chunk(digest, gen)]))[digest]


def sealed(catalog: Catalog, gen: int, *keys: chunks.Key, name: int = 1) -> FileSet:
    made = FileSet(f"{name:032x}", keys)
    catalog.transact(lambda tx: filesets.seal(tx, gen, [made], keys))
    return made


def collected(catalog: Catalog, fence: int | None = None) -> int:
    """One cycle in which nothing is named. Answers its number."""
    own = catalog.transact(cycle.take) if fence is None else fence

    def run(tx) -> int:
        number = cycle.begin(tx, own)
        mark = cycle.mark(tx)
        rest = [(row.hash, row.gen) for row in cycle.list_chunks(tx, None, 1000)]
        cycle.doom(tx, own, number, mark.clear_through, rest)
        cycle.condemn(tx, own, number, rest)
        cycle.note_waits(tx, own, number)
        cycle.delete_unheld(tx, own, number, 1000)
        cycle.finish_doom(tx, own, number)
        return number

    return catalog.transact(run)


def condemned_by(catalog: Catalog) -> dict[chunks.Key, int | None]:
    rows = catalog.read(lambda tx: cycle.list_chunks(tx, None, 1000))
    return {(row.hash, row.gen): row.condemned for row in rows}


def test_numbers_of_sessions_are_never_given_again(tmp_path: Path):
    with open_catalog(tmp_path) as catalog:
        given = [opened(catalog) for _ in range(3)]
        catalog.transact(sessions.end_all)
        assert catalog.transact(lambda tx: sessions.forget_ended(tx, 100)) == 2
        with pytest.raises(ZeroDivisionError):
            catalog.transact(lambda tx: sessions.open_session(tx, "fails") / 0)
    with open_catalog(tmp_path) as catalog:
        assert opened(catalog) > max(given)


@pytest.mark.parametrize(
    "call",
    [
        lambda tx, gen: chunks.known(tx, gen, [X]),
        lambda tx, gen: chunks.look_up(tx, gen, [X]),
        lambda tx, gen: chunks.register(tx, gen, [Chunk(X, gen)]),
        lambda tx, gen: chunks.refresh(tx, gen, []),
        lambda tx, gen: filesets.seal(tx, gen, [FileSet("a", ())]),
        lambda tx, gen: filesets.hold(tx, gen, ["b"]),
        lambda tx, gen: filesets.adopt(tx, gen, ["b"], "commit", "1"),
    ],
)
@pytest.mark.parametrize("gen", [1, 7])
def test_a_session_that_is_not_open_is_refused_everything(catalog: Catalog, call, gen: int):
    other = opened(catalog)
    catalog.transact(lambda tx: filesets.seal(tx, other, [FileSet("b", ())]))
    catalog.transact(lambda tx: filesets.share(tx, "b", "keep", "1"))
    catalog.transact(lambda tx: sessions.end_session(tx, other))
    with pytest.raises(Aborted, match=f"session {gen} has ended"):
        catalog.transact(lambda tx: call(tx, gen))


def test_the_first_row_of_a_content_wins(catalog: Catalog):
    first, second = opened(catalog), opened(catalog)
    assert uploaded(catalog, first) == first
    assert uploaded(catalog, second) == first
    assert list(condemned_by(catalog)) == [(X, first)]


def test_a_condemned_row_that_was_there_first_wins_and_lives_again(catalog: Catalog):
    first = opened(catalog)
    uploaded(catalog, first)
    catalog.transact(lambda tx: sessions.end_session(tx, first))
    second = opened(catalog)
    number = collected(catalog)
    assert condemned_by(catalog) == {(X, first): number}
    assert uploaded(catalog, second) == first
    assert condemned_by(catalog) == {(X, first): None}


def test_a_look_up_in_a_snapshot_tells_live_from_condemned(catalog: Catalog):
    first = opened(catalog)
    uploaded(catalog, first)
    look = lambda tx: chunks.look_up(tx, second, [X, X, b"y" * 32])  # noqa: E731
    second = opened(catalog)
    assert catalog.read(look) == chunks.Found({X: first}, {})
    catalog.transact(lambda tx: sessions.end_session(tx, first))
    collected(catalog)
    assert catalog.read(look) == chunks.Found({}, {X: first})


def test_asking_writes_only_where_something_must_be_revived(catalog: Catalog):
    first = opened(catalog)
    uploaded(catalog, first)
    catalog.transact(lambda tx: sessions.end_session(tx, first))
    second = opened(catalog)
    before = catalog.counts.functions
    assert chunks.ask(catalog, second, [X, b"y" * 32]) == {X: first}
    assert catalog.counts.functions == before
    collected(catalog)
    assert chunks.ask(catalog, second, [X]) == {X: first}
    assert condemned_by(catalog) == {(X, first): None}


def test_what_an_open_session_has_uploaded_is_not_condemned(catalog: Catalog):
    gen = opened(catalog)
    uploaded(catalog, gen)
    collected(catalog)
    assert condemned_by(catalog) == {(X, gen): None}


def test_damaged_content_can_be_stored_again_beside(catalog: Catalog):
    first, second = opened(catalog), opened(catalog)
    uploaded(catalog, first)
    catalog.transact(lambda tx: chunks.mark_damaged(tx, [(X, first)]))
    assert catalog.transact(lambda tx: chunks.known(tx, second, [X])) == {}
    assert uploaded(catalog, second) == second
    assert set(condemned_by(catalog)) == {(X, first), (X, second)}
    assert catalog.read(lambda tx: chunks.intact_of(tx, X)) == second


def test_two_rows_of_one_content_are_impossible(catalog: Catalog):
    gen = opened(catalog)
    uploaded(catalog, gen)
    with pytest.raises(Internal, match="rule of the catalog"):
        catalog.transact(
            lambda tx: tx.execute(
                "INSERT INTO chunks (hash, gen, size_bytes, stored_bytes) VALUES (:x, 99, 1, 1)", {"x": X}
            )
        )


def test_a_thousand_chunks_at_once(catalog: Catalog):
    gen = opened(catalog)
    many = [Chunk(number.to_bytes(32, "big"), gen) for number in range(1234)]
    assert catalog.transact(lambda tx: chunks.register(tx, gen, many)) == {chunk.hash: gen for chunk in many}
    assert len(catalog.transact(lambda tx: chunks.known(tx, gen, [chunk.hash for chunk in many]))) == 1234
    assert catalog.read(lambda tx: chunks.missing(tx, [(chunk.hash, gen) for chunk in many])) == []


def test_a_session_holds_what_it_sealed_until_it_ends(catalog: Catalog):
    gen = opened(catalog)
    made = sealed(catalog, gen)
    assert catalog.read(lambda tx: filesets.get_filesets(tx, [made.id])) == {made.id: made.to_bytes()}
    catalog.transact(lambda tx: sessions.end_session(tx, gen))
    assert catalog.read(lambda tx: filesets.get_filesets(tx, [made.id])) == {}


def test_adopting_passes_a_file_set_on(catalog: Catalog):
    gen = opened(catalog)
    made = sealed(catalog, gen)
    for key in ("1", "2"):  # a second holder in the same session finds it held by the first
        catalog.transact(lambda tx, key=key: filesets.adopt(tx, gen, [made.id], "commit", key))
    catalog.transact(lambda tx: sessions.end_session(tx, gen))
    owners = catalog.read(lambda tx: filesets.holders_of(tx, [made.id]))
    assert owners == {made.id: {("commit", "1"), ("commit", "2")}}
    assert catalog.read(lambda tx: filesets.held_by(tx, "commit", "2")) == [made.id]
    catalog.transact(lambda tx: filesets.release(tx, made.id, "commit", "1"))
    catalog.transact(lambda tx: filesets.drop_holder(tx, "commit", "2"))
    assert catalog.read(lambda tx: filesets.holders_of(tx, [made.id])) == {}


@pytest.mark.parametrize("call", ["share", "hold", "adopt"])
def test_nothing_can_be_held_again_once_nothing_holds_it(catalog: Catalog, call: str):
    """Its row is still there, but its blobs may be half gone."""
    gen = opened(catalog)
    made = sealed(catalog, gen)
    catalog.transact(lambda tx: sessions.end_session(tx, gen))
    other = opened(catalog)
    calls = {
        "share": lambda tx: filesets.share(tx, made.id, "commit", "1"),
        "hold": lambda tx: filesets.hold(tx, other, [made.id]),
        "adopt": lambda tx: filesets.adopt(tx, other, [made.id], "commit", "1"),
    }
    with pytest.raises(Aborted, match="deleted while it was in use"):
        catalog.transact(calls[call])


def test_a_blob_that_two_file_sets_need_goes_with_the_second(catalog: Catalog):
    gen = opened(catalog)
    one, two = sealed(catalog, gen, name=1), sealed(catalog, gen, name=2)
    share = "INSERT INTO fileset_blobs (name, fileset_id) VALUES (:name, :id)"
    catalog.transact(lambda tx: tx.execute(share, {"name": one.blobs()[0], "id": two.id}))
    catalog.transact(lambda tx: filesets.release(tx, one.id, "session", str(gen)))
    collected(catalog)
    assert catalog.read(lambda tx: cycle.list_deletable(tx, 10)) == ([], [])
    catalog.transact(lambda tx: filesets.release(tx, two.id, "session", str(gen)))
    collected(catalog)
    assert set(catalog.read(lambda tx: cycle.list_deletable(tx, 10))[1]) == {*one.blobs(), *two.blobs()}


def test_leftover_parts_are_those_of_ended_sessions_that_no_row_names(catalog: Catalog):
    ended, alive = opened(catalog), opened(catalog)
    made = sealed(catalog, alive)
    catalog.transact(lambda tx: sessions.end_session(tx, ended))
    listed = [("parts/left", ended), ("parts/young", alive), (made.blobs()[0], ended), ("parts/future", 99)]
    assert catalog.read(lambda tx: cycle.leftover_blobs(tx, listed)) == ["parts/left"]


def test_a_killed_cycle_that_noted_no_waits_dooms_nothing_of_theirs(catalog: Catalog):
    """The next cycle to note its waits notes them for the killed one too."""
    first = opened(catalog)
    uploaded(catalog, first)
    catalog.transact(lambda tx: sessions.end_session(tx, first))
    user = opened(catalog)
    catalog.transact(lambda tx: chunks.known(tx, user, [X]))
    fence = catalog.transact(cycle.take)
    killed = catalog.transact(lambda tx: cycle.begin(tx, fence))
    catalog.transact(lambda tx: cycle.condemn(tx, fence, killed, [(X, first)]))
    for _ in range(3):
        collected(catalog)
        assert (X, first) in condemned_by(catalog)
    catalog.transact(lambda tx: sessions.end_session(tx, user))
    collected(catalog)
    assert condemned_by(catalog) == {}


def test_an_overtaken_collector_is_refused(catalog: Catalog):
    old = catalog.transact(cycle.take)
    number = catalog.transact(lambda tx: cycle.begin(tx, old))
    new = catalog.transact(cycle.take)
    for call in (
        lambda tx: cycle.begin(tx, old),
        lambda tx: cycle.condemn(tx, old, number, []),
        lambda tx: cycle.note_waits(tx, old, number),
        lambda tx: cycle.doom(tx, old, number, 0, []),
        lambda tx: cycle.delete_unheld(tx, old, number, 1),
        lambda tx: cycle.finish_doom(tx, old, number),
    ):
        with pytest.raises(Aborted, match="taken over"):
            catalog.transact(call)
    assert catalog.transact(lambda tx: cycle.begin(tx, new)) == number + 1


def test_large_rows_are_deleted_a_few_at_a_time(catalog: Catalog, monkeypatch: pytest.MonkeyPatch):
    """Their pages are overwritten: a transaction that deletes a hundred of them would hold up all who write."""
    gen = opened(catalog)
    for name in range(10):
        sealed(catalog, gen, name=name)
    catalog.transact(lambda tx: sessions.end_session(tx, gen))
    size = catalog.read(lambda tx: tx.execute("SELECT max(length(body) + coalesce(length(chunks), 0)) FROM filesets"))
    monkeypatch.setattr(cycle, "WIPED_BYTES", 3 * int(size.scalar()))
    fence = catalog.transact(cycle.take)
    number = catalog.transact(lambda tx: cycle.begin(tx, fence))
    gone = [len(catalog.transact(lambda tx: cycle.delete_unheld(tx, fence, number, 100))) for _ in range(5)]
    assert gone == [3, 3, 3, 1, 0]


def test_a_cycle_that_is_over_changes_nothing(catalog: Catalog):
    fence = catalog.transact(cycle.take)
    number = collected(catalog, fence)
    for call in (
        lambda tx: cycle.condemn(tx, fence, number, []),
        lambda tx: cycle.doom(tx, fence, number, 0, []),
        lambda tx: cycle.delete_unheld(tx, fence, number, 1),
    ):
        with pytest.raises(Internal, match="is over"):
            catalog.transact(call)


def test_pins_of_several_processes_each_keep_what_they_may_read(catalog: Catalog):
    catalog.transact(lambda tx: sessions.pin(tx, "a"))
    gen = opened(catalog)
    sealed(catalog, gen)
    catalog.transact(lambda tx: sessions.end_session(tx, gen))
    number = collected(catalog)
    assert catalog.transact(lambda tx: sessions.pin(tx, "b")) == number
    assert catalog.transact(lambda tx: sessions.pin(tx, "a")) == 0  # stays where its oldest read began
    assert catalog.read(lambda tx: cycle.list_deletable(tx, 10)) == ([], [])
    assert catalog.transact(lambda tx: sessions.move_pin(tx, "a", number))
    assert catalog.read(lambda tx: cycle.list_deletable(tx, 10))[1] != []
    assert not catalog.transact(lambda tx: sessions.move_pin(tx, "a", number - 1))  # never back


def test_ticks_end_who_does_not_renew(catalog: Catalog):
    leased = lambda tx: sessions.open_session(tx, "worker", leased=True)  # noqa: E731
    alive, silent, own = catalog.transact(leased), catalog.transact(leased), opened(catalog)
    made = sealed(catalog, silent)
    catalog.transact(lambda tx: sessions.pin(tx, "silent"))
    ended: list[int] = []
    for _ in range(5):
        assert catalog.transact(lambda tx: sessions.renew(tx, [alive, 77])) == {alive}
        ended += catalog.transact(lambda tx: sessions.tick(tx, 3))
    assert ended == [silent]
    assert catalog.read(sessions.list_open) == [(alive, "worker"), (own, "test")]  # our own ends with the process
    assert catalog.transact(lambda tx: sessions.renew(tx, [silent, own])) == {own}
    assert not catalog.transact(lambda tx: sessions.move_pin(tx, "silent", 0))
    assert catalog.read(lambda tx: filesets.get_filesets(tx, [made.id])) == {}


def test_a_restart_ends_every_session_and_pin(tmp_path: Path):
    with open_catalog(tmp_path) as catalog:
        gen = opened(catalog)
        sealed(catalog, gen)
        catalog.transact(lambda tx: sessions.pin(tx, "a"))
    with open_catalog(tmp_path) as catalog:
        assert catalog.read(sessions.list_open) == []
        assert not catalog.transact(lambda tx: sessions.move_pin(tx, "a", 0))
        with pytest.raises(Aborted):
            catalog.transact(lambda tx: chunks.known(tx, gen, [X]))
        assert catalog.read(lambda tx: list(checks.violations(tx))) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("INSERT INTO holders VALUES ('a', 'session', '5')", "held by session 5, which has ended"),
        ("INSERT INTO chunks VALUES (x'61', 9, 1, 1, NULL, 0, NULL)", "of a session that never was"),
        ("INSERT INTO doomed_chunks VALUES (x'78', 1, 1)", "recorded and doomed at once"),
        ("INSERT INTO awaited VALUES (1, 5)", "waits for session 5"),
        ("UPDATE collector SET doomed_through = 5", "out of order"),
        ("INSERT INTO commit_runs (commit_seq, position, fileset) VALUES (1, 0, 'gone')", "names file set gone"),
    ],
)
def test_the_checks_see_what_is_wrong(tmp_path: Path, damage: str, sentence: str):
    with open_catalog(tmp_path, rehearse=False) as catalog:
        gen = opened(catalog)
        catalog.transact(lambda tx: chunks.register(tx, gen, [Chunk(b"x", gen)]))
        catalog.transact(lambda tx: filesets.seal(tx, gen, [FileSet("a", ())]))
        assert catalog.read(lambda tx: list(checks.violations(tx))) == []
        # Damage comes from below, where no rule of the database stops it.
        catalog._writer._side._raw.execute("PRAGMA foreign_keys = OFF")
        catalog.transact(lambda tx: tx.execute(damage))
        found = catalog.read(lambda tx: list(checks.violations(tx)))
        assert any(sentence in line for line in found), found


def test_every_column_that_names_a_file_set_is_a_root():
    """Or collection would free what it names. Lists of them cannot be told by their type: their owner marks them."""
    own = {"filesets", "holders", "fileset_blobs"}
    found = {(table.name, column) for table, column, _ in checks.references()}
    for table in metadata.sorted_tables:
        for column in table.columns:
            refers = any(key.column.table.name == "filesets" for key in column.foreign_keys)
            if table.name not in own and ("fileset" in column.name or refers):
                assert (table.name, column.name) in found
    assert {
        ("commit_layers", "fileset"),
        ("commit_runs", "fileset"),
        ("reports", "output"),
        ("jobs", "datums"),
    } <= found


def test_the_checks_of_chunk_lists():
    keys = [(b"a" * 32, 1), (b"a" * 32, 2), (b"b" * 32, 1)]
    data = FileSet("f", tuple(keys)).chunks
    assert checks.parse_chunk_list(data) == keys
    with pytest.raises(ValueError, match="cut off"):
        checks.parse_chunk_list(data[:-1])
    assert list(checks.list_differs("f", keys, [*keys, keys[0]])) == []
    assert ["leaves out" in line for line in checks.list_differs("f", keys[1:], keys)] == [True]
    assert ["does not use" in line for line in checks.list_differs("f", keys, keys[1:])] == [True]
    assert ["out of order" in line for line in checks.list_differs("f", keys[::-1], keys)] == [True]


def test_a_chunk_without_a_row_is_named(catalog: Catalog):
    gen = opened(catalog)
    uploaded(catalog, gen)
    lines = catalog.read(lambda tx: list(checks.chunks_without_rows(tx, "f", [(X, gen), (X, 9)])))
    assert len(lines) == 1
    assert f"{X.hex()}.9" in lines[0]
