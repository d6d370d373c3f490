"""What calls do to the world of `pfs_model`, and what follows from it downstream, by the rules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from pfs_follows import Follows
from pfs_model import At, Branch, Commit, Project, Repo, Trigger, World, Write, applied, collides, next_tick


class Refused(Exception):
    """The call is to be refused, and nothing to change."""


def play(world: World, *steps: Callable[[Change], object]) -> World:
    """A world after a transaction of some steps. Raises Refused."""
    after = copy.deepcopy(world)
    change = Change(after)
    for step in steps:
        step(change)
    change.close()
    return after


def finish_next(world: World) -> bool:
    """Finish the commits that were closed and whose parents are finished, oldest first, and fire what follows them."""
    ready = [
        one
        for one in world.commits.values()
        if one.state == "closed" and (one.parent is None or world.commits[one.parent].state == "finished")
    ]
    for one in sorted(ready, key=lambda each: each.seq):
        base = world.good(one.parent)
        one.tree = applied(world.commits[base].tree if base is not None else {}, one.writes)
        one.error = one.error or collides(one.tree)
        one.state, one.finished_us = "finished", world.now_us
        change = Change(world)
        if not one.error:
            change.fire(one)
        change.close()
    return bool(ready)


def pass_time(world: World, seconds: int) -> World:
    """A world so many seconds later: each schedule that is due has ticked once, the longest due first."""
    after = copy.deepcopy(world)
    after.now_us += seconds * 1_000_000
    due = [(one.due_us, at) for at, one in after.branches.items() if one.due_us is not None]
    for due_us, at in sorted(due, key=lambda each: each[0]):
        if due_us <= after.now_us:
            change = Change(after)
            change.tick(at)
            change.close()
    return after


class Change(Follows):
    """One transaction."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        world.changes += 1
        self.mine: dict[str, int] = {}  # repo -> the commit made in it
        self.empty: dict[str, int] = {}  # repo -> the empty head made in it
        self.anew: set[At] = set()

    # --- what calls do

    def create_project(self, name: str, description: str = "", update: bool = False) -> None:
        if (name in self.world.projects) != update:
            raise Refused
        self.world.projects.setdefault(name, Project()).description = description

    def delete_project(self, name: str) -> None:
        if name not in self.world.projects or any(repo.startswith(f"{name}/") for repo in self.world.repos):
            raise Refused
        del self.world.projects[name]

    def create_repo(self, repo: str, update: bool = False, description: str = "") -> None:
        if repo.split("/", maxsplit=1)[0] not in self.world.projects or (repo in self.world.repos and not update):
            raise Refused
        self.world.repos.setdefault(repo, Repo()).description = description

    def delete_repo(self, repo: str, force: bool = False) -> None:
        world = self.world
        if repo not in world.repos:
            return
        inside = {at for at in world.branches if at[0] == repo}
        if not force and any(inside & set(branch.ups) for at, branch in world.branches.items() if at[0] != repo):
            raise Refused
        del world.repos[repo]
        for at in inside:
            self._forget_branch(at)
        world.tags = {at: number for at, number in world.tags.items() if at[0] != repo}
        self._take_out({one.number for one in world.of_repo(repo)})

    def delete_all(self) -> None:
        for repo in list(self.world.repos):
            self.delete_repo(repo, True)
        self.world.projects = {"default": Project()}

    def create_branch(
        self, at: At, head: int | None = None, ups: Iterable[At] = (), trigger: Trigger | None = None
    ) -> None:
        world, ups = self.world, list(dict.fromkeys(ups))
        self._need_repo(at[0])
        known = world.branches.get(at)
        if head is not None and world.commits[head].forgotten:
            raise Refused
        self._refuse_tag(at)
        if trigger is not None:
            self._check_trigger(at, trigger)
        if (ups and (trigger or (known and known.trigger))) or (trigger and known and known.ups):
            raise Refused
        for up in ups:
            self._need_repo(up[0])
            if up == at:
                raise Refused
            if up not in world.branches:
                self._refuse_tag(up)
                world.branches[up] = Branch(self._empty_head(up[0]))
        if known is None:
            if head is None:
                head = self._new(at[0], user=False, parent=None) if ups else self._empty_head(at[0])
            known = world.branches[at] = Branch(head)
        elif head is not None:
            known.head = head
        known.ups = ups
        self._check_graph(at)
        if trigger is not None:
            known.trigger = trigger
            known.due_us = next_tick(trigger.cron, world.now_us) if trigger.cron else None
        self.touched.append(at)

    def delete_branch(self, at: At, force: bool = False) -> None:
        world = self.world
        self._need_repo(at[0])
        if at not in world.branches:
            return
        followers = [
            one for one, b in world.branches.items() if one[0] == at[0] and b.trigger and b.trigger.branch == at[1]
        ]
        if not force and (followers or any(at in branch.ups for branch in world.branches.values())):
            raise Refused
        for one in followers:
            world.branches[one].trigger = world.branches[one].due_us = None
        self._forget_branch(at)

    def start(self, at: At, parent: int | None = None) -> int:
        world = self.world
        self._need_repo(at[0])
        self._refuse_tag(at)
        branch = world.branches.get(at)
        if branch is not None and branch.ups:
            raise Refused
        if parent is None and branch is not None:
            parent = branch.head
        if parent is not None and (world.commits[parent].forgotten or world.commits[parent].state == "open"):
            raise Refused
        number = self._new(at[0], user=True, parent=parent)
        if branch is None:
            world.branches[at] = Branch(number)
        else:
            branch.head = number
        self.touched.append(at)
        return number

    def finish(self, number: int, error: bool = False, force: bool = False) -> None:
        one = self.world.commits[number]
        if one.state != "open" or (one.ups and not one.user and not force):
            raise Refused
        one.state, one.error = "closed", error

    def clear(self, number: int) -> None:
        one = self.world.commits[number]
        if one.state != "open":
            raise Refused
        one.writes = []

    def write(self, at: At, writes: Iterable[Write], output: bool = False) -> None:
        """A stream of edits to a branch. output: by its pipeline."""
        world = self.world
        self._need_repo(at[0])
        branch = world.branches.get(at)
        head = world.commits[branch.head] if branch is not None else None
        if branch is not None and branch.ups and not output:
            raise Refused
        if head is not None and head.state == "open":
            self.write_to(head.number, writes, output)
            return
        number = self.start(at)
        world.commits[number].writes += writes
        self.finish(number)

    def write_to(self, number: int, writes: Iterable[Write], output: bool = False) -> None:
        one = self.world.commits[number]
        if one.state != "open" or (one.ups and not output):
            raise Refused
        one.writes += writes

    def tag(self, at: At, number: int, force: bool = False) -> None:
        one = self.world.commits[number]
        if at[0] not in self.world.repos or at in self.world.branches or one.state == "open" or one.forgotten:
            raise Refused
        if self.world.tags.get(at, number) != number and not force:
            raise Refused
        self.world.tags[at] = number

    def untag(self, at: At) -> None:
        if at not in self.world.tags:
            raise Refused
        del self.world.tags[at]

    def squash(self, chosen: set[int]) -> None:
        """Take commits out, their content kept in what follows; that it is allowed is known."""
        world = self.world
        for number in sorted(chosen):
            for child in world.children(number):
                child.parent = world.commits[number].parent
        self._take_out(chosen)

    def drop(self, chosen: set[int]) -> None:
        """Take commits out with their content; that it is allowed is known."""
        world, made = self.world, {}
        for at, branch in world.branches.items():
            if branch.head not in chosen:
                continue
            head: int | None = branch.head
            while head in chosen:
                head = world.commits[head].parent
            if head is None:
                if at[0] not in made:
                    empty = not branch.ups
                    made[at[0]] = self._empty_head(at[0]) if empty else self._new(at[0], user=False, parent=None)
                head = made[at[0]]
            elif world.commits[head].forgotten:
                self.anew.add(at)
            branch.head = head
            self.touched.append(at)
        self._take_out(chosen)

    def forget(self, number: int) -> None:
        """Give up a commit's files; that it is allowed is known."""
        self.world.commits[number].forgotten = True

    # --- what follows

    def close(self) -> None:
        """Each branch whose upstream heads are others than those of its head gets a new head, upstream first."""
        order = self._downstream()
        for part in self._sets(order) if self.spreads else [order]:
            self._renew(part)
            if self.spreads:
                self.world.changes += 1
                self.mine, self.empty = {}, {}

    def _sets(self, order: list[At]) -> list[list[At]]:
        """Branches of one graph stay together; each graph joins the first set that has none of its repos."""
        branches, sets = self.world.branches, []
        left = [at for at in branches if at in order]
        while left:
            tied = {left[0]}
            while more := {at for at in left for other in tied if self._are_tied(at, other)} - tied:
                tied |= more
            left = [at for at in left if at not in tied]
            repos = {at[0] for at in tied if branches[at].ups}
            room = next((one for one in sets if not one[1] & repos), None)
            if room is None:
                sets.append((tied, repos))
            else:
                room[0].update(tied)
                room[1].update(repos)
        return [[at for at in order if at in one[0]] for one in sets]

    def _are_tied(self, at: At, other: At) -> bool:
        return at in self.world.branches[other].ups or other in self.world.branches[at].ups

    def _renew(self, order: list[At]) -> None:
        world = self.world
        for at in order:
            branch = world.branches[at]
            if not branch.ups:
                continue
            wanted = {world.branches[up].head for up in branch.ups}
            head = world.commits[branch.head]
            moved = wanted != head.ups and (not head.ups or not wanted <= head.ups)
            if not moved and at not in self.anew:
                continue
            if self.mine.get(at[0]) == branch.head and head.state == "open":
                head.ups = wanted
            else:
                branch.head = self._new(at[0], user=False, parent=branch.head, ups=wanted)

    def _downstream(self) -> list[At]:
        world = self.world
        reached = {at for at in self.touched if at in world.branches}
        while more := {at for at, one in world.branches.items() if reached & set(one.ups)} - reached:
            reached |= more
        order: list[At] = []
        while left := sorted(reached - set(order)):
            order += [at for at in left if not set(world.branches[at].ups) & set(left)]
        return order

    # --- parts

    def _new(self, repo: str, *, user: bool, parent: int | None, ups: Iterable[int] = ()) -> int:
        if repo in self.mine:
            raise Refused
        world = self.world
        world.made += 1
        world.commits[world.made] = Commit(world.made, repo, user, parent, set(ups), set=world.changes)
        self.mine[repo] = world.made
        return world.made

    def _empty_head(self, repo: str) -> int:
        """One for all branches that need one; of a set of its own where the repo gets another commit."""
        world, mine = self.world, self.mine.get(repo)
        known = world.commits.get(self.empty.get(repo, mine) or 0)
        if known and not (known.user or known.parent is not None or known.state != "finished" or known.tree):
            return known.number
        alone = repo in self.mine or any(at[0] == repo and world.branches[at].ups for at in self._downstream())
        if alone:
            world.made += 1
            one = world.commits[world.made] = Commit(world.made, repo, False, None, set(), set=-world.made)
        else:
            one = world.commits[self._new(repo, user=False, parent=None)]
        one.state, one.finished_us = "finished", world.now_us
        self.empty[repo] = one.number
        return one.number

    def _take_out(self, numbers: set[int]) -> None:
        world = self.world
        world.commits = {number: one for number, one in world.commits.items() if number not in numbers}
        for one in world.commits.values():
            one.ups -= numbers
            one.parent = None if one.parent in numbers else one.parent

    def _forget_branch(self, at: At) -> None:
        del self.world.branches[at]
        for branch in self.world.branches.values():
            branch.ups = [up for up in branch.ups if up != at]

    def _need_repo(self, repo: str) -> None:
        if repo not in self.world.repos:
            raise Refused

    def _refuse_tag(self, at: At) -> None:
        if at not in self.world.branches and at in self.world.tags:
            raise Refused

    def _check_trigger(self, at: At, trigger: Trigger) -> None:
        chain, name = [at[1]], trigger.branch
        while True:
            if name in chain or (at[0], name) not in self.world.branches:
                raise Refused
            chain.append(name)
            above = self.world.branches[at[0], name].trigger
            if above is None:
                return
            name = above.branch

    def _check_graph(self, at: At) -> None:
        branches = self.world.branches
        if not branches[at].ups:
            return
        above, tied = set(branches[at].ups), {at}
        while more := {up for one in above for up in branches[one].ups} - above:
            above |= more
        while (
            more := {
                one for one, b in branches.items() for up in b.ups if one in tied or up in tied for one in (one, up)
            }
            - tied
        ):
            tied |= more
        if at in above or len({repo for repo, _ in tied}) < len(tied):
            raise Refused
