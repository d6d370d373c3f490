"""What a client says where TLS does not come about, and whom it trusts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from trunkline.client import connect
from trunkline.client.trust import machine, named
from trunkline.errors import FailedPrecondition, Unavailable, Unimplemented
from trunkline.testing.tls.certificates import HERE, Made, make
from trunkline.wire.gen import pfs_v2_pb2 as pfs

OURS = make(*HERE)
ELSEWHERE = make("elsewhere.example")
EXPIRED = make(*HERE, days=(-9, -1))
EARLY = make(*HERE, days=(1, 9))


@contextmanager
def serving(made: Made | None) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    if made is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(made.key, made.certificate)]))
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(None)


@pytest.mark.parametrize(
    ("made", "roots", "words"),
    [
        (OURS, ELSEWHERE.certificate, "its certificate is not trusted; name the PEM file .* --server-cas FILE"),
        (ELSEWHERE, ELSEWHERE.certificate, "its certificate is for another name than localhost"),
        (EXPIRED, EXPIRED.certificate, "its certificate has expired"),
        (EARLY, EARLY.certificate, "its certificate is not valid yet"),
        (OURS, b"nothing of the kind", "the certificates to be trusted cannot be read"),
        (None, OURS.certificate, "it speaks plaintext and no TLS; the address is grpc://localhost"),
    ],
)
def test_why_tls_does_not_come_about(made: Made | None, roots: bytes, words: str) -> None:
    with (
        serving(made) as address,
        connect(f"grpcs://{address}", root_certificates=roots) as client,
        pytest.raises(Unavailable, match=f"cannot talk with pachd at {address}: {words}"),
    ):
        client.pfs.InspectRepo(pfs.InspectRepoRequest())


def test_a_certificate_that_another_signed() -> None:
    signer = make("signer.example")
    with (
        serving(make(*HERE, issuer=signer)) as address,
        connect(f"grpcs://{address}", root_certificates=signer.certificate) as client,
        pytest.raises(Unimplemented),  # it was asked
    ):
        client.pfs.InspectRepo(pfs.InspectRepoRequest())


def test_without_a_word_the_machine_s_own_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, _ = OURS.write(tmp_path)
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert machine() == OURS.certificate
    with serving(OURS) as address, connect(f"grpcs://{address}") as client, pytest.raises(Unimplemented):
        client.pfs.InspectRepo(pfs.InspectRepoRequest())
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(certificate))
    assert machine() is None


def test_files_of_the_variable(tmp_path: Path) -> None:
    one, key = OURS.write(tmp_path)
    two, _ = ELSEWHERE.write(tmp_path, "two")
    assert named({}) is None
    both = named({"PACH_CA_CERTS": f"{one}, {two}"})
    assert both is not None
    assert OURS.certificate in both
    assert ELSEWHERE.certificate in both
    for path, words in ((tmp_path / "none", "cannot be read: No such file"), (key, "holds no PEM certificate")):
        with pytest.raises(FailedPrecondition, match=f"{path}, which PACH_CA_CERTS names, {words}"):
            named({"PACH_CA_CERTS": str(path)})
