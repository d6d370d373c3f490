"""What is kept at hand for the next read, within a limit, and how often that helped."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """One cache. bytes, limit_bytes: what it holds and may hold; hits, misses: reads that found what they needed in it,
    and others; mended: how often what it held had changed and was fetched anew."""

    bytes: int
    limit_bytes: int
    hits: int
    misses: int
    mended: int


class Cache(Generic[V]):
    """Newest uses stay, up to `limit` in the unit of `size_of`. Safe between threads; two may load one thing twice.

    least: so many stay even when they are over the limit.
    """

    def __init__(self, limit: int, size_of: Callable[[V], int], least: int = 0) -> None:
        self.limit, self._size_of, self._least = limit, size_of, least
        self._kept: OrderedDict[Hashable, V] = OrderedDict()
        self.used = 0
        self.hits = 0
        self.misses = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, load: Callable[[], V]) -> V:
        """What is kept under `key`, else what `load` gives; that is kept unless it alone is over the limit."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                self.hits += 1
                return self._kept[key]
            self.misses += 1
        value = load()
        size = self._size_of(value)
        with self._lock:
            if key not in self._kept and (size <= self.limit or self._least):
                self._kept[key] = value
                self.used += size
                while self.used > self.limit and len(self._kept) > self._least:
                    _, dropped = self._kept.popitem(last=False)
                    self.used -= self._size_of(dropped)
        return value

    def drop(self, key: Hashable) -> None:
        """Forget what is kept under `key`, if anything is."""
        with self._lock:
            dropped = self._kept.pop(key, None)
            if dropped is not None:
                self.used -= self._size_of(dropped)

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept
