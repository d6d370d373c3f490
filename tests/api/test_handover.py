"""Open files handed to the server by a client on the same machine."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from trunkline.ambient import RealAmbient
from trunkline.api.files.handover import MOST, Handed
from trunkline.api.files.reads import FetchDoor
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.client import handover
from trunkline.client.reading import downloads
from trunkline.errors import Aborted
from trunkline.testing.calls import Client, bulk, on, refused
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

CONTENT = os.urandom(9 << 20)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(Config(data=tmp_path / "data"), RealAmbient())
    engine.start(("127.0.0.1", 0))
    engine.handed.open(tmp_path / "files")
    yield engine
    engine.handed.close()
    engine.stop()
    engine.close()


@pytest.fixture
def client(engine: Engine, tmp_path: Path) -> Iterator[Client]:
    with serving(tmp_path, engine.doors) as channel:
        yield Client.on(channel)


def hands(client: Client) -> handover.Hands:
    found = handover.reach(asking(client))
    assert found is not None
    return found


def asking(client: Client) -> Any:
    return SimpleNamespace(own_files=client.bulk)


def test_a_handed_file_is_read_by_the_server(client: Client, tmp_path: Path) -> None:
    local = tmp_path / "big"
    local.write_bytes(CONTENT)
    repo = client.repo()
    with hands(client) as given, local.open("rb") as opened:
        ticket = given.give(opened.fileno())
        answer = client.bulk.BulkPut(bulk(on(repo), own.HandedFile(path="/big", ticket=ticket)))
        assert sum(handover.progress(opened.fileno())) == 0  # the server went through it before we looked
        opened.seek(0)
        assert next(handover.progress(opened.fileno())) == 0
        more = given.give(opened.fileno())
        client.bulk.BulkPut(bulk(on(repo), own.HandedFile(path="/big", ticket=more, append=True)))
    assert (answer.files, answer.size_bytes) == (1, len(CONTENT))
    assert b"".join(client.get(repo, "/big")) == CONTENT * 2


def test_an_empty_file_is_a_file(client: Client, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    repo = client.repo()
    with hands(client) as given, (tmp_path / "empty").open("rb") as opened:
        ticket = given.give(opened.fileno())
        client.bulk.BulkPut(bulk(on(repo), own.HandedFile(path="/empty", ticket=ticket)))
    assert b"".join(client.get(repo, "/empty")) == b""


def test_a_ticket_is_good_once_and_while_its_client_is_there(client: Client, tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "f").write_bytes(b"1")
    repo = client.repo()
    with hands(client) as given, (tmp_path / "f").open("rb") as opened:
        ticket = given.give(opened.fileno())
        put = own.HandedFile(path="/f", ticket=ticket)
        client.bulk.BulkPut(bulk(on(repo), put))
        code, details = refused(client.bulk.BulkPut, bulk(on(repo), put))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "/f: no file was handed over with this ticket" in details
    handle = os.open(tmp_path / "f", os.O_RDONLY)
    assert engine.handed.put(b"x" * 16, handle)
    engine.handed.drop([b"x" * 16, b"y" * 16])
    with pytest.raises(OSError):
        os.fstat(handle)


def test_what_is_no_file_is_refused(client: Client, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with hands(client) as given:
        ticket = given.give(reading)
        put = bulk(on(client.repo()), own.HandedFile(path="/pipe", ticket=ticket))
        code, details = refused(client.bulk.BulkPut, put)
    os.close(reading)
    os.close(writing)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "only regular files" in details


def fetching(
    client: Client, repo: pfs.Repo, ticket: bytes, path: str = "/big", offset: int = 0
) -> own.FetchFileRequest:
    return own.FetchFileRequest(file=pfs.File(commit=on(repo), path=path), offset=offset, ticket=ticket)


def downloader(client: Client) -> Any:
    return SimpleNamespace(address=SimpleNamespace(is_local=True), own_files=client.bulk, pfs=client.stub)


def test_a_file_is_fetched_into_an_open_one(client: Client, tmp_path: Path) -> None:
    repo = client.repo()
    client.put(repo, {"/big": CONTENT, "/d/x": b"x"})
    local = tmp_path / "there"
    local.write_bytes(b"before")
    with hands(client) as given, local.open("r+b") as opened:
        opened.seek(4)
        ticket = given.give(opened.fileno())
        assert ticket
        told = list[int]()
        with handover.watched(opened.fileno(), told.append):
            answer = client.bulk.FetchFile(fetching(client, repo, ticket, "/bi?", 5))
        assert answer.size_bytes == sum(told) == len(CONTENT) - 5
        assert local.read_bytes() == b"befo" + CONTENT[5:]
        code, details = refused(client.bulk.FetchFile, fetching(client, repo, ticket))
        assert (code, "/big: no file was handed over" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        for path, word in (("/none", "not found"), ("/d", "is a directory")):
            ticket = given.give(opened.fileno())
            assert ticket
            assert word in refused(client.bulk.FetchFile, fetching(client, repo, ticket, path))[1]
    assert local.stat().st_size == len(CONTENT) - 1


def test_what_cannot_be_written_is_refused(client: Client, tmp_path: Path) -> None:
    repo = client.repo()
    client.put(repo, {"/big": b"1"})
    (tmp_path / "there").touch()
    with hands(client) as given, (tmp_path / "there").open("rb") as opened:
        ticket = given.give(opened.fileno())
        assert ticket
        code, details = refused(client.bulk.FetchFile, fetching(client, repo, ticket))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert details == "/big: the file for its bytes cannot be written: Bad file descriptor"


def test_a_file_is_written_by_the_server_whole_or_not_at_all(client: Client, tmp_path: Path) -> None:
    repo = client.repo()
    client.put(repo, {"/big": CONTENT})
    target = tmp_path / "out" / "big"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    at = pfs.File(commit=on(repo), path="/big")
    asked = downloader(client)
    asked.pfs = None  # no byte of it comes in messages
    told = list[int]()
    assert downloads.get_file(asked, at, target, 2, told.append) == sum(told) == len(CONTENT) - 2
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (CONTENT[2:], 0o640)
    with pytest.raises(grpc.RpcError):
        downloads.get_file(asked, pfs.File(commit=on(repo), path="/none"), target)
    assert target.stat().st_size == len(CONTENT) - 2
    assert [entry.name for entry in target.parent.iterdir()] == ["big"]


def test_without_room_for_open_files_the_bytes_come(client: Client, tmp_path: Path, engine: Engine) -> None:
    repo = client.repo()
    client.put(repo, {"/big": b"123"})
    target = tmp_path / "there"
    at = pfs.File(commit=on(repo), path="/big")
    handles = [os.open(tmp_path, os.O_RDONLY) for _ in range(MOST)]
    tickets = [number.to_bytes(16, "big") for number in range(MOST)]
    assert all(engine.handed.put(*one) for one in zip(tickets, handles, strict=True))
    assert downloads.get_file(downloader(client), at, target) == 3
    engine.handed.drop(tickets)
    engine.handed.close()
    assert downloads.get_file(downloader(client), at, target) == 3
    assert target.read_bytes() == b"123"


def test_nothing_is_written_for_a_client_that_went_away(client: Client, tmp_path: Path, engine: Engine) -> None:
    repo = client.repo()
    client.put(repo, {"/big": CONTENT})
    handle = os.open(tmp_path / "there", os.O_RDWR | os.O_CREAT)
    assert engine.handed.put(b"t" * 16, handle)

    async def fetch() -> None:
        doors = engine.doors(asyncio.get_running_loop(), Bridge())
        call = Call("/trunkline.v1.Files/FetchFile")
        call.leave()
        door = next(one for one in doors if isinstance(one, FetchDoor))
        await door.FetchFile(fetching(client, repo, b"t" * 16), call)

    with pytest.raises(Aborted):
        asyncio.run(fetch())
    assert (tmp_path / "there").stat().st_size == 0
    with pytest.raises(OSError):
        os.fstat(handle)


def test_another_servers_socket_is_not_used(client: Client, engine: Engine) -> None:
    class Wrong:
        def Handover(self, _request: own.HandoverRequest) -> own.HandoverResponse:
            return own.HandoverResponse(socket=engine.handed.path, greeting=b"somebody else's.")

    assert handover.reach(SimpleNamespace(own_files=Wrong())) is None  # type: ignore[arg-type]
    engine.handed.close()
    assert handover.reach(asking(client)) is None


def test_only_so_many_wait(tmp_path: Path) -> None:
    handed = Handed()
    (tmp_path / "f").touch()
    handles = [os.open(tmp_path / "f", os.O_RDONLY) for _ in range(MOST + 1)]
    kept = [handed.put(number.to_bytes(16, "big"), handle) for number, handle in enumerate(handles)]
    assert kept == [True] * MOST + [False]
    os.close(handles[-1])
    handed.close()


def test_its_socket_ends_when_it_is_told_to_and_not_at_the_next_look(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    handed, path = Handed(), tmp_path / "handover"
    handed.open(path)
    (listener,) = set(threading.enumerate()) - before
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        handed.close()
        listener.join(10)
        assert not listener.is_alive()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(OSError):
        client.connect(str(path))
    handed.close()
