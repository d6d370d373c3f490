"""Queries on recorded transactions: requests that wait to be carried out together. What they say is opaque here."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, exists, insert, select

from trunkline.ambient import Micros
from trunkline.catalog.engine import Fixed, Tx, given
from trunkline.catalog.tables_pfs import transaction_requests, transactions

ASIDE = (transactions, transaction_requests)
"""Tables whose rows mean nothing to any request."""


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """A transaction with its requests in order, and the response that each got when it was tried.

    damaged: why neither can be told; "": they can.
    """

    id: str
    started_us: Micros
    requests: tuple[bytes, ...] = ()
    responses: tuple[bytes, ...] = ()
    damaged: str = ""


def insert_transaction(tx: Tx, id: str) -> TransactionRow:
    """Add one without requests."""
    tx.execute(insert(transactions).values(id=id, started_us=tx.now_us))
    return TransactionRow(id, tx.now_us)


def has_transaction(tx: Tx, id: str) -> bool:
    """Whether one of that id is open."""
    return bool(tx.execute(select(exists().where(transactions.c.id == id))).scalar())


_HEAD = Fixed(select(transactions).where(transactions.c.id == given("id")))
_BODIES = Fixed(
    select(transaction_requests)
    .where(transaction_requests.c.transaction == given("id"))
    .order_by(transaction_requests.c.position)
)
_APPEND = Fixed(insert(transaction_requests))


def get_transaction(tx: Tx, id: str) -> TransactionRow | None:
    """One transaction."""
    rows = tx.execute(_HEAD, {"id": id}).all()
    found = _filled(tx, [(row.id, row.started_us) for row in rows])
    return found[0] if found else None


def list_transactions(tx: Tx, limit: int) -> list[TransactionRow]:
    """The transactions that are open, oldest first."""
    query = select(transactions).order_by(transactions.c.started_us, transactions.c.id).limit(limit)
    return _filled(tx, [(row.id, row.started_us) for row in tx.execute(query).all()])


def _filled(tx: Tx, heads: Iterable[tuple[str, Micros]]) -> list[TransactionRow]:
    filled = []
    for id, started_us in heads:
        rows = tx.execute(_BODIES, {"id": id}).all()
        wrong = next((row for row in rows if row.checksum != _checksum(row.request, row.response)), None)
        if wrong is not None:
            told = (
                f"request {wrong.position + 1} of transaction {id} is damaged: its bytes are not those that were kept"
            )
            filled.append(TransactionRow(id, started_us, damaged=told))
            continue
        requests, responses = tuple(row.request for row in rows), tuple(row.response for row in rows)
        filled.append(TransactionRow(id, started_us, requests, responses))
    return filled


def _checksum(request: bytes, response: bytes) -> int:
    return zlib.crc32(response, zlib.crc32(request))


def violations(tx: Tx, limit: int = 5000) -> list[str]:
    """A sentence for each of the first transactions that cannot be finished, since something in it is damaged."""
    return [f"I-11: {row.damaged}" for row in list_transactions(tx, limit) if row.damaged]


def append_request(tx: Tx, id: str, position: int, request: bytes, response: bytes) -> None:
    """Add a request behind the others."""
    values = {"transaction": id, "position": position, "request": request, "response": response}
    tx.execute(_APPEND, {**values, "checksum": _checksum(request, response)})


def delete_transaction(tx: Tx, id: str) -> None:
    """Remove one with its requests."""
    tx.execute(delete(transaction_requests).where(transaction_requests.c.transaction == id))
    tx.execute(delete(transactions).where(transactions.c.id == id))


def delete_all(tx: Tx) -> None:
    """Remove all."""
    tx.execute(delete(transaction_requests))
    tx.execute(delete(transactions))
