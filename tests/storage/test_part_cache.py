"""Decoded parts at hand: within a limit, shared by processes, and never handed out when a bit has changed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from blake3 import blake3

from trunkline.ambient import SimulatedAmbient
from trunkline.storage import Part
from trunkline.storage.blobs import MemoryBlobs
from trunkline.storage.filesets.cache import PartCache, brief, with_depth
from trunkline.storage.filesets.runs import plain
from trunkline.storage.filesets.schema import ADD, SCHEMA
from trunkline.storage.filesets.seal import parquet


def rows_of(count: int, first: int = 0) -> pa.RecordBatch:
    row = {"op": ADD, "datum": "", "size": 0, "hash": blake3(b"").digest(), "pieces": [], "since": 0, "files": 1}
    return pa.RecordBatch.from_pylist([{"path": f"/f{first + n:05d}"} | row for n in range(count)], schema=SCHEMA)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


def put(blobs: MemoryBlobs, rows: pa.RecordBatch, number: int = 0) -> Part:
    data = parquet(rows).to_pybytes()
    paths = rows.column("path")
    part = Part(
        f"parts/ab/p-{number}.1", rows.num_rows, paths[0].as_py(), paths[-1].as_py(), len(data), blake3(data).digest()
    )
    blobs.put(part.blob, data)
    return part


def opened(blobs: MemoryBlobs, folder: Path, limit_bytes: int = 500_000) -> PartCache:
    return PartCache(blobs, folder, limit_bytes, SimulatedAmbient(7))


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.arrow"))


def test_the_cache_of_parts_keeps_its_limit_and_survives_anything(blobs: MemoryBlobs, tmp_path: Path) -> None:
    rows = rows_of(2000)
    cache = opened(blobs, tmp_path)
    parts = [put(blobs, rows, number) for number in range(6)]
    for part in parts:
        assert cache.rows(part).num_rows == 2000
    files = sorted(path.name for path in tmp_path.glob("*.arrow"))
    assert 1 <= len(files) < 6
    assert parts[-1].blob.replace("/", "_") + ".arrow" in files
    assert cache.figures.bytes == on_disk(tmp_path) <= 500_000
    (tmp_path / files[-1]).write_bytes(b"half a file")
    (tmp_path / ".left").write_bytes(b"by a process that died")
    again = opened(blobs, tmp_path)
    assert not (tmp_path / ".left").exists()
    assert again.rows(parts[-1]).column("path")[1999].as_py() == "/f01999"
    assert (again.figures.misses, again.figures.mended) == (1, 1)
    assert again.figures.bytes == on_disk(tmp_path)


@pytest.mark.parametrize("where", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_a_changed_bit_in_a_cached_part_is_never_handed_out(blobs: MemoryBlobs, tmp_path: Path, where: float) -> None:
    rows = rows_of(2000)
    part = put(blobs, rows)
    opened(blobs, tmp_path).rows(part)
    (path,) = tmp_path.glob("*.arrow")
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[min(int(len(whole) * where), len(whole) - 1)] ^= 1
    path.write_bytes(changed)

    cache = opened(blobs, tmp_path)
    with blobs.recording() as calls:
        assert plain(cache.rows(part)).equals(rows)
        assert plain(cache.rows(part)).equals(rows)
    assert [call.verb for call in calls] == ["get"]
    assert (cache.figures.hits, cache.figures.misses, cache.figures.mended) == (3, 1, 1)  # of halves
    assert path.read_bytes() == whole


def test_what_was_cached_is_not_fetched_by_another_process(blobs: MemoryBlobs, tmp_path: Path) -> None:
    part = put(blobs, rows_of(2000))
    opened(blobs, tmp_path).rows(part)
    with blobs.recording() as calls:
        cache = opened(blobs, tmp_path)
        assert plain(cache.rows(part)).equals(rows_of(2000))
    assert not calls
    assert (cache.figures.hits, cache.figures.misses) == (2, 0)  # of halves


def test_brief_rows_are_read_and_checked_without_the_pieces(blobs: MemoryBlobs, tmp_path: Path) -> None:
    rows = rows_of(2000)
    part = put(blobs, rows)
    opened(blobs, tmp_path).rows(part)
    (path,) = tmp_path.glob("*.arrow")
    whole = path.read_bytes()
    length = int.from_bytes(whole[-72:-64], "little")
    changed = bytearray(whole)
    changed[length + 100] ^= 1  # among the pieces
    path.write_bytes(changed)

    cache = opened(blobs, tmp_path)
    assert cache.brief(part).equals(brief(with_depth(rows)))
    assert cache.figures.mended == 0
    assert cache.held_bytes <= length
    assert plain(cache.rows(part)).equals(rows)
    assert cache.figures.mended == 1
    assert path.read_bytes() == whole


def test_a_part_is_fetched_once_though_its_file_cannot_be_written(blobs: MemoryBlobs, tmp_path: Path) -> None:
    part = put(blobs, rows_of(2000))
    cache = opened(blobs, tmp_path)
    tmp_path.rmdir()
    with blobs.recording() as calls:
        assert plain(cache.rows(part)).equals(rows_of(2000))
        assert cache.brief(part).num_rows == 2000
    assert [call.verb for call in calls] == ["get"]


def test_a_cached_part_is_taken_for_no_other(blobs: MemoryBlobs, tmp_path: Path) -> None:
    parts = [put(blobs, rows_of(1, number), number) for number in range(2)]
    cache = opened(blobs, tmp_path)
    cache.rows(parts[0])
    (path,) = tmp_path.glob("*.arrow")
    path.rename(path.with_name(path.name.replace("p-0", "p-1")))
    assert cache.rows(parts[1]).column("path").to_pylist() == ["/f00001"]


def test_a_folder_of_cached_parts_that_several_processes_fill_keeps_its_limit(
    blobs: MemoryBlobs, tmp_path: Path
) -> None:
    caches = [opened(blobs, tmp_path) for _ in range(3)]
    rows = rows_of(500)
    for number in range(60):
        caches[number % 3].fill(put(blobs, rows, number), rows)
    # Each looks at what the others did after every sixteenth file of its own.
    assert 100_000 < on_disk(tmp_path) < 3 * 500_000
