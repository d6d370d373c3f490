"""When the time of jobs is up, by a clock that nobody can step.

The catalog holds an instant for each job, since it must outlive this process. Here the time that is left is taken once,
when a job is first seen, and then runs off by the machine's own seconds: a clock that is set an hour forward ends
nobody's job, and one that is set back gives none an hour more.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkline.ambient import Ambient, Micros


@dataclass
class Deadlines:
    """The jobs that have a limit."""

    ambient: Ambient
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _due: dict[int, tuple[Micros, float]] = field(default_factory=dict)

    def late(self, jobs: Mapping[int, tuple[Micros, Micros]]) -> list[int]:
        """Those whose time is up. jobs: all that have a limit now, each with its instant and the whole time it has."""
        now_us, now_s = self.ambient.now_us(), self.ambient.ticks_s()
        with self._lock:
            due = {}
            for seq, (until_us, whole_us) in jobs.items():
                known = self._due.get(seq)
                left_us = min(max(until_us - now_us, 0), whole_us)
                due[seq] = known if known and known[0] == until_us else (until_us, now_s + left_us / 1e6)
            self._due = due
            return sorted(seq for seq, (_, due_s) in due.items() if due_s <= now_s)

    def left_s(self) -> float | None:
        """How long until the next one; None: no job has a limit."""
        with self._lock:
            due = [due_s for _, due_s in self._due.values()]
        return min(due) - self.ambient.ticks_s() if due else None
