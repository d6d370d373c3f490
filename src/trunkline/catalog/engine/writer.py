"""The one thread that writes: it takes the functions that wait and commits them together.

Each function of several runs inside a savepoint, so that an error of our own undoes that function only. An error of the
driver (disk full, interrupt) ends the whole transaction, the neighbours' finished work with it; then every function of
the group runs again, alone. What a database says will pass (it could not serialise, its connection broke) has the group
run again as it is. Nobody is told anything before COMMIT has returned.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection

from trunkline.ambient import Ambient
from trunkline.catalog.engine.fixed import Line
from trunkline.catalog.engine.rehearsal import Rehearsal
from trunkline.catalog.engine.tx import Marks, Scope, Seed, Tx, end, flush, names_of
from trunkline.catalog.engine.wake import Wake
from trunkline.errors import Aborted, Internal, TrunklineError, Unavailable

_LOG = logging.getLogger(__name__)
RELEASE = "RELEASE one"
"""Comes before the next savepoint of a group or the end of its transaction, whatever that is."""
_GROUP = 128
_GROUP_S = 0.02
"""A group takes in no further function after this long, so that the first one is not kept waiting."""

_SLOW_S = 0.5
"""Said in the log above this. The aim for one function is a tenth of it."""
_TRIES = 10
"""So often a group is run in all whose failures are said to pass."""


class Writing(Protocol):
    """The connection that writes: how a transaction begins, ends and fails on a database of some kind."""

    checkpoints: int

    @property
    def connection(self) -> Connection:
        """For statements, while there is a transaction."""
        ...

    @property
    def line(self) -> Line:
        """The same, for statements whose text never changes."""
        ...

    def begin(self) -> None:
        """From here on nobody else changes anything. Raises the driver's errors, as all of these."""
        ...

    def commit(self, last_event: int, names: Set[str]) -> None:
        """All of it is durable. last_event: number of the newest event in it, 0 without any; names: what they are
        about."""
        ...

    def epoch(self) -> int | None:
        """The term of the present leader; None: nobody else could lead."""
        ...

    def rollback(self) -> None:
        """Leave no transaction behind; there need not be one."""
        ...

    def run(self, words: str) -> None:
        """A statement without values and without an answer."""
        ...

    def settle(self) -> None:
        """Have happen what a function changed and did not wait for."""
        ...

    def sound(self) -> bool:
        """Whether the transaction is open, and no error has ended it."""
        ...

    def lost(self, error: BaseException) -> bool:
        """Whether this error cost the whole transaction, and not only what came after the last savepoint."""
        ...

    def passes(self, error: BaseException) -> bool:
        """Whether the same transaction may well succeed when it is run again."""
        ...

    def is_driver(self, error: BaseException) -> bool:
        """Whether the database's driver raised it."""
        ...

    def is_fatal(self, error: BaseException) -> bool:
        """Whether nothing may be written any more."""
        ...

    def in_words(self, error: BaseException) -> BaseException:
        """The error for the caller."""
        ...

    def numbers(self) -> object:
        """Which numbers rows will get, where a rollback does not take those back that were given."""
        ...

    def restore_numbers(self, numbers: object) -> None:
        """Give the same numbers again. For rehearsals: else nobody may."""
        ...

    def fold_next(self) -> None:
        """Tidy up with the next commit, where there is something to tidy."""
        ...

    def committed(self) -> BaseException | None:
        """Called when a group has been told. Answers what went wrong in tidying up."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


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
    epoch: int | None = None
    """Only to be run in this term of a leader."""


@dataclass(slots=True)
class Counts:
    """What the writer has done since it started. Read by metrics and by tests that count work."""

    functions: int = 0
    commits: int = 0
    reruns: int = 0
    retries: int = 0
    checkpoints: int = 0
    longest_s: float = 0.0


class _GroupLost(Exception):
    """The transaction of the group is gone. `__cause__` is the driver's error."""


class Writer:
    """Owns the writing connection and its thread."""

    def __init__(self, side: Writing, wake: Wake, ambient: Ambient, rehearsal: Rehearsal | None = None) -> None:
        self.counts = Counts()
        self._side = side
        self._rehearsal = rehearsal
        self._marks = Marks()
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
        self._side.fold_next()

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
        self._side.close()

    def _loop(self) -> None:
        while (group := self._take()) is not None:
            while group:
                served = self._serve(group)
                self._deliver(group[:served])
                group = group[served:]
            if (error := self._side.committed()) is not None:
                self._clear(error)
            self.counts.checkpoints = self._side.checkpoints

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

    def _serve(self, group: list[Work], tries: int = _TRIES) -> int:
        """Give the first functions of the group their outcomes, what succeeded being durable. Answers how many."""
        try:
            if self._broken is None:
                return self._together(group)
        except _GroupLost as lost:
            cause = lost.__cause__ or lost
            self._clear(cause)
            if self._side.passes(cause) and tries > 1:
                self.counts.retries += 1
                return self._serve(group, tries - 1)
            if len(group) == 1:
                _fail(group, self._side.in_words(cause))
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
            self._side.begin()
        except BaseException as error:
            if self._side.is_fatal(error) or not (isinstance(error, TrunklineError) or self._side.is_driver(error)):
                raise
            self._clear(error)
            _fail(group, self._side.in_words(error))  # nothing to do with any of them: no use to try each alone
            return len(group)
        until = self._ambient.ticks_s() + _GROUP_S
        count, alone = 0, len(group) == 1
        for work in group:
            self._one(work, alone)
            count += 1
            if self._ambient.ticks_s() > until:
                break
        self._end(group[:count], alone)
        self.counts.functions += count
        self.counts.commits += 1
        return count

    def _end(self, group: list[Work], alone: bool) -> None:
        if alone and (group[0].error is not None or not group[0].keep):
            self._side.rollback()
            return
        try:
            self._side.commit(*_news(group))
        except BaseException as error:
            if isinstance(error, TrunklineError) or self._side.is_driver(error):
                raise _GroupLost from error
            raise

    def _one(self, work: Work, alone: bool) -> None:
        """Run one function, inside a savepoint of its own unless it is the only one. Raises _GroupLost when that cost
        the transaction."""
        work.value = work.error = work.last_event = None
        marks = dict(self._marks.of)
        if not alone:
            self._side.run("SAVEPOINT one")
        try:
            if work.epoch is not None and self._side.epoch() != work.epoch:
                raise Aborted("another server leads now; this one stops")
            work.value, work.last_event = self._run(work)
            if not (alone and work.keep):  # else COMMIT tells
                self._side.settle()
            if not self._side.sound():
                raise Internal("a function kept an error to itself that had ended its transaction")
        except BaseException as error:
            if self._side.lost(error):
                raise _GroupLost from error
            work.error = self._side.in_words(error)
        if work.error is not None or not work.keep:
            work.last_event = None
            self._marks.of = marks
            if not alone:
                self._side.run("ROLLBACK TO one")
        if not alone:
            self._side.run(RELEASE)

    def _run(self, work: Work) -> tuple[Any, int | None]:
        if self._rehearsal is not None:
            marks = dict(self._marks.of)
            self._rehearsal.first(self._side, lambda: self._attempt(work))
            self._marks.of = marks
            return self._rehearsal.again(lambda: self._attempt(work))
        return self._attempt(work)

    def _attempt(self, work: Work) -> tuple[Any, int | None]:
        side = self._side
        scope = Scope(side.connection, side.line, side.sound, is_write=True, events=[], marks=self._marks)
        tx = Tx(scope, work.seed)
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
        if self._side.is_fatal(cause):
            _LOG.critical("the catalog stops: %s", cause)
            self._broken = cause
        try:
            self._side.rollback()
        except BaseException as error:
            if not self._side.is_driver(error):
                raise
            self._broken = error

    def _deliver(self, served: list[Work]) -> None:
        last, names = _news(served)
        if last > self._wake.seq:
            self._wake.set(last, names)  # first, so that who has its answer finds its own events announced
        for work in served:
            work.done.set()


def _news(group: list[Work]) -> tuple[int, frozenset[str]]:
    """The number of the newest event of some functions, 0 without any, and what all of them are about."""
    last = max((work.last_event or 0 for work in group), default=0)
    return last, frozenset[str]().union(*(work.names for work in group if work.last_event))


def _fail(group: list[Work], error: BaseException) -> None:
    for work in group:
        work.value, work.last_event, work.error = None, None, error
