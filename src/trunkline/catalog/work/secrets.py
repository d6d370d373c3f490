"""Queries on secrets. What they hold is encrypted before it comes here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from trunkline.ambient import Micros
from trunkline.catalog.engine.tx import AnyRow, Tx
from trunkline.catalog.tables_pps import secrets


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A secret. keys: the names in it; sealed: encrypted, with what they stand for."""

    name: str
    type: str
    keys: tuple[str, ...]
    sealed: bytes
    created_us: Micros


def insert_secret(tx: Tx, name: str, type_: str, keys: Sequence[str], sealed: bytes) -> None:
    """Keep a new secret."""
    values = {"name": name, "type": type_, "keys": json.dumps(list(keys)), "sealed": sealed}
    tx.execute(insert(secrets).values(**values, created_us=tx.now_us))


def find_secret(tx: Tx, name: str) -> SecretRow | None:
    """One secret."""
    row = tx.execute(select(secrets).where(secrets.c.name == name)).first()
    return _secret(row) if row else None


def list_secrets(tx: Tx) -> list[SecretRow]:
    """All secrets, by name."""
    return [_secret(row) for row in tx.execute(select(secrets).order_by(secrets.c.name)).all()]


def delete_secret(tx: Tx, name: str) -> None:
    """Remove a secret."""
    tx.execute(delete(secrets).where(secrets.c.name == name))


def _secret(row: AnyRow) -> SecretRow:
    return SecretRow(row.name, row.type, tuple(json.loads(row.keys)), bytes(row.sealed), row.created_us)
