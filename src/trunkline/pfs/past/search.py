"""The commits that changed a path, newest first.

Rows of a commit's content say which commit changed them last, so that the search goes from change to change: commits
in between are not read. A path that is not there is looked for at the last change of the folder that it was in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.catalog import commits as commit_rows
from trunkline.catalog import history as history_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument
from trunkline.model import paths
from trunkline.model.names import META_REPO, Commit, Repo
from trunkline.pfs.files import Files
from trunkline.pfs.graph.refs import need_commit
from trunkline.pfs.reads import need_source
from trunkline.storage import Entry, View


@dataclass(frozen=True, slots=True)
class Step:
    """One answer. found: a commit that changed the path; None in the last answer. searched: how many were looked into.

    last: the oldest commit of which is known whether it changed the path.
    """

    found: Commit | None
    last: Commit
    searched: int


def find_commits(files: Files, repo: Repo, ref: str, path: str, *, limit: int = 0) -> Iterator[Step]:
    """Commits that added, changed or deleted a path, back from `ref`; at most `limit` of them (0: all).

    Only what the content of `ref` stems from is searched: a commit with an error is passed over, unless it is `ref`.
    Raises NotFound, InvalidArgument, FailedPrecondition for an open commit.
    """
    cleaned = paths.clean(path)
    at: CommitRow | None = files.catalog.read(lambda tx: start_of(tx, repo, ref))
    found, searched = 0, 0
    last = at.commit if at is not None else Commit(repo, ref)
    lacking: CommitRow | None = None  # in this commit, built on `at`, the path is not there
    while at is not None:
        row = at
        view = need_source(files, repo, row.commit.id).view
        searched, last = searched + 1, row.commit
        entry = view.find(cleaned)
        if lacking is not None and entry is not None:
            found += 1
            yield Step(lacking.commit, last, searched)
            if found == limit:
                break
        nearest = entry if entry is not None else _folder(view, cleaned)
        changed = files.catalog.read(lambda tx: _changed_by(tx, row, nearest))  # noqa: B023
        last = changed.commit  # those between the two are known not to touch the path
        if entry is not None:
            found += 1
            yield Step(changed.commit, last, searched)
            if found == limit:
                break
        lacking = changed if entry is None else None
        at = files.catalog.read(lambda tx: _base(tx, changed))  # noqa: B023
    yield Step(None, last, searched)


def start_of(tx: Tx, repo: Repo, ref: str) -> CommitRow:
    """The commit that a search begins at; see `find_commits` for what it raises. It may be being finished still."""
    if repo.type == META_REPO:
        raise InvalidArgument(f"what {repo} shows is made when it is read: no commit of it changed a file")
    row = need_commit(tx, repo, ref)
    if row.open:
        raise FailedPrecondition(
            f"commit {row.commit} is open, and what it changes is not known yet; finish it, or search from its parent"
        )
    return row


def _folder(view: View, path: str) -> Entry | None:
    """The nearest folder above a path that is there."""
    folder = path.rstrip("/")
    while folder:
        folder = folder[: folder.rindex("/")]
        entry = view.find(f"{folder}/")
        if entry is not None:
            return entry
    return None


def _changed_by(tx: Tx, row: CommitRow, entry: Entry | None) -> CommitRow:
    """The newest commit, back from `row`, that changed what is there; without a row of its own, that is `row`.

    A commit that was squashed lives on in the first one after it that is built on it.
    """
    if entry is None or entry.since in (0, row.seq):
        return row
    known = commit_rows.get_commit(tx, entry.since)
    if known is None or known.forgotten:
        known = commit_rows.get_commit(tx, history_rows.first_built_on(tx, row.seq, entry.since))
    if known is None:
        raise Aborted(f"the history of {row.commit} was changed while it was searched; try again")
    return known


def _base(tx: Tx, row: CommitRow) -> CommitRow | None:
    return commit_rows.get_commit(tx, row.base) if row.base is not None else None
