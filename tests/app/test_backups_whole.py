"""Backup and restore as people do them: two servers, a pipeline that runs, a secret, kill -9."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from whole import Site

from trunkline.client import connect
from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import trunkline_pb2 as own

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    (tmp_path / "seen").mkdir()
    return ["--workers", "1", "--expose", str(tmp_path / "seen")]


@pytest.fixture
def source(tmp_path: Path, flags: list[str]) -> Iterator[Site]:
    with PachdProcess(tmp_path / "source", flags) as server:
        yield Site(server)


def test_a_server_moves_with_all_it_has_though_it_is_killed(source: Site, tmp_path: Path, flags: list[str]) -> None:
    data = {"word": base64.b64encode(b"hidden").decode()}
    form = {"kind": "Secret", "apiVersion": "v1", "type": "Opaque", "metadata": {"name": "db"}, "data": data}
    source.pachctl("create", "secret", "-f", "-", stdin=json.dumps(form).encode())
    source.pachctl("create", "repo", "held-in")
    gate = tmp_path / "seen" / "gate"
    code = f'until [ -e {gate} ]; do sleep 0.1; done; cp /pfs/in/* /pfs/out/; echo "$WORD" > /pfs/out/word'
    secrets = [{"name": "db", "env_var": "WORD", "key": "word"}]
    source.create("held", {"cmd": ["sh"], "stdin": [code], "secrets": secrets})
    source.put("held-in", a=os.urandom(400_000).hex())
    said = source.pachctl("backup", str(tmp_path / "b"), "--with-keys")
    assert " blobs" in said
    with PachdProcess(tmp_path / "target", flags) as server:
        target = Site(server)
        _killed_in_the_middle(target, (tmp_path / "b").read_bytes())
        server.start(fresh=False)
        assert target.pachctl("list", "repo", "--raw").strip() == ""
        assert "restored" in target.pachctl("restore", str(tmp_path / "b"))
        gate.touch()
        assert target.counts("held") == ("success", 1, 0)
        assert target.tree("held")["/word"] == "hidden\n"
        assert target.tree("held-in") == source.tree("held-in")
        assert "No errors" in target.pachctl("fsck")
        jobs = [[line.split()[0] for line in site.pachctl("list", "job").splitlines()] for site in (source, target)]
        assert jobs[0] == jobs[1] != []
        assert "empty one only" in target.refused("restore", str(tmp_path / "b"))


def _killed_in_the_middle(target: Site, whole: bytes) -> None:
    """SIGKILL when the server has taken most of a backup, and waits for the rest."""
    staged = target.server.data / "restore" / "catalog.db"
    killed = threading.Event()

    def messages() -> Iterator[own.RestoreRequest]:
        for start in range(0, len(whole) - 1000, 1 << 20):
            yield own.RestoreRequest(data=whole[start : min(start + (1 << 20), len(whole) - 1000)])
        for _ in range(600):
            if staged.exists() and list((target.server.data / "blobs").glob("chunks/*/*")):
                break
            target.server.pause(0.1)
        target.server.kill()
        killed.set()

    with (
        connect(f"grpc://{target.server.address}") as client,
        pytest.raises(Exception, match=r"pachd|connection|cancel"),
    ):
        client.backups.Restore(messages())
    assert killed.wait(60)


def test_what_needs_a_secret_says_so_until_its_key_is_back(source: Site, tmp_path: Path, flags: list[str]) -> None:
    form = {"kind": "Secret", "metadata": {"name": "db"}, "stringData": {"word": "hidden"}}
    source.pachctl("create", "secret", "-f", "-", stdin=json.dumps(form).encode())
    source.pachctl("create", "repo", "told-in")
    code = {
        "cmd": ["sh", "-c", 'for f in $(ls /pfs/in); do echo "$WORD" > /pfs/out/$f; done'],
        "secrets": [{"name": "db", "env_var": "WORD", "key": "word"}],
    }
    source.create("told", code)
    source.pachctl("backup", str(tmp_path / "b"))
    with PachdProcess(tmp_path / "target", flags) as server:
        target = Site(server)
        words = [server.program("pachctl"), "restore", str(tmp_path / "b")]
        shown = subprocess.run(words, env=server.client_env, capture_output=True, text=True, check=True).stderr
        key = server.data / "secrets.key"
        assert "the server has not the key of secret db: put the secrets.key of the server" in shown
        assert f"in the place of its {key} and start it again" in shown
        target.put("told-in", a="x")
        job = target.job("told")
        assert job["state"] == "JOB_FAILURE"
        assert job["reason"] == f"the key of all secrets, {key}, is gone; put it back from a backup"
        server.stop()
        key.write_bytes((source.server.data / "secrets.key").read_bytes())
        server.start(fresh=False)
        target.put("told-in", b="y")
        assert target.counts("told") == ("success", 2, 0)
        assert target.tree("told") == {"/a": "hidden\n", "/b": "hidden\n"}
