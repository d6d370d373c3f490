"""Queries on projects and repos. A missing row is None, never an error: what it means is the caller's to say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, delete, insert, or_, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine import Fixed, Tx, given
from trunkline.catalog.tables_pfs import projects, repos
from trunkline.catalog.tables_pps import spec_defaults
from trunkline.model.infos import ProjectInfo
from trunkline.model.names import Repo


@dataclass(frozen=True, slots=True)
class RepoRow:
    """A repo as the catalog keeps it."""

    key: int
    repo: Repo
    description: str
    created_us: Micros
    metadata: dict[str, str]


_PROJECT = Fixed(select(projects).where(projects.c.name == given("name")))
_REPO = Fixed(
    select(repos).where(
        repos.c.project == given("project"), repos.c.name == given("name"), repos.c.type == given("type")
    )
)
_INSERT = Fixed(insert(repos).returning(repos.c.id))


def insert_project(tx: Tx, name: str, description: str, created_by: str) -> None:
    """Add a project."""
    tx.execute(insert(projects).values(name=name, description=description, created_us=tx.now_us, created_by=created_by))


def find_project(tx: Tx, name: str) -> ProjectInfo | None:
    """One project."""

    def look() -> ProjectInfo | None:
        row = tx.execute(_PROJECT, {"name": name}).first()
        return _project(row) if row else None

    return tx.row((projects,), name, look)


def list_projects(tx: Tx) -> list[ProjectInfo]:
    """All projects, by name."""
    return [_project(row) for row in tx.execute(select(projects).order_by(projects.c.name)).all()]


def set_project_description(tx: Tx, name: str, description: str) -> None:
    """Change a project's description."""
    tx.execute(update(projects).where(projects.c.name == name).values(description=description))


def delete_project(tx: Tx, name: str) -> None:
    """Remove a project that has no repos, with its defaults."""
    tx.execute(delete(spec_defaults).where(spec_defaults.c.project == name))
    tx.execute(delete(projects).where(projects.c.name == name))


def insert_repo(tx: Tx, repo: Repo, description: str) -> RepoRow:
    """Add a repo."""
    values = {"project": repo.project, "name": repo.name, "type": repo.type, "description": description}
    key = tx.execute(_INSERT, {**values, "created_us": tx.now_us}).one()
    return RepoRow(key[0], repo, description, tx.now_us, {})


def find_repo(tx: Tx, repo: Repo) -> RepoRow | None:
    """One repo."""

    def look() -> RepoRow | None:
        row = tx.execute(_REPO, {"project": repo.project, "name": repo.name, "type": repo.type}).first()
        return _repo(row) if row else None

    return tx.row((repos,), repo, look)


def get_repos(tx: Tx, keys: Iterable[int]) -> dict[int, RepoRow]:
    """Repos by key."""
    rows = tx.execute(select(repos).where(repos.c.id.in_(sorted(set(keys))))).all()
    return {row.id: _repo(row) for row in rows}


def list_repos(tx: Tx, projects_named: Sequence[str], type_: str) -> list[RepoRow]:
    """Repos of some projects (none named: all) and one type ("": all), newest first."""
    query = select(repos).order_by(repos.c.id.desc())
    if projects_named:
        query = query.where(repos.c.project.in_(projects_named))
    if type_:
        query = query.where(repos.c.type == type_)
    return [_repo(row) for row in tx.execute(query).all()]


def repos_named(tx: Tx, project: str, name: str) -> list[RepoRow]:
    """The user repo of that name and its system repos."""
    where = and_(repos.c.project == project, repos.c.name == name)
    return [_repo(row) for row in tx.execute(select(repos).where(where).order_by(repos.c.id)).all()]


def set_repo_description(tx: Tx, key: int, description: str) -> None:
    """Change a repo's description."""
    tx.execute(update(repos).where(repos.c.id == key).values(description=description))


def delete_repo(tx: Tx, key: int) -> None:
    """Remove a repo that has neither branches nor commits left."""
    tx.execute(delete(repos).where(repos.c.id == key))


def similar_names(tx: Tx, repo: Repo) -> list[str]:
    """Names of user repos near `repo`'s project or equal in another one, for advice in errors; at most 200."""
    near = or_(repos.c.project == repo.project, repos.c.name == repo.name)
    query = select(repos.c.project, repos.c.name).where(near, repos.c.type == "user").limit(200)
    return [f"{p}/{n}" if p != repo.project else n for p, n in tx.execute(query).all()]


def _project(row: Row[Any]) -> ProjectInfo:
    return ProjectInfo(row.name, row.description, row.created_us, row.created_by, json.loads(row.metadata))


def _repo(row: Row[Any]) -> RepoRow:
    repo = Repo(row.project, row.name, row.type)
    return RepoRow(row.id, repo, row.description, row.created_us, json.loads(row.metadata))
