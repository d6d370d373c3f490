"""Datums that saw what is purged: found by a job's table, and marked there so that none counts as done any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import jobs as job_rows
from trunkline.catalog.work.jobs import JobRow
from trunkline.errors import Aborted
from trunkline.model.datums import DatumTable
from trunkline.model.names import Commit
from trunkline.pfs.files import Files
from trunkline.pfs.purging.hits import Hits
from trunkline.pfs.sessions import Session
from trunkline.pps.machine import TABLE_HOLDER
from trunkline.pps.tables import JobTable, Tables
from trunkline.pps.tables import replace as with_columns

UNKNOWN = b""
"""The hash of an element that was purged: no content has it, so that whoever compares finds a change."""


@dataclass
class Lineage:
    """Fills `pfs.purging.hits.LineagePort`."""

    files: Files
    tables: Tables

    def __call__(self, commit: CommitRow, hits_of: Callable[[Commit], Hits]) -> SeenBy | None:
        """See the port."""
        job = self.files.catalog.read(lambda tx: job_rows.by_commits(tx, [commit.seq]).get(commit.seq))
        if job is None or not job.datums:
            return None
        table = self.tables.load(job.datums)
        elements = table.datums.elements
        slots = elements.column("slot").combine_chunks().to_numpy()
        touched = np.zeros(elements.num_rows, dtype=np.bool_)
        for number, slot in enumerate(table.datums.slots):
            mine = np.flatnonzero(slots == number)
            hits = hits_of(Commit(slot.source, slot.commit)) if len(mine) else Hits()
            if hits:
                some = elements.take(pa.array(mine))
                is_dir = some.column("is_dir").combine_chunks().to_numpy(zero_copy_only=False)
                touched[mine] = hits.touch(some.column("path").combine_chunks(), is_dir)
        return SeenBy(self.tables, job, table, touched)


@dataclass
class SeenBy:
    """Fills `pfs.purging.hits.Used`. touched: which elements are, or have, something that goes."""

    tables: Tables
    job: JobRow
    table: JobTable
    touched: np.ndarray

    @cached_property
    def _blank(self) -> np.ndarray:
        hashes = self.table.datums.elements.column("hash").combine_chunks()
        return np.asarray(pc.equal(hashes, UNKNOWN).to_numpy(zero_copy_only=False))

    @cached_property
    def _rows(self) -> np.ndarray:
        return self._with(self.touched | self._blank)

    def _with(self, elements: np.ndarray) -> np.ndarray:
        """Rows of datums with one of these elements."""
        rows = self.table.datums.rows
        owners = np.repeat(np.arange(len(rows)), pc.list_value_length(rows).to_numpy(zero_copy_only=False))
        return np.unique(owners[elements[rows.flatten().to_numpy()]])

    @property
    def datums(self) -> pa.Array:
        """See the port."""
        ids = self.table.rows["id"].take(pa.array(self._rows)).to_pylist()
        return pa.array([one.hex() for one in ids], pa.string())

    @property
    def fresh(self) -> int:
        """See the port."""
        return len(self._with(self.touched & ~self._blank))

    def mark(self, session: Session, note: str) -> Callable[[Tx], Sequence[str]]:
        """See the port."""
        key, old = str(self.job.seq), self.job.datums or ()
        self.tables.files.held(session, old)
        saved = self.tables.save(session, self._marked(note))

        def adopt(tx: Tx) -> Sequence[str]:
            now = job_rows.get_job(tx, self.job.seq)
            if now is None:
                return ()
            if now.datums != old:
                raise Aborted(f"the datum table of {now.job} changed while results were taken out of it")
            fileset_rows.drop_holder(tx, TABLE_HOLDER, key)
            session.adopt(tx, saved, TABLE_HOLDER, key)
            job_rows.set_table(tx, now.seq, now.table_gen, [one.id for one in saved], now.adopted)
            return old

        return adopt

    def _marked(self, note: str) -> JobTable:
        datums, rows = self.table.datums, self.table.rows
        gone = pa.array(self.touched | self._blank)
        hashes = pc.if_else(gone, UNKNOWN, datums.elements.column("hash").combine_chunks())
        at = datums.elements.schema.get_field_index("hash")
        elements = datums.elements.set_column(at, datums.elements.schema.field(at), hashes)
        mine = np.zeros(rows.num_rows, dtype=np.bool_)
        mine[self._with(self.touched & ~self._blank)] = True
        reasons = pc.if_else(pa.array(mine), note, rows["reason"].combine_chunks())
        fresh = DatumTable(datums.slots, elements, datums.rows, datums.project)
        return replace(self.table, datums=fresh, rows=with_columns(rows, reason=reasons))
