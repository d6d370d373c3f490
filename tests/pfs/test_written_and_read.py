"""Files written and read: what each kind of edit leaves, where a stream goes, and what is refused."""

from __future__ import annotations

import pytest

from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.infos import CommitState
from trunkline.model.names import Branch, Commit, Repo
from trunkline.pfs import content, edits, layers, reads
from trunkline.pfs.edits import Add, AddMany, Copy, Delete, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, repos

DATA = Repo("default", "data")
MASTER = Target(DATA, branch="master")


@pytest.fixture
def data(files):
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    return files


def put(path, *pieces):
    return [Delete(path), Add(path, b""), *(Add(path, piece) for piece in pieces)]


def write(files, *groups, target=MASTER):
    commit = edits.modify(files, target, [edit for group in groups for edit in group])
    finish_waiting(files)
    return commit


def tree(files, ref="master", repo=DATA):
    source = reads.need_source(files, repo, ref)
    return {
        info.path: b"".join(content.get_file(files, source, info.path))
        for info in reads.walk_file(source, "/")
        if not info.is_dir
    }


def test_a_put_makes_a_finished_commit_on_a_new_branch(data):
    commit = write(data, put("/a", b"one"))
    info = data.catalog.read(lambda tx: commits.inspect_commit(tx, DATA, "master"))
    assert (info.commit, info.state, info.size_bytes) == (commit, CommitState.FINISHED, 3)
    assert tree(data) == {"/a": b"one"}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([put("/a", b"new")], {"/a": b"new", "/d/b": b"bb", "/d/c": b"cc"}),
        ([[Add("/a", b"+more")]], {"/a": b"one+more", "/d/b": b"bb", "/d/c": b"cc"}),
        ([[Delete("/a")]], {"/d/b": b"bb", "/d/c": b"cc"}),
        ([[Delete("/d/")]], {"/a": b"one"}),
        ([[Delete("/")]], {}),
        ([[Delete("/nothing"), Delete("/no/")]], {"/a": b"one", "/d/b": b"bb", "/d/c": b"cc"}),
        ([[Delete("/")], put("/z", b"z")], {"/z": b"z"}),
        ([put("/z", b"z"), [Delete("/")]], {}),
        (
            [[Copy("/e", DATA, "master", "/d")]],
            {"/a": b"one", "/d/b": b"bb", "/d/c": b"cc", "/e/b": b"bb", "/e/c": b"cc"},
        ),
        ([[Copy("/a", DATA, "master", "/d/b")]], {"/a": b"bb", "/d/b": b"bb", "/d/c": b"cc"}),
        ([[Copy("/a", DATA, "master", "/d/b", append=True)]], {"/a": b"onebb", "/d/b": b"bb", "/d/c": b"cc"}),
        ([[AddMany(["/a", "/n"], [1, 2], b"xyy")]], {"/a": b"x", "/n": b"yy", "/d/b": b"bb", "/d/c": b"cc"}),
        ([put("/empty")], {"/a": b"one", "/d/b": b"bb", "/d/c": b"cc", "/empty": b""}),
    ],
)
def test_edits(data, later, expected):
    write(data, put("/a", b"o", b"ne"), put("d/b", b"bb"), put("/d/c", b"cc"))
    write(data, *later)
    assert tree(data) == expected
    assert tree(data, "master^") == {"/a": b"one", "/d/b": b"bb", "/d/c": b"cc"}


def test_a_failing_stream_leaves_nothing(data):
    def stream():
        yield Add("/a", b"one")
        raise InvalidArgument("the wire broke")

    with pytest.raises(InvalidArgument, match="the wire broke"):
        edits.modify(data, MASTER, stream())
    with pytest.raises(NotFound):
        data.catalog.read(lambda tx: branches.inspect_branch(tx, Branch(DATA, "master")))


def test_an_open_commit_collects_streams_and_can_be_read(data):
    commit = data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    write(data, put("/a", b"1"))
    write(data, put("/b", b"2"), target=Target(DATA, ref=commit.id))
    assert tree(data) == {"/a": b"1", "/b": b"2"}
    for n in range(40):
        write(data, [Add("/log", b"%d " % n)])
    data.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, "master"))
    finish_waiting(data)
    assert tree(data)["/log"] == b"".join(b"%d " % n for n in range(40))
    with pytest.raises(FailedPrecondition, match="already been finished"):
        write(data, put("/c", b"3"), target=Target(DATA, ref=commit.id))


class Overtaken(Files):
    """Files in which somebody else always merges the layers first."""

    def session(self, kind):
        if kind == "compact":
            plain = Files(self.catalog, self.store, self.ambient)
            layers.compact_layers(plain, Commit(DATA, self.catalog.read(head_id)))
        return super().session(kind)


def head_id(tx):
    return commits.inspect_commit(tx, DATA, "master").commit.id


def test_two_merges_of_layers_at_once_fail_no_write(data):
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    overtaken = Overtaken(data.catalog, data.store, data.ambient)
    for n in range(layers.COMPACT_ABOVE + 2):
        write(overtaken, [Add("/log", b"%d " % n)])
    assert tree(data)["/log"] == b"".join(b"%d " % n for n in range(layers.COMPACT_ABOVE + 2))


def test_a_copy_of_what_is_not_there_is_refused_and_a_file_is_no_top(data):
    head = write(data, put("/a", b"1"))
    with pytest.raises(NotFound, match=rf"^file /b not found in repo default/data at commit {head.id}$"):
        write(data, [Copy("/c", DATA, "master", "/b")])
    with pytest.raises(InvalidArgument, match="top of the commit"):
        write(data, [Copy("/", DATA, "master", "/a")])
    write(data, [Delete("/a")])
    write(data, [Copy("/c", DATA, "master", "/")])  # nothing, which is no mistake
    assert tree(data) == {}


def test_clearing_an_open_commit(data):
    write(data, put("/a", b"1"))
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    write(data, put("/b", b"2"))
    data.catalog.transact(lambda tx: commits.clear_commit(tx, DATA, "master"))
    assert tree(data) == {"/a": b"1"}


def test_a_commit_with_an_error_can_be_read_and_is_nobodys_base(data):
    write(data, put("/a", b"1"))
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    write(data, put("/b", b"2"))
    data.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, "master", error="no good"))
    finish_waiting(data)
    assert tree(data) == {"/a": b"1", "/b": b"2"}
    write(data, put("/c", b"3"))
    assert tree(data) == {"/a": b"1", "/c": b"3"}


def test_a_path_that_is_both_file_and_directory_is_the_commits_error(data):
    write(data, put("/a", b"1"), put("/a/b", b"2"))
    info = data.catalog.read(lambda tx: commits.inspect_commit(tx, DATA, "master"))
    assert info.state is CommitState.FINISHED
    assert "/a" in info.error


def test_reading_under_an_unfinished_base_is_refused_with_words(data):
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    data.catalog.transact(lambda tx: commits.finish_commit(tx, DATA, "master"))
    assert reads.open_source(data, DATA, "master") is None
    data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    with pytest.raises(FailedPrecondition, match="is not finished"):
        reads.open_source(data, DATA, "master")


def test_listing_pages_both_ways(data):
    write(data, *(put(f"/d/{n:02}", b"x") for n in range(10)), put("/d/05x/deep", b"y"), put("/e", b"z"))
    source = reads.need_source(data, DATA, "master")

    def names(**more):
        return [info.path for info in reads.list_file(source, "/d", **more)]

    everything = names()
    assert everything == sorted([*(f"/d/{n:02}" for n in range(10)), "/d/05x/"])
    assert names(marker="/d/03", number=3) == everything[4:7]
    assert names(marker="/d/03", number=2, reverse=True) == ["/d/02", "/d/01"]
    assert names(number=2, reverse=True) == ["/d/09", "/d/08"]
    assert [info.path for info in reads.walk_file(source, "/d/05x")] == ["/d/05x/", "/d/05x/deep"]
    assert [info.path for info in reads.glob_file(source, "/d/*x")] == ["/d/05x/"]
    assert [info.path for info in reads.glob_file(source, "/")] == ["/"]
    assert [info.path for info in reads.list_file(source, "/e")] == ["/e"]
    with pytest.raises(NotFound, match="/nope"):
        list(reads.list_file(source, "/nope"))
    with pytest.raises(InvalidArgument, match="reverse"):
        names(reverse=True)


def test_get_file(data):
    write(data, put("/a1", b"0123456789"), put("/b[1]", b"brackets"), put("/d/x", b"x"))
    source = reads.need_source(data, DATA, "master")

    def get(path, **more):
        return b"".join(content.get_file(data, source, path, **more))

    assert get("/a1", offset=4) == b"456789"
    assert get("/a*") == b"0123456789"
    assert get("/b[1]") == b"brackets"
    for path, error, words in [
        ("/*", InvalidArgument, "matched multiple files"),
        ("/d", InvalidArgument, "directory"),
        ("/none", NotFound, "/none"),
        ("/none*", NotFound, "none"),
    ]:
        with pytest.raises(error, match=words):
            get(path)
    with pytest.raises(InvalidArgument, match="offset"):
        get("/a1", offset=-1)


def test_diff(data):
    write(data, put("/same", b"s"), put("/gone", b"g"), put("/d/changed", b"1"))
    write(data, [Delete("/gone")], put("/d/changed", b"2"), put("/new", b"n"))
    new = reads.need_source(data, DATA, "master")
    old = reads.need_source(data, DATA, "master^")
    pairs = {(a.path if a else None, b.path if b else None) for a, b in content.diff_file(new, "/", old, "/")}
    assert ("/new", None) in pairs
    assert (None, "/gone") in pairs
    assert ("/d/changed", "/d/changed") in pairs
    assert not any("/same" in pair for pair in pairs)


@pytest.mark.parametrize("path", ["/a/../b", "/a\nb", "/" + "x" * 300, "/", "", "//"])
def test_paths_that_cannot_be_are_refused_before_anything_is_written(data, path):
    with pytest.raises(InvalidArgument):
        write(data, put(path, b"x"))
    with pytest.raises(InvalidArgument):
        write(data, [AddMany([path], [1], b"x")])
    assert not data.catalog.read(lambda tx: branches.list_branches(tx, DATA))


def test_a_small_put_waits_for_two_transactions(data):
    commit = data.change(lambda change: commits.start_commit(change, Branch(DATA, "master")))
    for n in range(3):
        before = data.catalog.counts.functions
        edits.modify(data, Target(DATA, ref=commit.id), [Add(f"/{n}", b"small")])
        assert data.catalog.counts.functions - before == 2
    before = data.catalog.counts.functions
    edits.modify(data, Target(DATA, branch="other"), [Add("/file", b"small")])
    assert data.catalog.counts.functions - before == 2
