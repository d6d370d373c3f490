"""Links and /pfs/.env that stay from datum to datum: as if each had been made anew, whatever code does to them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import MemoryStorage, datum, element

from trunkline.worker.layout import Pfs, Prepared, Staging


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    (tmp_path / "staging").mkdir()
    files = {f"/{name}": name.encode() for name in ("a", "b", *map(str, range(100)))}
    return Staging(tmp_path / "staging", MemoryStorage(images=files, other={"/o": b"o"}), keep_bytes=0)


@pytest.fixture
def pfs(tmp_path: Path) -> Pfs:
    (tmp_path / "pfs").mkdir()
    return Pfs(tmp_path / "pfs", str(tmp_path / "staging"), tmp_path / "links")


def prepared(staging: Staging, *paths: str, name: str = "images") -> list[Prepared]:
    return staging.prepare([datum(row, element(path, name)) for row, path in enumerate(paths)])


def shown(tmp_path: Path) -> dict[str, bytes]:
    """Every file of /pfs, followed through links."""
    top = tmp_path / "pfs"
    return {
        str(Path(here, name).relative_to(top)): Path(here, name).read_bytes()
        for here, _, names in os.walk(top, followlinks=True)
        for name in names
    }


def test_a_hundred_datums_take_no_link_and_no_file_anew(
    staging: Staging, pfs: Pfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work is counted: two folders take turns, so there are two links, and one /pfs/.env."""
    made: list[str] = []

    def symlink(target: bytes, path: bytes, real: Callable[..., None] = os.symlink) -> None:
        made.append(os.fsdecode(target))
        real(target, path)

    monkeypatch.setattr(os, "symlink", symlink)
    environments = set()
    before: Prepared | None = None
    for number in range(100):
        (now,) = prepared(staging, f"/{number}")
        pfs.lay(now, {"N": str(number)})
        assert shown(tmp_path) == {f"images/{number}": str(number).encode(), ".env": b"N=%d\n" % number}
        environments.add((tmp_path / "pfs" / ".env").stat().st_ino)
        assert pfs.clear() == []
        if before is not None:
            staging.release(before)
        before = now
    assert len(made) == len(set(made)) <= 3
    assert len(environments) == 1


def test_an_input_of_other_datums_is_not_shown(staging: Staging, pfs: Pfs, tmp_path: Path) -> None:
    (first,) = prepared(staging, "/a")
    (second,) = prepared(staging, "/o", name="other")
    pfs.lay(first, {})
    pfs.lay(second, {})
    assert set(shown(tmp_path)) == {"other/o", ".env"}
    pfs.lay(first, {})
    assert set(shown(tmp_path)) == {"images/a", ".env"}


def elsewhere(link: Path) -> None:
    link.unlink()
    link.symlink_to("/etc")


def folder(link: Path) -> None:
    link.unlink()
    (link / "deep").mkdir(parents=True)
    (link / "deep" / "file").write_text("of the code")


def nothing(link: Path) -> None:
    link.unlink()


@pytest.mark.parametrize("tidied", [True, False], ids=["before it is cleared", "afterwards, by code that lives on"])
@pytest.mark.parametrize("harm", [elsewhere, folder, nothing])
def test_a_link_that_code_has_touched_is_not_shown_again(
    staging: Staging, pfs: Pfs, tmp_path: Path, harm: Callable[[Path], None], tidied: bool
) -> None:
    first, second = prepared(staging, "/a", "/b")
    pfs.lay(first, {})
    if tidied:
        harm(tmp_path / "pfs" / "images")
        pfs.clear()
    else:
        pfs.clear()
        harm(tmp_path / "pfs" / "images")
    pfs.lay(second, {})
    assert shown(tmp_path) == {"images/b": b"b", ".env": b""}
    pfs.clear()
    pfs.lay(first, {})
    assert shown(tmp_path) == {"images/a": b"a", ".env": b""}
    assert os.path.isdir("/etc")


def test_where_a_link_cannot_be_moved_it_is_made_anew(
    staging: Staging, pfs: Pfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A /pfs in memory lies on another file system."""

    def rename(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", rename)
    first, second = prepared(staging, "/a", "/b")
    for one, path in ((first, "a"), (second, "b"), (first, "a")):
        pfs.lay(one, {})
        assert set(shown(tmp_path)) == {f"images/{path}", ".env"}
        pfs.clear()


def test_links_of_an_earlier_worker_are_gone(tmp_path: Path) -> None:
    (tmp_path / "pfs").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "1").symlink_to("/etc")
    Pfs(tmp_path / "pfs", str(tmp_path / "staging"), tmp_path / "links")
    assert list((tmp_path / "links").iterdir()) == []


def to_a_secret(env: Path) -> None:
    env.symlink_to(env.parent.parent / "secret")


def a_pipe(env: Path) -> None:
    os.mkfifo(env)


def a_folder(env: Path) -> None:
    (env / "deep").mkdir(parents=True)


@pytest.mark.parametrize("harm", [to_a_secret, a_pipe, a_folder])
def test_env_is_never_written_to_where_code_leads_it(
    staging: Staging, pfs: Pfs, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """Code that lives on between two datums may replace it after it was looked at."""
    (tmp_path / "secret").write_text("untouched")
    first, second = prepared(staging, "/a", "/b")
    pfs.lay(first, {"A": "1"})
    pfs.clear()
    (tmp_path / "pfs" / ".env").unlink()
    harm(tmp_path / "pfs" / ".env")
    pfs.lay(second, {"B": "2"})
    assert not (tmp_path / "pfs" / ".env").is_symlink()
    assert (tmp_path / "pfs" / ".env").read_text() == "B=2\n"
    assert (tmp_path / "secret").read_text() == "untouched"


def test_env_is_written_to_its_end_and_no_further(staging: Staging, pfs: Pfs, tmp_path: Path) -> None:
    (first,) = prepared(staging, "/a")
    env = tmp_path / "pfs" / ".env"
    pfs.lay(first, {"LONG": "x" * 1000})
    pfs.clear()
    pfs.lay(first, {"B": "2"})
    assert env.read_text() == "B=2\n"
    env.write_bytes(bytes(2 << 20))
    pfs.clear()
    assert not env.exists(), "what code made of it takes no room afterwards"


def test_env_is_never_empty_for_a_moment(
    staging: Staging, pfs: Pfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ext4 writes a file out at once that was emptied and written anew, and the next datum waits for the disk."""
    sizes: list[int] = []
    env = tmp_path / "pfs" / ".env"

    def close(descriptor: int, real: Callable[[int], None] = os.close) -> None:
        real(descriptor)
        sizes.append(env.stat().st_size)

    def opened(path: bytes, flags: int, mode: int = 0o777, real: Callable[..., int] = os.open) -> int:
        assert not (os.fsencode(path).endswith(b".env") and flags & os.O_TRUNC)
        return real(path, flags, mode)

    (first,) = prepared(staging, "/a")
    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "close", close)
    for number in (1, 10, 1):
        pfs.lay(first, {"N": "x" * number})
        assert sizes.pop() == env.stat().st_size == len("N=\n") + number
        pfs.clear()
