"""What recorded transactions had led to when their requests were last tried, so that another can go on from there."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from trunkline.catalog.engine import Seed, Trace, Tx
from trunkline.catalog.transactions import ASIDE
from trunkline.pfs.graph.changes import Change

MOST_TRIALS = 8
"""Of so many transactions it is kept, those that were added to last; others try all their requests again."""


@dataclass(frozen=True, slots=True)
class Trial:
    """All requests of a transaction after they were tried, before their change was closed.

    requests: how many; size: their bytes together. mark: what was there when they were tried; seed: when that was.
    """

    requests: int
    size: int
    seed: Seed
    mark: int = field(repr=False)
    change: Change = field(repr=False)
    trace: Trace = field(repr=False)

    def again(self, tx: Tx, requests: int) -> Change | None:
        """The change in another transaction; None, with nothing done, where all requests must be tried again.

        That is so where others were added, or anything else was changed meanwhile that requests could see.
        """
        if requests != self.requests or not tx.unchanged(self.mark, ASIDE):
            return None
        seeded = tx.seeded(self.seed)
        return self.change.over(seeded) if seeded.again(self.trace) else None


class Trials:
    """The newest trial of each transaction, of a few. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: OrderedDict[str, Trial] = OrderedDict()

    def get(self, id: str) -> Trial | None:
        """That of a transaction."""
        with self._lock:
            return self._by_id.get(id)

    def put(self, id: str, trial: Trial) -> None:
        """Keep one instead of the former of its transaction."""
        with self._lock:
            self._by_id[id] = trial
            self._by_id.move_to_end(id)
            while len(self._by_id) > MOST_TRIALS:
                self._by_id.popitem(last=False)

    def forget(self, id: str) -> None:
        """Keep none of a transaction."""
        with self._lock:
            self._by_id.pop(id, None)

    def clear(self) -> None:
        """Keep none."""
        with self._lock:
            self._by_id.clear()
