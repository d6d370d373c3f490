"""How much memory columns take while a commit of many files is finished, and looked at afterwards."""

from __future__ import annotations

import subprocess
import sys

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
