"""Secrets made and deleted, and what that means for the pipelines that need them."""

from __future__ import annotations

import msgspec

from trunkline.catalog.engine import Catalog, Tx
from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work import secrets as secret_rows
from trunkline.errors import AlreadyExists
from trunkline.model.jobs import PipelineState
from trunkline.pps import lineage
from trunkline.pps.machine import CLAIMS_TOPIC
from trunkline.pps.pipelines import set_state
from trunkline.pps.secrets.manifest import read_manifest
from trunkline.pps.secrets.store import missing, need_secret, uses
from trunkline.pps.secrets.vault import Vault

LACKS = "a secret is missing: "
"""How the reason of a pipeline begins that waits for a secret."""


def create_secret(catalog: Catalog, vault: Vault, file: bytes) -> None:
    """Keep a secret, sent as a Kubernetes Secret object. Raises InvalidArgument, AlreadyExists, DataLoss."""
    manifest = read_manifest(file)
    sealed = vault.seal(manifest.name, msgspec.msgpack.encode(manifest.data))

    def work(tx: Tx) -> None:
        if secret_rows.find_secret(tx, manifest.name) is not None:
            raise AlreadyExists(f"secret {manifest.name} exists already; delete it first to replace it")
        secret_rows.insert_secret(tx, manifest.name, manifest.type, sorted(manifest.data), sealed)
        _tell(tx, manifest.name)

    catalog.transact(work)


def delete_secret(tx: Tx, name: str) -> None:
    """Remove a secret; pipelines that need it say so and wait. Raises NotFound."""
    need_secret(tx, name)
    secret_rows.delete_secret(tx, name)
    _tell(tx, name)


def _tell(tx: Tx, name: str) -> None:
    """Pipelines that need this secret wait for what they lack, or go on."""
    for known in pipeline_rows.list_pipelines(tx):
        state, spec = PipelineState(known.state), lineage.spec_of(tx, known.key, known.version)
        if known.stopped or not uses(spec, name):
            continue
        lacks = missing(tx, spec)
        if lacks and state in (PipelineState.RUNNING, PipelineState.STARTING, PipelineState.CRASHING):
            set_state(tx, known, PipelineState.CRASHING, LACKS + lacks)
        elif state is PipelineState.CRASHING and known.reason.startswith(LACKS):
            set_state(tx, known, PipelineState.RUNNING)
            tx.emit(CLAIMS_TOPIC, {"pipeline": known.key})
