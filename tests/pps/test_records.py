"""The meta repo: records of datums as files, made when they are read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pps_world import Failed, Inputs, World, copy, cross, glob

from trunkline.errors import FailedPrecondition, NotFound
from trunkline.model.names import MASTER, Pipeline, Repo
from trunkline.model.specs.spec import Combination, Own
from trunkline.pfs import content, edits, reads
from trunkline.pfs.edits import Add, Copy, Target
from trunkline.pfs.reads import Source
from trunkline.pps import datums

EDGES = Pipeline("default", "edges")


def opened(world: World, ref: str = MASTER, pipeline: Pipeline = EDGES) -> Source:
    source = reads.open_source(world.files, pipeline.meta, ref)
    assert source is not None
    return source


def paths(source: Source, path: str = "/") -> list[str]:
    return [info.path for info in reads.walk_file(source, path)]


def ids(world: World) -> dict[str, str]:
    """Datum IDs by the path of their first file."""
    found = datums.list_datums(world.files, world.pps.tables, world.last("edges").job)
    return {info.files[0].path: info.id for info in found}


def text(world: World, source: Source, path: str) -> bytes:
    return b"".join(bytes(piece) for piece in content.get_file(world.files, source, path))


def record(world: World, source: Source, datum: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(world, source, f"/meta/{datum}/meta"))
    return found


def test_what_a_datum_saw_and_wrote_is_there(world: World) -> None:
    world.put({"/a": b"1", "/d/x": b"22", "/d/y": b"333"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    source, datum = opened(world), ids(world)
    one, folder = datum["/a"], datum["/d/"]
    assert {info.path for info in reads.list_file(source, "/")} == {"/meta/", "/pfs/"}
    assert [info.path for info in reads.list_file(source, "/pfs")] == sorted(f"/pfs/{each}/" for each in (one, folder))
    assert paths(source, f"/pfs/{folder}") == [
        f"/pfs/{folder}/",
        *(f"/pfs/{folder}/{name}" for name in ("data/", "data/d/", "data/d/x", "data/d/y")),
        *(f"/pfs/{folder}/{name}" for name in ("out/", "out/d/", "out/d/x", "out/d/y")),
    ]
    whole = reads.inspect_file(source, f"/pfs/{folder}")
    assert (whole.is_dir, whole.size_bytes) == (True, 10)
    assert text(world, source, f"/pfs/{folder}/data/d/y") == b"333"
    assert text(world, source, f"/pfs/{one}/out/a") == b"1"
    assert reads.inspect_file(source, "/pfs").size_bytes == 12
    metas = [info.size_bytes for info in reads.glob_file(source, "/meta/*/meta")]
    assert reads.inspect_file(source, "/meta").size_bytes == sum(metas)
    assert reads.inspect_file(source, "/").size_bytes == sum(metas) + 12
    with pytest.raises(NotFound):
        reads.inspect_file(source, f"/pfs/{one}/data/b")


def test_the_record_says_what_is_known(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    (datum,) = ids(world).values()
    job = world.last("edges").job
    found = record(world, opened(world), datum)
    assert found["job"] == {"pipeline": {"project": {"name": "default"}, "name": "edges"}, "id": job.id}
    assert (found["state"], found["index"], found["reason"], found["tries"]) == ("SUCCESS", 0, "", 1)
    assert found["inputs"][0]["file"]["path"] == "/a"
    assert found["inputs"][0]["sizeBytes"] == "1"
    assert len(found["hash"]) == len(found["inputs"][0]["hash"]) == 64
    assert found["stats"]["processTime"] == "0.000005s"


def test_sums_of_records_are_known_without_making_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they hold: letters that are escaped, several inputs, keys, folders, reasons."""
    names = ["/a_1", '/b"_1', "/c\\_22", "/日本_1", "/d_333/x", "/d_333/y"]
    world.put({name: b"x" * 3**number for number, name in enumerate(names)})
    world.repo("other")
    world.put({"/e_1": b"2", "/f_333": b"3"}, repo="other")
    members = [glob("/*_(*)", join_on="$1"), glob("/*_(*)", "other", join_on="$1")]

    def code(inputs: Inputs) -> dict[str, bytes]:
        if '/b"_1' in inputs.get("data", ()):
            raise Failed('no "b"\nat all ⏎')
        return copy(inputs)

    grouped = Combination("group", (glob("/*_(*)", group_by="$1"), glob("/*", "other", group_by='a"b')))
    for name, more in {
        "edges": {"input": Combination("join", tuple(members)), "own": Own(on_failure="skip")},
        "whole": {"input": glob("/")},
        "groups": {"input": grouped, "own": Own(on_failure="skip")},
    }.items():
        world.pipeline(name, code if name != "whole" else copy, **more)  # type: ignore[arg-type]
        world.pump()
        source = opened(world, pipeline=Pipeline("default", name))
        whole = reads.inspect_file(source, "/meta")
        files = [info for info in reads.walk_file(source, "/meta") if not info.is_dir]
        assert files
        assert (whole.size_bytes, reads.inspect_file(source, "/meta").is_dir) == (
            sum(info.size_bytes for info in files),
            True,
        )
    monkeypatch.setattr("trunkline.pps.datums.records.text_of", lambda *_: pytest.fail("a record was made"))
    source = opened(world)
    assert [info.path for info in reads.list_file(source, "/")] == ["/meta/", "/pfs/"]


def test_a_record_stays_as_it_is_while_its_datum_is_skipped(world: World) -> None:
    world.put({"/b": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    first, datum = opened(world), ids(world)["/b"]
    world.put({"/a": b"2"})
    world.pump()
    second = opened(world)
    assert first.commit.id != second.commit.id
    for path in (f"/meta/{datum}/meta", f"/pfs/{datum}/out/b"):
        assert text(world, first, path) == text(world, second, path)
        assert reads.inspect_file(first, path).hash == reads.inspect_file(second, path).hash
    assert reads.inspect_file(first, "/").hash != reads.inspect_file(second, "/").hash
    changed = [new.path for new, old in content.diff_file(second, "/meta", first, "/meta") if new and not new.is_dir]
    assert changed == [f"/meta/{ids(world)['/a']}/meta"]


def test_a_job_that_runs_shows_what_it_has(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump(work=False)
    world.worker.work(1)
    source, datum = opened(world), ids(world)
    assert record(world, source, datum["/a"])["state"] == "SUCCESS"
    assert record(world, source, datum["/b"])["state"] == "UNKNOWN"
    assert text(world, source, f"/pfs/{datum['/a']}/out/a") == b"1"
    assert f"/pfs/{datum['/b']}/out/" not in paths(source, f"/pfs/{datum['/b']}")


def test_nobody_writes_records_and_anybody_copies_them(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    with pytest.raises(FailedPrecondition):
        edits.modify(world.files, Target(EDGES.meta, MASTER), [Add("/x", b"1")])
    other = world.repo("other")
    (datum,) = ids(world).values()
    edits.modify(world.files, Target(other, MASTER), [Copy("/kept", EDGES.meta, MASTER, f"/pfs/{datum}/out")])
    world.pump()
    assert world.content("other") == {"/kept/a": b"1"}


def test_many_records_are_read_in_pages(world: World) -> None:
    world.put({f"/{number:04}": b"x" for number in range(70)})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    source = opened(world)
    assert len(list(reads.glob_file(source, "/pfs/*/out/*"))) == 70
    assert len(list(reads.glob_file(source, "/meta/*"))) == 70
    first = [info.path for info in reads.list_file(source, "/pfs", number=5)]
    again = [info.path for info in reads.list_file(source, "/pfs", marker=first[2], number=2)]
    assert again == first[3:5]
    back = [info.path for info in reads.list_file(source, "/pfs", marker=first[3], number=3, reverse=True)]
    assert back == first[2::-1]


def test_a_pipeline_reads_the_records_of_another(world: World) -> None:
    world.put({"/a": b"1", "/b": b"2"})
    world.pipeline("edges", copy, glob("/*"))
    world.pump()
    seen: list[bytes] = []

    def states(inputs: Any) -> dict[str, bytes]:
        ((path, data),) = inputs["edges"].items()
        seen.append(data)
        return {f"/{path.split('/')[2]}": json.loads(data)["state"].encode()}

    world.pipeline("watch", states, glob("/meta/*", "edges", repo_type="meta"))
    world.pump()
    assert world.counts("watch") == "SUCCESS 2+0/2"
    assert set(world.content("watch").values()) == {b"SUCCESS"}
    world.put({"/c": b"3"})
    world.pump()
    assert world.counts("watch") == "SUCCESS 1+2/3"
    assert len(seen) == 3


def test_an_output_is_crossed_with_what_another_pipeline_saw(world: World) -> None:
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"))
    kept = cross(glob("/pfs/*/out/*", "edges", name="seen", repo_type="meta"), glob("/*"))
    world.pipeline("both", lambda inputs: {"/n": b"+".join(inputs["seen"].values())}, kept)
    world.pump()
    assert world.counts("both") == "SUCCESS 1+0/1"
    assert world.content("both") == {"/n": b"1"}
    assert Repo("default", "edges", "meta") == EDGES.meta
