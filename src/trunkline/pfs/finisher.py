"""The finisher: closed commits get their fixed content, one after another, oldest first.

It merges the layers of a commit into one diff, validates them, and writes the runs of the commit's content. Work is
prepared outside any transaction and adopted only if the commit is still as it was.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted, Kind, TrunklineError
from trunkline.model.infos import CommitState
from trunkline.pfs.files import Files
from trunkline.pfs.graph import triggers
from trunkline.pfs.graph.changes import COMMIT_TOPIC, tell
from trunkline.pfs.graph.history import DIFF_HOLDER, RUNS_HOLDER
from trunkline.pfs.sessions import Session
from trunkline.storage import Finished, Sealed

log = logging.getLogger(__name__)

IDLE_S = 5.0
"""How long the finisher sleeps when nobody wakes it."""
RETRY_S = 1.0
"""How long it leaves a commit alone that it could not finish."""
TRIES = 3
"""After so many failures that time does not mend, a commit is closed with the failure as its error."""
AT_ONCE = 4
"""Commits that are finished beside each other."""
PASSING = (Kind.ABORTED, Kind.UNAVAILABLE, Kind.RESOURCE_EXHAUSTED)
"""Kinds of errors that another try may not meet."""


@dataclass(frozen=True, slots=True)
class _Work:
    row: CommitRow
    base: int | None
    base_runs: tuple[str, ...]
    layers: tuple[str, ...]


def finish_waiting(files: Files) -> int:
    """Finish every commit that can be; how many were."""
    done = 0
    while rows := files.catalog.read(lambda tx: commit_rows.next_finishing(tx, 0, 100)):
        for row in rows:
            finish_one(files, row.seq)
            done += 1
    return done


def finish_one(files: Files, seq: int) -> int:
    """Finish one commit. Does nothing if that has happened meanwhile. How many runs its content has."""
    runs: int | None = None
    while runs is None:  # its base was levelled meanwhile, or repacked: a commit on the old runs would undo that
        runs = _finish_once(files, seq)
    return runs


def _finish_once(files: Files, seq: int) -> int | None:
    work = files.catalog.read(lambda tx: _work(tx, seq))
    if work is None:
        return 0
    if not work.layers:
        return files.catalog.transact(lambda tx: _finish_empty(files, tx, work))
    try:
        session, found = files.session_on("finish", [*work.base_runs, *work.layers])
    except Aborted:
        if files.catalog.read(lambda tx: _work(tx, seq)) != work:
            return None
        raise
    base, layers = found[: len(work.base_runs)], found[len(work.base_runs) :]
    with session:
        if work.row.error:
            return session.finish(lambda tx: _finish_bad(files, tx, session, work, [*base, *layers], work.row.error))
        result = files.store.finish(session, base, layers, seq)
        if result.error:
            return session.finish(lambda tx: _finish_bad(files, tx, session, work, [*base, *layers], result.error))
        return session.finish(lambda tx: _finish_good(files, tx, session, work, result))


def give_up(files: Files, seq: int, why: str) -> None:
    """Close a commit that cannot be finished, with the reason as its error: what waits for it hears of it."""
    work = files.catalog.read(lambda tx: _work(tx, seq))
    if work is None:
        return
    session, content = files.session_on("finish", [*work.base_runs, *work.layers])
    with session:
        error = work.row.error or f"this commit could not be finished: {why}"
        session.finish(lambda tx: _finish_bad(files, tx, session, work, content, error))


def _work(tx: Tx, seq: int) -> _Work | None:
    row = commit_rows.get_commit(tx, seq)
    if row is None or row.state is not CommitState.FINISHING:
        return None
    base = base_of(tx, row)
    runs = tuple(commit_rows.runs(tx, base)) if base is not None else ()
    return _Work(row, base, runs, tuple(commit_rows.layers(tx, seq)))


def base_of(tx: Tx, row: CommitRow) -> int | None:
    """The commit whose content this one's diff changes: the nearest ancestor without error, unless it was fixed."""
    if row.base_fixed:
        return row.base
    parent = commit_rows.get_commit(tx, row.parent) if row.parent is not None else None
    return parent.seq if parent is not None and not parent.error else last_good(tx, row.parent)


def last_good(tx: Tx, seq: int | None) -> int | None:
    """The nearest commit without error that is finished, from this one back.

    A row of errors is passed in one step, by what the last of them stands on. Only output on top of nothing, from a
    job that began afresh, does not say what there was before it.
    """
    while seq is not None and (row := commit_rows.get_commit(tx, seq)) is not None:
        if row.finished and not row.error:
            return row.seq
        if row.base_fixed and (row.base is not None or not commit_rows.layers(tx, row.seq)):
            return row.base
        seq = row.parent
    return None


def _still(tx: Tx, work: _Work) -> bool:
    """Whether a commit's base is read from the runs it was read from. Raises Aborted where the commit changed."""
    row = commit_rows.get_commit(tx, work.row.seq)
    if row is None or row.version != work.row.version:
        raise Aborted(f"commit {work.row.commit} changed while it was being finished; it is tried again")
    return work.base is None or tuple(commit_rows.runs(tx, work.base)) == work.base_runs


def _finish_empty(files: Files, tx: Tx, work: _Work) -> int | None:
    """An empty diff: the commit shares its base's runs."""
    if not _still(tx, work):
        return None
    base = commit_rows.get_commit(tx, work.base) if work.base is not None else None
    size, count = (base.size_bytes or 0, base.files or 0) if base else (0, 0)
    _hold_runs(tx, work.row.seq, work.base_runs)
    _settle(files, tx, work, work.base_runs, work.row.error, size, count)
    return len(work.base_runs)


def _finish_good(files: Files, tx: Tx, session: Session, work: _Work, result: Finished) -> int | None:
    if not _still(tx, work):
        return None
    seq = work.row.seq
    diff = [result.diff] if result.diff is not None else []
    session.adopt(tx, diff, DIFF_HOLDER, str(seq))
    session.adopt(tx, result.manifest, RUNS_HOLDER, str(seq))
    for layer in work.layers:
        if layer not in {one.id for one in diff}:
            fileset_rows.release(tx, layer, DIFF_HOLDER, str(seq))
    commit_rows.replace_layers(tx, seq, [one.id for one in diff])
    _settle(files, tx, work, [one.id for one in result.manifest], "", result.size_bytes, result.files)
    return len(result.manifest)


def _finish_bad(
    files: Files, tx: Tx, session: Session, work: _Work, content: Sequence[Sealed], error: str
) -> int | None:
    """A commit with an error keeps its layers as they are: it can be read, and is nobody's base."""
    if not _still(tx, work):
        return None
    session.adopt(tx, content, RUNS_HOLDER, str(work.row.seq))
    base = commit_rows.get_commit(tx, work.base) if work.base is not None else None
    size = (base.size_bytes or 0) if base else 0
    size += sum(one.size_bytes for one in content[len(work.base_runs) :])
    _settle(files, tx, work, [one.id for one in content], error, size, 0)
    return 0  # nobody builds on them


def _hold_runs(tx: Tx, seq: int, runs: Sequence[str]) -> None:
    for run in runs:
        fileset_rows.share(tx, run, RUNS_HOLDER, str(seq))


def _settle(files: Files, tx: Tx, work: _Work, runs: Sequence[str], error: str, size_bytes: int, count: int) -> None:
    seq = work.row.seq
    if not work.row.base_fixed:
        commit_rows.fix_base(tx, seq, work.base)
    commit_rows.set_runs(tx, seq, runs)
    commit_rows.set_finished(tx, seq, error=error, size_bytes=size_bytes, files=count)
    for ready in commit_rows.input_finished(tx, seq):
        row = commit_rows.get_commit(tx, ready)
        if row is not None:
            tell(tx, row)
    row = commit_rows.get_commit(tx, seq)
    if row is not None:
        tell(tx, row)
    change = files.change_in(tx)
    triggers.fire(change, seq)
    change.close()


class Finisher:
    """The threads that finish commits, woken by the outbox.

    Commits that can be finished stand on finished ones, so they are finished beside each other: their transactions go
    to disk together, and a small one does not wait for a large one. One thread looks for them and the others take
    them from it.
    """

    def __init__(self, files: Files, finished: Callable[[int, int], object] = lambda _seq, _runs: None) -> None:
        """finished: hears of each commit that was finished, and how many runs it has."""
        self._files, self._finished = files, finished
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="finisher", daemon=True)
        self._hands = [threading.Thread(target=self._take, name=f"finisher-{at}", daemon=True) for at in range(AT_ONCE)]
        self._waiting: queue.SimpleQueue[CommitRow | None] = queue.SimpleQueue()
        self._in_hand: set[int] = set()
        self._failures: dict[int, tuple[int, float]] = {}  # seq -> how often in vain, and when to try again
        self._why: dict[int, str] = {}

    def start(self) -> None:
        """Begin, with what a previous run of the server left."""
        for thread in (*self._hands, self._thread):
            thread.start()

    def stop(self) -> None:
        """End after the commits in hand. `Catalog.wake` must be set once more for it to notice at once."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended; not at all where it never began."""
        deadline_s = self._files.ambient.ticks_s() + timeout_s
        for thread in (self._thread, *self._hands):
            if thread.is_alive():
                thread.join(max(0.0, deadline_s - self._files.ambient.ticks_s()))

    def _run(self) -> None:
        wake = self._files.catalog.wake
        while not self._stop.is_set():
            seen = wake.seq
            self._offer()
            wake.wait(seen, RETRY_S if self._failures or self._in_hand else IDLE_S, COMMIT_TOPIC)
        for _ in self._hands:
            self._waiting.put(None)

    def _offer(self) -> None:
        """Give commits to the other threads, a few more than they have in hand."""
        free = 2 * AT_ONCE - len(self._in_hand)
        if free <= 0:
            return
        limit = 2 * AT_ONCE + len(self._failures)
        for row in self._files.catalog.read(lambda tx: commit_rows.next_finishing(tx, 0, limit)):
            # One that failed a moment ago is left alone: it holds up no other.
            if row.seq not in self._in_hand and self._failures.get(row.seq, (0, 0.0))[1] <= self._now() and free:
                free -= 1
                self._in_hand.add(row.seq)
                self._waiting.put(row)

    def _now(self) -> float:
        return self._files.ambient.ticks_s()

    def _take(self) -> None:
        while (row := self._waiting.get()) is not None:
            self._try(row)
            self._in_hand.discard(row.seq)

    def _try(self, row: CommitRow) -> None:
        """Finish one commit."""
        if self._stop.is_set():
            return
        tries = self._failures.get(row.seq, (0, 0.0))[0]
        try:
            if tries < TRIES:
                self._finished(row.seq, finish_one(self._files, row.seq))
            else:
                give_up(self._files, row.seq, self._why.pop(row.seq))
            self._failures.pop(row.seq, None)
        except Exception as error:
            passing = isinstance(error, TrunklineError) and error.kind in PASSING
            if not isinstance(error, TrunklineError):
                log.exception("finishing %s failed", row.commit)
            log.warning("commit %s could not be finished and is tried again: %s", row.commit, error)
            self._failures[row.seq] = (tries + (not passing), self._files.ambient.ticks_s() + RETRY_S)
            self._why[row.seq] = f"{error}" if isinstance(error, TrunklineError) else f"a bug: {error!r}"
