"""Whom this process trusts besides those that its machine trusts, where a variable says so."""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import MutableMapping
from pathlib import Path

TRUSTED = "TRUNKLINE_TRUSTED"
"""The variable: certificates, PEM, and anything between them."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SYSTEMS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

_log = logging.getLogger("trunkline.tls")


def trust(environ: MutableMapping[str, str]) -> None:
    """Have every connection made from here on trust the certificates of `TRUSTED`, by SSL_CERT_FILE in `environ`.

    That file lies in memory and ends with this process. Nothing changes where the variable has no certificate.
    """
    if not (told := environ.get(TRUSTED, "")):
        return
    found = _CERTIFICATE.findall(told)
    if not found:
        _log.warning(
            "%s holds no certificate in PEM, so nobody is trusted but whom this machine trusts; of the chart's "
            "global.customCaCerts, put one as ca.crt or tls.crt into the Secret of pachd.tls, and start pachd again",
            TRUSTED,
        )
        return
    places = [environ.get("SSL_CERT_FILE", ""), ssl.get_default_verify_paths().openssl_cafile, *_SYSTEMS]
    before = next((Path(each).read_bytes() for each in places if each and Path(each).is_file()), b"")
    handle = os.memfd_create("trusted")  # stays open
    with os.fdopen(os.dup(handle), "wb") as file:
        file.write(before + b"\n" + "\n".join(found).encode() + b"\n")
    environ["SSL_CERT_FILE"] = f"/proc/{os.getpid()}/fd/{handle}"
