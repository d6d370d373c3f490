"""Lazy inputs: files that are fetched when code opens them."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO

import pytest
from fakes import FakeServer, claim, datum, element
from worlds import World

from trunkline.ambient import RealAmbient
from trunkline.errors import DataLoss, Unavailable
from trunkline.worker.inputs.pipes import Feeder, Pipe, make_pipe
from trunkline.worker.ports import Element, State, Step

LARGE = bytes(range(251)) * 40_000  # 10 MB: more than any pipe holds
FILES = {"/d/a": b"a\n", "/d/deep/b": b"b\n", "/d/none": b"", "/large": LARGE, "/other": b"other\n"}


@pytest.fixture
def lazy(world: World) -> World:
    """A worker whose input is lazy."""
    world.storage.trees["images"] = dict(FILES)
    return world


def lazily(path: str, name: str = "", **more: object) -> Element:
    return element(path, name=name, lazy=True, **more)  # type: ignore[arg-type]


def run(world: World, script: str, *elements: Element, **spec: object) -> FakeServer:
    step = Step(("sh", "-c", script), **{"datum_tries": 1} | spec)  # type: ignore[arg-type]
    return world.run(claim(step, [datum(0, *(elements or (lazily("/d"), lazily("/large"))))]))


def files(server: FakeServer) -> dict[str, object]:
    return {path: content for path, content, _ in server.rows}


def test_what_is_not_opened_is_not_read(lazy: World) -> None:
    server = run(lazy, "cat /pfs/images/d/deep/b > /pfs/out/b")
    assert files(server) == {"/b": b"b\n"}
    assert lazy.storage.opened == ["/d/deep/b"]
    assert server.all_results()[0].download_bytes == 2


def test_files_arrive_whole_one_after_the_other_and_at_once(lazy: World) -> None:
    server = run(
        lazy, "cd /pfs/images; cat large > /pfs/out/x; paste d/a d/deep/b d/none > /pfs/out/y; cat d/a >> /pfs/out/y"
    )
    assert files(server) == {"/x": LARGE, "/y": b"a\tb\t\na\n"}
    assert server.all_results()[0].download_bytes == len(LARGE) + 6


def test_an_opening_has_the_file_from_its_front(lazy: World) -> None:
    """Also while another reader is in the middle of it, or has seen its end and holds it open."""
    script = """
    exec 3< /pfs/images/large
    head -c 251 <&3 > /pfs/out/first
    cat /pfs/images/large > /pfs/out/whole
    exec 4< /pfs/images/d/a
    cat <&4 > /pfs/out/a
    cat /pfs/images/d/a <&4 >> /pfs/out/a
    cat <&4 >> /pfs/out/a
    """
    server = run(lazy, script)
    assert files(server) == {"/first": LARGE[:251], "/whole": LARGE, "/a": b"a\na\n"}


def test_code_may_read_less_than_all(lazy: World) -> None:
    server = run(
        lazy, "for n in 1 2 3; do : < /pfs/images/large; head -c 1 /pfs/images/large; done | wc -c > /pfs/out/n"
    )
    assert files(server) == {"/n": b"3\n"}
    assert server.all_results()[0].state is State.SUCCESS
    assert {*lazy.storage.opened} == {"/large"}


def test_what_a_pipe_tells_of_its_file(lazy: World) -> None:
    """It is a pipe without a size, and nobody can write to it or find his place in it."""
    script = """
    stat -L -c '%F %s' /pfs/images/large > /pfs/out/stat
    dd if=/pfs/images/large of=/dev/null skip=1 bs=1000 count=1 2> /dev/null && cat /pfs/images/d/a > /pfs/out/a
    echo more > /pfs/images/large || true
    """
    server = run(lazy, script)
    assert files(server) == {"/stat": b"fifo 0\n", "/a": b"a\n"}


def write_on(file: IO[bytes]) -> None:
    """Write until that fails: a write that is broken off in its midst says how far it came, and the next one fails."""
    while True:
        file.write(b"y" * (8 << 20))


def test_who_opens_an_input_to_write_is_sent_away(tmp_path: Path) -> None:
    """Where code has the worker's own uid, permissions do not hinder it."""
    path = os.fsencode(tmp_path / "pipe")
    make_pipe(path)
    os.chmod(path, 0o600)
    told: list[str] = []
    feeder = Feeder([Pipe(path, "/pfs/in/x", [b"x"])], os.fsencode(tmp_path), RealAmbient(), lambda: None, told.append)
    with open(path, "wb", buffering=0) as file, pytest.raises(BrokenPipeError):
        write_on(file)
    with open(path, "rb") as file:
        assert file.read() == b"x"
    assert feeder.stop() == 1
    assert told == ["/pfs/in/x was opened for writing: inputs can only be read"]
    assert os.listdir(tmp_path) == ["pipe"]


def test_links_to_lazy_inputs_are_references(lazy: World) -> None:
    script = "ln -s /pfs/images/large /pfs/out/l; ln -s /pfs/images/d /pfs/out/d"
    place = ("images", "c" * 32)
    assert files(run(lazy, script)) == {
        "/l": (*place, "/large"),
        "/d/a": (*place, "/d/a"),
        "/d/deep/b": (*place, "/d/deep/b"),
        "/d/none": (*place, "/d/none"),
    }
    assert not lazy.storage.opened


def test_pipes_in_the_output_are_left_out(lazy: World) -> None:
    assert files(run(lazy, "cp -r /pfs/images/d /pfs/out; echo x > /pfs/out/x")) == {"/x": b"x\n"}
    assert "/pfs/out/d/deep/b is a named pipe and was not uploaded" in lazy.storage.log()


def test_empty_files_are_never_fetched(lazy: World) -> None:
    server = run(lazy, "stat -L -c '%F' /pfs/images/large; cat /pfs/images/large", lazily("/large", empty_files=True))
    assert server.all_results()[0].state is State.SUCCESS
    assert "regular empty file" in lazy.storage.log()
    assert not lazy.storage.opened


def test_elements_of_one_input_and_of_several(lazy: World) -> None:
    """As in joins and groups; what two elements share is there once."""
    elements = (lazily("/d"), lazily("/d/a"), lazily("/other"), element("/other", name="eager"))
    server = run(lazy, "cat /pfs/images/d/a /pfs/images/other /pfs/eager/other > /pfs/out/x", *elements)
    assert files(server) == {"/x": b"a\nother\nother\n"}
    assert server.all_results()[0].download_bytes == 8 + 6


def test_many_files(lazy: World) -> None:
    lazy.storage.trees["images"] = {f"/d/{n % 7}/{n:04}": b"%d\n" % n for n in range(400)}
    script = """
    find -L /pfs/images -type p | xargs -P2 -n50 cat | sort -n > /pfs/out/found
    cat /pfs/images/d/*/* | wc -l > /pfs/out/n
    """
    server = run(lazy, script, lazily("/d"))
    assert files(server) == {"/found": b"".join(b"%d\n" % n for n in range(400)), "/n": b"400\n"}


def test_datums_of_a_claim_each_have_theirs(lazy: World) -> None:
    """What one leaves open when it is killed does not hinder the next, nor a second try, nor err_cmd."""
    script = "sleep 100 < /pfs/images/large & cat /pfs/images/d/a; test $PACH_DATUM_ID = NONE"
    step = Step(("sh", "-c", script), err_cmd=("cat", "/pfs/images/d/a"), datum_tries=2)
    server = lazy.run(claim(step, [datum(n, lazily("/d"), lazily("/large")) for n in range(3)]))
    assert [result.state for result in server.all_results()] == [State.RECOVERED] * 3
    assert lazy.storage.opened.count("/d/a") == 3 * 2 * 2
    assert not list(lazy.bench.scratch.staging.rglob("*/large"))


def test_an_input_that_is_lost_on_the_way_fails_the_datum(lazy: World) -> None:
    """The code never takes a part for the whole, even where it would have been content with it."""
    lazy.storage.lost, lazy.storage.lost_at = DataLoss("chunk 1 of /large is damaged"), 3 << 20
    server = run(lazy, "cat /pfs/images/large > /pfs/out/x; exit 0", datum_tries=3)
    [result] = server.all_results()
    assert (result.state, result.reason) == (State.FAILED, "an input cannot be read: chunk 1 of /large is damaged")
    assert not server.rows


def test_a_store_that_does_not_answer_for_a_while_costs_the_claim(lazy: World) -> None:
    lazy.storage.lost = Unavailable("the object store does not answer")
    server = run(lazy, "cat /pfs/images/d/a > /pfs/out/x; exit 0")
    assert not server.all_results()
    assert any("the object store does not answer" in line for line in lazy.told)


def test_other_inputs_stay_writable_where_the_spec_says_so(lazy: World) -> None:
    script = "echo more >> /pfs/mine/other; cat /pfs/images/d/a /pfs/mine/other > /pfs/out/x"
    server = run(lazy, script, lazily("/d"), element("/other", name="mine"), writable_inputs=True)
    assert files(server) == {"/x": b"a\nother\nmore\n"}


def test_so_many_at_once_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.worker.inputs.pipes.resource.getrlimit", lambda which: (4, 4))
    paths = [os.fsencode(tmp_path / str(n)) for n in range(3)]
    for path in paths:
        make_pipe(path)
    told: list[str] = []
    large = Pipe(b"", "", [LARGE])
    pipes = [Pipe(path, os.fsdecode(path), large.data) for path in paths]
    feeder = Feeder(pipes, os.fsencode(tmp_path), RealAmbient(), lambda: None, told.append)
    files = [open(path, "rb") for path in paths[:2]]  # noqa: SIM115
    sizes: list[int] = []
    third = threading.Thread(target=lambda: sizes.append(len(Path(os.fsdecode(paths[2])).read_bytes())))
    third.start()
    for file in files:
        assert len(file.read()) == len(LARGE)
        file.close()
    third.join(60)
    assert feeder.stop() == 3 * len(LARGE)
    assert sizes == [len(LARGE)]
    assert told in ([], ["2 files of lazy inputs are open at once; more are opened as these are closed"])
