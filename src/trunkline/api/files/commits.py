"""pfs_v2.API: commits and commit sets, and waiting for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from google.protobuf.empty_pb2 import Empty

from trunkline.api.files import changes
from trunkline.api.rpc.bridge import Bridge
from trunkline.api.rpc.call import Call
from trunkline.api.rpc.events import Events
from trunkline.catalog.engine import thing
from trunkline.errors import InvalidArgument
from trunkline.model.infos import CommitInfo, CommitState, Origin
from trunkline.model.names import Repo, is_id
from trunkline.pfs.files import Files
from trunkline.pfs.graph import commits as pfs_commits
from trunkline.pfs.graph.changes import COMMIT_TOPIC
from trunkline.wire import infos, nouns
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.times import micros

PAGE = 500


@dataclass(frozen=True, slots=True)
class CommitDoor:
    """Commits and commit sets."""

    files: Files
    bridge: Bridge
    events: Events
    service: str = field(default="pfs_v2.API")

    def StartCommit(self, request: pfs.StartCommitRequest, call: Call) -> pfs.Commit:
        """Open a commit on a branch."""
        return call.fitting(self.files.change(partial(changes.start_commit, request=request)))

    def FinishCommit(self, request: pfs.FinishCommitRequest, _call: Call) -> Empty:
        """Close a commit to writes."""
        return self.files.change(partial(changes.finish_commit, request=request))

    def ClearCommit(self, request: pfs.ClearCommitRequest, _call: Call) -> Empty:
        """Drop what an open commit has been given."""
        commit = nouns.commit_of(request.commit)
        self.files.catalog.transact(lambda tx: pfs_commits.clear_commit(tx, commit.repo, commit.ref))
        return Empty()

    async def InspectCommit(self, request: pfs.InspectCommitRequest, call: Call) -> pfs.CommitInfo:
        """One commit, once it has come as far as asked."""
        commit = nouns.commit_of(request.commit)
        info = await self.reach(commit.repo, commit.ref, infos.state_of(request.wait))
        return infos.commit_info(info, bare=call.bare_branches)

    async def reach(self, repo: Repo, ref: str, state: CommitState | None) -> CommitInfo:
        """A commit when it has come as far as `state`. What `ref` means is settled at the first look."""
        while True:
            seq = self.events.seq
            look = partial(self.bridge.unary, partial(self._inspect, repo, ref))
            info = await self.events.look(seq, (repo, ref), look)
            if state is None or pfs_commits.wants(info, state):
                return info
            repo, ref = info.commit.repo, info.commit.id
            await self.events.after(seq, thing(COMMIT_TOPIC, info.seq))

    def _inspect(self, repo: Repo, ref: str) -> CommitInfo:
        return self.files.catalog.read(lambda tx: pfs_commits.inspect_commit(tx, repo, ref))

    def ListCommit(self, request: pfs.ListCommitRequest, call: Call) -> Iterator[pfs.CommitInfo]:
        """Commits of a repo, newest first; with `to`, that commit and its ancestors; `from` is exclusive."""
        wanted = _wanted_origins(request.all, request.origin_kind)
        latest = micros(request.started_time) if request.HasField("started_time") else None
        left = request.number if request.number > 0 else None
        for info in self._listed(request, wanted):
            if (wanted and info.origin not in wanted) or (latest is not None and info.started_us >= latest):
                continue
            if left == 0:
                return
            left = None if left is None else left - 1
            yield infos.commit_info(info, bare=call.bare_branches)

    def _listed(self, request: pfs.ListCommitRequest, wanted: Sequence[Origin]) -> Iterator[CommitInfo]:
        first, last = nouns.find_commit(getattr(request, "from")), nouns.find_commit(request.to)
        repo = nouns.find_repo(request.repo) or next((c.repo for c in (last, first) if c is not None), None)
        stop = first.ref if first is not None else ""
        if last is not None and last.ref:
            line = self._line(last.repo, last.ref, stop)
            yield from reversed(list(line)) if request.reverse else line
            return
        above = self._inspect(first.repo, stop).seq if first is not None and stop else None
        yield from self._pages(repo, above, wanted, request.reverse)

    def _line(self, repo: Repo, start: str, stop: str) -> Iterator[CommitInfo]:
        """A commit and its ancestors down to `stop`."""
        end = self._inspect(repo, stop).commit.id if stop else ""
        at: str | None = start
        while at is not None:
            here = at
            page = self.files.catalog.read(lambda tx: pfs_commits.line_page(tx, repo, here, stop=end, limit=PAGE))  # noqa: B023
            yield from page
            parent = page[-1].parent if page else None
            at = parent.id if parent is not None and len(page) == PAGE and parent.id != end else None

    def _pages(
        self, repo: Repo | None, above: int | None, wanted: Sequence[Origin], reverse: bool
    ) -> Iterator[CommitInfo]:
        below: int | None = None
        while True:
            page = self.files.catalog.read(
                partial(
                    pfs_commits.commit_page,
                    repo=repo,
                    above=above,
                    below=below,
                    origins=wanted,
                    oldest_first=reverse,
                    limit=PAGE,
                )
            )
            yield from page
            if len(page) < PAGE:
                return
            if reverse:
                above = page[-1].seq
            else:
                below = page[-1].seq

    async def SubscribeCommit(self, request: pfs.SubscribeCommitRequest, call: Call) -> AsyncIterator[pfs.CommitInfo]:
        """Commits of a repo or branch, those that are there and those that come, each once it is far enough."""
        repo = nouns.repo_of(request.repo)
        origins = _wanted_origins(request.all, request.origin_kind)
        start = nouns.find_commit(getattr(request, "from"))
        at = 0
        if start is not None and start.ref:
            at = (await self.bridge.unary(partial(self._inspect, start.repo, start.ref))).seq
        while True:
            seq = self.events.seq
            asked = (repo, request.branch, at, origins)
            look = partial(self.bridge.unary, partial(self._subscribed, *asked))
            page = await self.events.look(seq, asked, look)
            for info in page:
                at = info.seq
                reached = await self.reach(repo, info.commit.id, infos.state_of(request.state))
                yield infos.commit_info(reached, bare=call.bare_branches)
            if not page:
                await self.events.after(seq, COMMIT_TOPIC)

    def _subscribed(self, repo: Repo, branch: str, above: int, origins: Sequence[Origin]) -> list[CommitInfo]:
        return self.files.catalog.read(
            lambda tx: pfs_commits.subscribe_page(tx, repo, branch, above=above, origins=origins)
        )

    async def InspectCommitSet(self, request: pfs.InspectCommitSetRequest, call: Call) -> AsyncIterator[pfs.CommitInfo]:
        """The commits of a set, upstream first; with `wait`, each when it is finished."""
        set_id = request.commit_set.id
        if not is_id(set_id):
            raise InvalidArgument(f'"{set_id}" is not the id of a commit set: 32 hex digits are expected')
        told: set[str] = set()
        while True:
            found = await self.bridge.unary(partial(self._set, set_id))
            fresh = [info for info in found if str(info.commit) not in told]
            for info in fresh:
                told.add(str(info.commit))
                state = CommitState.FINISHED if request.wait else None
                reached = info if state is None else await self.reach(info.commit.repo, info.commit.id, state)
                yield infos.commit_info(reached, bare=call.bare_branches)
            if not fresh or not request.wait:
                return

    def _set(self, set_id: str) -> list[CommitInfo]:
        return self.files.catalog.read(lambda tx: pfs_commits.inspect_set(tx, set_id))

    def ListCommitSet(self, request: pfs.ListCommitSetRequest, call: Call) -> Iterator[pfs.CommitSetInfo]:
        """Commit sets, newest first."""
        project, before = request.project.name, None
        while True:
            at: int | None = before
            page = self.files.catalog.read(lambda tx: list(pfs_commits.set_page(tx, project, at, 100)))  # noqa: B023
            for newest, info in page:
                before = newest
                yield infos.commit_set_info(info, bare=call.bare_branches)
            if len(page) < 100:
                return


def _wanted_origins(everything: bool, kind: int) -> Sequence[Origin]:
    """Which commits to show: all (none named), those of one origin, or those that people started."""
    origin = infos.origin_of(kind)
    if origin is not None:
        return (origin,)
    return () if everything else (Origin.USER,)
