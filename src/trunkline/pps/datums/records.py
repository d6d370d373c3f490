"""The meta repo: what a job recorded of its datums, as files that are made when they are read.

`/meta/<datum>/meta` is a record as JSON; `/pfs/<datum>/<input>/…` is what the datum saw and `/pfs/<datum>/out/…` what
it wrote, by reference. The truth is the job's datum table, its inputs and its output; nothing of this is stored.
A record does not change while its datum is skipped, so that pipelines that read records skip as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from trunkline.catalog import commits as commit_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import jobs as job_rows
from trunkline.model.datums import Element
from trunkline.model.infos import CommitState
from trunkline.model.names import META_REPO, Commit
from trunkline.pfs import outputs
from trunkline.pfs.files import Files, load
from trunkline.pps.assemble import Harvest, full_table, gather, made_by
from trunkline.pps.datums.listing import by_id
from trunkline.pps.datums.texts import text_of, total_size
from trunkline.pps.tables import JobTable, Tables
from trunkline.storage import RenderedRun, View, directory_row, text_rows, with_directories

META_PART = 1000
"""Records in one part."""
LEAST_PFS_PART = 16
MOST_PFS_PARTS = 256
"""Each part of /pfs looks through the output once."""
META, PFS = "/meta/", "/pfs/"
EMPTY = blake3(b"").digest()


@dataclass
class Records:
    """Fills `pfs.files.RecordsPort`."""

    _tables: Tables | None = None

    def __call__(self, files: Files, tx: Tx, commit: CommitRow) -> tuple[tuple[str, ...], View] | None:
        """See the port. The commit of a job that is gone, or has no datums yet, is empty."""
        if self._tables is None:
            self._tables = Tables(files)
        job = job_rows.by_commits(tx, [commit.seq]).get(commit.seq)
        harvest = gather(tx, job.seq) if job is not None else None
        if harvest is None or harvest.job.datums is None:
            return (), files.store.view(())
        output = commit_rows.get_commit(tx, harvest.job.output_commit)
        if output is not None and output.state is CommitState.FINISHING:
            return None
        written = made_by(harvest)
        if output is not None and output.finished:
            written = list(outputs.content_filesets(tx, output.seq))
        held, views = list(written), {}
        for row in outputs.inputs_of(tx, harvest.job.output_commit):
            shown = self._input(files, tx, row)
            if shown is None:
                return None
            views[row.commit] = shown[1]
            held += shown[0]
        pages = _Pages(files, self._tables, harvest, views, files.store.view(load(tx, written)), tuple(written))
        return tuple(held), pages.view()

    def _input(self, files: Files, tx: Tx, row: CommitRow) -> tuple[tuple[str, ...], View] | None:
        if row.commit.repo.type == META_REPO:
            return self(files, tx, row)
        ids = tuple(outputs.content_filesets(tx, row.seq)) if row.finished else ()
        return ids, files.store.view(load(tx, ids))


@dataclass
class _Pages:
    """One job's records, rendered by parts. inputs: content by commit; output: what its datums wrote."""

    files: Files
    tables: Tables
    harvest: Harvest
    inputs: dict[Commit, View]
    output: View
    written: tuple[str, ...]

    @cached_property
    def table(self) -> JobTable:
        """All that is known of the datums by now."""
        return full_table(self.tables, self.harvest)

    @cached_property
    def order(self) -> np.ndarray:
        """Rows by ID."""
        return by_id(self.table.rows["id"].combine_chunks())

    def view(self) -> View:
        """Nothing is read before it is looked at."""
        return View(lambda: [run] if (run := self.run()).count else [], self.files.store.reader)

    def run(self) -> RenderedRun:
        """The parts: the root, the records, what was seen and written."""
        job = self.harvest.job
        known = [*(job.datums or ()), *self.written, *(str(one.first) for one in self.harvest.reports)]
        name = f"records {job.seq} {blake3(json.dumps(known).encode()).hexdigest()}"
        if not len(self.order):
            return RenderedRun(name, [], lambda number: self.head("/", name))
        metas, seen = self._slices(META_PART), self._slices(max(LEAST_PFS_PART, -(-len(self.order) // MOST_PFS_PARTS)))
        spans = [("/", "/"), (META, META), *(self._span(META, rows) for rows in metas)]
        spans += [(PFS, PFS), *(self._span(PFS, rows) for rows in seen)]

        def render(number: int) -> pa.RecordBatch:
            if number < 2:
                return self.head(("/", META)[number], name)
            number -= 2
            if number < len(metas):
                return with_directories([self.records(metas[number])], 2)
            number -= len(metas)
            return with_directories(self.seen(seen[number - 1]), 2) if number else self.head(PFS, name)

        return RenderedRun(name, spans, render, [0, 1, *[2] * len(metas), 1, *[2] * len(seen)])

    def _slices(self, size: int) -> list[np.ndarray]:
        return [self.order[start : start + size] for start in range(0, len(self.order), size)]

    def _span(self, folder: str, rows: np.ndarray) -> tuple[str, str]:
        ids = self.table.rows["id"]
        return f"{folder}{ids[int(rows[0])].as_py().hex()}/", f"{folder}{ids[int(rows[-1])].as_py().hex()}0"

    def head(self, path: str, name: str) -> pa.RecordBatch:
        """One of the topmost directories. Its hash changes with the job's results; no record is made for its sums."""
        size, count = 0, len(self.order)
        if path != PFS:
            size += total_size(self.harvest.job.job, self.table)
        if path != META:
            written = pc.sum(self.table.rows["upload_bytes"]).as_py() or 0
            size += int(pc.sum(self.table.datums.sizes).as_py() or 0) + int(written)
        return directory_row(path, count, size, blake3(f"{name} {path}".encode()).digest())

    # --- /meta

    def records(self, rows: np.ndarray) -> pa.RecordBatch:
        """The record of each of these datums."""
        wanted = pa.array(rows)
        known = self.table.rows.take(wanted).to_pylist()
        elements = self.table.datums.take(wanted).datums(0, len(rows))
        hashes = self.table.datums.hashes(self.harvest.job.salt, wanted).to_pylist()
        sources = {one["source"] for one in known if one["source"] >= 0}
        jobs = self.files.catalog.read(lambda tx: job_rows.get_jobs(tx, sources))
        here = self.harvest.job.job
        texts, ids = [], []
        for one, datum, digest in zip(known, elements, hashes, strict=True):
            ran = jobs[one["source"]].job if one["source"] in jobs else here
            texts.append(text_of(ran, one, datum, digest))
            ids.append(one["id"].hex())
        return text_rows([f"{META}{each}/meta" for each in ids], texts, ids)

    # --- /pfs

    def seen(self, rows: np.ndarray) -> list[pa.RecordBatch]:
        """What these datums saw and wrote, in any order."""
        ids = [raw.hex() for raw in self.table.rows["id"].take(pa.array(rows)).to_pylist()]
        found = []
        for datum, elements in zip(ids, self.table.datums.take(pa.array(rows)).datums(0, len(rows)), strict=True):
            for element in elements:
                found += self._element(datum, element)
        wanted = pa.array(ids)
        for batch in self.output.rows("/"):
            mine = batch.filter(pc.is_in(batch.column("datum"), value_set=wanted))
            if mine.num_rows:
                folder = pc.binary_join_element_wise(PFS, mine.column("datum"), "/out", "")
                found.append(_moved(mine, folder, mine.column("datum")))
        return found

    def _element(self, datum: str, element: Element) -> list[pa.RecordBatch]:
        view = self.inputs.get(Commit(element.slot.source, element.slot.commit))
        if view is None:
            return []
        prefix = f"{element.path.rstrip('/')}/" if element.is_dir else element.path
        found = []
        for batch in view.rows(prefix):
            count = batch.num_rows
            folder = pa.array([f"{PFS}{datum}/{element.slot.name}"] * count)
            rows = _moved(batch, folder, pa.array([datum] * count))
            found.append(_emptied(rows) if element.slot.empty_files else rows)
        return found


def _moved(batch: pa.RecordBatch, folder: pa.Array, datum: pa.Array) -> pa.RecordBatch:
    """Rows of files, below another folder, tagged with a datum."""
    schema = text_rows([], [], []).schema
    columns = {
        "path": pc.binary_join_element_wise(folder, batch.column("path"), ""),
        "datum": datum,
        "since": pa.array(np.zeros(batch.num_rows, np.int64)),
    }
    return pa.RecordBatch.from_arrays(
        [columns.get(each.name, batch.column(each.name)) for each in schema], schema=schema
    )


def _emptied(batch: pa.RecordBatch) -> pa.RecordBatch:
    paths, datums = batch.column("path").to_pylist(), batch.column("datum").to_pylist()
    return text_rows(paths, [b""] * len(paths), datums)
