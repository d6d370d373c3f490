"""What was made from purged files goes with them, through every pipeline; nothing of it is taken for done again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pps_world import Failed, Inputs, Worker, World, cross, glob

from trunkline.ambient import chance
from trunkline.catalog.purging.purges import GONE
from trunkline.errors import FailedPrecondition
from trunkline.model.names import MASTER, Commit, Repo
from trunkline.model.specs import PfsInput
from trunkline.pfs import fsck
from trunkline.pfs.collection.loop import Collector
from trunkline.pfs.graph import removal
from trunkline.pfs.purging.asking import Purging
from trunkline.pfs.purging.purger import Purger
from trunkline.pfs.purging.survey import Survey, Wish
from trunkline.pps.datums.purged import Lineage

DATA = Repo("default", "data")


def secret(number: int = 0, size: int = 6_000) -> bytes:
    """Bytes that nobody else has, and that do not compress."""
    return chance(1000 + number).randbytes(size)


def copied(inputs: Inputs) -> dict[str, bytes]:
    """Each file under its path, turned round."""
    return {path: data[::-1] for files in inputs.values() for path, data in files.items()}


def counted(inputs: Inputs) -> dict[str, bytes]:
    """How many files there are, and all their bytes."""
    files = {path: data for files in inputs.values() for path, data in files.items()}
    return {"/count": str(len(files)).encode(), "/all": b"".join(files[path] for path in sorted(files))}


@pytest.fixture
def world(tmp_path: Path):
    made = World(tmp_path, rehearse=True)
    made.repo()
    yield made
    assert list(fsck.violations(made.files, read_bytes=True)) == []
    made.close()


def put(world: World, **files: bytes | None) -> str:
    commit = world.put({f"/{name}": data for name, data in files.items()})
    world.pump()
    return commit


def purging(world: World) -> Purging:
    return Purging(world.files, Lineage(world.files, world.pps.tables))


def look(world: World, path: str) -> Survey:
    return purging(world).look(Wish(DATA, path))


def purge(world: World, path: str, **more: object) -> str:
    asked = purging(world)
    id = asked.begin(Wish(DATA, path, **more))
    world.worker.session.__exit__(None, None, None)  # it would keep what it wrote from collection
    purger = Purger(world.files, asked.lineage, Collector(world.files))
    for _ in purger.steps(asked.inspect(id).row.key):
        pass
    world.worker = Worker(world, "w2")
    assert asked.inspect(id).row.stage == GONE
    world.pump()
    return id


def stored(world: World, data: bytes) -> bool:
    world.files.catalog.fold_log()
    files = [one for one in world.folder.rglob("*") if one.is_file()]
    return any(data in world.blobs.get(name) for name in world.blobs.names()) or any(
        data in one.read_bytes() for one in files
    )


def test_output_of_the_datums_that_saw_it_goes_and_theirs_only(world: World) -> None:
    world.pipeline("copy", copied, glob("/*"))
    first = put(world, a=secret(1), b=secret(2))
    second = put(world, c=secret(3))
    assert stored(world, secret(1)[::-1][:400])
    found = look(world, "/a")
    assert [(one.commit.repo.name, one.commit.id, one.files, one.datums) for one in found.tolls] == [
        ("data", first, 1, 0),
        ("data", second, 1, 0),
        ("copy", first, 1, 1),
        ("copy", second, 1, 1),
    ]
    purge(world, "/a")
    assert world.content("copy", first) == {"/b": secret(2)[::-1]}
    assert world.content("copy", second) == {"/b": secret(2)[::-1], "/c": secret(3)[::-1]}
    assert not stored(world, secret(1)[:400])
    assert not stored(world, secret(1)[::-1][:400])


def test_a_result_is_not_taken_for_done_again(world: World) -> None:
    world.pipeline("copy", copied, glob("/*"))
    put(world, a=secret(1), b=secret(2))
    purge(world, "/a")
    world.worker.ran.clear()
    put(world, a=secret(1), c=b"new")
    assert sorted(world.worker.ran) == [("copy", "/a"), ("copy", "/c")]
    assert world.content("copy") == {name: data[::-1] for name, data in world.content("data").items()}


def test_everything_made_from_a_whole_repo_goes_and_is_made_anew(world: World) -> None:
    world.pipeline("all", counted, glob("/"))
    first = put(world, b=b"2")
    second = put(world, a=secret(1))
    third = put(world, a=None)
    before = world.content("all", first), world.content("all", third)
    purge(world, "/a")
    assert (world.content("all", first), world.content("all", third)) == before
    assert world.content("all", second) == {}
    put(world, c=b"3")
    assert world.content("all") == {"/count": b"2", "/all": b"23"}


def test_what_two_jobs_wrote_alike_stays_where_one_did_not_see_it(world: World) -> None:
    """Equal output is left out of the second diff, so that taking the first away would take both."""
    world.pipeline("all", lambda inputs: {"/same": b"always", "/n": str(len(inputs["data"])).encode()}, glob("/"))
    first = put(world, b=b"1", a=secret(1))
    second = put(world, a=None)
    third = put(world, a=secret(1))
    purge(world, "/a")
    assert world.content("all", first) == {}
    assert world.content("all", second) == {"/same": b"always", "/n": b"1"}
    assert world.content("all", third) == {}


def test_it_goes_through_all_pipelines_below(world: World) -> None:
    world.pipeline("one", copied, glob("/*"))
    world.pipeline("two", copied, glob("/*", "one"))
    world.pipeline("sum", counted, cross(glob("/", "two"), glob("/*")))
    first = put(world, a=secret(1), b=secret(2))
    put(world, c=b"3")
    purge(world, "/a")
    for name in ("one", "two"):
        assert set(world.content(name, first)) == {"/b"}
        assert set(world.content(name)) == {"/b", "/c"}
    assert world.content("sum") == {}
    for number in (secret(1), secret(1)[::-1]):
        assert not stored(world, number[:400])
    put(world, d=b"4")
    fresh = {"/b": secret(2), "/c": b"3", "/d": b"4"}
    assert world.content("two") == fresh


def test_readers_of_records_lose_what_they_made_of_them(world: World) -> None:
    world.pipeline("copy", copied, glob("/*"))
    meta = PfsInput("default", "copy", "/pfs/*", "records", repo_type="meta")
    world.pipeline("audit", counted, meta)
    put(world, a=secret(1), b=b"2")
    purge(world, "/a")
    assert len(look(world, "/b").tolls) == 3
    assert not stored(world, secret(1)[:400])
    assert b"".join(world.content("audit").values())


def test_a_job_that_failed_loses_what_it_had_made(world: World) -> None:
    def code(inputs: Inputs) -> dict[str, bytes]:
        if "/z" in inputs["data"]:
            raise Failed("no")
        return copied(inputs)

    world.pipeline("copy", code, glob("/*"))
    failed = put(world, a=secret(1), b=b"2", z=b"3")
    assert world.last("copy").state.value == "FAILURE"
    purge(world, "/a")
    assert not stored(world, secret(1)[::-1][:400])
    world.worker.ran.clear()
    put(world, z=None, a=secret(1))
    assert sorted(world.worker.ran) == [("copy", "/a")]
    assert world.content("copy") == {"/a": secret(1)[::-1], "/b": b"2"}
    assert Commit(DATA, failed)


def test_records_say_that_it_was_purged(world: World) -> None:
    world.pipeline("copy", copied, glob("/*"))
    commit = put(world, a=secret(1), b=b"2")
    purge(world, "/a")
    records = {path: data for path, data in world.content_of_meta("copy", commit).items() if path.endswith("/meta")}
    assert len(records) == 2
    assert [b"purged: default/data:/a" in data for data in records.values()].count(True) == 1


def test_what_a_pipeline_makes_or_has_not_made_yet_is_refused(world: World) -> None:
    world.pipeline("copy", copied, glob("/*"))
    put(world, a=b"1")
    asked = purging(world)
    with pytest.raises(FailedPrecondition, match="purge the input that they come from"):
        asked.begin(Wish(Repo("default", "copy"), "/a"))
    world.put({"/b": b"2"})
    world.pump(work=False)
    with pytest.raises(FailedPrecondition, match=r"default/copy@.* is not finished; wait for it with"):
        asked.begin(Wish(DATA, "/a"))
    world.pump()


def test_a_forgotten_output_is_taken_to_have_been_all_of_it(world: World) -> None:
    world.pipeline("one", copied, glob("/*"))
    world.pipeline("two", copied, glob("/*", "one"))
    first = put(world, a=secret(1), b=b"2")
    second = put(world, a=None, c=b"3")
    world.files.change(lambda change: removal.forget_commit(change, Repo("default", "one"), first))
    purge(world, "/a")
    assert world.content("two", first) == {}
    assert world.content("two", second) == {"/b": b"2", "/c": b"3"}
    assert world.content("one", MASTER) == {"/b": b"2", "/c": b"3"}
