"""pachyderm-sdk with a server that speaks TLS: by settings, without TLS, and from code that a pipeline runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

SPOUT = """
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
client = Client.new_in_cluster()
branch = pfs.Branch.from_uri("default/spring@master")
with client.pfs.commit(branch=branch) as commit:
    commit.put_file_from_bytes("/seen", str(client.get_version().major).encode())
import time
time.sleep(600)
"""


def address() -> tuple[str, int]:
    host, port = os.environ["TRUNKLINE_ADDRESS"].split(":")
    return host, int(port)


def test_settings_that_pachctl_wrote() -> None:
    client = Client.from_config(os.environ["PACH_CONFIG"])
    assert client.address == os.environ["TRUNKLINE_ADDRESS"]
    assert client.get_version().major == 2


def test_an_address_with_its_scheme() -> None:
    roots = Path(os.environ["TRUNKLINE_ROOTS"]).read_bytes()
    client = Client.from_pachd_address(f"grpcs://{os.environ['TRUNKLINE_ADDRESS']}", root_certs=roots)
    assert client.get_version().major == 2


def test_plaintext_is_refused_in_words() -> None:
    host, port = address()
    with pytest.raises(grpc.RpcError, match=r"this server speaks TLS: connect to grpcs://.*tls=True"):
        Client(host=host, port=port).get_version()


def test_whom_nobody_trusts_is_not_talked_to() -> None:
    host, port = address()
    with pytest.raises(ConnectionError, match="Could not connect"):
        Client(host=host, port=port, tls=True).get_version()


def test_code_in_a_spout_reaches_the_server(client: Client) -> None:
    spec = {"pipeline": {"name": "spring"}, "transform": {"cmd": [sys.executable, "-c", SPOUT]}, "spout": {}}
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    commits = client.pfs.subscribe_commit(
        repo=pfs.Repo(name="spring", type="user", project=pfs.Project(name="default")),
        branch="master",
        state=pfs.CommitState.FINISHED,
    )
    seen = (
        client.pfs.pfs_file(pfs.File(commit=each.commit, path="/seen"))
        for each in commits
        if each.size_bytes_upper_bound
    )
    assert next(seen).read() == b"2"
