"""What code puts into its output bucket: files of ours, outside of all that the code sees, until the datum is done."""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from trunkline.ambient import Ambient, Micros
from trunkline.errors import Aborted, AlreadyExists, InvalidArgument, ResourceExhausted
from trunkline.model import paths

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that were received: files that follow each other, the hash of their content, and when they came."""

    files: tuple[bytes, ...]
    sizes: tuple[int, ...]
    hash: str
    at_us: Micros

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(self.sizes)

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `offset` on."""
        for name, size in zip(self.files, self.sizes, strict=True):
            take = min(size - offset, length)
            if take <= 0:
                offset -= size
                continue
            with open(name, "rb", buffering=0) as file:
                file.seek(offset)
                offset, length = 0, length - take
                while take and (piece := file.read(min(take, _READ_BYTES))):
                    take -= len(piece)
                    yield piece
            if not length:
                return


def together(parts: Iterable[Stored]) -> Stored:
    """Several, one behind the other."""
    found = list(parts)
    digest = blake3(b"".join(bytes.fromhex(one.hash) for one in found)).hexdigest()
    return Stored(
        tuple(name for one in found for name in one.files),
        tuple(size for one in found for size in one.sizes),
        digest,
        max(one.at_us for one in found),
    )


class Uploads:
    """The output bucket of one attempt at a datum, with its files in a folder that it has to itself. Safe for threads.

    Nothing of it outlives the process: what an attempt put counts only once the datum was reported.
    """

    def __init__(self, folder: Path, ambient: Ambient) -> None:
        self._ambient = ambient
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        self._folder = folder
        self._lock = threading.Lock()
        self._count = 0
        self._open = True
        self._kept: dict[str, Stored] = {}
        self._above: Counter[str] = Counter()  # directories, by how many files lie below

    def receive(self, data: Iterable[bytes]) -> Stored:
        """Write bytes down; they are nothing's yet. Raises what `data` raises, and ResourceExhausted."""
        name = self._fresh()
        digest, size = blake3(), 0
        try:
            with open(name, "xb", buffering=0) as file:
                for piece in data:
                    digest.update(piece)
                    size += len(piece)
                    view = memoryview(piece)
                    while view:
                        view = view[file.write(view) :]
        except OSError as error:
            self._drop([name])
            raise ResourceExhausted(f"what was put cannot be written to the worker's disk: {error.strerror}") from error
        except BaseException:
            self._drop([name])
            raise
        return Stored((name,), (size,), digest.hexdigest(), self._ambient.now_us())

    def again(self, stored: Stored) -> Stored:
        """The same bytes once more, for another place."""
        names = []
        for name in stored.files:
            names.append(self._fresh())
            os.link(name, names[-1])
        return Stored(tuple(names), stored.sizes, stored.hash, self._ambient.now_us())

    def keep(self, path: str, stored: Stored, *, fresh: bool = False) -> None:
        """Have it lie at a cleaned path. fresh: only where nothing does.

        Raises AlreadyExists, InvalidArgument where a file would have to be a directory too, Aborted where the bucket
        takes no more.
        """
        above = [directory.rstrip("/") for directory in paths.parents(path)]
        with self._lock:
            if not self._open:
                raise Aborted(f"{path} came after its datum had ended")
            if fresh and path in self._kept:
                raise AlreadyExists(f"{path} is there already")
            file = next((one for one in above if one in self._kept), None)
            if file is not None or self._above[path]:
                both = file or path
                raise InvalidArgument(f"{both} would be a file and a directory: an output can be one of the two")
            former = self._kept.pop(path, None)
            self._kept[path] = stored
            if former is None:
                self._above.update(above)
        if former is not None:
            self._drop(former.files)

    def find(self, path: str) -> Stored | None:
        """What lies at a path."""
        with self._lock:
            return self._kept.get(path)

    def remove(self, path: str) -> None:
        """Have nothing lie there."""
        with self._lock:
            former = self._kept.pop(path, None) if self._open else None
            if former is None:
                return
            self._above.subtract(directory.rstrip("/") for directory in paths.parents(path))
        self._drop(former.files)

    def forget(self, stored: Stored) -> None:
        """Received bytes that were kept nowhere are not wanted."""
        self._drop(stored.files)

    def take(self) -> list[tuple[str, bytes]]:
        """Every file with its path, in order, those of one path together. From now on nothing is taken in."""
        with self._lock:
            self._open = False
            return [(path, name) for path, stored in sorted(self._kept.items()) for name in stored.files]

    def close(self) -> None:
        """Remove everything."""
        with self._lock:
            self._open = False
            self._kept.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fresh(self) -> bytes:
        with self._lock:
            self._count += 1
            return os.fsencode(self._folder / str(self._count))

    def _drop(self, names: Iterable[bytes]) -> None:
        for name in names:
            with suppress(OSError):
                os.unlink(name)
