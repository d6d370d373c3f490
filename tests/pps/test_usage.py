"""What datums took: summed over a job, the extremes by name, and what reuse saved."""

from __future__ import annotations

import pytest
from pps_world import World, copy, glob

from trunkline.errors import InvalidArgument, NotFound
from trunkline.model.infos_pps import ProcessStats
from trunkline.pps import jobs
from trunkline.pps.datums.usage import DatumUsage, JobUsage, datum_usage, job_usage


def usage(world: World, number: int = 0) -> JobUsage:
    """Of the newest job."""
    return job_usage(world.files, world.pps.tables, world.last("edges").job, number)


def paths(found: tuple[DatumUsage, ...]) -> list[str]:
    return [",".join(one.paths) for one in found]


def test_a_job_sums_what_its_datums_took_and_names_those_that_took_most(world: World) -> None:
    world.put({f"/{name}": b"x" * size for name, size in zip("abcdefg", (3, 9, 1, 8, 2, 7, 4), strict=True)})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    found = usage(world)
    assert found.spent == ProcessStats(process_us=35, download_bytes=7, upload_bytes=34, cpu_us=340, memory_bytes=109)
    job = world.last("edges").job
    told = world.files.catalog.read(lambda tx: jobs.inspect_job(tx, job))
    assert told.stats == found.spent
    assert (found.reused, found.saved) == (0, ProcessStats())
    assert paths(found.largest) == ["/b", "/d", "/f", "/g", "/a"]
    assert len(found.slowest) == 5
    assert len({one.datum for one in found.slowest}) == 5
    assert found.largest[0].stats == ProcessStats(
        process_us=5, download_bytes=1, upload_bytes=9, cpu_us=90, memory_bytes=109
    )
    assert paths(usage(world, 2).largest) == ["/b", "/d"]
    assert sorted(paths(usage(world, 100).slowest)) == [f"/{name}" for name in "abcdefg"]


def test_what_skipped_datums_took_when_they_ran_is_saved(world: World) -> None:
    world.put({"/a": b"1", "/b": b"22", "/c": b"333"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    world.put({"/d": b"4444"})
    world.pump()
    found = usage(world)
    assert (found.reused, found.saved.process_us, found.saved.cpu_us, found.saved.memory_bytes) == (3, 15, 60, 103)
    assert found.spent.cpu_us == 40
    assert paths(found.slowest) == paths(found.largest) == ["/d"]
    world.put({"/d": b"4444"})
    world.pump()
    assert (usage(world).reused, usage(world).saved.cpu_us, usage(world).slowest) == (4, 100, ())


def test_one_datum(world: World) -> None:
    world.put({"/a": b"1", "/d/x": b"22", "/d/y": b"3"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    job, (first, second) = world.last("edges").job, usage(world).largest
    assert (first.paths, second.paths) == (("/d/",), ("/a",))
    assert datum_usage(world.files, world.pps.tables, job, first.datum) == first
    with pytest.raises(NotFound, match=r"datum 0{64} not found in job edges@"):
        datum_usage(world.files, world.pps.tables, job, "0" * 64)
    with pytest.raises(InvalidArgument, match="between 1 and 1000"):
        usage(world, 1001)
    with pytest.raises(InvalidArgument, match="between 1 and 1000"):
        usage(world, -1)


def test_a_job_without_datums_took_nothing(world: World) -> None:
    world.pipeline("edges", copy, glob("/*"))
    world.put({"/a": b"1"})
    assert usage(world) == JobUsage(ProcessStats(), ProcessStats(), 0, (), ())
