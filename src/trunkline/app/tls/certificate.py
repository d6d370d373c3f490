"""The server's certificate: read and checked in words at the start, and again whenever its files have changed."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from trunkline.ambient import Ambient
from trunkline.errors import FailedPrecondition

PROTOCOLS = ("http/1.1", "h2")
"""By ALPN, ours before theirs: gRPC offers h2 alone, and whoever offers both is a browser, which the HTTP door serves
with HTTP/1.1."""

_log = logging.getLogger("trunkline.tls")

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What the files hold. warning: what clients will find wrong with it; "": nothing. names: hosts that it is for."""

    context: ssl.SSLContext
    names: tuple[str, ...]
    warning: str


class Certificate:
    """A certificate with its key, as the files have it now. Raises FailedPrecondition for files that are no good."""

    def __init__(self, certificate: Path, key: Path, ambient: Ambient) -> None:
        self._files, self._ambient = (certificate, key), ambient
        self._stamp = self._look()
        self._checked = check(certificate, key, ambient)
        if self._checked.warning:
            _log.warning("%s", self._checked.warning)

    @property
    def names(self) -> tuple[str, ...]:
        """Hosts, by name or number, that it is for."""
        return self._checked.names

    @property
    def warning(self) -> str:
        """What clients will find wrong with it; "": nothing."""
        return self._checked.warning

    def context(self) -> ssl.SSLContext:
        """For one more connection. Files that have changed since the last one are read; the former certificate goes on
        where they are no good, as in the middle of being written."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._checked = check(*self._files, self._ambient)
            except FailedPrecondition as error:
                _log.warning("the certificate was not renewed: %s", error)
            else:
                _log.info("the certificate of %s was renewed", ", ".join(self.names))
                if self._checked.warning:
                    _log.warning("%s", self._checked.warning)
        return self._checked.context

    def _look(self) -> _Stamp:
        """What tells whether the files have changed, also where a link on the way leads elsewhere now."""
        found = []
        for path in self._files:
            try:
                told = path.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((told.st_ino, told.st_mtime_ns, told.st_size))
        return tuple(found)


def check(certificate: Path, key: Path, ambient: Ambient) -> Checked:
    """Read both files, PEM. Raises FailedPrecondition, in words, where no client could be served with them."""
    chain = _chain(certificate)
    _match(certificate, key, chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(list(PROTOCOLS))
    try:
        context.load_cert_chain(certificate, key, password=b"")
    except (ssl.SSLError, OSError) as error:
        raise FailedPrecondition(f"the certificate {certificate} with the key {key} cannot be used: {error}") from error
    return Checked(context, _names(chain[0]), _warning(certificate, chain[0], ambient))


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, "certificate"))
    except ValueError as error:
        raise FailedPrecondition(
            f"{path} holds no PEM certificate ({_short(error)}); --tls-cert names the server's own, followed by those "
            "that signed it"
        ) from error


def _match(certificate: Path, path: Path, chain: list[x509.Certificate]) -> None:
    """Raise FailedPrecondition unless the key is that of the first certificate."""
    try:
        key = load_pem_private_key(_read(path, "key"), None)
    except TypeError as error:
        raise FailedPrecondition(
            f"the key {path} is locked with a password, for which nobody can be asked; keep it without one, readable "
            "by this server only: openssl pkey -in KEY -out OPEN"
        ) from error
    except Exception as error:  # several kinds, some of which the library does not name
        raise FailedPrecondition(f"{path} holds no PEM private key ({_short(error)})") from error
    ours = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fits = [one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == ours for one in chain]
    if any(fits[1:]) and not fits[0]:
        raise FailedPrecondition(
            f"{certificate} begins with another certificate than that of the key {path}: put the server's own first"
        )
    if not fits[0]:
        raise FailedPrecondition(
            f"the key {path} is not that of the certificate {certificate}; give the two that match"
        )


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FailedPrecondition(
            f"the {what} {path} cannot be read ({error.strerror}); --tls-cert and --tls-key name PEM files"
        ) from error


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    numbers: list[IPv4Address | IPv6Address] = [
        one for one in told.get_values_for_type(x509.IPAddress) if isinstance(one, IPv4Address | IPv6Address)
    ]
    return (*told.get_values_for_type(x509.DNSName), *map(str, numbers))


def _warning(path: Path, certificate: x509.Certificate, ambient: Ambient) -> str:
    now = datetime.fromtimestamp(ambient.now_us() / 1e6, UTC)
    if now > certificate.not_valid_after_utc:
        return f"the certificate {path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; clients will refuse it"
    if now < certificate.not_valid_before_utc:
        return (
            f"the certificate {path} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; "
            "clients will refuse it until then"
        )
    if not _names(certificate):
        return f"the certificate {path} names no host in subjectAltName; clients will refuse it"
    return ""


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
