"""Rows of the clients' cache: values under keys, which keep leases from ending."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select

from trunkline.catalog.engine.tx import Tx, slices
from trunkline.catalog.lent.tables import cache_entries, cache_leases


def put_entry(tx: Tx, key: str, tag: str, value: bytes, leases: Sequence[str]) -> None:
    """Keep a value, in the place of what the key had."""
    _delete(tx, [key])
    tx.execute(insert(cache_entries), [{"key": key, "tag": tag, "value": value}])
    rows = [{"key": key, "lease": lease} for lease in dict.fromkeys(leases)]
    if rows:
        tx.execute(insert(cache_leases), rows)


def get_entry(tx: Tx, key: str) -> bytes | None:
    """The value of a key."""
    found: bytes | None = tx.execute(select(cache_entries.c.value).where(cache_entries.c.key == key)).scalar()
    return found


def clear_entries(tx: Tx, tag_prefix: str) -> int:
    """Forget every entry whose tag begins so; "" is every entry. Answers how many."""
    query = select(cache_entries.c.key)
    if tag_prefix:
        # Not LIKE, which knows no small and large letters on SQLite.
        query = query.where(func.substr(cache_entries.c.tag, 1, len(tag_prefix)) == tag_prefix)
    keys = tx.execute(query).scalars()
    _delete(tx, keys)
    return len(keys)


def _delete(tx: Tx, keys: Sequence[str]) -> None:
    for some in slices(keys):
        tx.execute(delete(cache_leases).where(cache_leases.c.key.in_(some)))
        tx.execute(delete(cache_entries).where(cache_entries.c.key.in_(some)))
