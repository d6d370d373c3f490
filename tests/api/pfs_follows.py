"""Branches that follow others in the world of `pfs_model`: when they move, and what that sets off."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from pfs_model import At, Commit, Trigger, World, next_tick


class Follows:
    """What triggers do in one transaction."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.touched: list[At] = []
        self.spreads = False  # over several commit sets, where one repo would get two commits

    def fire(self, commit: Commit) -> None:
        """Move the branches that a finished commit sets off."""
        self._follow(commit, self.world.heads_at(commit.number))

    def tick(self, at: At) -> None:
        """A branch that goes by a schedule takes the newest good content of the one it follows."""
        world, branch = self.world, self.world.branches[at]
        if branch.trigger is None:
            return
        branch.due_us = next_tick(branch.trigger.cron, world.now_us)
        source = world.branches.get((at[0], branch.trigger.branch))
        number = source.head if source is not None else None
        while number is not None and (world.commits[number].state != "finished" or world.commits[number].error):
            number = world.commits[number].parent
        if number is not None and number != branch.head and not world.commits[number].forgotten:
            self._move(at, number)
            self._follow(world.commits[number], [at])

    def _move(self, at: At, number: int) -> None:
        self.world.branches[at].head = number
        self.touched.append(at)
        self.spreads = True

    def _follow(self, commit: Commit, moved: Iterable[At]) -> None:
        world = self.world
        waiting = deque(moved)
        while waiting:
            repo, source = waiting.popleft()
            for at, branch in world.branches.items():
                trigger = branch.trigger
                if at[0] != repo or trigger is None or trigger.branch != source or branch.head == commit.number:
                    continue
                if self._holds(trigger, commit, world.commits[branch.head]):
                    self._move(at, commit.number)
                    waiting.append(at)

    def _holds(self, trigger: Trigger, new: Commit, old: Commit) -> bool:
        told = []
        if trigger.cron:
            return False
        if trigger.rate:
            ends = old.finished_us, new.finished_us
            told.append(None not in ends and next_tick(trigger.rate, old.finished_us) < new.finished_us)
        if trigger.size:
            plain = old.state == "finished" and not old.error
            before = sum(map(len, old.tree.values())) if plain else old.size
            told.append(sum(map(len, new.tree.values())) - before >= trigger.size)
        if trigger.commits:
            count, at = 0, new.number
            while at is not None and at != old.number:
                one = self.world.commits[at]
                root = one.parent is None and not one.user and not one.tree
                count, at = count + (not root), one.parent
            told.append(count >= trigger.commits)
        return all(told) if trigger.all else any(told)
