"""Backups taken from a server that runs, and restored into empty ones: through the wire."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import BytesValue
from moving_things import flipped

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.catalog.engine.catalog import FILE_NAME
from trunkline.client import Client, backups, connect
from trunkline.errors import DataLoss, FailedPrecondition, InvalidArgument, TrunklineError
from trunkline.model import backups as form
from trunkline.pfs.backups import making, restoring
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.fsck import violations
from trunkline.testing.doors import serving
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps
from trunkline.wire.gen import trunkline_pb2 as own

REPO = pfs.Repo(name="data", type="user", project=pfs.Project(name="default"))
COMMIT = pfs.Commit(branch=pfs.Branch(repo=REPO, name="master"))
SIZE = 200_000


class Site:
    """A server in this process, and a client of it."""

    def __init__(self, engine: Engine, client: Client, data: Path) -> None:
        self.engine, self.client, self.data = engine, client, data

    def put(self, **files: bytes) -> None:
        self.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=REPO, update=True))
        adds = [
            pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{name}", raw=BytesValue(value=data)))
            for name, data in files.items()
        ]
        self.client.pfs.ModifyFile(iter([pfs.ModifyFileRequest(set_commit=COMMIT), *adds]))
        finish_waiting(self.engine.space.files)

    def get(self, name: str) -> bytes:
        request = pfs.GetFileRequest(file=pfs.File(commit=COMMIT, path=f"/{name}"))
        return b"".join(piece.value for piece in self.client.pfs.GetFile(request))

    def repos(self) -> list[str]:
        return [info.repo.name for info in self.client.pfs.ListRepo(pfs.ListRepoRequest(type="user"))]

    def save(self, target: Path, since: Path | str = "", *, with_keys: bool = False) -> own.BackupFigures:
        return backups.save(
            self.client, str(target), str(since), with_keys=with_keys, begun=lambda _figures: lambda _count: None
        )

    def restore(self, *sources: Path) -> own.RestoreResponse:
        return backups.put_back(self.client, [str(source) for source in sources], lambda _count: None)


@contextmanager
def site(folder: Path, key: Path | None = None) -> Iterator[Site]:
    sockets = folder / "s"
    sockets.mkdir(parents=True, exist_ok=True)
    engine = open_engine(Config(data=folder / "data", workers=0, key_file=key), RealAmbient())
    with serving(sockets, engine.doors), connect(f"unix:{sockets / 's'}") as client:
        yield Site(engine, client, folder / "data")
    engine.stop()
    engine.close()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "source") as opened:
        yield opened


def test_everything_is_back(source: Site, tmp_path: Path) -> None:
    one, two = os.urandom(SIZE), os.urandom(SIZE)
    source.put(one=one)
    source.put(two=two)
    told = source.save(tmp_path / "b")
    source.put(three=b"later")
    with site(tmp_path / "target") as target:
        answer = target.restore(tmp_path / "b")
        assert (answer.blobs, told.known_blobs) == (told.blobs, 0)
        assert target.engine.restored
    with site(tmp_path / "target") as target:
        assert (target.get("one"), target.get("two")) == (one, two)
        with pytest.raises(TrunklineError, match="three"):
            target.get("three")
        assert list(violations(target.engine.space.files)) == []
        target.put(four=one + b"4")
        assert target.get("four") == one + b"4"
        target.engine.space.collector.collect()
        assert (target.get("one"), list(violations(target.engine.space.files))) == (one, [])
        assert not (target.data / restoring.FOLDER).exists()


def test_a_continuation_has_only_what_is_new(source: Site, tmp_path: Path) -> None:
    old, new = os.urandom(10 * SIZE), os.urandom(SIZE)
    source.put(old=old)
    full = source.save(tmp_path / "full")
    source.put(new=new)
    more = source.save(tmp_path / "more", tmp_path / "full")
    assert more.known_blobs == full.blobs
    catalog = _sizes(tmp_path / "more")[form.CATALOG]
    assert SIZE <= _sizes(tmp_path / "more")[form.BLOB] < SIZE + 20_000
    assert (tmp_path / "more").stat().st_size < catalog + SIZE + 30_000
    last = source.save(tmp_path / "last", tmp_path / "more")
    assert (last.blobs, _sizes(tmp_path / "last").get(form.BLOB, 0)) == (0, 0)
    with site(tmp_path / "target") as target:
        with pytest.raises(FailedPrecondition, match=rf"{more.id}.*restore NEWEST"):
            target.restore(tmp_path / "last")
        assert target.repos() == []
        with pytest.raises(FailedPrecondition):
            target.restore(tmp_path / "last", tmp_path / "more")
        assert target.restore(tmp_path / "last", tmp_path / "more", tmp_path / "full").blobs == more.blobs + full.blobs
    with site(tmp_path / "target") as target:
        assert (target.get("old"), target.get("new")) == (old, new)


def _sizes(path: Path) -> dict[int, int]:
    found: dict[int, int] = {}
    for record in form.records(form.FORM, iter([path.read_bytes()])):
        found[record.kind] = found.get(record.kind, 0) + record.size
    return found


def test_nothing_of_a_backup_is_collected_while_it_is_taken(source: Site, tmp_path: Path) -> None:
    data = os.urandom(SIZE)
    source.put(one=data)
    taken = making.Making(source.engine.space.files, tmp_path / "copies", tmp_path / "no-key")
    source.client.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=REPO, force=True))
    collect = source.engine.space.collector.collect
    collect()
    (tmp_path / "b").write_bytes(b"".join(taken.pieces(with_keys=False)))
    taken.close()
    collect()
    assert list(source.engine.space.files.store.blobs.names("chunks/")) == []
    assert list((tmp_path / "copies").iterdir()) == []
    with site(tmp_path / "target") as target:
        target.restore(tmp_path / "b")
    with site(tmp_path / "target") as target:
        assert target.get("one") == data


def test_few_blobs_are_in_memory(source: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.put(**{f"big{number}": os.urandom(10 << 20) for number in range(6)})
    taken = making.Making(source.engine.space.files, tmp_path / "copies", tmp_path / "no-key")
    blobs, asked = source.engine.space.files.store.blobs, []
    read = blobs.get

    def counted(name: str) -> bytes:
        asked.append(name)
        return read(name)

    monkeypatch.setattr(blobs, "get", counted)
    most = done = 0
    for record in form.records(form.FORM, taken.pieces(with_keys=False)):
        if record.kind == form.BLOB:
            most = max(most, len(asked) - done)
            done += 1
    taken.close()
    assert done == len(asked) > 2 * making.AT_ONCE
    assert most <= making.AT_ONCE


def test_only_an_empty_server_is_filled(source: Site, tmp_path: Path) -> None:
    source.put(one=b"1")
    source.save(tmp_path / "b")
    with pytest.raises(FailedPrecondition, match=r"repo data.*empty one only"):
        source.restore(tmp_path / "b")
    assert source.get("one") == b"1"
    with pytest.raises(InvalidArgument, match="there already"):
        source.save(tmp_path / "b")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "cut off"),
        (lambda data: data[: len(data) // 2], "cut off"),
        (lambda data: b"x" + data[1:], "no backup"),
        (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "damaged|cannot be read"),
        (lambda data: data[:-200] + bytes([data[-200] ^ 1]) + data[-199:], "damaged"),
        (lambda data: b"", "cut off|empty"),
    ],
)
def test_a_bad_backup_leaves_an_empty_server(source: Site, tmp_path: Path, damage, words: str) -> None:  # type: ignore[no-untyped-def]
    source.put(one=os.urandom(1000))
    source.save(tmp_path / "b")
    (tmp_path / "bad").write_bytes(damage((tmp_path / "b").read_bytes()))
    with site(tmp_path / "target") as target:
        with pytest.raises(TrunklineError, match=words):
            target.restore(tmp_path / "bad")
        assert target.repos() == []
        target.engine.space.collector.collect()
        assert list(target.engine.space.files.store.blobs.names("chunks/")) == []
        target.restore(tmp_path / "b")
    with site(tmp_path / "target") as target:
        assert target.repos() == ["data"]


def test_one_bit_in_any_region_of_any_record(source: Site, tmp_path: Path) -> None:
    source.put(first=os.urandom(1000))
    _with_secret(source)
    source.save(tmp_path / "b", with_keys=True)
    source.put(second=os.urandom(1000))
    source.save(tmp_path / "more", tmp_path / "b", with_keys=True)
    with site(tmp_path / "target") as target:
        for name, others in (("b", []), ("more", [tmp_path / "b"])):
            for where, bent in flipped(form.FORM, (tmp_path / name).read_bytes()):
                (tmp_path / "bent").write_bytes(bent)
                with pytest.raises((DataLoss, InvalidArgument, FailedPrecondition)) as refused:
                    target.restore(tmp_path / "bent", *others)
                assert "backup" in str(refused.value), (name, where, str(refused.value))
                assert target.repos() == [], where
        target.engine.space.collector.collect()
        assert list(target.engine.space.files.store.blobs.names("chunks/")) == []
        assert not (target.data / "secrets.key").exists()
        target.restore(tmp_path / "more", tmp_path / "b")
    with site(tmp_path / "target") as target:
        assert len(target.get("first")) == len(target.get("second")) == 1000


def test_a_server_killed_at_any_step_of_the_exchange_comes_up_whole(
    source: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put(one=b"1")
    source.save(tmp_path / "b")
    steps = 0
    for last in range(20):
        with site(tmp_path / f"t{last}") as target:
            target.restore(tmp_path / "b")
        steps = _killed_after(last, tmp_path / f"t{last}" / "data", monkeypatch)
        with site(tmp_path / f"t{last}") as target:
            assert target.get("one") == b"1", last
        if steps < last:
            break
    assert steps > 4


class Killed(BaseException):
    """Plays the end of the process."""


def _killed_after(steps: int, data: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the exchange until it has changed `steps` names. Answers how many it changed."""
    count = 0

    def counted(real):  # type: ignore[no-untyped-def]
        def step(*args: object, **named: object) -> object:
            nonlocal count
            if count == steps:
                raise Killed
            count += 1
            return real(*args, **named)

        return step

    with monkeypatch.context() as patched:
        for name in ("unlink", "replace"):
            patched.setattr(Path, name, counted(getattr(Path, name)))
        patched.setattr(restoring.shutil, "rmtree", counted(restoring.shutil.rmtree))
        with suppress(Killed):
            restoring.finish_restore(data)
    return count


def test_a_server_killed_before_all_is_there_comes_up_empty(source: Site, tmp_path: Path) -> None:
    source.put(one=b"1")
    source.save(tmp_path / "b")
    with site(tmp_path / "target") as target:
        target.restore(tmp_path / "b")
        (target.data / restoring.FOLDER / restoring.COMPLETE).unlink()  # as if it had not come so far
        assert (target.data / restoring.FOLDER / FILE_NAME).exists()
    with site(tmp_path / "target") as target:
        assert target.repos() == []
        target.restore(tmp_path / "b")


def test_what_comes_in_while_it_is_restored_is_not_lost(source: Site, tmp_path: Path) -> None:
    source.put(one=b"1")
    source.save(tmp_path / "b")
    with site(tmp_path / "target") as target:
        whole = (tmp_path / "b").read_bytes()

        def messages() -> Iterator[own.RestoreRequest]:
            yield own.RestoreRequest(data=whole[:50])
            target.client.pfs.CreateRepo(pfs.CreateRepoRequest(repo=pfs.Repo(name="mine", type="user")))
            yield own.RestoreRequest(data=whole[50:])

        with pytest.raises(FailedPrecondition, match="repo mine"):
            target.client.backups.Restore(messages())
        assert target.repos() == ["mine"]
        target.put(one=b"2")  # it takes changes again
        assert target.get("one") == b"2"


def test_nonsense_is_refused_in_words(source: Site) -> None:
    for requests in ([], [own.BackupRequest()], [own.BackupRequest(known=own.BlobNames(names=["x"]))]):
        with pytest.raises(InvalidArgument):
            list(source.client.backups.Backup(iter(requests)))
    for messages in ([], [own.RestoreRequest()], [own.RestoreRequest(url="nonsense")]):
        with pytest.raises(InvalidArgument):
            source.client.backups.Restore(iter(messages))
    with pytest.raises(FailedPrecondition, match="no key"):
        list(source.client.backups.Backup(iter([own.BackupRequest(start=own.BackupStart(with_keys=True))])))
    with pytest.raises(InvalidArgument):
        list(source.client.backups.Backup(iter([own.BackupRequest(start=own.BackupStart(url="ftp://x/y"))])))


def _with_secret(source: Site) -> None:
    manifest = {"kind": "Secret", "metadata": {"name": "db"}, "stringData": {"word": "hidden"}}
    source.client.pps.CreateSecret(pps.CreateSecretRequest(file=json.dumps(manifest).encode()))
    source.put(one=b"1")


def test_a_key_that_is_not_there_is_said(source: Site, tmp_path: Path) -> None:
    source.save(tmp_path / "none")
    with site(tmp_path / "plain") as target:
        assert not target.restore(tmp_path / "none").unreadable_secrets  # there are none
    _with_secret(source)
    source.save(tmp_path / "b")
    with site(tmp_path / "target") as target:
        told = target.restore(tmp_path / "b")
        assert (list(told.unreadable_secrets), told.key_file) == (["db"], str(target.data / "secrets.key"))
    (tmp_path / "other").write_text("ab" * 32)
    with site(tmp_path / "differs", tmp_path / "other") as target:
        told = target.restore(tmp_path / "b")
        assert (list(told.unreadable_secrets), told.key_file) == (["db"], str(tmp_path / "other"))
    with site(tmp_path / "same", source.data / "secrets.key") as target:
        assert not target.restore(tmp_path / "b").unreadable_secrets


def test_a_key_of_the_backup_never_takes_the_place_of_a_given_one(source: Site, tmp_path: Path) -> None:
    _with_secret(source)
    source.save(tmp_path / "b", with_keys=True)
    (tmp_path / "other").write_text("ab" * 32)
    with site(tmp_path / "target", tmp_path / "other") as target:
        with pytest.raises(FailedPrecondition, match=rf"started with another, {tmp_path}/other; start it"):
            target.restore(tmp_path / "b")
        assert target.repos() == []
        assert not (target.data / restoring.FOLDER).exists()
    (tmp_path / "hex").write_text((source.data / "secrets.key").read_bytes().hex() + "\n")
    with site(tmp_path / "target", tmp_path / "hex") as target:
        told = target.restore(tmp_path / "b")
        assert told.keys
        assert not told.unreadable_secrets
    with site(tmp_path / "target", tmp_path / "hex") as target:
        assert target.repos() == ["data"]
        assert not (target.data / "secrets.key").exists()
    with site(tmp_path / "plain") as target:
        assert not target.restore(tmp_path / "b").unreadable_secrets
    with site(tmp_path / "plain") as target:
        assert (target.data / "secrets.key").read_bytes() == (source.data / "secrets.key").read_bytes()
