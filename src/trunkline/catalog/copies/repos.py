"""One repo's rows, out as plain values and back in under other numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Table, func, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from trunkline.catalog.collection.exchange import DIFF_HOLDER, RUNS_HOLDER
from trunkline.catalog.collection.sessions import require_open
from trunkline.catalog.commits import upstream_of
from trunkline.catalog.copies import numbers
from trunkline.catalog.engine import Tx
from trunkline.catalog.tables import holders
from trunkline.catalog.tables_pfs import branch_provenance, branches, commit_layers, commit_runs, commits, repos, tags
from trunkline.errors import InvalidArgument
from trunkline.model.infos import CommitState
from trunkline.model.names import Repo

Values = dict[str, Any]

COMMIT = (
    "seq", "id", "branch_name", "origin", "parent", "base", "merged_from", "started_us", "finishing_us", "finished_us",
    "error", "description", "size_upper_bytes", "size_bytes", "files", "forgotten_us", "created_by", "updated_us",
)  # fmt: skip
"""What goes out of a commit's row as it is."""
BRANCH = ("name", "head", "created_us", "updated_us", "created_by", "trigger", "trigger_source", "due_us")
TAG = ("name", "commit_seq", "description", "created_us")

PROVENANCE = "provenance"
"""In a commit's metadata: what it was derived from where it came from."""

PAGE = 500


def commit_pages(tx: Tx, repo_key: int) -> Iterator[list[Values]]:
    """A repo's finished commits, oldest first, each with the file sets of its diff and its content."""
    after = 0
    mine = commits.c.repo == repo_key, commits.c.state == CommitState.FINISHED.value
    while True:
        query = select(commits).where(*mine, commits.c.seq > after).order_by(commits.c.seq).limit(PAGE)
        rows = tx.execute(query).all()
        if not rows:
            return
        after = rows[-1].seq
        seqs = [row.seq for row in rows]
        diffs, runs = (_filesets(tx, owner, seqs) for owner in (commit_layers, commit_runs))
        above = _upstream(tx, seqs)
        yield [
            {name: getattr(row, name) for name in COMMIT}
            | {"metadata": json.loads(row.metadata), "diff": diffs.get(row.seq, []), "runs": runs.get(row.seq, [])}
            | {PROVENANCE: above.get(row.seq, [])}
            for row in rows
        ]


def _filesets(tx: Tx, owner: Any, seqs: Sequence[int]) -> dict[int, list[str]]:
    query = select(owner.c.commit_seq, owner.c.fileset).where(owner.c.commit_seq.in_(seqs))
    found: dict[int, list[str]] = {}
    for seq, fileset in tx.execute(query.order_by(owner.c.commit_seq, owner.c.position)).all():
        found.setdefault(seq, []).append(fileset)
    return found


def _upstream(tx: Tx, seqs: Sequence[int]) -> dict[int, list[str]]:
    above = upstream_of(tx, seqs)
    wanted = sorted({up for ups in above.values() for up in ups})
    names: dict[int, str] = {}
    for start in range(0, len(wanted), PAGE):
        joined = commits.join(repos, repos.c.id == commits.c.repo)
        query = select(commits.c.seq, commits.c.id, repos.c.project, repos.c.name, repos.c.type).select_from(joined)
        for row in tx.execute(query.where(commits.c.seq.in_(wanted[start : start + PAGE]))).all():
            names[row.seq] = f"{Repo(row.project, row.name, row.type)}@{row.id}"
    return {seq: [names[up] for up in ups if up in names] for seq, ups in above.items()}


def last_seq(tx: Tx, repo_key: int) -> tuple[int, int]:
    """How many finished commits a repo has, and the highest number among them; 0: none."""
    mine = commits.c.repo == repo_key, commits.c.state == CommitState.FINISHED.value
    row = tx.execute(select(func.count(commits.c.seq), func.coalesce(func.max(commits.c.seq), 0)).where(*mine)).one()
    return int(row[0]), int(row[1])


def unfinished(tx: Tx, repo_key: int) -> int:
    """How many commits of a repo are not finished."""
    mine = commits.c.repo == repo_key, commits.c.state != CommitState.FINISHED.value
    return int(tx.execute(select(func.count()).select_from(commits).where(*mine)).one()[0])


def branch_values(tx: Tx, repo_key: int) -> list[Values]:
    """A repo's branches, in order of creation; `derived`: whether it has provenance."""
    derived = set(tx.execute(select(branch_provenance.c.branch).distinct()).scalars())
    rows = tx.execute(select(branches).where(branches.c.repo == repo_key).order_by(branches.c.id)).all()
    return [
        {name: getattr(row, name) for name in BRANCH}
        | {"metadata": json.loads(row.metadata), "derived": row.id in derived}
        for row in rows
    ]


def tag_values(tx: Tx, repo_key: int) -> list[Values]:
    """A repo's tags, by name."""
    rows = tx.execute(select(tags).where(tags.c.repo == repo_key).order_by(tags.c.name)).all()
    return [{name: getattr(row, name) for name in TAG} for row in rows]


def reserve(tx: Tx, count: int) -> int:
    """Take `count` numbers for commits, that nobody else ever gets; what to add to 1 to `count` to have them."""
    return numbers.reserve(tx, commits.c.seq, count)


def set_repo(tx: Tx, repo_key: int, created_us: int, metadata: dict[str, str]) -> None:
    """Give a repo the age and the texts that it has elsewhere."""
    values = {"created_us": created_us, "metadata": json.dumps(metadata)}
    tx.execute(update(repos).where(repos.c.id == repo_key).values(**values))


def insert_commits(
    tx: Tx, gen: int, repo_key: int, shift: int, some: Sequence[Values], fileset_of: Callable[[str], str]
) -> None:
    """Add finished commits, which `commit_pages` gave, under numbers that are `shift` higher.

    fileset_of: the file set here, held by session `gen`, for one of theirs. Raises Aborted unless the session is open.
    """
    require_open(tx, gen)
    rows, diffs, runs, held = [], list[Values](), list[Values](), list[Values]()
    for one in some:
        seq = one["seq"] + shift
        for rows_of, holder, names in ((diffs, DIFF_HOLDER, one["diff"]), (runs, RUNS_HOLDER, one["runs"])):
            mine = [fileset_of(name) for name in names]
            rows_of += [{"commit_seq": seq, "position": at, "fileset": name} for at, name in enumerate(mine)]
            held += [{"fileset_id": name, "kind": holder, "key": str(seq)} for name in dict.fromkeys(mine)]
        rows.append(_commit_row(one, repo_key, shift))
    for target, values in ((commits, rows), (commit_layers, diffs), (commit_runs, runs), (holders, held)):
        if values:
            _add(tx, target, values)


def _add(tx: Tx, target: Table, values: list[Values]) -> None:
    try:
        tx.execute(insert(target), values)
    except (IntegrityError, StatementError) as error:
        what = error.orig if isinstance(error, IntegrityError) else error
        raise InvalidArgument(f"the bundle contradicts itself in its {target.name} ({what})") from error


def _commit_row(one: Values, repo_key: int, shift: int) -> Values:
    row = {name: one[name] for name in COMMIT}
    for name in ("seq", "parent", "base", "merged_from"):
        row[name] = one[name] + shift if one[name] is not None else None
    metadata = dict(one["metadata"])
    if one[PROVENANCE]:
        metadata.setdefault(PROVENANCE, " ".join(one[PROVENANCE]))
    return row | {
        "repo": repo_key,
        "state": CommitState.FINISHED.value,
        "base_fixed": True,
        "open_inputs": 0,
        "metadata": json.dumps(metadata),
    }


def insert_branches(tx: Tx, repo_key: int, shift: int, some: Iterable[Values]) -> None:
    """Add branches, which `branch_values` gave, without what they were derived from."""
    rows = [
        {name: one[name] for name in BRANCH}
        | {"repo": repo_key, "head": one["head"] + shift, "metadata": json.dumps(one["metadata"])}
        for one in some
    ]
    if rows:
        _add(tx, branches, rows)


def insert_tags(tx: Tx, repo_key: int, shift: int, some: Iterable[Values]) -> None:
    """Add tags, which `tag_values` gave."""
    rows = [
        {name: one[name] for name in TAG} | {"repo": repo_key, "commit_seq": one["commit_seq"] + shift} for one in some
    ]
    if rows:
        _add(tx, tags, rows)


def tell_times(tx: Tx, seq: int, started_us: int, finished_us: int, metadata: dict[str, str]) -> None:
    """Give a commit that is not finished the times and texts that it has elsewhere."""
    values = {"started_us": started_us, "finishing_us": finished_us, "elsewhere_us": finished_us}
    tx.execute(update(commits).where(commits.c.seq == seq).values(**values, metadata=json.dumps(metadata)))
