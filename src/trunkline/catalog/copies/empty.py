"""Whether a server has anything yet."""

from __future__ import annotations

from sqlalchemy import Select, func, insert, select

from trunkline.catalog.copies import numbers
from trunkline.catalog.engine.tx import AnyRow, Tx
from trunkline.catalog.tables import sessions
from trunkline.catalog.tables_pfs import images, projects, repos, transactions
from trunkline.catalog.tables_pps import pipelines, secrets, spec_defaults


def find_anything(tx: Tx, default_project: str) -> str:
    """The first thing that somebody made, in words; "": there is nothing but the project that is always there."""
    found: list[tuple[str, Select[tuple[str]]]] = [
        ("repo", select(repos.c.name)),
        ("project", select(projects.c.name).where(projects.c.name != default_project)),
        ("pipeline", select(pipelines.c.name)),
        ("image", select(images.c.digest)),
        ("secret", select(secrets.c.name)),
        ("transaction", select(transactions.c.id)),
        ("defaults of project", select(spec_defaults.c.project)),
    ]
    for words, query in found:
        row: AnyRow | None = tx.execute(query.limit(1)).first()
        if row is not None:
            return f"{words} {row[0]}".strip()
    return ""


def pass_gen(tx: Tx, gen: int) -> None:
    """Give no session a number up to `gen` any more: blobs with these are somebody else's, or nobody's."""
    newest = int(tx.execute(select(func.coalesce(func.max(sessions.c.gen), 0))).scalar())
    if gen > newest:
        tx.execute(insert(sessions).values(gen=gen, kind="restore", open=False, opened_us=tx.now_us))
        numbers.passed(tx, sessions.c.gen, gen)
