"""What a purge would take, commit by commit, and whether it may begin. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.catalog import commits as commit_rows
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.purging import graph
from trunkline.catalog.purging import purges as purge_rows
from trunkline.catalog.purging.purges import TollRow
from trunkline.catalog.versions import tags as tag_rows
from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model import paths
from trunkline.model.globs import Glob, escape
from trunkline.model.names import SPEC_REPO, USER_REPO, Repo
from trunkline.pfs.files import Files, load
from trunkline.pfs.graph.refs import need_repo
from trunkline.pfs.purging.hits import LineagePort
from trunkline.pfs.purging.scope import Scope
from trunkline.storage import Sealed
from trunkline.storage.filesets.schema import ADD, keep, ops
from trunkline.storage.repacking.losses import Loss, LossOfPaths, digests_of, lost_rows

PAGE = 500
MAX_REASON = 10_000
PATIENCE_S = 30
"""About so long a commit that is being finished is waited for."""
SHOWN = 20
"""How many paths of a commit are named."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to go. glob: `path` is a pattern, else one file, or a directory with all below it.

    tagged: also from commits that carry a tag.
    """

    repo: Repo
    path: str
    glob: bool = False
    tagged: bool = False
    reason: str = ""

    @property
    def pattern(self) -> Glob:
        """What matches. Raises InvalidArgument for what can be no path, and for a reason as long as a book."""
        if len(self.reason) > MAX_REASON:
            raise InvalidArgument(f"the reason has {len(self.reason)} characters; at most {MAX_REASON} are kept")
        if not self.path.strip():
            raise InvalidArgument("nothing to purge: give a path, or a pattern and say that it is one")
        return Glob(self.path) if self.glob else Glob(escape(paths.clean(self.path)))


@dataclass
class Survey:
    """What would go. order: keys of the repos whose history changes, what is made from others first.

    newest: as `purges.newest_of`, to see whether anything came or went since. oldest: seq of the first commit that
    has any of it.
    """

    wish: Wish
    order: list[int]
    newest: tuple[int, int]
    oldest: int
    tolls: list[TollRow] = field(default_factory=list)
    digests: set[bytes] = field(default_factory=set)
    names: set[tuple[Repo, str]] = field(default_factory=set)
    contents: dict[bytes, int] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Bytes of the files that go, equal ones counted once."""
        return sum(self.contents.values())

    @property
    def datums(self) -> int:
        """Results of datums that go, of all jobs together."""
        return sum(toll.datums for toll in self.tolls)


def survey(files: Files, lineage: LineagePort, wish: Wish) -> Survey:
    """Look through all history of a repo and of what was made from it.

    Raises InvalidArgument, NotFound where no commit ever had such a file, FailedPrecondition while something is not
    finished, for a tagged commit, and for a repo that others' files are brought into.
    """
    pattern = wish.pattern
    with files.reading.begin() as reading:
        key, order, newest = files.catalog.read(lambda tx: _ground(tx, wish))
        oldest = _oldest(files, key, LossOfPaths(pattern))
        if oldest is None:
            kind = "file that matches" if wish.glob else "file or directory"
            raise NotFound(f"no commit of {wish.repo} has, or has had, a {kind} {wish.path}; nothing to purge")
        found = Survey(wish, order, newest, oldest)
        scope = Scope(files, lineage, wish.repo, pattern)
        for repo in reversed(order):
            for seq in commits_from(files, repo, oldest - 1):
                _look(files, scope, found, seq)
                reading.touch()
    found.order = [repo for repo in order if repo == key or _changed(files, found, repo)]
    if not wish.tagged:
        files.catalog.read(lambda tx: _refuse_tagged(tx, wish, found.tolls))
    return found


def settles(tx: Tx, wish: Wish) -> CommitRow | None:
    """A commit that is being finished, so that a survey is worth waiting for it. Raises NotFound.

    One that was closed a moment ago is finished in a moment, unless it stands on an open one. That holds for what was
    made of the repo as well: the record of a job's datums is finished after its output.
    """
    seq = purge_rows.first_finishing(tx, _made_from(tx, wish)[0])
    return commit_rows.get_commit(tx, seq) if seq is not None else None


def _made_from(tx: Tx, wish: Wish) -> tuple[list[int], dict[int, set[int]]]:
    """Keys of the repo and of all that was made from it, and which was made from which."""
    repo = need_repo(tx, wish.repo).key
    edges = _edges(tx, repo)
    return sorted({repo, *edges, *(below for group in edges.values() for below in group)}), edges


def check_again(tx: Tx, found: Survey) -> None:
    """In the transaction that begins the purge: refuse as `survey` does. Raises Aborted where history has changed."""
    _, _, newest = _ground(tx, found.wish)
    if newest != found.newest:
        raise Aborted("commits came or went while history was looked through; try again")
    if not found.wish.tagged:
        _refuse_tagged(tx, found.wish, found.tolls)


def commits_from(files: Files, repo: int, after: int) -> Iterator[int]:
    """Seqs of a repo's finished commits that are newer than one, ascending."""
    while page := files.catalog.read(partial(purge_rows.list_finished, repo=repo, after=after, limit=PAGE)):
        yield from page
        after = page[-1]


def _ground(tx: Tx, wish: Wish) -> tuple[int, list[int], tuple[int, int]]:
    """The repo's key, the order of work, and where history stands; refuses what cannot be."""
    repo = need_repo(tx, wish.repo)
    if wish.repo.type != USER_REPO:
        raise InvalidArgument(f"cannot purge a path of {wish.repo}: files are purged from repos of files only")
    if graph.is_output(tx, repo.key, SPEC_REPO):
        raise FailedPrecondition(
            f"cannot purge a path of {wish.repo}: a pipeline makes its files from its inputs and would make them "
            "again; purge the input that they come from"
        )
    if purge_rows.any_locked(tx):
        raise FailedPrecondition("another purge is at work; wait for it: `pachctl list purge` shows how far it is")
    closure, edges = _made_from(tx, wish)
    unfinished = purge_rows.first_unfinished(tx, closure)
    if unfinished is not None:
        _refuse_unfinished(tx, wish, unfinished)
    kinds = repo_rows.get_repos(tx, closure)
    order = [one for one in _far_end_first(closure, edges, kinds) if kinds[one].repo.type == USER_REPO]
    return repo.key, order, purge_rows.newest_of(tx, closure)


def _edges(tx: Tx, repo: int) -> dict[int, set[int]]:
    edges: dict[int, set[int]] = {}
    layer = {repo}
    while layer:
        found = {up: below - {up} for up, below in graph.made_from(tx, layer).items()}
        edges |= found
        layer = {below for group in found.values() for below in group} - edges.keys() - layer
    return edges


def _far_end_first(
    closure: Sequence[int], edges: dict[int, set[int]], kinds: dict[int, repo_rows.RepoRow]
) -> list[int]:
    """The repos, each after all that is made from it. Raises FailedPrecondition for repos made from each other."""
    left = {repo: set(edges.get(repo, ())) for repo in closure}
    for repo, row in kinds.items():  # records of datums hang on their pipeline's output
        output = Repo(row.repo.project, row.repo.name)
        for twin, other in kinds.items():
            if other.repo == output and repo != twin:
                left[twin].add(repo)
    order: list[int] = []
    while left:
        free = sorted(repo for repo, below in left.items() if not below - set(order))
        if not free:
            names = ", ".join(sorted(str(kinds[repo].repo) for repo in left))
            raise FailedPrecondition(
                f"cannot purge: at one time or another each of these was made from the others: {names}; delete the "
                "pipeline whose output can be made again, purge, and create it anew"
            )
        order += free
        for repo in free:
            del left[repo]
    return order


def _refuse_unfinished(tx: Tx, wish: Wish, seq: int) -> None:
    row = commit_rows.get_commit(tx, seq)
    if row is None:
        return
    short = f"{row.commit.repo.name}@{row.commit.id}"
    if row.commit.repo == wish.repo and row.open:
        how = f"finish it with `pachctl finish commit {short}`, or delete it"
    else:
        job = "" if row.commit.repo == wish.repo else f", or stop its job with `pachctl stop job {short}`"
        how = f"wait for it with `pachctl wait commit {short}`{job}"
    raise FailedPrecondition(f"cannot purge {wish.repo}:{wish.path}: {row.commit} is not finished; {how}")


def _refuse_tagged(tx: Tx, wish: Wish, tolls: Iterable[TollRow]) -> None:
    by_seq = {toll.seq: toll for toll in tolls}
    for tag in tag_rows.tags_of(tx, by_seq):
        toll = by_seq[tag.commit_seq]
        raise FailedPrecondition(
            f"cannot purge {wish.repo}:{wish.path}: {toll.commit}, which has it or was made from it, carries the tag "
            f"{tag.tag.name}, and a tag stands for files that stay as they are; delete the tag with `pachctl delete "
            f"tag {tag.tag.repo.name}@{tag.tag.name} --project {tag.tag.repo.project}`, or purge with --tagged, which "
            "keeps it on what is left"
        )


def _oldest(files: Files, repo: int, loss: LossOfPaths) -> int | None:
    """The first commit that has any of it, in its diff or in what it is read from."""
    clean: set[str] = set()
    for seq in commits_from(files, repo, -1):
        for sealed in _filesets(files, seq):
            if sealed.id in clean:
                continue
            if files.store.lost(sealed, loss).num_rows:
                return seq
            clean.add(sealed.id)
    return None


def _filesets(files: Files, seq: int, *, runs: bool = True) -> list[Sealed]:
    def work(tx: Tx) -> list[Sealed]:
        ids = [*commit_rows.layers(tx, seq), *(commit_rows.runs(tx, seq) if runs else ())]
        return load(tx, list(dict.fromkeys(ids)))

    return files.catalog.read(work)


def _look(files: Files, scope: Scope, found: Survey, seq: int) -> None:
    """Add what one commit loses."""
    row = files.catalog.read(lambda tx: commit_rows.get_commit(tx, seq))
    taken = scope.taken(row) if row is not None else None
    if row is None or taken is None:
        return
    datums = taken.used.fresh if taken.used is not None else 0
    if taken.used is not None and not len(taken.used.datums):
        return
    count, size = 0, 0
    shown: list[str] = []
    for rows, visible in _all_lost(files, scope, row, taken.loss):
        found.digests |= digests_of(rows)
        if visible:
            count, size = count + rows.num_rows, size + int(pc.sum(rows.column("size")).as_py() or 0)
            names = rows.column("path").to_pylist()
            shown += names[: SHOWN - len(shown)]
            found.names.update((row.commit.repo, name) for name in names)
            sizes = rows.column("size").to_pylist()
            found.contents.update(zip(rows.column("hash").to_pylist(), sizes, strict=True))
    if count or datums:
        found.tolls.append(TollRow(seq, row.commit, count, size, datums, tuple(shown)))


def _all_lost(files: Files, scope: Scope, row: CommitRow, loss: Loss) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """What goes of a commit: of its content, then also what its diff had and it does not show."""
    if row.forgotten:
        return
    for rows in lost_rows(scope.content(row.seq), loss):
        yield rows, True
    for sealed in _filesets(files, row.seq, runs=False):
        rows = files.store.lost(sealed, loss)
        rows = keep(rows, ops(rows) == ADD)
        if rows.num_rows:
            yield rows, False


def _changed(files: Files, found: Survey, repo: int) -> bool:
    """Whether a repo's history has to be written anew: something goes, or may lie hidden after a squash."""
    row = files.catalog.read(lambda tx: repo_rows.get_repos(tx, [repo]).get(repo))
    if row is None:
        return False
    if any(toll.commit.repo == row.repo for toll in found.tolls):
        return True
    return any(
        len(files.catalog.read(partial(commit_rows.layers, seq=seq))) > 1
        for seq in commits_from(files, repo, found.oldest - 1)
    )
