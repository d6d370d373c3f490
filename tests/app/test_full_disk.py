"""A data folder on a small disk that fills up: writes are refused in words, reads go on, room brings it back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from trunkline.ambient import chance
from trunkline.testing.serving import PachdProcess

SIZE = 32 << 20
LOOP = "mkfs.ext4 -q -F disk && mount -o loop disk small"
TMPFS = f"mount -t tmpfs -o size={SIZE} tmpfs small"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, or in memory where there are no loop devices."""
    folder = tmp_path / "small"
    folder.mkdir()
    with (tmp_path / "disk").open("wb") as disk:
        disk.truncate(SIZE)
    done = subprocess.run(f"{LOOP} || {TMPFS}", shell=True, cwd=tmp_path, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write zeros to a file until nothing fits any more."""
    with suppress(OSError), path.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(1 << 16))


def test_a_full_disk_refuses_writes_in_words_and_nothing_else(small: Path, tmp_path: Path) -> None:
    luck = chance(3)
    kept, more, after = (tmp_path / name for name in ("kept", "more", "after"))
    kept.write_bytes(luck.randbytes(2_000_000))
    more.write_bytes(luck.randbytes(60_000_000))
    after.write_bytes(luck.randbytes(1_000_000))
    with PachdProcess(small, ("--workers", "0")) as server:
        server.pachctl("create", "repo", "data")
        server.pachctl("put", "file", "data@master:/kept", "-f", str(kept))
        server.pachctl("wait", "commit", "data@master")
        with pytest.raises(subprocess.CalledProcessError) as caught:
            server.pachctl("put", "file", "data@master:/more", "-f", str(more))
        said = caught.value.stderr.decode()
        assert "No space left on device" in said or "disk" in said, said
        assert "Traceback" not in said
        ballast = small / "ballast"
        fill(ballast)
        got = tmp_path / "got"
        server.pachctl("get", "file", "data@master:/kept", "-o", str(got))
        assert got.read_bytes() == kept.read_bytes()
        assert "data" in server.pachctl("list", "repo")
        with pytest.raises(subprocess.CalledProcessError) as caught:
            server.pachctl("put", "file", "data@master:/more", "-f", str(more))
        assert "Traceback" not in caught.value.stderr.decode()
        server.must_live()
        ballast.unlink()
        server.pachctl("run", "collection")
        server.pachctl("put", "file", "data@master:/after", "-f", str(after))
        server.pachctl("wait", "commit", "data@master")
        listed = server.pachctl("list", "file", "data@master:/")
        assert ("/kept" in listed, "/more" in listed, "/after" in listed) == (True, False, True)
        assert server.pachctl("fsck").strip() == "No errors found."
        assert "Traceback" not in server.log.read_text()
