"""Random histories of all calls that change the file system: the server has what the model has, after each of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import pytest
from google.protobuf.message import Message
from pfs_change import Change, Refused, play
from pfs_lent import outside
from pfs_model import At
from pfs_played import outcome, served
from pfs_rules import (
    BRANCHES,
    NAMES,
    Luck,
    branch_msg,
    head_msg,
    repo_msg,
)
from pfs_told import Told

from trunkline.ambient import chance
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import transaction_v2_pb2 as wire
from trunkline.wire.gen import trunkline_pb2 as own

Step = Callable[[Change], object]

TAGS = ("v1", "v2", "side")
KINDS = {"start": 4, "finish": 3, "head": 3, "ups": 2, "unbranch": 1, "repo": 1, "unrepo": 0.3, "squash": 2}
"""What is asked for in a transaction, and how often."""


class Unsure(Exception):
    """The model cannot tell whether this is to be refused."""


def squash_set(change: Change, id: str) -> None:
    """Take out a commit set that was there before the transaction."""
    world = change.world
    chosen = {one.number for one in world.commits.values() if one.id == id}
    ends = any(not world.children(number) or world.heads_at(number) for number in chosen)
    if not chosen or ends or world.below(chosen) or chosen & set(world.tags.values()):
        raise Refused
    if any(one.state != "finished" or one.error or one.forgotten for one in world.commits.values()):
        raise Unsure
    change.squash(chosen)


def steps_of(what: str, at: At, more):
    """One request of a transaction: its field, its message, and what the model does."""
    match what:
        case "start":
            return "start_commit", pfs.StartCommitRequest(branch=branch_msg(at)), lambda change: change.start(at)
        case "finish":

            def finish(change: Change) -> None:
                if at not in change.world.branches:
                    raise Refused
                change.finish(change.world.branches[at].head, force=more)

            return "finish_commit", pfs.FinishCommitRequest(commit=head_msg(at), force=more), finish
        case "head":

            def move(change: Change) -> None:
                world, source = change.world, (at[0], more)
                if source not in world.branches and source not in world.tags:
                    raise Refused
                change.create_branch(
                    at, world.branches[source].head if source in world.branches else world.tags[source]
                )

            return "create_branch", pfs.CreateBranchRequest(branch=branch_msg(at), head=head_msg((at[0], more))), move
        case "ups":
            request = pfs.CreateBranchRequest(branch=branch_msg(at), provenance=map(branch_msg, more))
            return "create_branch", request, lambda change: change.create_branch(at, ups=more)
        case "unbranch":
            request = pfs.DeleteBranchRequest(branch=branch_msg(at), force=more)
            return "delete_branch", request, lambda change: change.delete_branch(at, more)
        case "repo":
            request = pfs.CreateRepoRequest(repo=repo_msg(at[0]), update=more)
            return "create_repo", request, lambda change: change.create_repo(at[0], more)
        case "squash":
            request = pfs.SquashCommitSetRequest(commit_set=pfs.CommitSet(id=more))
            return "squash_commit_set", request, lambda change: squash_set(change, more)
        case _:
            request = pfs.DeleteRepoRequest(repo=repo_msg(at[0]), force=more)
            return "delete_repo", request, lambda change: change.delete_repo(at[0], more)


CALL_OF = {
    "start_commit": "StartCommit",
    "finish_commit": "FinishCommit",
    "create_branch": "CreateBranch",
    "delete_branch": "DeleteBranch",
    "create_repo": "CreateRepo",
    "delete_repo": "DeleteRepo",
    "squash_commit_set": "SquashCommitSet",
}


class Whole(Told):
    """With tags, merges, transactions and collection in the mix of all the others."""

    def tag(self, luck: Luck) -> None:
        one = self.picked(luck)
        if one is not None:
            name, tag, force = one.repo, luck.choice(TAGS), luck.random() < 0.5
            request = own.CreateTagRequest(
                tag=own.Tag(repo=repo_msg(name), name=tag), commit=self.named(one.number), force=force
            )
            self.played.do(
                lambda: self.server.versions.CreateTag(request),
                lambda change: change.tag((name, tag), one.number, force),
            )

    def untag(self, luck: Luck) -> None:
        name, tag = luck.choice([*self.world.tags, (luck.choice(NAMES), luck.choice(TAGS))])
        request = own.DeleteTagRequest(tag=own.Tag(repo=repo_msg(name), name=tag))
        self.played.do(lambda: self.server.versions.DeleteTag(request), lambda change: change.untag((name, tag)))

    def merge(self, luck: Luck) -> None:
        """Bring one line into another; theirs wins, so that what theirs changed since the base is what it says."""
        world = self.world
        at = self.at(luck)
        branch, theirs = world.branches.get(at), self.picked(luck, at[0])
        if branch is None or theirs is None:
            return
        head = world.branches.get((at[0], luck.choice(BRANCHES)))
        theirs = world.commits[head.head] if head is not None else theirs
        ours = world.commits[branch.head]
        sides = (ours, theirs)
        if any(one.state == "closed" or (one.writes and one.state == "open") for one in sides):
            return  # the first would be waited for
        bad = bool(branch.ups) or any(one.state == "open" or one.error or one.forgotten for one in sides)
        request = own.MergeBranchRequest(
            source=self.named(theirs.number), target=branch_msg(at), choice=own.MERGE_THEIRS
        )
        answer, why = outcome(lambda: self.server.versions.MergeBranch(request))
        if why is not None:
            assert bad or "was forgotten" in why, why
            self.played.compare()
            return
        assert not bad
        if answer.up_to_date:
            assert not answer.commit.id
            self.played.compare()
            return
        base = {one.id: one.number for one in world.of_repo(at[0])}[answer.base.id] if answer.base.id else None
        good = world.good(base)
        before = world.commits[good].tree if good is not None else {}
        tree = {path: data for path, data in ours.tree.items() if path in theirs.tree or path not in before}
        tree |= {path: data for path, data in theirs.tree.items() if before.get(path) != data}
        self.played.accept(play(world, lambda change: change.write(at, [lambda _: tree])))

    # --- transactions

    def recorded(self, luck: Luck) -> None:
        """Requests are added one by one, each refused or not as it would be in the end; then all happen at once."""
        id = self.server.transactions.StartTransaction(wire.StartTransactionRequest()).id
        kept = []
        for name, request, step in self._asked(luck):
            if self._is_sure(*kept, step) and self._added(id, name, request, [*kept, step]):
                kept.append(step)
        self.played.compare()  # nothing has happened
        transaction = wire.Transaction(id=id)
        if luck.random() < 0.2:
            self.server.transactions.DeleteTransaction(wire.DeleteTransactionRequest(transaction=transaction))
            return
        before, change = self.world.made, self.world.changes + 1
        request = wire.FinishTransactionRequest(transaction=transaction)
        self.played.do(lambda: self.server.transactions.FinishTransaction(request), *kept)
        made = [one for one in self.world.commits.values() if one.number > before and one.set == change]
        assert all(one.id == id for one in made)

    def _is_sure(self, *steps: Step) -> bool:
        try:
            play(self.world, *steps)
        except Unsure:
            return False
        except Refused:
            pass
        return True

    def _added(self, id: str, name: str, request: Message, steps: Sequence[Step]) -> bool:
        """Whether the last of some steps could be added, on both sides."""
        answer, why = outcome(lambda: getattr(self.pfs, CALL_OF[name])(request, metadata=(("pach-transaction", id),)))
        try:
            play(self.world, *steps)
        except Refused:
            assert why is not None, f"the model refuses {name}: {request}"
            return False
        assert why is None, f"the model does {name}: {why}"
        assert name != "start_commit" or answer.id == id
        return True

    def _asked(self, luck: Luck):
        for what in luck.choices(list(KINDS), list(KINDS.values()), k=luck.randrange(5)):
            more = luck.random() < 0.5
            if what == "ups":
                more = [self.at(luck) for _ in range(luck.randrange(3))]
            if what == "squash":
                if not self.world.commits:
                    continue
                inner = [one for one in self.world.commits.values() if self.world.children(one.number)]
                more = luck.choice(inner).id if inner and luck.random() < 0.8 else self.picked(luck).id
            yield steps_of(what, self.at(luck), luck.choice(BRANCHES) if what == "head" else more)

    def batch(self, luck: Luck) -> None:
        """The same in one call: all of them or none."""
        made = list(self._asked(luck))
        if not self._is_sure(*[step for _, _, step in made]):
            return
        requests = [wire.TransactionRequest(**{name: request}) for name, request, _ in made]
        self.played.do(
            lambda: self.server.transactions.BatchTransaction(wire.BatchTransactionRequest(requests=requests)),
            *[step for _, _, step in made],
        )

    def abandoned(self, luck: Luck) -> None:
        """Transactions that are open are deleted together; nothing has happened."""
        id = self.server.transactions.StartTransaction(wire.StartTransactionRequest()).id
        for name, request, step in self._asked(luck):
            if self._is_sure(step):
                self._added(id, name, request, [step])
                break
        self.server.transactions.DeleteAll(wire.DeleteAllRequest())
        _, why = outcome(
            lambda: self.server.transactions.FinishTransaction(
                wire.FinishTransactionRequest(transaction=wire.Transaction(id=id))
            )
        )
        assert why is not None
        self.played.compare()

    # --- collection

    def check(self, luck: Luck) -> None:
        """A check with repairs finds nothing, and repairs nothing."""
        zombies = pfs.FsckRequest(fix=luck.random() < 0.5, zombie_all=luck.random() < 0.5)
        assert not [each for each in self.pfs.Fsck(zombies) if each.error or each.fix]
        self.played.compare()

    def collect(self, luck: Luck) -> None:
        """What is needed stays."""
        self.server.space.RunCollection(own.RunCollectionRequest(dry_run=luck.random() < 0.2))
        self.played.end()


OFTEN = {
    "put": 10, "put_into": 3, "put_output": 7, "put_both": 1, "copy": 4, "start": 7, "finish": 7, "clear": 1,
    "branch": 3, "provenance": 4, "trigger": 3, "delete_branch": 1, "remove": 8, "forget": 3, "merge": 5,
    "tag": 2, "untag": 1, "lend": 2, "compose": 1, "lay": 3, "cache": 1, "note": 4, "recorded": 4, "batch": 3,
    "abandoned": 0.5, "renew": 1, "fetch": 2, "later": 4, "check": 0.5,
    "purge": 2, "lend_commit": 1, "collect": 1, "project": 1, "repo": 2, "delete_repo": 0.3, "delete_many": 0.1,
}  # fmt: skip
"""Every call, and how often it is made."""


LONG, PARTS = 100, 4
"""Histories of `make soak`, and in how many parts, which may be played beside each other."""


def history(seeds: Sequence[int]) -> None:
    """A step for each seed, which decides everything in it, on an empty server that is empty again in the end."""
    with pytest.MonkeyPatch.context() as patch, served() as server:
        outside(patch)
        whole = Whole(server)
        for seed in seeds:
            luck = chance(seed)
            getattr(whole, luck.choices(list(OFTEN), list(OFTEN.values()))[0])(luck)
        whole.played.end()
        server.must_become_empty()


def fails(seeds: Sequence[int]) -> bool:
    try:
        history(seeds)
    except Exception:
        return True
    return False


def shortest(seeds: Sequence[int]) -> Sequence[int]:
    """A history that fails, without the steps that it fails without."""
    size = len(seeds) // 2
    while size:
        for start in range(0, len(seeds), size):
            fewer = [*seeds[:start], *seeds[start + size :]]
            if fails(fewer):
                seeds = fewer
                break
        else:
            size //= 2
    return seeds


def play_all(first: int, histories: int, steps: int) -> None:
    for number in range(first, first + histories):
        seeds = [number * 1000 + step for step in range(steps)]
        try:
            history(seeds)
        except Exception as error:
            error.add_note(f"history({list(shortest(seeds))}) fails as well")
            raise


@pytest.mark.timeout(400)
def test_every_call_does_what_the_model_does() -> None:
    play_all(1, 5, 60)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_call_does_what_the_model_does_for_long(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    first = int(os.environ.get("TRUNKLINE_SOAK_SEED") or 1) * 1000
    play_all(first + part * LONG // PARTS, LONG // PARTS, 100)
    record_property("figures", f"{LONG // PARTS} histories of 100 calls")
