"""Queries on purges: their rows, what they have done, what they lock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine.fixed import Fixed
from trunkline.catalog.engine.tx import AnyRow, Tx, slices
from trunkline.catalog.purging.tables import purge_commits, purge_remains, purge_repos, purges
from trunkline.catalog.tables_pfs import commits, repos
from trunkline.model.infos import CommitState
from trunkline.model.names import Commit, Repo

REWRITING = "rewriting"
"""Commits are being written anew without it."""
RELEASING = "releasing"
"""What had it is being let go."""
COLLECTING = "collecting"
"""Nothing names it any more; its bytes are being deleted."""
GONE = "gone"
"""No byte of it is stored, but where other files have the same."""
STOPPED = "stopped"
"""Somebody ended it while history was being written anew. What was done stays done."""

PURGE_HOLDER = "purge"
"""Holds what commits were made of before they were written anew; the key is the purge's."""


@dataclass(frozen=True, slots=True)
class PurgeRow:
    """A purge as the catalog keeps it. kept: some of the `kept_files` files elsewhere with the same content."""

    key: int
    id: str
    repo: Repo
    pattern: str
    shown: str
    reason: str
    stage: str
    trouble: str
    oldest: int
    commits: int
    files: int
    size_bytes: int
    datums: int
    started_us: Micros
    gone_us: Micros | None
    kept_files: int
    kept: tuple[str, ...]
    ended_leases: int


@dataclass(frozen=True, slots=True)
class TollRow:
    """What one commit lost. paths: the first few. datums: of its job, whose results went."""

    seq: int
    commit: Commit
    files: int
    size_bytes: int
    datums: int
    paths: tuple[str, ...]


def insert_purge(tx: Tx, values: Mapping[str, Any], digests: bytes, order: Sequence[int]) -> int:
    """A new purge, which locks the repos `order` (keys) until they are done; its key."""
    row = insert(purges).values(**values, digests=digests, stage=REWRITING, started_us=tx.now_us)
    key = int(tx.execute(row.returning(purges.c.key)).scalar())
    rows = [{"purge": key, "position": at, "repo": repo, "done": -1} for at, repo in enumerate(order)]
    tx.execute(insert(purge_repos), rows)
    return key


def insert_tolls(tx: Tx, key: int, tolls: Sequence[TollRow]) -> None:
    """Mark commits as ones that lose something."""
    rows = [
        {
            "purge": key,
            "commit_seq": toll.seq,
            "project": toll.commit.repo.project,
            "repo": toll.commit.repo.name,
            "commit_id": toll.commit.id,
            "files": toll.files,
            "size_bytes": toll.size_bytes,
            "datums": toll.datums,
            "paths": json.dumps(list(toll.paths)),
        }
        for toll in tolls
    ]
    for some in slices(rows):
        tx.execute(insert(purge_commits), list(some))


def find_purge(tx: Tx, id: str) -> PurgeRow | None:
    """One purge."""
    row = tx.execute(select(purges).where(purges.c.id == id)).first()
    return _purge(row) if row else None


def get_purge(tx: Tx, key: int) -> PurgeRow | None:
    """One purge by key."""
    row = tx.execute(select(purges).where(purges.c.key == key)).first()
    return _purge(row) if row else None


def list_purges(
    tx: Tx, limit: int, *, repo: Repo | None = None, after: int | None = None, reverse: bool = False
) -> list[PurgeRow]:
    """A page of purges, newest first: all, or those that were asked for of one repo. after: an exclusive key."""
    query = select(purges).order_by(purges.c.key if reverse else purges.c.key.desc()).limit(limit)
    if repo is not None:
        query = query.where(purges.c.project == repo.project, purges.c.repo == repo.name)
    if after is not None:
        query = query.where(purges.c.key > after if reverse else purges.c.key < after)
    return [_purge(row) for row in tx.execute(query)]


def unfinished(tx: Tx) -> list[PurgeRow]:
    """Purges whose bytes were not all seen to be gone, oldest first."""
    query = select(purges).where(purges.c.stage.not_in((GONE, STOPPED))).order_by(purges.c.key)
    return [_purge(row) for row in tx.execute(query)]


def tolls(tx: Tx, key: int, after: int | None, limit: int, *, reverse: bool = False) -> list[TollRow]:
    """A page of what commits lost by a purge, by seq. after: an exclusive one."""
    seq = purge_commits.c.commit_seq
    query = select(purge_commits).where(purge_commits.c.purge == key).order_by(seq.desc() if reverse else seq)
    if after is not None:
        query = query.where(seq < after if reverse else seq > after)
    return [_toll(row) for row in tx.execute(query.limit(limit))]


def toll_of(tx: Tx, key: int, commit: Commit) -> TollRow | None:
    """What one commit lost by a purge; None: nothing."""
    repo, rows = commit.repo, purge_commits.c
    mine = rows.purge == key, rows.project == repo.project, rows.repo == repo.name, rows.commit_id == commit.id
    row = tx.execute(select(purge_commits).where(*mine)).first()
    return _toll(row) if row else None


def marks(tx: Tx, seq: int) -> list[tuple[PurgeRow, TollRow]]:
    """The purges that a commit lost something by, oldest first."""
    query = select(purge_commits).where(purge_commits.c.commit_seq == seq).order_by(purge_commits.c.purge)
    found = []
    for row in tx.execute(query).all():
        purge = get_purge(tx, row.purge)
        if purge is not None:
            found.append((purge, _toll(row)))
    return found


# --- locks


def locked(tx: Tx, repo_keys: Iterable[int], seqs: Iterable[int] = ()) -> PurgeRow | None:
    """The purge that writes the history of one of these repos, or of these commits' repos, anew; None: nobody does."""
    if not any_locked(tx):
        return None
    wanted: list[ColumnElement[bool]] = [purge_repos.c.repo.in_(sorted(set(repo_keys)))]
    ups = sorted(set(seqs))
    if ups:
        wanted.append(purge_repos.c.repo.in_(select(commits.c.repo).where(commits.c.seq.in_(ups))))
    for where in wanted:
        key = tx.execute(select(purge_repos.c.purge).where(where).limit(1)).scalar()
        if key is not None:
            return get_purge(tx, int(key))
    return None


_ANY_LOCKED = Fixed(select(purge_repos.c.purge).limit(1))


def any_locked(tx: Tx) -> bool:
    """Whether any history is being written anew."""
    return tx.execute(_ANY_LOCKED).first() is not None


# --- progress


def order_of(tx: Tx, key: int) -> list[tuple[int, int]]:
    """The repos of a purge (keys), in the order in which they are done, each with the last seq that is."""
    query = select(purge_repos.c.repo, purge_repos.c.done).where(purge_repos.c.purge == key)
    return [(row.repo, row.done) for row in tx.execute(query.order_by(purge_repos.c.position))]


def set_done(tx: Tx, key: int, repo: int, seq: int) -> None:
    """Commits of a repo up to `seq` are done."""
    where = purge_repos.c.purge == key, purge_repos.c.repo == repo, purge_repos.c.done < seq
    tx.execute(update(purge_repos).where(*where).values(done=seq))


def set_stage(tx: Tx, key: int, stage: str) -> None:
    """The purge has come to a stage. With RELEASING its repos are free."""
    values: dict[str, object] = {"stage": stage, "trouble": ""}
    if stage == GONE:
        values["gone_us"] = tx.now_us
    if stage == STOPPED:
        values["digests"] = None
    tx.execute(update(purges).where(purges.c.key == key).values(**values))
    if stage != REWRITING:
        tx.execute(delete(purge_repos).where(purge_repos.c.purge == key))


def unmark(tx: Tx, key: int) -> None:
    """Take the mark from the commits that are not done."""
    for row in tx.execute(select(purge_repos).where(purge_repos.c.purge == key)).all():
        theirs = select(commits.c.seq).where(commits.c.repo == row.repo, commits.c.seq > row.done)
        mine = purge_commits.c.purge == key, purge_commits.c.commit_seq.in_(theirs)
        tx.execute(delete(purge_commits).where(*mine))


def is_rewriting(tx: Tx, key: int) -> bool:
    """Whether history is still to be written anew."""
    return bool(tx.execute(select(purges.c.stage).where(purges.c.key == key)).scalar() == REWRITING)


def set_trouble(tx: Tx, key: int, trouble: str) -> None:
    """Why it does not get on."""
    tx.execute(update(purges).where(purges.c.key == key).values(trouble=trouble))


def digests_of(tx: Tx, key: int) -> bytes:
    """The digests of what goes, 32 bytes each; none once it is known who keeps them."""
    return tx.execute(select(purges.c.digests).where(purges.c.key == key)).scalar() or b""


def set_kept(tx: Tx, key: int, count: int, some: Sequence[str], ended_leases: int) -> None:
    """Who else has the same content, and how many leases had to end."""
    values = {"kept_files": count, "kept": json.dumps(list(some)), "ended_leases": ended_leases, "digests": None}
    tx.execute(update(purges).where(purges.c.key == key).values(**values))


def list_finished(tx: Tx, repo: int, after: int, limit: int) -> list[int]:
    """Seqs of finished commits of a repo that were not forgotten, ascending, from after one."""
    where = commits.c.repo == repo, commits.c.seq > after, commits.c.state == CommitState.FINISHED.value
    return tx.execute(select(commits.c.seq).where(*where).order_by(commits.c.seq).limit(limit)).scalars()


def first_unfinished(tx: Tx, repo_keys: Sequence[int]) -> int | None:
    """The oldest commit of some repos that is not finished."""
    where = commits.c.repo.in_(list(repo_keys)), commits.c.state != CommitState.FINISHED.value
    found = tx.execute(select(func.min(commits.c.seq)).where(*where)).scalar()
    return None if found is None else int(found)


def first_finishing(tx: Tx, repo_keys: Sequence[int]) -> int | None:
    """Seq of a commit of some repos that is closed and not finished yet; None where there is none."""
    where = commits.c.repo.in_(list(repo_keys)), commits.c.state == CommitState.FINISHING.value
    seq: int | None = tx.execute(select(commits.c.seq).where(*where).limit(1)).scalar()
    return seq


def newest_of(tx: Tx, repo_keys: Sequence[int]) -> tuple[int, int]:
    """The newest commit of some repos, and how many they have: it tells whether any came or went."""
    query = select(func.coalesce(func.max(commits.c.seq), 0), func.count()).where(commits.c.repo.in_(list(repo_keys)))
    row = tx.execute(query).one()
    return int(row[0]), int(row[1])


# --- what is still stored


def clear_remains(tx: Tx, key: int) -> None:
    """Forget what was noted."""
    tx.execute(delete(purge_remains).where(purge_remains.c.purge == key))


def add_remains(tx: Tx, key: int, remains: Iterable[tuple[str, str]]) -> None:
    """Note what has bytes of it, by kind and name."""
    rows = [{"purge": key, "kind": kind, "name": name} for kind, name in sorted(set(remains))]
    for some in slices(rows):
        tx.execute(insert(purge_remains), list(some))


def list_remains(tx: Tx, key: int, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
    """A page of what was not seen to be gone, by kind and name."""
    kind, name = purge_remains.c.kind, purge_remains.c.name
    beyond = (kind > after[0]) | ((kind == after[0]) & (name > after[1]))
    query = select(kind, name).where(purge_remains.c.purge == key, beyond).order_by(kind, name).limit(limit)
    return [(row.kind, row.name) for row in tx.execute(query)]


def count_remains(tx: Tx, key: int) -> int:
    """How much was not seen to be gone."""
    query = select(func.count()).select_from(purge_remains).where(purge_remains.c.purge == key)
    return int(tx.execute(query).scalar())


def drop_remains(tx: Tx, key: int, remains: Iterable[tuple[str, str]]) -> None:
    """These are gone."""
    for kind, name in remains:
        where = purge_remains.c.purge == key, purge_remains.c.kind == kind, purge_remains.c.name == name
        tx.execute(delete(purge_remains).where(*where))


# --- promises


def violations(tx: Tx) -> list[str]:
    """I-15: what a purge has come to is what its rows say."""
    found = []
    for row in tx.execute(select(purges)).all():
        held = tx.execute(select(purge_repos.c.repo).where(purge_repos.c.purge == row.key)).scalars()
        left = count_remains(tx, row.key)
        if (row.stage == REWRITING) != bool(held):
            found.append(f"I-15: purge {row.id} is {row.stage} and locks {len(held)} repos")
        if row.stage == GONE and left:
            found.append(f"I-15: purge {row.id} is done, and {left} things that had its bytes were not seen to be gone")
        if row.stage == REWRITING and row.digests is None:
            found.append(f"I-15: purge {row.id} does not know any more what it takes")
    gone = select(repos.c.id)
    for repo in tx.execute(select(purge_repos.c.repo).where(purge_repos.c.repo.not_in(gone))).scalars():
        found.append(f"I-15: a purge locks repo {repo}, which is gone")
    return found


def _purge(row: AnyRow) -> PurgeRow:
    return PurgeRow(
        key=row.key,
        id=row.id,
        repo=Repo(row.project, row.repo),
        pattern=row.pattern,
        shown=row.shown,
        reason=row.reason,
        stage=row.stage,
        trouble=row.trouble,
        oldest=row.oldest,
        commits=row.commits,
        files=row.files,
        size_bytes=row.size_bytes,
        datums=row.datums,
        started_us=row.started_us,
        gone_us=row.gone_us,
        kept_files=row.kept_files,
        kept=tuple(json.loads(row.kept)),
        ended_leases=row.ended_leases,
    )


def _toll(row: AnyRow) -> TollRow:
    return TollRow(
        seq=row.commit_seq,
        commit=Commit(Repo(row.project, row.repo), row.commit_id),
        files=row.files,
        size_bytes=row.size_bytes,
        datums=row.datums,
        paths=tuple(json.loads(row.paths)),
    )
