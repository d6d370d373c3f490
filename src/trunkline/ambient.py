"""Time, chance and fresh ids: the one seam through which they enter.

Everything outside this module takes an `Ambient`; tests pass `Simulated`, whose clock moves only when told and whose
ids come from a seed, so that a failure replays.
"""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from typing import Protocol

Micros = int
"""An instant, in microseconds since 1970-01-01 UTC; also used for spans of time."""


class Ambient(Protocol):
    """What code may know about the moment it runs in."""

    def now_us(self) -> Micros:
        """Wall clock, microseconds since the epoch. May step backwards: never use it to order events."""
        ...

    def ticks_s(self) -> float:
        """Steady seconds since some fixed moment, for durations and leases."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def new_id(self) -> str:
        """A fresh id: 32 lower-case hex digits, a UUID version 4 without dashes."""
        ...

    def seed(self) -> int:
        """63 bits of chance, for a `Random` of one's own."""
        ...


class RealAmbient:
    """The machine's clock and the kernel's randomness."""

    def now_us(self) -> Micros:
        return time.time_ns() // 1000

    def ticks_s(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def new_id(self) -> str:
        return uuid.uuid4().hex

    def seed(self) -> int:
        return int.from_bytes(os.urandom(8), "big") >> 1


class SimulatedAmbient:
    """A clock that moves only by `sleep` and `advance`, and ids from a seed. Safe to share between threads."""

    def __init__(self, seed: int = 0, start_us: Micros = 1_700_000_000_000_000) -> None:
        self._random = random.Random(seed)
        self._now_us = start_us
        self._set_us = 0
        self._lock = threading.Lock()

    def now_us(self) -> Micros:
        with self._lock:
            self._now_us += 1  # two events never share an instant
            return self._now_us

    def ticks_s(self) -> float:
        with self._lock:
            return (self._now_us - self._set_us) / 1e6

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        with self._lock:
            self._now_us += int(seconds * 1e6)

    def step(self, seconds: float) -> None:
        """Set the clock, as an operator does or a time server: no time passes, and `ticks_s` stays."""
        with self._lock:
            self._now_us += int(seconds * 1e6)
            self._set_us += int(seconds * 1e6)

    def new_id(self) -> str:
        with self._lock:
            return id_from(self._random)

    def seed(self) -> int:
        with self._lock:
            return self._random.getrandbits(63)


def id_from(chance: random.Random) -> str:
    """An id in the form of `Ambient.new_id`, drawn from `chance`: same seed, same id."""
    return uuid.UUID(int=chance.getrandbits(128), version=4).hex


def chance(seed: int) -> random.Random:
    """Pseudo-random numbers that replay from `seed`."""
    return random.Random(seed)
