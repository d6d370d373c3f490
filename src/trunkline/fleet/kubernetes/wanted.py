"""What is wanted of a cluster: versions of pipelines, and what all their pods have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkline.fleet.kubernetes.names import object_name
from trunkline.model.names import Pipeline
from trunkline.model.specs import PipelineSpec, Resources

DEFAULT_REQUESTS = Resources(cpu=1.0, memory="256Mi", disk="1Gi")
"""What a container asks for where its spec says nothing at all (behaviour B.5)."""

WORKER_USER = 1000
"""As whom the container beside the code runs."""


@dataclass(frozen=True)
class Wanted:
    """A version of a pipeline that is to run in `replicas` pods.

    kind: TRANSFORM, SERVICE or SPOUT. env, folders: the secrets of its code, as variables, and by folder as files.
    logins: documents as `docker login` writes them, for its image. token: what its workers show the server.
    """

    pipeline: Pipeline
    version: int
    spec: PipelineSpec
    kind: str = "TRANSFORM"
    replicas: int = 1
    env: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    folders: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict, repr=False)
    logins: tuple[bytes, ...] = field(default=(), repr=False)
    token: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Of its ReplicaSet."""
        return object_name(self.pipeline, self.version)


@dataclass(frozen=True)
class House:
    """What all pods of a server have in common.

    server: whose they are. image: of the container beside the code, the worker. address: where pods reach the server,
    HOST:PORT. blobs: URL of the object store. claim: in its place the name of a PersistentVolumeClaim, in whose folder
    "blobs" the bytes lie. account: the ServiceAccount of pods, which a cloud may know; no token of it is shown. secret:
    the name of the Secret with the keys of the store, which only the container beside the code gets. given: its values.
    requests, sidecar_requests: of containers whose spec says nothing. user: that the worker runs as.
    trusted: pod_spec and pod_patch may ask for rights on the node.
    """

    server: str
    namespace: str
    image: str
    address: str
    blobs: str = ""
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    image_pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    requests: Resources = DEFAULT_REQUESTS
    sidecar_requests: Resources = DEFAULT_REQUESTS
    user: int = WORKER_USER
    trusted: bool = False
    claim: str = ""
    account: str = ""

    @property
    def secret(self) -> str:
        """The name of the Secret with `given`."""
        return f"trunkline-worker-{self.server[:12]}"
