"""What lies least deep in a large tree is at hand without reading what lies below it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.model.globs import Glob
from trunkline.storage import Sealed, Store, changes, entries
from trunkline.storage.filesets import seal
from trunkline.testing.stores import World

FOLDERS, EACH = 50, 200
PART_BYTES = 1
"""Of memory for parts: each is read anew, whenever it is wanted."""


FILES = {f"/d{folder:02}/s/f{file:04}": b"%d" % file for folder in range(FOLDERS) for file in range(EACH)}


def begin_anew(world: World, folder: Path) -> None:
    world.store.close()
    world.store = Store(world.blobs, folder, world.ambient, threads=2, part_bytes=PART_BYTES)


@pytest.fixture
def tree(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sealed]:
    monkeypatch.setattr(seal, "PART_ROWS", 500)
    manifest = world.commit([], FILES | {"/top": b"1"}).manifest
    assert len(manifest[0].parts) > 40
    begin_anew(world, tmp_path)
    return list(manifest)


def reads(world: World, work: Callable[[], object], *, again: bool = True) -> int:
    """How many parts `work` reads, when it is done for the second time unless it is not to be done again."""
    if again:
        work()
    parts = world.store.caches["index"]
    before = parts.hits + parts.misses
    work()
    parts = world.store.caches["index"]
    return parts.hits + parts.misses - before


def names(world: World, manifest: list[Sealed]) -> list[str]:
    return [entry.path for entry in entries(world.view(manifest).list("/"))]


def test_listing_the_top_reads_no_part_again(world: World, tree: list[Sealed]) -> None:
    expected = [f"/d{folder:02}/" for folder in range(FOLDERS)] + ["/top"]
    assert names(world, tree) == expected
    assert reads(world, lambda: names(world, tree)) <= 1, "where to begin is looked up"
    walked = [entry for entry in entries(world.view(tree).walk("/")) if entry.path.rstrip("/").count("/") == 1]
    assert [entry for entry in entries(world.view(tree).list("/")) if entry.path != "/"] == walked


def test_what_was_put_here_is_at_hand_from_the_first_time(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "PART_ROWS", 500)
    begin_anew(world, tmp_path)
    manifest = list(world.commit([], FILES).manifest)
    assert reads(world, lambda: names(world, manifest), again=False) <= 1


def test_a_shallow_glob_reads_no_part_again(world: World, tree: list[Sealed]) -> None:
    def found(pattern: str) -> list[str]:
        return [entry.path for entry in entries(world.view(tree).glob(Glob(pattern)))]

    assert found("/*/s") == [f"/d{folder:02}/s/" for folder in range(FOLDERS)]
    assert reads(world, lambda: found("/*/s")) == 0
    assert len(found("/**")) == FOLDERS * (EACH + 2) + 1
    assert len(found("/*/*/f0001")) == FOLDERS


def test_a_small_commit_on_a_large_tree_reads_a_few_parts(world: World, tree: list[Sealed]) -> None:
    manifest = tree

    def commit() -> None:
        nonlocal manifest
        manifest = list(world.commit(manifest, {f"/d25/s/new{len(manifest)}{manifest[-1].rows}": b"x"}).manifest)

    assert reads(world, commit) < len(tree[0].parts) / 3, "those in which it lies, and the first, and some twice"
    assert world.view(manifest).count == FOLDERS * EACH + 3


def test_a_shallow_comparison_with_something_else_reads_no_part_again(world: World, tree: list[Sealed]) -> None:
    other = list(world.commit([], {"/d03/x": b"1", "/d99/x": b"1"}).manifest)

    def differ() -> list[str]:
        pages = world.view(other).diff(world.view(tree), shallow=True)
        return [(change.old or change.new).path for change in changes(pages)]  # type: ignore[union-attr]

    assert differ() == [*(f"/d{folder:02}/" for folder in range(FOLDERS)), "/d99/", "/top"]
    assert reads(world, differ) <= 2, "the tops of both are looked up"


def test_what_is_hidden_or_new_on_top_is_seen(world: World, tree: list[Sealed]) -> None:
    names(world, tree)
    writer = world.writer(world.view(tree))
    writer.delete("/d07/")
    writer.delete("/top")
    writer.put("/d99/x", b"1")
    manifest = list(world.finish(tree, writer.seal()).manifest)
    expected = [f"/d{folder:02}/" for folder in range(FOLDERS) if folder != 7] + ["/d99/"]
    assert names(world, manifest) == expected
    shallow = changes(world.view(manifest).diff(world.view(tree), shallow=True))
    assert [(change.old or change.new).path for change in shallow] == ["/d07/", "/d99/", "/top"]  # type: ignore[union-attr]
    against_nothing = changes(world.view(manifest).diff(world.view([]), shallow=True))
    assert [change.new.path for change in against_nothing] == expected  # type: ignore[union-attr]


def test_of_a_flat_tree_nothing_is_kept_beside_its_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "PART_ROWS", 500)
    manifest = list(world.commit([], {f"/f{file:04}": b"%d" % file for file in range(3000)}).manifest)
    assert len(names(world, manifest)) == 3000
    assert world.store._cache._shallow.used < 1000
