"""A data folder on a small disk that fills up: writes are refused in words, reads go on, room brings it back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from whole import Site

from trunkline.ambient import chance
from trunkline.testing.serving import PachdProcess

SIZE = 32 << 20
SCRATCH = 360 << 20
LOOP = "mkfs.ext4 -q -m 0 -F disk && mount -o loop disk {folder}"
TMPFS = "mount -t tmpfs -o size={size} tmpfs {folder}"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, or in memory where there are no loop devices."""
    yield from mounted(tmp_path, tmp_path / "small", SIZE)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server whose one worker has its scratch on a disk of its own, on which little more fits than a worker needs."""
    server = PachdProcess(tmp_path / "server", ("--workers", "1"))
    for _ in mounted(tmp_path, server.data / "workers" / "scratch", SCRATCH):
        server.start(fresh=False)
        try:
            yield Site(server)
        finally:
            server.stop()


def mounted(tmp_path: Path, folder: Path, size: int) -> Iterator[Path]:
    folder.mkdir(parents=True)
    with (tmp_path / "disk").open("wb") as disk:
        disk.truncate(size)
    mount = f"{LOOP} || {TMPFS}".format(folder=folder, size=size)
    done = subprocess.run(mount, shell=True, cwd=tmp_path, capture_output=True, check=False)
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


def free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def test_code_that_fills_the_disk_fails_by_that_reason_and_the_next_datum_finds_room(site: Site) -> None:
    scratch = site.server.data / "workers" / "scratch"
    before = free(scratch)
    silent = "dd if=/dev/zero of=/pfs/out/x bs=4M 2> /dev/null; exit 3"
    site.pachctl("create", "repo", "fills-in")
    site.put("fills-in", a="fill", b="fine")
    site.create("fills", {"cmd": ["sh"], "stdin": [f"if grep fill $in; then {silent}; fi; cp $in /pfs/out"]})
    job = site.job("fills")
    assert (job["state"], job["data_processed"], job["data_failed"]) == ("JOB_FAILURE", "1", "1")
    assert "exit 3 after 3 tries; no space left on device: the disk that holds" in job["reason"]
    assert before - free(scratch) < 1 << 20
    site.put("fills-in", a="mended")
    assert site.counts("fills") == ("success", 1, 1)
    assert "died" not in site.server.log.read_text()


def test_inputs_that_do_not_fit_wait_for_room_in_words_and_no_datum_fails(site: Site, tmp_path: Path) -> None:
    scratch = site.server.data / "workers" / "scratch"
    large = tmp_path / "large"
    large.write_bytes(chance(5).randbytes(72 << 20))
    site.pachctl("create", "repo", "large-in")
    site.pachctl("put", "file", "large-in@master:/large", "-f", str(large))
    ballast = scratch / "ballast"
    with ballast.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, free(scratch) - (68 << 20))
    site.create("large", {"cmd": ["sh"], "stdin": ["stat -L -c %s $in > /pfs/out/size"]}, datum_tries=1)
    told = "do not fit; make room there"
    said = ""
    for _ in range(100):
        if told in (said := site.pachctl("logs", "-p", "large", "--raw")):
            break
    assert f"a datum's inputs, {72 << 20:,} bytes, {told}" in said
    assert "running" in site.pachctl("list", "job", "-p", "large")
    ballast.unlink()
    assert site.counts("large") == ("success", 1, 0)
    assert site.tree("large") == {"/size": f"{72 << 20}\n"}


def test_batching_code_that_does_not_notice_a_full_disk_is_noted_in_the_log(site: Site) -> None:
    fill = "dd if=/dev/zero of=/pfs/out/x bs=4M"
    code = f"while pachctl next datum; do . /pfs/.env; test ! -s $in || {fill}; done"
    site.pachctl("create", "repo", "unseen-in")
    site.put("unseen-in", full="1", well="")
    site.create("unseen", {"cmd": ["sh"], "stdin": [code], "datum_batching": True}, datum_tries=1)
    assert site.counts("unseen") == ("success", 2, 0), site.job("unseen").get("reason")
    told = site.pachctl("logs", "--pipeline", "unseen", "--raw")
    assert told.count("the code ended well all the same, and its output may be cut off") == 1
