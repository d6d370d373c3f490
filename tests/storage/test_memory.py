"""How much memory columns take while a commit of many files is finished, and looked at afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.storage import Store
from trunkline.storage.filesets import seal
from trunkline.testing.stores import World

FILES = 60_000
CACHE_BYTES = 1 << 20
FINISH = f"""
import pyarrow as pa
from trunkline.storage import Store
from trunkline.storage.filesets import seal
from trunkline.storage.writing import directories, layers, writer
from trunkline.testing.stores import World

writer.SPILL_EDITS, seal.PART_ROWS, layers.SLICE_ROWS, directories._SLICE = 5000, 8192, 8192, 8192
world = World()
world.store.close()
world.store = Store(world.blobs, world.store._cache.folder, world.ambient, threads=2, part_bytes={CACHE_BYTES})
edits = world.writer()
for first in range(0, {FILES}, 1000):
    paths = [f"/d{{first // 1000:04}}/f{{number:06}}.txt" for number in range(first, first + 1000)]
    edits.put_many(paths, [2] * 1000, b"".join(b"%02d" % (number % 100) for number in range(1000)))
stack = edits.seal()
world.finish([], stack)
print(pa.default_memory_pool().max_memory())
world.close()
"""


def test_finishing_holds_what_changed_without_its_places_and_little_more() -> None:
    done = subprocess.run([sys.executable, "-c", FINISH], capture_output=True, text=True, check=True)
    # A path of 20 bytes, a hash of 32 and numbers; the places where the bytes lie are another 124.
    assert int(done.stdout) - CACHE_BYTES < 160 * FILES


def test_listing_a_directory_reads_the_parts_it_lies_in_without_their_places(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "PART_ROWS", 500)
    files = {f"/d{number // 100:04}/f{number:06}": b"%d" % number for number in range(5000)}
    manifest = world.commit([], files).manifest
    assert len(manifest[0].parts) > 20
    for _ in ("from the store", "from the disk"):
        store = Store(world.blobs, tmp_path, world.ambient)
        found = [path for page in store.view(manifest).list("/d0025") for path in page.column("path").to_pylist()]
        assert found == [path for path in files if path.startswith("/d0025/")]
        parts = store.caches["index"]
        assert parts.misses + parts.hits <= 4
        store.close()
    assert parts.misses == 0
    assert store._cache.held_bytes < 3 * 500 * 120
