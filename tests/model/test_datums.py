"""Identity, content and storage of datum tables."""

from __future__ import annotations

import base64
import hashlib

import pyarrow as pa
import pytest
from blake3 import blake3

from trunkline.errors import DataLoss
from trunkline.model.datums import MAGIC, DatumTable, code_digest
from trunkline.model.inputs import MATCHES, evaluate
from trunkline.model.names import Repo
from trunkline.model.specs.spec import Combination, Input, PfsInput, Transform


def matched(**files: str) -> pa.Table:
    """Files `name=content` in the root."""
    names = sorted(files)
    hashes = [hashlib.sha256(files[name].encode()).digest() for name in names]
    sizes = [len(files[name]) for name in names]
    return pa.table([[f"/{name}" for name in names], [False] * len(names), sizes, hashes], schema=MATCHES)


def pfs(repo: str, project: str = "default", name: str = "", branch: str = "master", kind: str = "user") -> PfsInput:
    return PfsInput(project, repo, "/*", name or repo, branch, repo_type=kind, commit="c")


def one_id(leaf: PfsInput, project: str = "default") -> str:
    found: str = evaluate(leaf, [matched(a="x")], project).ids[0].as_py().hex()
    return found


def packed(*parts: str) -> bytes:
    return b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)


def test_an_id_is_the_hash_of_names_with_their_lengths() -> None:
    assert one_id(pfs("images")) == blake3(packed("images", "images", "master", "/a")).hexdigest()
    assert one_id(pfs("images", "lab")) == blake3(packed("images", "lab", "images", "master", "/a")).hexdigest()
    cross = Combination("cross", (pfs("images"), pfs("edges")))
    table = evaluate(cross, [matched(a="x"), matched(b="y")], "default")
    text = packed("edges", "edges", "master", "/b", "images", "images", "master", "/a")
    assert table.ids[0].as_py() == blake3(text).digest()
    assert table.keys[0].as_py() == text


def test_ids_tell_apart_what_differs_and_nothing_else() -> None:
    base = one_id(pfs("images"))
    assert one_id(pfs("images", "lab"), "lab") == base, "the pipeline's own project does not enter"
    for other in (
        pfs("images", "lab"),
        pfs("images", name="pictures"),
        pfs("images", branch="staging"),
        pfs("images", kind="meta"),
        pfs("image"),
    ):
        assert one_id(other) != base
    members: tuple[Input, ...] = (pfs("data", "p1", "in"), pfs("data", "p2", "in"))
    table = evaluate(Combination("union", members), [matched(a="x"), matched(a="x")], "default")
    assert len(set(table.ids.to_pylist())) == 2, "one name, two projects: two datums"


def test_content_enters_the_hash_and_not_the_id() -> None:
    one, other = (evaluate(pfs("a"), [matched(f=text, g="same")], "default") for text in ("old", "new"))
    assert one.ids.equals(other.ids)
    assert [a == b for a, b in zip(one.contents, other.contents, strict=True)] == [False, True]
    assert [a == b for a, b in zip(one.hashes("s"), other.hashes("s"), strict=True)] == [False, True]
    assert one.hashes("s", pa.array([1])).to_pylist() == one.hashes("s").to_pylist()[1:]
    assert one.hashes("s")[1] != one.hashes("other salt")[1]


def test_a_table_comes_back_from_its_bytes() -> None:
    cross = Combination("cross", (pfs("images", "lab"), pfs("edges")))
    for files in ({"a": "x", "b": "yy"}, {}):
        table = evaluate(cross, [matched(**files), matched(e="z")], "default")
        again = DatumTable.from_bytes(table.to_bytes())
        assert again.slots == table.slots
        assert again.datums(0, len(again)) == table.datums(0, len(table))
        assert again.ids.equals(table.ids)
        assert again.sizes.to_pylist() == table.sizes.to_pylist() == [len(text) + 1 for text in files.values()]


GOLDEN = """
VExEQVRVTTEAAAAAAAAHGP////+AAwAAEAAAAAAACgAOAAYABQAIAAoAAAAAAQQAEAAAAAAACgAMAAAABAAIAAoAAADoAQAABAAAAAEAAAAMAAAACAAM
AAQACAAIAAAAtAEAAAQAAAClAQAAeyJwcm9qZWN0IjogImRlZmF1bHQiLCAic2xvdHMiOiBbeyJuYW1lIjogImltYWdlcyIsICJwcm9qZWN0IjogImxh
YiIsICJyZXBvIjogImltYWdlcyIsICJicmFuY2giOiAibWFzdGVyIiwgImNvbW1pdCI6ICJjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjYyIs
ICJyZXBvX3R5cGUiOiAidXNlciIsICJlbXB0eV9maWxlcyI6IGZhbHNlLCAibGF6eSI6IGZhbHNlLCAiczMiOiBmYWxzZX0sIHsibmFtZSI6ICJlZGdl
cyIsICJwcm9qZWN0IjogImRlZmF1bHQiLCAicmVwbyI6ICJlZGdlcyIsICJicmFuY2giOiAibWFzdGVyIiwgImNvbW1pdCI6ICJkZGRkZGRkZGRkZGRk
ZGRkZGRkZGRkZGRkZGRkZGRkZCIsICJyZXBvX3R5cGUiOiAidXNlciIsICJlbXB0eV9maWxlcyI6IGZhbHNlLCAibGF6eSI6IGZhbHNlLCAiczMiOiBm
YWxzZX1dfQAAABAAAAB0cnVua2xpbmUuZGF0dW1zAAAAAAcAAAAsAQAA7AAAAMAAAACMAAAAYAAAADQAAAAEAAAAAP///wAAAAUQAAAAHAAAAAQAAAAA
AAAACAAAAGdyb3VwX2J5AAAAADD///8s////AAAABRAAAAAYAAAABAAAAAAAAAAHAAAAam9pbl9vbgBY////VP///wAAAAQQAAAAGAAAAAQAAAAAAAAA
BAAAAGhhc2gAAAAAgP///3z///8AAAACEAAAABgAAAAEAAAAAAAAAAQAAABzaXplAAAAAGz///8AAAABQAAAAKz///8AAAAGEAAAABgAAAAEAAAAAAAA
AAYAAABpc19kaXIAANj////U////AAAABRAAAAAcAAAABAAAAAAAAAAEAAAAcGF0aAAAAAAEAAQABAAAABAAFAAIAAAABwAMAAAAEAAQAAAAAAAAAhAA
AAAgAAAABAAAAAAAAAAEAAAAc2xvdAAAAAAIAAwACAAHAAgAAAAAAAABEAAAAAAAAAD/////AAIAABQAAAAAAAAADAAYAAYABQAIAAwADAAAAAADBAAc
AAAAgAEAAAAAAAAAAAAADAAeABAABAAIAAwADAAAAFABAAAkAAAAGAAAAAMAAAAAAAAAAAAAAAAABgAIAAcABgAAAAAAAAESAAAAAAAAAAAAAAAAAAAA
AAAAAAAAAAAAAAAAFwAAAAAAAAAYAAAAAAAAAAAAAAAAAAAAGAAAAAAAAAAhAAAAAAAAAEAAAAAAAAAAHgAAAAAAAABgAAAAAAAAAAAAAAAAAAAAYAAA
AAAAAAASAAAAAAAAAHgAAAAAAAAAAAAAAAAAAAB4AAAAAAAAACUAAAAAAAAAoAAAAAAAAAAAAAAAAAAAAKAAAAAAAAAAIQAAAAAAAADIAAAAAAAAAHEA
AAAAAAAAQAEAAAAAAAAAAAAAAAAAAEABAAAAAAAAGQAAAAAAAABgAQAAAAAAAAAAAAAAAAAAYAEAAAAAAAAAAAAAAAAAAGABAAAAAAAAGQAAAAAAAACA
AQAAAAAAAAAAAAAAAAAAAAAAAAcAAAADAAAAAAAAAAAAAAAAAAAAAwAAAAAAAAAAAAAAAAAAAAMAAAAAAAAAAAAAAAAAAAADAAAAAAAAAAAAAAAAAAAA
AwAAAAAAAAAAAAAAAAAAAAMAAAAAAAAAAAAAAAAAAAADAAAAAAAAAAAAAAAAAAAABgAAAAAAAAAotS/9IAYxAAABAAAAAAAAEAAAAAAAAAAotS/9IBCB
AAAAAAAAAQAAAAcAAAANAAAAAAAAAAAAAA0AAAAAAAAAKLUv/SANaQAALy9hLnBuZy9iLnBuZwAAAQAAAAAAAAAotS/9IAEJAAABAAAAAAAAGAAAAAAA
AAAotS/9IBilAABgAwABAAIAAAAAAAAAAgBg4AFgAQAAABAAAAAAAAAAKLUv/SAQgQAAAAAAACAAAABAAAAAYAAAAAAAAAAAAABgAAAAAAAAACi1L/0g
YAEDAIpe2rKCYyRDIZ4FHkreLR1bvGcceBBRvxQ3iXy9/qDxypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs+I+gWADlZSjOJT2Vk4bE0i716
AIjULErLc+6u1ZwAnQAAAAAAAAAQAAAAAAAAACi1L/0gEEUAABAAAAEAMsACAAAAAAAAABAAAAAAAAAAKLUv/SAQRQAAEAAAAQAywAIAAAAAAAAA////
/wAAAAD/////sAAAABAAAAAAAAoADAAGAAUACAAKAAAAAAEEAAwAAAAIAAgAAAAEAAgAAAAEAAAAAQAAAAQAAADM////AAABDBQAAAAkAAAABAAAAAEA
AAAsAAAACAAAAGVsZW1lbnRzAAAAAAQABAAEAAAAEAAUAAgABgAHAAwAAAAQABAAAAAAAAECEAAAACAAAAAEAAAAAAAAAAQAAABpdGVtAAAAAAgADAAI
AAcACAAAAAAAAAEgAAAA/////9AAAAAUAAAAAAAAAAwAGAAGAAUACAAMAAwAAAAAAwQAHAAAAEgAAAAAAAAAAAAAAAwAHgAQAAQACAAMAAwAAABwAAAA
JAAAABgAAAACAAAAAAAAAAAAAAAAAAYACAAHAAYAAAAAAAABBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB0AAAAAAAAAIAAAAAAAAAAAAAAAAAAA
ACAAAAAAAAAAIQAAAAAAAAAAAAAAAgAAAAIAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAADAAAAAAAAAAotS/9IAxhAAAAAAAAAgAAAAQAAAAA
AAAQAAAAAAAAACi1L/0gEIEAAAAAAAABAAAAAAAAAAIAAAAAAAAAAAAA/////wAAAAA=
"""


def test_a_table_of_version_1_is_still_read() -> None:
    table = DatumTable.from_bytes(base64.b64decode(GOLDEN))
    assert [[(e.slot.name, e.path, e.size_bytes) for e in datum] for datum in table.datums(0, 2)] == [
        [("edges", "/", 3), ("images", "/a.png", 1)],
        [("edges", "/", 3), ("images", "/b.png", 2)],
    ]
    assert table.slots[0].source == Repo("lab", "images", "user")
    assert [one.as_py().hex() for one in table.ids] == [
        "b2441d331f4ceb64d0062a91d874947706442aea718eef2c78ec61b8d7a7af60",
        "6a0cf7ad127f6d28694127bfd614d75381ecbdbda2c2216e1f0232431c8fcad1",
    ]
    assert table.hashes("salt")[0].as_py().hex() == "5048ec1482f69c8d469af8ba5fe1bd416282672378c29e18853b9d05d063d5cd"


@pytest.mark.parametrize("data", [b"", b"nothing", b"TLDATUM2" + bytes(100), MAGIC + bytes(7), MAGIC + bytes(50)])
def test_what_is_no_table_is_refused(data: bytes) -> None:
    with pytest.raises(DataLoss, match="a datum table cannot be read"):
        DatumTable.from_bytes(data)


def test_slices_and_selections_show_the_same_datums() -> None:
    table = evaluate(pfs("a"), [matched(a="1", b="22", c="333", d="4444")], "default")
    every = table.datums(0, 4)
    assert table.datums(1, 3) == every[1:3]
    assert table.datums(2, 2) == []
    assert table.datum(3) == every[3]
    some = table.take(pa.array([3, 1]))
    assert some.datums(0, 2) == [every[3], every[1]]
    assert some.ids.to_pylist() == [table.ids[3].as_py(), table.ids[1].as_py()]
    assert some.sizes.to_pylist() == [4, 2]
    sliced = DatumTable(table.slots, table.elements, table.rows.slice(1, 2), "default")
    assert sliced.ids.to_pylist() == table.ids.to_pylist()[1:3]
    assert sliced.sizes.to_pylist() == [2, 3]
    assert sliced.contents.to_pylist() == table.contents.to_pylist()[1:3]
    assert sliced.datums(0, 2) == every[1:3]


def test_the_code_digest_follows_the_code() -> None:
    base = Transform(image="i", cmd=("a", "b"), stdin=("x",), env={"K": "V", "L": "W"})
    digest = code_digest(base)
    assert len(digest) == 32
    assert code_digest(Transform(image="i", cmd=("a", "b"), stdin=("x",), env={"L": "W", "K": "V"})) == digest
    assert (
        code_digest(Transform(image="i", cmd=("a", "b"), stdin=("x",), env={"K": "V", "L": "W"}, debug=True)) == digest
    )
    for other in (
        Transform(image="j", cmd=("a", "b"), stdin=("x",), env={"K": "V", "L": "W"}),
        Transform(image="i", cmd=("ab",), stdin=("x",), env={"K": "V", "L": "W"}),
        Transform(image="i", cmd=("a", "b"), env={"K": "V", "L": "W"}),
        Transform(image="i", cmd=("a", "b"), stdin=("x",), env={"K": "V"}),
    ):
        assert code_digest(other) != digest
    assert code_digest(base, "sha256:1") != digest
