"""How quickly space comes back."""

from __future__ import annotations

import time

from measure import Bench, Line, Row
from rows.samples import MIB, make_repo, random_file
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

FILES = 16


def collection(bench: Bench) -> None:
    """Delete a repo of 1 GiB, and have what it held collected, beside deleting such files."""
    size_bytes = bench.sized(1024 * MIB)
    bench.must_hold(3 * size_bytes)
    for _ in range(bench.runs):
        work = bench.scratch("space")
        for index in range(FILES):
            random_file(work / f"r{index}.bin", size_bytes // FILES)
        with bench.serving() as (server, client):
            repo = make_repo(client, "space")
            server.pachctl("put", "file", "-r", "space@master:/", "-f", str(work))
            server.pachctl("wait", "commit", "space@master")
            client.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=repo, force=True))
            start, freed = time.perf_counter(), 0
            while freed < size_bytes and time.perf_counter() - start < 60:
                freed += client.space.RunCollection(own.RunCollectionRequest()).doomed_bytes
            left = client.space.InspectStorage(own.InspectStorageRequest())
            if left.stored_bytes or left.doomed_blobs:
                raise RuntimeError(f"{left.stored_bytes} bytes and {left.doomed_blobs} doomed blobs are left")
            bench.note("bytes freed a second", size_bytes / (time.perf_counter() - start), "B/s")
        start = time.perf_counter()
        for path in work.iterdir():
            path.unlink()
        bench.note("rm", size_bytes / (time.perf_counter() - start), "B/s")


ROWS = (Row("collection", "pfs", collection, (Line("collection of 1 GiB", "bytes freed a second", ("rm",)),), runs=2),)
