"""Queries on the texts that people attach to the cluster and to projects, repos, branches, commits and pipelines."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import insert, select, update

from trunkline.catalog.engine import Tx
from trunkline.catalog.tables_pfs import branches, cluster, commits, projects, repos
from trunkline.catalog.tables_pps import pipelines

Texts = Mapping[str, str]


def cluster_metadata(tx: Tx) -> dict[str, str]:
    """What is attached to the cluster."""
    found = tx.execute(select(cluster.c.metadata)).scalar()
    return dict(json.loads(found)) if found is not None else {}


def set_of_cluster(tx: Tx, texts: Texts) -> None:
    """Replace what is attached to the cluster."""
    values = {"metadata": _packed(texts)}
    if not tx.execute(update(cluster).values(**values)).rowcount:
        tx.execute(insert(cluster).values(id=1, **values))


def set_of_project(tx: Tx, name: str, texts: Texts) -> None:
    """Replace what is attached to a project."""
    tx.execute(update(projects).where(projects.c.name == name).values(metadata=_packed(texts)))


def set_of_repo(tx: Tx, key: int, texts: Texts) -> None:
    """Replace what is attached to a repo."""
    tx.execute(update(repos).where(repos.c.id == key).values(metadata=_packed(texts)))


def set_of_branch(tx: Tx, key: int, texts: Texts) -> None:
    """Replace what is attached to a branch."""
    values = {"metadata": _packed(texts), "updated_us": tx.now_us}
    tx.execute(update(branches).where(branches.c.id == key).values(**values))


def set_of_commit(tx: Tx, seq: int, texts: Texts) -> None:
    """Replace what is attached to a commit. Its content stays as it is."""
    values = {"metadata": _packed(texts), "updated_us": tx.now_us}
    tx.execute(update(commits).where(commits.c.seq == seq).values(**values))


def set_of_pipeline(tx: Tx, key: int, texts: Texts) -> None:
    """Replace what is attached to a pipeline, whatever its version."""
    tx.execute(update(pipelines).where(pipelines.c.key == key).values(metadata=_packed(texts)))


def _packed(texts: Texts) -> str:
    return json.dumps(dict(texts), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
