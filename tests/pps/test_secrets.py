"""Secrets: what is taken in, what is shown, who waits for one, and that nothing of them lies about in the clear."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import msgspec
import pytest
from pps_world import World, copy, glob

from trunkline.errors import AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.jobs import JobState, PipelineState
from trunkline.model.names import Pipeline
from trunkline.model.specs import PipelineSpec, Transform
from trunkline.model.specs.spec import SecretMount
from trunkline.pps import jobs
from trunkline.pps.secrets import Vault, changes, given_to, inspect_secret, list_secrets, value_of
from trunkline.pps.secrets.manifest import read_manifest

HIDDEN = b"hunter2-and-more"


def manifest(name: str = "db", **data: bytes) -> bytes:
    coded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return json.dumps({"kind": "Secret", "metadata": {"name": name}, "data": coded}).encode()


def create(world: World, file: bytes) -> None:
    changes.create_secret(world.files.catalog, world.pps.vault, file)


def delete(world: World, name: str) -> None:
    world.files.catalog.transact(lambda tx: changes.delete_secret(tx, name))


def make(world: World, *mounts: SecretMount) -> None:
    world.pipeline("p", copy, glob("/*"), transform=with_secrets(*mounts))


def with_secrets(*mounts: SecretMount) -> Transform:
    return Transform(cmd=("true",), secrets=mounts)


def state(world: World) -> tuple[PipelineState, str]:
    info = world.files.catalog.read(lambda tx: jobs.inspect_pipeline(tx, Pipeline("default", "p")))
    return info.state, info.reason


def test_what_a_secret_holds_lies_nowhere_in_the_clear(world: World) -> None:
    create(world, manifest(password=HIDDEN))
    key = world.folder / "secrets.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    world.reopen()
    kept = [path for path in (world.folder / "data").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        content = path.read_bytes()
        assert HIDDEN not in content
        assert base64.b64encode(HIDDEN) not in content
    opened = world.files.catalog.read(lambda tx: value_of(tx, world.pps.vault, "db", "password"))
    assert opened == HIDDEN


def test_secrets_are_shown_by_name_and_type_only(world: World) -> None:
    create(world, manifest("b", password=HIDDEN))
    create(
        world, json.dumps({"metadata": {"name": "a"}, "type": "kubernetes.io/tls", "stringData": {"k": "v"}}).encode()
    )
    found = world.files.catalog.read(list_secrets)
    assert [(one.name, one.type, one.keys) for one in found] == [
        ("a", "kubernetes.io/tls", ("k",)),
        ("b", "Opaque", ("password",)),
    ]
    assert HIDDEN.decode() not in repr(found)
    assert HIDDEN.decode() not in repr(read_manifest(manifest(password=HIDDEN)))
    with pytest.raises(AlreadyExists, match="secret a exists already"):
        create(world, manifest("a"))
    delete(world, "a")
    with pytest.raises(NotFound, match="secret a not found"):
        world.files.catalog.read(lambda tx: inspect_secret(tx, "a"))
    with pytest.raises(NotFound):
        delete(world, "a")


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (b"{", "not JSON: .* line 1, column 2"),
        (b"\xff", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"kind":"Pod"}', '"kind" must be "Secret"'),
        (b'{"data":{}}', "has no name"),
        (b'{"metadata":{"name":"A b"}}', '"A b" is invalid'),
        (b'{"metadata":{"name":"a"},"data":{"k":"!!hunter2"}}', '"k" in "data" is not base64'),
        (b'{"metadata":{"name":"a"},"data":{"k":1}}', "values are texts"),
        (b'{"metadata":{"name":"a"},"stringData":{"a/b":""}}', 'key "a/b" is invalid'),
        (b" " * ((1 << 20) + 1), "1024 KiB"),
    ],
)
def test_what_is_no_secret_is_refused_without_a_word_of_its_content(file: bytes, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint) as raised:
        read_manifest(file)
    assert "hunter2" not in str(raised.value)


def test_a_pipeline_without_its_secret_is_refused(world: World) -> None:
    with pytest.raises(FailedPrecondition, match="secret db does not exist; make it with"):
        make(world, SecretMount("db", mount_path="/keys"))
    create(world, manifest(user=b"u", password=b"p"))
    with pytest.raises(FailedPrecondition, match='secret db has no key "token", only password, user'):
        make(world, SecretMount("db", key="token", env_var="T"))
    for path in ("keys", "/", "/pfs/keys", "/a/../pfs"):
        with pytest.raises(InvalidArgument, match="mount_path"):
            make(world, SecretMount("db", mount_path=path))
    mounts = (SecretMount("db", mount_path="/keys/"), SecretMount("db", key="user", env_var="WHO"))
    make(world, *mounts)
    made = PipelineSpec(Pipeline("default", "p"), with_secrets(*mounts), glob("/*"))
    given = world.files.catalog.read(lambda tx: given_to(tx, world.pps.vault, made))
    assert given.env == {"WHO": b"u"}
    assert [(one.path, one.files) for one in given.folders] == [("/keys", {"user": b"u", "password": b"p"})]


def test_a_pipeline_whose_secret_goes_says_so_and_waits(world: World) -> None:
    create(world, manifest(password=b"p"))
    make(world, SecretMount("db", key="password", env_var="P"))
    delete(world, "db")
    assert state(world) == (
        PipelineState.CRASHING,
        "a secret is missing: secret db does not exist; make it with `pachctl create secret -f FILE`",
    )
    world.put({"/a": b"1"})
    world.pump()
    assert world.last("p").state is JobState.RUNNING
    create(world, manifest(password=b"q"))
    assert state(world) == (PipelineState.RUNNING, "")
    world.pump()
    assert world.last("p").state is JobState.SUCCESS


def test_a_key_may_be_given_and_is_never_made_then(world: World, tmp_path: Path) -> None:
    path = tmp_path / "given.key"
    given = Vault(path, world.ambient, given=True)
    with pytest.raises(DataLoss, match=r"given.key, is gone"):
        given.seal("db", b"x")
    with pytest.raises(DataLoss, match=r"given.key, is gone"):
        given.check()
    assert not path.exists()
    path.write_text("0f" * 32 + "\n")
    sealed = Vault(path, world.ambient, given=True).seal("db", b"x")
    path.write_bytes(bytes.fromhex("0f" * 32))
    same = Vault(path, world.ambient, given=True)
    assert (same.open("db", sealed), same.check()) == (b"x", True)
    assert same.derive("one") != same.derive("two")
    path.unlink()
    path.mkdir()
    with pytest.raises(DataLoss, match="cannot be read"):
        Vault(path, world.ambient, given=True).check()


GOLDEN = bytes.fromhex(
    "01c2094caca29f6fbed82c07cd95b45930b267fbe5d519110e6c00f275320a58f1cd76e62249a21dce1c7fdd1528ffbabd3e4786d15c2e"
    "b0d15b"
)
"""What the column `sealed` holds of a secret `db`, under the key of the bytes 0 to 31."""


def test_a_secret_that_was_sealed_once_is_read_for_ever(world: World, tmp_path: Path) -> None:
    (tmp_path / "the.key").write_bytes(bytes(range(32)))
    opened = Vault(tmp_path / "the.key", world.ambient, given=True).open("db", GOLDEN)
    assert msgspec.msgpack.decode(opened) == {"user": b"ann", "password": b"\x00secret"}


def test_a_secret_of_another_key_or_another_name_cannot_be_read(world: World, tmp_path: Path) -> None:
    vault, other = world.pps.vault, Vault(tmp_path / "other.key", world.ambient)
    sealed = vault.seal("db", b"x")
    with pytest.raises(DataLoss, match=r"the key of all secrets, .* is gone"):
        other.open("db", sealed)
    other.seal("db", b"y")
    with pytest.raises(DataLoss, match="encrypted with another key"):
        other.open("db", sealed)
    with pytest.raises(DataLoss):
        vault.open("web", sealed)
    (tmp_path / "short.key").write_bytes(b"short")
    with pytest.raises(DataLoss, match="is damaged"):
        Vault(tmp_path / "short.key", world.ambient).seal("db", b"")
