"""Streams of edits: nothing stored twice, nothing lost, bounded memory."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from trunkline.ambient import SimulatedAmbient, chance
from trunkline.errors import Aborted, ResourceExhausted, Unavailable
from trunkline.storage import Sealed, Store, changes, entries
from trunkline.storage import store as store_module
from trunkline.storage.blobs import Call, InjectedCrash, LocalBlobs
from trunkline.storage.chunks import SMALL_FILE
from trunkline.storage.writing import writer as writer_module
from trunkline.testing.sessions import MemoryChunks
from trunkline.testing.stores import World, contents

MIB = 1 << 20


def puts(calls: list[Call], kind: str = "chunks/") -> list[Call]:
    return [call for call in calls if call.verb == "put" and call.name.startswith(kind)]


def tree(count: int, size: int = 3000, seed: int = 1) -> dict[str, bytes]:
    random = chance(seed)
    return {f"/d{number % 7}/f{number:05d}": random.randbytes(size) for number in range(count)}


def test_a_big_file_reads_back_whole_and_in_parts(world: World) -> None:
    data = chance(1).randbytes(21 * MIB + 12_345)
    manifest = world.commit([], {"/big": data}).manifest
    file = world.view(manifest).file("/big")
    assert file is not None
    assert file.bytes() == data
    for offset, length in ((0, 10), (MIB * 7 + 3, 5 * MIB), (len(data) - 5, 100), (len(data), 1), (20 * MIB, None)):
        expected = data[offset:] if length is None else data[offset : offset + length]
        assert b"".join(file.read(offset, length)) == expected


def test_a_part_of_a_big_file_costs_its_pieces_only(world: World) -> None:
    data = chance(2).randbytes(60 * MIB)
    manifest = world.commit([], {"/big": data}).manifest
    file = world.view(manifest).file("/big")
    assert file is not None
    with world.blobs.recording() as calls:
        assert b"".join(file.read(30 * MIB, 1000)) == data[30 * MIB : 30 * MIB + 1000]
    assert sum(call.bytes_moved for call in calls) < 17 * MIB


def test_how_a_file_came_makes_no_difference(world: World) -> None:
    data = chance(3).randbytes(9 * MIB)
    portions = [data[at : at + 777_777] for at in range(0, len(data), 777_777)]
    whole, parts, appended, poured = (world.writer() for _ in range(4))
    whole.put("/f", data)
    parts.put("/f", iter(portions))
    appended.delete("/f")
    appended.put("/f", b"", append=True)
    for portion in portions:
        appended.put("/f", portion, append=True)
    poured.put("/f", data[:100])
    poured.pour("/f", BytesIO(data[100:-5]).readinto, append=True)
    poured.put("/f", data[-5:], append=True)
    hashes = {world.view(writer.seal()).hash for writer in (whole, parts, appended, poured)}
    assert len(hashes) == 1


@pytest.mark.parametrize("size", [0, 1, SMALL_FILE, SMALL_FILE + 1, 3 * MIB])
def test_what_is_poured_is_stored_as_what_is_put(world: World, size: int) -> None:
    data = chance(4).randbytes(size)
    put, poured = world.writer(), world.writer()
    for number in range(3):
        put.put(f"/{number}", data + b"%d" % number if size else b"")
        poured.pour(f"/{number}", BytesIO(data + b"%d" % number if size else b"").readinto)
    one, other = world.view(put.seal()), world.view(poured.seal())
    assert one.hash == other.hash
    assert [file.pieces for file in one.contents()] == [file.pieces for file in other.contents()]


@pytest.mark.parametrize("size", [32 * MIB - 1, 32 * MIB, 32 * MIB + 1, 64 * MIB, 70 * MIB])
def test_a_large_file_is_read_on_while_it_is_cut(world: World, size: int) -> None:
    data = chance(7).randbytes(MIB)
    content = b"".join(b"%8d" % at + data for at in range(size // MIB + 1))[:size]
    source, reading, most = BytesIO(content), [0], [0]

    def read_into(room: memoryview) -> int:
        reading[0] += 1
        most[0] = max(most[0], reading[0])
        try:
            return source.readinto(room[: 4 * MIB])
        finally:
            reading[0] -= 1

    put, poured = world.writer(), world.writer()
    put.put("/f", content)
    poured.pour("/f", read_into)
    poured.put("/g", b"after it")
    put.put("/g", b"after it")
    assert world.view(poured.seal()).hash == world.view(put.seal()).hash
    assert most == [1], "one at a time"


@pytest.mark.parametrize("after", [MIB, 33 * MIB, 65 * MIB])
def test_a_file_that_cannot_be_read_to_its_end_is_not_read_on(world: World, after: int) -> None:
    source, calls = BytesIO(chance(8).randbytes(8) * (90 * MIB // 8)), list[int]()

    def read_into(room: memoryview) -> int:
        calls.append(len(room))
        if source.tell() >= after:
            raise Unavailable("the file could not be read to its end")
        return source.readinto(room[: 4 * MIB])

    writer = world.writer()
    with pytest.raises(Unavailable, match="to its end"):
        writer.pour("/f", read_into)
    seen = len(calls)
    writer.abort()
    assert len(calls) == seen


def test_equal_puts_give_equal_hashes_in_any_order(world: World) -> None:
    files = tree(50)
    one = world.commit([], files)
    other = world.finish([], [layer for path in reversed(files) for layer in world.layer({path: files[path]})])
    assert world.view(one.manifest).hash == world.view(other.manifest).hash


def test_a_second_put_of_the_same_tree_puts_no_chunk(world: World) -> None:
    files = tree(1000) | {"/big": chance(9).randbytes(7 * MIB)}
    first = world.commit([], files)
    with world.blobs.recording() as calls:
        second = world.commit(first.manifest, files)
    assert puts(calls) == []
    assert world.view(second.manifest).hash == world.view(first.manifest).hash
    with world.blobs.recording() as calls:
        world.commit([], files)
    assert puts(calls) == [], "without a base, equal trees make equal packs"


def test_one_changed_file_of_many_stores_only_itself(world: World) -> None:
    files = tree(1000)
    first = world.commit([], files)
    files["/d1/f00001"] = b"changed" * 1000
    with world.blobs.recording() as calls:
        second = world.commit(first.manifest, files)
    assert sum(call.bytes_moved for call in puts(calls)) < 8000
    assert contents(world.view(second.manifest)) == {path: {"": data} for path, data in files.items()}


def test_a_damaged_chunk_is_healed_by_putting_its_files_again(world: World) -> None:
    files = tree(100)
    first = world.commit([], files)
    (key,) = world.store.chunk_keys(first.manifest[0])
    world.blobs.damage(key.blob, -1)
    del world.rows.live[key.hash]  # as the catalog marks it: no look-up finds it
    second = world.commit(first.manifest, files)
    assert contents(world.view(second.manifest)) == {path: {"": data} for path, data in files.items()}
    assert key not in world.store.chunk_keys(second.manifest[-1])


def test_moved_files_are_found_by_their_content(world: World) -> None:
    files = tree(1000)
    first = world.commit([], files)
    writer = world.writer(world.view(first.manifest))
    writer.delete("/")
    for path, data in files.items():
        writer.put(f"/moved{path}", data)
    with world.blobs.recording() as calls:
        layers = writer.seal()
    assert puts(calls) == []
    assert len(contents(world.view([*first.manifest, *layers]))) == 1000


def test_equal_files_of_one_stream_are_stored_once(world: World) -> None:
    same = chance(4).randbytes(50_000)
    with world.blobs.recording() as calls:
        world.layer({f"/f{number}": same for number in range(40)})
    assert sum(call.bytes_moved for call in puts(calls)) < 51_000


def test_a_small_commit_costs_no_blob_at_all(world: World) -> None:
    with world.blobs.recording() as calls:
        first = world.commit([], {"/a": b"some text", "/b": b"more text"})
        second = world.commit(first.manifest, {"/c": b"tiny"})
    assert calls == []
    assert contents(world.view(second.manifest))["/c"] == {"": b"tiny"}


def test_many_small_commits_pack_what_was_inline(world: World) -> None:
    random = chance(11)
    files = {f"/f{number}": random.randbytes(3000) for number in range(40)}
    manifest = world.commit([], {"/first": b"x"}).manifest
    with world.blobs.recording() as calls:
        for path, data in files.items():
            manifest = world.commit(manifest, {path: data}).manifest
    assert puts(calls)
    assert contents(world.view(manifest)) == {path: {"": data} for path, data in ({"/first": b"x"} | files).items()}


def test_put_many_is_many_puts(world: World) -> None:
    files = tree(300, 700) | {"/empty": b"", "/big": chance(5).randbytes(2 * MIB)}
    bulk = world.writer()
    bulk.put_many(list(files), [len(data) for data in files.values()], b"".join(files.values()))
    bulk.put_many(["/empty"], [3], b"abc", append=True)
    single = world.writer()
    for path, data in files.items():
        single.put(path, data)
    single.put("/empty", b"abc", append=True)
    assert world.view(bulk.seal()).hash == world.view(single.seal()).hash


def test_put_many_wants_a_size_for_each_path(world: World) -> None:
    with pytest.raises(ValueError, match="shorter"):
        world.writer().put_many(["/a", "/b"], [1], b"x")


def test_much_is_spilled_into_layers_that_keep_their_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "SPILL_BYTES", 100_000)
    files = tree(200)
    writer = world.writer()
    for path, data in files.items():
        writer.put(path, data)
        writer.put("/log", data[:10], append=True)
        assert writer._bytes <= 103_000
    layers = writer.seal()
    assert len(layers) > 4
    found = contents(world.view(layers))
    assert found.pop("/log") == {"": b"".join(data[:10] for data in files.values())}
    assert found == {path: {"": data} for path, data in files.items()}


def test_an_append_of_thousands_of_lines_does_not_carry_thousands_of_pieces(world: World) -> None:
    manifest = world.commit([], {"/other": b"x"}).manifest
    text = b""
    for number in range(75):
        line = b"line %d\n" % number
        text += line
        writer = world.writer(world.view(manifest))
        writer.put("/log", line, append=True)
        manifest = world.finish(manifest, writer.seal()).manifest
    file = world.view(manifest).file("/log")
    assert file is not None
    assert file.bytes() == text
    assert len(file.pieces) <= 65


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    files = tree(500) | {"/big": chance(12).randbytes(3 * MIB)}
    blobs = LocalBlobs(tmp_path / "blobs")
    rows = MemoryChunks(blobs)
    store = Store(blobs, tmp_path / "cache", SimulatedAmbient())
    writer = store.writer(rows.open())
    for path, data in files.items():
        writer.put(path, data)
    done = store.finish(rows.open(), [], writer.seal(), 1)
    kept = [Sealed.from_bytes(one.to_bytes()) for one in done.manifest]
    store.close()
    blobs.close()
    again = Store(LocalBlobs(tmp_path / "blobs"), tmp_path / "other cache", SimulatedAmbient(2))
    assert contents(again.view(kept)) == {path: {"": data} for path, data in files.items()}
    assert again.view(kept).hash == store.view(done.manifest).hash
    again.close()


def test_copies_move_no_bytes(world: World) -> None:
    first = world.commit([], tree(100) | {"/one": b"1" * 9000})
    view = world.view(first.manifest)
    writer = world.writer(view)
    with world.blobs.recording() as calls:
        writer.copy(view, "/d1", "/copy/of")
        writer.copy(view, "/one", "/two")
        writer.copy(view, "/one", "/two", append=True)
        writer.copy(view, "/absent", "/three")
        writer.copy(view, "/", "/all")
        layers = writer.seal()
    assert puts(calls) == []
    after = world.view([*first.manifest, *layers])
    assert [e.path for e in entries(after.list("/"))][:3] == ["/all/", "/copy/", "/d0/"]
    assert after.find("/copy/of").hash == view.find("/d1").hash  # type: ignore[union-attr]
    assert after.find("/all").hash == view.hash  # type: ignore[union-attr]
    assert after.file("/two").bytes() == b"1" * 18_000  # type: ignore[union-attr]
    assert after.find("/three") is None


def test_rows_of_one_file_set_can_be_added_to_another(world: World) -> None:
    first = world.commit([], {"/a": b"1", "/b/c": b"2"})
    rows = next(world.view(first.manifest).files("/b"))
    writer = world.writer()
    writer.put("/x", b"3")
    writer.add_rows(rows)
    assert contents(world.view(writer.seal())) == {"/x": {"": b"3"}, "/b/c": {"": b"2"}}


def test_no_edits_make_no_layer(world: World) -> None:
    assert world.writer().seal() == []


def test_an_ended_session_is_told(world: World) -> None:
    session = world.rows.open()
    writer = world.store.writer(session)
    writer.put("/a", chance(6).randbytes(100_000))
    session.end()
    with pytest.raises(Aborted, match="has ended"):
        writer.seal()


def test_a_full_disk_fails_the_stream_and_nothing_is_sealed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = world.commit([], tree(10))

    def full(name: str, data: bytes, *, passing: bool = False) -> bool:
        raise ResourceExhausted("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(world.blobs, "put", full)
        with pytest.raises(ResourceExhausted):
            world.layer(tree(100, seed=2))
    assert contents(world.view(before.manifest)) == {path: {"": data} for path, data in tree(10).items()}
    assert set(world.rows.sealed) >= {one.id for one in before.manifest}


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_every_write_leaves_whole_commits_only(world: World, after: bool) -> None:
    base = world.commit([], tree(40, 30_000)).manifest
    files = tree(60, 20_000, seed=3) | {"/big": chance(7).randbytes(5 * MIB)}
    for write in range(1, 100):
        sealed_before = dict(world.rows.sealed)
        (world.blobs.crash_after if after else world.blobs.crash_at)(write)
        try:
            done = world.commit(base, files)
        except InjectedCrash:
            world.blobs.reopen()
            for one in set(world.rows.sealed) - set(sealed_before):
                contents(world.view([world.rows.sealed[one]]))
            for chunk in world.rows.live.values():
                assert world.blobs.size(chunk.key.blob) == chunk.stored_bytes
            assert len(contents(world.view(base))) == 40
            # Each try must have every write before it, so nothing may be known from the try before.
            world.rows.live = {h: c for h, c in world.rows.live.items() if c.gen == 1}
            continue
        world.blobs.reopen()
        assert contents(world.view(done.manifest)) == {
            path: {"": data} for path, data in (tree(40, 30_000) | files).items()
        }
        assert write > 3
        return
    pytest.fail("the commit never came to its end")


def test_diff_pairs_what_changed(world: World) -> None:
    first = world.commit([], {"/a": b"1", "/b/c": b"2", "/b/d": b"3"})
    writer = world.writer(world.view(first.manifest))
    writer.put("/a", b"one")
    writer.delete("/b/c")
    writer.put("/e/f", b"4")
    second = world.finish(first.manifest, writer.seal())
    new, old = world.view(second.manifest), world.view(first.manifest)
    found = [(c.new.path if c.new else None, c.old.path if c.old else None) for c in changes(new.diff(old))]
    assert found == [("/", "/"), ("/a", "/a"), ("/b/", "/b/"), (None, "/b/c"), ("/e/", None), ("/e/f", None)]
    assert [(c.new or c.old).path for c in changes(new.diff(old, "/b"))] == ["/b/", "/b/c"]  # type: ignore[union-attr]
    shallow = [(c.new or c.old).path for c in changes(new.diff(old, shallow=True))]  # type: ignore[union-attr]
    assert shallow == ["/a", "/b/", "/e/"]
    assert [(c.new or c.old).path for c in changes(new.diff(old, "/a"))] == ["/a"]  # type: ignore[union-attr]
    page = [(c.new or c.old).path for c in changes(new.diff(old, after="/a", limit=2))]  # type: ignore[union-attr]
    assert page == ["/b/", "/b/c"]
    assert list(changes(new.diff(new))) == []
    assert len(list(changes(new.diff(world.view([]))))) == 6


def test_a_file_more_costs_no_merging_of_those_that_an_open_commit_has(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a thousand files put one by one cost what half a million put at once do."""
    merged: list[int] = []
    resolve = store_module.resolve
    monkeypatch.setattr(store_module, "resolve", lambda *given: merged.append(1) or resolve(*given))
    committed = world.commit([], tree(20, seed=1)).manifest
    stack = [*committed, *world.layer(tree(40, seed=2))]
    one = dict(list(tree(20, seed=1).items())[:1])
    with world.blobs.recording() as calls:
        stack += world.layer({f"/again{path}": data for path, data in one.items()}, world.view(stack))
    assert (puts(calls), merged) == ([], [])  # it is in the commit below, which is looked at all the same
    with world.blobs.recording() as calls:
        world.layer(tree(40, seed=2), world.view(stack))
    assert (puts(calls), merged) == ([], [1])  # many are compared with all that is there
