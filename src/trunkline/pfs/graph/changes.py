"""One transaction's change to the graph of branches and commits, and what follows from it downstream.

All commits that one change makes share an id: they are one commit set. When the change closes, every branch whose
upstream heads moved gets a new open head, so that a head's provenance always equals its branch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Protocol

from trunkline.catalog import branches as branch_rows
from trunkline.catalog import commits as commit_rows
from trunkline.catalog.branches import BranchRow, Edge
from trunkline.catalog.commits import CommitRow
from trunkline.catalog.engine import Tx
from trunkline.catalog.repos import RepoRow
from trunkline.errors import FailedPrecondition, Internal
from trunkline.model.infos import Origin
from trunkline.model.names import SPEC_REPO, USER_REPO, Branch, Commit
from trunkline.pfs.graph.refs import refuse_purging

BRANCH_TOPIC = "branch"
"""Events of this topic: {"repo_key"}; a branch that others are made from was deleted, or a whole repo."""
COMMIT_TOPIC = "commit"
"""Events of this topic: {"seq", "id", "repo_key", "state"}; sent when a commit reaches a state, or is gone.

"lost" names a commit that it is made from and that was deleted.
"""


class OutputCommitPort(Protocol):
    """Told, in the same transaction, of every open commit that propagation put on a user repo's branch.

    It raises no error that is about a request.
    """

    def __call__(self, tx: Tx, commit: CommitRow, branch: BranchRow) -> None: ...


class RemovedCommitsPort(Protocol):
    """Told, in the same transaction, of commits (by seq) that were removed from history, with all hanging on them."""

    def __call__(self, tx: Tx, seqs: Sequence[int]) -> None: ...


def nobody_told(tx: Tx, seqs: Sequence[int]) -> None:
    """Fills the port where nothing hangs on commits from outside."""


class Change:
    """The graph work of one transaction. `id` names the commit set of whatever it creates."""

    def __init__(
        self,
        tx: Tx,
        on_output_commit: OutputCommitPort,
        set_id: str | None = None,
        *,
        on_removed_commits: RemovedCommitsPort = nobody_told,
    ) -> None:
        self.tx = tx
        self._set_id = set_id
        self._on_output_commit = on_output_commit
        self._on_removed_commits = on_removed_commits
        self._touched: set[int] = set()
        self._anew: set[int] = set()
        self.origin = Origin.AUTO  # of the heads that propagation makes
        self.spreads = False  # over as many commit sets as it needs: nobody is there whom a refusal could help
        self._made: dict[int, int] = {}  # repo key -> seq of the commit that this change made in it
        self._empty: dict[int, int] = {}  # repo key -> seq of the empty head that this change made in it

    @property
    def id(self) -> str:
        """The commit set's id, drawn on first use."""
        if self._set_id is None:
            self._set_id = self.tx.new_id()
        return self._set_id

    def over(self, tx: Tx) -> Change:
        """A change that has done the same so far, in another transaction where all that was done again."""
        other = copy(self)
        other.tx = tx
        for name in ("_touched", "_anew", "_made", "_empty"):
            setattr(other, name, copy(getattr(self, name)))
        return other

    def touch(self, branch_key: int, *, anew: bool = False) -> None:
        """A branch's head or provenance changed: look downstream at the end.

        anew: an output branch gets a new head even though its inputs are those of the present one.
        """
        self._touched.add(branch_key)
        if anew:
            self._anew.add(branch_key)

    def removed(self, seqs: Sequence[int]) -> None:
        """Commits were removed: let go of what hangs on them outside of this room."""
        self._on_removed_commits(self.tx, seqs)

    def new_commit(
        self,
        repo: RepoRow,
        branch_name: str,
        *,
        origin: Origin,
        parent: int | None,
        upstream: Sequence[int] = (),
        description: str = "",
    ) -> int:
        """An open commit of this change's set; its seq. Raises FailedPrecondition for a second one in a repo, Aborted
        while the history of the repo, or of what it is made from, is being written anew."""
        refuse_purging(self.tx, [repo.key], upstream)
        if self._taken(repo):
            raise FailedPrecondition(
                f"inconsistent commit: {repo.repo} would get two commits in one transaction, and a commit set has at "
                "most one commit of a repo; use two transactions"
            )
        seq = self._insert(repo, self.id, branch_name, origin, parent, upstream, description)
        self._made[repo.key] = seq
        self.tell(seq)
        return seq

    def _insert(
        self,
        repo: RepoRow,
        set_id: str,
        branch_name: str,
        origin: Origin,
        parent: int | None,
        upstream: Sequence[int] = (),
        description: str = "",
    ) -> int:
        above = commit_rows.get_commit(self.tx, parent) if parent is not None else None
        return commit_rows.insert_commit(
            self.tx,
            repo.key,
            set_id,
            branch_name=branch_name,
            origin=origin,
            parent=parent,
            upstream=upstream,
            description=description,
            size_upper_bytes=above.size_upper_bytes if above else 0,
        )

    def _taken(self, repo: RepoRow) -> bool:
        if repo.key in self._made:
            return True
        return bool(self._set_members(repo))

    def _set_members(self, repo: RepoRow) -> list[CommitRow]:
        """The commit of this change's set in a repo, if there is one (I-7)."""
        row = commit_rows.find_commit(self.tx, Commit(repo.repo, self.id))
        return [] if row is None else [row]

    def empty_head(self, repo: RepoRow, branch_name: str) -> int:
        """A finished commit without files, for a branch that must have a head; its seq. One for all new branches.

        Where this change gives the repo another commit it is of a set of its own: nothing in it came of the change.
        Raises Aborted while the history of the repo is being written anew.
        """
        if repo.key in self._empty:
            return self._empty[repo.key]
        members = self._set_members(repo)
        known = next((row.seq for row in members if _is_empty_root(row)), None)
        if known is not None:
            return known
        refuse_purging(self.tx, [repo.key], [])
        alone = repo.key in self._made or bool(members) or self._awaits(repo)
        seq = self._insert(repo, self.tx.new_id() if alone else self.id, branch_name, Origin.AUTO, None)
        if not alone:
            self._made[repo.key] = seq
        self.tell(seq)
        commit_rows.fix_base(self.tx, seq, None)
        commit_rows.set_finishing(self.tx, seq, error="", description="")
        commit_rows.set_finished(self.tx, seq, error="", size_bytes=0, files=0)
        self.tell(seq)
        self._empty[repo.key] = seq
        return seq

    def _awaits(self, repo: RepoRow) -> bool:
        """Whether a branch of the repo lies downstream of what has changed so far."""
        if not self._touched:
            return False
        edges = branch_rows.all_edges(self.tx)
        below = {edge.branch for edge in edges}.intersection(downstream_order(edges, self._touched))
        return any(row.repo_key == repo.key for row in branch_rows.get_branches(self.tx, below).values())

    def tell(self, seq: int) -> None:
        """Send the event that says where a commit is now."""
        row = commit_rows.get_commit(self.tx, seq)
        if row is None:
            raise Internal(f"commit {seq} vanished within its own transaction")
        tell(self.tx, row)

    def close(self, *, trial: bool = False) -> None:
        """Give every branch downstream of what changed its new head.

        trial: all will be undone, so nobody is told of open commits, as who is told refuses nothing.
        """
        if not self._touched:
            return
        edges = branch_rows.all_edges(self.tx)
        order = downstream_order(edges, self._touched)
        upstream: dict[int, list[Edge]] = {}
        for edge in edges:
            upstream.setdefault(edge.branch, []).append(edge)
        keys = set(order) | {edge.upstream for key in order for edge in upstream.get(key, [])}
        rows = branch_rows.get_branches(self.tx, keys)
        order = [key for key in order if key in rows]  # others were deleted later in the same transaction
        heads = {key: row.head for key, row in rows.items()}
        repo_of = {key: rows[key].repo_key for key in order if key in upstream}
        for keys_of_set in sets_of(order, edges, repo_of) if self.spreads else [order]:
            outputs = [
                made for key in keys_of_set if (made := self._renew(rows[key], upstream.get(key, []), rows, heads))
            ]
            for branch, seq in () if trial else outputs:
                row = commit_rows.get_commit(self.tx, seq)
                if row is not None and branch.branch.repo.type == USER_REPO:
                    self._on_output_commit(self.tx, row, branch)
            if self.spreads:
                self._begin_set()
        self._touched.clear()
        self._anew.clear()

    def _begin_set(self) -> None:
        self._set_id = None
        self._made.clear()
        self._empty.clear()

    def _renew(
        self, row: BranchRow, ups: Sequence[Edge], rows: dict[int, BranchRow], heads: dict[int, int]
    ) -> tuple[BranchRow, int] | None:
        """A new head for one branch, if its upstream heads are not those of its head; the branch and the head."""
        if not ups or all(rows[edge.upstream].branch.repo.type == SPEC_REPO for edge in ups):
            return None  # a source, or a spout, whose code makes its commits
        wanted = [heads[edge.upstream] for edge in ups]
        head = commit_rows.get_commit(self.tx, row.head)
        current = commit_rows.upstream_of(self.tx, [row.head]).get(row.head, [])
        moved = set(wanted) != set(current) and self._worth_a_commit(ups, heads, current)
        if not moved and row.key not in self._anew:
            return None
        repo = RepoRow(row.repo_key, row.branch.repo, "", 0, {})
        if head is not None and self._made.get(row.repo_key) == row.head and head.open:
            commit_rows.replace_provenance(self.tx, row.head, wanted)
            return row, row.head
        seq = self.new_commit(repo, row.branch.name, origin=self.origin, parent=row.head, upstream=wanted)
        branch_rows.set_head(self.tx, row.key, seq)
        heads[row.key] = seq
        return row, seq

    def _worth_a_commit(self, ups: Sequence[Edge], heads: dict[int, int], current: Sequence[int]) -> bool:
        """Whether something moved that is to start work: not only inputs that were told never to."""
        if not current:
            return True
        return any(not edge.never and heads[edge.upstream] not in current for edge in ups)


def _is_empty_root(row: CommitRow) -> bool:
    return row.origin is Origin.AUTO and row.parent is None and row.finished and not row.files


def tell(tx: Tx, row: CommitRow, *, lost: Commit | None = None) -> None:
    """Send the event that a commit is in its present state. lost: a commit that it is made from was deleted."""
    payload = {"seq": row.seq, "id": row.commit.id, "repo_key": row.repo_key, "state": row.state.value}
    if lost is not None:
        payload["lost"] = f"{lost.repo.name}@{lost.id}"
    tx.emit(COMMIT_TOPIC, payload)


def downstream_order(edges: Iterable[Edge], start: Iterable[int]) -> list[int]:
    """Branches that depend on `start`, directly or not, and `start` itself, each after all it depends on."""
    down: dict[int, list[int]] = {}
    for edge in edges:
        down.setdefault(edge.upstream, []).append(edge.branch)
    order: list[int] = []
    done: set[int] = set()
    for first in sorted(start):
        stack: list[tuple[int, bool]] = [(first, False)]
        while stack:
            key, left = stack.pop()
            if left:
                order.append(key)
            elif key not in done:
                done.add(key)
                stack.append((key, True))
                stack.extend((below, False) for below in down.get(key, []) if below not in done)
    return order[::-1]


def sets_of(order: Sequence[int], edges: Iterable[Edge], repo_of: Mapping[int, int]) -> list[list[int]]:
    """Branches in downstream order, in as few groups as may be of which none has two branches of one repo.

    Branches that depend on each other stay together: they are of one DAG, which has one branch of a repo. The DAG of
    the oldest branch goes first.
    repo_of: the repos of those that may get a commit, by branch.
    """
    group = {key: [key] for key in order}
    for edge in edges:
        one, other = group.get(edge.upstream), group.get(edge.branch)
        if one is not None and other is not None and one is not other:
            one.extend(other)
            group.update(dict.fromkeys(other, one))
    sets: list[tuple[set[int], set[int]]] = []  # branches, and the repos that they are of
    for keys in {id(one): one for one in (group[key] for key in sorted(order))}.values():
        repos = {repo_of[key] for key in keys if key in repo_of}
        room = next((each for each in sets if not each[1] & repos), None)
        if room is None:
            sets.append((set(keys), repos))
        else:
            room[0].update(keys)
            room[1].update(repos)
    return [[key for key in order if key in keys] for keys, _ in sets]


def unfinished_output(branch: Branch) -> FailedPrecondition:
    """The refusal to write where only a pipeline writes."""
    return FailedPrecondition(
        f"{branch} is an output branch: it has provenance, and only its pipeline writes to it; "
        "write to one of its inputs, or to a branch of another name"
    )


ChangeFunction = Callable[[Change], object]
