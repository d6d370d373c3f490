"""Rows of leases: stacks of file sets that clients know by an id, for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, delete, func, insert, select, update

from trunkline.ambient import Micros
from trunkline.catalog.collection import filesets as fileset_rows
from trunkline.catalog.engine.tx import Tx, slices
from trunkline.catalog.lent.tables import cache_leases, lease_clock, lease_layers, leases

LEASE_HOLDER = "lease"
"""The kind of holder that a lease is; its key is the lease's id."""


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A lease. `size_bytes` is an upper bound of its content."""

    id: str
    filesets: tuple[str, ...]
    size_bytes: int
    created_us: Micros


def insert_lease(tx: Tx, lease: str, filesets: Sequence[str], size_bytes: int, ends_s: int) -> None:
    """Record a lease of file sets, oldest first; the caller has them held by it."""
    row = {"id": lease, "ends_s": ends_s, "size_bytes": size_bytes, "created_us": tx.now_us}
    tx.execute(insert(leases), [row])
    rows = [{"lease": lease, "position": at, "fileset": fileset} for at, fileset in enumerate(filesets)]
    if rows:
        tx.execute(insert(lease_layers), rows)


def get_leases(tx: Tx, ids: Sequence[str]) -> dict[str, LeaseRow]:
    """Leases that there are, by id."""
    wanted = list(dict.fromkeys(ids))
    layers: dict[str, list[str]] = {}
    answer: dict[str, LeaseRow] = {}
    for some in slices(wanted):
        query = select(lease_layers).where(lease_layers.c.lease.in_(some))
        for row in tx.execute(query.order_by(lease_layers.c.lease, lease_layers.c.position)):
            layers.setdefault(row.lease, []).append(row.fileset)
        for row in tx.execute(select(leases).where(leases.c.id.in_(some))):
            answer[row.id] = LeaseRow(row.id, tuple(layers.get(row.id, ())), row.size_bytes, row.created_us)
    return answer


def extend(tx: Tx, lease: str, ends_s: int) -> bool:
    """Let a lease last until `ends_s`, or longer if it does anyway. False: there is none."""
    longer = case((leases.c.ends_s > ends_s, leases.c.ends_s), else_=ends_s)
    return tx.execute(update(leases).where(leases.c.id == lease).values(ends_s=longer)).rowcount > 0


def next_end(tx: Tx) -> int | None:
    """When the next lease ends; None: none will."""
    found = tx.execute(select(func.min(leases.c.ends_s)).where(_unkept())).scalar()
    return None if found is None else int(found)


def end_leases(tx: Tx, now_s: int, limit: int) -> list[str]:
    """End up to `limit` leases whose time is over and that nothing keeps, and let their file sets go. Answers them."""
    over = select(leases.c.id).where(leases.c.ends_s <= now_s, _unkept()).order_by(leases.c.ends_s).limit(limit)
    ended: list[str] = tx.execute(over).scalars()
    for some in slices(ended):
        tx.execute(delete(lease_layers).where(lease_layers.c.lease.in_(some)))
        tx.execute(delete(leases).where(leases.c.id.in_(some)))
    for lease in ended:
        fileset_rows.drop_holder(tx, LEASE_HOLDER, lease)
    return ended


def _unkept() -> ColumnElement[bool]:
    return ~select(cache_leases.c.key).where(cache_leases.c.lease == leases.c.id).exists()


def clock_s(tx: Tx) -> int:
    """Where the lease clock stood when it was last written down."""
    return int(tx.execute(select(func.coalesce(func.max(lease_clock.c.seconds), 0))).scalar())


def set_clock(tx: Tx, seconds: int) -> None:
    """Write the lease clock down. It never goes back."""
    later = case((lease_clock.c.seconds > seconds, lease_clock.c.seconds), else_=seconds)
    change = update(lease_clock).values(seconds=later)
    if not tx.execute(change).rowcount:
        tx.execute(insert(lease_clock), [{"id": 1, "seconds": seconds}])
