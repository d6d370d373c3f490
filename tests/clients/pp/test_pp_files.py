"""python-pachyderm's file-system functions."""

from __future__ import annotations

import io
from pathlib import Path

import grpc
import pytest
import python_pachyderm
from python_pachyderm import Client
from python_pachyderm.pfs import Commit
from python_pachyderm.service import pfs_proto


def put(client: Client, repo: str, files: dict[str, bytes], branch: str = "master") -> pfs_proto.Commit:
    """One commit that holds `files` beside what was there."""
    client.create_repo(repo, update=True)
    with client.commit(repo, branch) as commit:
        for path, content in files.items():
            client.put_file_bytes(commit, path, content)
    client.wait_commit(commit)
    return commit


def read(client: Client, commit: object, path: str) -> bytes:
    """The bytes of one file."""
    with client.get_file(commit, path) as file:
        return file.read()


def test_projects(client: Client) -> None:
    client.create_project("weather", description="rain")
    assert client.inspect_project("weather").description == "rain"
    client.create_project("weather", description="snow", update=True)
    assert [(each.project.name, each.description) for each in client.list_project()] == [
        ("default", client.inspect_project("default").description),
        ("weather", "snow"),
    ]
    client.create_repo("stations", project_name="weather")
    with pytest.raises(grpc.RpcError):
        client.delete_project("weather")
    client.delete_repo("stations", project_name="weather")
    client.delete_project("weather")
    with pytest.raises(grpc.RpcError) as missing:
        client.inspect_project("weather")
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


def test_repos(client: Client) -> None:
    client.create_repo("images", "photographs")
    with pytest.raises(grpc.RpcError) as twice:
        client.create_repo("images")
    assert twice.value.code() is grpc.StatusCode.ALREADY_EXISTS
    client.create_repo("images", "pictures", update=True)
    info = client.inspect_repo("images")
    assert (info.repo.name, info.repo.type, info.repo.project.name) == ("images", "user", "default")
    assert info.description == "pictures"
    assert [each.repo.name for each in client.list_repo()] == ["images"]
    assert list(client.list_repo("meta")) == []
    client.delete_repo("images")
    client.create_repo("a")
    client.create_repo("b")
    client.delete_all_repos()
    assert list(client.list_repo()) == []


def test_a_commit_is_started_written_and_finished(client: Client) -> None:
    client.create_repo("images")
    commit = client.start_commit("images", "master", description="first")
    assert len(commit.id) == 32
    client.put_file_bytes(commit, "a.txt", b"one")
    client.finish_commit(commit)
    info = client.wait_commit(commit)[0]
    assert info.description == "first"
    assert info.details.size_bytes == 3
    assert info.origin.kind == pfs_proto.OriginKind.USER
    with pytest.raises(grpc.RpcError):
        client.put_file_bytes(commit, "b.txt", b"two")
    assert next(iter(client.inspect_commit(commit, pfs_proto.CommitState.FINISHED))).finished.seconds > 0
    assert read(client, ("images", "master"), "/a.txt") == b"one"


def test_a_commit_has_its_parent(client: Client) -> None:
    first = put(client, "images", {"a": b"1"})
    second = client.start_commit("images", "other", parent="master")
    client.finish_commit(second)
    info = client.wait_commit(second)[0]
    assert info.parent_commit.id == first.id
    assert read(client, second, "a") == b"1"


def test_commits_are_listed(client: Client) -> None:
    ids = [put(client, "images", {"a": bytes([number])}).id for number in range(3)]
    assert [each.commit.id for each in client.list_commit("images")] == ids[::-1]
    assert [each.commit.id for each in client.list_commit("images", number=1)] == ids[:1:-1]
    assert [each.commit.id for each in client.list_commit("images", reverse=True)] == ids
    to = ("images", ids[1])
    assert [each.commit.id for each in client.list_commit("images", to_commit=to)] == ids[1::-1]
    since = ("images", ids[0])
    assert [each.commit.id for each in client.list_commit("images", to_commit=to, from_commit=since)] == [ids[1]]
    assert {each.commit_set.id for each in client.list_commit()} >= set(ids)
    assert [each.commit.id for each in client.inspect_commit(ids[0])] == [ids[0]]


def test_commits_are_subscribed_to(client: Client) -> None:
    first = put(client, "images", {"a": b"1"})
    stream = client.subscribe_commit("images", "master", state=pfs_proto.CommitState.FINISHED)
    assert next(stream).commit.id == first.id
    second = put(client, "images", {"b": b"2"})
    assert next(stream).commit.id == second.id
    stream.cancel()


def test_squash_and_drop(client: Client) -> None:
    first, second, third = (put(client, "images", {str(number): b"x"}) for number in range(3))
    client.squash_commit(first.id)
    assert [each.commit.id for each in client.list_commit("images")] == [third.id, second.id]
    assert read(client, second, "0") == b"x"
    client.drop_commit(third.id)
    assert [each.file.path for each in client.list_file(("images", "master"), "/")] == ["/0", "/1"]


def test_branches(client: Client) -> None:
    commit = put(client, "images", {"a": b"1"})
    client.create_branch("images", "release", head_commit=("images", commit.id))
    assert client.inspect_branch("images", "release").head.id == commit.id
    assert [each.branch.name for each in client.list_branch("images", reverse=True)] == ["master", "release"]
    client.create_repo("derived")
    source = pfs_proto.Branch(repo=pfs_proto.Repo(name="images", type="user"), name="release")
    client.create_branch("derived", "master", provenance=[source])
    assert [each.name for each in client.inspect_branch("derived", "master").provenance] == ["release"]
    with pytest.raises(grpc.RpcError):
        client.delete_branch("images", "release")
    client.delete_branch("derived", "master")
    client.delete_branch("images", "release")
    trigger = pfs_proto.Trigger(branch="master", size="1K")
    client.create_branch("images", "big", trigger=trigger)
    assert client.inspect_branch("images", "big").trigger.size == "1K"


def test_one_stream_of_many_edits(client: Client, tmp_path: Path) -> None:
    source = put(client, "source", {"/dir/a": b"A", "/dir/b": b"B"})
    local = tmp_path / "lines.txt"
    local.write_bytes(b"one\ntwo\n" * 1000)
    client.create_repo("images")
    with client.modify_file_client(("images", "master")) as edits:
        edits.put_file_from_filepath("/lines", str(local))
        edits.put_file_from_fileobj("/object", io.BytesIO(b"o" * 30_000_000))
        edits.put_file_from_bytes("/bytes", b"12")
        edits.put_file_from_bytes("/bytes", b"34", append=True)
        edits.put_file_from_bytes("/gone", b"x")
        edits.delete_file("/gone")
        edits.copy_file(source, "/dir", "/copied")
    head = ("images", "master")
    assert len(list(client.list_commit("images"))) == 1
    assert read(client, head, "/lines") == local.read_bytes()
    assert read(client, head, "/object") == b"o" * 30_000_000
    assert read(client, head, "/bytes") == b"1234"
    assert not client.path_exists(head, "/gone")
    assert client.path_exists(head, "/copied/b")
    client.copy_file(source, "/dir/a", head, "/copied/c")
    client.delete_file(head, "/copied/b")
    assert [each.file.path for each in client.list_file(head, "/copied")] == ["/copied/a", "/copied/c"]


def test_a_folder_is_put(client: Client, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "deep" / "two").write_bytes(b"2")
    client.create_repo("images")
    with client.commit("images", "master") as commit:
        python_pachyderm.put_files(client, str(tmp_path), commit, "/folder")
        python_pachyderm.put_files(client, str(tmp_path / "one"), Commit.from_pb(commit), "/one")
    walked = [each.file.path for each in client.walk_file(("images", "master"), "/")]
    assert [path for path in walked if not path.endswith("/")] == ["/folder/deep/two", "/folder/one", "/one"]


def test_files_are_read(client: Client) -> None:
    big = bytes(range(256)) * 4 * 23068  # 23 MiB: more than one message
    commit = put(client, "images", {"/a.txt": b"one", "/big": big, "/dir/b.txt": b"two", "/empty": b""})
    assert read(client, commit, "/big") == big
    assert read(client, commit, "/empty") == b""
    with client.get_file(commit, "/a.txt", offset=1) as file:
        assert file.read(1) == b"n"
        assert file.read() == b"e"
    with pytest.raises(ConnectionError):
        client.get_file(commit, "/missing")
    names = {each.name.strip("/"): each.size for each in client.get_file_tar(commit, "/")}
    assert {path: size for path, size in names.items() if size} == {"a.txt": 3, "big": len(big), "dir/b.txt": 3}
    info = client.inspect_file(commit, "/dir")
    assert (info.file_type, info.size_bytes) == (pfs_proto.FileType.DIR, 3)
    assert [each.file.path for each in client.walk_file(commit, "/dir")] == ["/dir/", "/dir/b.txt"]
    assert [each.file.path for each in client.glob_file(commit, "/**.txt")] == ["/a.txt", "/dir/b.txt"]
    limits = pfs_proto.PathRange(lower="/b", upper="/e")
    assert [each.file.path for each in client.glob_file(commit, "/*", limits)] == ["/big", "/dir/"]
    marker = pfs_proto.File(commit=commit, path="/big")
    paged = client.list_file(commit, "/", pagination_marker=marker, number=1)
    assert [each.file.path for each in paged] == ["/dir/"]
    back = client.list_file(commit, "/", number=2, reverse=True)
    assert [each.file.path for each in back] == ["/empty", "/dir/"]


def test_differences(client: Client) -> None:
    first = put(client, "images", {"/a": b"1", "/b": b"1"})
    second = put(client, "images", {"/a": b"22", "/c": b"1"})
    pairs = [(each.new_file.file.path, each.old_file.file.path) for each in client.diff_file(second, "/", first, "/")]
    assert pairs == [("/", "/"), ("/a", "/a"), ("/c", "")]
    assert [each.new_file.size_bytes for each in client.diff_file(second, "/a")] == [2]


def test_a_file_comes_from_a_url(client: Client, page: str) -> None:
    client.create_repo("images")
    client.put_file_url(("images", "master"), "/page", page)
    with client.modify_file_client(("images", "master")) as edits:
        edits.put_file_from_url("/again", page)
    assert read(client, ("images", "master"), "/page") == b"a page\n"
    assert read(client, ("images", "master"), "/again") == b"a page\n"


def test_an_open_commit_is_read_and_cleared(client: Client) -> None:
    client.create_repo("images")
    with client.commit("images", "master") as commit:
        client.put_file_bytes(commit, "/a", b"1")
        assert read(client, commit, "/a") == b"1"
    assert list(client.fsck()) == []


def test_a_commit_in_words(client: Client) -> None:
    put(client, "images", {"/a": b"1"})
    for commit in (("images", "master"), {"repo": "images", "branch": "master"}, Commit("images", "master")):
        assert read(client, commit, "/a") == b"1"
    with pytest.raises(grpc.RpcError) as missing:
        list(client.list_file(("images", "nobody"), "/"))
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
