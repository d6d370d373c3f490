"""The collector: runs beside everything else for as long as the server does, and at once when somebody asks.

Besides cycles it counts the leader's ticks, by which leased sessions and pins of the dead end, refreshes sessions of
this process that go on for long, and looks for leftovers a folder at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from trunkline.catalog.collection import cycle as cycle_rows
from trunkline.catalog.collection import sessions as session_rows
from trunkline.catalog.collection.chunks import Key
from trunkline.errors import Aborted, FailedPrecondition, TrunklineError
from trunkline.pfs.collection.cycle import Cycle, Figures, would_free
from trunkline.pfs.collection.leftovers import FOLDERS, KINDS, sweep
from trunkline.pfs.collection.marking import Lists
from trunkline.pfs.collection.repack import Repacker
from trunkline.pfs.files import Files

log = logging.getLogger(__name__)

TICK_S = 10.0
ALLOWANCE = 6
"""Ticks after which a session of a worker, or a pin, that is not renewed ends."""

CYCLE_S = 30.0
"""A cycle begins so long after the last one ended, if there is anything to do."""
SHARE = 10
"""And not before so many times as long as that one took."""
FOLDER_S = 5.0
"""Between two folders that are searched for leftovers; a round of all of them takes an hour."""

REPACK_S = 600.0
"""Packs are looked at for dead bytes so long after that was last done, if file sets were deleted since; and not before
SHARE times as long as that took."""

AT_ONCE = 4
"""Cycles of one request: what is dead is condemned by the first, doomed by the second; more where more has died."""


class Collector:
    """One piece of work at a time by `step`, or for good by `start`; a whole collection by `collect`."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lists = Lists(files)
        self._repacker = Repacker(files, self._lists)
        self._cycle: Cycle | None = None
        self._working = threading.Lock()  # over cycles: the loop's, and those that are asked for
        self._stop = threading.Event()
        self._still = False
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        now_s = files.ambient.ticks_s()
        # Not at once: a server that starts has better things to do.
        self._tick_due_s, self._cycle_due_s, self._folder_due_s = now_s + TICK_S, now_s + CYCLE_S, now_s + FOLDER_S
        self._repack_due_s = now_s + REPACK_S
        self._counted = 0
        self._seen: tuple[int, int] | None = None
        self._pending = True
        self._folder = 0
        self._swept_to = -1
        self.total = Figures()
        """Everything since the server was started."""
        self.trouble = ""
        """Why the last cycle of the loop failed; "": it did not."""

    def step(self) -> float:
        """Do what is due. Answers for how many seconds there will be nothing. Raises TrunklineError; what failed is
        due again in time."""
        now_s = self._files.ambient.ticks_s()
        if now_s >= self._tick_due_s:
            self._tick_due_s = now_s + TICK_S
            self.tick()
        if self._still:
            return TICK_S
        if now_s >= self._cycle_due_s:
            self._cycle_due_s = now_s + CYCLE_S
            if self._anything_new():
                self._one_cycle()
        if now_s >= self._repack_due_s:
            self._one_repack()
        if now_s >= self._folder_due_s:
            self._folder_due_s = now_s + FOLDER_S
            self._one_folder()
        due_s = min(self._tick_due_s, self._cycle_due_s, self._repack_due_s, self._folder_due_s)
        return max(0.0, due_s - self._files.ambient.ticks_s())

    def tick(self) -> None:
        """Count a tick; end sessions and pins of the dead; keep those of this process that live."""
        self._files.keep()
        if self._files.catalog.read(session_rows.needs_ticks):
            ended = self._files.catalog.transact(lambda tx: session_rows.tick(tx, ALLOWANCE))
            for gen in ended:
                self._pending = True
                log.info("write session %s was not renewed and has ended", gen)

    def _anything_new(self) -> bool:
        """Whether something may have died since the last cycle, or is on its way out."""
        now = (self._files.catalog.wake.seq, self._files.catalog.read(session_rows.newest))
        if now == self._seen and not self._pending:
            return False
        self._seen = now
        return True

    def _one_cycle(self) -> None:
        began_s = self._files.ambient.ticks_s()
        figures = Figures()
        try:
            with self._working:
                if self._still:
                    return
                self._exhaust(self._through(figures))
            self.trouble = ""
        except TrunklineError as error:
            self.trouble = str(error)
            raise
        finally:
            self.total.add(figures)
            now_s = self._files.ambient.ticks_s()
            self._cycle_due_s = now_s + max(CYCLE_S, SHARE * (now_s - began_s))
            # What readers still pin, or sessions still wait for, is looked at again.
            left = self._files.catalog.read(cycle_rows.any_doomed)
            self._pending = bool(figures.moved or figures.condemned or left or self.trouble)

    def _one_repack(self) -> None:
        began_s = self._files.ambient.ticks_s()
        self._repack_due_s = began_s + REPACK_S
        if self.total.filesets == self._counted:
            return  # no file set was deleted since, so that no byte of a pack has died
        self._counted = self.total.filesets
        figures = Figures()
        try:
            with self._working:
                self._exhaust(self._repacker.run(figures))
        finally:
            self.total.add(figures)
            now_s = self._files.ambient.ticks_s()
            self._repack_due_s = now_s + max(REPACK_S, SHARE * (now_s - began_s))
            self._pending |= figures.rewritten > 0

    def _one_folder(self) -> None:
        if self._folder == 0:
            newest = self._files.catalog.read(session_rows.newest)
            if newest == self._swept_to:
                return  # nobody has written since the last round
            self._swept_to = newest
        figures = Figures()
        with self._working:
            if self._still:
                return
            self._exhaust(sweep(self._files, FOLDERS[self._folder], figures))
        self._folder = (self._folder + 1) % len(FOLDERS)
        self.total.add(figures)

    def _through(self, figures: Figures) -> Iterator[None]:
        """One cycle; with a new fence where another collector has taken the old one."""
        if self._cycle is None:
            self._cycle = Cycle(self._files, self._lists)
        try:
            yield from self._cycle.run(figures)
        except Aborted:
            self._cycle = None
            raise

    def _exhaust(self, steps: Iterator[None]) -> None:
        for _ in steps:
            if self._stop.is_set():
                raise Aborted("the server is being stopped; collection goes on when it starts again")

    def collect(self, *, dry: bool = False) -> Figures:
        """Collect all that can be now. dry: only say what would be freed. Takes as long as it takes.

        What open sessions or running reads may need stays: `Figures.waits` and `condemned` tell of it.
        Raises DataLoss for a chunk list that is missing or damaged: then nothing is freed.
        """
        figures = Figures()
        with self._working:
            if self._still:
                raise FailedPrecondition("a backup is being restored; collect when that has ended")
            if dry:
                self._exhaust(would_free(self._files, self._lists, figures))
            else:
                self._cycles(figures)
                self._exhaust(self._repacker.run(figures))
                if figures.rewritten:
                    self._cycles(figures)
            for kind in KINDS:
                self._exhaust(sweep(self._files, kind, figures, keep=dry))
        if not dry:
            self.total.add(figures)
        return figures

    def empty(self, chunks: Sequence[Key]) -> None:
        """Pack these chunks anew where any of their bytes are dead, and collect all that can be now, leftovers too.

        Raises FailedPrecondition while a backup is being restored, DataLoss, Aborted when the server stops.
        """
        figures = Figures()
        with self._working:
            if self._still:
                raise FailedPrecondition("a backup is being made or restored; collection goes on when that has ended")
            self._exhaust(self._repacker.empty(chunks, figures))
            self._cycles(figures)
            for kind in KINDS:
                self._exhaust(sweep(self._files, kind, figures))
        self.total.add(figures)

    def _cycles(self, figures: Figures) -> None:
        for _ in range(AT_ONCE):
            before = figures.newly_condemned, figures.doomed, figures.filesets
            self._exhaust(self._through(figures))
            # What one that was killed had condemned is clear once a whole cycle has noted that nobody is waited for.
            clear = figures.condemned and not figures.waits
            if before == (figures.newly_condemned, figures.doomed, figures.filesets) and not clear:
                return  # nothing moves any more

    @contextmanager
    def still(self) -> Iterator[None]:
        """Delete nothing while this is entered; what is being deleted is waited for."""
        with self._working:
            self._still = True
        try:
            yield
        finally:
            self._still = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step in hand."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended; not at all where it never began."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            try:
                pause_s = self.step()
            except TrunklineError as error:
                pause_s = TICK_S
                if not self._stop.is_set():
                    log.warning("collection could not go on, and tries again: %s", error)
            except Exception:
                pause_s = TICK_S
                log.exception("collection could not go on, and tries again")
