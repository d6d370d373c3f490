"""The file system on a real catalog and blobs in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.ambient import SimulatedAmbient
from trunkline.pfs.files import Files
from trunkline.pfs.graph import repos
from trunkline.storage import Store
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.catalogs import assert_sound, open_catalog


@pytest.fixture
def told() -> list[str]:
    """The output commits that the pipeline system was told of."""
    return []


@pytest.fixture
def files(tmp_path: Path, told: list[str], request: pytest.FixtureRequest):
    """A fresh file system; every transaction is run twice and compared."""
    ambient = SimulatedAmbient(7)
    catalog = open_catalog(tmp_path / "data", ambient)
    store = Store(MemoryBlobs(), tmp_path / "cache", ambient)

    def note(tx, commit, branch) -> None:
        tx.execute("SELECT 1")
        text = str(commit.commit)
        if text not in told:
            told.append(text)

    made = Files(catalog, store, ambient, note)
    catalog.transact(repos.ensure_default_project)
    yield made
    if "test_fsck" not in request.node.nodeid:  # those do damage on purpose
        assert_sound(catalog)
    catalog.close()
