"""Paths purged from the repos of `pfs_rules`, each told to a server and to the model beside it."""

from __future__ import annotations

import gc
import re

import grpc
import pytest
from pfs_model import Tree, World, collides
from pfs_played import outcome, repo_of
from pfs_rules import NAMES, PATHS, Calls, Luck, branch_msg, repo_msg

from trunkline.pfs.purging.asking import Purging
from trunkline.pfs.purging.hits import no_lineage
from trunkline.pfs.purging.purger import Purger
from trunkline.testing.calls import add
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import trunkline_pb2 as own

WISHES = (*PATHS, *PATHS, "/d", "/d/e/", "/")
GLOBS = {"/*": "/.*", "/d/*": "/d/.*", "/[ab]": "/[ab]", "/**x": ".*x", "/d*": "/d.*", "/*/e": "/d/e/.*"}
"""Patterns, and what they take of the paths that there are, as regular expressions."""
UNIQUE = 200
"""Random bytes, so many or more, are nobody else's, and no code makes them shorter."""


class Purges(Calls):
    """With files taken out of all history."""

    def purge(self, luck: Luck) -> None:
        """A path or a pattern, mostly where nothing is open; to its end, or stopped on the way."""
        sources = [repo for repo in self.world.repos if not self._is_output(repo)]
        name = luck.choice(sources if sources and luck.random() < 0.9 else NAMES)
        glob, tagged = luck.random() < 0.3, luck.random() < 0.6
        path, eager, whole = luck.choice(list(GLOBS) if glob else WISHES), luck.random() < 0.9, luck.random() < 0.7
        if eager:
            self._finish_below(name)
        request = own.PurgePathRequest(repo=repo_msg(name), path=path, glob=glob, tagged=tagged)
        pattern = re.compile(GLOBS[path] if glob else path.rstrip("/") + "(/.*)?")
        losses = losses_of(self.world, name, pattern)
        must = self._may(name, losses, tagged)
        planned, why_not = outcome(lambda: list(self._purges.PurgePath(_dry(request))))
        answer, why = outcome(lambda: list(self._purges.PurgePath(request)))
        assert why == why_not
        if why is not None:
            assert must is not True, f"the model purges: {why}"
            self.played.compare()
            return
        assert must is not False, f"the model refuses to purge {path} of {name}"
        assert [_toll(each.commit) for each in answer[1:]] == [_toll(each.commit) for each in planned[1:]]
        self._go_on(luck, answer[0].purge.id, name, losses, whole)

    def lend_commit(self, luck: Luck) -> None:
        """A file set of what a commit has; a purge may end it."""
        one = self.picked(luck)
        if one is not None and one.state == "finished" and not one.forgotten:
            self.pfs.GetFileSet(pfs.GetFileSetRequest(commit=self.named(one.number)))

    @property
    def _purges(self):
        return self.server.purges

    def _is_output(self, name: str) -> bool:
        """Whether its files come from elsewhere, and so cannot be purged."""
        return any(branch.ups for at, branch in self.world.branches.items() if at[0] == name)

    def _finish_below(self, name: str) -> None:
        """Finish what is open there and in what is made from it."""
        for _ in range(50):
            below = closure(self.world, name)[0]
            open_ones = [one for one in self.world.commits.values() if one.state == "open" and one.repo in below]
            if not open_ones:
                return
            number = open_ones[0].number
            request = pfs.FinishCommitRequest(commit=self.named(number), force=True)
            self.played.do(
                lambda request=request: self.pfs.FinishCommit(request),
                lambda change, number=number: change.finish(number, force=True),
            )

    def _may(self, name: str, losses: dict[int, Tree], tagged: bool) -> bool | None:
        """Whether it must be done; None where only what nobody sees (any more) could say."""
        world = self.world
        below, round_about = closure(world, name)
        if name not in world.repos or self._is_output(name):
            return False
        if round_about or any(one.state != "finished" for one in world.commits.values() if one.repo in below):
            return False
        sure = {number for number in losses if not collides(world.commits[number].tree)}
        with_tag = set() if tagged else set(world.tags.values())
        if sure & with_tag:
            return False
        return True if sure and not set(losses) & with_tag else None

    def _go_on(self, luck: Luck, id: str, name: str, losses: dict[int, Tree], whole: bool) -> None:
        files, purging = self.server.files, Purging(self.server.files, no_lineage)
        key = purging.inspect(id).row.key
        steps = Purger(files, no_lineage, self.server.collector).steps(key)
        for _ in range(luck.randrange(4)):
            next(steps, None)
        if self._purges.InspectPurge(own.InspectPurgeRequest(id=id)).stage == own.PURGE_REWRITING:
            self._must_wait(name)
            self._must_be_whole(losses)
            if not whole:
                self._purges.StopPurge(own.StopPurgeRequest(id=id))
        stopped = self._purges.InspectPurge(own.InspectPurgeRequest(id=id)).stage == own.PURGE_STOPPED
        for _ in range(1 if stopped else 2):
            del steps  # as if killed there
            gc.collect()  # a read that nobody goes on with may be kept by its own traceback
            steps = Purger(files, no_lineage, self.server.collector).steps(key)
            for _ in steps:
                pass
        info = self._purges.InspectPurge(own.InspectPurgeRequest(id=id))
        assert (info.stage, info.trouble) == (own.PURGE_STOPPED if stopped else own.PURGE_GONE, "")
        self._must_have_lost(id, name, losses, stopped)
        self.forget_ended_leases()
        if not stopped and not info.kept_files:
            self._must_be_gone(losses)

    def _must_wait(self, name: str) -> None:
        """Nobody adds to what is being written anew."""
        start = pfs.ModifyFileRequest(set_commit=pfs.Commit(branch=branch_msg((name, "master"))))
        for call in (
            lambda: self.pfs.ModifyFile(iter([start, add("/a", b"1")])),
            lambda: self.pfs.StartCommit(pfs.StartCommitRequest(branch=branch_msg((name, "master")))),
            lambda: self.pfs.DeleteRepo(pfs.DeleteRepoRequest(repo=repo_msg(name), force=True)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            why = caught.value.details() or ""
            assert caught.value.code() is grpc.StatusCode.ABORTED or "was forgotten" in why, why

    def _must_be_whole(self, losses: dict[int, Tree]) -> None:
        """While it goes on, each commit has all of what it loses, or nothing."""
        for number, lost in losses.items():
            one = self.world.commits[number]
            if not collides(one.tree):
                seen = self.server.read(repo_of(one.repo), one.id)
                assert seen in (one.tree, {path: data for path, data in one.tree.items() if path not in lost})

    def _must_have_lost(self, id: str, name: str, losses: dict[int, Tree], stopped: bool) -> None:
        """The report names what went, and just that went."""
        world = self.world
        told = {each.commit.id: each for each in self._purges.ListPurgedCommit(own.ListPurgedCommitRequest(purge=id))}
        numbers = {one.id: one.number for one in world.of_repo(name)}
        assert told.keys() <= numbers.keys()
        sure = {number: tree for number, tree in losses.items() if not collides(world.commits[number].tree)}
        done = {numbers[each] for each in told}
        assert done <= set(losses), "a commit was named that loses nothing"
        assert stopped or set(sure) <= done, "a commit that loses something was not named"
        for each in told.values():
            lost = sure.get(numbers[each.commit.id])
            if lost is not None:
                assert (each.files, each.size_bytes) == (len(lost), sum(map(len, lost.values())))
        for number, tree in losses.items():
            if number in done or not stopped:
                one = world.commits[number]
                one.tree = {path: data for path, data in one.tree.items() if path not in tree}
                one.purged += 1
        self.played.compare()

    def _must_be_gone(self, losses: dict[int, Tree]) -> None:
        """What was nobody else's is in no file."""
        begins = {data[:UNIQUE] for tree in losses.values() for data in tree.values()}
        gone = {data for data in begins if len(set(data)) > UNIQUE // 4}
        if gone:
            for file in self.server.folder.rglob("*"):
                if file.is_file():
                    stored = file.read_bytes()
                    assert not any(data in stored for data in gone), f"{file} still has what was purged"


def losses_of(world: World, name: str, pattern: re.Pattern[str]) -> dict[int, Tree]:
    """What each finished commit of a repo has that matches, by number; those without any are left out."""
    found = {}
    for one in world.of_repo(name):
        if one.state == "finished" and not one.forgotten:
            lost = {path: data for path, data in one.tree.items() if pattern.fullmatch(path)}
            if lost:
                found[one.number] = lost
    return found


def closure(world: World, name: str) -> tuple[set[str], bool]:
    """The repos that anything was made from it in, it among them; and whether some were made from each other."""
    edges = {
        (world.commits[up].repo, one.repo)
        for one in world.commits.values()
        for up in one.ups
        if world.commits[up].repo != one.repo
    } | {(up[0], at[0]) for at, branch in world.branches.items() for up in branch.ups if up[0] != at[0]}
    found = {name}
    while more := {down for up, down in edges if up in found} - found:
        found |= more
    left = set(found)
    while free := {one for one in left if not any(up == one and down in left for up, down in edges)}:
        left -= free
    return found, bool(left)


def _dry(request: own.PurgePathRequest) -> own.PurgePathRequest:
    dry = own.PurgePathRequest(dry_run=True)
    dry.MergeFrom(request)
    return dry


def _toll(told: own.PurgedCommit) -> tuple[object, ...]:
    return told.commit.id, told.files, told.size_bytes, tuple(told.paths)
