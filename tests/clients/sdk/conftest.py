"""A pachyderm-sdk 2.12.2 client on the server at $TRUNKLINE_ADDRESS; run by tests/engines/test_clients.py.

With $TRUNKLINE_ROOTS, a file with certificates, the server speaks TLS; the module test_sdk_tls is for that alone.

These tests run in an environment of the client's own, which has pytest and not Trunkline.
"""

from __future__ import annotations

import functools
import http.server
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import metadata, pfs
from pachyderm_sdk.api.pfs.extension import ApiStub as Files
from pachyderm_sdk.api.pfs.extension import ClosedCommit, OpenCommit
from pachyderm_sdk.api.pfs.file import PFSFile
from pachyderm_sdk.api.pps.extension import ApiStub as Pipelines
from pachyderm_sdk.api.storage.extension import ApiStub as FileSets
from pachyderm_sdk.api.transaction.extension import ApiStub as Transactions

sys.path.insert(0, str(Path(__file__).parent.parent))
from touched import Touched

ROOTS = os.environ.get("TRUNKLINE_ROOTS", "")
collect_ignore = [] if ROOTS else ["test_sdk_tls.py"]

TOUCHED = Touched()
TOUCHED.watch("pfs", Files)
TOUCHED.watch("pps", Pipelines)
TOUCHED.watch("transaction", Transactions)
TOUCHED.watch("storage", FileSets)
TOUCHED.watch("metadata", metadata.ApiStub)
for each in (OpenCommit, ClosedCommit, PFSFile, pfs.Project, pfs.Repo, pfs.Branch, pfs.Commit, pfs.File):
    TOUCHED.watch_own(each.__name__, each)
for each in (pfs.RepoPicker, pfs.BranchPicker, pfs.CommitPicker):
    TOUCHED.watch_own(each.__name__, each)


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of a server that has nothing on it."""
    host, port = os.environ["TRUNKLINE_ADDRESS"].split(":")
    made = Client(host=host, port=int(port), tls=bool(ROOTS), root_certs=Path(ROOTS).read_bytes() if ROOTS else None)
    empty(made)
    yield made
    empty(made)


def empty(client: Client) -> None:
    """Leave nothing on the server."""
    client.transaction.delete_all()
    client.pps.delete_all()
    client.pfs.delete_all()
    for each in client.pps.list_secret().secret_info:
        client.pps.delete_secret(secret=each.secret)


def pytest_sessionfinish() -> None:
    """Leave a list of the functions that no test called."""
    if path := os.environ.get("TRUNKLINE_TOUCHED"):
        TOUCHED.write(Path(path))


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a page on this machine: the words `a page`."""
    folder = Path(tempfile.mkdtemp())
    (folder / "page").write_bytes(b"a page\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/page"
    server.shutdown()
