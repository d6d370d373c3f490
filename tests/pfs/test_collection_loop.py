"""Collection beside everything else: nothing live is lost, all that is dead goes, whoever is killed and whenever."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pfs.collected import CONTENTS, Crowd, new_files, stored
from trunkline.ambient import SimulatedAmbient
from trunkline.catalog.collection import cycle as cycle_rows
from trunkline.catalog.collection import sessions as session_rows
from trunkline.errors import Aborted, DataLoss
from trunkline.model.names import Repo
from trunkline.pfs import content, edits, fsck, reads
from trunkline.pfs.collection.cycle import Cycle, Figures
from trunkline.pfs.collection.loop import ALLOWANCE, CYCLE_S, REPACK_S, TICK_S, Collector
from trunkline.pfs.collection.marking import Lists
from trunkline.pfs.edits import Add, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos
from trunkline.pfs.pins import STALE_S
from trunkline.pfs.sessions import REFRESH_S
from trunkline.testing.catalogs import assert_sound, open_catalog

DATA = Repo("default", "data")
BIG = bytes(range(256)) * 1200


@pytest.fixture
def ambient() -> SimulatedAmbient:
    return SimulatedAmbient(5)


@pytest.fixture
def made(tmp_path: Path, ambient: SimulatedAmbient):
    with open_catalog(tmp_path / "data", ambient, rehearse=False) as catalog:
        files = new_files(catalog, tmp_path / "cache", ambient)
        yield files
        assert_sound(catalog)


def put(files, data: bytes = BIG, path: str = "/a", repo: Repo = DATA) -> None:
    files.catalog.transact(lambda tx: repos.create_repo(tx, repo, update=True))
    edits.modify(files, Target(repo, branch="master"), [Add(path, data)])
    finish_waiting(files)


def drop(files, repo: Repo = DATA) -> None:
    files.change(lambda change: repos.delete_repo(change, repo, force=True))


def crowd(folder: Path, seed: int, steps: int) -> None:
    ambient = SimulatedAmbient(seed)
    with open_catalog(folder / "data", ambient, rehearse=False) as catalog:
        all_of_them = Crowd(new_files(catalog, folder / "cache", ambient), ambient, seed)
        try:
            all_of_them.go(steps)
            all_of_them.end()
        except BaseException as error:
            error.add_note(f"seed {seed}: {' '.join(all_of_them.log[-60:])}")
            raise
        assert_sound(catalog)


@pytest.mark.parametrize("seed", range(6))
def test_nobody_beside_the_collector_loses_anything(tmp_path: Path, seed: int) -> None:
    crowd(tmp_path, seed, 120)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_nobody_beside_the_collector_loses_anything_for_long(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    first = int(os.environ.get("TRUNKLINE_SOAK_SEED", "1")) * 1_000_000
    for seed in range(first, first + 30):
        crowd(tmp_path / str(seed), seed, 500)
    record_property("figures", "30 crowds of 500 steps")


def test_what_is_deleted_is_freed_and_what_is_kept_stays(made) -> None:
    put(made, BIG, "/a")
    put(made, BIG, "/a", Repo("default", "other"))
    put(made, CONTENTS[0], "/gone", Repo("default", "gone"))
    before = stored(made)
    drop(made, Repo("default", "gone"))
    drop(made)
    collector = Collector(made)
    dry = collector.collect(dry=True)
    assert (dry.doomed, stored(made)) == (1, before)
    assert dry.doomed_bytes > 0
    done = collector.collect()
    assert (done.doomed, done.doomed_bytes, done.condemned) == (1, dry.doomed_bytes, 0)
    assert len(stored(made)) == 1
    source = reads.need_source(made, Repo("default", "other"), "master")
    assert b"".join(content.get_file(made, source, "/a")) == BIG
    assert collector.collect().moved is False


@pytest.mark.parametrize("steps", range(24))
def test_a_collector_killed_after_any_step_is_followed_by_another(made, steps: int) -> None:
    put(made, CONTENTS[1], "/kept", Repo("default", "kept"))
    put(made)
    drop(made)
    lists = Lists(made)
    for _ in range(3):
        killed = Cycle(made, lists).run(Figures())
        for _ in range(steps):
            next(killed, None)
        del killed
    assert list(fsck.violations(made, read_bytes=True)) == []
    Collector(made).collect()
    assert list(fsck.violations(made, read_bytes=True)) == []
    assert len(stored(made)) == 1


def test_one_that_was_overtaken_stops(made) -> None:
    put(made)
    first = Cycle(made, Lists(made)).run(Figures())
    next(first)
    Cycle(made, Lists(made))
    with pytest.raises(Aborted, match="another collector"):
        list(first)


def test_a_read_goes_on_though_its_commit_is_deleted(made) -> None:
    put(made, BIG * 8)
    source = reads.need_source(made, DATA, "master")
    pieces = content.get_file(made, source, "/a")
    drop(made)
    Collector(made).collect()
    assert b"".join(pieces) == BIG * 8
    del source, pieces
    Collector(made).collect()
    assert stored(made) == []


def test_a_read_that_nobody_goes_on_with_keeps_nothing_for_ever(made, ambient) -> None:
    put(made, BIG * 8)
    source = reads.need_source(made, DATA, "master")
    drop(made)
    ambient.advance(STALE_S + 1)
    Collector(made).collect()
    assert stored(made) == []
    with pytest.raises(Aborted, match="deleted while it was being read"):
        list(content.get_file(made, source, "/a"))


def test_a_session_that_goes_on_for_long_keeps_what_it_found_and_holds_up_nothing_else(made, ambient) -> None:
    put(made, CONTENTS[2], "/gone", Repo("default", "gone"))
    put(made, CONTENTS[3], "/found", Repo("default", "found"))
    hashes = made.catalog.read(lambda tx: tx.execute("SELECT hash FROM chunks ORDER BY gen").scalars())
    collector = Collector(made)
    with made.session("long") as session:
        assert set(session.known(hashes[1:])) == {hashes[1]}
        drop(made, Repo("default", "gone"))
        drop(made, Repo("default", "found"))
        assert collector.collect().waits == 1
        assert len(stored(made)) == 2  # it might have found both
        ambient.advance(REFRESH_S + 1)
        collector.tick()
        collector.collect()
        assert [name[10:74] for name in stored(made)] == [hashes[1].hex()]
        assert set(session.known(hashes[1:])) == {hashes[1]}
        assert made.catalog.read(lambda tx: cycle_rows.list_chunks(tx, None, 10))[0].hash == hashes[1]
    collector.collect()
    assert stored(made) == []


def test_a_worker_that_died_holds_nothing_up(made, ambient) -> None:
    put(made)
    gen = made.catalog.transact(lambda tx: session_rows.open_session(tx, "worker", leased=True))
    drop(made)
    collector = Collector(made)
    collector.collect()
    assert len(stored(made)) == 1
    for _ in range(ALLOWANCE + 2):
        ambient.advance(TICK_S)
        collector.step()
    assert not made.catalog.read(lambda tx: session_rows.is_open(tx, gen))
    ambient.advance(CYCLE_S + 1)
    collector.step()
    assert stored(made) == []


def test_the_loop_does_nothing_where_nothing_happens(made, ambient) -> None:
    put(made)
    collector = Collector(made)
    for _ in range(5):
        ambient.advance(CYCLE_S + 1)
        collector.step()
    ambient.advance(REPACK_S)  # the layer that the finisher merged was a file set that went
    collector.step()
    before = made.catalog.counts.functions
    for _ in range(20):
        ambient.advance(CYCLE_S + 1)
        assert collector.step() > 0
    assert made.catalog.counts.functions == before


def test_leftovers_go_and_what_is_being_written_stays(made) -> None:
    put(made)
    kept = stored(made)
    gen = made.catalog.transact(lambda tx: session_rows.open_session(tx, "test"))
    ended = made.catalog.transact(lambda tx: session_rows.open_session(tx, "test"))
    made.catalog.transact(lambda tx: session_rows.end_session(tx, ended))
    text = "ab" * 32
    for name in (f"chunks/ab/{text}", f"parts/ab/{'a' * 32}-0", f"lists/ab/{'a' * 32}"):
        made.store.blobs.put(f"{name}.{gen}", b"being written")
        made.store.blobs.put(f"{name}.{ended}", b"left")
    made.store.blobs.put("notes/somebody-elses", b"not ours")
    figures = Collector(made).collect()
    assert (figures.leftovers, figures.leftover_bytes) == (3, 12)
    names = [f"chunks/ab/{text}.{gen}", f"lists/ab/{'a' * 32}.{gen}", f"parts/ab/{'a' * 32}-0.{gen}"]
    assert set(stored(made)) - set(kept) == {*names, "notes/somebody-elses"}


def test_a_damaged_list_stops_collection_and_is_named(made) -> None:
    put(made)
    put(made, CONTENTS[0], "/gone", Repo("default", "gone"))
    drop(made, Repo("default", "gone"))
    before = stored(made)
    made.catalog.transact(lambda tx: tx.execute("UPDATE filesets SET chunks = zeroblob(40) WHERE length(chunks) = 40"))
    with pytest.raises(DataLoss, match="chunk list"):
        Collector(made).collect()
    assert stored(made) == before
