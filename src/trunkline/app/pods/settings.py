"""Settings of a server whose workers are pods."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

from trunkline.errors import InvalidArgument
from trunkline.fleet.kubernetes.wanted import DEFAULT_REQUESTS
from trunkline.model.specs import Resources
from trunkline.model.specs.scalars import quantity, quantity_bytes

PULL_POLICIES = ("Always", "IfNotPresent", "Never")


@dataclass(frozen=True, slots=True)
class PodConfig:
    """Settings of a server whose workers are pods. address: where they reach it, HOST:PORT; "": as it listens.

    image: of the worker. kubeconfig, namespace: "" for the usual ones. trust: specs may ask for rights on nodes.
    claim: of the volume with the data folder, where there is no object store. account: of the pods.
    pull_policy, pull_secrets: of the worker's image. requests, sidecar_requests: of the container with the code, and of
    that beside it, where a spec says nothing.
    """

    image: str
    address: str = ""
    kubeconfig: str = ""
    namespace: str = ""
    trust: bool = False
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    claim: str = ""
    account: str = ""
    requests: Resources = DEFAULT_REQUESTS
    sidecar_requests: Resources = DEFAULT_REQUESTS


def pods_of(given: argparse.Namespace) -> PodConfig | None:
    """The settings, where workers are pods. Raises InvalidArgument."""
    if given.fleet == "local":
        return None
    if not given.worker_image:
        raise InvalidArgument("workers that are pods need an image of Trunkline; name it with --worker-image")
    if not given.storage and not given.storage_claim:
        raise InvalidArgument(
            "workers that are pods do not see this machine's disk: keep bytes in an object store, with --storage "
            "s3://BUCKET/PATH, or say by --storage-claim which volume of the cluster the data folder is"
        )
    if given.storage and given.storage_claim:
        raise InvalidArgument("bytes lie in one place: give --storage or --storage-claim")
    if given.worker_pull_policy not in PULL_POLICIES:
        raise InvalidArgument(
            f'worker-pull-policy "{given.worker_pull_policy}" does not exist; choose one of {", ".join(PULL_POLICIES)}'
        )
    return PodConfig(
        image=given.worker_image,
        address=given.worker_address,
        kubeconfig=given.kubeconfig,
        namespace=given.namespace,
        trust=given.trust_pods,
        pull_policy=given.worker_pull_policy,
        claim=given.storage_claim,
        account=given.worker_account,
        pull_secrets=tuple(name for name in given.worker_pull_secrets.split(",") if name),
        requests=_requests("pipeline-requests", given.pipeline_requests),
        sidecar_requests=_requests("sidecar-requests", given.sidecar_requests),
    )


def _requests(flag: str, text: str) -> Resources:
    """Of cpu=1,memory=256Mi,disk=1Gi; what is not named stays as it is, and 0 asks for nothing."""
    found = DEFAULT_REQUESTS
    for part in filter(None, text.split(",")):
        name, _, amount = part.partition("=")
        try:
            if name == "cpu":
                found = replace(found, cpu=float(quantity(amount)))
            elif name == "memory":
                found = replace(found, memory=amount if quantity_bytes(amount) else "")
            elif name == "disk":
                found = replace(found, disk=amount if quantity_bytes(amount) else "")
            else:
                raise ValueError("write cpu=1,memory=256Mi,disk=1Gi, or some of these")
        except ValueError as error:
            raise InvalidArgument(f'--{flag} "{text}" is invalid: {error}') from None
    return found


def add_pods(parser: argparse.ArgumentParser, env: Callable[..., str], on: Callable[[str], bool]) -> None:
    """Flags about workers that are pods. env: a setting of the environment; on: whether one is switched on there."""
    fleets = ["local", "kubernetes"]
    parser.add_argument(
        "--fleet", default=env("FLEET", "local"), choices=fleets, help="workers: processes here, or pods (local)"
    )

    def flag(name: str, metavar: str, help: str, otherwise: str = "") -> None:
        said = env(name.upper().replace("-", "_"), otherwise)
        parser.add_argument(f"--{name}", metavar=metavar, default=said, help=help)

    flag("worker-image", "IMAGE", "the image of Trunkline that pods run")
    flag(
        "worker-pull-policy", "POLICY", "when it is pulled: Always, IfNotPresent, Never (IfNotPresent)", "IfNotPresent"
    )
    flag("worker-pull-secrets", "NAMES", "Secrets of the cluster with its registry's credentials, with commas between")
    flag("worker-account", "NAME", "ServiceAccount of pods, where a cloud gives it the rights to the object store")
    flag("storage-claim", "NAME", "PersistentVolumeClaim that is the data folder, in place of --storage; for one node")
    flag("worker-address", "HOST:PORT", "where pods reach this server (default: as it listens)")
    flag("pipeline-requests", "AMOUNTS", "what code asks for whose spec says nothing (cpu=1,memory=256Mi,disk=1Gi)")
    flag("sidecar-requests", "AMOUNTS", "what the worker beside it asks for, likewise")
    flag("kubeconfig", "FILE", "the cluster (default: the one we run in, KUBECONFIG, or ~/.kube/config)")
    flag("namespace", "NAME", "where pods live (default: as the cluster says)")
    parser.add_argument(
        "--trust-pods",
        action="store_true",
        default=on("TRUST_PODS"),
        help="allow pod_spec and pod_patch to ask for rights on nodes",
    )
