"""A python-pachyderm 7.6.0 client on the server at $TRUNKLINE_ADDRESS; run by tests/engines/test_clients.py.

With $TRUNKLINE_ROOTS, a file with certificates, the server speaks TLS; the module test_pp_tls is for that alone.

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
import python_pachyderm
from python_pachyderm import pfs as nouns
from python_pachyderm import util
from python_pachyderm.mixin import pfs, pps, transaction

sys.path.insert(0, str(Path(__file__).parent.parent))
from touched import Touched

ROOTS = os.environ.get("TRUNKLINE_ROOTS", "")
collect_ignore = [] if ROOTS else ["test_pp_tls.py"]

TOUCHED = Touched()
TOUCHED.watch("pfs", pfs.PFSMixin)
TOUCHED.watch("pps", pps.PPSMixin)
TOUCHED.watch("transaction", transaction.TransactionMixin)
TOUCHED.watch("modify_file_client", pfs.ModifyFileClient)
TOUCHED.watch_own("PFSFile", pfs.PFSFile)
TOUCHED.watch_own("Commit", nouns.Commit)
TOUCHED.watch_own("util", util, python_pachyderm)


@pytest.fixture
def client() -> Iterator[python_pachyderm.Client]:
    """A client of a server that has nothing on it."""
    host, port = os.environ["TRUNKLINE_ADDRESS"].split(":")
    roots = Path(ROOTS).read_bytes() if ROOTS else None
    made = python_pachyderm.Client(host=host, port=int(port), tls=bool(ROOTS), root_certs=roots)
    made.delete_all()
    yield made
    made.delete_all_transactions()
    made.delete_all()


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
