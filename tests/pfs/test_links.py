"""Addresses of content: good for one chunk and for some time, and for nothing else."""

from __future__ import annotations

from hashlib import blake2b
from urllib.parse import parse_qs, urlsplit

import pytest

from trunkline.ambient import chance
from trunkline.errors import NotFound, PermissionDenied
from trunkline.model.names import LENT_REPO, Repo
from trunkline.pfs import reads
from trunkline.pfs.edits import Add
from trunkline.pfs.files import Files
from trunkline.pfs.lent.leases import Leases
from trunkline.pfs.lent.links import LINK_S, PATH, Links, Part

LENT = Repo("default", LENT_REPO)
BIG = chance(6).randbytes(17 << 20)
SMALL = {f"/s{number}": chance(number).randbytes(70_000) for number in range(3)}


@pytest.fixture
def links(files: Files) -> Links:
    return Links(Leases(files), b"k" * 32, lambda: "http://here:1")


@pytest.fixture
def parts(files: Files, links: Links) -> dict[str, list[Part]]:
    edits = [
        Add("/big", BIG),
        Add("/none", b""),
        Add("/tiny", b"t"),
        *(Add(path, data) for path, data in SMALL.items()),
    ]
    lease = Leases(files).create(iter(edits))
    view = reads.need_source(files, LENT, lease).view
    return {content.path: links.parts(content) for content in view.contents()}


def asked(part: Part) -> tuple[str, str, str]:
    """What an address says: name, when it ends, signature."""
    url = urlsplit(part.url)
    assert part.url.startswith("http://here:1" + PATH)
    query = parse_qs(url.query)
    return url.path.removeprefix(PATH), query["expires"][0], query["signature"][0]


def test_the_parts_of_a_file_are_what_is_in_it(links: Links, parts: dict[str, list[Part]]) -> None:
    expected = {"/big": BIG, "/none": b"", "/tiny": b"t"} | SMALL
    assert parts.keys() == expected.keys()
    for path, wanted in expected.items():
        found = b""
        for part in parts[path]:
            data = links.read(*asked(part))
            assert (blake2b(data, digest_size=32).digest(), len(data)) == (part.hash, part.length)
            found += data[part.start : part.end]
        assert found == wanted
    assert len(parts["/big"]) > 1
    assert parts["/none"] == []
    # Small files share a chunk, and a client fetches it once.
    assert len({part.url for path in SMALL for part in parts[path]}) == 1


def test_an_address_that_nobody_was_given_is_refused(files: Files, links: Links, parts: dict[str, list[Part]]) -> None:
    name, expires, signature = asked(parts["/s1"][0])
    other = asked(parts["/big"][0])[0]
    for forged in (
        (name, expires, ""),
        (name, expires, "é"),
        (name, expires, signature[:-1]),
        (name, expires + "0", signature),
        (name, "", signature),
        (other, expires, signature),
        ("../../catalog", expires, signature),
    ):
        with pytest.raises(PermissionDenied, match="not given out by this server"):
            links.read(*forged)
    with pytest.raises(PermissionDenied, match="as it runs now"):
        Links(Leases(files), b"x" * 32, lambda: "").read(name, expires, signature)


def test_an_address_expires(files: Files, links: Links, parts: dict[str, list[Part]]) -> None:
    files.ambient.advance(LINK_S - 2)  # type: ignore[attr-defined]
    assert links.read(*asked(parts["/tiny"][0])) == b"t"
    files.ambient.advance(3)  # type: ignore[attr-defined]
    with pytest.raises(PermissionDenied, match="has expired; ask for the file set's references again"):
        links.read(*asked(parts["/tiny"][0]))


def test_content_that_was_deleted_is_said_to_be(files: Files, links: Links, parts: dict[str, list[Part]]) -> None:
    for name in list(files.store.blobs.names("chunks/")):
        files.store.blobs.delete(name)
    files.store.reader._plain.limit = 0
    files.store.reader._plain._kept.clear()
    with pytest.raises(NotFound, match="renewed while it is read"):
        links.read(*asked(parts["/big"][0]))
