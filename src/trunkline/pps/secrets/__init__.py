"""Secrets: taken in as Kubernetes writes them, kept encrypted, handed to user code and to nobody else."""

from __future__ import annotations

from trunkline.pps.secrets.store import (
    Given,
    GivenFolder,
    SecretInfo,
    check_places,
    given_to,
    inspect_secret,
    list_secrets,
    missing,
    value_of,
)
from trunkline.pps.secrets.vault import Vault

__all__ = [
    "Given",
    "GivenFolder",
    "SecretInfo",
    "Vault",
    "check_places",
    "given_to",
    "inspect_secret",
    "list_secrets",
    "missing",
    "value_of",
]
