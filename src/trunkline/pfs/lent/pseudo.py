"""The repo that is none: a file set that was lent is read as the commit of this name whose id is its own."""

from __future__ import annotations

from trunkline.catalog.engine import Tx
from trunkline.catalog.lent import leases as lease_rows
from trunkline.catalog.lent.leases import LeaseRow
from trunkline.errors import NotFound
from trunkline.model.names import LENT_REPO, Repo, is_id


def is_lent(repo: Repo) -> bool:
    """Whether this is the repo that file sets are read through, in whatever project it is named."""
    return repo.name == LENT_REPO


def need_lease(tx: Tx, lease: str) -> LeaseRow:
    """A file set by the id that a client was given. Raises NotFound."""
    return need_leases(tx, [lease])[0]


def need_leases(tx: Tx, ids: list[str]) -> list[LeaseRow]:
    """Several, in this order. Raises NotFound for the first that is not there."""
    found = lease_rows.get_leases(tx, [one for one in ids if is_id(one)])
    for one in ids:
        if one not in found:
            raise NotFound(
                f'file set "{one}" not found: it was never made, or its lease ran out; '
                "make it again, and renew it in time"
            )
    return [found[one] for one in ids]
