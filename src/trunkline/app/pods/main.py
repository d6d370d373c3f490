"""`python -m trunkline.app.pods.main`: the worker in a pod, beside the container with the user's code.

Its settings are JSON in the variable TRUNKLINE_POD, its token and the keys of the object store are variables from a
secret. When it ends, the kubelet starts it again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import msgspec

from trunkline.app.memory import few_arenas
from trunkline.app.tls.trusted import trust
from trunkline.app.worker import Only, Standing, WorkerSettings, say, work
from trunkline.client.address import parse
from trunkline.errors import TrunklineError
from trunkline.fleet.kubernetes.names import SETTINGS

CACHE_BYTES = 512 << 20


class PodSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the fleet writes into the manifest. address: of the server; folder: of the worker's own; kind: as `Wish`."""

    address: str
    folder: str
    blobs: str
    server: str
    namespace: str
    project: str
    pipeline: str
    version: int
    kind: str


def settings_of(environ: Mapping[str, str]) -> WorkerSettings:
    """The worker's settings, from its container's variables."""
    told = msgspec.json.decode(environ[SETTINGS], type=PodSettings)
    name = environ["PPS_POD_NAME"]
    server = parse(told.address)
    standing = None
    if told.kind != "TRANSFORM":
        standing = Standing(told.project, told.pipeline, told.version, told.kind, "")
    return WorkerSettings(
        name=name,
        address=told.address,
        folder=told.folder,
        blobs=told.blobs,
        cache=f"{told.folder}/cache",
        index_cache_bytes=CACHE_BYTES,
        images=f"{told.folder}/images",
        server=told.server,
        variables={
            "PACHD_PEER_SERVICE_HOST": server.host,
            "PACHD_PEER_SERVICE_PORT": str(server.port),
            "PACH_NAMESPACE": told.namespace,
            "PPS_NAMESPACE": told.namespace,
            "PPS_POD_NAME": name,
        },
        standing=standing,
        only=Only(told.project, told.pipeline, told.version),
    )


def main() -> int:
    """Work until told to stop. 1: the worker could not begin."""
    sys.setswitchinterval(0.0005)  # as in app.worker
    few_arenas()
    settings = settings_of(os.environ)
    trust(os.environ)
    try:
        return work(settings)
    except (TrunklineError, OSError) as error:
        say(f"worker {settings.name}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
