"""Commands on files: where they go, what is asked, what is printed."""

from __future__ import annotations

import tarfile
from typing import Any

import pytest
from cli_things import OTHER, before, commit
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline.client.known import cache
from trunkline.errors import FailedPrecondition, NotFound
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own


def file(path: str, kind: pfs.FileType.ValueType = pfs.FILE, size: int = 1, name: str = "images") -> pfs.FileInfo:
    at = pfs.File(commit=commit(name), path=path, datum="default")
    return pfs.FileInfo(file=at, file_type=kind, size_bytes=size, hash=b"\x01\xff", committed=before(minutes=1))


FILES = [file("/a.png", size=58_644), file("/dir/", pfs.DIR, 2048), file("/écrits", size=0)]


def test_list_and_glob_file(pachctl, server, context):
    server.script["pfs.ListFile"] = FILES
    server.script["pfs.GlobFile"] = FILES
    table = "SIZE     NAME\n57.27KiB /a.png\n2KiB     /dir/\n0B       /écrits\n"
    assert pachctl("list", "file", "images@master:/dir/").out == table
    assert server.only("pfs.ListFile").request.file.path == "/dir"
    assert pachctl("glob", "file", "images@master:/*").out == table
    assert server.only("pfs.GlobFile").request.pattern == "/*"
    assert "COMMITTED            NAME" in pachctl("list", "file", "images@master", "-T").out
    assert pachctl("list", "file", "edges.meta@master").out.startswith("SIZE     TAG     NAME\n")


def test_files_are_listed_many_to_a_message_where_the_server_does_that(pachctl, server, context):
    pages = [own.FileList(files=FILES[:2]), own.FileList(files=FILES[2:])]
    server.script["bulk.ListFiles"] = server.script["bulk.GlobFiles"] = pages
    table = "SIZE     NAME\n57.27KiB /a.png\n2KiB     /dir/\n0B       /écrits\n"
    assert pachctl("list", "file", "images@master:/dir/").out == table
    assert server.only("bulk.ListFiles").request.file.path == "/dir"
    assert pachctl("glob", "file", "images@master:/*").out == table
    server.script["bulk.ListFiles"] = []
    assert pachctl("list", "file", "images@master").out == "SIZE NAME\n"
    server.script["bulk.ListFiles"] = NotFound("file /x not found")
    assert "/x not found" in pachctl("list", "file", "images@master:/x").err
    assert not server.named("pfs.ListFile")
    assert not server.named("pfs.GlobFile")


def test_inspect_file(pachctl, server, context):
    server.script["pfs.InspectFile"] = FILES[0]
    assert pachctl("inspect", "file", "images@master:/a.png").out == (
        "Path: /a.png\nType: file\nSize: 57.27KiB\nHash: 01ff\n"
    )
    assert "images@master:/path" in pachctl("inspect", "file", "images@master").err


def test_get_file(pachctl, server, context, tmp_path):
    server.script["pfs.GetFile"] = [BytesValue(value=b"ab"), BytesValue(value=b"c")]
    assert pachctl("get", "file", "images@master:/a.png", "--offset", "3").out == "abc"
    assert server.only("pfs.GetFile").request.offset == 3
    assert pachctl("get", "file", "images@master:/a.png", "-o", tmp_path).status == 0
    assert (tmp_path / "a.png").read_bytes() == b"abc"
    assert "-o DIRECTORY" in pachctl("get", "file", "images@master:/", "-r").err
    server.script["pfs.GetFile"] = NotFound('file "/a.png" not found')
    missing = pachctl("get", "file", "images@master:/a.png", "-o", tmp_path / "no")
    assert (missing.status, missing.err) == (1, 'file "/a.png" not found\n')
    assert not (tmp_path / "no").exists()
    server.script["pfs.GetFile"] = FailedPrecondition("no such bucket")
    assert pachctl("get", "file", "images@master:/a.png", "-o", "s3://b/k").err == "no such bucket\n"
    assert server.calls[-1].request.URL == "s3://b/k"


def test_get_file_again_appends_what_is_missing(pachctl, server, context, tmp_path):
    (tmp_path / "x").write_bytes(b"ab")
    server.script["pfs.GetFile"] = lambda request: [BytesValue(value=b"abcd"[request.offset :])]
    assert pachctl("get", "file", "images@master:/x", "--retry", "-o", tmp_path / "x").status == 0
    assert (tmp_path / "x").read_bytes() == b"abcd"


def put_paths(server: Any) -> list[str]:
    requests = server.only("bulk.BulkPut").requests
    server.calls.clear()
    return [
        path
        for request in requests[1:]
        for path in [*request.small.paths, *([request.piece.path] if request.piece.path else [])]
    ]


@pytest.mark.parametrize(
    ("target", "sources", "wanted"),
    [
        ("images@master", ["one"], ["/one"]),
        ("images@master", ["one", "d/two"], ["/one", "/two"]),
        ("images@master:/", ["one"], ["/one"]),
        ("images@master:/x", ["one"], ["/x"]),
        ("images@master:x/y", ["one"], ["/x/y"]),
        ("images@master:/x/", ["one"], ["/x/one"]),
        ("images@master:/x", ["one", "d/two"], ["/x/one", "/x/two"]),
        ("images@master", ["-r", "d"], ["/d/e/three", "/d/two"]),
        ("images@master:/", ["-r", "d"], ["/e/three", "/two"]),
        ("images@master:/x", ["-r", "d"], ["/x/e/three", "/x/two"]),
        ("images@master:/x/", ["-r", "d/"], ["/x/d/e/three", "/x/d/two"]),
        ("images@master", ["-r", "."], ["/HERE/d/e/three", "/HERE/d/two", "/HERE/one"]),
        ("images@master", ["-r", "one", "d"], ["/one", "/d/e/three", "/d/two"]),
        ("images@master", ["--full-path", "d/two"], ["/d/two"]),
        ("images@master:/x/", ["--full-path", "./d/two"], ["/x/d/two"]),
        ("images@master:/x", ["--full-path", "-r", "d/e"], ["/x/three"]),
        ("images@master:/x/", ["--full-path", "-r", "d/e"], ["/x/d/e/three"]),
    ],
)
def test_where_put_file_puts_things(pachctl, server, context, tmp_path, monkeypatch, target, sources, wanted):
    here = tmp_path / "HERE"
    for name in ("one", "d/two", "d/e/three"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    monkeypatch.chdir(here)
    server.script["bulk.BulkPut"] = own.BulkPutResponse()
    args = [arg for one in sources for arg in ([one] if one.startswith("-") else ["-f", one])]
    done = pachctl("put", "file", target, *args)
    assert (done.status, done.out, done.err) == (0, "", "")
    assert put_paths(server) == wanted


@pytest.mark.parametrize(("flags", "asked"), [((), 1), (("--no-cache",), 0), (("-a",), 0)])
def test_put_asks_what_is_there_already(pachctl, server, context, tmp_path, monkeypatch, flags, asked):
    monkeypatch.setattr(cache, "RACY_NS", -(10**20))  # this test's clock stands still, and the files' does not
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a").write_bytes(b"1")
    server.script["bulk.BulkPut"] = own.BulkPutResponse()
    server.script["bulk.CheckFiles"] = own.CheckFilesResponse(there=b"\x01", stamp=b"s")
    for _ in range(2):
        assert pachctl("put", "file", "images@master", "-r", "-f", tmp_path / "tree", *flags).status == 0
    assert len(server.named("bulk.CheckFiles")) == asked
    first, second = server.named("bulk.BulkPut")
    assert len(first.requests) == 2
    assert (len(second.requests), second.request.target.stamp) == ((1, b"s") if asked else (2, b""))


def test_put_from_standard_input(pachctl, server, context):
    server.script["pfs.ModifyFile"] = Empty()
    assert pachctl("put", "file", "images@master:/x", stdin=b"data").status == 0
    requests = server.only("pfs.ModifyFile").requests
    assert [one.WhichOneof("body") for one in requests] == ["set_commit", "delete_file", "add_file"]
    assert requests[2].add_file.raw.value == b"data"
    assert "needs a name" in pachctl("put", "file", "images@master", stdin=b"data").err
    assert "needs a name" in pachctl("put", "file", "images@master:/x/", stdin=b"data").err
    assert "once only" in pachctl("put", "file", "images@master:/x", "-f", "-", "-f", "-").err


def test_put_a_list_of_sources(pachctl, server, context, tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    server.script["bulk.BulkPut"] = own.BulkPutResponse()
    listed = f"{tmp_path}/a\n\n{tmp_path}/b\n".encode()
    assert pachctl("put", "file", "images@master", "-i", "-", stdin=listed).status == 0
    assert put_paths(server) == ["/a", "/b"]
    (tmp_path / "list").write_bytes(listed)
    assert pachctl("put", "file", "images@master", "-i", tmp_path / "list").status == 0
    assert put_paths(server) == ["/a", "/b"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["images@master", "-f", "nowhere"], "cannot read nowhere: No such file or directory"),
        (["images@master", "-f", "."], "add -r"),
        (["images", "-f", "x"], "repo@branch"),
        (["images@master:/a/../b", "-f", "x"], ".."),
        (["images@master:/x", "-r", "-f", "-"], "standard input"),
        (["images@master:/x", "--untar"], "standard input has none"),
        (["images@master", "-i", "nowhere"], "cannot read nowhere"),
        (["images@master", "--full-path", "-f", "../x"], "leads above"),
    ],
)
def test_what_cannot_be_put_is_said_before_any_call(pachctl, server, context, tmp_path, monkeypatch, args, said):
    (tmp_path / "in").mkdir()
    (tmp_path / "x").write_text("1")
    (tmp_path / "in" / "x").write_text("1")
    monkeypatch.chdir(tmp_path / "in")
    done = pachctl("put", "file", *args)
    assert done.status == 1
    assert said in done.err
    assert server.calls == []


def test_put_a_url_asks_the_server(pachctl, server, context):
    server.script["pfs.ModifyFile"] = Empty()
    assert pachctl("put", "file", "images@master", "-f", "http://h/dir/a%20b.png?x=1").status == 0
    add = server.only("pfs.ModifyFile").requests[2].add_file
    assert (add.path, add.url.URL) == ("/a b.png", "http://h/dir/a%20b.png?x=1")


@pytest.mark.parametrize(
    ("target", "wanted"),
    [("@master", "/dir"), ("@master:/", "/"), ("@master:/x", "/x"), ("@master:/x/", "/x/dir")],
)
def test_put_all_below_a_url_deletes_nothing_else(pachctl, server, context, target, wanted):
    server.script["pfs.ModifyFile"] = Empty()
    assert pachctl("put", "file", f"images{target}", "-r", "-f", "s3://bucket/top/dir/").status == 0
    _, only = server.only("pfs.ModifyFile").requests
    assert (only.add_file.path, only.add_file.url.URL) == (wanted, "s3://bucket/top/dir/")
    assert only.add_file.url.recursive
    assert "-a cannot append" in pachctl("put", "file", f"images{target}", "-r", "-a", "-f", "s3://bucket/top/dir").err


def test_put_what_lies_in_a_commit_copies_it(pachctl, server, context):
    server.script["pfs.ModifyFile"] = Empty()
    assert pachctl("put", "file", "images@master:/x", "-f", "pfs://host/project.repo/branch/a/b%20c").status == 0
    copy = server.only("pfs.ModifyFile").requests[2].copy_file
    assert (copy.dst, copy.src.path, copy.append) == ("/x", "/a/b c", False)
    assert (copy.src.commit.branch.name, copy.src.commit.repo.name) == ("branch", "repo")
    assert copy.src.commit.repo.project.name == "project"
    assert "write pfs://HOST/REPO" in pachctl("put", "file", "images@master:/x", "-f", "pfs://repo/branch").err


@pytest.mark.parametrize(("name", "mode"), [("x.tar", "w"), ("x.tar.gz", "w:gz"), ("X.TGZ", "w:gz")])
@pytest.mark.parametrize(("path", "prefix"), [("", ""), (":/", ""), (":/in", "/in")])
def test_put_what_is_in_a_tar_file(pachctl, server, context, tmp_path, name, mode, path, prefix):
    (tmp_path / "d").mkdir()
    content = {"d/a": b"1", "d/b": b"2" * 100_000, "d/empty": b""}
    for one, data in content.items():
        (tmp_path / one).write_bytes(data)
    (tmp_path / "d" / "link").symlink_to("a")
    with tarfile.open(tmp_path / name, mode) as tar:
        tar.add(tmp_path / "d", arcname="./d")
    server.script["pfs.ModifyFile"] = Empty()
    done = pachctl("put", "file", f"images@master{path}", "--untar", "-f", tmp_path / name)
    assert done.status == 0
    assert "link" in done.err
    found: dict[str, bytes] = {}
    for one in server.only("pfs.ModifyFile").requests[1:]:
        if one.WhichOneof("body") == "add_file":
            found[one.add_file.path] = found.get(one.add_file.path, b"") + one.add_file.raw.value
    assert found == {f"{prefix}/{one}": data for one, data in content.items()}


def test_a_tar_file_that_is_none_is_refused(pachctl, server, context, tmp_path):
    (tmp_path / "x.tar").write_bytes(b"nothing of the kind")
    assert "is no tar file" in pachctl("put", "file", "images@master", "--untar", "-f", tmp_path / "x.tar").err
    assert "cannot read" in pachctl("put", "file", "images@master", "--untar", "-f", tmp_path / "y.tar").err
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../../etc/passwd"))
    assert '".."' in pachctl("put", "file", "images@master", "--untar", "-f", tmp_path / "bad.tar").err


def test_delete_and_copy_file(pachctl, server, context):
    server.script["pfs.ModifyFile"] = Empty()
    server.script["pfs.InspectFile"] = lambda request: file(
        request.file.path, pfs.DIR if request.file.path == "/dir" else pfs.FILE
    )
    assert pachctl("delete", "file", "images@master:/a").status == 0
    assert [one.delete_file.path for one in server.calls[-1].requests[1:]] == ["/a"]
    assert "add -r" in pachctl("delete", "file", "images@master:/dir").err
    assert pachctl("delete", "file", "images@master:/dir", "-r").status == 0
    assert [one.delete_file.path for one in server.calls[-1].requests[1:]] == ["/dir", "/dir/"]
    assert pachctl("delete", "file", "images@master:/", "-r").status == 0
    assert [one.delete_file.path for one in server.calls[-1].requests[1:]] == ["/"]
    for target, goal in (("b@x", "/a/1"), ("b@x:/", "/1"), ("b@x:/c", "/c"), ("b@x:/c/", "/c/1")):
        assert pachctl("copy", "file", "images@master:/a/1", target, "-a").status == 0
        edit = server.calls[-1].requests[1].copy_file
        assert (edit.dst, edit.src.path, edit.append) == (goal, "/a/1", True)


def test_diff_file(pachctl, server, context, monkeypatch):
    contents = {"old": b"one\ntwo\n", "new": b"one\n2\n", "bin": b"\0\1"}
    sides = {"old": commit(id=OTHER), "new": commit()}

    def side(name: str, path: str, size: int = 8) -> pfs.FileInfo:
        return pfs.FileInfo(file=pfs.File(commit=sides[name], path=path), file_type=pfs.FILE, size_bytes=size)

    server.script["pfs.DiffFile"] = [
        pfs.DiffFileResponse(new_file=side("new", "/a[1]"), old_file=side("old", "/a[1]")),
        pfs.DiffFileResponse(new_file=side("new", "/bin")),
        pfs.DiffFileResponse(old_file=side("old", "/huge", 1 << 30)),
        pfs.DiffFileResponse(new_file=pfs.FileInfo(file=pfs.File(path="/d/"), file_type=pfs.DIR)),
    ]
    server.script["pfs.GetFile"] = lambda request: [
        BytesValue(
            value=contents["bin" if "bin" in request.file.path else "old" if request.file.commit.id == OTHER else "new"]
        )
    ]
    assert pachctl("diff", "file", "images@master", "images@dev").out == (
        "diff --git a/a[1] b/a[1]\n--- a/a[1]\n+++ b/a[1]\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
        "diff --git a/bin b/bin\nnew file\nBinary files differ (0B before, 2B after)\n"
        "diff --git a/huge b/huge\ndeleted file\nLarge files differ (1GiB before, 0B after)\n"
    )
    assert server.named("pfs.GetFile")[0].request.file.path == "/a\\[1\\]"
    names = pachctl("diff", "file", "images@master", "--name-only").out
    assert names == "OP PATH\n-  /a[1]\n+  /a[1]\n+  /bin\n-  /huge\n+  /d/\n"
    assert not server.calls[-1].request.HasField("old_file")
    assert "OP SIZE COMMITTED PATH" in pachctl("diff", "file", "images@master", "-s").out


def test_diff_with_a_program_of_ones_own(pachctl, server, context, tmp_path):
    one = pfs.FileInfo(file=pfs.File(commit=commit(), path="/d/a"), file_type=pfs.FILE)
    server.script["pfs.DiffFile"] = [pfs.DiffFileResponse(new_file=one)]
    server.script["pfs.GetFile"] = [BytesValue(value=b"text")]
    assert pachctl("diff", "file", "images@master", "--diff-command", "tail -c +2").out.endswith("ext")
    assert "cannot run" in pachctl("diff", "file", "images@master", "--diff-command", "no-such-program-here").err
