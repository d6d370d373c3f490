"""python-pachyderm with a server that speaks TLS: by settings, without TLS, and from code that a pipeline runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import grpc
import pytest
from python_pachyderm import Client
from python_pachyderm.service import pps_proto

SPOUT = """
import time
from python_pachyderm import Client
client = Client.new_in_cluster()
with client.commit("spring", "master") as commit:
    client.put_file_bytes(commit, "/seen", str(client.get_remote_version().major).encode())
time.sleep(600)
"""


def test_settings_that_pachctl_wrote() -> None:
    with Path(os.environ["PACH_CONFIG"]).open() as settings:
        assert Client.new_from_config(settings).get_remote_version().major == 2


def test_plaintext_is_refused_in_words() -> None:
    host, port = os.environ["TRUNKLINE_ADDRESS"].split(":")
    with pytest.raises(grpc.RpcError, match=r"this server speaks TLS: connect to grpcs://.*tls=True"):
        Client(host=host, port=int(port)).get_remote_version()


def test_code_in_a_spout_reaches_the_server(client: Client) -> None:
    client.create_pipeline(
        "spring", transform=pps_proto.Transform(cmd=[sys.executable, "-c", SPOUT]), spout=pps_proto.Spout()
    )
    for each in client.subscribe_commit("spring", "master"):
        client.wait_commit(each.commit)
        if client.path_exists(each.commit, "/seen"):
            assert client.get_file(each.commit, "/seen").read() == b"2"
            break
