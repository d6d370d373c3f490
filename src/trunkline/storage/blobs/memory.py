"""Blobs in a dict: for tests, stricter than a real store, with a record of calls and crashes on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from trunkline.errors import InvalidArgument, NotFound
from trunkline.storage.blobs.port import Data, check_name, check_span, in_parts


class InjectedCrash(BaseException):
    """The process died here. Not an `Exception`, so that no handler of the code under test can survive it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it came. `bytes_moved`: what was put, or what a get gave."""

    verb: str
    name: str
    bytes_moved: int = 0


class MemoryBlobs:
    """A blob store that ends with the process.

    Stricter than others: a whole `get` of nothing, or of a name that `check_name` refuses, never passes quietly, and a
    prefix must be one that names can have. `crash_at(n)` makes the n-th write from now (puts and deletes, from 1) die
    before it happens, and `crash_after(n)` just after; after a crash every call dies, until `reopen`.
    """

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._lock = threading.RLock()
        self._recorders: list[list[Call]] = []
        self._writes_left: int | None = None
        self._takes_effect = False
        self._dead = False

    def put(self, name: str, data: Data, *, passing: bool = False) -> bool:
        """See `BlobStore.put`."""
        whole = b"".join(in_parts(data))
        with self._lock, self._writing():
            self._note("put", check_name(name), len(whole))
            if name in self._blobs:
                return False
            self._blobs[name] = whole
            return True

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """See `BlobStore.get`."""
        with self._lock:
            blob = self._found(name)
            wanted = check_span(name, len(blob), start, length)
            self._note("get", name, wanted)
            return blob[start : start + wanted]

    def size(self, name: str) -> int:
        """See `BlobStore.size`."""
        with self._lock:
            blob = self._found(name)
            self._note("size", name)
            return len(blob)

    def delete(self, name: str) -> None:
        """See `BlobStore.delete`."""
        with self._lock, self._writing():
            self._note("delete", check_name(name))
            self._blobs.pop(name, None)

    def delete_all(self, names: Sequence[str]) -> None:
        """See `BlobStore.delete_all`."""
        for name in names:
            self.delete(name)

    def names(self, prefix: str = "") -> Iterator[str]:
        """See `BlobStore.names`."""
        if prefix.startswith("/"):
            raise InvalidArgument(f"no blob's name starts with {prefix!r}")
        with self._lock:
            self._alive()
            self._note("list", prefix)
            names = sorted(name for name in self._blobs if name.startswith(prefix))
        yield from names

    def damage(self, name: str, at: int, flip: int = 0xFF) -> None:
        """Flip bits of one stored byte, as a failing disk does. A negative `at` counts from the end."""
        with self._lock:
            blob = bytearray(self._blobs[name])
            blob[at] ^= flip
            self._blobs[name] = bytes(blob)

    @contextmanager
    def recording(self) -> Iterator[list[Call]]:
        """Every call made inside the block, in order."""
        calls: list[Call] = []
        self._recorders.append(calls)
        try:
            yield calls
        finally:
            # By identity: two lists that happen to hold equal calls are different recordings.
            self._recorders = [other for other in self._recorders if other is not calls]

    def crash_at(self, write: int) -> None:
        """Die at the `write`-th write from now, before it takes effect."""
        self._writes_left, self._takes_effect = write, False

    def crash_after(self, write: int) -> None:
        """Die at the `write`-th write from now, when it has taken effect but its caller has not heard."""
        self._writes_left, self._takes_effect = write, True

    def reopen(self) -> None:
        """Start again after a crash, with what was written until then; an armed crash is forgotten."""
        self._dead, self._writes_left = False, None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._alive()
        dies = False
        if self._writes_left is not None:
            self._writes_left -= 1
            dies = self._writes_left == 0
        if dies and not self._takes_effect:
            self._dead = True
            raise InjectedCrash
        yield
        if dies:
            self._dead = True
            raise InjectedCrash

    def _alive(self) -> None:
        if self._dead:
            raise InjectedCrash

    def _found(self, name: str) -> bytes:
        self._alive()
        blob = self._blobs.get(check_name(name))
        if blob is None:
            raise NotFound(f"there is no blob {name}")
        return blob

    def _note(self, verb: str, name: str, bytes_moved: int = 0) -> None:
        for calls in self._recorders:
            calls.append(Call(verb, name, bytes_moved))
