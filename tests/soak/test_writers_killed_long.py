"""`kill -9` of the server while four clients write, again and again: each acknowledged commit is there, byte-equal."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from trunkline.ambient import chance
from trunkline.testing.calls import Client, on
from trunkline.testing.serving import PachdProcess
from trunkline.wire.gen import pfs_v2_pb2 as pfs

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

CLIENTS = 4
KILLS = int(os.environ.get("TRUNKLINE_KILLS") or 200)


def repo(number: int) -> pfs.Repo:
    """The repo that one client writes to."""
    return pfs.Repo(name=f"writer{number}", type="user", project=pfs.Project(name="default"))


def write(address: str, number: int, turn: int, seed: int, there: dict[str, bytes]) -> None:
    """Put files, a commit each, until the server is gone; keep what it acknowledged."""
    luck = chance(seed * 1_000_003 + turn * 17 + number)
    with grpc.insecure_channel(address) as channel:
        client = Client.on(channel)
        for count in range(10_000):
            path, data = f"/t{turn}-{count}", luck.randbytes(luck.choice((5, 3000, 200_000)))
            try:
                client.put(repo(number), {path: data})
            except grpc.RpcError:
                return
            there[path] = data


def must_hold(address: str, acknowledged: list[dict[str, bytes]], since: str = "") -> None:
    """All that was acknowledged (in turns whose files begin with `since`) reads as it was put."""
    with grpc.insecure_channel(address) as channel:
        client = Client.on(channel)
        for number, there in enumerate(acknowledged):
            for path, data in there.items():
                if path.startswith(since):
                    assert b"".join(client.get(repo(number), path)) == data, f"{path} of writer {number}"


def test_what_was_acknowledged_is_there_after_each_kill(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1)
    luck = chance(seed)
    acknowledged: list[dict[str, bytes]] = [{} for _ in range(CLIENTS)]
    with PachdProcess(tmp_path / "server", ("--workers", "0")) as server:
        for number in range(CLIENTS):
            server.pachctl("create", "repo", repo(number).name)
        for turn in range(KILLS):
            address = server.address
            threads = [
                threading.Thread(target=write, args=(address, number, turn, seed, acknowledged[number]))
                for number in range(CLIENTS)
            ]
            for thread in threads:
                thread.start()
            server.pause(luck.uniform(0.05, 0.8))
            server.kill()
            for thread in threads:
                thread.join()
            server.start(fresh=False)
            must_hold(server.address, acknowledged, f"/t{turn}-")
        must_hold(server.address, acknowledged)
        assert sum(map(len, acknowledged)) > KILLS
        record_property("figures", f"{KILLS} kills, {sum(map(len, acknowledged))} commits acknowledged")
        with grpc.insecure_channel(server.address) as channel:
            client = Client.on(channel)
            for number in range(CLIENTS):
                assert client.finished(repo(number)).error == ""
            head = client.stub.InspectCommit(pfs.InspectCommitRequest(commit=on(repo(0))))
            assert head.finished.seconds
        assert server.pachctl("fsck").strip() == "No errors found."
