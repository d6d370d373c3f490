"""What lies in /pfs/out becomes files, references, or a complaint that names it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from fakes import MemoryOutput, MemoryStorage, datum, element

from trunkline.worker.collect import Collector, Found
from trunkline.worker.layout import Pfs, Prepared, Staging


class Place:
    """A laid-out datum, its out folder and its collector. The code would see staging at /.pfs."""

    def __init__(self, tmp_path: Path) -> None:
        self.storage = MemoryStorage(images={"/cats/1.png": b"one", "/cats/2.png": b"two", "/dog.png": b"dog"})
        for name in ("pfs", "staging"):
            (tmp_path / name).mkdir()
        staging = Staging(tmp_path / "staging", self.storage)
        self.prepared: Prepared = staging.prepare([datum(0, element("/cats"), element("/dog.png"))])[0]
        Pfs(tmp_path / "pfs", "/.pfs").lay(self.prepared, {})
        self.out = tmp_path / "pfs" / "out"
        self.collector = Collector(str(tmp_path / "pfs"), str(tmp_path / "staging"), "/.pfs")

    def look(self) -> Found:
        return self.collector.look(self.prepared)

    def rows(self) -> dict[str, object]:
        output = MemoryOutput(self.storage)
        found = self.look()
        assert not found.complaint
        self.collector.store(found, output, "d")
        rows = output.seal([])
        assert isinstance(rows, list)
        assert len({path for path, _, _ in rows}) == len(rows)
        return {path: content for path, content, _ in rows}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_regular_files_small_and_large(place: Place) -> None:
    (place.out / "a" / "b").mkdir(parents=True)
    (place.out / "a" / "b" / "c").write_bytes(b"small")
    (place.out / "large").write_bytes(b"x" * 300_000)
    (place.out / "none").touch()
    (place.out / "gone" / "empty").mkdir(parents=True)
    assert place.rows() == {"/a/b/c": b"small", "/large": b"x" * 300_000, "/none": b""}


def test_links_into_inputs_are_references(place: Place) -> None:
    (place.out / "pet.png").symlink_to("/pfs/images/dog.png")
    (place.out / "relative").symlink_to("../images/cats/1.png")
    (place.out / "tree").symlink_to("/pfs/images/cats")
    reference = ("images", "c" * 32)
    assert place.rows() == {
        "/pet.png": (*reference, "/dog.png"),
        "/relative": (*reference, "/cats/1.png"),
        "/tree/1.png": (*reference, "/cats/1.png"),
        "/tree/2.png": (*reference, "/cats/2.png"),
    }


def test_links_inside_out_are_contents(place: Place) -> None:
    (place.out / "d").mkdir()
    (place.out / "d" / "f").write_bytes(b"f")
    (place.out / "file").symlink_to("d/f")
    (place.out / "absolute").symlink_to("/pfs/out/d/f")
    (place.out / "folder").symlink_to("/pfs/out/d")
    (place.out / "chain").symlink_to("folder/../file")
    assert place.rows() == {"/d/f": b"f", "/file": b"f", "/absolute": b"f", "/folder/f": b"f", "/chain": b"f"}


def test_a_dangling_link_is_named(place: Place) -> None:
    (place.out / "x").symlink_to("/pfs/out/nowhere")
    assert place.look().complaint == "/pfs/out/x is a link to /pfs/out/nowhere, which does not exist"
    assert not place.look().blocked


@pytest.mark.parametrize(
    ("links", "told"),
    [
        ({"a": "b", "b": "a"}, "/pfs/out/a is a link to b, which leads nowhere: too many levels of symbolic links"),
        ({"me": "/pfs/out"}, "/pfs/out/me is a link to /pfs/out, which leads back to a folder it lies in"),
        ({"up": "/pfs"}, "/pfs/out/up is a link to /pfs, which leads back to a folder it lies in"),
        ({"p/q": "/pfs/out/r", "r/s": "/pfs/out/p"}, "which leads back to a folder it lies in"),
    ],
)
def test_loops_are_named(place: Place, links: dict[str, str], told: str) -> None:
    for name, target in links.items():
        (place.out / name).parent.mkdir(exist_ok=True)
        (place.out / name).symlink_to(target)
    assert told in place.look().complaint


def test_a_link_out_of_pfs_needs_the_agent(place: Place) -> None:
    (place.out / "x").symlink_to("/etc/passwd")
    found = place.look()
    assert found.blocked
    assert found.complaint == "/pfs/out/x is a link to /etc/passwd, which cannot be read"


def test_sockets_and_pipes_are_ignored_with_a_line(place: Place) -> None:
    os.mkfifo(place.out / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(place.out)
        server.bind("sock")
        os.chdir(here)
    (place.out / "link").symlink_to("pipe")
    (place.out / "file").write_bytes(b"f")
    assert place.rows() == {"/file": b"f"}
    assert sorted(place.look().ignored) == [
        "/pfs/out/link is a named pipe and was not uploaded",
        "/pfs/out/pipe is a named pipe and was not uploaded",
        "/pfs/out/sock is a socket and was not uploaded",
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"line\nbreak", "control characters are not allowed"),
        (b"latin\xe9", "its name is not valid UTF-8"),
        (b"deep/" + b"\x01", "control characters are not allowed"),
    ],
)
def test_names_that_break_the_rules_fail_the_datum(place: Place, name: bytes, why: str) -> None:
    path = os.path.join(os.fsencode(place.out), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb"):
        pass
    complaint = place.look().complaint
    assert complaint.startswith("output file /pfs/out/")
    assert "cannot be represented in PFS" in complaint
    assert why in complaint


def test_glob_characters_and_other_alphabets_are_names(place: Place) -> None:
    names = ["*.png", "[a]{b}", "ünï cödé", "日本"]
    for name in names:
        (place.out / name).write_bytes(b"x")
    assert set(place.rows()) == {f"/{name}" for name in names}


def test_out_that_is_no_folder_fails_the_datum(place: Place) -> None:
    place.out.rmdir()
    assert place.look() == Found()
    place.out.symlink_to("/pfs/images")
    assert "no longer a directory" in place.look().complaint


def test_ten_thousand_files(place: Place) -> None:
    for folder in range(100):
        (place.out / str(folder)).mkdir()
        for file in range(100):
            (place.out / str(folder) / str(file)).write_bytes(b"%d" % file)
    rows = place.rows()
    assert len(rows) == 10_000
    assert rows["/42/17"] == b"17"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(place: Place) -> None:
    (place.out / "secret").write_bytes(b"x")
    (place.out / "secret").chmod(0)
    assert place.look().complaint == "/pfs/out/secret cannot be read: permission denied"
    assert place.look().blocked
