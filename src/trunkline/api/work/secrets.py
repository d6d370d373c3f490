"""pps_v2.API: secrets made, listed and deleted. No call gives back what they hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf.empty_pb2 import Empty

from trunkline.api.rpc.call import Call
from trunkline.pps.controller import Pps
from trunkline.pps.secrets import SecretInfo, changes, inspect_secret, list_secrets
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.times import timestamp


@dataclass(frozen=True, slots=True)
class SecretDoor:
    """Secrets."""

    system: Pps
    service: str = field(default="pps_v2.API")

    def CreateSecret(self, request: pps.CreateSecretRequest, _call: Call) -> Empty:
        """Keep a secret, sent as a Kubernetes Secret object in JSON."""
        changes.create_secret(self.system.files.catalog, self.system.vault, request.file)
        return Empty()

    def DeleteSecret(self, request: pps.DeleteSecretRequest, _call: Call) -> Empty:
        """Remove a secret."""
        self.system.files.catalog.transact(lambda tx: changes.delete_secret(tx, request.secret.name))
        return Empty()

    def InspectSecret(self, request: pps.InspectSecretRequest, _call: Call) -> pps.SecretInfo:
        """One secret, without what it holds."""
        return _told(self.system.files.catalog.read(lambda tx: inspect_secret(tx, request.secret.name)))

    def ListSecret(self, _request: Empty, _call: Call) -> pps.SecretInfos:
        """All secrets, by name."""
        return pps.SecretInfos(secret_info=map(_told, self.system.files.catalog.read(list_secrets)))


def _told(info: SecretInfo) -> pps.SecretInfo:
    created = timestamp(info.created_us)
    return pps.SecretInfo(secret=pps.Secret(name=info.name), type=info.type, creation_timestamp=created)
