"""Uploads and downloads, against a server that keeps what it is told."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.ambient import SimulatedAmbient
from trunkline.client import Client, connect, images, names, sources, tar, uploads
from trunkline.client.reading import downloads
from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from trunkline.model.names import Repo
from trunkline.testing.scripted import ScriptedServer
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

COMMIT = names.commit(Repo("default", "a"), "master")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with connect(server.address) as dialled:
        yield dialled


def bulk_content(requests: list[own.BulkPutRequest]) -> dict[str, bytes]:
    """What a server would hold after these messages, in the order of arrival."""
    files: dict[str, bytes] = {}
    at = ""
    for request in requests[1:]:
        if request.HasField("small"):
            start = 0
            for path, size in zip(request.small.paths, request.small.sizes, strict=True):
                files.pop(path, None)
                files[path] = request.small.data[start : start + size]
                start += size
            assert start == len(request.small.data)
        else:
            if request.piece.path:
                at = request.piece.path
                files.pop(at, None)
            files[at] = files.get(at, b"") + request.piece.data
    return files


def public_content(requests: list[pfs.ModifyFileRequest]) -> dict[str, bytes]:
    """The same for the public call."""
    files: dict[str, bytes] = {}
    for request in requests[1:]:
        if request.HasField("delete_file"):
            files.pop(request.delete_file.path, None)
        else:
            path = request.add_file.path
            files[path] = files.get(path, b"") + request.add_file.raw.value
    return files


def tree(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


SIZES = {"a": b"", "b/1": b"x", "b/2": os.urandom(uploads.SMALL_BYTES), "b.txt": os.urandom(uploads.SMALL_BYTES + 1)}
SIZES["z"] = os.urandom(2 * uploads.PIECE_BYTES + 7)


def found(folder: Path) -> list[sources.Source]:
    return list(sources.local_tree(str(folder), "", pytest.fail))


def test_a_tree_goes_up_in_few_messages(server, client, tmp_path):
    files = {**SIZES, **{f"many/{n:05}": str(n).encode() for n in range(3000)}}
    tree(tmp_path, files)
    server.script["bulk.BulkPut"] = own.BulkPutResponse()
    counted: list[int] = []
    uploads.put_files(client, COMMIT, found(tmp_path), progress=counted.append)
    call = server.only("bulk.BulkPut")
    assert call.request.target.commit == COMMIT
    assert bulk_content(call.requests) == {f"/{path}": data for path, data in files.items()}
    assert len(call.requests) < 30
    assert sum(counted) == sum(map(len, files.values()))


def test_paths_come_in_order(server, client, tmp_path):
    tree(tmp_path, dict.fromkeys(["a/b", "a-b", "ä", "Z", "a.b/c"], b"1"))
    assert [one.path for one in found(tmp_path)] == ["/Z", "/a-b", "/a.b/c", "/a/b", "/ä"]


def test_a_server_without_our_call_gets_the_public_one(server, client, tmp_path):
    tree(tmp_path, SIZES)
    server.script["pfs.ModifyFile"] = Empty()
    counted: list[int] = []
    uploads.put_files(client, COMMIT, found(tmp_path), progress=counted.append)
    call = server.only("pfs.ModifyFile")
    assert call.request.set_commit == COMMIT
    assert public_content(call.requests) == {f"/{path}": data for path, data in SIZES.items()}
    assert sum(counted) == sum(map(len, SIZES.values()))


def test_streams_and_urls_go_by_the_public_call(server, client):
    server.script["pfs.ModifyFile"] = Empty()
    uploads.put_files(
        client,
        COMMIT,
        [sources.OpenStream("/in", io.BytesIO(b"abc")), sources.RemoteFile("/x", "http://h/x", recursive=True)],
        append=True,
    )
    _, stream, url = server.only("pfs.ModifyFile").requests
    assert (stream.add_file.path, stream.add_file.raw.value) == ("/in", b"abc")
    assert (url.add_file.url.URL, url.add_file.url.recursive) == ("http://h/x", True)


def test_appending_deletes_nothing(server, client, tmp_path):
    tree(tmp_path, {"a": b"1"})
    server.script["bulk.BulkPut"] = own.BulkPutResponse()
    uploads.put_files(client, COMMIT, found(tmp_path), append=True)
    assert server.only("bulk.BulkPut").requests[1].small.append


def test_what_the_server_refuses_is_raised(server, client, tmp_path):
    tree(tmp_path, {"a": b"1"})
    server.script["bulk.BulkPut"] = FailedPrecondition("the commit is finished")
    with pytest.raises(FailedPrecondition, match="the commit is finished"):
        uploads.put_files(client, COMMIT, found(tmp_path))


def test_a_file_that_goes_away_ends_the_upload(server, client, tmp_path):
    tree(tmp_path, {"a": b"1", "b": b"2"})
    listed = found(tmp_path)
    (tmp_path / "b").unlink()
    for name in ("bulk.BulkPut", "pfs.ModifyFile"):
        server.script[name] = Empty()
    with pytest.raises(InvalidArgument, match=f"cannot read {tmp_path}/b"):
        uploads.put_files(client, COMMIT, listed)


def test_folders_hold_what_cannot_be_put(tmp_path):
    tree(tmp_path, {"a": b"1", "d/x": b"2"})
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to("nowhere")
    said: list[str] = []
    paths = [one.path for one in sources.local_tree(str(tmp_path), "/p", said.append)]
    assert paths == ["/p/a", "/p/d/x", "/p/link"]
    assert len(said) == 3


def test_a_name_that_is_no_utf8_is_refused_before_anything_is_sent(tmp_path):
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff")).write_text("1")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    with pytest.raises(InvalidArgument, match="UTF-8"):
        list(sources.local_tree(str(tmp_path), "", pytest.fail))


def test_one_file_is_checked_before_anything_is_sent(tmp_path):
    with pytest.raises(NotFound, match=r"cannot read .*nowhere: No such file"):
        sources.local_file(str(tmp_path / "nowhere"), "/x")
    with pytest.raises(InvalidArgument, match="add -r"):
        sources.local_file(str(tmp_path), "/x")


# Downloads.


def archive(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as writer:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            info.size = len(data)
            writer.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pieces(data: bytes, length: int = 700) -> Iterator[bytes]:
    yield from (data[at : at + length] for at in range(0, len(data), length))


def read_back(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tree_is_unpacked(tmp_path, form):
    long = "/".join(["d" * 60, "e" * 60, "f" * 60])
    files = {"a": b"", "/b/c": os.urandom(100_000), long: b"1", "b/d": b"x" * 512}
    if form != tarfile.USTAR_FORMAT:
        files["ü" * 120] = b"2"
    counted: list[int] = []
    count = tar.unpack(pieces(archive({"b/": b"", **files}, form)), tmp_path / "out", str, counted.append)
    assert read_back(tmp_path / "out") == {name.lstrip("/"): data for name, data in files.items()}
    assert count == len(files)
    assert sum(counted) == sum(map(len, files.values()))


@settings(max_examples=40, deadline=None)
@given(
    files=st.dictionaries(st.text("abcü/", min_size=1, max_size=130), st.binary(max_size=2000), max_size=6),
    length=st.integers(1, 3000),
)
def test_any_tree_in_any_pieces(tmp_path_factory, files, length):
    plain = {f"{n}/{name.strip('/')}x": data for n, (name, data) in enumerate(files.items())}
    wanted = {"/".join(part for part in name.split("/") if part): data for name, data in plain.items()}
    out = tmp_path_factory.mktemp("any")
    tar.unpack(pieces(archive(plain), length), out, str)
    assert read_back(out) == wanted


@pytest.mark.parametrize("name", ["../x", "a/../../x", "a/./x"])
def test_nothing_is_unpacked_elsewhere(tmp_path, name):
    with pytest.raises(FailedPrecondition, match="refused to unpack"):
        tar.unpack(pieces(archive({name: b"1"})), tmp_path / "deep" / "out", str)
    assert not read_back(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_only_files_and_folders_are_unpacked(tmp_path, kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as writer:
        info = tarfile.TarInfo("x")
        info.type, info.linkname = kind, "/etc/passwd"
        writer.addfile(info)
    with pytest.raises(FailedPrecondition, match="neither a file nor a directory"):
        tar.unpack(pieces(out.getvalue()), tmp_path / "out", str)


def test_a_link_in_the_way_is_replaced(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").symlink_to(outside)
    tar.unpack(pieces(archive({"a": b"new"})), tmp_path / "out", str)
    assert outside.read_text() == "mine"
    assert (tmp_path / "out" / "a").read_text() == "new"


@pytest.mark.parametrize("end", [100, 511, 512, 700, 1100])
def test_a_stream_that_ends_early_is_noticed(tmp_path, end):
    with pytest.raises(DataLoss):
        tar.unpack(pieces(archive({"a": b"x" * 600})[:end]), tmp_path / "out", str)


def test_a_stream_that_is_no_tar_is_noticed(tmp_path):
    with pytest.raises(DataLoss):
        tar.unpack(pieces(b"<html>" * 500), tmp_path / "out", str)


@pytest.mark.parametrize(
    ("path", "kind", "wanted"),
    [
        ("/", None, {"d/e/1", "d/2", "3"}),
        ("/d", pfs.DIR, {"e/1", "2"}),
        ("/d/2", pfs.FILE, {"2"}),
        ("/*", None, {"d/e/1", "d/2", "3"}),
        ("/d/*", None, {"e/1", "2"}),
    ],
)
def test_a_tree_lands_below_its_target(server, client, tmp_path, path, kind, wanted):
    everything = {"/d/e/1": b"1", "/d/2": b"2", "/3": b"3"}
    stem = path.partition("*")[0]
    server.script["pfs.InspectFile"] = pfs.FileInfo(file_type=kind) if kind else NotFound("none")
    server.script["pfs.GetFileTAR"] = [
        BytesValue(value=piece)
        for piece in pieces(archive({name: data for name, data in everything.items() if name.startswith(stem)}))
    ]
    file = names.file(Repo("default", "a"), "master", path)
    assert downloads.save_tree(client, file, tmp_path / "out") == len(wanted)
    assert set(read_back(tmp_path / "out")) == wanted


def test_an_empty_tree_says_so_unless_it_is_the_whole(server, client, tmp_path):
    server.script["pfs.InspectFile"] = NotFound("none")
    server.script["pfs.GetFileTAR"] = [BytesValue(value=archive({}))]
    assert downloads.save_tree(client, names.file(Repo("default", "a"), "master", "/"), tmp_path / "out") == 0
    with pytest.raises(NotFound, match="/x"):
        downloads.save_tree(client, names.file(Repo("default", "a"), "master", "/x"), tmp_path / "out")


FILE = names.file(Repo("default", "a"), "master", "/a")


def test_a_file_is_there_whole_or_as_it_was(server, client, tmp_path):
    target = tmp_path / "a"
    target.write_text("old")
    target.chmod(0o640)
    server.script["pfs.GetFile"] = [BytesValue(value=b"new"), Unavailable("gone")]
    with pytest.raises(Unavailable):
        downloads.save_file(downloads.read_file(client, FILE), target)
    assert target.read_text() == "old"
    server.script["pfs.GetFile"] = [BytesValue(value=b"new"), BytesValue(value=b"er")]
    assert downloads.save_file(downloads.read_file(client, FILE), target) == 5
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("newer", 0o640)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_broken_download_goes_on_where_it_was(server, client):
    data = b"0123456789"

    def some(request: pfs.GetFileRequest) -> list[object]:
        rest = data[request.offset :]
        return [BytesValue(value=rest[:4]), Unavailable("gone")] if len(rest) > 4 else [BytesValue(value=rest)]

    server.script["pfs.GetFile"] = some
    assert b"".join(downloads.read_again(client, FILE, 0, SimulatedAmbient())) == data
    assert [call.request.offset for call in server.named("pfs.GetFile")] == [0, 4, 8]


def test_it_gives_up_after_ten_tries(server, client):
    server.script["pfs.GetFile"] = Unavailable("gone")
    with pytest.raises(Unavailable):
        list(downloads.read_again(client, FILE, 0, SimulatedAmbient()))
    assert len(server.calls) == 10


def test_an_image_is_a_folder_taken_in(server, client, tmp_path):
    tree(tmp_path, {"bin/run": b"#!/bin/sh\n", "big": os.urandom(9_000_000), "empty": b""})
    (tmp_path / "bin/run").chmod(0o755)
    (tmp_path / "link").symlink_to("bin/run")
    server.script["images.CreateImage"] = lambda requests: own.ImageInfo(spec=requests[0].image, digest="d")
    info = images.create_image(client, own.ImageSpec(name="x"), str(tmp_path), pytest.fail)
    assert info.digest == "d"
    requests = server.only("images.CreateImage").requests[1:]
    entries = [entry for request in requests for entry in request.files.entries]
    data = b"".join(request.files.data for request in requests)
    assert [(entry.path, entry.link) for entry in entries] == [
        ("big", ""), ("bin/", ""), ("bin/run", ""), ("empty", ""), ("link", "bin/run"),
    ]  # fmt: skip
    assert {entry.path: entry.mode for entry in entries}["bin/run"] == 0o755
    assert data == (tmp_path / "big").read_bytes() + b"#!/bin/sh\n"
    assert max(len(request.files.data) for request in requests) < 20_000_000
