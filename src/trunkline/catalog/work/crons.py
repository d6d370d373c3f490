"""Queries on cron inputs: whose they are, and when they tick."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, func, insert, select, update

from trunkline.ambient import Micros
from trunkline.catalog.engine.tx import AnyRow, Tx
from trunkline.catalog.tables_pps import cron_inputs


@dataclass(frozen=True, slots=True)
class CronRow:
    """A cron input. repo: the key of its ticks' repo; made: that was made for it. start_us: as its spec says.

    ticked_us: the last tick of its schedule, or where that began; asked_us: the last one that somebody asked for.
    """

    key: int
    pipeline: int
    repo: int
    made: bool
    spec: str
    overwrite: bool
    start_us: Micros | None
    ticked_us: Micros
    asked_us: Micros
    due_us: Micros | None


def insert_cron(tx: Tx, pipeline: int, repo: int, *, made: bool) -> int:
    """Add a cron input that does not tick yet; its key."""
    values = {"pipeline": pipeline, "repo": repo, "made": made, "spec": "@never", "overwrite": False, "ticked_us": 0}
    return int(tx.execute(insert(cron_inputs).values(**values).returning(cron_inputs.c.key)).one()[0])


def set_schedule(
    tx: Tx,
    key: int,
    *,
    spec: str,
    overwrite: bool,
    start_us: Micros | None,
    ticked_us: Micros,
    due_us: Micros | None,
) -> None:
    """Say when a cron input ticks."""
    values = {
        "spec": spec,
        "overwrite": overwrite,
        "start_us": start_us,
        "ticked_us": ticked_us,
        "due_us": due_us,
    }
    tx.execute(update(cron_inputs).where(cron_inputs.c.key == key).values(**values))


def skip_to(tx: Tx, key: int, due_us: Micros, next_us: Micros) -> bool:
    """Let the next tick be a later one; false, with nothing changed, if the tick that is due is another by now."""
    where = and_(cron_inputs.c.key == key, cron_inputs.c.due_us == due_us)
    return tx.execute(update(cron_inputs).where(where).values(due_us=next_us)).rowcount > 0


def set_due(tx: Tx, key: int, due_us: Micros | None) -> None:
    """Say when the next tick is; None: there is none."""
    tx.execute(update(cron_inputs).where(cron_inputs.c.key == key).values(due_us=due_us))


def get_cron(tx: Tx, key: int) -> CronRow | None:
    """One cron input."""
    row = tx.execute(select(cron_inputs).where(cron_inputs.c.key == key)).first()
    return _cron(row) if row else None


def crons_of(tx: Tx, pipeline: int) -> list[CronRow]:
    """Cron inputs that a pipeline has or had, in order of creation."""
    query = select(cron_inputs).where(cron_inputs.c.pipeline == pipeline).order_by(cron_inputs.c.key)
    return [_cron(row) for row in tx.execute(query).all()]


def cron_of_repo(tx: Tx, repo: int) -> CronRow | None:
    """The cron input whose ticks go to a repo."""
    row = tx.execute(select(cron_inputs).where(cron_inputs.c.repo == repo)).first()
    return _cron(row) if row else None


def due_crons(tx: Tx, until_us: Micros, limit: int) -> list[tuple[int, Micros]]:
    """Cron inputs with a tick that is due, the longest due first: key and tick."""
    query = select(cron_inputs.c.key, cron_inputs.c.due_us).where(cron_inputs.c.due_us <= until_us)
    return [(row[0], row[1]) for row in tx.execute(query.order_by(cron_inputs.c.due_us).limit(limit)).all()]


def next_due(tx: Tx) -> Micros | None:
    """The next tick of any cron input."""
    found = tx.execute(select(func.min(cron_inputs.c.due_us))).scalar()
    return None if found is None else int(found)


def tick(tx: Tx, key: int, tick_us: Micros, next_us: Micros | None) -> bool:
    """Write down that a tick of the schedule has been; false, with nothing changed, if it was not due."""
    where = and_(cron_inputs.c.key == key, cron_inputs.c.due_us == tick_us)
    values = {"ticked_us": tick_us, "due_us": next_us}
    return tx.execute(update(cron_inputs).where(where).values(**values)).rowcount > 0


def ask(tx: Tx, key: int, before_us: Micros, tick_us: Micros) -> bool:
    """Write down a tick that somebody asked for; false, with nothing changed, if another one came in between."""
    where = and_(cron_inputs.c.key == key, cron_inputs.c.asked_us == before_us)
    return tx.execute(update(cron_inputs).where(where).values(asked_us=tick_us)).rowcount > 0


def _cron(row: AnyRow) -> CronRow:
    return CronRow(**{name: getattr(row, name) for name in CronRow.__slots__})
