"""A server beside the model of `pfs_model`: what is sent to it, and how the two are compared."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pfs_change import Change, Refused, finish_next, pass_time, play
from pfs_model import Commit, Project, Trigger, World, collides
from pfs_model import Repo as About

from trunkline.ambient import SimulatedAmbient
from trunkline.app.config import Config
from trunkline.app.engine import Engine, open_engine
from trunkline.catalog import branches as branch_rows
from trunkline.catalog import metadata
from trunkline.catalog.engine import Tx
from trunkline.errors import TrunklineError
from trunkline.model.infos import CommitState, Origin
from trunkline.model.names import Repo
from trunkline.pfs import content, fsck, reads
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, repos, tags
from trunkline.pfs.lent.leases import MAX_TTL_S, Leases
from trunkline.pfs.pins import STALE_S
from trunkline.pfs.ticker import Ticker, TriggerSchedules
from trunkline.testing.calls import Client
from trunkline.testing.doors import serving
from trunkline.testing.engines.postgres import DATABASE, schema_of
from trunkline.wire.gen import metadata_pb2_grpc, storage_pb2_grpc, transaction_v2_pb2_grpc, trunkline_pb2_grpc
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

QUICK = "/dev/shm"
"""Where files are in memory: nothing here is about disks, for which thousands of steps would wait."""

REFUSALS = {
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
}


@contextmanager
def served() -> Iterator[Server]:
    """A server on an empty folder; its catalog is where `TRUNKLINE_TEST_DATABASE` says, if that says anything."""
    ambient, url = SimulatedAmbient(5), os.environ.get(DATABASE, "")
    with tempfile.TemporaryDirectory(dir=QUICK if os.path.isdir(QUICK) else None) as folder:
        database = schema_of(url, folder) if url else ""
        engine = open_engine(Config(data=Path(folder) / "data", workers=0, database=database), ambient)
        with serving(Path(folder), engine.doors, engine.recorder) as channel:
            yield Server(engine, ambient, channel, Path(folder))
        engine.stop()
        engine.close()


class Server:
    """One server that runs nothing by itself: commits are finished when the model finishes its own."""

    def __init__(self, engine: Engine, ambient: SimulatedAmbient, channel: grpc.Channel, folder: Path) -> None:
        self.files: Files = engine.space.files
        self.collector = engine.space.collector
        self.ambient, self.folder = ambient, folder
        self.leases = Leases(self.files)
        self.client = Client.on(channel)
        self.pfs = self.client.stub
        self.transactions = transaction_v2_pb2_grpc.APIStub(channel)
        self.versions = trunkline_pb2_grpc.VersionsStub(channel)
        self.purges = trunkline_pb2_grpc.PurgesStub(channel)
        self.space = trunkline_pb2_grpc.SpaceStub(channel)
        self.metadata = metadata_pb2_grpc.APIStub(channel)
        self.sets = storage_pb2_grpc.FilesetStub(channel)

    def must_become_empty(self) -> None:
        """Delete everything; not one byte is left."""
        self.pfs.DeleteAll(Empty())
        self.pfs.ClearCache(pfs.ClearCacheRequest())
        self.ambient.advance(MAX_TTL_S + STALE_S)  # reads in garbage that nobody has collected yet count till then
        self.leases.tick()
        self.space.RunCollection(own.RunCollectionRequest())
        assert list(self.files.store.blobs.names()) == []
        self.must_be_sound()

    def must_be_sound(self) -> None:
        """No check finds anything, down to the last byte."""
        assert list(fsck.violations(self.files, read_bytes=True)) == []

    def read(self, repo: Repo, ref: str) -> dict[str, bytes]:
        """All files of a commit."""
        source = reads.need_source(self.files, repo, ref)
        return {
            info.path: b"".join(content.get_file(self.files, source, info.path))
            for info in reads.walk_file(source, "/")
            if not info.is_dir
        }


class Played:
    """One history, told to the server and to the model at once."""

    def __init__(self, server: Server) -> None:
        self.server = server
        # A look at the clock moves it a little: the model's is between two seconds, where that changes nothing.
        self.world = World(now_us=_second(server.ambient.now_us()) * 1_000_000 + 500_000)
        self.sets: dict[int, str] = {}  # number of a change -> id of its commit set
        self.read: dict[int, tuple[str, int, bool, int]] = {}  # what was compared of each commit's files
        self.compare()

    def do(self, call: Callable[[], Any], *steps: Callable[[Change], object]) -> Any:
        """A call, and the same in the model: both do it, or both refuse and change nothing. Answers None if refused."""
        try:
            after = play(self.world, *steps)
        except Refused:
            after = None
        answer, why = outcome(call)
        if why is not None:
            assert after is None, f"the model does it: {why}"
            self.compare()
            return None
        assert after is not None, "the model refuses it"
        self.accept(after)
        return answer

    def judged(self, call: Callable[[], Any], must: bool | None, step: Callable[[Change], object]) -> None:
        """A call about which the model knows (`must`) only sometimes whether it is allowed, but always what it does."""
        _, why = outcome(call)
        if why is not None:
            assert must is not True, f"the model does it: {why}"
            self.compare()
            return
        assert must is not False, "the model refuses it"
        self.accept(play(self.world, step))

    def accept(self, after: World) -> None:
        """Go on from there; what was closed is finished on both sides."""
        self.world = after
        self.compare()
        finished = finish_waiting(self.server.files)
        while finish_next(self.world):
            pass
        if finished:
            self.compare()

    def later(self, seconds: int) -> None:
        """Time goes by, and schedules tick; leases end."""
        server = self.server
        server.ambient.advance(seconds)
        Ticker(server.files, [TriggerSchedules(server.files)]).step()
        assert not server.files.catalog.read(lambda tx: branch_rows.due_triggers(tx, server.ambient.now_us(), 1))
        server.leases.tick()
        self.accept(pass_time(self.world, seconds))

    # --- looking

    def compare(self) -> None:
        """What the server has is what the model has. Learns ids from it."""
        found = self.server.files.catalog.read(_everything)
        world = self.world
        assert _second(self.server.ambient.now_us()) == _second(world.now_us)
        assert found["notes"] == world.notes
        assert found["projects"] == world.projects
        assert found["repos"] == world.repos
        for name in world.repos:
            self._compare_commits(name, found["commits"][name])
        numbers = {(one.repo, one.id): one.number for one in world.commits.values()}
        seen = {
            (name, info.branch.name): (
                numbers[name, info.head.id],
                {(at_name(up.repo), up.name) for up in info.direct_provenance},
                _trigger_of(info.trigger),
                dict(info.metadata),
            )
            for name, infos in found["branches"].items()
            for info in infos
        }
        assert seen == {
            at: (
                one.head,
                set(one.ups),
                one.trigger,
                one.notes,
            )
            for at, one in world.branches.items()
        }
        listed = tags.list_tags(self.server.files.catalog)
        assert {
            (at_name(row.tag.repo), row.tag.name): numbers[at_name(row.tag.repo), row.commit.id] for row in listed
        } == (world.tags)
        for one in world.commits.values():
            self.compare_files(one)

    def _compare_commits(self, name: str, infos: Sequence[Any]) -> None:
        world, mine = self.world, self.world.of_repo(name)
        assert len(infos) == len(mine), f"{name} has {len(infos)} commits, and {len(mine)} in the model"
        for one, info in zip(mine, infos, strict=True):
            one.id = one.id or info.commit.id
            one.seq = info.seq
            assert self.sets.setdefault(one.set, one.id) == one.id
        for one, info in zip(mine, infos, strict=True):
            ready = all(world.commits[up].state == "finished" for up in one.ups)
            state = {"open": CommitState.READY if ready else CommitState.STARTED, "closed": CommitState.FINISHING}
            told = (info.commit.id, info.parent and info.parent.id, info.state, info.origin, bool(info.error))
            assert (_second(info.finished_us), info.metadata) == (_second(one.finished_us), one.notes)
            parent = world.commits[one.parent].id if one.parent is not None else None
            origin = Origin.USER if one.user else Origin.AUTO
            wanted = (one.id, parent, state.get(one.state, CommitState.FINISHED), origin, one.error)
            assert told == wanted, name
            assert len(info.direct_provenance) == len(one.ups)
            one.size = info.size_bytes if info.size_bytes is not None else info.size_upper_bytes
            if one.state == "finished" and not one.error:
                assert one.size == sum(map(len, one.tree.values()))
        for one, info in zip(mine, infos, strict=True):
            if all(world.commits[up].id for up in one.ups):
                ups = {(at_name(up.repo), up.id) for up in info.direct_provenance}
                assert ups == {(world.commits[up].repo, world.commits[up].id) for up in one.ups}

    def compare_files(self, one: Commit, *, again: bool = False) -> None:
        """The files of a commit, unless they were looked at before."""
        mark = (one.state, len(one.writes), one.forgotten, one.purged)
        if self.read.get(one.number) == mark and not again:
            return
        self.read[one.number] = mark
        tree = self.world.content(one.number)
        if tree is not None and not collides(tree):
            assert self.server.read(repo_of(one.repo), one.id) == tree, f"{one.repo}@{one.id}"

    def end(self) -> None:
        """Every commit that is left reads as it should, once more."""
        for one in self.world.commits.values():
            self.compare_files(one, again=True)
        self.server.must_be_sound()


def outcome(call: Callable[[], Any]) -> tuple[Any, str | None]:
    """What a call answers, or the words with which it is refused as a caller's mistake."""
    try:
        return call(), None
    except grpc.RpcError as error:
        code, why = error.code(), error.details() or ""
    except TrunklineError as error:
        code, why = None, str(error)
    assert code is None or code in REFUSALS, (code, why)
    return None, why


def at_name(repo: Repo) -> str:
    """How the model calls a repo."""
    return f"{repo.project}/{repo.name}"


def repo_of(name: str) -> Repo:
    """What the model calls so."""
    return Repo(*name.split("/"))


def _second(at_us: int | None) -> int | None:
    return None if at_us is None else at_us // 1_000_000


def _trigger_of(said: Any) -> Trigger | None:
    return said and Trigger(
        said.branch, int(said.size or 0), said.commits, said.all, said.rate_limit_spec, said.cron_spec
    )


def _everything(tx: Tx) -> dict[str, Any]:
    found = {at_name(info.repo): info for info in repos.list_repos(tx, [], "user")}
    return {
        "notes": metadata.cluster_metadata(tx),
        "projects": {info.name: Project(info.description, info.metadata) for info in repos.list_projects(tx)},
        "repos": {name: About(info.description, info.metadata) for name, info in found.items()},
        "branches": {name: branches.list_branches(tx, info.repo, oldest_first=True) for name, info in found.items()},
        "commits": {
            name: commits.commit_page(tx, info.repo, oldest_first=True, limit=5000) for name, info in found.items()
        },
    }
