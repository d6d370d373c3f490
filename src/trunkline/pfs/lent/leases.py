"""File sets that clients make without a commit, or take from one, and know by an id until its lease runs out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.lent import leases as lease_rows
from trunkline.catalog.lent.leases import LEASE_HOLDER, LeaseRow
from trunkline.errors import InvalidArgument, TrunklineError, Unimplemented
from trunkline.model.infos import CommitState
from trunkline.model.names import META_REPO, Commit, Repo
from trunkline.pfs import reads
from trunkline.pfs.edits import Edit, fold, need_open
from trunkline.pfs.files import Files, load
from trunkline.pfs.graph.history import DIFF_HOLDER
from trunkline.pfs.graph.refs import need_commit, refuse_forgotten
from trunkline.pfs.layers import compact_layers
from trunkline.pfs.lent.pseudo import need_lease, need_leases

log = logging.getLogger(__name__)

DEFAULT_TTL_S = 600
"""How long a file set lasts that nobody renews."""
MAX_TTL_S = 1800
MAX_LAYERS = 64
"""A composed file set of more layers is merged into one at once, so that reading it stays cheap."""
SAVE_EVERY_S = 10
"""How much of its clock a server that is killed may forget: leases last that much longer then."""
TICK_S = 1.0
LEASE_TOPIC = "lease"
_SLICE = 200


class Leases:
    """File sets on a lease, and the clock that ends them: it counts seconds in which a server runs, no wall time."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._saved = files.catalog.read(lease_rows.clock_s)
        self._offset = self._saved - files.ambient.ticks_s()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    @property
    def now_s(self) -> int:
        """What the clock shows. Where several servers lend, it is the wall clock, which they have in common."""
        if not self.files.catalog.alone:
            return self.files.ambient.now_us() // 1_000_000
        return int(self.files.ambient.ticks_s() + self._offset)

    # --- what clients ask for

    def create(self, edits: Iterable[Edit], ttl_s: int = DEFAULT_TTL_S) -> str:
        """A file set of a stream of edits; its id. Raises what `edits` raises."""
        with self.files.session("fileset") as session:
            writer = self.files.store.writer(session)
            fold(self.files, session, writer, edits)
            sealed = [one for one in writer.seal() if one.rows]
            ends_s = self.now_s + ttl_s

            def adopt(tx: Tx) -> str:
                lease = tx.new_id()
                session.adopt(tx, sealed, LEASE_HOLDER, lease)
                size = sum(one.size_bytes for one in sealed)
                lease_rows.insert_lease(tx, lease, [one.id for one in sealed], size, ends_s)
                return lease

            return session.finish(adopt)

    def of_commit(self, repo: Repo, ref: str, *, diff: bool = False) -> str | None:
        """The content of a commit, or only what it changed, as a file set; None while the commit is being finished.

        Raises NotFound, FailedPrecondition when the commit under an open one is itself unfinished.
        """
        ends_s = self.now_s + DEFAULT_TTL_S

        def work(tx: Tx) -> str | None:
            row = need_commit(tx, repo, ref)
            if row.state is CommitState.FINISHING:
                return None
            refuse_forgotten(row)
            if repo.type == META_REPO:
                raise Unimplemented(f"records of datums are written when they are read; read the files of {row.commit}")
            ids = commit_rows.layers(tx, row.seq) if diff else reads.content_of(tx, row, strict=True)
            return _lend(tx, ids, ends_s)

        return self.files.catalog.transact(work)

    def add_to(self, repo: Repo, ref: str, lease: str) -> None:
        """Lay a file set on an open commit. Raises NotFound, FailedPrecondition for a commit that is not open."""

        def work(tx: Tx) -> Commit:
            row = need_commit(tx, repo, ref)
            need_open(tx, row, spout=False)
            lent = need_lease(tx, lease)
            fileset_rows.share_all(tx, lent.filesets, DIFF_HOLDER, str(row.seq))
            commit_rows.append_layers(tx, row.seq, list(lent.filesets))
            commit_rows.grow(tx, row.seq, lent.size_bytes)
            return row.commit

        compact_layers(self.files, self.files.catalog.transact(work))

    def renew(self, lease: str, ttl_s: int) -> None:
        """Let a file set last `ttl_s` seconds from now, or longer where it does anyway. Raises NotFound."""
        ends_s = self.now_s + check_ttl(ttl_s)

        def work(tx: Tx) -> None:
            need_lease(tx, lease)
            lease_rows.extend(tx, lease, ends_s)

        self.files.catalog.transact(work)

    def compose(self, ids: Sequence[str], ttl_s: int, *, compact: bool = False) -> str:
        """File sets on top of each other, the first at the bottom, as a new one. ttl_s 0: the usual.

        compact: merged into one, which is then quicker to read. Raises NotFound.
        """
        ends_s = self.now_s + (check_ttl(ttl_s) if ttl_s else DEFAULT_TTL_S)
        if not ids:
            raise InvalidArgument("no file sets to compose: name one or more")
        wanted = list(ids)
        count = self.files.catalog.read(lambda tx: len(_stack(need_leases(tx, wanted))))
        if count <= (1 if compact else MAX_LAYERS):
            return self.files.catalog.transact(lambda tx: _lend(tx, _stack(need_leases(tx, wanted)), ends_s))
        return self._merged(wanted, ends_s)

    def _merged(self, ids: list[str], ends_s: int) -> str:
        with self.files.session("fileset") as session:

            def hold(tx: Tx) -> list[str]:
                stack = _stack(need_leases(tx, ids))
                fileset_rows.hold(tx, session.gen, stack)
                return stack

            stack = self.files.catalog.transact(hold)
            merged = self.files.store.compact(session, self.files.catalog.read(lambda tx: load(tx, stack)))

            def adopt(tx: Tx) -> str:
                lease = tx.new_id()
                session.adopt(tx, [merged], LEASE_HOLDER, lease)
                lease_rows.insert_lease(tx, lease, [merged.id], merged.size_bytes, ends_s)
                return lease

            return session.finish(adopt)

    # --- the clock

    def tick(self) -> None:
        """Call once a second. Ends leases whose time is over; costs one look where there is none."""
        now_s = self.now_s
        due = self.files.catalog.read(lease_rows.next_end)
        if due is None:
            return
        if due > now_s:
            if now_s - self._saved >= SAVE_EVERY_S:
                self.files.catalog.transact(lambda tx: lease_rows.set_clock(tx, now_s))
                self._saved = now_s
            return
        while self.files.catalog.transact(lambda tx: _end(tx, now_s)) == _SLICE:
            pass
        self._saved = now_s

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def stop(self) -> None:
        """End after the tick in hand, and wait for that."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                self.tick()
            except TrunklineError as error:
                log.warning("leases of file sets could not be ended; the next tick tries again: %s", error)


def check_ttl(ttl_s: int) -> int:
    """`ttl_s`, if a lease may last so long. Raises InvalidArgument."""
    if not 1 <= ttl_s <= MAX_TTL_S:
        raise InvalidArgument(f"a file set lasts 1 to {MAX_TTL_S} seconds from a renewal, not {ttl_s}")
    return ttl_s


def _stack(rows: Iterable[LeaseRow]) -> list[str]:
    return [fileset for row in rows for fileset in row.filesets]


def _lend(tx: Tx, filesets: Sequence[str], ends_s: int) -> str:
    lease = tx.new_id()
    fileset_rows.share_all(tx, filesets, LEASE_HOLDER, lease)
    size = sum(one.size_bytes for one in load(tx, filesets))
    lease_rows.insert_lease(tx, lease, filesets, size, ends_s)
    return lease


def _end(tx: Tx, now_s: int) -> int:
    lease_rows.set_clock(tx, now_s)
    ended = len(lease_rows.end_leases(tx, now_s, _SLICE))
    if ended:
        tx.emit(LEASE_TOPIC, {"ended": ended})  # collection looks only where something has happened
    return ended
