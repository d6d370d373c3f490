"""Certificates for tests, with their keys: signed by themselves, or by one another."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from trunkline.ambient import RealAmbient

DAY_US = 86_400_000_000
HERE = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Made:
    """A certificate and its key, PEM. issuer: who signed it; None: itself."""

    certificate: bytes
    key: bytes
    issuer: Made | None = None

    def write(self, folder: Path, name: str = "tls") -> tuple[Path, Path]:
        """Put them into files: the certificate with those that signed it, and the key."""
        chain, one = [], self
        while one is not None:
            chain.append(one.certificate)
            one = one.issuer  # type: ignore[assignment]
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        for path, data in zip(paths, (b"".join(chain), self.key), strict=True):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(data)
            fresh.replace(path)
        return paths


def make(
    *names: str,
    days: tuple[float, float] = (-1, 30),
    issuer: Made | None = None,
    password: bytes | None = None,
    signs: bool = True,
) -> Made:
    """A fresh one for hosts by name or number. days: from and until when it is good, counted from now.

    signs: whether it may sign others; clients in Rust refuse a server with one that may.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "nobody")])
    signer, by = key, subject
    if issuer is not None:
        loaded = serialization.load_pem_private_key(issuer.key, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer, by = loaded, x509.load_pem_x509_certificate(issuer.certificate).subject
    begin, end = (
        datetime.datetime.fromtimestamp((RealAmbient().now_us() + each * DAY_US) / 1e6, datetime.UTC) for each in days
    )
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
    )
    if names:
        built = built.add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
    kept = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return Made(
        built.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept),
        issuer,
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
