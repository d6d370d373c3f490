"""File sets as they are stored: bytes, order, what is read of them, and what damage does."""

from __future__ import annotations

import base64
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from trunkline.ambient import chance
from trunkline.errors import DataLoss
from trunkline.model.globs import Glob
from trunkline.storage import Sealed, Store, entries
from trunkline.storage.filesets import seal as seal_module
from trunkline.storage.filesets.merge import merge_layers
from trunkline.storage.filesets.schema import (
    ADD,
    DEL,
    DELTREE,
    SCHEMA,
    as_batch,
    in_order,
    no_rows,
    stem_end,
    subtree_end,
)
from trunkline.storage.filesets.seal import inline_body, parquet, rows_of_body
from trunkline.storage.ports import ChunkKey
from trunkline.testing.stores import World, contents


def rows_of(*rows: tuple[str, int, str | None, bytes]) -> pa.RecordBatch:
    made = [
        {
            "path": path,
            "op": op,
            "datum": datum,
            "size": len(data),
            "hash": blake3(data).digest() if op == ADD else None,
            "pieces": [
                {"digest": None, "length": len(data), "chunk": None, "gen": 0, "offset": 0, "inline": data}
            ] * bool(data),
            "since": 0,
            "files": int(op == ADD),
        }
        for path, op, datum, data in rows
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(made, schema=SCHEMA)


def told(rows: pa.RecordBatch) -> list[tuple[str, int, str | None, bytes]]:
    return [
        (row["path"], row["op"], row["datum"], b"".join(piece["inline"] for piece in row["pieces"]))
        for row in rows.to_pylist()
    ]


def test_rows_stand_by_path_then_hides_then_datum() -> None:
    wanted = [
        ("/a", DEL, None, b""),
        ("/a", DEL, "d1", b""),
        ("/a", ADD, "", b"1"),
        ("/a", ADD, "d1", b"2"),
        ("/a-b", ADD, "", b"3"),
        ("/a.txt", ADD, "", b"4"),
        ("/a/", DELTREE, None, b""),
        ("/a/b", ADD, "", b"5"),
        ("/a0", ADD, "", b"6"),
        ("/é", ADD, "", b"7"),
    ]
    assert told(in_order(rows_of(*reversed(wanted)))) == wanted
    assert "/a/z" < subtree_end("/a/") == "/a0"


MERGES = [
    ("contents join", [[("/a", ADD, "", b"1")], [("/a", ADD, "", b"2")]], [("/a", ADD, "", b"12")]),
    ("datums do not", [[("/a", ADD, "d", b"1")], [("/a", ADD, "e", b"2")]],
     [("/a", ADD, "d", b"1"), ("/a", ADD, "e", b"2")]),
    ("a hide drops what is older and stays", [[("/a", ADD, "", b"1")], [("/a", DEL, None, b"")]],
     [("/a", DEL, None, b"")]),
    ("but not what is in its own set", [[("/a", ADD, "", b"1")], [("/a", DEL, None, b""), ("/a", ADD, "", b"2")]],
     [("/a", DEL, None, b""), ("/a", ADD, "", b"2")]),
    ("nor what is newer", [[("/a", DEL, None, b"")], [("/a", ADD, "", b"2")]],
     [("/a", DEL, None, b""), ("/a", ADD, "", b"2")]),
    ("one datum's hide is only for it", [[("/a", ADD, "d", b"1"), ("/a", ADD, "e", b"2")], [("/a", DEL, "d", b"")]],
     [("/a", DEL, "d", b""), ("/a", ADD, "e", b"2")]),
    ("everybody's hide makes it idle", [[("/a", DEL, "d", b"")], [("/a", DEL, None, b"")]], [("/a", DEL, None, b"")]),
    ("a subtree hide covers all below", [[("/a", ADD, "", b"0"), ("/a/b", ADD, "", b"1"), ("/a0", ADD, "", b"2")],
     [("/a/", DELTREE, None, b"")]],
     [("/a", ADD, "", b"0"), ("/a/", DELTREE, None, b""), ("/a0", ADD, "", b"2")]),
    ("a subtree hide of one datum",
     [[("/a/b", ADD, "d", b"1"), ("/a/b", ADD, "e", b"1")], [("/a/", DELTREE, "d", b"")]],
     [("/a/", DELTREE, "d", b""), ("/a/b", ADD, "e", b"1")]),
    ("three on top of each other",
     [[("/a", ADD, "", b"1")], [("/a", DEL, None, b""), ("/a", ADD, "", b"2")], [("/a", ADD, "", b"3")]],
     [("/a", DEL, None, b""), ("/a", ADD, "", b"23")]),
    ("an empty file takes content", [[("/a", ADD, "", b"")], [("/a", ADD, "", b"1")]], [("/a", ADD, "", b"1")]),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "merged"), [case[1:] for case in MERGES], ids=[case[0] for case in MERGES])
def test_layers_merge(layers: list, merged: list) -> None:  # type: ignore[type-arg]
    found = merge_layers([rows_of(*layer) for layer in layers])
    assert told(found) == merged
    for row in found.to_pylist():
        if row["op"] == ADD:
            assert row["size"] == sum(piece["length"] for piece in row["pieces"])
            if len(row["pieces"]) == 1:
                assert row["pieces"][0]["digest"] is None
                assert row["hash"] == blake3(row["pieces"][0]["inline"]).digest()


def test_a_body_is_these_bytes() -> None:
    rows = rows_of(("/a", DEL, None, b""), ("/a", ADD, "", b"hello"))
    body = inline_body(rows)
    assert body is not None
    assert body[:4] == b"TLF1"
    sealed = Sealed(id="0" * 32, rows=2, size_bytes=5, body=GOLDEN_BODY)
    assert rows_of_body(sealed).equals(rows)


def test_a_part_says_what_it_is() -> None:
    rows = in_order(rows_of(*[(f"/f{n:05d}", ADD, "", b"") for n in range(20_000)]))
    file = pq.ParquetFile(pa.BufferReader(parquet(rows)))
    assert file.schema_arrow.metadata[b"trunkline.fileset"] == b"1"
    assert file.schema_arrow.metadata[b"trunkline.hash"] == b"blake3"
    assert [file.metadata.row_group(n).num_rows for n in range(3)] == [8192, 8192, 3616]
    column = file.metadata.row_group(1).column(0)
    assert (column.statistics.min, column.statistics.max) == ("/f08192", "/f16383")
    assert "DELTA_BYTE_ARRAY" in column.encodings
    assert column.compression == "ZSTD"
    assert as_batch(file.read().cast(SCHEMA)).equals(rows)


def test_a_part_written_by_the_first_version_is_readable(world: World) -> None:
    rows = rows_of(("/a", ADD, "", b"hello"), ("/b", ADD, "d", b"world"))
    assert as_batch(pq.read_table(pa.BufferReader(GOLDEN_PART)).cast(SCHEMA)).equals(rows)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal_module, "PART_ROWS", 500)


def fresh(world: World, tmp: object) -> Store:
    """The same blobs, with nothing decoded."""
    return Store(world.blobs, str(tmp), world.ambient, threads=1)


@pytest.mark.usefixtures("small_parts")
def test_a_lookup_or_a_listing_fetches_the_parts_it_needs(world: World, tmp_path: object) -> None:
    manifest = world.commit([], {f"/d{n // 100:03d}/f{n:05d}": b"%d" % n for n in range(6000)}).manifest
    # A second run on top, small but of several parts, changes nothing about it: it hides no subtree.
    manifest = world.commit(manifest, {f"/e{n // 100:03d}/f{n:05d}": b"%d" % n for n in range(550)}).manifest
    assert len(manifest) == 2
    parts = [part for sealed in manifest for part in sealed.parts]
    assert len(parts) > 15
    assert all(before.last < after.first for before, after in pairwise(manifest[0].parts))
    view = fresh(world, tmp_path).view(manifest)
    with world.blobs.recording() as calls:
        assert view.find("/d030/f03042") is not None
    assert len(calls) == 2, "one part of each run"
    with world.blobs.recording() as calls:
        assert len(list(entries(view.list("/d031", limit=10)))) == 10
    assert len(calls) <= 1
    with world.blobs.recording() as calls:
        assert len(list(entries(view.list("/d020")))) == 100
    assert len(calls) <= 2


@pytest.mark.usefixtures("small_parts")
def test_pages_join_up(world: World) -> None:
    manifest = world.commit([], {f"/d{n % 3}/f{n:05d}": b"" for n in range(3000)}).manifest
    manifest = world.commit(manifest, {f"/d{n % 3}/f{n:05d}": b"1" for n in range(0, 6000, 500)}).manifest
    view = world.view(manifest)
    whole = [entry.path for entry in entries(view.walk("/"))]
    assert len(whole) == 3000 + 6 + 4
    after, found = None, []
    while page := [entry.path for entry in entries(view.walk("/", after=after, limit=700))]:
        found += page
        after = page[-1]
    assert found == whole
    backwards = [entry.path for entry in entries(view.walk("/", reverse=True))]
    assert backwards == whole[::-1]
    some = [entry.path for entry in entries(view.glob(Glob("/d1/*0"), lower="/d1/f00100", upper="/d1/f00200"))]
    assert some == [path for path in whole if "/d1/f00100" <= path < "/d1/f00200" and path.endswith("0")]


@pytest.mark.usefixtures("small_parts")
def test_a_glob_reads_only_what_starts_like_it(world: World, tmp_path: object) -> None:
    manifest = world.commit([], {f"/d{n // 100:03d}/f{n:05d}": b"" for n in range(6000)} | {"/z[1]/é": b""}).manifest
    view = fresh(world, tmp_path).view(manifest)
    with world.blobs.recording() as calls:
        assert [entry.path for entry in entries(view.glob(Glob("/d03[0-1]")))] == ["/d030/", "/d031/"]
    assert len(calls) < 7 < 20 < len(manifest[0].parts)
    found = {
        pattern: [entry.path for entry in entries(view.glob(Glob(pattern)))]
        for pattern in ("/", "/d030", "/d030/f0300?", r"/z\[1\]/é", "/z*", "/d9", "/!(d*)")
    }
    assert found["/"] == ["/"]
    assert found["/d030"] == ["/d030/"]
    assert len(found["/d030/f0300?"]) == 10
    assert found[r"/z\[1\]/é"] == ["/z[1]/é"]
    assert found["/z*"] == found["/!(d*)"] == ["/z[1]/"]
    assert found["/d9"] == []
    assert stem_end("/a/b") == "/a/c"
    assert stem_end("/a\ud7ff") == "/a\ue000"
    assert stem_end("/a\U0010ffff") == "/b"


def test_a_file_is_found_as_file_and_a_directory_as_directory(world: World) -> None:
    view = world.view(world.commit([], {"/a/b": b"1", "/a.b": b"2"}).manifest)
    assert [view.find(path).path for path in ("/", "/a", "/a/", "/a/b", "/a.b")] == ["/", "/a/", "/a/", "/a/b", "/a.b"]  # type: ignore[union-attr]
    assert [view.find(path) for path in ("/b", "/a/b/", "/a/b/c", "/a.")] == [None] * 4
    assert view.file("/a") is None


def test_a_damaged_chunk_is_data_loss_that_names_it(world: World) -> None:
    done = world.commit([], {"/a": chance(1).randbytes(50_000), "/b": chance(2).randbytes(50_000)})
    (key,) = world.store.chunk_keys(done.manifest[0])
    world.blobs.damage(key.blob, -1)
    file = world.view(done.manifest).file("/b")
    assert file is not None
    with pytest.raises(DataLoss, match=f"{key} is damaged"):
        file.bytes()
    assert world.view(done.manifest).file("/a").bytes() == chance(1).randbytes(50_000)  # type: ignore[union-attr]


@pytest.mark.usefixtures("small_parts")
def test_a_damaged_or_missing_part_is_data_loss_and_never_empty(world: World, tmp_path: object) -> None:
    manifest = world.commit([], {f"/f{n:05d}": b"" for n in range(2000)}).manifest
    part = manifest[0].parts[2]
    world.blobs.damage(part.blob, 100)
    with pytest.raises(DataLoss, match=r"part parts/.* is damaged"):
        contents(fresh(world, tmp_path).view(manifest))
    world.blobs.delete(part.blob)
    with pytest.raises(DataLoss, match=r"part parts/.* is gone"):
        contents(fresh(world, tmp_path).view(manifest))


def test_a_damaged_body_is_data_loss(world: World) -> None:
    sealed = world.layer({"/a": b"1"})[0]
    broken = Sealed(id=sealed.id, rows=1, size_bytes=1, body=b"TLF1" + (sealed.body or b"")[5:])
    with pytest.raises(DataLoss, match="is damaged"):
        world.view([broken]).find("/a")
    with pytest.raises(DataLoss, match="do not start as they should"):
        world.view([Sealed(id="0" * 32, rows=1, size_bytes=1, body=b"XXXX")]).find("/a")


def test_a_chunk_list_names_each_chunk_once_and_is_checked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"/f{n}": chance(n).randbytes(400_000) for n in range(10)} | {"/same": chance(1).randbytes(400_000)}
    sealed = world.layer(files)[0]
    keys = world.store.chunk_keys(sealed)
    assert keys == {chunk.key for chunk in world.rows.live.values()}
    pieces = world.store.rows(sealed).column("pieces").combine_chunks().flatten()
    named = {
        ChunkKey(c, g) for c, g in zip(pieces.field("chunk").to_pylist(), pieces.field("gen").to_pylist(), strict=True)
    }
    assert named == keys, "I-13"
    monkeypatch.setattr(seal_module, "INLINE_BYTES", 10)
    sealed = world.layer(files)[0]
    assert sealed.chunks is None
    assert world.store.chunk_keys(sealed) == keys
    world.blobs.damage(sealed.chunks_blob or "", 5)
    with pytest.raises(DataLoss, match="chunk list has changed"):
        world.store.chunk_keys(sealed)
    world.blobs.delete(sealed.chunks_blob or "")
    with pytest.raises(DataLoss, match="is gone"):
        world.store.chunk_keys(sealed)


def test_a_file_set_of_nothing_can_be_sealed(world: World) -> None:
    session = world.rows.open()
    sealed = world.store.compact(session, [])
    assert (sealed.rows, sealed.body, sealed.parts, sealed.chunks) == (0, b"", (), b"")
    assert contents(world.view([sealed])) == {}
    assert no_rows().num_rows == 0


GOLDEN_BODY = base64.b64decode(
    "VExGMSi1L/1giAMdCADSjystcGvSGsT+LwG0kIjvs8/R/1X+qLgafMY/Tzr2FYMELsLKTapoF5Euu/dk25Yp//uQySw0PBq9EorBQMHDODQRFw"
    "gYIIdL50Biw0NRkFABoekMTCY6rtF6HKaCqazreu+9995717uud10SiSJNkcRY9l4WFJSq8WZkPz+pFi8nZ7u5SfDyWkqr1WpLeanrdAopbanr"
    "0kvgkSxkO4286lPI49uWjQKcbAN+WEKhUChZqHEkelCn3sXwpc0SoDDASSkwRiibNLmF5V2tBvvbr8WfYaXFyWa2IcFDhD0uhiPTNtgOWunsHa"
    "2YQ2kitak3lodEaYkc4yr91ns1FCK1nx+p"
)
GOLDEN_PART = base64.b64decode(
    "UEFSMRUAFS4VQCwVBBUOFQYVBgAAKLUv/SAXuQAAgAEEAgACAAAAAIABBAIEAQAAAAAvYWIVBBUIFRpMFQIVABIAACi1L/0gBCEAAAMAAAAVAB"
    "UGFRgsFQQVEBUGFQYAACi1L/0gAxkAAAEEABUEFRIVJEwVBBUAEgAAKLUv/SAJSQAAAAAAAAEAAABkFQAVEhUkLBUEFRAVBhUGAAAotS/9IAlJ"
    "AAACAAAABAEBAwIVABUgFTIsFQQVABUGFQYAACi1L/0gEIEAAAUAAAAAAAAABQAAAAAAAAAVABWMARWeASwVBBUAFQYVBgAAKLUv/SBGMQIAAg"
    "AAAAQB6o8WPbOGgpJeRJHF5Y1Ls1Bu+MFOt4qG6QjFYkpnIA/XiUrpcW040t+tDsVUJMoyHuEkU9UfGzret30Ede2YjBUAFRgVKiwVBBUAFQYV"
    "BgAAKLUv/SAMYQAAAgAAAAQAAgAAAAQBFQAVOBVKLBUEFQAVBhUGAAAotS/9IBzhAAACAAAABAACAAAABAEFAAAAAAAAAAUAAAAAAAAAFQAVGB"
    "UqLBUEFQAVBhUGAAAotS/9IAxhAAACAAAABAACAAAABAEVABU4FTgsFQQVABUGFQYAACi1L/0gHJ0AAGgCAAAABAACAAAABAEAAQAd+AIVABU4"
    "FTgsFQQVABUGFQYAACi1L/0gHJ0AAGgCAAAABAACAAAABAEAAQAd+AIVABU8FU4sFQQVABUGFQYAACi1L/0gHvEAAAIAAAAEAAIAAAAEAgUAAA"
    "BoZWxsbwUAAAB3b3JsZBUEFRAVIkwVAhUAEgAAKLUv/SAIQQAAAAAAAAAAAAAVABUGFRgsFQQVEBUGFQYAACi1L/0gAxkAAAEEABUEFRAVIkwV"
    "AhUAEgAAKLUv/SAIQQAAAQAAAAAAAAAVABUGFRgsFQQVEBUGFQYAACi1L/0gAxkAAAEEABkRAhkYAi9hGRgCL2IVAhkWAAAZHBYIFWIWAAAZFg"
    "gAGRwWoAEVOhYAAAAZHBaaAhVGFgAAGRYCABkcFuACFVQWAAAAGRwWtAMVxAEWAAAAGRwW+AQVTBYAAAAZHBbEBRVsFgAAABkcFrAGFUwWAAAA"
    "GRwW/AYVWhYAAAAZHBbWBxVaFgAAABkcFrAIFXAWAAAZFhQAGRwW3gkVOhYAAAAZHBbWChU6FgAAABUEGfwRNQAYBnNjaGVtYRUQABUMJQAYBH"
    "BhdGglAEwcAAAAFQIlABgCb3AlFkysEwgSAAAAFQwlAhgFZGF0dW0lAEwcAAAAFQQlABgEc2l6ZQAVDhVAFQIYBGhhc2gANQAYBnBpZWNlcxUC"
    "FQZMPAAAADUEGARsaXN0FQIANQAYB2VsZW1lbnQVDAAVDhVAFQIYBmRpZ2VzdAAVBCUAGAZsZW5ndGgAFQ4VQBUCGAVjaHVuawAVBCUAGANnZW"
    "4AFQQlABgGb2Zmc2V0ABUMJQIYBmlubGluZQAVBCUAGAVzaW5jZQAVBCUAGAVmaWxlcwAWBBkcGdwmABwVDBklBg4ZGARwYXRoFQwWBBZQFmIm"
    "CDw2ACgCL2IYAi9hEREAGRwVABUOFQIAPBYIGQYZBgAAFrYLFRoWkAsVJgAmABwVAhk1AAYQGRgCb3AVDBYEFkwWcCagASZqKSwVBBUAFQIAFQ"
    "AVEBUCAAAW0AsVFgAmABwVDBk1AAYQGRgFZGF0dW0VDBYEFmIWhgEmmgIm2gEpLBUEFQAVAgAVABUQFQIAPBYCGQYZJgAEAAAW5gsVHAAmABwV"
    "BBklBgAZGARzaXplFQwWBBZCFlQm4AJJHBUAFQAVAgAAFoIMFRYAJgAcFQ4ZJQYAGRgEaGFzaBUMFgQWsgEWxAEmtANJHBUAFQAVAgA8KQYZJg"
    "AEAAAWmAwVGAAmABwVDhklBgAZSAZwaWVjZXMEbGlzdAdlbGVtZW50BmRpZ2VzdBUMFgQWOhZMJvgESRwVABUAFQIAPCkmBAAZNgAEAAAAFrAM"
    "FRYAJgAcFQQZJQYAGUgGcGllY2VzBGxpc3QHZWxlbWVudAZsZW5ndGgVDBYEFloWbCbEBUkcFQAVABUCADwpJgQAGSYABAAAFsYMFRYAJgAcFQ"
    "4ZJQYAGUgGcGllY2VzBGxpc3QHZWxlbWVudAVjaHVuaxUMFgQWOhZMJrAGSRwVABUAFQIAPCkmBAAZNgAEAAAAFtwMFRYAJgAcFQQZJQYAGUgG"
    "cGllY2VzBGxpc3QHZWxlbWVudANnZW4VDBYEFloWWib8BkkcFQAVABUCADwpJgQAGSYABAAAFvIMFRYAJgAcFQQZJQYAGUgGcGllY2VzBGxpc3"
    "QHZWxlbWVudAZvZmZzZXQVDBYEFloWWibWB0kcFQAVABUCADwpJgQAGSYABAAAFogNFRYAJgAcFQwZJQYAGUgGcGllY2VzBGxpc3QHZWxlbWVu"
    "dAZpbmxpbmUVDBYEFl4WcCawCEkcFQAVABUCADwWFBkmBAAZNgAABAAAFp4NFRwAJgAcFQQZNQAGEBkYBXNpbmNlFQwWBBZUFngm3gkmoAkpLB"
    "UEFQAVAgAVABUQFQIAABa6DRUWACYAHBUEGTUABhAZGAVmaWxlcxUMFgQWVBZ4JtYKJpgKKSwVBBUAFQIAFQAVEBUCAAAW0A0VFgAW+ggWBCYI"
    "FogLABk8GBF0cnVua2xpbmUuZmlsZXNldBgBMQAYDnRydW5rbGluZS5oYXNoGAZibGFrZTMAGAxBUlJPVzpzY2hlbWEY7AkvLy8vLzZnREFBQV"
    "FBQUFBQUFBS0FBNEFCZ0FGQUFnQUNnQUFBQUFCQkFBUUFBQUFBQUFLQUF3QUFBQUVBQWdBQ2dBQUFIUUFBQUFFQUFBQUFnQUFBRHdBQUFBRUFB"
    "QUExUC8vL3hRQUFBQUVBQUFBQmdBQUFHSnNZV3RsTXdBQURnQUFBSFJ5ZFc1cmJHbHVaUzVvWVhOb0FBQUlBQXdBQkFBSUFBZ0FBQUFRQUFBQU"
    "JBQUFBQUVBQUFBeEFBQUFFUUFBQUhSeWRXNXJiR2x1WlM1bWFXeGxjMlYwQUFBQUNBQUFBTlFDQUFDUUFnQUFaQUlBQUJnQ0FBRG9BUUFBYkFB"
    "QUFEZ0FBQUFFQUFBQVhQMy8vd0FBQUFJUUFBQUFHQUFBQUFRQUFBQUFBQUFBQlFBQUFHWnBiR1Z6QUFBQS9QMy8vd0FBQUFGQUFBQUFqUDMvL3"
    "dBQUFBSVFBQUFBR0FBQUFBUUFBQUFBQUFBQUJRQUFBSE5wYm1ObEFBQUFMUDcvL3dBQUFBRkFBQUFBdlAzLy93QUFBQXdVQUFBQUhBQUFBQVFB"
    "QUFBQkFBQUFGQUFBQUFZQUFBQndhV1ZqWlhNQUFMRDkvLy9vL2YvL0FBQUFEU2dBQUFBd0FBQUFCQUFBQUFZQUFBQUlBUUFBMUFBQUFLUUFBQU"
    "IwQUFBQVFBQUFBQlFBQUFBRkFBQUFjR2xsWTJVQUFBRHcvZi8va1A3Ly93QUFBUVFRQUFBQUdBQUFBQVFBQUFBQUFBQUFCZ0FBQUdsdWJHbHVa"
    "UUFBR1A3Ly8xRCsvLzhBQUFBQ0VBQUFBQmdBQUFBRUFBQUFBQUFBQUFZQUFBQnZabVp6WlhRQUFQRCsvLzhBQUFBQlFBQUFBSUQrLy84QUFBQU"
    "NFQUFBQUJRQUFBQUVBQUFBQUFBQUFBTUFBQUJuWlc0QUhQLy8vd0FBQUFGQUFBQUFGUC8vL3dBQUFROFFBQUFBR0FBQUFBUUFBQUFBQUFBQUJR"
    "QUFBR05vZFc1ckFBQUEzdjcvL3lBQUFBRFkvdi8vQUFBQUFoQUFBQUFZQUFBQUJBQUFBQUFBQUFBR0FBQUFiR1Z1WjNSb0FBQjQvLy8vQUFBQU"
    "FVQUFBQUJ3Ly8vL0FBQUJEeEFBQUFBWUFBQUFCQUFBQUFBQUFBQUdBQUFBWkdsblpYTjBBQUE2Ly8vL0lBQUFBSnovLy84QUFBRVBFQUFBQUJn"
    "QUFBQUVBQUFBQUFBQUFBUUFBQUJvWVhOb0FBQUFBR2IvLy84Z0FBQUFZUC8vL3dBQUFBSVFBQUFBSUFBQUFBUUFBQUFBQUFBQUJBQUFBSE5wZW"
    "1VQUFBQUFDQUFNQUFnQUJ3QUlBQUFBQUFBQUFVQUFBQUFRQUJRQUNBQUdBQWNBREFBQUFCQUFFQUFBQUFBQUFRVVFBQUFBR0FBQUFBUUFBQUFB"
    "QUFBQUJRQUFBR1JoZEhWdEFBQUFtUC8vLzlELy8vOEFBQUFDRUFBQUFCd0FBQUFFQUFBQUFBQUFBQUlBQUFCdmNBQUFBQUFHQUFnQUJBQUdBQU"
    "FBQ0FBQUFCQUFGQUFJQUFBQUJ3QU1BQUFBRUFBUUFBQUFBQUFBQlJBQUFBQWNBQUFBQkFBQUFBQUFBQUFFQUFBQWNHRjBhQUFBQUFBRUFBUUFC"
    "QUFBQUFBQUFBQT0AGCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRncHAAAHAAAHAAAHAAAHAAAHAAAHAAAHAAAHAAAHAAAHAAAHA"
    "AAHAAAAMkJAABQQVIx"
)
