"""The end of commits: directories, errors in words, runs that stay few, costs that follow the diff."""

from __future__ import annotations

import pytest
from blake3 import blake3

from trunkline.ambient import chance
from trunkline.storage import Sealed, entries
from trunkline.storage.filesets.schema import hash_of_directory, hash_of_pieces
from trunkline.storage.writing import layers
from trunkline.storage.writing.levels import FACTOR, FREE_ROWS, MAX_RUNS, MOST_RUNS, crowd, how_many_to_merge
from trunkline.testing.stores import World, contents


def test_a_directory_has_the_sums_and_the_hash_of_its_children(world: World) -> None:
    manifest = world.commit([], {"/a/x": b"1", "/a/y/z": b"22", "/b": b"333"}).manifest
    view = world.view(manifest)

    def leaf(data: bytes) -> bytes:
        return blake3(data).digest()

    y = hash_of_directory(b"z\0", leaf(b"22"))
    a = hash_of_directory(b"x\0y/\0", leaf(b"1") + y)
    root = hash_of_directory(b"a/\0b\0", a + leaf(b"333"))
    found = {entry.path: entry for entry in entries(view.walk("/"))}
    assert (found["/a/y/"].hash, found["/a/"].hash, found["/"].hash) == (y, a, root)
    assert (found["/a/"].size_bytes, found["/a/"].files) == (3, 2)
    assert (view.size_bytes, view.count, view.hash) == (6, 3, root)


def test_hashes_are_these() -> None:
    one, two = blake3(b"1").digest(), blake3(b"2").digest()
    assert hash_of_pieces([]) == blake3(b"").digest()
    assert hash_of_pieces([(one, 1)]) == one
    assert hash_of_pieces([(one, 1), (two, 1)]).hex() == GOLDEN_FILE
    assert hash_of_directory(b"a\0b/\0", one + two).hex() == GOLDEN_DIRECTORY


def test_renaming_a_file_changes_its_directory(world: World) -> None:
    one = world.view(world.commit([], {"/d/a": b"1"}).manifest)
    two = world.view(world.commit([], {"/d/b": b"1"}).manifest)
    assert one.find("/d").hash != two.find("/d").hash  # type: ignore[union-attr]


def test_a_directory_vanishes_with_its_last_file(world: World) -> None:
    manifest = world.commit([], {"/a/b/c": b"1", "/x": b"2"}).manifest
    writer = world.writer()
    writer.delete("/a/b/c")
    manifest = world.finish(manifest, writer.seal()).manifest
    view = world.view(manifest)
    assert [entry.path for entry in entries(view.walk("/"))] == ["/", "/x"]
    assert view.find("/a") is None
    writer = world.writer()
    writer.delete("/")
    done = world.finish(manifest, writer.seal())
    assert (done.size_bytes, done.files) == (0, 0)
    assert world.view(done.manifest).find("/") is None
    assert world.view(done.manifest).hash == b""


def test_an_empty_diff_shares_the_manifest(world: World) -> None:
    base = world.commit([], {"/a": b"1"})
    done = world.finish(base.manifest, [])
    assert done.manifest == base.manifest
    assert done.diff is None
    assert (done.size_bytes, done.files) == (1, 1)


def test_putting_a_file_again_as_it_is_changes_nothing(world: World) -> None:
    random = chance(5)
    files = {f"/d/f{number}": random.randbytes(900 * number) for number in range(40)} | {"/empty": b""}
    first = world.commit([], files)
    again = world.commit(first.manifest, files)
    assert again.diff is None
    assert again.manifest == first.manifest
    one = world.commit(first.manifest, files | {"/d/f7": b"other"})
    assert one.diff is not None
    assert one.diff.rows == 4, "a hide, a content, two directories"
    appended = world.writer()
    appended.put("/d/f3", files["/d/f3"], append=True)
    assert contents(world.view(world.finish(first.manifest, appended.seal()).manifest))["/d/f3"] == {
        "": files["/d/f3"] * 2
    }
    writer = world.writer()
    writer.delete("/d/")
    writer.put("/d/f3", files["/d/f3"])
    done = world.finish(first.manifest, writer.seal())
    assert done.files == 2
    tagged = world.finish(first.manifest, world.layer({"/d/f3": files["/d/f3"]}, datum="d1"))
    assert "two datums" in tagged.error


def test_since_says_which_commit_changed_what(world: World) -> None:
    manifest = world.commit([], {"/a/x": b"1", "/b/y": b"1"}).manifest
    manifest = world.commit(manifest, {"/b/z": b"2"}).manifest
    since = {entry.path: entry.since for entry in entries(world.view(manifest).walk("/"))}
    assert since == {"/": 2, "/a/": 1, "/a/x": 1, "/b/": 2, "/b/y": 1, "/b/z": 2}


def test_one_path_from_two_datums_is_an_error_that_names_all(world: World) -> None:
    over = world.layer({"/out/a": b"1"}, datum="d1") + world.layer({"/out/a": b"2"}, datum="d2")
    done = world.finish([], over)
    assert done.error == "file /out/a was written by two datums, d1 and d2; give each its own path"
    assert done.diff is None
    view = world.view(over)
    assert [(e.path, e.datum) for e in entries(view.list("/out"))] == [("/out/a", "d1"), ("/out/a", "d2")]
    assert view.file("/out/a").bytes() == b"1"  # type: ignore[union-attr]


def test_three_datums_at_one_path_are_one_path(world: World) -> None:
    one = [row for datum in ("d1", "d2", "d3") for row in world.layer({"/a": b"1"}, datum=datum)]
    assert "d1 and d2; give each" in world.finish([], one).error
    more = one + [row for datum in ("d1", "d2") for row in world.layer({"/b": b"1", "/c": b"1"}, datum=datum)]
    assert "d1 and d2; so were 2 other paths; give each" in world.finish([], more).error


def test_a_datum_that_meets_the_bases_datum_is_an_error(world: World) -> None:
    base = world.finish([], world.layer({"/a": b"1"}, datum="d1"))
    over = world.layer({"/a": b"2"}, datum="d2")
    done = world.finish(base.manifest, over)
    assert "/a was written by two datums, d1 and d2" in done.error
    assert contents(world.view([*base.manifest, *over])) == {"/a": {"d1": b"1", "d2": b"2"}}
    direct = world.finish(base.manifest, world.layer({"/a/b": b"2"}))
    assert "/a would be both a file and a directory" in direct.error
    assert "datum d1" in direct.error
    assert "datum none (a direct write)" in direct.error


def test_a_path_may_move_from_one_datum_to_another(world: World) -> None:
    base = world.finish([], world.layer({"/a": b"1"}, datum="d1"))
    writer = world.writer()
    writer.delete("/a", "d1")
    writer.put("/a", b"2", "d2")
    done = world.finish(base.manifest, writer.seal())
    assert done.error == ""
    assert contents(world.view(done.manifest)) == {"/a": {"d2": b"2"}}


def test_a_hide_of_an_absent_datum_hides_nothing(world: World) -> None:
    base = world.finish([], world.layer({"/a": b"1", "/b/c": b"2"}, datum="d1"))
    writer = world.writer()
    writer.delete("/a", "d2")
    writer.delete("/b/", "d2")
    done = world.finish(base.manifest, writer.seal())
    assert contents(world.view(done.manifest)) == {"/a": {"d1": b"1"}, "/b/c": {"d1": b"2"}}
    writer = world.writer()
    writer.delete("/b/", "d1")
    done = world.finish(done.manifest, writer.seal())
    assert contents(world.view(done.manifest)) == {"/a": {"d1": b"1"}}


def test_a_subtree_hide_of_one_datum_reaches_ranges_without_a_hide(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "SLICE_ROWS", 2)
    base = world.finish([], world.layer({"/a/b": b"1"}) + world.layer({"/m.txt": b"2", "/z": b"3"}, datum="d2"))
    writer = world.writer()
    for path in ("/a/c", "/b", "/n"):
        writer.put(path, b"")
    writer.delete("/", "d2")
    over = writer.seal()
    expected = {path: {"": b""} for path in ("/a/c", "/b", "/n")} | {"/a/b": {"": b"1"}}
    assert contents(world.view([*base.manifest, *over])) == expected
    assert contents(world.view(world.finish(base.manifest, over).manifest)) == expected


def test_file_and_directory_of_one_name_is_an_error_both_ways(world: World) -> None:
    base = world.commit([], {"/a/b": b"1"})
    assert "/a would be both a file and a directory" in world.commit(base.manifest, {"/a": b"2"}).error
    base = world.commit([], {"/a": b"1"})
    assert "/a would be both a file and a directory" in world.commit(base.manifest, {"/a/b/c": b"2"}).error
    assert "/x would be both" in world.commit([], {"/x": b"1", "/x.y": b"", "/x/y": b"2"}).error
    writer = world.writer()
    writer.delete("/a")
    writer.put("/a/b", b"2")
    assert world.finish(base.manifest, writer.seal()).error == ""


def test_a_diff_is_a_layer_wherever_it_lands(world: World) -> None:
    first = world.commit([], {"/a": b"1"})
    second = world.commit(first.manifest, {"/b/c": b"2"})
    other = world.commit([], {"/z": b"9"})
    assert second.diff is not None
    view = world.view([*other.manifest, second.diff])
    assert {entry.path: entry.size_bytes for entry in entries(view.walk("/"))} == {
        "/": 2, "/b/": 1, "/b/c": 1, "/z": 1,
    }  # fmt: skip


def test_an_append_is_kept_as_one_in_the_diff(world: World) -> None:
    base = world.commit([], {"/log": b"one "})
    writer = world.writer()
    writer.put("/log", b"two", append=True)
    done = world.finish(base.manifest, writer.seal())
    assert done.diff is not None
    elsewhere = world.commit([], {"/log": b"other "})
    assert contents(world.view([*elsewhere.manifest, done.diff])) == {"/log": {"": b"other two"}}
    assert contents(world.view(done.manifest)) == {"/log": {"": b"one two"}}


def test_runs_stay_few_and_rewriting_stays_in_proportion() -> None:
    random = chance(3)
    for size in (1, 7, 300, 20_000):
        runs: list[int] = []
        written = total = 0
        for _ in range(2000):
            diff = random.randint(1, size)
            runs.append(diff)
            merged = how_many_to_merge(runs, diff)
            rewritten = sum(runs[-merged:]) if merged > 1 else 0
            forced = len(runs) > MOST_RUNS
            assert forced or rewritten <= FACTOR * diff + FREE_ROWS
            runs[-merged:] = [sum(runs[-merged:])]
            written += rewritten
            total += diff
            assert len(runs) <= MOST_RUNS
        assert written < 60 * total


def test_levelling_leaves_few_runs_and_those_that_the_next_commits_merge() -> None:
    random = chance(4)
    for size in (1, 7, 300, 20_000):
        runs: list[int] = [random.randint(1, 100 * size)]
        written = total = 0
        for _ in range(2000):
            diff = random.randint(1, size)
            runs.append(diff)
            merged = how_many_to_merge(runs, diff)
            runs[-merged:] = [sum(runs[-merged:])]
            while chosen := crowd(runs):
                start, end = chosen
                assert end - start >= 2
                assert end == len(runs) or sum(runs[end:]) <= FREE_ROWS
                written += sum(runs[start:end])
                runs[start:end] = [sum(runs[start:end])]
            total += diff
            assert len(runs) <= MAX_RUNS
        assert written < 60 * total


def test_a_thousand_commits_of_one_file_read_like_ten(world: World) -> None:
    manifest: tuple[Sealed, ...] = ()
    most = 0
    for number in range(60):
        manifest = world.commit(manifest, {f"/d{number % 3}/f{number:04d}": b"%d" % number}).manifest
        most = max(most, len(manifest))
    assert most <= 4
    view = world.view(manifest)
    assert view.count == 60
    assert len(list(entries(view.list("/d1")))) == 20


GOLDEN_FILE = "b7d24902145ab60703f1a53354997f681aeb47323b21b6f50c8e41427bf5d447"
GOLDEN_DIRECTORY = "8c16afa432c064a46446a5eab86dc4dc27febd9b9daa551002ec5158a55790a3"
