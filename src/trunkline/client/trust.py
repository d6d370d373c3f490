"""Whom a client trusts to say who a server is: PEM certificates of this machine, or those that a person names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from trunkline.errors import FailedPrecondition

NAMED = "PACH_CA_CERTS"
"""The variable with PEM files, with commas between them."""

_PLACES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep whom they trust, for a Python that was built elsewhere."""


def named(environ: Mapping[str, str]) -> bytes | None:
    """The certificates of `PACH_CA_CERTS`; None: it is not set. Raises FailedPrecondition for files that are none."""
    paths = [path.strip() for path in environ.get(NAMED, "").split(",") if path.strip()]
    if not paths:
        return None
    return b"\n".join(_read(path) for path in paths)


def machine() -> bytes | None:
    """Whom this machine trusts, SSL_CERT_FILE included; None: nobody knows, or a variable of gRPC's own says it."""
    if "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" in os.environ:
        return None
    import ssl

    for path in (ssl.get_default_verify_paths().cafile, *_PLACES):
        try:
            if path and (found := Path(path).read_bytes()):
                return found
        except OSError:
            continue
    return None


def _read(path: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FailedPrecondition(f"{path}, which {NAMED} names, cannot be read: {error.strerror}") from error
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise FailedPrecondition(f"{path}, which {NAMED} names, holds no PEM certificate")
    return data
