"""Two different paths compared: what lies where in them."""

from __future__ import annotations

import pytest

from trunkline.model.names import Repo
from trunkline.pfs import content, edits, reads
from trunkline.pfs.edits import Add, Target
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
