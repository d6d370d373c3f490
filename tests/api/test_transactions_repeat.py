"""Transactions on a catalog that runs every function twice and compares, and beside one another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select, update

from trunkline.ambient import SimulatedAmbient
from trunkline.api.transactions.members import Requests, members
from trunkline.catalog.tables_pfs import transaction_requests as table
from trunkline.errors import AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument, TrunklineError
from trunkline.pfs import fsck
from trunkline.pfs.files import Files
from trunkline.pfs.graph import repos
from trunkline.pfs.graph.changes import Change
from trunkline.pfs.graph.transactions import MOST_BYTES, Played, Player, Transactions
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


def test_two_who_add_to_a_transaction_at_once_see_each_other(transactions: Transactions) -> None:
    id = transactions.start().id
    refused = []

    def add() -> None:
        for number in range(10):
            try:
                transactions.append(id, create_repo(f"r{number}"))
            except AlreadyExists:
                refused.append(number)

    both = [Thread(target=add) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    asked = transactions.finish(id).requests
    assert sorted(asked) == sorted(create_repo(f"r{number}") for number in range(10))
    assert sorted(refused) == list(range(10))


def test_a_transaction_has_a_size(transactions: Transactions) -> None:
    id = transactions.start().id
    transactions.append(id, create_repo("a", description="x" * (MOST_BYTES // 2)))
    with pytest.raises(FailedPrecondition, match="at most 4 MiB together"):
        transactions.append(id, create_repo("b", description="x" * (MOST_BYTES // 2)))
    transactions.append(id, create_repo("b"))
    assert len(transactions.finish(id).requests) == 2


class Counting:
    """Plays requests, and counts how many."""

    def __init__(self, player: Player) -> None:
        self.inner = player
        self.played = 0

    def play(self, change: Change, request: bytes) -> Played:
        self.played += 1
        return self.inner.play(change, request)

    def name(self, request: bytes) -> str:
        return self.inner.name(request)


@pytest.fixture
def counting(transactions: Transactions) -> Counting:
    return Counting(transactions.player)


@pytest.fixture
def counted(transactions: Transactions, counting: Counting) -> Transactions:
    """The same, with requests counted: each twice, as each function runs twice."""
    return Transactions(transactions.files, counting)


def test_an_append_costs_what_its_request_costs_alone(counted: Transactions, counting: Counting) -> None:
    """docs/decisions/0011-an-append-goes-on-from-the-one-before-it.md says how."""
    id = counted.start().id
    costs = []
    for number in range(30):
        counting.played = 0
        with counted_statements() as count:
            counted.append(id, create_repo(f"r{number}"))
            costs.append(count())
        assert counting.played == 2
    assert set(costs[1:]) == {costs[1]}
    # A batch of as many carries each out once.
    with counted_statements() as count:
        counted.batch([create_repo("alone")])
        alone = count()
        counted.batch([create_repo(f"b{number}") for number in range(30)])
        assert count() <= 31 * alone


def test_a_pipeline_costs_an_append_little_more_behind_others(counted: Transactions, counting: Counting) -> None:
    id = counted.start().id
    counted.append(id, create_repo("data"))
    costs = []
    for number in range(8):
        counting.played = 0
        with counted_statements() as count:
            counted.append(id, create_pipeline(f"p{number}", "data"))
            costs.append(count())
        assert counting.played == 2
    # At the end of each of the two runs, the heads of output and meta are given those of their inputs, here as there.
    assert max(after - before for before, after in pairwise(costs)) <= 2 * 12
    assert costs[0] > 2 * 60


def test_what_others_change_meanwhile_has_all_tried_again(
    transactions: Transactions, counted: Transactions, counting: Counting
) -> None:
    id = counted.start().id
    for name in ("a", "b"):
        counted.append(id, create_repo(name))
    transactions.batch([create_repo("c")])
    with pytest.raises(AlreadyExists, match="repo default/c already exists"):
        counted.append(id, create_repo("c"))
    counting.played = 0
    counted.append(id, create_repo("d"))
    assert counting.played == 2 * 3
    transactions.batch([create_repo("b")])
    with pytest.raises(FailedPrecondition, match=r"its request 2 of 4 \(create_repo\) fails by now: repo default/b"):
        counted.append(id, create_repo("e"))
    assert counted.inspect(id).requests == tuple(map(create_repo, "abd"))


def test_what_was_refused_or_only_tried_meanwhile_has_nothing_tried_again(
    transactions: Transactions, counted: Transactions, counting: Counting
) -> None:
    id, other = counted.start().id, counted.start().id
    counted.append(id, create_repo("a"))
    counted.append(other, create_repo("a"))  # of another transaction
    with pytest.raises(InvalidArgument):
        transactions.batch([create_repo("not/a/name")])
    with pytest.raises(AlreadyExists):
        counted.append(id, create_repo("a"))
    counted.append(id, create_repo("b"), keep=False)
    counting.played = 0
    counted.append(id, create_repo("b"))
    assert counting.played == 2
    assert counted.finish(id).requests == (create_repo("a"), create_repo("b"))
    with pytest.raises(FailedPrecondition, match="its request 1 of 2"):
        counted.append(other, create_repo("b"))


@pytest.mark.parametrize("column", ["request", "response"])
def test_a_flipped_bit_in_a_request_is_named_and_the_others_can_be_finished(
    transactions: Transactions, column: str
) -> None:
    catalog = transactions.files.catalog
    bad, good = transactions.start().id, transactions.start().id
    for id, name in ((bad, "one"), (good, "two")):
        for more in ("", "-too"):
            transactions.append(id, create_repo(f"{name}{more}"))
    rows = table.c[column], table.c.position
    data, position = catalog.read(lambda tx: tx.execute(select(*rows).where(table.c.transaction == bad)).all())[-1]
    change = update(table).where(table.c.transaction == bad, table.c.position == position)
    flips = [data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :] for at in range(len(data))] or [b"x"]
    for flip in flips:
        catalog.transact(lambda tx, flip=flip: tx.execute(change.values({column: flip})) and None)  # type: ignore[misc]
        for call in (transactions.inspect, transactions.finish, lambda id: transactions.append(id, create_repo("x"))):
            with pytest.raises(DataLoss, match=f"request 2 of transaction {bad} is damaged"):
                call(bad)
    (line,) = fsck.violations(transactions.files)
    assert f"request 2 of transaction {bad}" in line
    assert [len(row.requests) for row in transactions.listed()] == [0, 2]
    assert len(transactions.finish(good).requests) == 2
    transactions.delete(bad)
    assert transactions.listed() == []
    assert list(fsck.violations(transactions.files)) == []
    assert {info.repo.name for info in catalog.read(lambda tx: repos.list_repos(tx, []))} == {"two", "two-too"}


def branch_request(repo: str, name: str, *reads: str) -> bytes:
    def branch(repo: str, name: str) -> pfs.Branch:
        return pfs.Branch(repo=pfs.Repo(name=repo, type="user"), name=name)

    request = pfs.CreateBranchRequest(branch=branch(repo, name), provenance=[branch(one, "master") for one in reads])
    return wire.TransactionRequest(create_branch=request).SerializeToString()


def start_commit(repo: str) -> bytes:
    branch = pfs.Branch(repo=pfs.Repo(name=repo, type="user"), name="master")
    return wire.TransactionRequest(start_commit=pfs.StartCommitRequest(branch=branch)).SerializeToString()


def delete_repo(name: str) -> bytes:
    request = pfs.DeleteRepoRequest(repo=pfs.Repo(name=name, type="user"))
    return wire.TransactionRequest(delete_repo=request).SerializeToString()


def test_it_answers_what_trying_all_again_would(transactions: Transactions) -> None:
    asked = [
        create_repo("in"),
        start_commit("in"),
        create_repo("out"),
        branch_request("out", "master", "in"),
        create_repo("in"),  # refused
        create_pipeline("one", "in"),
        create_pipeline("two", "one"),
        branch_request("in", "master", "two"),  # refused: a circle
        branch_request("in", "other", "two"),  # refused: two of one repo
        create_pipeline("three", "one"),
        start_commit("in"),  # refused: the first is open still
        create_repo("other"),
        create_repo("gone"),
        start_commit("gone"),
        delete_repo("gone"),
        create_pipeline("one", "in"),  # refused
        branch_request("in", "kept"),  # whose empty head is of a set of its own
        create_repo("other"),  # refused
        branch_request("other", "kept"),
        create_pipeline("four", "three"),
    ]
    id = transactions.start().id

    def answer(by: Transactions, request: bytes, *, keep: bool) -> Any:
        try:
            return by.append(id, request, keep=keep).response
        except TrunklineError as error:
            return type(error), str(error)

    refused = 0
    for request in asked:
        afresh = Transactions(transactions.files, transactions.player)
        told = answer(afresh, request, keep=False)
        assert answer(transactions, request, keep=True) == told
        refused += isinstance(told, tuple)
    assert refused == 6
    kept = transactions.inspect(id)
    assert transactions.finish(id).responses == kept.responses
