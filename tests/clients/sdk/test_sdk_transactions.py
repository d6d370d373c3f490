"""pachyderm-sdk's transaction and metadata functions, and the file sets of the storage service."""

from __future__ import annotations

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import metadata, pfs, storage
from pachyderm_sdk.api import transaction as transactions
from test_sdk_files import IMAGES, MASTER, put, refused


def test_two_heads_move_in_one_commit_set(client: Client) -> None:
    client.pfs.create_repo(repo=pfs.Repo.from_uri("a"))
    client.pfs.create_repo(repo=pfs.Repo.from_uri("b"))
    with client.transaction.transaction() as transaction:
        first = client.pfs.start_commit(branch=pfs.Branch.from_uri("a@master"))
        second = client.pfs.start_commit(branch=pfs.Branch.from_uri("b@master"))
        client.pfs.finish_commit(commit=first)
        client.pfs.finish_commit(commit=second)
    assert first.id == second.id == transaction.id
    assert client.transaction.list_transaction().transaction_info == []


def test_by_hand(client: Client) -> None:
    transaction = client.transaction.start_transaction()
    assert client.transaction.transaction_exists(transaction)
    assert client.transaction.inspect_transaction(transaction=transaction).transaction.id == transaction.id
    client.transaction.delete_transaction(transaction=transaction)
    assert not client.transaction.transaction_exists(transaction)
    transaction = client.transaction.start_transaction()
    assert client.transaction.finish_transaction(transaction=transaction).transaction.id == transaction.id
    with refused(grpc.StatusCode.NOT_FOUND):
        client.transaction.finish_transaction(transaction=transaction)


def test_a_failing_body_leaves_nothing(client: Client) -> None:
    def failing() -> None:
        with client.transaction.transaction():
            client.pfs.create_repo(repo=IMAGES)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert list(client.pfs.list_repo()) == []


def test_files_are_not_part_of_it(client: Client) -> None:
    put(client, {"/a": b"1"})
    with pytest.raises(RuntimeError), client.transaction.transaction():
        client.pfs.put_file_from_bytes(commit=pfs.Commit.from_uri("images@master"), path="/b", data=b"2")


def test_a_batch(client: Client) -> None:
    requests = [
        transactions.TransactionRequest(create_repo=pfs.CreateRepoRequest(repo=IMAGES)),
        transactions.TransactionRequest(start_commit=pfs.StartCommitRequest(branch=MASTER)),
    ]
    info = client.transaction.batch_transaction(requests=requests)
    assert len(info.requests) == len(info.responses) == 2
    assert info.responses[1].commit.id == info.transaction.id
    assert client.pfs.inspect_commit(commit=info.responses[1].commit).commit.id == info.transaction.id


def test_metadata(client: Client) -> None:
    commit = put(client, {"/a": b"1"})
    add = metadata.EditAddKey(key="owner", value="me")
    pickers = [
        metadata.Edit(project=pfs.Project(name="default").as_picker(), add_key=add),
        metadata.Edit(repo=IMAGES.as_picker(), add_key=add),
        metadata.Edit(branch=MASTER.as_picker(), add_key=add),
        metadata.Edit(commit=commit.as_picker(), add_key=add),
    ]
    client.metadata.edit_metadata(edits=pickers)
    assert client.pfs.inspect_repo(repo=IMAGES).metadata == {"owner": "me"}
    assert client.pfs.inspect_branch(branch=MASTER).metadata == {"owner": "me"}
    assert client.pfs.inspect_commit(commit=commit).metadata == {"owner": "me"}
    assert client.pfs.inspect_project(project=pfs.Project(name="default")).metadata == {"owner": "me"}
    gone = metadata.Edit(
        project=pfs.Project(name="default").as_picker(), delete_key=metadata.EditDeleteKey(key="owner")
    )
    client.metadata.edit_metadata(edits=[gone])
    with pytest.raises(grpc.RpcError, match="owner"):
        client.metadata.edit_metadata(edits=[gone, pickers[1]])


def test_file_sets_of_no_repo(client: Client) -> None:
    def requests(size: int) -> list[storage.CreateFilesetRequest]:
        return [
            storage.CreateFilesetRequest(append_file=storage.AppendFile(path=f"/{name}", data=b"x" * size))
            for name in "ab"
            for _ in range(2)
        ]

    first = client.storage.create_fileset(iter(requests(3))).fileset_id
    second = client.storage.create_fileset(iter(requests(15 << 20))).fileset_id
    both = client.storage.compose_fileset(fileset_ids=[first, second], ttl_seconds=60).fileset_id
    client.storage.renew_fileset(fileset_id=both, ttl_seconds=60)
    content: dict[str, int] = {}
    for each in client.storage.read_fileset(fileset_id=second):
        content[each.path] = content.get(each.path, 0) + len(each.data)
    assert content == {"/a": 30 << 20, "/b": 30 << 20}
    assert len(client.storage.shard_fileset(fileset_id=second, num_files=1).shards) == 2
