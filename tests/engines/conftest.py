"""Databases that tests of this folder share, each a server of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from dockers import engine_url
from mariadb import Server

from trunkline.errors import Unavailable
from trunkline.testing.engines.postgres import Postgres


@pytest.fixture(
    scope="module", params=["DOCKER_HOST", pytest.param("TRUNKLINE_PODMAN", marks=pytest.mark.podman)], ids=str.lower
)
def engine_at(request: pytest.FixtureRequest) -> str:
    """The socket of a container engine, of each kind in turn."""
    return engine_url(request.param)


@pytest.fixture(scope="session")
def pg() -> Iterator[Postgres]:
    """PostgreSQL, on a port of its own, to be stopped and killed at will."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    # Where others may look in, as pytest's own folder may not: the server is no root.
    with tempfile.TemporaryDirectory(prefix="trunkline-postgres-") as folder:
        server = Postgres(Path(folder))
        try:
            server.__enter__()
        except Unavailable as error:
            pytest.skip(f"{error}: make test-engines brings one")
        yield server
        server.stop()


@pytest.fixture(scope="session")
def postgres(pg: Postgres) -> str:
    """The URL of a database of it, without the password."""
    return pg.url


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MariaDB likewise."""
    made = Server(tmp_path_factory.mktemp("mariadb"))
    yield made
    made.end()
