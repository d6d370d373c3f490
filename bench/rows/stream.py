"""Memory, while much goes in."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from measure import Bench, Line, Row
from rows.samples import BULK_PUT, MIB, finished, make_repo
from trunkline.testing.calls import on
from trunkline.wire import frames
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

PIECE_BYTES = 4 * MIB
FILE_BYTES = 1024 * MIB


def stream(bench: Bench) -> None:
    """Send 10 GB of noise through one stream, as files of 1 GiB. Nothing is handed over, all goes by the socket."""
    size_bytes = bench.sized(10_000_000_000)
    bench.must_hold(size_bytes)
    with bench.serving() as (_, client):
        repo = make_repo(client, "stream")
        start = time.perf_counter()
        client.upload(BULK_PUT, noise(repo, size_bytes))
        finished(client, repo)
        bench.note("bytes a second", size_bytes / (time.perf_counter() - start), "B/s")


def noise(repo: pfs.Repo, size_bytes: int) -> Iterator[bytes]:
    """The messages: pieces that repeat nothing."""
    chance = np.random.Generator(np.random.SFC64(7))
    yield own.BulkPutRequest(target=own.BulkTarget(commit=on(repo))).SerializeToString()
    for at in range(0, size_bytes, PIECE_BYTES):
        named = frames.delimited(1, f"/noise{at // FILE_BYTES}".encode()) if at % FILE_BYTES == 0 else []
        data = chance.bytes(min(PIECE_BYTES, size_bytes - at))
        yield b"".join(frames.delimited(3, *named, *frames.delimited(2, data)))


ROWS = (
    Row(
        "stream-10gb",
        "pfs",
        stream,
        (
            Line("memory while 10 GB go in", "memory of pachd", goal=400 * 2**20),
            Line("10 GB through one stream", "bytes a second"),
        ),
        runs=1,
    ),
)
