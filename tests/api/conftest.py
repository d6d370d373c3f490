"""A server with all its doors, for tests that need no more of it than to be called."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from transaction_things import Rooms

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import open_engine
from trunkline.testing.calls import Client
from trunkline.testing.doors import serving


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    engine = open_engine(Config(data=tmp_path_factory.mktemp("data")), RealAmbient())
    engine.start(("127.0.0.1", 0))
    with serving(tmp_path_factory.mktemp("s"), engine.doors, engine.recorder) as opened:
        yield opened
    engine.stop()
    engine.close()


@pytest.fixture(scope="module")
def rooms(channel: grpc.Channel) -> Rooms:
    return Rooms(channel)


@pytest.fixture(scope="module")
def client(rooms: Rooms) -> Client:
    return rooms.client
