"""Queries on who leads. A leader's writes carry the epoch of its term and are refused when that has passed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, cast, func, insert, literal, or_, select, update

from trunkline.catalog.engine.tx import Tx
from trunkline.catalog.shared.tables import leader


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads. late: whether its lease has run out, so that another may take over."""

    epoch: int
    holder: str
    late: bool


def get_leader(tx: Tx) -> Leader | None:
    """Who leads, or led last; None: nobody ever did."""
    row = tx.execute(select(leader.c.epoch, leader.c.holder, (leader.c.until_us < _now(tx)).label("late"))).first()
    return None if row is None else Leader(row.epoch, row.holder, bool(row.late))


def take(tx: Tx, holder: str, lease_us: int, after: int | None = None) -> int | None:
    """Become the leader, if there is none or its lease has run out. Answers the epoch of the new term, else None.

    after: of a term that is known to be over, whatever its lease says.
    """
    free = leader.c.until_us < _now(tx)
    change = update(leader).where(free if after is None else or_(free, leader.c.epoch == after))
    values = {"epoch": leader.c.epoch + 1, "holder": holder, "until_us": _now(tx) + lease_us}
    found = tx.execute(change.values(**values).returning(leader.c.epoch)).scalar()
    if found is not None:
        return int(found)
    if tx.execute(select(leader.c.id)).first() is not None:
        return None
    tx.execute(insert(leader).values(id=1, epoch=1, holder=holder, until_us=_now(tx) + lease_us))
    return 1


def renew(tx: Tx, epoch: int, lease_us: int) -> bool:
    """Lead on, from now. False: another term has begun."""
    change = update(leader).where(leader.c.epoch == epoch)
    return tx.execute(change.values(until_us=_now(tx) + lease_us)).rowcount > 0


def resign(tx: Tx, epoch: int) -> None:
    """Let another take over at once."""
    tx.execute(update(leader).where(leader.c.epoch == epoch).values(until_us=0))


def _now(tx: Tx) -> ColumnElement[int]:
    """The instant, by the clock of the database: those of the servers may differ."""
    if not tx.on_server:
        return literal(tx.now_us, BigInteger)
    return cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)
