"""Whole servers on PostgreSQL: one that is killed, or whose database starts anew; several on one database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from trunkline.testing.engines.postgres import PASSWORD, Postgres, drop_schema
from trunkline.testing.seaweed import Seaweed
from trunkline.testing.serving import PachdProcess

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
pytestmark = pytest.mark.engines

LOOK_S = 0.2
PATIENCE = 600
"""Looks until something must have happened."""
COUNT = 12
SHOUT = "for f in /pfs/data/*; do sleep 0.2; tr a-z A-Z < $f > /pfs/out/$(basename $f); done"
TELL = "env > /pfs/out/env"


@pytest.fixture
def url(pg: Postgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a schema of the test's own."""
    url = pg.schema(request.node.nodeid)
    yield url
    drop_schema(url)


@pytest.fixture
def s3(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where several servers can keep their bytes."""
    weed = os.environ.get("TRUNKLINE_WEED")
    if not weed:
        pytest.skip("TRUNKLINE_WEED is not set: make test-engines installs SeaweedFS")
    with Seaweed(weed, tmp_path_factory.mktemp("weed")) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield "s3://together/here"


def spec(name: str, code: str) -> bytes:
    """A pipeline of one datum a file."""
    transform = {"cmd": ["sh"], "stdin": [code]}
    given = {"pipeline": {"name": name}, "input": {"pfs": {"repo": "data", "glob": "/*"}}, "transform": transform}
    return json.dumps(given).encode()


def begin(pachd: PachdProcess, count: int = COUNT) -> None:
    """Files, and a pipeline that takes a while for them."""
    pachd.pachctl("create", "repo", "data")
    pachd.pachctl("start", "commit", "data@master")
    for number in range(count):
        pachd.pachctl("put", "file", f"data@master:/f{number:02}", "-f", "-", stdin=b"hello %d" % number)
    pachd.pachctl("create", "pipeline", "-f", "-", stdin=spec("shout", SHOUT))
    pachd.pachctl("finish", "commit", "data@master")


def ends_right(pachd: PachdProcess, count: int = COUNT) -> None:
    """The job ends as it would have without any trouble, and all promises hold."""
    pachd.pachctl("wait", "commit", "shout@master")
    assert "success" in pachd.pachctl("list", "job", "-p", "shout")
    for number in range(count):
        assert pachd.pachctl("get", "file", f"shout@master:/f{number:02}") == f"HELLO {number}"
    assert "No errors found" in pachd.pachctl("fsck")


def until(what: Callable[[], bool], pachd: PachdProcess) -> None:
    """Wait until this is true."""
    for _ in range(PATIENCE):
        if what():
            return
        pachd.pause(LOOK_S)
    raise AssertionError(pachd.last_words())


def holder_of(pachd: PachdProcess) -> str:
    """What this server calls itself as the leader."""
    return str(json.loads((pachd.data / "identity.json").read_text())["deployment_id"])


def leader(url: str) -> tuple[int, str]:
    """Epoch and holder of the present term."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT epoch, holder FROM leader").fetchone() or (0, "")


def test_a_job_ends_right_through_kills_and_a_database_that_starts_anew(pg: Postgres, url: str, tmp_path: Path) -> None:
    with PachdProcess(tmp_path, ["--database", url, "--workers", "2"]) as pachd:
        begin(pachd)
        pachd.kill()
        pachd.start(fresh=False)
        pg.kill()
        pg.start()
        pachd.must_live()
        until(lambda: leader(url)[0] > 0, pachd)
        pg.stop()
        pg.start()
        ends_right(pachd)
        assert PASSWORD not in pachd.log.read_text()


def test_no_password_reaches_user_code_or_the_log(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with PachdProcess(tmp_path, ["--database", url.replace(f":{PASSWORD}@", "@"), "--workers", "1"]) as pachd:
        pachd.pachctl("create", "repo", "data")
        pachd.pachctl("put", "file", "data@master:/f", "-f", "-", stdin=b"x")
        pachd.pachctl("create", "pipeline", "-f", "-", stdin=spec("tell", TELL))
        pachd.pachctl("wait", "commit", "tell@master")
        assert PASSWORD not in pachd.pachctl("get", "file", "tell@master:/env")
        assert PASSWORD not in pachd.log.read_text()
        assert not (pachd.data / "catalog.db").exists()


def test_several_servers_are_one_and_a_leader_that_was_stopped_changes_nothing(
    url: str, s3: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        flags = ["--database", url, "--storage", s3, "--workers", "1"]
        one, two = (stack.enter_context(PachdProcess(tmp_path / name, flags)) for name in ("one", "two"))
        until(lambda: leader(url)[0] == 1, one)
        assert one.pachctl("inspect", "cluster") == two.pachctl("inspect", "cluster")
        begin(one)
        assert "shout" in two.pachctl("list", "pipeline")
        by_holder = {
            json.loads((each.data / "identity.json").read_text())["deployment_id"]: each for each in (one, two)
        }
        first = by_holder[leader(url)[1]]
        (second,) = [each for each in (one, two) if each is not first]
        os.killpg(first.pid, signal.SIGSTOP)
        try:
            until(lambda: leader(url)[0] == 2, second)
            ends_right(second)
        finally:
            os.killpg(first.pid, signal.SIGCONT)
        until(lambda: "another server leads now" in first.log.read_text(), first)
        assert leader(url)[0] == 2
        first.pachctl("put", "file", "data@master:/late", "-f", "-", stdin=b"late")
        first.pachctl("wait", "commit", "shout@master")
        assert second.pachctl("get", "file", "shout@master:/late") == "LATE"
        second.stop()
        until(lambda: leader(url)[0] == 3, first)
        first.pachctl("put", "file", "data@master:/last", "-f", "-", stdin=b"last")
        first.pachctl("wait", "commit", "shout@master")
        assert first.pachctl("get", "file", "shout@master:/last") == "LAST"


def test_bytes_in_a_data_folder_are_for_one_server(url: str, tmp_path: Path) -> None:
    with PachdProcess(tmp_path / "one", ["--database", url, "--workers", "0"]) as one:
        other = [one.program("pachd"), "--data", str(tmp_path / "two"), "--listen", "127.0.0.1:0", "--database", url]
        done = subprocess.run(other, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "in the data folder of the server that was first" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_moves_to_postgres_and_back(url: str, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with PachdProcess(tmp_path / "file", ["--workers", "1"]) as pachd:
        begin(pachd, 3)
        pachd.pachctl("wait", "commit", "shout@master")
        pachd.pachctl("backup", str(backup))
    again = tmp_path / "again"
    with PachdProcess(tmp_path / "server", ["--workers", "1", "--database", url]) as pachd:
        pachd.pachctl("restore", str(backup))
        ends_right(pachd, 3)
        pachd.pachctl("put", "file", "data@master:/f03", "-f", "-", stdin=b"hello 3")
        ends_right(pachd, 4)
        pachd.pachctl("backup", str(again))
    with PachdProcess(tmp_path / "back", ["--workers", "1"]) as pachd:
        pachd.pachctl("restore", str(again))
        ends_right(pachd, 4)
        pachd.pachctl("put", "file", "data@master:/f04", "-f", "-", stdin=b"hello 4")
        ends_right(pachd, 5)
