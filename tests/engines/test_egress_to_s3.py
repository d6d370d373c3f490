"""A job's output goes to a real S3 server before the job ends; while that is away the job waits and says why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest

from trunkline.ambient import chance
from trunkline.storage.objects import open_place
from trunkline.testing.engines.ports import free_port
from trunkline.testing.seaweed import Seaweed
from trunkline.testing.serving import PachdProcess, documents

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    weed = os.environ.get("TRUNKLINE_WEED")
    if not weed:
        pytest.skip("TRUNKLINE_WEED is not set: make test-engines installs SeaweedFS")
    with Seaweed(weed, tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture
def pachd(seaweed: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PachdProcess]:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    with PachdProcess(tmp_path / "server", ("--workers", "1")) as server:
        yield server


def create(pachd: PachdProcess, url: str) -> None:
    spec = f"""
pipeline: {{name: sent}}
transform: {{cmd: [sh], stdin: ["cp -r /pfs/data/* /pfs/out"]}}
input: {{pfs: {{repo: data, glob: "/*"}}}}
egress: {{URL: "{url}"}}
"""
    pachd.pachctl("create", "repo", "data")
    pachd.pachctl("create", "pipeline", "-f", "-", stdin=spec.encode())


def newest(pachd: PachdProcess) -> dict[str, Any]:
    return next(documents(pachd.pachctl("list", "job", "-p", "sent", "--raw")))


def stored(place: str) -> dict[str, bytes]:
    store: Any = open_place(place).store
    names = [meta["path"] for page in obstore.list(store) for meta in page]
    return {name: bytes(obstore.get(store, name).bytes()) for name in names}


def test_what_a_job_made_lies_in_the_bucket_byte_for_byte_when_the_job_has_ended(
    pachd: PachdProcess, tmp_path: Path
) -> None:
    luck = chance(9)
    files = {"small": b"1\n", "empty": b"", "odd name+ü.bin": luck.randbytes(70_000), "large": luck.randbytes(20 << 20)}
    folder = tmp_path / "files"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    create(pachd, "s3://egress/kept")
    pachd.pachctl("put", "file", "data@master:/", "-r", "-f", str(folder))
    pachd.pachctl("wait", "job", f"sent@{newest(pachd)['job']['id']}")
    assert newest(pachd)["state"] == "JOB_SUCCESS"
    assert stored("s3://egress") == {f"kept/{name}": data for name, data in files.items()}


def test_a_store_that_is_away_is_tried_again_and_the_job_says_why_until_it_is_back(
    pachd: PachdProcess, seaweed: Seaweed
) -> None:
    port = free_port()
    create(pachd, f"s3://away/kept?endpoint=http://127.0.0.1:{port}")
    pachd.pachctl("put", "file", "data@master:/a", stdin=b"patience")
    job = newest(pachd)
    for _ in range(600):
        if "trying again" in job.get("reason", "") or job["state"] not in (
            "JOB_CREATED",
            "JOB_RUNNING",
            "JOB_EGRESSING",
        ):
            break
        pachd.pause(0.1)
        job = newest(pachd)
    assert job["state"] == "JOB_EGRESSING"
    told = "egress to s3://away/kept failed once, trying again (last: cannot write s3://away/kept"
    assert job["reason"].startswith(told), job["reason"]
    assert "not-a-secret" not in job["reason"]
    relay(port, seaweed)
    pachd.pachctl("wait", "job", f"sent@{newest(pachd)['job']['id']}")
    assert newest(pachd)["state"] == "JOB_SUCCESS"
    assert stored("s3://away") == {"kept/a": b"patience"}


def relay(port: int, seaweed: Seaweed) -> None:
    """From now on the server is reached at that port, until the test has ended."""
    from trunkline.worker.standing.forward import Forward

    host, _, inner = seaweed.endpoint.removeprefix("http://").rpartition(":")
    assert host == "127.0.0.1"
    Forward("127.0.0.1", port, int(inner))
