"""Repos, commits and files through a real socket: what the public client sends, and our own quicker calls."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from trunkline.api.files import reads as door
from trunkline.testing.calls import Client, add, bulk, delete, on, refused
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own


def test_a_repo_lives_and_dies(client: Client) -> None:
    repo = client.repo()
    assert client.stub.InspectRepo(pfs.InspectRepoRequest(repo=repo)).repo == repo
    assert repo in [info.repo for info in client.stub.ListRepo(pfs.ListRepoRequest(type="user"))]
    code, details = refused(client.stub.CreateRepo, pfs.CreateRepoRequest(repo=repo))
    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert repo.name in details
    assert client.stub.DeleteRepo(pfs.DeleteRepoRequest(repo=repo)).deleted
    assert not client.stub.DeleteRepo(pfs.DeleteRepoRequest(repo=repo)).deleted
    assert refused(client.stub.InspectRepo, pfs.InspectRepoRequest(repo=repo))[0] is grpc.StatusCode.NOT_FOUND


def test_repos_come_in_pages_by_name(client: Client) -> None:
    names = sorted([client.repo().name for _ in range(3)])
    page = pfs.RepoPage(page_size=1000)
    found = [info.repo.name for info in client.stub.ListRepo(pfs.ListRepoRequest(type="user", page=page))]
    assert found == sorted(found)
    assert set(names) <= set(found)
    second = pfs.ListRepoRequest(type="user", page=pfs.RepoPage(page_size=1, page_index=1))
    assert [info.repo.name for info in client.stub.ListRepo(second)] == [found[1]]


def test_projects(client: Client) -> None:
    project = pfs.Project(name="elsewhere")
    client.stub.CreateProject(pfs.CreateProjectRequest(project=project, description="d"))
    assert client.stub.InspectProject(pfs.InspectProjectRequest(project=project)).description == "d"
    assert {info.project.name for info in client.stub.ListProject(pfs.ListProjectRequest())} >= {"default", "elsewhere"}
    client.stub.DeleteProject(pfs.DeleteProjectRequest(project=project))
    code, _ = refused(client.stub.InspectProject, pfs.InspectProjectRequest(project=project))
    assert code is grpc.StatusCode.NOT_FOUND


def test_a_file_comes_back(client: Client) -> None:
    repo = client.repo()
    client.put(repo, {"a": b"hello", "/dir/b": b"there", "/empty": b""})
    assert client.get(repo, "/a") == [b"hello"]
    assert client.get(repo, "/dir/*") == [b"there"]
    assert client.get(repo, "/empty") == [b""]  # one client takes the first message unasked
    assert client.get(repo, "a", offset=3) == [b"lo"]
    info = client.finished(repo)
    assert info.details.size_bytes == 10
    assert info.commit.branch.name == ""  # this channel says it is the newer client


def test_a_big_file_comes_in_pieces(client: Client) -> None:
    repo = client.repo()
    data = os.urandom(23_068_672)
    client.put(repo, {"/big": data})
    pieces = client.get(repo, "/big")
    assert b"".join(pieces) == data
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= 2 << 20
    assert b"".join(client.get(repo, "/big", offset=20_000_000)) == data[20_000_000:]


def test_what_is_not_there_fails_before_any_byte(client: Client) -> None:
    repo = client.repo()
    client.put(repo, {"/dir/a": b"1"})
    file = pfs.File(commit=on(repo), path="/nope")
    code, details = refused(client.stub.GetFile, pfs.GetFileRequest(file=file))
    assert code is grpc.StatusCode.NOT_FOUND
    assert "/nope" in details
    file.path = "/dir"
    assert refused(client.stub.GetFile, pfs.GetFileRequest(file=file))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert refused(client.stub.InspectFile, pfs.InspectFileRequest(file=pfs.File(commit=on(repo), path="/x")))


def test_listing_walking_and_searching(client: Client) -> None:
    repo = client.repo()
    client.put(repo, {"/a/1": b"x", "/a/2": b"xx", "/b": b"xxx"})
    file = pfs.File(commit=on(repo), path="/")

    def paths(answers: Any) -> list[str]:
        return [info.file.path for info in answers]

    assert paths(client.stub.ListFile(pfs.ListFileRequest(file=file))) == ["/a/", "/b"]
    marker = pfs.File(path="/a/")
    assert paths(client.stub.ListFile(pfs.ListFileRequest(file=file, paginationMarker=marker, number=5))) == ["/b"]
    assert paths(client.stub.WalkFile(pfs.WalkFileRequest(file=file))) == ["/", "/a/", "/a/1", "/a/2", "/b"]
    assert paths(client.stub.GlobFile(pfs.GlobFileRequest(commit=on(repo), pattern="/a/*"))) == ["/a/1", "/a/2"]
    info = client.stub.InspectFile(pfs.InspectFileRequest(file=pfs.File(commit=on(repo), path="/a")))
    assert (info.file_type, info.size_bytes, len(info.hash)) == (pfs.DIR, 3, 32)
    assert info.HasField("committed")


def test_files_come_many_to_a_message_as_they_come_alone(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = client.repo()
    client.put(repo, {f"/a/{number}": b"x" * number for number in range(7)})
    monkeypatch.setattr(door, "LISTED", 3)
    folder = pfs.ListFileRequest(file=pfs.File(commit=on(repo), path="/a"))
    pages = list(client.bulk.ListFiles(folder))
    assert [len(page.files) for page in pages] == [3, 3, 1]
    assert [info for page in pages for info in page.files] == list(client.stub.ListFile(folder))
    last = pfs.ListFileRequest(file=folder.file, number=2, reverse=True)
    assert [[info.file.path for info in page.files] for page in client.bulk.ListFiles(last)] == [["/a/6", "/a/5"]]
    glob = pfs.GlobFileRequest(commit=on(repo), pattern="/a/*", path_range=pfs.PathRange(lower="/a/2"))
    pages = list(client.bulk.GlobFiles(glob))
    assert [len(page.files) for page in pages] == [3, 2]
    assert [info for page in pages for info in page.files] == list(client.stub.GlobFile(glob))
    alone = pfs.ListFileRequest(file=pfs.File(commit=on(repo), path="/a/3"))
    assert [len(page.files) for page in client.bulk.ListFiles(alone)] == [1]
    nowhere = pfs.ListFileRequest(file=pfs.File(commit=on(repo), path="/nope"))
    assert refused(client.bulk.ListFiles, nowhere)[0] is grpc.StatusCode.NOT_FOUND


def test_a_tree_comes_as_tar(client: Client) -> None:
    repo = client.repo()
    files = {f"/d/{at}": os.urandom(at) for at in range(200)} | {"/d/big": os.urandom(3 << 20), "/top": b"t"}
    client.put(repo, files)

    def tree(path: str) -> dict[str, bytes]:
        request = pfs.GetFileRequest(file=pfs.File(commit=on(repo), path=path))
        stream = io.BytesIO(b"".join(piece.value for piece in client.stub.GetFileTAR(request)))
        with tarfile.open(fileobj=stream, mode="r|*") as tar:
            return {f"/{one.name}": tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]

    assert tree("/") == files
    assert set(tree("/d/1*")) == {path for path in files if path.startswith("/d/1")}
    assert tree("/top") == {"/top": b"t"}
    empty = client.repo()
    client.stub.CreateBranch(pfs.CreateBranchRequest(branch=pfs.Branch(repo=empty, name="master")))
    request = pfs.GetFileRequest(file=pfs.File(commit=on(empty), path="/"))
    assert b"".join(piece.value for piece in client.stub.GetFileTAR(request)) == bytes(1024)


def test_edits_in_one_stream_are_one_commit_or_none(client: Client) -> None:
    repo = client.repo()
    client.put(repo, {"/a": b"1", "/b": b"2"})
    stream = [pfs.ModifyFileRequest(set_commit=on(repo)), add("/a", b"+"), delete("/b"), add("/c", b"3")]
    copy = pfs.CopyFile(dst="/d", src=pfs.File(commit=on(repo), path="/a"))
    client.stub.ModifyFile(iter([*stream, pfs.ModifyFileRequest(copy_file=copy)]))
    assert client.get(repo, "/a") == [b"1+"]
    assert client.get(repo, "/d") == [b"1"]
    assert [info.file.path for info in client.stub.ListFile(pfs.ListFileRequest(file=pfs.File(commit=on(repo))))] == [
        "/a",
        "/c",
        "/d",
    ]
    before = client.finished(repo).commit.id
    code, _ = refused(client.stub.ModifyFile, iter([*stream, add("/bad/../path", b"x")]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert client.finished(repo).commit.id == before


def test_a_stream_must_say_where_it_writes(client: Client) -> None:
    code, details = refused(client.stub.ModifyFile, iter([add("/a", b"x")]))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "set_commit" in details
    assert refused(client.stub.ModifyFile, iter([]))[0] is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("ends", [True, False])
def test_a_client_that_breaks_off_leaves_nothing(client: Client, ends: bool) -> None:
    """Cut off between messages, or just as its messages end: to the server both look much like the end of a stream."""
    repo = client.repo()
    client.put(repo, {"/a": b"1"})
    before = client.finished(repo).commit.id
    stops: list[threading.Event] = []
    for _ in range(25):
        sent, stop = threading.Event(), threading.Event()
        call = client.stub.ModifyFile.future(half(repo, sent, stop))
        assert sent.wait(60)
        call.cancel()
        if ends:
            stop.set()
        stops.append(stop)
    client.put(repo, {"/b": b"2"})
    info = client.finished(repo)
    assert info.parent_commit.id == before
    assert refused(client.stub.InspectFile, pfs.InspectFileRequest(file=pfs.File(commit=on(repo), path="/half")))
    for stop in stops:
        stop.set()


def half(repo: pfs.Repo, sent: threading.Event, stop: threading.Event) -> Iterator[pfs.ModifyFileRequest]:
    """The beginning of a put."""
    yield pfs.ModifyFileRequest(set_commit=on(repo))
    yield add("/half", b"x" * 1000)
    sent.set()
    stop.wait(30)


def test_what_differs(client: Client) -> None:
    repo = client.repo()
    client.put(repo, {"/a": b"1", "/b": b"1", "/c": b"1"})
    client.put(repo, {"/a": b"2", "/d": b"1"})
    client.finished(repo)
    request = pfs.DiffFileRequest(new_file=pfs.File(commit=on(repo), path="/"))
    pairs = [(one.new_file.file.path, one.old_file.file.path) for one in client.stub.DiffFile(request)]
    assert ("/a", "/a") in pairs
    assert ("/d", "") in pairs
    assert not [pair for pair in pairs if "/b" in pair]


def test_many_files_in_one_message(client: Client) -> None:
    repo = client.repo()
    paths = [f"/{at:05}" for at in range(2000)]
    datas = [str(at).encode() * (at % 7) for at in range(2000)]
    small = own.SmallFiles(paths=paths, sizes=[len(data) for data in datas], data=b"".join(datas))
    big = os.urandom(5 << 20)
    pieces = [own.FilePiece(path="/big", data=big[: 3 << 20]), own.FilePiece(data=big[3 << 20 :])]
    answer = client.bulk.BulkPut(bulk(on(repo), small, *pieces, own.DeletePaths(paths=["/00000"])))
    assert (answer.files, answer.size_bytes) == (2001, sum(map(len, datas)) + len(big))
    assert answer.commit.repo == repo
    assert b"".join(client.get(repo, "/big")) == big
    assert client.get(repo, "/00013") == [datas[13]]
    listed = [info.file.path for info in client.stub.ListFile(pfs.ListFileRequest(file=pfs.File(commit=on(repo))))]
    assert listed == [*paths[1:], "/big"]


def test_both_ways_of_putting_files_make_the_same_commit(client: Client) -> None:
    one, other = client.repo(), client.repo()
    files = {f"/d{at % 3}/{at}": os.urandom(at * 50) for at in range(40)} | {"/big": os.urandom(2 << 20)}
    client.put(one, files)
    client.put(one, {"/d0/0": b"again"})
    client.stub.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=on(one)), add("/d0/0", b"+"), delete("/d1/")]))
    paths = [path for path in files if path != "/big"]
    small = own.SmallFiles(paths=paths, sizes=[len(files[p]) for p in paths], data=b"".join(files[p] for p in paths))
    client.bulk.BulkPut(bulk(on(other), own.FilePiece(path="/big", data=files["/big"]), small))
    client.bulk.BulkPut(bulk(on(other), own.SmallFiles(paths=["/d0/0"], sizes=[5], data=b"again")))
    append = own.SmallFiles(paths=["/d0/0"], sizes=[1], data=b"+", append=True)
    client.bulk.BulkPut(bulk(on(other), append, own.DeletePaths(paths=["/d1/"])))
    roots = [
        client.stub.InspectFile(pfs.InspectFileRequest(file=pfs.File(commit=on(repo), path="/")))
        for repo in (one, other)
    ]
    assert roots[0].hash == roots[1].hash
    assert roots[0].size_bytes == roots[1].size_bytes


@pytest.mark.parametrize(
    ("bodies", "word"),
    [
        ([own.SmallFiles(paths=["/a"], sizes=[3], data=b"x")], "add up"),
        ([own.FilePiece(data=b"x")], "named"),
    ],
)
def test_a_bulk_stream_that_does_not_add_up(client: Client, bodies: list[Any], word: str) -> None:
    code, details = refused(client.bulk.BulkPut, bulk(on(client.repo()), *bodies))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert word in details


def image(name: str, *files: own.ImageFiles) -> Iterator[own.CreateImageRequest]:
    yield own.CreateImageRequest(image=own.ImageSpec(name=name, env={"A": "1"}))
    for one in files:
        yield own.CreateImageRequest(files=one)


def test_an_image_is_its_content(client: Client) -> None:
    entries = [
        own.ImageEntry(path="bin/", mode=0o755),
        own.ImageEntry(path="bin/run", mode=0o755, size_bytes=10),
        own.ImageEntry(path="link", mode=0o777, link="bin/run"),
        own.ImageEntry(path="data", mode=0o644, size_bytes=3),
    ]
    once = client.images.CreateImage(image("tool:1", own.ImageFiles(entries=entries, data=b"0123456789abc")))
    parts = [own.ImageFiles(entries=entries[:2], data=b"0123")]
    parts += [own.ImageFiles(data=b"456789"), own.ImageFiles(entries=entries[2:], data=b"abc")]
    again = client.images.CreateImage(image("tool:2", *parts))
    assert once.digest == again.digest
    assert (once.size_bytes, dict(once.spec.env)) == (13, {"A": "1"})
    assert client.images.InspectImage(own.InspectImageRequest(name="tool:1")).digest == once.digest
    assert [one.spec.name for one in client.images.ListImage(own.ListImageRequest())] == ["tool:1", "tool:2"]
    client.images.DeleteImage(own.DeleteImageRequest(name="tool:1"))
    assert refused(client.images.InspectImage, own.InspectImageRequest(name="tool:1"))


def test_an_image_that_ends_within_a_file_is_refused(client: Client) -> None:
    entry = own.ImageEntry(path="a", size_bytes=10)
    code, details = refused(client.images.CreateImage, image("bad", own.ImageFiles(entries=[entry], data=b"x")))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "9 bytes are missing" in details
