"""Queries on tags: names that stay with a commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, delete, insert, or_, select, tuple_, update

from trunkline.ambient import Micros
from trunkline.catalog.engine import Tx
from trunkline.catalog.engine.tx import slices
from trunkline.catalog.tables_pfs import branches, commits, repos, tags
from trunkline.model.names import Commit, Repo, Tag

MOST_WRONG = 100
"""How many tags a check names."""


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag as the catalog keeps it. created_us: when it was made or last moved."""

    tag: Tag
    commit_seq: int
    commit: Commit
    description: str
    created_us: Micros


_COLUMNS = (tags, repos.c.project, repos.c.name.label("repo_name"), repos.c.type, commits.c.id)
_JOINED = tags.join(repos, repos.c.id == tags.c.repo).join(commits, commits.c.seq == tags.c.commit_seq)
_PLACE = (repos.c.project, repos.c.name, repos.c.type, tags.c.name)


def put_tag(tx: Tx, repo_key: int, name: str, commit_seq: int, description: str) -> None:
    """Add a tag, or move the one of that name."""
    values = {"commit_seq": commit_seq, "description": description, "created_us": tx.now_us}
    change = update(tags).where(tags.c.repo == repo_key, tags.c.name == name)
    if not tx.execute(change.values(**values)).rowcount:
        tx.execute(insert(tags).values(repo=repo_key, name=name, **values))


def find_tag(tx: Tx, tag: Tag) -> TagRow | None:
    """One tag."""
    repo = tag.repo
    where = and_(repos.c.project == repo.project, repos.c.name == repo.name, repos.c.type == repo.type)
    row = tx.execute(select(*_COLUMNS).select_from(_JOINED).where(where, tags.c.name == tag.name)).first()
    return _tag(row) if row else None


def list_tags(
    tx: Tx,
    limit: int,
    *,
    repo_key: int | None = None,
    commit_seq: int | None = None,
    after: Tag | None = None,
    reverse: bool = False,
) -> list[TagRow]:
    """Tags by repo and name; of one repo or one commit, if given. after: go on behind it (before it, in reverse)."""
    query = select(*_COLUMNS).select_from(_JOINED)
    if repo_key is not None:
        query = query.where(tags.c.repo == repo_key)
    if commit_seq is not None:
        query = query.where(tags.c.commit_seq == commit_seq)
    if after is not None:
        here = tuple_(*_PLACE)
        there = (after.repo.project, after.repo.name, after.repo.type, after.name)
        query = query.where(here < there if reverse else here > there)
    order = [column.desc() if reverse else column for column in _PLACE]
    return [_tag(row) for row in tx.execute(query.order_by(*order).limit(limit)).all()]


def tags_of(tx: Tx, seqs: Iterable[int]) -> list[TagRow]:
    """The tags of some commits."""
    found: list[TagRow] = []
    for some in slices(sorted(set(seqs))):
        query = select(*_COLUMNS).select_from(_JOINED).where(tags.c.commit_seq.in_(some))
        found += [_tag(row) for row in tx.execute(query.order_by(*_PLACE)).all()]
    return found


def delete_tag(tx: Tx, tag: Tag) -> bool:
    """Remove a tag; whether there was one."""
    repo = tag.repo
    where = and_(repos.c.project == repo.project, repos.c.name == repo.name, repos.c.type == repo.type)
    owner = select(repos.c.id).where(where).scalar_subquery()
    return tx.execute(delete(tags).where(tags.c.repo == owner, tags.c.name == tag.name)).rowcount > 0


def delete_tags_of_repo(tx: Tx, repo_key: int) -> None:
    """Remove all tags of a repo."""
    tx.execute(delete(tags).where(tags.c.repo == repo_key))


def violations(tx: Tx) -> list[str]:
    """What is wrong with tags, as sentences: one on a commit of another repo, or named as a branch, or on none."""
    twin = and_(branches.c.repo == tags.c.repo, branches.c.name == tags.c.name)
    joined = tags.outerjoin(commits, commits.c.seq == tags.c.commit_seq).outerjoin(branches, twin)
    joined = joined.outerjoin(repos, repos.c.id == tags.c.repo)
    wrong = or_(commits.c.seq.is_(None), commits.c.repo != tags.c.repo, branches.c.id.is_not(None))
    query = select(tags.c.name, repos.c.project, repos.c.name.label("repo_name"), branches.c.id.label("twin"))
    found = []
    for row in tx.execute(query.select_from(joined).where(wrong).order_by(tags.c.repo, tags.c.name).limit(MOST_WRONG)):
        where = f"{row.project}/{row.repo_name}@{row.name}"
        what = "is a branch too" if row.twin is not None else "names no commit of its repo"
        found.append(f"I-14: the tag {where} {what}")
    return found


def _tag(row: Row[Any]) -> TagRow:
    repo = Repo(row.project, row.repo_name, row.type)
    return TagRow(Tag(repo, row.name), row.commit_seq, Commit(repo, row.id), row.description, row.created_us)
