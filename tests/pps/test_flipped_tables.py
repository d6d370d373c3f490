"""One bit flipped in a log segment or a datum table: reading says which, fsck finds it, all others can be read."""

from __future__ import annotations

import itertools
import json

import pytest
from pps_world import World, copy, glob
from sqlalchemy import select, update

from trunkline.catalog.tables_pps import log_segments, reports
from trunkline.errors import DataLoss
from trunkline.model.names import Pipeline
from trunkline.pfs import fsck
from trunkline.pps import datums, logs
from trunkline.pps.logs import LogQuery, Segment
from trunkline.pps.tables import DATUMS_PATH, ROWS_PATH

EDGES = Pipeline("default", "edges")
REGIONS = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]


def flipped(data: bytes, where: float) -> bytes:
    at = min(int(len(data) * where), len(data) - 1)
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


def lines(world: World) -> list[str]:
    """All lines of the pipeline's log."""
    query = LogQuery(pipeline=EDGES, everything=True)
    return [one.message for one in world.files.catalog.read(lambda tx: logs.page(tx, query)).lines]


def found(world: World) -> list[str]:
    """What a thorough check finds."""
    return list(fsck.violations(world.files, read_bytes=True))


@pytest.mark.parametrize("where", REGIONS)
def test_a_log_segment(world: World, where: float) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    assert world.worker.claim()
    assert world.worker.handed is not None
    claim = world.worker.handed.leased.claim.id
    for word in ("first", "second", "third"):
        data = b"".join(
            json.dumps({"ts": 5, "datum": "", "user": True, "message": f"{word} {number}"}).encode() + b"\n"
            for number in range(40)
        )
        world.files.catalog.transact(lambda tx, data=data: logs.write(tx, "w1", [Segment(claim, 5, 9, 40, data)]))  # type: ignore[misc]
    before = lines(world)
    assert found(world) == []
    query = select(log_segments.c.seq, log_segments.c.data).where(log_segments.c.worker == "w1")
    _, (seq, data), _ = world.files.catalog.read(lambda tx: tx.execute(query).all())
    change = update(log_segments).where(log_segments.c.seq == seq).values(data=flipped(data, where))
    world.files.catalog.transact(lambda tx: tx.execute(change) and None)
    told = f"log segment {seq} is damaged: 40 lines of worker w1 are lost"
    after = lines(world)
    assert [line for line in after if not line.startswith(told)] == [
        line for line in before if not line.startswith("second")
    ]
    assert len(after) == len(before) - 39
    (wrong,) = found(world)
    assert wrong.startswith(f"I-11: {told}")
    world.files.catalog.transact(lambda tx: tx.execute(change.values(data=data)) and None)


def blobs_of(world: World, pipeline: str) -> list[str]:
    """The blobs with the datum table of the newest job."""
    row = world.row(world.last(pipeline).job)
    assert row.datums
    view = world.files.view(row.datums)
    found = [view.file(path) for path in (DATUMS_PATH, ROWS_PATH)]
    return [piece.chunk.blob for one in found if one for piece in one.pieces if piece.chunk]


def put_in_place(world: World, blob: str, data: bytes) -> None:
    """Another content for a blob."""
    world.blobs.delete(blob)
    world.blobs.put(blob, data)


def test_a_datum_table(world: World) -> None:
    world.put({f"/{number:04}": b"%d" % number for number in range(200)})
    world.pipeline("edges", copy, glob("/*"))
    world.pipeline("other", copy, glob("/"))
    world.pump()
    assert found(world) == []
    blobs = blobs_of(world, "edges")
    assert blobs
    edges, other = (world.last(name).job for name in ("edges", "other"))
    for blob, where in itertools.product(blobs, REGIONS[::3]):
        world.reopen()  # nothing is in memory
        data, name = world.blobs.get(blob), blob.rpartition("/")[2]
        put_in_place(world, blob, flipped(data, where))
        with pytest.raises(DataLoss, match=f"datum table in file set .*{name}"):
            datums.list_datums(world.files, world.pps.tables, edges)
        assert len(datums.list_datums(world.files, world.pps.tables, other)) == 1
        assert world.content("edges")["/0007"] == b"7"
        assert any("I-1" in line and name in line for line in found(world))
        put_in_place(world, blob, data)
        assert len(datums.list_datums(world.files, world.pps.tables, edges)) == 200


def test_a_report(world: World) -> None:
    world.put({f"/{number}": b"%d" % number for number in range(6)})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    world.worker.work(3)  # the job goes on, so that nothing is in its table yet
    job = world.last("edges").job
    before = datums.list_datums(world.files, world.pps.tables, job)
    seq, data = world.files.catalog.read(lambda tx: tx.execute(select(reports.c.seq, reports.c.results)).one())
    change = update(reports).where(reports.c.seq == seq)
    for at in range(0, len(data), 7):
        bent = data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]
        world.files.catalog.transact(lambda tx, bent=bent: tx.execute(change.values(results=bent)) and None)  # type: ignore[misc]
        with pytest.raises(DataLoss, match=r"reported of job \d+, datums 0 to 2 in its order, is damaged"):
            datums.list_datums(world.files, world.pps.tables, job)
    assert any("datums 0 to 2 in its order, is damaged" in line for line in found(world))
    world.files.catalog.transact(lambda tx: tx.execute(change.values(results=data)) and None)
    assert datums.list_datums(world.files, world.pps.tables, job) == before
    world.pump()
    assert world.counts("edges") == "SUCCESS 6+0/6"
