"""What is known of the files of some folders: for the size, times and inode that each had, the hash of its bytes.

It says nothing of any server: whether one has these bytes is asked each time. So a cache may be lost, and of any age.
docs/formats/put-cache.md
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from trunkline.client.sources import Inode, LocalFile, inode_of

MAGIC = b"TRNKPUT\x01"
HASH_BYTES = 32
RACY_NS = 2_000_000_000
"""Times of files go in steps, of 2 s at most (FAT). A file that changed later than so long before it was read could
change again and look the same."""
UNUSED_NS = 90 * 86_400 * 1_000_000_000
ENDING = ".put"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where caches lie: `trunkline/put` in XDG_CACHE_HOME, else in `~/.cache`."""
    given = environ.get("XDG_CACHE_HOME", "")
    home = environ.get("HOME") or str(Path("~").expanduser())
    base = Path(given) if given.startswith("/") else Path(home) / ".cache"
    return base / "trunkline" / "put"


class PutCache:
    """The cache of one set of source folders. Safe between threads, but for `save`.

    now_ns: when the put begins, by the clock that files get their times from.
    """

    def __init__(self, folder: Path, sources: Sequence[str], now_ns: int) -> None:
        self._folder, self._now_ns = folder, now_ns
        named = "\n".join(sorted({os.path.abspath(source) for source in sources}))
        self._path = folder / f"{blake3(named.encode(errors='surrogateescape')).hexdigest()[:32]}{ENDING}"
        self._old: dict[str, tuple[Inode, bytes]] | None = None
        self._new: dict[str, tuple[Inode, bytes]] = {}

    def find(self, file: LocalFile) -> bytes | None:
        """The hash of a file's bytes, if it is as it was when they were read."""
        if self._old is None:
            self._old = load(self._path)
        entry = self._old.get(os.path.abspath(file.local)) if file.inode is not None else None
        if entry is None or entry[0] != file.inode:
            return None
        self._new[os.path.abspath(file.local)] = entry
        return entry[1]

    def note(self, file: LocalFile, seen: Inode, content: bytes) -> None:
        """A file was read. seen: its inode behind the last byte. What changed meanwhile or just before is not kept."""
        if file.inode == seen and len(content) == seen.size and self._settled(seen):
            self._new[os.path.abspath(file.local)] = (seen, blake3(content).digest())

    def note_told(self, file: LocalFile, digest: bytes) -> None:
        """A file was put whole, and the server told its hash. Looks whether it is still as it was when it was found."""
        try:
            seen = inode_of(os.stat(file.local))
        except OSError:
            return
        if file.inode == seen and self._settled(seen):
            self._new[os.path.abspath(file.local)] = (seen, digest)

    def _settled(self, seen: Inode) -> bool:
        return max(seen.mtime_ns, seen.ctime_ns) < self._now_ns - RACY_NS

    def save(self) -> None:
        """Keep what was found and noted, and nothing else; and give up caches that nobody used for long.

        A cache that cannot be written is not an error: the next put reads its files.
        """
        if not self._new:
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            passing = self._path.with_suffix(f".{os.getpid()}.part")
            with open(os.open(passing, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
                file.write(encoded(self._new))
            passing.replace(self._path)
            for other in self._folder.iterdir():
                if other.stat().st_mtime_ns < self._now_ns - UNUSED_NS:
                    other.unlink()


def encoded(entries: Mapping[str, tuple[Inode, bytes]]) -> bytes:
    """Columns, little-endian, and BLAKE3 over all."""
    names = "\0".join(entries).encode(errors="surrogateescape")
    numbers = array("Q")
    for one, _ in entries.values():
        numbers.extend(one)
    if sys.byteorder == "big":
        numbers.byteswap()
    hashes = b"".join([digest for _, digest in entries.values()])
    head = MAGIC + len(entries).to_bytes(8, "little") + len(names).to_bytes(8, "little")
    data = b"".join((head, names, numbers.tobytes(), hashes))
    return data + blake3(data).digest()


def load(path: Path) -> dict[str, tuple[Inode, bytes]]:
    """What a cache says; nothing where it is not there, damaged or of another version."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    body = memoryview(data)[:-HASH_BYTES]
    if data[: len(MAGIC)] != MAGIC or blake3(body).digest() != data[-HASH_BYTES:]:
        return {}
    start = len(MAGIC) + 16
    count, length = (int.from_bytes(body[at : at + 8], "little") for at in (len(MAGIC), len(MAGIC) + 8))
    names = bytes(body[start : start + length]).decode(errors="surrogateescape").split("\0") if count else []
    numbers = array("Q")
    numbers.frombytes(body[start + length : start + length + 32 * count])
    if sys.byteorder == "big":
        numbers.byteswap()
    hashes = bytes(body[start + length + 32 * count :])
    return dict(zip(names, zip(_inodes(numbers), _cut(hashes), strict=True), strict=True))


def _inodes(numbers: array[int]) -> Iterable[Inode]:
    return map(Inode, numbers[0::4], numbers[1::4], numbers[2::4], numbers[3::4])


def _cut(hashes: bytes) -> Iterable[bytes]:
    return (hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
