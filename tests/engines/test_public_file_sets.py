"""pachyderm-sdk 2.12.2, in an environment of its own, makes, reads, composes and adds file sets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.engines

SCRIPT = """
import sys
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, storage

client = Client(host=sys.argv[1], port=int(sys.argv[2]))
client.pfs.create_repo(repo=pfs.Repo.from_uri("data"))
master = pfs.Branch.from_uri("data@master")


def walk(commit):
    return [info.file.path for info in client.pfs.walk_file(file=pfs.File(commit=commit, path="/"))]


with client.pfs.commit(branch=master) as first:
    first.put_file_from_bytes("/a", b"1")
first.wait()
total = client.pfs.get_file_set(commit=first).file_set_id
lent = pfs.Commit(repo=pfs.Repo(name="__filesets__", type="user"), id=total)
assert walk(lent) == ["/", "/a"]
with client.pfs.pfs_file(pfs.File(commit=lent, path="/a")) as file:
    assert file.read() == b"1"


def appended():
    yield storage.CreateFilesetRequest(append_file=storage.AppendFile(path="/x", data=b"123"))
    for _ in range(3):
        yield storage.CreateFilesetRequest(append_file=storage.AppendFile(path="/y/z", data=b"4" * (15 << 20)))


made = client.storage.create_fileset(appended()).fileset_id
read = {}
for piece in client.storage.read_fileset(fileset_id=made):
    read[piece.path] = read.get(piece.path, 0) + len(piece.data)
assert read == {"/x": 3, "/y/z": 45 << 20}, read
both = client.storage.compose_fileset(fileset_ids=[made, total], ttl_seconds=60).fileset_id
client.storage.renew_fileset(fileset_id=both, ttl_seconds=90)
shards = client.storage.shard_fileset(fileset_id=both, num_files=1).shards
assert [(one.lower, one.upper) for one in shards] == [("", "/x"), ("/x", "/y/z"), ("/y/z", "")], shards
with client.pfs.commit(branch=master) as second:
    client.pfs.add_file_set(commit=second, file_set_id=made)
second.wait()
assert walk(second) == ["/", "/a", "/x", "/y/", "/y/z"]
"""


def test_file_sets_through_the_public_client(tmp_path: Path) -> None:
    python = os.environ.get("TRUNKLINE_SDK_PYTHON")
    if not python:
        pytest.skip("TRUNKLINE_SDK_PYTHON is not set: make test-engines makes an environment with pachyderm-sdk")
    with PachdProcess(tmp_path / "server", ("--workers", "0")) as pachd:
        host, port = pachd.address.split(":")
        done = subprocess.run(
            [python, "-c", SCRIPT, host, port], capture_output=True, text=True, timeout=200, check=False
        )
    assert done.returncode == 0, done.stderr
