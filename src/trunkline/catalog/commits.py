"""Queries on commits: their rows, their provenance, and the file sets each is made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, delete, exists, func, insert, literal, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine import AnyRow, Tx
from trunkline.catalog.tables_pfs import branches, commit_layers, commit_provenance, commit_runs, commits, repos
from trunkline.model.infos import CommitState, Origin
from trunkline.model.names import Commit, Repo


@dataclass(frozen=True, slots=True)
class CommitRow:
    """A commit as the catalog keeps it; parent and base are seqs."""

    seq: int
    repo_key: int
    commit: Commit
    branch_name: str
    origin: Origin
    state: CommitState
    parent: int | None
    base: int | None
    base_fixed: bool
    open_inputs: int
    started_us: Micros
    finishing_us: Micros | None
    finished_us: Micros | None
    error: str
    description: str
    size_upper_bytes: int
    size_bytes: int | None
    files: int | None
    forgotten: bool
    version: int
    created_by: str
    updated_us: Micros
    metadata: dict[str, str]

    @property
    def open(self) -> bool:
        """Whether it still takes writes."""
        return self.state.rank < CommitState.FINISHING.rank

    @property
    def finished(self) -> bool:
        """Whether its content is fixed."""
        return self.state is CommitState.FINISHED


_COLUMNS = (commits, repos.c.project, repos.c.name.label("repo_name"), repos.c.type)
_JOINED = commits.join(repos, repos.c.id == commits.c.repo)


def insert_commit(
    tx: Tx,
    repo_key: int,
    commit_id: str,
    *,
    branch_name: str,
    origin: Origin,
    parent: int | None,
    upstream: Sequence[int],
    description: str = "",
    size_upper_bytes: int = 0,
) -> int:
    """Add an open commit with its direct provenance; its seq. It is READY when nothing upstream is unfinished."""
    unfinished = _unfinished(tx, upstream)
    values = {
        "repo": repo_key,
        "id": commit_id,
        "branch_name": branch_name,
        "origin": origin.value,
        "state": (CommitState.STARTED if unfinished else CommitState.READY).value,
        "parent": parent,
        "open_inputs": unfinished,
        "started_us": tx.now_us,
        "updated_us": tx.now_us,
        "description": description,
        "size_upper_bytes": size_upper_bytes,
    }
    seq = int(tx.execute(insert(commits).values(**values).returning(commits.c.seq)).one()[0])
    add_provenance(tx, seq, upstream)
    return seq


def add_provenance(tx: Tx, seq: int, upstream: Sequence[int]) -> None:
    """Write down what a new commit is derived from."""
    rows = [{"commit_seq": seq, "upstream": up} for up in dict.fromkeys(upstream)]
    if rows:
        tx.execute(insert(commit_provenance), rows)


def replace_provenance(tx: Tx, seq: int, upstream: Sequence[int]) -> None:
    """Change what an open commit is derived from, and with it whether it is READY."""
    tx.execute(delete(commit_provenance).where(commit_provenance.c.commit_seq == seq))
    add_provenance(tx, seq, upstream)
    unfinished = _unfinished(tx, upstream)
    state = CommitState.STARTED if unfinished else CommitState.READY
    values = {"open_inputs": unfinished, "state": state.value, "version": commits.c.version + 1}
    tx.execute(update(commits).where(commits.c.seq == seq).values(**values))


def _unfinished(tx: Tx, seqs: Sequence[int]) -> int:
    if not seqs:
        return 0
    where = and_(commits.c.seq.in_(set(seqs)), commits.c.state != CommitState.FINISHED.value)
    return int(tx.execute(select(func.count()).select_from(commits).where(where)).one()[0])


def find_commit(tx: Tx, commit: Commit) -> CommitRow | None:
    """One commit by repo and id."""
    repo = commit.repo
    where = and_(
        commits.c.id == commit.id,
        repos.c.project == repo.project,
        repos.c.name == repo.name,
        repos.c.type == repo.type,
    )
    return _one(tx, commit, where)


def get_commit(tx: Tx, seq: int) -> CommitRow | None:
    """One commit by seq."""
    return _one(tx, seq, commits.c.seq == seq)


def _one(tx: Tx, key: Commit | int, where: ColumnElement[bool]) -> CommitRow | None:
    def look() -> CommitRow | None:
        row = tx.execute(select(*_COLUMNS).select_from(_JOINED).where(where)).first()
        return _commit(row) if row else None

    return tx.row((commits, repos), key, look)


def get_commits(tx: Tx, seqs: Iterable[int]) -> dict[int, CommitRow]:
    """Commits by seq."""
    found: dict[int, CommitRow] = {}
    wanted = sorted(set(seqs))
    for start in range(0, len(wanted), 500):
        page = wanted[start : start + 500]
        rows = tx.execute(select(*_COLUMNS).select_from(_JOINED).where(commits.c.seq.in_(page))).all()
        found.update((row.seq, _commit(row)) for row in rows)
    return found


def commits_of_set(tx: Tx, commit_id: str) -> list[CommitRow]:
    """All commits of one id, in order of creation."""
    query = select(*_COLUMNS).select_from(_JOINED).where(commits.c.id == commit_id).order_by(commits.c.seq)
    return [_commit(row) for row in tx.execute(query).all()]


def list_sets(tx: Tx, project: str, before: int | None, limit: int) -> list[tuple[str, int]]:
    """Ids of commit sets, newest first, each with its newest seq; `project` "" means all; before: exclusive seq."""
    newest = func.max(commits.c.seq)
    query = (
        select(commits.c.id, newest).select_from(_JOINED).group_by(commits.c.id).order_by(newest.desc()).limit(limit)
    )
    if project:
        query = query.where(repos.c.project == project)
    if before is not None:
        query = query.having(newest < before)
    return [(row[0], row[1]) for row in tx.execute(query).all()]


def list_commits(
    tx: Tx,
    repo_key: int | None,
    *,
    above: int | None = None,
    below: int | None = None,
    origins: Sequence[Origin] = (),
    oldest_first: bool = False,
    limit: int = 1000,
) -> list[CommitRow]:
    """A page of commits by seq, newest first; `above` and `below` are exclusive. repo_key None: all user repos."""
    order = commits.c.seq if oldest_first else commits.c.seq.desc()
    query = select(*_COLUMNS).select_from(_JOINED).order_by(order).limit(limit)
    query = query.where(repos.c.type == "user") if repo_key is None else query.where(commits.c.repo == repo_key)
    if above is not None:
        query = query.where(commits.c.seq > above)
    if below is not None:
        query = query.where(commits.c.seq < below)
    if origins:
        query = query.where(commits.c.origin.in_([origin.value for origin in origins]))
    return [_commit(row) for row in tx.execute(query).all()]


def all_commits(tx: Tx, above: int, limit: int) -> list[CommitRow]:
    """A page of all commits of all repos, system ones too, oldest first."""
    query = select(*_COLUMNS).select_from(_JOINED).where(commits.c.seq > above).order_by(commits.c.seq).limit(limit)
    return [_commit(row) for row in tx.execute(query).all()]


def children(tx: Tx, seqs: Iterable[int]) -> dict[int, list[int]]:
    """Child seqs of each commit, oldest first; commits without children are absent."""
    wanted = sorted(set(seqs))
    query = select(commits.c.parent, commits.c.seq).where(commits.c.parent.in_(wanted)).order_by(commits.c.seq)
    return _grouped(tx.execute(query).all())


def upstream_of(tx: Tx, seqs: Iterable[int]) -> dict[int, list[int]]:
    """Direct provenance of each commit; commits without any are absent."""
    where = commit_provenance.c.commit_seq.in_(sorted(set(seqs)))
    query = select(commit_provenance.c.commit_seq, commit_provenance.c.upstream).where(where)
    return _grouped(tx.execute(query.order_by(commit_provenance.c.upstream)).all())


def downstream_of(tx: Tx, seqs: Iterable[int]) -> dict[int, list[int]]:
    """Direct subvenance of each commit; commits without any are absent."""
    where = commit_provenance.c.upstream.in_(sorted(set(seqs)))
    query = select(commit_provenance.c.upstream, commit_provenance.c.commit_seq).where(where)
    return _grouped(tx.execute(query.order_by(commit_provenance.c.commit_seq)).all())


def _grouped(rows: Sequence[AnyRow]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for key, value in rows:
        found.setdefault(key, []).append(value)
    return found


def set_finishing(tx: Tx, seq: int, *, error: str, description: str) -> None:
    """Close a commit to writes. Empty texts leave what is there."""
    values: dict[str, object] = {"state": CommitState.FINISHING.value, "finishing_us": tx.now_us}
    values |= {"version": commits.c.version + 1, "updated_us": tx.now_us}
    if error:
        values["error"] = error
    if description:
        values["description"] = description
    tx.execute(update(commits).where(commits.c.seq == seq).values(**values))


def fix_base(tx: Tx, seq: int, base: int | None) -> None:
    """Say whose content a commit's diff changes."""
    tx.execute(update(commits).where(commits.c.seq == seq).values(base=base, base_fixed=True))


def set_finished(tx: Tx, seq: int, *, error: str, size_bytes: int, files: int) -> None:
    """Fix a commit's content."""
    values = {
        "state": CommitState.FINISHED.value,
        "finished_us": func.coalesce(commits.c.elsewhere_us, tx.now_us),
        "updated_us": tx.now_us,
        "error": error,
        "size_bytes": size_bytes,
        "size_upper_bytes": size_bytes,
        "files": files,
        "version": commits.c.version + 1,
    }
    tx.execute(update(commits).where(commits.c.seq == seq).values(**values))


def input_finished(tx: Tx, seq: int) -> list[int]:
    """Tell the direct subvenance of a commit that it is finished; the seqs that became READY by it."""
    down = select(commit_provenance.c.commit_seq).where(commit_provenance.c.upstream == seq)
    tx.execute(update(commits).where(commits.c.seq.in_(down)).values(open_inputs=commits.c.open_inputs - 1))
    ready = and_(commits.c.seq.in_(down), commits.c.open_inputs == 0, commits.c.state == CommitState.STARTED.value)
    query = update(commits).where(ready).values(state=CommitState.READY.value).returning(commits.c.seq)
    return sorted(row[0] for row in tx.execute(query).all())


def next_finishing(tx: Tx, after: int, limit: int) -> list[CommitRow]:
    """Commits that wait to be finished and whose base is finished (the parent, where none was fixed), by seq."""
    base = commits.alias("base")
    ground = case((commits.c.base_fixed, commits.c.base), else_=commits.c.parent)
    unfinished = and_(base.c.seq == ground, base.c.state != CommitState.FINISHED.value)
    where = and_(commits.c.state == CommitState.FINISHING.value, commits.c.seq > after, ~exists().where(unfinished))
    query = select(*_COLUMNS).select_from(_JOINED).where(where).order_by(commits.c.seq).limit(limit)
    return [_commit(row) for row in tx.execute(query).all()]


def grow(tx: Tx, seq: int, bytes_added: int) -> None:
    """Raise the upper bound of a commit's size."""
    values = {"size_upper_bytes": commits.c.size_upper_bytes + bytes_added, "version": commits.c.version + 1}
    tx.execute(update(commits).where(commits.c.seq == seq).values(**values))


def layers(tx: Tx, seq: int) -> list[str]:
    """File sets of a commit's diff, oldest first."""
    query = select(commit_layers.c.fileset).where(commit_layers.c.commit_seq == seq).order_by(commit_layers.c.position)
    return [row[0] for row in tx.execute(query).all()]


def append_layers(tx: Tx, seq: int, filesets: Sequence[str]) -> None:
    """Put file sets on top of a commit's diff."""
    highest = select(func.max(commit_layers.c.position)).where(commit_layers.c.commit_seq == seq)
    last = tx.execute(highest).one()[0]
    start = 0 if last is None else last + 1
    for position, fileset in enumerate(filesets, start):
        tx.execute(insert(commit_layers).values(commit_seq=seq, position=position, fileset=fileset))


def replace_layers(tx: Tx, seq: int, filesets: Sequence[str]) -> None:
    """Set a commit's diff."""
    tx.execute(delete(commit_layers).where(commit_layers.c.commit_seq == seq))
    append_layers(tx, seq, filesets)


def runs(tx: Tx, seq: int) -> list[str]:
    """File sets that make up a finished commit's content, oldest first."""
    query = select(commit_runs.c.fileset).where(commit_runs.c.commit_seq == seq).order_by(commit_runs.c.position)
    return [row[0] for row in tx.execute(query).all()]


def heads_of_many_runs(tx: Tx, limit: int) -> list[int]:
    """Heads of branches, and parents of heads, that have more than `limit` runs."""
    heads = select(branches.c.head)
    near = heads.union(select(commits.c.parent).where(commits.c.seq.in_(heads), commits.c.parent.is_not(None)))
    where = commit_runs.c.position == limit, commit_runs.c.commit_seq.in_(near)
    return list(tx.execute(select(commit_runs.c.commit_seq).where(*where).order_by("commit_seq")).scalars())


def set_runs(tx: Tx, seq: int, filesets: Sequence[str]) -> None:
    """Set the runs of a finished commit."""
    tx.execute(delete(commit_runs).where(commit_runs.c.commit_seq == seq))
    for position, fileset in enumerate(filesets):
        tx.execute(insert(commit_runs).values(commit_seq=seq, position=position, fileset=fileset))


def ancestor(tx: Tx, seq: int, steps: int) -> int | None:
    """Seq of the commit `steps` parents back; None past the root."""
    first = select(commits.c.seq, commits.c.parent, literal(0).label("depth")).where(commits.c.seq == seq)
    chain = first.cte(recursive=True)
    older = select(commits.c.seq, commits.c.parent, chain.c.depth + 1)
    chain = chain.union_all(older.where(commits.c.seq == chain.c.parent, chain.c.depth < steps))
    row = tx.execute(select(chain.c.seq).where(chain.c.depth == steps)).first()
    return int(row[0]) if row else None


def line(tx: Tx, seq: int, limit: int) -> list[CommitRow]:
    """A commit and its ancestors, newest first, at most `limit` of them."""
    chain = select(commits.c.seq, commits.c.parent, literal(1).label("depth")).where(commits.c.seq == seq)
    chain_rows = chain.cte(recursive=True)
    older = select(commits.c.seq, commits.c.parent, chain_rows.c.depth + 1)
    older = older.where(commits.c.seq == chain_rows.c.parent, chain_rows.c.depth < limit)
    chain_rows = chain_rows.union_all(older)
    seqs = [row[0] for row in tx.execute(select(chain_rows.c.seq).order_by(chain_rows.c.depth)).all()]
    rows = get_commits(tx, seqs)
    return [rows[found] for found in seqs]


def count_since(tx: Tx, seq: int, stop: int, most: int) -> int:
    """How many commits there are from one back to its ancestor `stop`, exclusive, or to the root; `most` at most.

    An empty root that the system made is not counted.
    """
    place = (commits.c.seq, commits.c.parent, commits.c.origin, commits.c.files)
    chain = select(*place, literal(1).label("depth")).where(commits.c.seq == seq, commits.c.seq != stop)
    rows = chain.cte(recursive=True)
    older = select(*place, rows.c.depth + 1).where(
        commits.c.seq == rows.c.parent, commits.c.seq != stop, rows.c.depth < most
    )
    rows = rows.union_all(older)
    root = and_(rows.c.parent.is_(None), rows.c.origin == Origin.AUTO.value, func.coalesce(rows.c.files, 0) == 0)
    return int(tx.execute(select(func.count()).select_from(rows).where(~root)).one()[0])


def generation(tx: Tx, seq: int) -> int:
    """How many ancestors a commit has."""
    chain = select(commits.c.seq, commits.c.parent).where(commits.c.seq == seq).cte(recursive=True)
    chain = chain.union_all(select(commits.c.seq, commits.c.parent).where(commits.c.seq == chain.c.parent))
    return int(tx.execute(select(func.count()).select_from(chain)).one()[0]) - 1


def _commit(row: Row[Any]) -> CommitRow:
    return CommitRow(
        seq=row.seq,
        repo_key=row.repo,
        commit=Commit(Repo(row.project, row.repo_name, row.type), row.id),
        branch_name=row.branch_name,
        origin=Origin(row.origin),
        state=CommitState(row.state),
        parent=row.parent,
        base=row.base,
        base_fixed=bool(row.base_fixed),
        open_inputs=row.open_inputs,
        started_us=row.started_us,
        finishing_us=row.finishing_us,
        finished_us=row.finished_us,
        error=row.error,
        description=row.description,
        size_upper_bytes=row.size_upper_bytes,
        size_bytes=row.size_bytes,
        files=row.files,
        forgotten=row.forgotten_us is not None,
        version=row.version,
        created_by=row.created_by,
        updated_us=row.updated_us,
        metadata=json.loads(row.metadata),
    )
