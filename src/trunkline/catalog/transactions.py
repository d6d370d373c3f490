"""Queries on recorded transactions: requests that wait to be carried out together. What they say is opaque here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, exists, insert, select

from trunkline.ambient import Micros
from trunkline.catalog.engine import Tx
from trunkline.catalog.tables_pfs import transaction_requests, transactions


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """A transaction with its requests in order, and the response that each got when it was tried."""

    id: str
    started_us: Micros
    requests: tuple[bytes, ...] = ()
    responses: tuple[bytes, ...] = ()


def insert_transaction(tx: Tx, id: str) -> TransactionRow:
    """Add one without requests."""
    tx.execute(insert(transactions).values(id=id, started_us=tx.now_us))
    return TransactionRow(id, tx.now_us)


def has_transaction(tx: Tx, id: str) -> bool:
    """Whether one of that id is open."""
    return bool(tx.execute(select(exists().where(transactions.c.id == id))).scalar())


def get_transaction(tx: Tx, id: str) -> TransactionRow | None:
    """One transaction."""
    rows = tx.execute(select(transactions).where(transactions.c.id == id)).all()
    found = _filled(tx, [(row.id, row.started_us) for row in rows])
    return found[0] if found else None


def list_transactions(tx: Tx, limit: int) -> list[TransactionRow]:
    """The transactions that are open, oldest first."""
    query = select(transactions).order_by(transactions.c.started_us, transactions.c.id).limit(limit)
    return _filled(tx, [(row.id, row.started_us) for row in tx.execute(query).all()])


def _filled(tx: Tx, heads: Iterable[tuple[str, Micros]]) -> list[TransactionRow]:
    filled = []
    for id, started_us in heads:
        query = select(transaction_requests).where(transaction_requests.c.transaction == id)
        rows = tx.execute(query.order_by(transaction_requests.c.position)).all()
        requests, responses = tuple(row.request for row in rows), tuple(row.response for row in rows)
        filled.append(TransactionRow(id, started_us, requests, responses))
    return filled


def append_request(tx: Tx, id: str, position: int, request: bytes, response: bytes) -> None:
    """Add a request behind the others."""
    values = {"transaction": id, "position": position, "request": request, "response": response}
    tx.execute(insert(transaction_requests).values(**values))


def delete_transaction(tx: Tx, id: str) -> None:
    """Remove one with its requests."""
    tx.execute(delete(transaction_requests).where(transaction_requests.c.transaction == id))
    tx.execute(delete(transactions).where(transactions.c.id == id))


def delete_all(tx: Tx) -> None:
    """Remove all."""
    tx.execute(delete(transaction_requests))
    tx.execute(delete(transactions))
