"""Secrets in the catalog: shown without what they hold, and opened for user code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from trunkline.ambient import Micros
from trunkline.catalog.engine import Tx
from trunkline.catalog.work import secrets as secret_rows
from trunkline.catalog.work.secrets import SecretRow
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.specs import PipelineSpec
from trunkline.pps.secrets.vault import Vault

_OURS = ("pfs", ".pfs", ".venv", "proc", "sys", "dev")


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """A secret as it is shown."""

    name: str
    type: str
    keys: tuple[str, ...]
    created_us: Micros


@dataclass(frozen=True, slots=True)
class GivenFolder:
    """A secret as files in a folder of user code."""

    path: str
    files: dict[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Given:
    """What user code of one pipeline is given of secrets."""

    env: dict[str, bytes] = field(default_factory=dict, repr=False)
    folders: tuple[GivenFolder, ...] = ()


def inspect_secret(tx: Tx, name: str) -> SecretInfo:
    """One secret. Raises NotFound."""
    return _info(need_secret(tx, name))


def list_secrets(tx: Tx) -> list[SecretInfo]:
    """All secrets, by name."""
    return [_info(row) for row in secret_rows.list_secrets(tx)]


def value_of(tx: Tx, vault: Vault, name: str, key: str) -> bytes:
    """What one key of a secret stands for. Raises NotFound, FailedPrecondition (no such key), DataLoss."""
    row = need_secret(tx, name)
    if key not in row.keys:
        raise FailedPrecondition(_no_key(name, key, row))
    return _opened(vault, row)[key]


def missing(tx: Tx, spec: PipelineSpec) -> str:
    """Which secrets a pipeline needs that are not there, as a sentence; "" if it has all."""
    found = [complaint for name, key in _wanted(spec) if (complaint := _missing(tx, name, key))]
    return "; ".join(dict.fromkeys(found))


def check_places(spec: PipelineSpec) -> None:
    """Raise InvalidArgument for a mount_path where no secret can be shown."""
    for mount in spec.transform.secrets:
        path = mount.mount_path
        if not path:
            continue
        top = path.strip("/").partition("/")[0]
        told = f'secret {mount.name}: mount_path "{path}"'
        if not path.startswith("/") or not top or ".." in path.split("/"):
            raise InvalidArgument(f"{told} must be the whole path of a folder, as /keys")
        if top in _OURS:
            raise InvalidArgument(f"{told} lies in /{top}, where nothing can be mounted")


def given_to(tx: Tx, vault: Vault, spec: PipelineSpec) -> Given:
    """The secrets of a pipeline's code, opened. Raises FailedPrecondition when one is missing, DataLoss."""
    if not spec.transform.secrets:
        return Given()
    if lacks := missing(tx, spec):
        raise FailedPrecondition(lacks)
    opened = {mount.name: _opened(vault, need_secret(tx, mount.name)) for mount in spec.transform.secrets}
    env: dict[str, bytes] = {}
    folders: dict[str, dict[str, bytes]] = {}
    for mount in spec.transform.secrets:
        if mount.env_var:
            env[mount.env_var] = opened[mount.name][mount.key]
        if mount.mount_path:
            only = {mount.key} if mount.key and not mount.env_var else set(opened[mount.name])
            shown = {key: value for key, value in opened[mount.name].items() if key in only}
            folders.setdefault(mount.mount_path.rstrip("/"), {}).update(shown)
    return Given(env, tuple(GivenFolder(path, files) for path, files in folders.items()))


def uses(spec: PipelineSpec, name: str) -> bool:
    """Whether a pipeline needs a secret."""
    return any(wanted == name for wanted, _ in _wanted(spec))


def _wanted(spec: PipelineSpec) -> Iterable[tuple[str, str]]:
    for mount in spec.transform.secrets:
        yield mount.name, mount.key
    if spec.egress is not None and spec.egress.sql is not None and spec.egress.sql.secret_name:
        yield spec.egress.sql.secret_name, spec.egress.sql.secret_key


def _missing(tx: Tx, name: str, key: str) -> str:
    row = secret_rows.find_secret(tx, name)
    if row is None:
        return f"secret {name} does not exist; make it with `pachctl create secret -f FILE`"
    return _no_key(name, key, row) if key and key not in row.keys else ""


def _no_key(name: str, key: str, row: SecretRow) -> str:
    return f'secret {name} has no key "{key}", only {", ".join(row.keys) or "none at all"}'


def need_secret(tx: Tx, name: str) -> SecretRow:
    """One secret. Raises NotFound."""
    row = secret_rows.find_secret(tx, name)
    if row is None:
        raise NotFound(f"secret {name} not found; `pachctl list secret` shows those there are")
    return row


def _opened(vault: Vault, row: SecretRow) -> dict[str, bytes]:
    return msgspec.msgpack.decode(vault.open(row.name, row.sealed), type=dict[str, bytes])


def _info(row: SecretRow) -> SecretInfo:
    return SecretInfo(row.name, row.type, row.keys, row.created_us)
