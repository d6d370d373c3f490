"""Fixtures for storage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trunkline.testing.stores import World


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()
