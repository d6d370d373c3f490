"""Levelling: a commit's content is read from few runs, and finishing a commit does not pay for that.

Finishing adds a small run and merges what is about as small. So runs of middling size become more and more; here they
are merged into one, beside everything else, and put in their place with every commit that has them one after another.
Killed anywhere, that has happened or has not: what was written for nothing is collected, and the next start looks at
the heads of all branches.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial

from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog.collection.exchange import exchange_runs
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted, TrunklineError
from trunkline.pfs.files import Files, load
from trunkline.pfs.sessions import Session
from trunkline.storage import Sealed
from trunkline.storage.writing.levels import MAX_RUNS

log = logging.getLogger(__name__)

PAGE = 200
"""Commits that one transaction changes."""
NEWEST = 1 << 62
RETRY_S = 10.0


def level(files: Files, seq: int) -> int:
    """Merge runs of a finished commit until it has few. How many times that was done."""
    done = 0
    while _level_once(files, seq):
        done += 1
    return done


def _level_once(files: Files, seq: int) -> bool:
    runs = files.catalog.read(lambda tx: _runs(tx, seq))
    chosen = files.store.crowd(runs)
    if chosen is None:
        return False
    old = [run.id for run in runs[slice(*chosen)]]
    with files.session("level") as session:
        new = files.store.level(session, files.held(session, old))
        return _exchange(files, session, seq, old, new)


def _runs(tx: Tx, seq: int) -> list[Sealed]:
    row = commit_rows.get_commit(tx, seq)
    if row is None or not row.finished or row.error:
        return []
    return load(tx, commit_rows.runs(tx, seq))


def _exchange(files: Files, session: Session, seq: int, old: Sequence[str], new: Sealed) -> bool:
    """Put the new run in the place of the old ones, newest commits first: it is these that others are built on."""
    below, any_changed = NEWEST, False
    while True:
        page = partial(exchange_runs, gen=session.gen, old=old, new=new, seq=seq, below=below, limit=PAGE)
        changed, below = files.catalog.transact(page)
        if not changed:
            return any_changed
        any_changed = True


def crowded_heads(tx: Tx) -> list[int]:
    """Heads of branches with so many runs that they should be levelled."""
    return history_rows.heads_of_many_runs(tx, MAX_RUNS)


class Leveller:
    """The thread that levels what the finisher tells it of, and at its start what an earlier server left."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._crowded: dict[int, None] = {}
        self._told = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="leveller", daemon=True)

    def tell(self, seq: int, runs: int) -> None:
        """A commit was finished, and has so many runs."""
        if runs > MAX_RUNS:
            with self._told:
                self._crowded[seq] = None
                self._told.notify()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the commit in hand."""
        with self._told:
            self._stopped = True
            self._told.notify()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended; not at all where it never began."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        for head in self._files.catalog.read(crowded_heads):
            self.tell(head, MAX_RUNS + 1)
        while (seq := self._next()) is not None:
            try:
                level(self._files, seq)
            except Aborted:
                continue  # it was deleted meanwhile, or its runs were repacked; the next commit brings it back
            except TrunklineError as error:
                log.warning("the runs of a commit could not be merged; a later commit tries again: %s", error)
                with self._told:
                    self._told.wait_for(lambda: self._stopped, RETRY_S)
            except Exception:
                log.exception("the runs of a commit could not be merged; a later commit tries again")

    def _next(self) -> int | None:
        """The newest: those before it often have the same runs, and are done with it."""
        with self._told:
            self._told.wait_for(lambda: self._stopped or bool(self._crowded))
            return None if self._stopped else self._crowded.popitem()[0]
