"""Write sessions on dicts, on a catalog, and over the wire keep one contract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from trunkline.ambient import RealAmbient, SimulatedAmbient
from trunkline.app.config import Config
from trunkline.app.engine import open_engine
from trunkline.catalog.engine import Catalog
from trunkline.client.address import parse
from trunkline.client.connection import Client
from trunkline.client.sessions import RemoteSession
from trunkline.pfs.sessions import Session
from trunkline.storage.blobs import BlobStore, LocalBlobs, MemoryBlobs
from trunkline.testing.catalogs import open_catalog
from trunkline.testing.contracts.sessions import WriteSessionContract
from trunkline.testing.doors import serving
from trunkline.testing.sessions import MemoryChunks, MemorySession


@dataclass
class InMemory:
    session: MemorySession

    def end(self) -> None:
        self.session.end()


@dataclass
class MemoryRows:
    blobs: BlobStore
    chunks: MemoryChunks

    def open(self) -> InMemory:
        return InMemory(self.chunks.open())


class TestMemorySessions(WriteSessionContract):
    @pytest.fixture
    def rows(self) -> MemoryRows:
        blobs = MemoryBlobs()
        return MemoryRows(blobs, MemoryChunks(blobs))


@dataclass
class OnCatalog:
    session: Session

    def end(self) -> None:
        self.session.__exit__(None, None, None)


@dataclass
class CatalogRows:
    blobs: BlobStore
    catalog: Catalog

    def open(self) -> OnCatalog:
        return OnCatalog(Session(self.catalog, "contract"))


class TestCatalogSessions(WriteSessionContract):
    @pytest.fixture
    def rows(self, tmp_path: Path):
        catalog = open_catalog(tmp_path, SimulatedAmbient(5))
        yield CatalogRows(MemoryBlobs(), catalog)
        catalog.close()


@dataclass
class OverWire:
    session: RemoteSession

    def end(self) -> None:
        self.session.end()


@dataclass
class WireRows:
    blobs: BlobStore
    client: Client

    def open(self) -> OverWire:
        return OverWire(RemoteSession(self.client.workers, "contract"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    engine = open_engine(Config(data=tmp_path_factory.mktemp("data"), workers=0), RealAmbient())
    with serving(tmp_path_factory.mktemp("s"), engine.doors) as channel:
        client = Client(channel, parse("grpc://127.0.0.1:1"), worker_token=engine.tokens.whole)
        yield WireRows(LocalBlobs(tmp_path_factory.mktemp("blobs")), client)
    engine.stop()
    engine.close()


class TestRemoteSessions(WriteSessionContract):
    @pytest.fixture
    def rows(self, server: WireRows):
        return server
