"""Files written: a stream of edits becomes layers of a commit, all of it or nothing.

A stream into a branch without an open head makes a commit of its own, started and closed in the transaction that
adopts the layers: nobody ever sees half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument
from trunkline.model import paths
from trunkline.model.names import Branch, Commit, Repo, check_branch
from trunkline.pfs import kept, reads
from trunkline.pfs.files import Files, load
from trunkline.pfs.graph import commits as pfs_commits
from trunkline.pfs.graph.changes import Change, unfinished_output
from trunkline.pfs.graph.history import DIFF_HOLDER
from trunkline.pfs.graph.refs import need_commit, need_repo, refuse_tag_name
from trunkline.pfs.layers import COMPACT_ABOVE, compact_layers
from trunkline.pfs.outside.fetching import Fetcher, always, fetch_file, fetch_tree
from trunkline.pfs.reads import Source
from trunkline.pfs.sessions import Session
from trunkline.storage import ReadInto, Sealed, Writer

COPY_TRIES = 10
"""How often a copy looks again for a source whose layers were merged meanwhile."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream writes: a branch's open head or a new commit on it, or the open commit that `ref` means."""

    repo: Repo
    branch: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Add:
    """More bytes for a file; consecutive ones of the same path and datum are one file's."""

    path: str
    data: bytes | memoryview
    datum: str = ""


@dataclass(frozen=True, slots=True)
class Pour:
    """More bytes for a big file: all that `read_into` gives until it gives none. They are not copied on their way."""

    path: str
    read_into: ReadInto


@dataclass(frozen=True, slots=True)
class AddMany:
    """Many small files at once, each replacing what its path held: sizes[i] bytes of `data` for paths[i]."""

    paths: Sequence[str]
    sizes: Sequence[int]
    data: bytes
    append: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a file, or a directory if the path ends in a slash ("/": all). datum None: whoever wrote it."""

    path: str
    datum: str | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy a file or directory by reference. wanted: as for `AddUrl`, asked while the source is being finished."""

    dst: str
    src_repo: Repo
    src_ref: str
    src_path: str
    append: bool = False
    datum: str = ""
    wanted: Callable[[], bool] = field(default=always, compare=False)


@dataclass(frozen=True, slots=True)
class AddUrl:
    """More for a file, from a URL. recursive: all below the URL goes below the path, in the place of what is there.

    concurrency: how many small objects are fetched at once; 0: the usual. wanted: asked while fetching; when it says
    no, Aborted is raised.
    """

    path: str
    url: str
    recursive: bool = False
    concurrency: int = 0
    datum: str = ""
    wanted: Callable[[], bool] = field(default=always, compare=False)


Edit = Add | Pour | AddMany | AddUrl | Delete | Copy


@dataclass(frozen=True, slots=True)
class _Place:
    """What a target is at the moment: an open commit, or a branch that a new commit goes on (`commit` None)."""

    commit: CommitRow | None
    content: tuple[str, ...]  # file sets that new files are compared with


def modify(
    files: Files,
    target: Target,
    edits: Iterable[Edit],
    *,
    spout: bool = False,
    stamp: bytes = b"",
    big: dict[str, bytes] | None = None,
) -> Commit:
    """Apply a stream of edits in order; the commit that has them.

    Nothing is written unless all of it is. stamp: of the content that it must lie on (`pfs.kept`); b"": any. big: gets
    the hashes of big files (`Writer.big`). Raises
    NotFound, InvalidArgument, FailedPrecondition (closed commit, output branch), Aborted for another stamp, and
    whatever `edits` raises.
    """
    session, place, content = _opened(files, target, spout, stamp)
    with session:
        writer = files.store.writer(session, files.store.view(content) if content else None)
        fold(files, session, writer, edits)
        sealed = writer.seal()
        if big is not None:
            big.update(writer.big)

        def adopt(tx: Tx) -> tuple[Commit, int]:
            need_stamp(tx, target, stamp, spout)
            return _adopt(files, tx, session, target, place, sealed, spout)

        commit, layers = session.finish(adopt)
    if layers > COMPACT_ABOVE:
        compact_layers(files, commit)
    return commit


def ground_of(tx: Tx, target: Target) -> kept.Ground | None:
    """What a put into this target would lie on; None while that is being finished. Raises as `modify`."""
    return kept.ground_of(tx, Branch(target.repo, target.branch), _place(tx, target, spout=False).commit)


def need_stamp(tx: Tx, target: Target, stamp: bytes, spout: bool) -> None:
    """Raises Aborted unless a put into this target lies on the content of that stamp; b"": on any."""
    if stamp:
        kept.need_ground(tx, stamp, Branch(target.repo, target.branch), _place(tx, target, spout).commit)


def _opened(files: Files, target: Target, spout: bool, stamp: bytes) -> tuple[Session, _Place, list[Sealed]]:
    """A session for a stream, where that goes, and the content there, which the session holds.

    In one transaction, since a commit that finishes lets its layers go.
    """
    found: list[tuple[_Place, list[Sealed]]] = []

    def first(tx: Tx, gen: int) -> None:
        need_stamp(tx, target, stamp, spout)
        place = _place(tx, target, spout)
        fileset_rows.hold(tx, gen, place.content)
        found[:] = [(place, load(tx, place.content))]

    session = files.writing.open("write", first)
    return session, *found[0]


def _place(tx: Tx, target: Target, spout: bool) -> _Place:
    """Where a stream goes, refused before any byte of it is read if it cannot."""
    need_repo(tx, target.repo)
    if target.ref:
        row = need_commit(tx, target.repo, target.ref)
        need_open(tx, row, spout)
        return _Place(row, reads.content_of(tx, row))
    if not target.branch:
        raise InvalidArgument(f"where in {target.repo} to write is not said: name a branch or an open commit")
    check_branch(target.branch)
    branch = branch_rows.find_branch(tx, Branch(target.repo, target.branch))
    if branch is None:
        refuse_tag_name(tx, Branch(target.repo, target.branch))
        return _Place(None, ())
    head = commit_rows.get_commit(tx, branch.head)
    if branch_rows.depends(tx, branch.key) and not spout:
        raise unfinished_output(branch.branch)
    if head is None:
        return _Place(None, ())
    return _Place(head if head.open else None, reads.content_of(tx, head))


def need_open(tx: Tx, row: CommitRow, spout: bool) -> None:
    """Raises FailedPrecondition where nobody may write to a commit, or (without `spout`) only its pipeline."""
    if not row.open:
        raise FailedPrecondition(
            f"commit {row.commit} has already been finished, and a finished commit never changes; "
            "start a new commit on the branch instead"
        )
    if commit_rows.upstream_of(tx, [row.seq]) and not spout:
        raise FailedPrecondition(
            f"commit {row.commit} is the output of a pipeline, and only the pipeline writes to it; "
            "write to one of its inputs, or to a branch of another name"
        )


def fold(files: Files, session: Session, writer: Writer, edits: Iterable[Edit]) -> None:
    """Hand edits to the writer, consecutive bytes of one file as one stream."""
    source = iter(edits)
    edit = next(source, None)
    while edit is not None:
        if isinstance(edit, Add):
            run = _Run(edit, source)
            writer.put(_file_path(edit.path), run.bytes(), datum=edit.datum, append=True)
            edit = run.following
            continue
        _apply(files, session, writer, edit)
        edit = next(source, None)


class _Run:
    """Consecutive `Add`s of one file, read as bytes; `following` is the first edit after them."""

    def __init__(self, first: Add, source: Iterator[Edit]) -> None:
        self._first = first
        self._source = source
        self.following: Edit | None = None

    def bytes(self) -> Iterator[bytes | memoryview]:
        yield self._first.data
        for edit in self._source:
            if isinstance(edit, Add) and edit.path == self._first.path and edit.datum == self._first.datum:
                yield edit.data
            else:
                self.following = edit
                return


def _apply(files: Files, session: Session, writer: Writer, edit: Edit) -> None:
    match edit:
        case AddMany():
            stored = [_file_path(path) for path in edit.paths]
            if len(edit.sizes) != len(stored) or sum(edit.sizes) != len(edit.data):
                raise InvalidArgument(
                    "a block of files does not add up: give a size for each path, and their sum of bytes"
                )
            writer.put_many(stored, edit.sizes, edit.data, append=edit.append)
        case Pour(path, read_into):
            writer.pour(_file_path(path), read_into, append=True)
        case AddUrl(path, url, True):
            fetch_tree(
                writer, url, paths.clean(path), edit.datum, edit.concurrency, Fetcher(files.ambient, edit.wanted)
            )
        case AddUrl(path, url):
            fetch_file(writer, url, _file_path(path), edit.datum, Fetcher(files.ambient, edit.wanted))
        case Delete():
            writer.delete(_deleted(edit.path), edit.datum or None)
        case Copy():
            _copy(files, session, writer, edit)


def _file_path(path: str) -> str:
    """Where a file goes. The top of a commit can only be a directory."""
    cleaned = paths.clean(path)
    if cleaned == paths.ROOT:
        raise InvalidArgument(
            f'"{path}" names the top of the commit, not a file; give the file a name, such as "/data"'
        )
    return cleaned


def _deleted(path: str) -> str:
    cleaned = paths.clean(path)
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def _copy(files: Files, session: Session, writer: Writer, edit: Copy) -> None:
    source = _held_source(files, session, edit)
    view = source.view
    src, dst = paths.clean(edit.src_path), paths.clean(edit.dst)
    entry = view.find(src)
    if entry is None and src != paths.ROOT:  # an empty commit has no top to copy, and nothing is wrong with that
        raise reads.missing(source, src)
    if entry is not None and not entry.is_dir:
        dst = _file_path(edit.dst)
    writer.copy(view, src, dst, datum=edit.datum, append=edit.append)


def _held_source(files: Files, session: Session, edit: Copy) -> Source:
    """What a copy reads, held. An open commit's layers may be merged into one between look and hold: look again."""
    for _ in range(COPY_TRIES - 1):
        source = reads.need_source(files, edit.src_repo, edit.src_ref, edit.wanted)
        with suppress(Aborted):
            return _hold(files, session, source)
    return _hold(files, session, reads.need_source(files, edit.src_repo, edit.src_ref, edit.wanted))


def _hold(files: Files, session: Session, source: Source) -> Source:
    files.held(session, source.filesets)
    return source


def _adopt(
    files: Files, tx: Tx, session: Session, target: Target, place: _Place, sealed: Sequence[Sealed], spout: bool
) -> tuple[Commit, int]:
    """Put the sealed layers on a commit that is still open, or on a new one; refused if the commit has closed.

    Answers the commit, and how many layers it has if it is open.
    """
    now = _place(tx, target, spout)
    if place.commit is not None:
        row = commit_rows.get_commit(tx, place.commit.seq)
        if row is None:
            raise FailedPrecondition(f"commit {place.commit.commit} was deleted while files were written to it")
        need_open(tx, row, spout)
        return row.commit, _append(tx, session, row.seq, sealed)
    if now.commit is not None:  # somebody opened one meanwhile
        return now.commit.commit, _append(tx, session, now.commit.seq, sealed)
    change = files.change_in(tx)
    commit = commit_sealed(change, session, Branch(target.repo, target.branch), sealed, spout=spout)
    change.close()
    return commit, 0


def commit_sealed(
    change: Change,
    session: Session,
    branch: Branch,
    sealed: Sequence[Sealed],
    *,
    spout: bool = False,
    description: str = "",
) -> Commit:
    """A commit on a branch with what a session sealed, closed at once. Raises as `start_commit` does."""
    commit = pfs_commits.start_commit(change, branch, spout=spout, description=description)
    row = need_commit(change.tx, branch.repo, commit.id)
    _append(change.tx, session, row.seq, sealed)
    pfs_commits.close(change.tx, row.seq)
    return commit


def _append(tx: Tx, session: Session, seq: int, sealed: Sequence[Sealed]) -> int:
    """Put what a session sealed on a commit; how many layers that has then."""
    layers = [one for one in sealed if one.rows]
    session.adopt(tx, layers, DIFF_HOLDER, str(seq))
    count = commit_rows.append_layers(tx, seq, [one.id for one in layers])
    commit_rows.grow(tx, seq, sum(one.size_bytes for one in layers))
    return count
