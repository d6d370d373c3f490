"""Two different paths compared: what lies where in them."""

from __future__ import annotations

import pytest

from trunkline.model.names import Repo
from trunkline.pfs import content, edits, reads
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import repos

DATA = Repo("default", "data")
FILES = {"/a/same": b"1", "/a/x": b"1", "/a/d/y": b"1", "/b/same": b"1", "/b/x": b"2", "/b/z": b"1", "/f": b"1"}


@pytest.fixture
def source(files):
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))
    edits.modify(files, Target(DATA, branch="master"), [Add(path, data) for path, data in FILES.items()])
    finish_waiting(files)
    return reads.need_source(files, DATA, "master")


@pytest.mark.parametrize(
    ("new", "old", "shallow", "expected"),
    [
        (
            "/a",
            "/b",
            False,
            [("/a/", "/b/"), ("/a/d/", None), ("/a/d/y", None), ("/a/x", "/b/x"), (None, "/b/z")],
        ),
        ("/a", "/b", True, [("/a/d/", None), ("/a/x", "/b/x"), (None, "/b/z")]),
        ("/a/x", "/b/x", False, [("/a/x", "/b/x")]),
        ("/a/x", "/f", False, []),
        ("/f", "/a/d", False, [("/f", None), (None, "/a/d/"), (None, "/a/d/y")]),
        ("/nothing", "/f", False, [(None, "/f")]),
        ("/nothing", "/nowhere", False, []),
    ],
)
def test_what_differs(source, new, old, shallow, expected):
    found = content.diff_file(source, new, source, old, shallow=shallow)
    assert [tuple(one and one.path for one in pair) for pair in found] == expected


def put(files, *edited):
    edits.modify(files, Target(DATA, branch="master"), edited)
    finish_waiting(files)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", [("/a/", "/a/"), ("/b/", "/b/"), ("/f", None), ("/f/", None), ("/n", None)]),
        ("/a", [("/a/d/", "/a/d/"), ("/a/new", None)]),
        ("/a/", [("/a/d/", "/a/d/"), ("/a/new", None)]),
        ("/a/d", [("/a/d/e/", None)]),
        ("/b", [("/b/x", None), ("/b/x/", None)]),
        ("/b/x", [("/b/x/", None), (None, "/b/x")]),
        ("/f", [("/f/", None), (None, "/f")]),
        ("/n", [("/n", None)]),
    ],
)
def test_a_shallow_diff_stops_at_directories_that_differ_at_any_depth(files, source, path, expected):
    put(
        files,
        *(Add(name, b"2") for name in ("/a/d/e/g", "/a/new", "/n")),
        *(Delete(name) for name in ("/f", "/b/x")),
        *(Add(name, b"2") for name in ("/f/g/h", "/b/x/y")),
    )
    new = reads.need_source(files, DATA, "master")
    found = content.diff_file(new, path, source, path, shallow=True)
    told = {tuple(one and one.path for one in pair) for pair in found}
    assert told == {pair if pair[1] or pair[0] not in ("/f", "/b/x") else (None, pair[0]) for pair in expected}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ["/a/", "/b/", "/f"]),
        ("/a", ["/a/d/", "/a/same", "/a/x"]),
        ("/f", ["/f"]),
        ("/nothing", []),
    ],
)
def test_a_shallow_diff_of_a_first_commit_stops_at_directories_too(source, path, expected):
    found = list(content.diff_file(source, path, None, path, shallow=True))
    assert [(new and new.path, old) for new, old in found] == [(name, None) for name in expected]
