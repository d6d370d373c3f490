"""Queries on history: lines of ancestors; and, for taking commits out of it, who stands on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import CTE, and_, delete, func, insert, literal, or_, select, update

from trunkline.catalog.commits import CommitRow, get_commits
from trunkline.catalog.engine import Tx
from trunkline.catalog.engine.fixed import Fixed, given
from trunkline.catalog.engine.tx import slices
from trunkline.catalog.tables_pfs import branches, commit_layers, commit_provenance, commit_runs, commits, repos
from trunkline.model.infos import CommitState, Origin
from trunkline.model.names import Repo

MOST_WRONG = 100
"""How many commit sets a check names."""


def _chain() -> CTE:
    """A commit and its ancestors, up to some steps back, each with its `depth`."""
    first = select(commits.c.seq, commits.c.parent, literal(0).label("depth")).where(commits.c.seq == given("seq"))
    chain = first.cte(recursive=True)
    older = select(commits.c.seq, commits.c.parent, chain.c.depth + 1)
    return chain.union_all(older.where(commits.c.seq == chain.c.parent, chain.c.depth < given("steps")))


_CHAIN = _chain()
_ANCESTOR = Fixed(select(_CHAIN.c.seq).where(_CHAIN.c.depth == given("steps")))
_LINE = Fixed(select(_CHAIN.c.seq).order_by(_CHAIN.c.depth))


def ancestor(tx: Tx, seq: int, steps: int) -> int | None:
    """Seq of the commit `steps` parents back; None past the root."""
    row = tx.execute(_ANCESTOR, {"seq": seq, "steps": steps}).first()
    return int(row[0]) if row else None


def line(tx: Tx, seq: int, limit: int) -> list[CommitRow]:
    """A commit and its ancestors, newest first, at most `limit` of them."""
    seqs = [row[0] for row in tx.execute(_LINE, {"seq": seq, "steps": limit - 1}).all()]
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


def heads_of_many_runs(tx: Tx, limit: int) -> list[int]:
    """Heads of branches, and parents of heads, that have more than `limit` runs."""
    heads = select(branches.c.head)
    near = heads.union(select(commits.c.parent).where(commits.c.seq.in_(heads), commits.c.parent.is_not(None)))
    where = commit_runs.c.position == limit, commit_runs.c.commit_seq.in_(near)
    return list(tx.execute(select(commit_runs.c.commit_seq).where(*where).order_by("commit_seq")).scalars())


def subvenant(tx: Tx, seqs: Iterable[int]) -> set[int]:
    """Seqs of all commits that some commits are in the provenance of, directly or not, without themselves."""
    found: set[int] = set()
    start = set(seqs)
    layer = start
    while layer:
        layer = next_layer(tx, layer, up=False) - found - start
        found |= layer
    return found


def twins(tx: Tx, seqs: Iterable[int]) -> set[int]:
    """Seqs of commits with the id of one of these, in a repo of the same name and another type."""
    other, theirs = commits.alias("other"), repos.alias("theirs")
    same = and_(theirs.c.project == repos.c.project, theirs.c.name == repos.c.name, theirs.c.id != repos.c.id)
    joined = commits.join(repos, repos.c.id == commits.c.repo).join(other, other.c.id == commits.c.id)
    query = select(other.c.seq).select_from(joined.join(theirs, and_(theirs.c.id == other.c.repo, same)))
    found: set[int] = set()
    for some in slices(sorted(set(seqs))):
        found.update(tx.execute(query.where(commits.c.seq.in_(some))).scalars())
    return found


def standing_on(tx: Tx, seqs: Iterable[int]) -> list[int]:
    """Seqs of commits whose parent or base is one of these."""
    found: set[int] = set()
    for some in slices(sorted(set(seqs))):
        for column in (commits.c.parent, commits.c.base):
            found.update(tx.execute(select(commits.c.seq).where(column.in_(some))).scalars())
    return sorted(found)


def branches_at(tx: Tx, seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Key and head of every branch whose head is one of these, oldest branch first."""
    found: list[tuple[int, int]] = []
    for some in slices(sorted(set(seqs))):
        query = select(branches.c.id, branches.c.head).where(branches.c.head.in_(some))
        found += [(row[0], row[1]) for row in tx.execute(query).all()]
    return sorted(found)


def built_on(tx: Tx, seq: int) -> list[int]:
    """Seqs of the good commits whose content is that of `seq`, changed."""
    where = and_(commits.c.base == seq, commits.c.error == "", commits.c.state == CommitState.FINISHED.value)
    return tx.execute(select(commits.c.seq).where(where).order_by(commits.c.seq)).scalars()


def relink(tx: Tx, seq: int, parent: int | None) -> None:
    """Give the children of a commit another parent."""
    tx.execute(update(commits).where(commits.c.parent == seq).values(parent=parent))


def rebase(tx: Tx, seq: int, base: int | None) -> None:
    """Give the commits that are built on one another base. Their diffs are the caller's to mend."""
    values = {"base": base, "version": commits.c.version + 1}
    tx.execute(update(commits).where(commits.c.base == seq).values(**values))


def prepend_layers(tx: Tx, seq: int, filesets: Sequence[str]) -> None:
    """Put file sets below a commit's diff. Positions may be negative: nothing that is there is written again."""
    lowest = tx.execute(select(func.min(commit_layers.c.position)).where(commit_layers.c.commit_seq == seq)).scalar()
    start = (0 if lowest is None else lowest) - len(filesets)
    rows = [{"commit_seq": seq, "position": start + at, "fileset": one} for at, one in enumerate(filesets)]
    if rows:
        tx.execute(insert(commit_layers), rows)


def set_forgotten(tx: Tx, seq: int) -> None:
    """Mark a commit as one whose files were given up, and name no file set for it any more."""
    for table in (commit_layers, commit_runs):
        tx.execute(delete(table).where(table.c.commit_seq == seq))
    values = {"forgotten_us": tx.now_us, "base": None, "updated_us": tx.now_us, "version": commits.c.version + 1}
    tx.execute(update(commits).where(commits.c.seq == seq).values(**values))


def set_content(tx: Tx, seq: int, *, size_bytes: int, files: int) -> None:
    """What a finished commit holds after a purge; its diff and runs are the caller's to exchange."""
    values = {"size_bytes": size_bytes, "size_upper_bytes": size_bytes, "files": files, "updated_us": tx.now_us}
    tx.execute(update(commits).where(commits.c.seq == seq).values(**values, version=commits.c.version + 1))


def has_layers(tx: Tx, seq: int) -> bool:
    """Whether a commit changed anything."""
    query = select(commit_layers.c.position).where(commit_layers.c.commit_seq == seq).limit(1)
    return tx.execute(query).first() is not None


def loose_ends(tx: Tx, seqs: Iterable[int]) -> set[int]:
    """Which of these commits have no child."""
    wanted = set(seqs)
    for some in slices(sorted(wanted)):
        wanted -= set(tx.execute(select(commits.c.parent).where(commits.c.parent.in_(some)).distinct()).scalars())
    return wanted


def delete_commits(tx: Tx, seqs: Sequence[int]) -> None:
    """Remove commits with all that hangs on them; children and bases elsewhere are the caller's to mend first."""
    for start in range(0, len(seqs), 500):
        page = list(seqs[start : start + 500])
        tx.execute(delete(commit_layers).where(commit_layers.c.commit_seq.in_(page)))
        tx.execute(delete(commit_runs).where(commit_runs.c.commit_seq.in_(page)))
        either = or_(commit_provenance.c.commit_seq.in_(page), commit_provenance.c.upstream.in_(page))
        tx.execute(delete(commit_provenance).where(either))
        tx.execute(delete(commits).where(commits.c.seq.in_(page)))


def forget_parents(tx: Tx, seqs: Sequence[int]) -> None:
    """Commits whose parent is among `seqs` lose it."""
    for start in range(0, len(seqs), 500):
        page = list(seqs[start : start + 500])
        tx.execute(update(commits).where(commits.c.parent.in_(page)).values(parent=None))
        tx.execute(update(commits).where(commits.c.base.in_(page)).values(base=None))


def first_built_on(tx: Tx, seq: int, after: int) -> int:
    """The oldest of a commit and those whose content it stems from that is newer than `after`."""
    chain = select(commits.c.seq, commits.c.base).where(commits.c.seq == seq).cte(recursive=True)
    older = select(commits.c.seq, commits.c.base).where(commits.c.seq == chain.c.base, commits.c.seq > after)
    chain = chain.union_all(older)
    return int(tx.execute(select(func.min(chain.c.seq))).scalar())


def next_layer(tx: Tx, seqs: Iterable[int], *, up: bool) -> set[int]:
    """Seqs of the commits that these were directly made from, or with up=False of those made from these."""
    here, there = commit_provenance.c.commit_seq, commit_provenance.c.upstream
    here, there = (here, there) if up else (there, here)
    found: set[int] = set()
    for some in slices(sorted(set(seqs))):
        found.update(tx.execute(select(there).where(here.in_(some))).scalars())
    return found


def doubled(tx: Tx) -> list[str]:
    """Where a commit set has two commits of one repo and type, as sentences."""
    twice = select(commits.c.repo, commits.c.id, func.count().label("number")).group_by(commits.c.repo, commits.c.id)
    found = twice.having(func.count() > 1).order_by(commits.c.repo, commits.c.id).limit(MOST_WRONG).subquery()
    columns = (repos.c.project, repos.c.name, repos.c.type, found.c.id, found.c.number)
    return [
        f"I-7: commit set {row.id} has {row.number} commits of {Repo(row.project, row.name, row.type)}"
        for row in tx.execute(select(*columns).join_from(found, repos, repos.c.id == found.c.repo))
    ]
