"""Who this server is: ids drawn once, when its data folder is made."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.catalog.engine import Catalog
from trunkline.catalog.shared import identity
from trunkline.errors import DataLoss, FailedPrecondition
from trunkline.pps.secrets import Vault

KEY_DIGEST = "which key it is"
"""What the digest of the key of all secrets is derived for, by which servers compare theirs."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Ids of 32 hex digits. Clients keep the second to notice that an address leads elsewhere now.

    storage: the object store that the bytes of files lie in, without its endpoint, which may move; "": the data folder.
    """

    cluster_id: str
    deployment_id: str
    storage: str = ""
    folder: str = ""
    """Of the data folder alone, where several servers with one cluster id have one each."""


def identity_of(data: Path, ambient: Ambient, storage: str = "") -> Identity:
    """The ids kept in `data`, drawn if there are none. Raises DataLoss where the file holds something else.

    storage: where the bytes are said to lie. Raises FailedPrecondition where they have lain elsewhere.
    """
    path = data / "identity.json"
    place = storage.partition("?")[0].rstrip("/")
    try:
        kept = Identity(**json.loads(path.read_text()))
        if kept.storage != place:
            there = f"start it with --storage {kept.storage}" if kept.storage else "start it without --storage"
            raise FailedPrecondition(
                f"the server of {data} does not keep its bytes in {place or 'that folder'}; {there}"
            )
        return kept
    except FileNotFoundError:
        drawn = Identity(ambient.new_id(), ambient.new_id(), place)
    except (ValueError, TypeError) as error:
        raise DataLoss(f"{path} is damaged; delete it and the server draws new ids ({error})") from error
    _write(path, drawn)
    return drawn


def shared_identity(own: Identity, catalog: Catalog) -> Identity:
    """Who a server is that may share its database with others: the first of them said it for all.

    Raises FailedPrecondition where the bytes lie where this server does not look.
    """
    if catalog.alone:
        return own
    home = "" if own.storage else own.deployment_id
    agreed = partial(
        identity.agree, cluster_id=own.cluster_id, deployment_id=own.deployment_id, storage=own.storage, folder=home
    )
    row = catalog.transact(agreed)
    if (row.storage, row.folder) != (own.storage, home):
        there = (
            f"start it with --storage {row.storage}"
            if row.storage
            else ("in the data folder of the server that was first; move them to an object store to have more servers")
        )
        raise FailedPrecondition(f"the bytes that belong to this database lie elsewhere: {there}")
    return Identity(row.cluster_id, row.deployment_id, own.storage, own.deployment_id)


def open_vault(catalog: Catalog, key_file: Path, ambient: Ambient, *, given: bool) -> Vault:
    """The key of all secrets: one for all servers of a database; a server alone may have any.

    given: it has to be there. Raises FailedPrecondition where this server has another than the rest, DataLoss.
    """
    vault = Vault(key_file, ambient, given=given)

    def agree() -> None:
        digest = vault.derive(KEY_DIGEST).hex()
        if not catalog.transact(lambda tx: identity.agree_key(tx, digest)):
            raise FailedPrecondition(
                f"the key of all secrets in {vault.path} is not that of the other servers of this database; copy "
                "secrets.key of one of their data folders, or start all with the same --secrets-key"
            )

    if catalog.alone:
        if given:
            vault.check()
        return vault
    vault.on_made = agree
    if vault.check():
        agree()
    return vault


def _write(path: Path, drawn: Identity) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump({name: value for name, value in asdict(drawn).items() if name != "folder"}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
