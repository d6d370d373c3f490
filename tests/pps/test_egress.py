"""A job's output is sent elsewhere before the job ends: until it works, the newest last, nothing that is not sound."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore
from pps_world import World, copy, glob
from test_crashes import Doomed, Killed

from trunkline.errors import Unavailable
from trunkline.model.specs import read_spec
from trunkline.model.specs.spec import Egress, SqlEgress
from trunkline.pps import machine
from trunkline.pps.egress import pushing
from trunkline.pps.secrets.changes import create_secret
from trunkline.storage.objects import places

OUT = Egress(url="s3://bucket/out?endpoint=http://key:hidden@x")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """What every s3:// URL leads to."""
    made = MemoryStore()
    monkeypatch.setattr(places, "_s3", lambda _parts, _said: made)
    return made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.repo()
    yield made
    made.close()


class Broken:
    """Stands in the way of sending; `why` None lets it through. tries: how often it was tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.why: Exception | None = Unavailable("no route to host")
        self.tries = 0
        self.then: Any = lambda: None
        self._send = pushing.send
        monkeypatch.setattr(pushing, "send", self._instead)

    def _instead(self, *args: Any, **more: Any) -> object:
        self.tries += 1
        self.then()
        if self.why is not None:
            raise self.why
        return self._send(*args, **more)


def sent(store: MemoryStore) -> dict[str, bytes]:
    """What lies there."""
    stored = [meta["path"] for page in obstore.list(store) for meta in page]
    return {path: bytes(obstore.get(store, path).bytes()) for path in stored}


def test_the_whole_output_is_sent_by_each_job_before_it_ends(world: World, store: MemoryStore) -> None:
    world.pipeline("edges", copy, glob("/*"), egress=OUT)
    world.pump()
    assert (world.last("edges").state.value, sent(store)) == ("SUCCESS", {})
    world.put({"/a": b"1", "/d/b": b"2"})
    world.pump()
    assert world.counts("edges") == "SUCCESS 2+0/2"
    assert sent(store) == {"out/a": b"1", "out/d/b": b"2"}
    obstore.delete(store, "out/a")
    world.put({"/c": b"3", "/d/b": None})
    world.pump()
    assert world.counts("edges") == "SUCCESS 1+1/2"
    assert sent(store) == {"out/a": b"1", "out/c": b"3", "out/d/b": b"2"}
    assert world.content("edges") == {"/a": b"1", "/c": b"3"}
    assert world.last("edges").reason == ""


@pytest.mark.parametrize("form", [{"URL": OUT.url}, {"object_storage": {"url": OUT.url}}])
def test_a_spec_names_the_place_in_either_way(world: World, store: MemoryStore, form: dict[str, object]) -> None:
    spec = {"pipeline": {"name": "edges"}, "transform": {"cmd": ["true"]}, "egress": form}
    spec["input"] = {"pfs": {"repo": "data", "glob": "/*"}}
    world.put({"/a": b"1"})
    world.pipeline("edges", copy, glob("/*"), egress=read_spec(spec).spec.egress)
    world.pump()
    assert sent(store) == {"out/a": b"1"}


def test_it_is_tried_until_it_works_also_over_restarts(
    world: World, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.pipeline("edges", copy, glob("/*"), egress=OUT)
    world.pump()
    broken = Broken(monkeypatch)
    world.put({"/a": b"1"})
    world.pump()
    job = world.last("edges")
    assert job.state.value == "EGRESSING"
    assert job.reason == "egress to s3://bucket/out failed once, trying again (last: no route to host)"
    for _ in range(40):
        world.clock.advance(60)
        world.pump()
    assert "failed 41 times" in world.last("edges").reason
    world.reopen()
    world.pump()
    assert broken.tries == 42
    world.pump()
    assert broken.tries == 42, "tried again before its time"
    broken.why = None
    world.clock.advance(60)
    world.pump()
    assert world.last("edges").state.value == "SUCCESS"
    assert sent(store) == {"out/a": b"1"}


def test_a_job_that_is_stopped_meanwhile_ends_and_the_next_one_sends(
    world: World, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.pipeline("edges", copy, glob("/*"), egress=OUT)
    world.pump()
    broken = Broken(monkeypatch)
    world.put({"/a": b"1"})
    job = world.last("edges")
    broken.then = lambda: world.files.catalog.transact(
        lambda tx: machine.stop(tx, machine.need_job(tx, job.job), "stopped by a person")
    )
    broken.why = None
    world.pump()
    job = world.last("edges")
    assert (job.state.value, job.reason) == ("KILLED", "stopped by a person")
    assert sent(store) == {}, "what nobody waits for was sent"
    broken.then = lambda: None
    world.put({"/b": b"2"})
    world.pump()
    assert world.counts("edges").startswith("SUCCESS")
    assert sent(store) == {"out/a": b"1", "out/b": b"2"}


def test_the_newest_is_sent_last(world: World, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    world.pipeline("edges", copy, glob("/*"), egress=OUT)
    world.pump()
    broken = Broken(monkeypatch)
    world.clock.advance(60)
    world.put({"/a": b"1"})
    world.pump()
    world.put({"/a": b"2"})
    world.pump()
    newer, older = world.jobs("edges")[:2]
    assert (newer.state.value, older.state.value) == ("EGRESSING", "EGRESSING")
    assert newer.reason.startswith("its output is sent when job edges@")
    broken.why = None
    world.clock.advance(5)
    world.pump()
    assert {job.state.value for job in world.jobs("edges")} == {"SUCCESS"}
    assert sent(store) == {"out/a": b"2"}


def test_an_output_that_is_not_sound_is_not_sent(world: World, store: MemoryStore) -> None:
    world.pipeline("edges", lambda _: {"/same": b"1"}, glob("/*"), egress=OUT)
    world.put({"/a": b"1", "/b": b"2"})
    world.pump()
    job = world.last("edges")
    assert (job.state.value, sent(store)) == ("FAILURE", {})
    assert "/same" in job.reason


def test_the_log_says_each_try(world: World, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(machine.logs, "say", lambda _tx, _pipeline, _job, text: said.append(text))
    world.pipeline("edges", copy, glob("/*"), egress=OUT)
    world.pump()
    broken = Broken(monkeypatch)
    world.put({"/a": b"1"})
    world.pump()
    broken.why = None
    world.clock.advance(1)
    world.pump()
    about = [text for text in said if "bucket" in text]
    assert about[-2:] == [
        "its output is sent to s3://bucket/out",
        "egress to s3://bucket/out failed once, trying again (last: no route to host)",
    ]
    assert "hidden" not in " ".join(said)


def test_tables_mirror_the_output_of_the_newest_job(world: World, tmp_path: Path) -> None:
    place = tmp_path / "rows.db"
    with sqlite3.connect(place) as connection:
        connection.execute("create table days (id integer, note text)")
    egress = Egress(sql=SqlEgress(f"sqlite:///{place}", "CSV", (), "db", "password"))
    data = {"password": base64.b64encode(b"hidden").decode()}
    form = {"kind": "Secret", "apiVersion": "v1", "type": "Opaque", "metadata": {"name": "db"}, "data": data}
    create_secret(world.files.catalog, world.pps.vault, json.dumps(form).encode())
    world.pipeline("edges", copy, glob("/*"), egress=egress)
    world.put({"/days/a": b"1,x\n", "/days/b": b"2,y\n"})
    world.pump()
    assert world.last("edges").state.value == "SUCCESS"
    assert connection.execute("select * from days").fetchall() == [(1, "x"), (2, "y")]
    world.put({"/days/a": b"one,x\n"})
    world.pump()
    job = world.last("edges")
    assert (job.state.value, '/days/a, row 1: "one" is no int64' in job.reason) == ("EGRESSING", True), job.reason
    assert connection.execute("select * from days").fetchall() == [(1, "x"), (2, "y")]
    world.files.catalog.transact(lambda tx: machine.stop(tx, machine.need_job(tx, job.job), "stopped by a person"))
    world.put({"/days/a": b"3,x\n"})
    world.pump()
    assert world.last("edges").state.value == "SUCCESS"
    assert connection.execute("select * from days").fetchall() == [(3, "x"), (2, "y")]
    connection.close()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("back", range(6))
def test_a_kill_around_sending_loses_nothing(
    tmp_path: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, back: int, after: bool
) -> None:
    """Killed at each of the transactions from the first try on."""
    world = World(tmp_path)
    world.repo()
    world.pipeline("edges", copy, glob("/*"), egress=OUT)
    world.pump()
    doom = Doomed(-1, after)
    doom.attach(world)
    broken = Broken(monkeypatch)
    broken.why = None

    def arm() -> None:
        doom.at = doom.count + 1 + back if doom.at == -1 else doom.at

    broken.then = arm
    world.put({"/a": b"1"})
    while True:
        try:
            world.pump()
            break
        except Killed:
            world.reopen()
    assert doom.dead or back > 3
    assert world.last("edges").state.value == "SUCCESS"
    assert world.content("edges") == {"/a": b"1"}
    assert sent(store) == {"out/a": b"1"}
    world.close()
