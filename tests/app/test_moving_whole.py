"""The page about backup and moving, typed line by line beside two servers; and a server killed while it imports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.client import connect
from trunkline.errors import TrunklineError
from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import trunkline_pb2 as own

PAGE = Path(__file__).parent.parent.parent / "docs" / "moving.md"
THERE = ("# on the other server", "# on the empty server")


def typed(block: str, server: PachdProcess, folder: Path) -> str:
    """What a block of the page prints, typed in a folder beside a server."""
    env = {**server.client_env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    run = ["bash", "-euo", "pipefail", "-c", block]
    return subprocess.run(run, cwd=folder, env=env, capture_output=True, check=True).stdout.decode()


@pytest.fixture
def old(tmp_path: Path) -> Iterator[PachdProcess]:
    with PachdProcess(tmp_path / "old", ["--workers", "0"]) as server:
        for repo in ("data", "more"):
            server.pachctl("create", "repo", repo)
            server.pachctl("put", "file", f"{repo}@master:/a", stdin=b"1")
        server.pachctl("put", "file", "data@master:/b", stdin=os.urandom(3 << 20))
        server.pachctl("wait", "commit", "data@master")
        yield server


def test_every_line_of_the_page_works(old: PachdProcess, tmp_path: Path) -> None:
    blocks = [one for one in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.M | re.S) if "s3:" not in one]
    backing, restoring, exporting, importing, copying = blocks
    folder = tmp_path / "typed"
    folder.mkdir()
    typed(backing, old, folder)
    typed(exporting, old, folder)
    old.pachctl("wait", "commit", "data@master")
    assert [block.startswith(THERE) for block in blocks] == [False, True, False, True, True]
    with PachdProcess(tmp_path / "empty", ["--workers", "0"]) as empty:
        assert "No errors found" in typed(restoring, empty, folder)
        assert empty.pachctl("get", "file", "data@master:/a") == "1"
    with PachdProcess(tmp_path / "other", ["--workers", "0"]) as other:
        said = typed(importing, other, folder).splitlines()
        assert said[0].startswith("default/data: 3 commits, 1 branch, 0 tags, ")
        assert said[1].startswith("default/twin: 3 commits, 1 branch, 0 tags, 0 chunks")
        assert len(said) == 3 + 3
        assert other.pachctl("get", "file", "twin@master:/a") == "1"
        said = typed(copying.replace("old.example:30650", old.address), other, folder).splitlines()
        assert [line.split(",")[0] for line in said] == [
            "default/data: 0 commits (3 were here)", "default/more: 1 commit",
            "default/data: 0 commits (3 were here)", "default/more: 0 commits (1 were here)",
        ]  # fmt: skip
        assert "No errors found" in other.pachctl("fsck")


def test_a_kill_while_a_bundle_is_imported_leaves_nothing(old: PachdProcess, tmp_path: Path) -> None:
    old.pachctl("export", "data", "-o", str(tmp_path / "b"))
    data = (tmp_path / "b").read_bytes()
    with PachdProcess(tmp_path / "new", ["--workers", "0"]) as new:
        _killed_in_the_middle(new, data)
        new.start(fresh=False)
        assert new.pachctl("list", "repo", "--raw").strip() == ""
        assert list((new.data / "backups").glob("*")) == []
        assert "No errors found" in new.pachctl("fsck")
        new.pachctl("import", str(tmp_path / "b"))
        assert new.pachctl("get", "file", "data@master:/a") == "1"
        assert "No errors found" in new.pachctl("fsck")


def _killed_in_the_middle(server: PachdProcess, data: bytes) -> None:
    """Send all of a bundle but its end, and kill the server when it has taken that."""
    sent, over = threading.Event(), threading.Event()

    def messages() -> Iterator[own.ImportRepoRequest]:
        yield own.ImportRepoRequest(start=own.ImportStart())
        for start in range(0, len(data) - 40, 1 << 20):
            yield own.ImportRepoRequest(data=data[start : min(start + (1 << 20), len(data) - 40)])
        sent.set()
        over.wait()

    def call() -> None:
        with connect(server.address) as client:
            try:
                client.moving.ImportRepo(messages())
            except TrunklineError as error:
                said.append(str(error))

    said: list[str] = []
    thread = threading.Thread(target=call)
    thread.start()
    assert sent.wait(60)
    server.kill()
    over.set()
    thread.join(60)
    assert said
