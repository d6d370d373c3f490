"""Transactions on a catalog that runs every function twice and compares, and beside one another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from trunkline.ambient import SimulatedAmbient
from trunkline.api.transactions.members import Requests, members
from trunkline.errors import AlreadyExists, FailedPrecondition
from trunkline.pfs.files import Files
from trunkline.pfs.graph import repos
from trunkline.pfs.graph.transactions import MOST_BYTES, Transactions
from trunkline.pps import machine
from trunkline.pps.images.resolving import Rules
from trunkline.storage import Store
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.catalogs import counted_statements, open_catalog
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import transaction_v2_pb2 as wire


@pytest.fixture
def transactions(tmp_path: Path) -> Iterator[Transactions]:
    """On a catalog that runs every function twice and compares."""
    ambient = SimulatedAmbient(5)
    catalog = open_catalog(tmp_path / "data", ambient)
    files = Files(catalog, Store(MemoryBlobs(), tmp_path / "cache", ambient), ambient, machine.create_job)
    catalog.transact(repos.ensure_default_project)
    yield Transactions(files, Requests({one.name: one for one in members(Rules())}))
    catalog.close()


def create_repo(name: str, **more: Any) -> bytes:
    return wire.TransactionRequest(
        create_repo=pfs.CreateRepoRequest(repo=pfs.Repo(name=name), **more)
    ).SerializeToString()


def create_pipeline(name: str, reads: str) -> bytes:
    request = pps.CreatePipelineRequest(
        pipeline=pps.Pipeline(name=name),
        transform=pps.Transform(cmd=["true"]),
        input=pps.Input(pfs=pps.PFSInput(repo=reads, glob="/*")),
    )
    return wire.TransactionRequest(create_pipeline=request).SerializeToString()


def test_a_transaction_repeats(transactions: Transactions) -> None:
    id = transactions.start().id
    asked = (create_repo("data"), create_pipeline("one", "data"), create_pipeline("two", "one"))
    for request in asked:
        transactions.append(id, request)
    assert transactions.finish(id).requests == asked
    clash = transactions.start().id
    with pytest.raises(AlreadyExists, match=r"^repo default/data already exists"):
        transactions.append(clash, asked[0])
    with pytest.raises(AlreadyExists, match=r"request 2 of the batch \(create_repo\)"):
        transactions.batch([create_repo("x"), asked[0]])


def test_what_a_transaction_tries_while_another_request_is_added_is_tried_again(transactions: Transactions) -> None:
    id = transactions.start().id

    class Racing(Transactions):
        """Its look at the transaction is out of date once."""

        def inspect(self, id: str) -> Any:
            row = super().inspect(id)
            if not row.requests:
                transactions.append(id, create_repo("same"))
            return row

    with pytest.raises(AlreadyExists):
        Racing(transactions.files, transactions.player).append(id, create_repo("same"))
    assert transactions.inspect(id).requests == (create_repo("same"),)


def test_a_transaction_has_a_size(transactions: Transactions) -> None:
    id = transactions.start().id
    transactions.append(id, create_repo("a", description="x" * (MOST_BYTES // 2)))
    with pytest.raises(FailedPrecondition, match="at most 4 MiB together"):
        transactions.append(id, create_repo("b", description="x" * (MOST_BYTES // 2)))
    transactions.append(id, create_repo("b"))
    assert len(transactions.finish(id).requests) == 2


def test_an_append_costs_what_the_requests_before_it_cost_and_no_more(transactions: Transactions) -> None:
    """docs/decisions/0011-an-append-tries-all-that-is-recorded.md says why not less."""
    id = transactions.start().id
    costs = []
    for number in range(30):
        with counted_statements() as count:
            transactions.append(id, create_repo(f"r{number}"))
            costs.append(count())
    steps = [after - before for before, after in pairwise(costs)]
    with counted_statements() as count:
        transactions.batch([create_repo("alone")])
        alone = count()
    assert max(steps) <= alone
    assert max(steps[-10:]) <= max(steps[:10])
    # A batch of as many carries each out once.
    with counted_statements() as count:
        transactions.batch([create_repo(f"b{number}") for number in range(30)])
        assert count() <= 30 * alone
