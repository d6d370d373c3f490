"""Queries on who the servers of one database are to the outside."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from trunkline.catalog.engine.tx import AnyRow, Tx
from trunkline.catalog.shared.tables import together


def agree(tx: Tx, cluster_id: str, deployment_id: str, storage: str, folder: str) -> AnyRow:
    """The row that all servers share: cluster_id, deployment_id, storage, folder. The first server's becomes it."""
    found = tx.execute(select(together)).first()
    if found is None:
        row = {"cluster_id": cluster_id, "deployment_id": deployment_id, "storage": storage, "folder": folder}
        tx.execute(insert(together).values(id=1, key_digest="", **row))
        found = tx.execute(select(together)).one()
    return found


def agree_key(tx: Tx, digest: str) -> bool:
    """Whether a server's key is that of all; the first one's becomes it."""
    found = tx.execute(select(together.c.key_digest)).scalar() or ""
    if not found:
        tx.execute(update(together).values(key_digest=digest))
    return found in ("", digest)


def forget_key(tx: Tx) -> None:
    """Another key takes the place of that which all had: it comes with a backup."""
    tx.execute(update(together).values(key_digest=""))
