"""Queries on commits: their rows, their provenance, and the file sets each is made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Table, and_, case, delete, exists, func, insert, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine import AnyRow, Fixed, Tx, given, some
from trunkline.catalog.tables_pfs import commit_layers, commit_provenance, commit_runs, commits, repos
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


_ALL = select(*_COLUMNS).select_from(_JOINED)
_SEQ = commits.c.seq == given("at")
_INSERT = Fixed(insert(commits).returning(commits.c.seq))
_DERIVE = Fixed(insert(commit_provenance))
_DERIVE_NO_MORE = Fixed(delete(commit_provenance).where(commit_provenance.c.commit_seq == given("at")))
_UNFINISHED = Fixed(
    select(func.count())
    .select_from(commits)
    .where(commits.c.seq.in_(some("seqs")), commits.c.state != CommitState.FINISHED.value)
)
_NEXT_VERSION = {"version": commits.c.version + 1}
_CHANGE = Fixed(update(commits).where(_SEQ))
_CHANGE_VERSION = Fixed(update(commits).where(_SEQ).values(_NEXT_VERSION))
_FIND = Fixed(
    _ALL.where(
        commits.c.id == given("id"),
        repos.c.project == given("project"),
        repos.c.name == given("name"),
        repos.c.type == given("type"),
    )
)
_ONE = Fixed(_ALL.where(_SEQ))
_SOME = Fixed(_ALL.where(commits.c.seq.in_(some("seqs"))))
_CHILDREN = Fixed(
    select(commits.c.parent, commits.c.seq).where(commits.c.parent.in_(some("seqs"))).order_by(commits.c.seq)
)
_UP, _DOWN = commit_provenance.c.upstream, commit_provenance.c.commit_seq
_UPSTREAM = Fixed(select(_DOWN, _UP).where(_DOWN.in_(some("seqs"))).order_by(_UP))
_DOWNSTREAM = Fixed(select(_UP, _DOWN).where(_UP.in_(some("seqs"))).order_by(_DOWN))
_BELOW = commits.c.seq.in_(select(_DOWN).where(given("at") == _UP))
_ONE_INPUT_LESS = Fixed(update(commits).where(_BELOW).values(open_inputs=commits.c.open_inputs - 1))
_READY = Fixed(
    update(commits)
    .where(_BELOW, commits.c.open_inputs == 0, commits.c.state == CommitState.STARTED.value)
    .values(state=CommitState.READY.value)
    .returning(commits.c.seq)
)
_FINISHED = Fixed(
    update(commits)
    .where(_SEQ)
    .values(**_NEXT_VERSION, finished_us=func.coalesce(commits.c.elsewhere_us, given("now_us")))
)
_GROW = Fixed(
    update(commits)
    .where(_SEQ)
    .values(**_NEXT_VERSION, size_upper_bytes=commits.c.size_upper_bytes + given("added_bytes"))
)


def _next_finishing() -> Fixed:
    base = commits.alias("base")
    ground = case((commits.c.base_fixed, commits.c.base), else_=commits.c.parent)
    unfinished = and_(base.c.seq == ground, base.c.state != CommitState.FINISHED.value)
    closed = and_(commits.c.state == CommitState.FINISHING.value, commits.c.seq > given("after"))
    return Fixed(_ALL.where(closed, ~exists().where(unfinished)).order_by(commits.c.seq).limit(given("most")))


_NEXT_FINISHING = _next_finishing()


def _filesets(table: Table) -> tuple[Fixed, Fixed, Fixed]:
    """Those of a commit in order; the statements that add and remove them."""
    mine = table.c.commit_seq == given("of")
    listed = select(table.c.fileset).where(mine).order_by(table.c.position)
    return Fixed(listed), Fixed(insert(table)), Fixed(delete(table).where(mine))


_LAYERS, _LAY, _LIFT = _filesets(commit_layers)
_TOP = Fixed(select(func.max(commit_layers.c.position)).where(commit_layers.c.commit_seq == given("of")))
_RUNS, _ADD_RUNS, _NO_RUNS = _filesets(commit_runs)


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
    seq = int(tx.execute(_INSERT, values).one()[0])
    add_provenance(tx, seq, upstream)
    return seq


def add_provenance(tx: Tx, seq: int, upstream: Sequence[int]) -> None:
    """Write down what a new commit is derived from."""
    rows = [{"commit_seq": seq, "upstream": up} for up in dict.fromkeys(upstream)]
    if rows:
        tx.execute(_DERIVE, rows)


def replace_provenance(tx: Tx, seq: int, upstream: Sequence[int]) -> None:
    """Change what an open commit is derived from, and with it whether it is READY."""
    tx.execute(_DERIVE_NO_MORE, {"at": seq})
    add_provenance(tx, seq, upstream)
    unfinished = _unfinished(tx, upstream)
    state = CommitState.STARTED if unfinished else CommitState.READY
    tx.execute(_CHANGE_VERSION, {"at": seq, "open_inputs": unfinished, "state": state.value})


def _unfinished(tx: Tx, seqs: Sequence[int]) -> int:
    if not seqs:
        return 0
    return int(tx.execute(_UNFINISHED, {"seqs": sorted(set(seqs))}).one()[0])


def find_commit(tx: Tx, commit: Commit) -> CommitRow | None:
    """One commit by repo and id."""
    repo = commit.repo
    values = {"id": commit.id, "project": repo.project, "name": repo.name, "type": repo.type}
    return _one(tx, commit, _FIND, values)


def get_commit(tx: Tx, seq: int) -> CommitRow | None:
    """One commit by seq."""
    return _one(tx, seq, _ONE, {"at": seq})


def _one(tx: Tx, key: Commit | int, query: Fixed, values: Mapping[str, Any]) -> CommitRow | None:
    def look() -> CommitRow | None:
        row = tx.execute(query, values).first()
        return _commit(row) if row else None

    return tx.row((commits, repos), key, look)


def get_commits(tx: Tx, seqs: Iterable[int]) -> dict[int, CommitRow]:
    """Commits by seq."""
    found: dict[int, CommitRow] = {}
    wanted = sorted(set(seqs))
    for start in range(0, len(wanted), 500):
        rows = tx.execute(_SOME, {"seqs": wanted[start : start + 500]}).all()
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
    return _grouped(tx.execute(_CHILDREN, {"seqs": sorted(set(seqs))}).all())


def upstream_of(tx: Tx, seqs: Iterable[int]) -> dict[int, list[int]]:
    """Direct provenance of each commit; commits without any are absent."""
    return _grouped(tx.execute(_UPSTREAM, {"seqs": sorted(set(seqs))}).all())


def downstream_of(tx: Tx, seqs: Iterable[int]) -> dict[int, list[int]]:
    """Direct subvenance of each commit; commits without any are absent."""
    return _grouped(tx.execute(_DOWNSTREAM, {"seqs": sorted(set(seqs))}).all())


def _grouped(rows: Sequence[AnyRow]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for key, value in rows:
        found.setdefault(key, []).append(value)
    return found


def set_finishing(tx: Tx, seq: int, *, error: str, description: str) -> None:
    """Close a commit to writes. Empty texts leave what is there."""
    values: dict[str, object] = {"state": CommitState.FINISHING.value, "finishing_us": tx.now_us}
    values |= {"at": seq, "updated_us": tx.now_us}
    if error:
        values["error"] = error
    if description:
        values["description"] = description
    tx.execute(_CHANGE_VERSION, values)


def fix_base(tx: Tx, seq: int, base: int | None) -> None:
    """Say whose content a commit's diff changes."""
    tx.execute(_CHANGE, {"at": seq, "base": base, "base_fixed": True})


def set_finished(tx: Tx, seq: int, *, error: str, size_bytes: int, files: int) -> None:
    """Fix a commit's content."""
    values = {
        "state": CommitState.FINISHED.value,
        "at": seq,
        "now_us": tx.now_us,
        "updated_us": tx.now_us,
        "error": error,
        "size_bytes": size_bytes,
        "size_upper_bytes": size_bytes,
        "files": files,
    }
    tx.execute(_FINISHED, values)


def input_finished(tx: Tx, seq: int) -> list[int]:
    """Tell the direct subvenance of a commit that it is finished; the seqs that became READY by it."""
    tx.execute(_ONE_INPUT_LESS, {"at": seq})
    return sorted(tx.execute(_READY, {"at": seq}).scalars())


def next_finishing(tx: Tx, after: int, limit: int) -> list[CommitRow]:
    """Commits that wait to be finished and whose base is finished (the parent, where none was fixed), by seq."""
    return [_commit(row) for row in tx.execute(_NEXT_FINISHING, {"after": after, "most": limit}).all()]


def grow(tx: Tx, seq: int, bytes_added: int) -> None:
    """Raise the upper bound of a commit's size."""
    tx.execute(_GROW, {"at": seq, "added_bytes": bytes_added})


def layers(tx: Tx, seq: int) -> list[str]:
    """File sets of a commit's diff, oldest first."""
    return tx.execute(_LAYERS, {"of": seq}).scalars()


def append_layers(tx: Tx, seq: int, filesets: Sequence[str]) -> int:
    """Put file sets on top of a commit's diff; how many it has then, 0 where none were put there."""
    if not filesets:
        return 0
    last = tx.execute(_TOP, {"of": seq}).scalar()
    start = 0 if last is None else last + 1
    _place(tx, _LAY, seq, filesets, start)
    return start + len(filesets)


def replace_layers(tx: Tx, seq: int, filesets: Sequence[str]) -> None:
    """Set a commit's diff."""
    tx.execute(_LIFT, {"of": seq})
    _place(tx, _LAY, seq, filesets)


def _place(tx: Tx, into: Fixed, seq: int, filesets: Sequence[str], start: int = 0) -> None:
    rows = [{"commit_seq": seq, "position": at, "fileset": fileset} for at, fileset in enumerate(filesets, start)]
    if rows:
        tx.execute(into, rows)


def runs(tx: Tx, seq: int) -> list[str]:
    """File sets that make up a finished commit's content, oldest first."""
    return tx.execute(_RUNS, {"of": seq}).scalars()


def set_runs(tx: Tx, seq: int, filesets: Sequence[str]) -> None:
    """Set the runs of a finished commit."""
    tx.execute(_NO_RUNS, {"of": seq})
    _place(tx, _ADD_RUNS, seq, filesets)


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
