"""Files from and to places outside, through a real socket."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import grpc
import obstore
import pytest
from obstore.store import MemoryStore

from trunkline.storage.objects import places
from trunkline.testing.calls import Client, on, refused
from trunkline.wire.gen import pfs_v2_pb2 as pfs


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """What every s3:// URL leads to."""
    made = MemoryStore()
    monkeypatch.setattr(places, "_s3", lambda _parts, _said: made)
    return made


def put(client: Client, repo: pfs.Repo, path: str, url: str, recursive: bool = False) -> None:
    """Put what lies at a URL, as the public clients do."""
    source = pfs.AddFile.URLSource(URL=url, recursive=recursive)
    stream = [
        pfs.ModifyFileRequest(set_commit=on(repo)),
        pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)),
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, url=source)),
    ]
    client.stub.ModifyFile(iter(stream))


def test_there_and_back(client: Client, store: MemoryStore) -> None:
    repo = client.repo()
    obstore.put(store, "in/a", b"1")
    obstore.put(store, "in/d/b", b"22")
    put(client, repo, "/top", "s3://bucket/in", recursive=True)
    put(client, repo, "/one", "s3://bucket/in/a")
    target = pfs.ObjectStorageEgress(url="s3://bucket/out")
    answer = client.stub.Egress(pfs.EgressRequest(commit=on(repo), object_storage=target))
    assert answer.object_storage.bytes_written == 4
    got = pfs.GetFileRequest(file=pfs.File(commit=on(repo), path="/top/d/*"), URL="s3://bucket/got")
    assert [piece.value for piece in client.stub.GetFile(got)] == [b""]
    found = {meta["path"] for page in obstore.list(store) for meta in page}
    assert found == {"in/a", "in/d/b", "out/top/a", "out/top/d/b", "out/one", "got/top/d/b"}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "nonsense", "s3:///x", "https://"])
def test_other_places_are_refused(client: Client, url: str) -> None:
    repo = client.repo()
    client.put(repo, {"/a": b"1"})
    head = client.finished(repo).commit.id
    code, _ = refused(lambda: put(client, repo, "/x", url))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    code, _ = refused(lambda: put(client, repo, "/x", url, recursive=True))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    file = pfs.File(commit=on(repo), path="/a")
    assert refused(client.stub.GetFile, pfs.GetFileRequest(file=file, URL=url))[0] is grpc.StatusCode.INVALID_ARGUMENT
    target = pfs.EgressRequest(commit=on(repo), object_storage=pfs.ObjectStorageEgress(url=url))
    assert refused(client.stub.Egress, target)[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert client.finished(repo).commit.id == head


def test_rows_go_into_a_database(client: Client, tmp_path: Path) -> None:
    repo = client.repo()
    client.put(repo, {"/days/a": b"1,x\n2,\n", "/days/b/c": b"3,y\n"})
    with sqlite3.connect(tmp_path / "db") as connection:
        connection.execute("create table days (id integer, note text)")
    database = pfs.SQLDatabaseEgress(url=f"sqlite:///{tmp_path}/db", file_format={"type": "CSV"})
    request = pfs.EgressRequest(commit=on(repo), sql_database=database)
    for _ in range(2):
        assert dict(client.stub.Egress(request).sql_database.rows_written) == {"days": 3}
    assert connection.execute("select * from days").fetchall() == [(1, "x"), (2, None), (3, "y")]
    connection.close()
    database.file_format.type = pfs.SQLDatabaseEgress.FileFormat.JSON
    request.sql_database.CopyFrom(database)
    code, details = refused(client.stub.Egress, request)
    assert (code, "/days/a, line 1" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    request.sql_database.file_format.type = -1  # type: ignore[assignment]
    code, details = refused(client.stub.Egress, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "rows are read from CSV, JSON, PARQUET, not from -1" in details
    request.sql_database.CopyFrom(database)
    request.sql_database.secret.name = "nobody"
    assert refused(client.stub.Egress, request)[0] is grpc.StatusCode.NOT_FOUND


def test_what_cannot_be_sent_is_said(client: Client) -> None:
    repo = client.repo()
    client.put(repo, {"/a": b"1"})
    assert refused(client.stub.Egress, pfs.EgressRequest(commit=on(repo)))[0] is grpc.StatusCode.INVALID_ARGUMENT
    tar = pfs.GetFileRequest(file=pfs.File(commit=on(repo), path="/a"), URL="s3://b/x")
    assert refused(client.stub.GetFileTAR, tar)[0] is grpc.StatusCode.INVALID_ARGUMENT
