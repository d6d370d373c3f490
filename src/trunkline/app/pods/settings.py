"""Settings of a server whose workers are pods."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PodConfig:
    """Settings of a server whose workers are pods. address: where they reach it, HOST:PORT; "": as it listens.

    image: of the worker. kubeconfig, namespace: "" for the usual ones. trust: specs may ask for rights on nodes.
    """

    image: str
    address: str = ""
    kubeconfig: str = ""
    namespace: str = ""
    trust: bool = False
