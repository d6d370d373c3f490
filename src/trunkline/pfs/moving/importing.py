"""A bundle made a repo again, in one transaction behind everything that it needs.

Until then all belongs to a write session: whatever ends it, nothing of the repo is there, and what was stored is
collected. Whoever begins again soon finds most of it by its hash.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from trunkline.catalog import repos as repo_rows
from trunkline.catalog.copies import repos as rows
from trunkline.catalog.copies.notes import Notes
from trunkline.catalog.engine import Tx
from trunkline.errors import AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument, NotFound, TrunklineError
from trunkline.model.backups import bundles as form
from trunkline.model.backups.records import ABOUT, SMALL_BYTES, Record, records
from trunkline.model.names import Repo, check_branch
from trunkline.pfs.files import Files
from trunkline.pfs.graph import repos as repo_rules
from trunkline.pfs.sessions import Session
from trunkline.storage import NewChunk, Part, Sealed
from trunkline.storage.chunks.whole import BLOB_MAX

REGISTER = 64
"""Chunks, or file sets, whose rows are written at once."""
LAST_SEQ = 1 << 48
PART_BYTES = 1 << 30


@dataclass(slots=True)
class Imported:
    """What came. notes: what is not as it was, a sentence each."""

    repo: Repo
    commits: int = 0
    branches: int = 0
    tags: int = 0
    chunks: int = 0
    chunk_bytes: int = 0
    known_chunks: int = 0
    notes: list[str] = field(default_factory=list)


def import_bundle(
    files: Files, folder: Path, wanted: Repo, bundles: Iterator[Iterable[bytes]], earlier: int
) -> Imported:
    """Make the repo that the last bundle holds; the `earlier` ones before it have chunks that it only lists.

    folder: where its rows lie meanwhile. wanted: its name and project; "": the bundle's own. Raises AlreadyExists,
    InvalidArgument, FailedPrecondition (newer bundle, lacking chunks), DataLoss for a damaged bundle, naming the part.
    """
    place = folder / files.ambient.new_id()
    place.mkdir(parents=True, mode=0o700)
    try:
        with files.session("import") as session, closing(Notes(place / "filesets")) as made:
            taking = _Taking(files, session, place, made, wanted)
            for number, pieces in enumerate(bundles):
                taking.take(pieces, chunks_only=number < earlier)
            return taking.finish()
    finally:
        shutil.rmtree(place, ignore_errors=True)


class _Taking:
    """Bundles taken in, one after another; the last one is the repo."""

    def __init__(self, files: Files, session: Session, folder: Path, made: Notes, wanted: Repo) -> None:
        self._files, self._session, self._made, self._wanted = files, session, made, wanted
        self._commits = folder / "commits"
        self._answer = Imported(wanted)
        self._about: form.About | None = None
        self._refs: rows.Values = {}
        self._shift = 0
        self._new: list[NewChunk] = []
        self._pending: set[bytes] = set()
        self._lacking: dict[str, None] = {}
        self._sealed = 0

    def take(self, pieces: Iterable[bytes], *, chunks_only: bool) -> None:
        """One bundle."""
        found = records(form.FORM, pieces)
        for record in found:
            if record.kind == form.CHUNK:
                self._chunk(record)
            elif chunks_only or record.kind == form.END:
                continue
            elif record.kind == ABOUT and self._about is None:
                self._begin(form.About.from_bytes(record.bytes(SMALL_BYTES)))
            elif record.kind == form.REFS:
                self._refs = form.read_json(record.bytes(form.TEXT_BYTES), "the list of branches and tags")
            elif record.kind == form.COMMITS:
                self._note_commits(record.bytes(form.TEXT_BYTES))
            elif record.kind == form.LISTED:
                self._expect(record.name)
            elif record.kind == form.FILESET:
                self._fileset(record, found)
            else:
                raise InvalidArgument(f"the bundle is not in order: it has {record.name or 'a record'} where none goes")

    def _begin(self, about: form.About) -> None:
        self._about = about
        if not 0 <= about.commits <= about.last_seq <= LAST_SEQ:
            raise InvalidArgument(f"the bundle says that its commits go up to {about.last_seq}, which cannot be")
        wanted = self._wanted
        self._answer.repo = Repo(wanted.project or about.project, wanted.name or about.name)
        self._files.catalog.read(self._must_be_new)
        self._shift = self._files.catalog.transact(lambda tx: rows.reserve(tx, about.last_seq))

    def _must_be_new(self, tx: Tx) -> None:
        repo = self._answer.repo
        if repo_rows.find_project(tx, repo.project) is None:
            raise NotFound(
                f'project "{repo.project}" not found: make it with `pachctl create project {repo.project}`, '
                "or import into another one with --project"
            )
        if repo_rows.find_repo(tx, repo) is not None:
            raise AlreadyExists(f"repo {repo} already exists; import under another name with --repo, or delete it")

    # --- content

    def _chunk(self, record: Record) -> None:
        digest = _digest(record.name)
        if digest in self._pending or self._session.known([digest]):
            self._answer.known_chunks += 1
            return
        chunk = self._files.store.chunk_from(self._session, digest, record.bytes(BLOB_MAX))
        self._new.append(chunk)
        self._pending.add(digest)
        self._answer.chunks += 1
        self._answer.chunk_bytes += chunk.stored_bytes
        if len(self._new) >= REGISTER:
            self._register()

    def _register(self) -> None:
        if self._new:
            self._session.register(self._new)
            self._new.clear()
            self._pending.clear()

    def _expect(self, name: str) -> None:
        digest = _digest(name)
        if digest not in self._pending and not self._session.known([digest]):
            since = self._about.since if self._about else ""
            raise FailedPrecondition(
                f"chunk {name} lies in the bundle {since}, of which this one is a continuation, or in those before it: "
                "name them too, as in `pachctl import NEWEST EARLIER EARLIEST`"
            )
        self._answer.known_chunks += 1

    def _fileset(self, record: Record, found: Iterator[Record]) -> None:
        self._register()
        name = record.name
        try:
            sealed = Sealed.from_bytes(record.bytes(form.TEXT_BYTES))
        except msgspec.DecodeError as error:
            raise InvalidArgument(f"the bundle's file set {name} cannot be read ({error})") from error
        try:
            made = self._files.store.fileset_from(self._session, sealed, _parts(sealed, found), self._shift)
        except TrunklineError as error:
            raise type(error)(f"the bundle's file set {name}: {error}") from error
        self._made.add([name], made.id)
        self._sealed += 1
        if self._sealed % REGISTER == 0:
            self._session.write_down()

    # --- the repo

    def _note_commits(self, data: bytes) -> None:
        with self._commits.open("ab") as file:
            file.write(data if data.endswith(b"\n") else data + b"\n")

    def finish(self) -> Imported:
        """All is there: make the repo."""
        about = self._about
        if about is None:
            raise InvalidArgument("the bundle is empty: there is no repo in it")
        self._register()
        self._session.write_down()
        return self._session.finish(lambda tx: self._make(tx, about))

    def _make(self, tx: Tx, about: form.About) -> Imported:
        self._must_be_new(tx)
        answer = self._answer
        row = repo_rules.create_repo(tx, answer.repo, about.description)
        rows.set_repo(tx, row.key, about.repo_created_us, about.metadata)
        try:
            answer.commits = 0
            for page in self._pages():
                rows.insert_commits(tx, self._session.gen, row.key, self._shift, page, self._fileset_of)
                answer.commits += len(page)
            if answer.commits != about.commits:
                raise DataLoss(f"the bundle has {answer.commits} commits, and says that it has {about.commits}")
            branches, tags = self._refs.get("branches", []), self._refs.get("tags", [])
            for one in branches:
                check_branch(one["name"])
            rows.insert_branches(tx, row.key, self._shift, branches)
            rows.insert_tags(tx, row.key, self._shift, tags)
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidArgument(f"the bundle lacks what a repo is made of ({error!r})") from error
        answer.branches, answer.tags = len(branches), len(tags)
        answer.notes = [str(one) for one in self._refs.get("notes", [])]
        return answer

    def _pages(self) -> Iterator[list[rows.Values]]:
        page: list[rows.Values] = []
        if not self._commits.exists():
            return
        with self._commits.open("rb") as file:
            for line in file:
                page.append(form.read_json(line, "a commit of the bundle"))
                if len(page) == form.COMMITS_AT_ONCE:
                    yield page
                    page = []
        if page:
            yield page

    def _fileset_of(self, name: str) -> str:
        made = self._made.find(name)
        if made is None:
            raise DataLoss(f"the bundle's file set {name} is named by a commit, and did not come")
        return made


def _digest(name: str) -> bytes:
    try:
        digest = bytes.fromhex(name)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise InvalidArgument(f'the bundle names a chunk "{name}", which is no hash')
    return digest


def _parts(sealed: Sealed, found: Iterator[Record]) -> Iterator[tuple[Part, bytes]]:
    for part in sealed.parts:
        record = next(found, None)
        if record is None or record.kind != form.PART or record.name != part.blob:
            raise DataLoss(f"part {part.blob} did not come")
        yield part, record.bytes(PART_BYTES)
