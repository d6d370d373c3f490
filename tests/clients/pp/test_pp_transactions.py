"""python-pachyderm's transaction functions."""

from __future__ import annotations

import grpc
import pytest
from python_pachyderm import Client
from python_pachyderm.service import pfs_proto, transaction_proto
from test_pp_files import put


def test_two_heads_move_in_one_commit_set(client: Client) -> None:
    client.create_repo("a")
    client.create_repo("b")
    with client.transaction() as transaction:
        first = client.start_commit("a", "master")
        second = client.start_commit("b", "master")
        client.finish_commit(first)
        client.finish_commit(second)
    assert first.id == second.id == transaction.id
    assert list(client.list_transaction()) == []


def test_nothing_happens_before_the_end(client: Client) -> None:
    transaction = client.start_transaction()
    client.create_repo("outside")
    with client.transaction():
        client.create_repo("inside")
    assert {each.repo.name for each in client.list_repo()} == {"outside", "inside"}
    assert [each.transaction.id for each in client.list_transaction()] == [transaction.id]
    assert client.inspect_transaction(transaction).transaction.id == transaction.id
    client.delete_transaction(transaction)
    assert list(client.list_transaction()) == []


def test_a_failing_body_leaves_nothing(client: Client) -> None:
    def failing() -> None:
        with client.transaction():
            client.create_repo("never")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert list(client.list_repo()) == []


def test_files_are_not_part_of_it(client: Client) -> None:
    put(client, "images", {"/a": b"1"})
    with pytest.raises(RuntimeError), client.transaction():
        client.put_file_bytes(("images", "master"), "/b", b"2")


def test_a_batch(client: Client) -> None:
    repo = pfs_proto.Repo(name="made", type="user")
    requests = [
        transaction_proto.TransactionRequest(create_repo=pfs_proto.CreateRepoRequest(repo=repo)),
        transaction_proto.TransactionRequest(
            start_commit=pfs_proto.StartCommitRequest(branch=pfs_proto.Branch(repo=repo, name="master"))
        ),
    ]
    info = client.batch_transaction(requests)
    assert len(info.requests) == len(info.responses) == 2
    assert info.responses[1].commit.id == info.transaction.id
    assert [each.commit.id for each in client.list_commit("made")] == [info.transaction.id]


def test_a_conflict_at_the_end(client: Client) -> None:
    transaction = client.start_transaction()
    finish = client.finish_transaction
    assert finish(transaction).transaction.id == transaction.id
    with pytest.raises(grpc.RpcError) as twice:
        finish(transaction)
    assert twice.value.code() is grpc.StatusCode.NOT_FOUND
