"""The one thread that writes: it takes the functions that wait and commits them together.

Each function runs inside a savepoint, so that an error of our own undoes that function only. An error of the driver
(disk full, interrupt) ends the whole transaction, the neighbours' finished work with it; then every function of the
group runs again, alone. Nobody is told anything before COMMIT has returned.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from trunkline.ambient import Ambient
from trunkline.catalog.engine.failures import in_words, is_fatal
from trunkline.catalog.engine.rehearsal import Rehearsal
from trunkline.catalog.engine.sqlite import Settings, raw_of
from trunkline.catalog.engine.tx import Scope, Seed, Tx, end, flush, names_of
from trunkline.catalog.engine.wake import Wake
from trunkline.errors import Internal, Unavailable

_LOG = logging.getLogger(__name__)
_GROUP = 128
_GROUP_S = 0.02
"""A group takes in no further function after this long, so that the first one is not kept waiting."""

_SLOW_S = 0.5
"""Said in the log above this. The aim for one function is a tenth of it."""


@dataclass(slots=True)
class Work:
    """A function on its way through the writer, and in the end its outcome."""

    run: Callable[[Tx], Any]
    seed: Seed
    keep: bool = True
    done: threading.Event = field(default_factory=threading.Event)
    value: Any = None
    error: BaseException | None = None
    last_event: int | None = None
    names: frozenset[str] = frozenset()


@dataclass(slots=True)
class Counts:
    """What the writer has done since it started. Read by metrics and by tests that count work."""

    functions: int = 0
    commits: int = 0
    reruns: int = 0
    checkpoints: int = 0
    longest_s: float = 0.0


class _GroupLost(Exception):
    """The transaction of the group is gone. `__cause__` is the driver's error."""


class Writer:
    """Owns the writing connection and its thread."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        wake: Wake,
        ambient: Ambient,
        rehearsal: Rehearsal | None = None,
    ) -> None:
        self.counts = Counts()
        self._connection = connection
        self._raw = raw_of(connection)
        self._driver_error: type[BaseException] = self._raw.Error
        self._wal = Path(f"{settings.path}-wal")
        self._wal_limit = settings.wal_limit_bytes
        self._fold_above = settings.wal_limit_bytes
        self._rehearsal = rehearsal
        self._wake = wake
        self._ambient = ambient
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._door = threading.Lock()
        self._closed = False
        self._refusing = ""
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, name="catalog-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> None:
        """Run `work` and wait for its outcome, which is then in it. Raises Unavailable when closed or broken."""
        if self.is_mine():
            raise Internal("a transaction cannot wait for another one: pass the tx on instead")
        with self._door:
            if self._closed:
                raise Unavailable("the catalog is closed")
            if self._refusing:
                raise Unavailable(self._refusing)
            self._waiting.put(work)
        work.done.wait()

    def refuse(self, why: str) -> None:
        """Take nothing more, and finish what waits. "": take work again."""
        last = Work(lambda _tx: None, Seed.draw(self._ambient), keep=False)
        with self._door:
            self._refusing = why
            if self._closed or not why:
                return
            self._waiting.put(last)
        last.done.wait()

    def fold_next(self) -> None:
        """Fold the log into the file with the next commit, however small it is."""
        self._fold_above = 0

    def is_mine(self) -> bool:
        """Whether the caller runs on the writer's own thread, inside a function of a transaction."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """Finish what waits, take nothing more, close the connection. A second call does nothing."""
        with self._door:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
        self._thread.join()
        self._connection.close()

    def _loop(self) -> None:
        while (group := self._take()) is not None:
            while group:
                served = self._serve(group)
                self._deliver(group[:served])
                group = group[served:]
            self._bound_log()

    def _take(self) -> list[Work] | None:
        """The functions that wait now, at least one; None when the catalog closes and nothing waits any more."""
        group: list[Work] = []
        try:
            item = self._waiting.get()
            while item is not None and len(group) < _GROUP:
                group.append(item)
                item = self._waiting.get_nowait()
        except queue.Empty:
            return group
        self._waiting.put(item)  # what did not fit, or the order to close
        return group or None

    def _serve(self, group: list[Work]) -> int:
        """Give the first functions of the group their outcomes, what succeeded being durable. Answers how many."""
        try:
            if self._broken is None:
                return self._together(group)
        except _GroupLost as lost:
            cause = lost.__cause__ or lost
            self._clear(cause)
            if len(group) == 1:
                _fail(group, self._in_words(cause))
                return 1
            self.counts.reruns += 1
            if self._broken is None:
                for work in group:
                    self._serve([work])
                    self._deliver([work])
                return len(group)
        except BaseException as error:
            self._clear(error)
            self._broken = self._broken or error
        _fail(group, Unavailable(f"the catalog has stopped after a failure ({self._broken}); restart the server"))
        return len(group)

    def _together(self, group: list[Work]) -> int:
        """One transaction with the first functions of the group, as many as fit its time."""
        try:
            self._raw.execute("BEGIN IMMEDIATE")
        except self._driver_error as error:
            if is_fatal(error):
                raise
            _fail(group, self._in_words(error))  # has nothing to do with any of them: no use to try each alone
            return len(group)
        until = self._ambient.ticks_s() + _GROUP_S
        count = 0
        for work in group:
            self._one(work)
            count += 1
            if self._ambient.ticks_s() > until:
                break
        try:
            self._raw.execute("COMMIT")
        except self._driver_error as error:
            raise _GroupLost from error
        self.counts.functions += count
        self.counts.commits += 1
        return count

    def _one(self, work: Work) -> None:
        """Run one function inside a savepoint of its own. Raises _GroupLost when that cost the transaction."""
        work.value = work.error = work.last_event = None
        self._raw.execute("SAVEPOINT one")
        try:
            work.value, work.last_event = self._run(work)
            if not self._raw.in_transaction:
                raise Internal("a function kept an error to itself that had ended its transaction")
        except BaseException as error:
            if not self._raw.in_transaction:
                raise _GroupLost from error
            work.error = self._in_words(error)
        if work.error is not None or not work.keep:
            self._raw.execute("ROLLBACK TO one")
            work.last_event = None
        self._raw.execute("RELEASE one")

    def _run(self, work: Work) -> tuple[Any, int | None]:
        if self._rehearsal is not None:
            self._rehearsal.first(self._raw, lambda: self._attempt(work))
            return self._rehearsal.again(lambda: self._attempt(work))
        return self._attempt(work)

    def _attempt(self, work: Work) -> tuple[Any, int | None]:
        tx = Tx(Scope(self._connection, lambda: self._raw.in_transaction, is_write=True, events=[]), work.seed)
        started = self._ambient.ticks_s()
        try:
            value = work.run(tx)
            work.names = names_of(tx)
            return value, flush(tx)
        finally:
            end(tx)
            held = self._ambient.ticks_s() - started
            self.counts.longest_s = max(self.counts.longest_s, held)
            if held > _SLOW_S:
                name = getattr(work.run, "__qualname__", repr(work.run))
                _LOG.warning("a function of a transaction kept all others waiting for %.2f s: %s", held, name)

    def _clear(self, cause: BaseException) -> None:
        """Leave no transaction behind; remember a failure after which nothing can be promised."""
        if is_fatal(cause):
            _LOG.critical("the catalog stops: %s", cause)
            self._broken = cause
        try:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")
        except self._driver_error as error:
            self._broken = error

    def _in_words(self, error: BaseException) -> BaseException:
        return in_words(error, isinstance(error, self._driver_error))

    def _deliver(self, served: list[Work]) -> None:
        last = max((work.last_event or 0 for work in served), default=0)
        if last > self._wake.seq:
            names = frozenset[str]().union(*(work.names for work in served if work.last_event))
            self._wake.set(last, names)  # first, so that who has its answer finds its own events announced
        for work in served:
            work.done.set()

    def _bound_log(self) -> None:
        """Fold a log that has grown large into the file. Readers are not waited for: a later commit tries again."""
        try:
            size = self._wal.stat().st_size
        except OSError:
            return
        if size <= self._fold_above:
            return
        self._raw.execute("PRAGMA busy_timeout = 50")
        try:
            busy = self._raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self.counts.checkpoints += 1
            self._fold_above = size + self._wal_limit // 4 if busy else self._wal_limit
        except self._driver_error as error:
            self._clear(error)
        finally:
            self._raw.execute("PRAGMA busy_timeout = 5000")


def _fail(group: list[Work], error: BaseException) -> None:
    for work in group:
        work.value, work.last_event, work.error = None, None, error
