"""Folders of staging that are used again: as if each had been made anew, and without making or removing any."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import MemoryStorage, datum, element

from trunkline.worker.inputs.folders import Emptied
from trunkline.worker.layout import Prepared, Staging


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir()
    return tmp_path / "staging"


def staging_of(root: Path, **trees: dict[str, bytes]) -> Staging:
    return Staging(root, MemoryStorage(**trees), keep_bytes=0)


def shown(root: Path, prepared: Prepared, name: str = "images") -> set[str]:
    """All that a datum's code sees of an input, folders with a slash at their end."""
    top = root / prepared.links[name]
    return {f"{path.relative_to(top)}{'/' * path.is_dir()}" for path in top.rglob("*")}


def test_a_hundred_datums_use_the_folders_of_a_few(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted: no folder is made or removed once there is one that is empty."""
    staging = staging_of(root, images={f"/in/{n}": b"%d" % n for n in range(100)})
    calls: list[str] = []

    def counted(name: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(*args: object) -> None:
            calls.append(name)
            real(*args)

        return call

    for name in ("mkdir", "rmdir"):
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    for number in range(100):
        (prepared,) = staging.prepare([datum(number, element(f"/in/{number}"))])
        assert shown(root, prepared) == {"in/", f"in/{number}"}
        assert (root / prepared.links["images"] / "in" / str(number)).read_bytes() == b"%d" % number
        staging.release(prepared)
    assert calls == ["mkdir", "mkdir"]


@pytest.mark.parametrize(
    ("first", "second", "sees"),
    [
        ("/a/1", "/b/2", {"b/", "b/2"}),
        ("/a/1", "/c", {"c/", "c/3"}),
        ("/c", "/a/1", {"a/", "a/1"}),
        ("/a/1", "/a/deep/4", {"a/", "a/deep/", "a/deep/4"}),
        ("/a/deep/4", "/a/1", {"a/", "a/1"}),
        ("/top", "/c", {"c/", "c/3"}),
        ("/a/1", "/top", {"top"}),
        ("/a/1", "/a/deep", {"a/", "a/deep/", "a/deep/4"}),
        ("/", "/top", {"top"}),
    ],
)
def test_a_datum_sees_its_own_files_and_folders_only(root: Path, first: str, second: str, sees: set[str]) -> None:
    files = {"/a/1": b"1", "/b/2": b"2", "/c/3": b"3", "/a/deep/4": b"4", "/top": b"t"}
    staging = staging_of(root, images=files)
    for path in (first, second):
        (prepared,) = staging.prepare([datum(0, element(path, is_dir=path in ("/c", "/", "/a/deep")))])
        seen = shown(root, prepared)
        staging.release(prepared)
    assert seen == sees


def stray(folder: Path) -> None:
    (folder / "a" / "stray").write_text("of other code")


def beside(folder: Path) -> None:
    (folder / "stray").mkdir()


def closed(folder: Path) -> None:
    (folder / "a").chmod(0o700)


def swapped(folder: Path) -> None:
    (folder / "a" / "1").unlink()
    (folder / "a").rmdir()
    (folder / "a").symlink_to("/")


def removed(folder: Path) -> None:
    (folder / "a" / "1").unlink()
    (folder / "a").rmdir()


@pytest.mark.parametrize("harm", [stray, beside, closed, swapped, removed])
def test_a_folder_that_code_has_touched_is_not_used_again(root: Path, harm: Callable[[Path], None]) -> None:
    staging = staging_of(root, images={"/a/1": b"1", "/a/2": b"2"})
    (first,) = staging.prepare([datum(0, element("/a/1"))])
    touched = root / first.links["images"]
    harm(touched)
    staging.release(first)
    staging.sweep()
    assert not touched.exists()
    (second,) = staging.prepare([datum(1, element("/a/2"))])
    assert shown(root, second) == {"a/", "a/2"}
    assert os.path.isdir("/usr")


def test_no_more_are_kept_than_asked_for(root: Path) -> None:
    emptied = Emptied(os.fsencode(root), keep=1)
    for name in ("one", "two"):
        (root / name).mkdir()
        emptied.put(name, [], b"")
    assert [path.name for path in root.iterdir()] == ["one"]
    assert emptied.take(b"x") is None
    assert emptied.take(b"") == "one"
    assert emptied.take(b"") is None


def a_shielded_one(root: Path) -> Staging:
    files = {f"/in/{n}": b"%d" % n for n in range(100)} | {"/in/deep/1": b"1", "/in/" + "x" * 300: b"2"}
    return Staging(root, MemoryStorage(images=files), keep_bytes=0, shielded=True)


def test_where_code_can_change_nothing_nobody_looks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted: of a folder that nobody else can write to nothing is asked before it is used again."""
    staging = a_shielded_one(root)
    asked: list[object] = []
    for name in ("listdir", "lstat", "mkdir", "rmdir"):
        monkeypatch.setattr(os, name, lambda *args, real=getattr(os, name): asked.append(args) or real(*args))
    for number in range(20):
        (prepared,) = staging.prepare([datum(number, element(f"/in/{number}"))])
        if number > 1:
            asked.clear()
        staging.release(prepared)
        staging.sweep()
        assert number < 2 or not asked
        assert len([path for path in root.iterdir() if path.is_dir()]) <= 2
    monkeypatch.undo()
    (prepared,) = staging.prepare([datum(20, element("/in/20"))])
    assert shown(root, prepared) == {"in/", "in/20"}


def test_a_folder_that_was_not_filled_or_not_emptied_is_not_used_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = a_shielded_one(root)
    (filled,) = staging.prepare([datum(0, element("/in/0"))])
    monkeypatch.setattr(os, "unlink", stuck)
    staging.release(filled)
    staging.sweep()
    monkeypatch.undo()
    (broken,) = staging.prepare([datum(1, element("/in"))])
    assert "File name too long" in broken.problem
    staging.release(broken)
    staging.sweep()
    (next_one,) = staging.prepare([datum(2, element("/in/2"))])
    assert shown(root, next_one) == {"in/", "in/2"}


def stuck(path: bytes, **_: object) -> None:
    raise PermissionError(13, "no")
