"""pachyderm-sdk's file-system functions."""

from __future__ import annotations

import io
from pathlib import Path

import grpc
import pytest
from betterproto.lib.google.protobuf import Any as Anything
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pachyderm_sdk.api.taskapi import Group
from pachyderm_sdk.errors import AuthServiceNotActivated

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")


def put(client: Client, files: dict[str, bytes], branch: str = "images@master") -> pfs.Commit:
    """One commit that holds `files` beside what was there."""
    target = pfs.Branch.from_uri(branch)
    if not client.pfs.repo_exists(target.repo):
        client.pfs.create_repo(repo=target.repo)
    with client.pfs.commit(branch=target) as commit:
        for path, content in files.items():
            commit.put_file_from_bytes(path, content)
    return commit.wait().commit


def read(client: Client, uri: str) -> bytes:
    """The bytes of one file."""
    with client.pfs.pfs_file(pfs.File.from_uri(uri)) as file:
        return file.read()


def paths(infos: object) -> list[str]:
    """The paths of what was listed."""
    return [each.file.path for each in infos]


def refused(code: grpc.StatusCode) -> object:
    """Expect a refusal with a status code and words."""
    return pytest.raises(grpc.RpcError, check=lambda error: error.code() is code and len(error.details()) > 10)


def test_projects(client: Client) -> None:
    project = pfs.Project(name="weather")
    assert not client.pfs.project_exists(project)
    client.pfs.create_project(project=project, description="rain")
    assert client.pfs.project_exists(project)
    assert client.pfs.inspect_project(project=project).description == "rain"
    assert client.pfs.inspect_project_v2(project=project).info.project == project
    client.pfs.create_project(project=project, description="snow", update=True)
    assert {each.project.name: each.description for each in client.pfs.list_project()}["weather"] == "snow"
    client.pfs.create_repo(repo=pfs.Repo(name="stations", project=project))
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        client.pfs.delete_project(project=project)
    deleted = client.pfs.delete_repos(projects=[project])
    assert [each.name for each in deleted.repos] == ["stations"]
    client.pfs.delete_project(project=project)
    with refused(grpc.StatusCode.NOT_FOUND):
        client.pfs.inspect_project(project=project)


def test_repos(client: Client) -> None:
    assert not client.pfs.repo_exists(IMAGES)
    client.pfs.create_repo(repo=IMAGES, description="photographs")
    with refused(grpc.StatusCode.ALREADY_EXISTS):
        client.pfs.create_repo(repo=IMAGES)
    client.pfs.create_repo(repo=IMAGES, description="pictures", update=True)
    put(client, {"/a": b"12"})
    info = client.pfs.inspect_repo(repo=IMAGES)
    assert (info.repo, info.description, info.details.size_bytes) == (IMAGES, "pictures", 2)
    assert [each.repo.name for each in client.pfs.list_repo(type="user")] == ["images"]
    assert list(client.pfs.list_repo(type="meta")) == []
    summary = client.pfs.repos_summary(projects=[pfs.Project(name="default").as_picker()])
    assert [(each.user_repo_count, each.size_bytes) for each in summary.summaries] == [(1, 2)]
    assert client.pfs.delete_repo(repo=IMAGES).deleted
    assert list(client.pfs.list_repo()) == []


def test_a_commit_is_started_written_and_finished(client: Client) -> None:
    client.pfs.create_repo(repo=IMAGES)
    with client.pfs.commit(branch=MASTER, description="first") as commit:
        file = commit.put_file_from_bytes("a.txt", b"one")
        assert client.pfs.path_exists(file)
        with client.pfs.pfs_file(file) as opened:
            assert opened.read() == b"one"
    info = commit.wait()
    assert (info.description, info.details.size_bytes, info.origin.kind) == ("first", 3, pfs.OriginKind.USER)
    assert [each.commit.id for each in commit.wait_all()] == [commit.id]
    assert client.pfs.commit_exists(commit)
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        client.pfs.put_file_from_bytes(commit=info.commit, path="b.txt", data=b"two")
    assert client.pfs.inspect_commit(commit=info.commit, wait=pfs.CommitState.FINISHED).finished
    assert client.pfs.wait_commit(info.commit).commit.id == commit.id
    sets = client.pfs.wait_commit_set(pfs.CommitSet(id=commit.id))
    assert [each.commit.id for each in sets] == [commit.id]


def test_start_clear_and_finish(client: Client) -> None:
    first = put(client, {"/kept": b"1"})
    commit = client.pfs.start_commit(branch=MASTER)
    client.pfs.put_file_from_bytes(commit=commit, path="/a", data=b"1")
    client.pfs.clear_commit(commit=commit)
    client.pfs.finish_commit(commit=commit, description="emptied")
    assert paths(client.pfs.list_file(file=pfs.File.from_uri("images@master:/"))) == ["/kept"]
    assert client.pfs.inspect_commit(commit=commit).parent_commit.id == first.id


def test_commits_are_listed_and_subscribed_to(client: Client) -> None:
    commits = [put(client, {"/a": bytes([number])}) for number in range(3)]
    ids = [each.id for each in commits]
    assert [each.commit.id for each in client.pfs.list_commit(repo=IMAGES)] == ids[::-1]
    assert [each.commit.id for each in client.pfs.list_commit(repo=IMAGES, reverse=True, number=2)] == ids[:2]
    part = client.pfs.list_commit(repo=IMAGES, from_=commits[0], to=commits[1])
    assert [each.commit.id for each in part] == [ids[1]]
    sets = [each.commit_set.id for each in client.pfs.list_commit_set()]
    assert sets == ids[::-1]
    members = client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=ids[0]))
    assert [each.commit.id for each in members] == ids[:1]
    stream = client.pfs.subscribe_commit(repo=IMAGES, branch="master", state=pfs.CommitState.FINISHED)
    assert [next(stream).commit.id for _ in range(3)] == ids


def test_a_commit_in_many_words(client: Client) -> None:
    first = put(client, {"/a": b"1"})
    second = put(client, {"/a": b"2"})
    for uri in ("images@master^:/a", f"images@{second.id}^:/a", f"images@{first.id}:/a", "images@master.1:/a"):
        assert read(client, uri) == b"1", uri
    with refused(grpc.StatusCode.NOT_FOUND):
        client.pfs.inspect_commit(commit=pfs.Commit.from_uri("images@master^^^^"))


def test_squash_drop_and_forget(client: Client) -> None:
    first, second, third, fourth = (put(client, {f"/{number}": b"x"}) for number in range(4))
    client.pfs.squash_commit(commit=first)
    client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=second.id))
    assert [each.commit.id for each in client.pfs.list_commit(repo=IMAGES)] == [fourth.id, third.id]
    assert read(client, f"images@{third.id}:/0") == b"x"
    client.pfs.drop_commit(commit=fourth)
    assert paths(client.pfs.list_file(file=pfs.File.from_uri("images@master:/"))) == ["/0", "/1", "/2"]
    client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=third.id))
    assert not client.pfs.commit_exists(third)
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        client.pfs.forget_commit(commit=put(client, {"/a": b"1"}).as_picker())


def test_who_changed_a_path(client: Client) -> None:
    first = put(client, {"/a": b"1"})
    put(client, {"/b": b"1"})
    third = put(client, {"/a": b"2"})
    answers = list(client.pfs.find_commits(start=third, file_path="/a"))
    assert [each.found_commit.id for each in answers if each.found_commit.id] == [third.id, first.id]
    assert answers[-1].last_searched_commit.id == first.id
    limited = client.pfs.find_commits(start=third, file_path="/a", limit=1)
    assert [each.found_commit.id for each in limited if each.found_commit.id] == [third.id]


def test_branches(client: Client) -> None:
    commit = put(client, {"/a": b"1"})
    release = pfs.Branch.from_uri("images@release")
    client.pfs.create_branch(branch=release, head=commit)
    assert client.pfs.branch_exists(release)
    assert client.pfs.inspect_branch(branch=release).head.id == commit.id
    assert [each.branch.name for each in client.pfs.list_branch(repo=IMAGES)] == ["release", "master"]
    client.pfs.create_repo(repo=pfs.Repo.from_uri("derived"))
    derived = pfs.Branch.from_uri("derived@master")
    client.pfs.create_branch(branch=derived, provenance=[release])
    up = client.pfs.walk_branch_provenance(start=[derived.as_picker()])
    assert {each.branch.as_uri() for each in up} >= {release.as_uri()}
    down = client.pfs.walk_branch_subvenance(start=[release.as_picker()])
    assert {each.branch.as_uri() for each in down} >= {derived.as_uri()}
    head = client.pfs.inspect_branch(branch=derived).head
    commits = client.pfs.walk_commit_provenance(start=[head.as_picker()])
    assert commit.id in {each.commit.id for each in commits}
    commits = client.pfs.walk_commit_subvenance(start=[commit.as_picker()])
    assert head.id in {each.commit.id for each in commits}
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        client.pfs.delete_branch(branch=release)
    client.pfs.delete_branch(branch=derived)
    client.pfs.delete_branch(branch=release)
    assert not client.pfs.branch_exists(release)


def test_a_trigger_moves_its_branch(client: Client) -> None:
    client.pfs.create_repo(repo=IMAGES)
    put(client, {"/a": b"1"}, "images@staging")
    client.pfs.create_branch(branch=MASTER, trigger=pfs.Trigger(branch="staging", commits=2))
    second = put(client, {"/b": b"1"}, "images@staging")
    put(client, {"/c": b"1"}, "images@staging")
    assert client.pfs.inspect_branch(branch=MASTER).head.id == second.id
    assert client.pfs.inspect_branch(branch=MASTER).trigger.commits == 2


def test_one_commit_of_many_edits(client: Client, tmp_path: Path, page: str) -> None:
    put(client, {"/dir/a": b"A", "/dir/b": b"B"}, "source@master")
    (tmp_path / "deep").mkdir()
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "deep" / "two").write_bytes(b"2")
    client.pfs.create_repo(repo=IMAGES)
    with client.pfs.commit(branch=MASTER) as commit:
        commit.put_files(source=tmp_path, path="/folder")
        commit.put_file_from_file(path="/object", file=io.BytesIO(b"o" * 30_000_000))
        commit.put_file_from_bytes(path="/bytes", data=b"12")
        commit.put_file_from_bytes(path="/bytes", data=b"34", append=True)
        commit.put_file_from_bytes(path="/gone", data=b"x")
        commit.delete_file(path="/gone")
        commit.copy_file(src=pfs.File.from_uri("source@master:/dir"), dst="/copied")
        commit.put_file_from_url(path="/page", url=page)
    commit.wait()
    assert read(client, "images@master:/object") == b"o" * 30_000_000
    assert read(client, "images@master:/bytes") == b"1234"
    assert read(client, "images@master:/folder/deep/two") == b"2"
    assert read(client, "images@master:/page") == b"a page\n"
    assert not client.pfs.path_exists(pfs.File.from_uri("images@master:/gone"))
    assert client.pfs.path_exists(pfs.File.from_uri("images@master:/copied/b"))


def test_edits_of_a_branch(client: Client, tmp_path: Path, page: str) -> None:
    put(client, {"/a": b"1"})
    (tmp_path / "one").write_bytes(b"1")
    head = pfs.Commit.from_uri("images@master")
    client.pfs.put_files(commit=head, source=tmp_path, path="/folder")
    client.pfs.put_file_from_file(commit=head, path="/file", file=io.BytesIO(b"f"))
    client.pfs.put_file_from_url(commit=head, path="/page", url=page)
    client.pfs.copy_file(commit=head, src=pfs.File.from_uri("images@master:/a"), dst="/b")
    client.pfs.delete_file(commit=head, path="/a")
    listed = client.pfs.list_file(file=pfs.File.from_uri("images@master:/"))
    assert paths(listed) == ["/b", "/file", "/folder/", "/page"]


def test_a_stream_of_edits_by_hand(client: Client) -> None:
    client.pfs.create_repo(repo=IMAGES)
    client.pfs.modify_file(
        iter(
            [
                pfs.ModifyFileRequest(set_commit=pfs.Commit.from_uri("images@master")),
                pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"one ")),
                pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"two")),
            ]
        )
    )
    assert read(client, "images@master:/a") == b"one two"
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.pfs.modify_file(iter([pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"one "))]))


def test_files_are_read(client: Client) -> None:
    big = bytes(range(256)) * 4 * 23068  # 23 MiB: more than one message
    commit = put(client, {"/a.txt": b"one", "/big": big, "/dir/b.txt": b"two", "/empty": b""})
    assert read(client, "images@master:/big") == big
    assert read(client, "images@master:/empty") == b""
    assert b"".join(each.value for each in client.pfs.get_file(file=pfs.File(commit, "/a.txt"), offset=1)) == b"ne"
    with pytest.raises(ValueError):
        client.pfs.pfs_file(pfs.File.from_uri("images@master:/missing"))
    with client.pfs.pfs_tar_file(pfs.File.from_uri("images@master:/")) as tar:
        names = {each.name.strip("/"): each.size for each in tar}
    assert {path: size for path, size in names.items() if size} == {"a.txt": 3, "big": len(big), "dir/b.txt": 3}
    assert len(list(client.pfs.get_file_tar(file=pfs.File(commit, "/a.txt")))) >= 1
    info = client.pfs.inspect_file(file=pfs.File(commit, "/dir"))
    assert (info.file_type, info.size_bytes) == (pfs.FileType.DIR, 3)
    assert paths(client.pfs.walk_file(file=pfs.File(commit, "/dir"))) == ["/dir/", "/dir/b.txt"]
    assert paths(client.pfs.glob_file(commit=commit, pattern="/**.txt")) == ["/a.txt", "/dir/b.txt"]
    limits = pfs.PathRange(lower="/b", upper="/e")
    assert paths(client.pfs.glob_file(commit=commit, pattern="/*", path_range=limits)) == ["/big", "/dir/"]
    root, marker = pfs.File(commit, "/"), pfs.File(commit, "/big")
    assert paths(client.pfs.list_file(file=root, pagination_marker=marker, number=1)) == ["/dir/"]
    assert paths(client.pfs.list_file(file=root, number=2, reverse=True)) == ["/empty", "/dir/"]


def test_a_file_is_read_in_parts(client: Client) -> None:
    put(client, {"/lines": b"one\ntwo\nthree"})
    with client.pfs.pfs_file(pfs.File.from_uri("images@master:/lines")) as file:
        assert file.readable()
        assert file.peek(3) == b"one"
        assert file.readline() == b"one\n"
        buffer = bytearray(2)
        assert file.readinto(buffer) == 2
        assert bytes(buffer) + file.read() == b"two\nthree"
        assert file.read() == b""
    assert not file.readable()


def test_pickers_name_what_addresses_name(client: Client) -> None:
    derived = pfs.Branch.from_uri("derived@master")
    for repo in (IMAGES, derived.repo):
        client.pfs.create_repo(repo=repo)
    client.pfs.create_branch(branch=derived, provenance=[MASTER])
    first, second, third = (put(client, {"/a": bytes([number])}) for number in range(3))
    addresses = {
        "images@master": third,
        f"images@{second.id}": second,
        f"images@master={first.id}": first,
        "images@master^1": second,
        f"images@{third.id}^2": first,
        "images@master.2": first,  # the first was empty, for the branch that derives from it
        "images@master.4": third,
    }
    for address, commit in addresses.items():
        picker = pfs.CommitPicker.from_uri(address)
        assert picker.as_uri().startswith("default/images@"), address
        found = [each.commit.id for each in client.pfs.walk_commit_subvenance(start=[picker])]
        assert found == [commit.id], address
    release = pfs.BranchPicker.from_uri("images@master")
    assert release.as_uri() == MASTER.as_uri() == "default/images@master"
    found = client.pfs.walk_branch_subvenance(start=[release])
    assert [each.branch for each in found] == [derived]
    picked = pfs.RepoPicker.from_uri("images")
    assert (picked.as_uri(), picked) == (IMAGES.as_uri(), IMAGES.as_picker())
    info = client.pfs.inspect_file(file=pfs.File.from_uri("images@master:/a"))
    assert info.file.as_uri() == f"default/images@{third.id}:/a"


def test_differences(client: Client) -> None:
    first = put(client, {"/a": b"1", "/b": b"1"})
    second = put(client, {"/a": b"22", "/c": b"1"})
    answers = client.pfs.diff_file(new_file=pfs.File(second, "/"), old_file=pfs.File(first, "/"))
    assert [(each.new_file.file.path, each.old_file.file.path) for each in answers] == [
        ("/", "/"),
        ("/a", "/a"),
        ("/c", ""),
    ]
    alone = client.pfs.diff_file(new_file=pfs.File(second, "/a"))
    assert [each.new_file.size_bytes for each in alone] == [2]


def test_file_sets(client: Client) -> None:
    commit = put(client, {"/a": b"1"})
    diff = pfs.GetFileSetRequestFileSetType.DIFF
    total = client.pfs.get_file_set(commit=commit).file_set_id
    assert client.pfs.get_file_set(commit=commit, type=diff).file_set_id
    made = client.pfs.create_file_set(
        iter([pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{name}", raw=b"22")) for name in "bc"])
    ).file_set_id
    client.pfs.renew_file_set(file_set_id=made, ttl_seconds=60)
    both = client.pfs.compose_file_set(file_set_ids=[total, made], ttl_seconds=60, compact=True).file_set_id
    shards = client.pfs.shard_file_set(file_set_id=both, num_files=1).shards
    assert len(shards) == 3
    target = client.pfs.start_commit(branch=MASTER)
    client.pfs.add_file_set(commit=target, file_set_id=made)
    client.pfs.finish_commit(commit=target)
    client.pfs.wait_commit(target)
    assert paths(client.pfs.list_file(file=pfs.File.from_uri("images@master:/"))) == ["/a", "/b", "/c"]
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        client.pfs.add_file_set(commit=target, file_set_id=made)


def test_the_cache(client: Client) -> None:
    made = client.pfs.create_file_set(
        iter([pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"22"))])
    ).file_set_id
    value = Anything(type_url="type.googleapis.com/google.protobuf.Empty", value=b"")
    client.pfs.put_cache(key="k", value=value, file_set_ids=[made], tag="t")
    assert client.pfs.get_cache(key="k").value.type_url == value.type_url
    client.pfs.clear_cache(tag_prefix="t")
    with refused(grpc.StatusCode.NOT_FOUND):
        client.pfs.get_cache(key="k")


def test_the_state_of_things(client: Client) -> None:
    put(client, {"/a": b"1"})
    assert list(client.pfs.fsck(fix=True)) == []
    assert client.pfs.check_storage(read_chunk_data=True).chunk_object_count >= 0
    assert list(client.pfs.list_task(group=Group(namespace="", group=""))) == []


def test_a_commit_goes_to_an_object_store(client: Client) -> None:
    commit = put(client, {"/a": b"1"})
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        client.pfs.egress(commit=commit, object_storage=pfs.ObjectStorageEgress(url="nowhere"))


def test_auth_is_off(client: Client) -> None:
    for call in (client.pfs.activate_auth, client.pps.activate_auth):
        with pytest.raises(AuthServiceNotActivated):
            call()
