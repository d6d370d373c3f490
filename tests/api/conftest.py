"""A server with all its doors, for tests of transactions and metadata."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from transaction_things import Rooms

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import open_engine
from trunkline.testing.doors import serving


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    engine = open_engine(Config(data=tmp_path_factory.mktemp("data")), RealAmbient())
    engine.start(("127.0.0.1", 0))
    with serving(tmp_path_factory.mktemp("s"), engine.doors, engine.recorder) as channel:
        yield Rooms(channel)
    engine.stop()
    engine.close()
