"""What making a pipeline costs the catalog: so many statements, however many pipelines there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pps_world import World, copy, glob

from trunkline.ambient import SimulatedAmbient
from trunkline.catalog import repos as repo_rows
from trunkline.catalog.engine import Tx
from trunkline.catalog.metadata import set_of_repo
from trunkline.model.names import Repo
from trunkline.pfs.files import Files
from trunkline.pfs.graph import repos
from trunkline.pps import machine
from trunkline.pps.images.resolving import Rules
from trunkline.pps.specs import requests
from trunkline.storage import Store
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.catalogs import counted_statements, open_catalog

DATA = Repo("default", "data")
MOST = 105
TWO_JOBS = 640
"""With the commit that starts them, of one datum each, their own outputs, and what this world checks after each."""
TWO_JOBS_TRANSACTIONS = 32


@pytest.fixture
def files(tmp_path: Path):
    ambient = SimulatedAmbient(3)
    with open_catalog(tmp_path / "data", ambient, rehearse=False) as catalog:
        made = Files(catalog, Store(MemoryBlobs(), tmp_path / "cache", ambient), ambient, machine.create_job)
        catalog.transact(repos.ensure_default_project)
        catalog.transact(lambda tx: repos.create_repo(tx, DATA))
        yield made
        made.store.close()


def create(files: Files, name: str, reads: str = "data", *, update: bool = False) -> int:
    """Make a pipeline; how many statements that took."""
    spec = {
        "pipeline": {"name": name},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": reads, "glob": "/*"}},
    }
    asked = requests.Request(json.dumps(spec), update=update)
    with counted_statements() as count:
        files.change(lambda change: requests.create(change, asked, Rules()))
        return count()


def test_a_pipeline_costs_the_same_beside_many(files: Files) -> None:
    first = create(files, "p0")
    costs = [create(files, f"p{number}") for number in range(1, 12)]
    assert first <= MOST
    assert max(costs) <= first
    assert create(files, "behind", "p3") <= MOST
    assert create(files, "p5", update=True) <= MOST + 20


def test_a_job_costs_so_many_statements_and_transactions(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.repo()
    world.pipeline("edges", copy, glob("/*"))
    world.pipeline("down", copy, glob("/*", "edges"))
    costs = []
    for number in range(4):
        before = world.files.catalog.counts.functions
        with counted_statements() as count:
            world.put({f"/{number}": b"1"})
            world.pump()
            costs.append((count(), world.files.catalog.counts.functions - before))
    world.close()
    assert costs[1] == costs[2] == costs[3]  # whatever has been before
    statements, transactions = costs[3]
    assert statements <= TWO_JOBS
    assert transactions <= TWO_JOBS_TRANSACTIONS


def test_a_row_is_read_once_until_it_changes(files: Files) -> None:
    def work(tx: Tx) -> None:
        with counted_statements() as count:
            known = repo_rows.find_repo(tx, DATA)
            assert known is not None
            assert repo_rows.find_repo(tx, DATA) is known
            assert repo_rows.find_repo(tx, Repo("default", "new")) is None
            assert repo_rows.find_repo(tx, Repo("default", "new")) is None
            assert count() == 2
        made = repo_rows.insert_repo(tx, Repo("default", "new"), "")
        assert repo_rows.find_repo(tx, made.repo) == made
        assert repo_rows.find_repo(tx, DATA) is known
        repo_rows.set_repo_description(tx, known.key, "changed")
        now = repo_rows.find_repo(tx, DATA)
        assert now is not None
        assert now.description == "changed"
        set_of_repo(tx, known.key, {"a": "b"})
        assert repo_rows.find_repo(tx, DATA) != now
        tx.execute("UPDATE repos SET description = 'by hand'")
        by_hand = repo_rows.find_repo(tx, DATA)
        assert by_hand is not None
        assert by_hand.description == "by hand"
        repo_rows.delete_repo(tx, made.key)
        assert repo_rows.find_repo(tx, made.repo) is None

    files.catalog.transact(work)
