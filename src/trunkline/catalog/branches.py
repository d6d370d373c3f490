"""Queries on branches and their direct provenance."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import CTE, BigInteger, Row, and_, case, cast, delete, exists, func, insert, or_, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine import Fixed, Tx, given, some
from trunkline.catalog.tables_pfs import branch_provenance, branches, commits, repos
from trunkline.model.infos import Trigger
from trunkline.model.names import USER_REPO, Branch, Repo


@dataclass(frozen=True, slots=True)
class BranchRow:
    """A branch as the catalog keeps it; `head` is a commit's seq."""

    key: int
    repo_key: int
    branch: Branch
    head: int
    created_us: Micros
    updated_us: Micros
    created_by: str
    trigger: Trigger | None
    metadata: dict[str, str]


_COLUMNS = (branches, repos.c.project, repos.c.name.label("repo_name"), repos.c.type)
_JOINED = branches.join(repos, repos.c.id == branches.c.repo)


_ALL = select(*_COLUMNS).select_from(_JOINED)
_INSERT = Fixed(insert(branches).returning(branches.c.id))
_FIND = Fixed(
    _ALL.where(
        repos.c.project == given("project"),
        repos.c.name == given("repo"),
        repos.c.type == given("type"),
        branches.c.name == given("name"),
    )
)
_SOME = Fixed(_ALL.where(branches.c.id.in_(some("keys"))))
_WITH_HEAD = Fixed(_ALL.where(branches.c.head == given("head")))
_TRIGGERED = Fixed(
    _ALL.where(branches.c.repo == given("repo"), branches.c.trigger_source == given("source")).order_by(branches.c.id)
)
_CHANGE = Fixed(update(branches).where(branches.c.id == given("at")))
_DERIVE = Fixed(insert(branch_provenance))
_DERIVE_NO_MORE = Fixed(delete(branch_provenance).where(branch_provenance.c.branch == given("at")))
_EDGES = Fixed(
    select(branch_provenance.c.branch, branch_provenance.c.upstream, branch_provenance.c.never).order_by(
        branch_provenance.c.branch, branch_provenance.c.position
    )
)
_OF_REPO = _ALL.where(branches.c.repo == given("repo"))
_NEWEST_FIRST, _OLDEST_FIRST = Fixed(_OF_REPO.order_by(branches.c.id.desc())), Fixed(_OF_REPO.order_by(branches.c.id))
_UPSTREAM = Fixed(
    select(branch_provenance.c.upstream)
    .where(branch_provenance.c.branch == given("at"))
    .order_by(branch_provenance.c.position)
)
_DEPENDS = Fixed(select(branch_provenance.c.branch).where(branch_provenance.c.branch == given("at")).limit(1))


def insert_branch(tx: Tx, repo_key: int, name: str, head: int, created_by: str = "") -> int:
    """Add a branch; its key."""
    values = {"repo": repo_key, "name": name, "head": head, "created_us": tx.now_us, "updated_us": tx.now_us}
    return int(tx.execute(_INSERT, {**values, "created_by": created_by}).one()[0])


def find_branch(tx: Tx, branch: Branch) -> BranchRow | None:
    """One branch."""
    repo = branch.repo
    values = {"project": repo.project, "repo": repo.name, "type": repo.type, "name": branch.name}

    def look() -> BranchRow | None:
        row = tx.execute(_FIND, values).first()
        return _branch(row) if row else None

    return tx.row((branches, repos), branch, look)


def get_branches(tx: Tx, keys: Iterable[int]) -> dict[int, BranchRow]:
    """Branches by key."""
    found: dict[int, BranchRow] = {}
    wanted = sorted(set(keys))
    for start in range(0, len(wanted), 500):
        rows = tx.execute(_SOME, {"keys": wanted[start : start + 500]}).all()
        found.update((row.id, _branch(row)) for row in rows)
    return found


def list_branches(tx: Tx, repo_key: int, oldest_first: bool = False) -> list[BranchRow]:
    """Branches of one repo, newest first."""
    query = _OLDEST_FIRST if oldest_first else _NEWEST_FIRST
    return [_branch(row) for row in tx.execute(query, {"repo": repo_key}).all()]


def user_branches(tx: Tx) -> list[tuple[Branch, Micros]]:
    """Every branch of every user repo, and when it was made."""
    query = select(*_COLUMNS).select_from(_JOINED).where(repos.c.type == USER_REPO)
    return [(_branch(row).branch, row.created_us) for row in tx.execute(query).all()]


def branches_with_head(tx: Tx, head: int) -> list[BranchRow]:
    """Branches whose head is that commit."""
    return [_branch(row) for row in tx.execute(_WITH_HEAD, {"head": head}).all()]


def set_head(tx: Tx, key: int, head: int) -> None:
    """Move a branch."""
    tx.execute(_CHANGE, {"at": key, "head": head, "updated_us": tx.now_us})


def set_trigger(tx: Tx, key: int, trigger: Trigger | None, due_us: Micros | None = None) -> None:
    """Set or clear a branch's trigger. due_us: its first tick, where it goes by a schedule."""
    values = {
        "trigger": json.dumps(asdict(trigger)) if trigger else None,
        "trigger_source": trigger.branch if trigger else None,
        "due_us": due_us,
        "updated_us": tx.now_us,
    }
    tx.execute(update(branches).where(branches.c.id == key).values(**values))


def triggered_by(tx: Tx, repo_key: int, source: str) -> list[BranchRow]:
    """Branches of a repo whose trigger follows the branch `source`, in order of creation."""
    return [_branch(row) for row in tx.execute(_TRIGGERED, {"repo": repo_key, "source": source}).all()]


def due_triggers(tx: Tx, until_us: Micros, limit: int) -> list[tuple[int, Micros]]:
    """Branches whose schedule has a tick that is due, the longest due first, then the oldest: key and tick."""
    query = select(branches.c.id, branches.c.due_us).where(branches.c.due_us <= until_us)
    return [(row[0], row[1]) for row in tx.execute(query.order_by(branches.c.due_us, branches.c.id).limit(limit)).all()]


def next_due(tx: Tx) -> Micros | None:
    """The next tick of any branch's schedule; None: no branch has one."""
    found = tx.execute(select(func.min(branches.c.due_us))).scalar()
    return None if found is None else int(found)


def tick(tx: Tx, key: int, tick_us: Micros, next_us: Micros | None) -> bool:
    """Write down that a tick of a branch's schedule has been; false, with nothing changed, if it was not due."""
    where = and_(branches.c.id == key, branches.c.due_us == tick_us)
    return tx.execute(update(branches).where(where).values(due_us=next_us)).rowcount > 0


def delete_branch(tx: Tx, key: int) -> None:
    """Remove a branch and its provenance. Its commits stay."""
    either = or_(branch_provenance.c.branch == key, branch_provenance.c.upstream == key)
    tx.execute(delete(branch_provenance).where(either))
    tx.execute(delete(branches).where(branches.c.id == key))


def clear_provenance(tx: Tx, key: int) -> None:
    """Have a branch depend on nothing."""
    tx.execute(_DERIVE_NO_MORE, {"at": key})


def add_provenance(tx: Tx, key: int, upstream: Sequence[tuple[int, bool]]) -> None:
    """Provenance of a branch without one. upstream: (key of a direct one, whether its commits alone start nothing)."""
    rows = [
        {"branch": key, "upstream": up, "position": position, "never": never}
        for position, (up, never) in enumerate(upstream)
    ]
    if rows:
        tx.execute(_DERIVE, rows)


def direct_provenance(tx: Tx, key: int) -> list[int]:
    """Keys of the branches that a branch directly depends on, in the order they were given."""
    return tx.execute(_UPSTREAM, {"at": key}).scalars()


@dataclass(frozen=True, slots=True)
class Edge:
    """`branch` depends on `upstream`; with `never`, a new commit there alone starts nothing here."""

    branch: int
    upstream: int
    never: bool


def all_edges(tx: Tx) -> list[Edge]:
    """The whole graph of direct provenance, in order of branch and position."""
    return [Edge(*row) for row in tx.execute(_EDGES).all()]


def _tied() -> CTE:
    """All that a chain of dependencies, up and down in any mixture, ties to one branch; with it."""
    tied = select(cast(given("at"), BigInteger).label("id")).cte("tied", recursive=True)
    edge = branch_provenance.c
    other = case((edge.branch == tied.c.id, edge.upstream), else_=edge.branch)
    near = select(other).where(or_(edge.branch == tied.c.id, edge.upstream == tied.c.id))
    return tied.union(near)


def _above() -> CTE:
    """All that one branch depends on, directly or not."""
    edge = branch_provenance.c
    above = select(edge.upstream.label("id")).where(edge.branch == given("at")).cte("above", recursive=True)
    return above.union(select(edge.upstream).where(edge.branch == above.c.id))


_TIED, _ABOVE = _tied(), _above()
_TIED_TWICE = Fixed(
    select(branches.c.repo)
    .where(branches.c.id.in_(select(_TIED.c.id)))
    .group_by(branches.c.repo)
    .having(func.count() > 1)
    .limit(1)
)
_IN_CIRCLE = Fixed(select(_ABOVE.c.id).where(_ABOVE.c.id == given("at")).limit(1))


def tangled(tx: Tx, key: int) -> bool:
    """Whether a branch depends on itself, or is tied by dependencies to two branches of one repo."""
    at = {"at": key}
    return bool(tx.execute(_IN_CIRCLE, at).all() or tx.execute(_TIED_TWICE, at).all())


def has_dependents(tx: Tx, repo_key: int) -> bool:
    """Whether a branch of another repo depends on a branch of this one."""
    mine = select(branches.c.id).where(branches.c.repo == repo_key)
    depends = and_(branch_provenance.c.upstream.in_(mine), branch_provenance.c.branch.not_in(mine))
    return bool(tx.execute(select(exists().where(depends))).one()[0])


def depends(tx: Tx, key: int) -> bool:
    """Whether a branch has provenance: then only the system writes to it."""
    return tx.execute(_DEPENDS, {"at": key}).first() is not None


def head_commit_id(tx: Tx, key: int) -> str:
    """The id of a branch's head."""
    query = select(commits.c.id).join(branches, branches.c.head == commits.c.seq).where(branches.c.id == key)
    return str(tx.execute(query).one()[0])


def _branch(row: Row[Any]) -> BranchRow:
    repo = Repo(row.project, row.repo_name, row.type)
    trigger = Trigger(**json.loads(row.trigger)) if row.trigger else None
    return BranchRow(
        row.id,
        row.repo,
        Branch(repo, row.name),
        row.head,
        row.created_us,
        row.updated_us,
        row.created_by,
        trigger,
        json.loads(row.metadata),
    )
