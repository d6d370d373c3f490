"""Triggers beside a model: random writes, moves and triggers on a few branches leave the heads that the model says."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trunkline.ambient import SimulatedAmbient
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model.infos import Trigger
from trunkline.model.names import Branch, Repo
from trunkline.pfs import edits
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.files import Files
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, commits, repos
from trunkline.storage import Store
from trunkline.storage.blobs import MemoryBlobs
from trunkline.testing.catalogs import assert_sound, open_catalog

REPO = Repo("default", "data")
BRANCHES = ["a", "b", "c", "d"]
NAMES = st.sampled_from(BRANCHES)


@dataclass
class Made:
    """A commit of the model; the root of a branch that nobody wrote to is number 0."""

    parent: int | None
    size: int
    error: bool = False


class TriggerMachine(RuleBasedStateMachine):
    """Four branches of one repo, and what follows what."""

    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        self.catalog = open_catalog(Path(self.folder.name) / "data", rehearse=False)
        store = Store(MemoryBlobs(), Path(self.folder.name) / "cache", SimulatedAmbient(1))
        self.files = Files(self.catalog, store, SimulatedAmbient(1))
        self.catalog.transact(repos.ensure_default_project)
        self.catalog.transact(lambda tx: repos.create_repo(tx, REPO))

        def make(change):
            for name in BRANCHES:
                branches.create_branch(change, Branch(REPO, name))

        self.files.change(make)
        self.made: list[Made] = [Made(None, 0)]
        self.ids = [self.real_head("a")]
        self.heads = dict.fromkeys(BRANCHES, 0)
        self.triggers: dict[str, Trigger] = {}

    def teardown(self):
        if hasattr(self, "catalog"):
            assert_sound(self.catalog)
            self.catalog.close()
            self.folder.cleanup()

    @rule(name=NAMES, size=st.integers(0, 60), error=st.sampled_from([False, False, False, True]))
    def write(self, name, size, error):
        """A commit whose one file has that many bytes."""
        target = Branch(REPO, name)
        stream = [Delete("/f"), Add("/f", bytes(size))]
        if error:
            commit = self.files.change(lambda change: commits.start_commit(change, target))
            edits.modify(self.files, Target(REPO, branch=name), stream)
            self.catalog.transact(lambda tx: commits.finish_commit(tx, REPO, name, error="bad"))
        else:
            commit = edits.modify(self.files, Target(REPO, branch=name), stream)
        finish_waiting(self.files)
        self.made.append(Made(self.heads[name], size, error))
        self.ids.append(commit.id)
        new = len(self.made) - 1
        self.heads[name] = new
        if not error:
            self.follow(name, new)

    def follow(self, source, new):
        for name, trigger in self.triggers.items():
            if trigger.branch == source and self.heads[name] != new and self.holds(name, trigger, new):
                self.heads[name] = new
                self.follow(name, new)

    def holds(self, name, trigger, new):
        old = self.heads[name]
        told = []
        if trigger.size:
            told.append(self.made[new].size - self.size(old) >= int(trigger.size))
        if trigger.commits:
            count, at = 0, new
            while at not in (None, old, 0):
                count, at = count + 1, self.made[at].parent
            told.append(count >= trigger.commits)
        return all(told) if trigger.all else any(told)

    def size(self, number):
        return self.real_size(number) if self.made[number].error else self.made[number].size

    @rule(name=NAMES, data=st.data())
    def move(self, name, data):
        """Point a branch to any commit; that fires nothing."""
        number = data.draw(st.integers(0, len(self.made) - 1))
        self.create(name, head=(REPO, self.ids[number]))
        self.heads[name] = number

    @rule(name=NAMES, source=NAMES, size=st.sampled_from(["", "20"]), commits=st.integers(0, 3), every=st.booleans())
    def set_trigger(self, name, source, size, commits, every):
        """Give a branch a trigger; loops and those without a condition are refused."""
        trigger = Trigger(source, every, "", size, commits)
        bad = not (size or commits) or name in self.chain(source)
        try:
            self.create(name, trigger=trigger)
        except InvalidArgument:
            assert bad
        else:
            assert not bad
            self.triggers[name] = trigger

    def chain(self, name):
        seen = [name]
        while name in self.triggers:
            name = self.triggers[name].branch
            seen.append(name)
        return seen

    @rule(name=NAMES, force=st.booleans())
    def make_anew(self, name, force):
        """Delete a branch and make it again where it was: it follows nothing."""
        followed = any(trigger.branch == name for trigger in self.triggers.values())
        try:
            self.files.change(lambda change: branches.delete_branch(change, Branch(REPO, name), force=force))
        except FailedPrecondition:
            assert followed
            assert not force
            return
        assert force or not followed
        self.triggers = {one: each for one, each in self.triggers.items() if name not in (one, each.branch)}
        self.create(name, head=(REPO, self.ids[self.heads[name]]))

    def create(self, name, **more):
        self.files.change(lambda change: branches.create_branch(change, Branch(REPO, name), **more))

    @invariant()
    def heads_are_the_models(self):
        if hasattr(self, "heads"):
            assert {name: self.real_head(name) for name in BRANCHES} == {
                name: self.ids[number] for name, number in self.heads.items()
            }

    def real_head(self, name):
        return self.catalog.read(lambda tx: branches.inspect_branch(tx, Branch(REPO, name))).head.id

    def real_size(self, number):
        return self.catalog.read(lambda tx: commits.inspect_commit(tx, REPO, self.ids[number])).size_bytes


TriggerMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTriggersAgainstTheModel = TriggerMachine.TestCase
