"""The ticker on a clock that only moves when told: each tick once, whatever the clock does."""

from __future__ import annotations

import threading

import pytest

from trunkline.errors import Unavailable
from trunkline.model.infos import Trigger
from trunkline.model.names import Branch, Repo
from trunkline.pfs import edits
from trunkline.pfs.edits import Add, Delete, Target
from trunkline.pfs.finisher import finish_waiting
from trunkline.pfs.graph import branches, repos
from trunkline.pfs.ticker import Ticker, TriggerSchedules

DATA = Repo("default", "data")


class Counting:
    """A schedule that is due at each of some instants, and says how often it ticked."""

    noun = "schedule"

    def __init__(self, dues):
        self.dues = list(dues)
        self.ticked = []
        self.broken = False

    def next_due(self, tx):
        return min(self.dues, default=None)

    def due(self, tx, until_us):
        return [(1, one) for one in sorted(self.dues)[:1] if one <= until_us]

    def tick(self, key, tick_us):
        if self.broken:
            raise Unavailable("the disk is away")
        self.dues.remove(tick_us)
        self.ticked.append(tick_us)


@pytest.fixture
def hourly(files):
    """`master` follows `staging` at each full hour."""
    files.catalog.transact(lambda tx: repos.create_repo(tx, DATA))

    def make(change):
        branches.create_branch(change, Branch(DATA, "staging"))
        branches.create_branch(change, Branch(DATA, "master"), trigger=Trigger("staging", cron_spec="@hourly"))

    files.change(make)
    return Ticker(files, [TriggerSchedules(files)])


def put(files, size):
    stream = [Delete("/a"), Add("/a", b"x" * size)]
    made = edits.modify(files, Target(DATA, branch="staging"), stream).id
    finish_waiting(files)
    return made


def head(files):
    return files.catalog.read(lambda tx: branches.inspect_branch(tx, Branch(DATA, "master"))).head.id


def test_nothing_happens_before_the_hour(files, hourly):
    put(files, 1)
    before = head(files)
    assert not hourly.step()
    assert head(files) == before


def test_a_step_of_the_clock_makes_no_tick_twice(files, hourly):
    first = put(files, 1)
    files.ambient.advance(3600)
    assert hourly.step()
    assert head(files) == first
    second = put(files, 2)
    files.ambient.advance(-3600)  # summer time that is none: a clock set back
    assert not hourly.step()
    files.ambient.advance(3600)
    assert not hourly.step()
    assert head(files) == first
    files.ambient.advance(3600)
    assert hourly.step()
    assert head(files) == second
    assert not hourly.step()


def test_a_clock_that_jumps_ahead_ticks_once(files, hourly):
    files.ambient.advance(3600)
    assert hourly.step()
    made = put(files, 1)
    files.ambient.advance(10 * 3600)
    assert hourly.step()
    assert not hourly.step()
    assert head(files) == made


def test_no_new_data_starts_nothing(files, hourly, told):
    repo = Repo("default", "edges")
    files.catalog.transact(lambda tx: repos.create_repo(tx, repo))
    files.change(
        lambda change: branches.create_branch(change, Branch(repo, "master"), provenance=[Branch(DATA, "master")])
    )
    put(files, 1)
    files.ambient.advance(3600)
    assert hourly.step()
    assert len(told) == 2
    files.ambient.advance(3600)
    assert hourly.step()
    assert len(told) == 2


def test_a_tick_that_fails_is_tried_again_and_holds_up_no_other(files):
    now_us = files.ambient.now_us()
    broken, sound = Counting([now_us]), Counting([now_us, now_us + 1])
    broken.broken = True
    broken.noun = "broken schedule"
    ticker = Ticker(files, [broken, sound])
    assert ticker.step()
    assert ticker.step()
    assert len(sound.ticked) == 2
    assert not ticker.step()
    broken.broken = False
    assert not ticker.step()  # not at once
    files.ambient.advance(6)
    assert ticker.step()
    assert broken.ticked == [now_us]


def test_the_thread_ticks_and_ends(files):
    done = threading.Event()
    counting = Counting([files.ambient.now_us()])
    tick = counting.tick
    counting.tick = lambda key, tick_us: (tick(key, tick_us), done.set())
    ticker = Ticker(files, [counting])
    ticker.start()
    assert done.wait(60)
    ticker.stop()
    files.catalog.wake.set(files.catalog.wake.seq + 1)
    ticker.join(60)
    assert not ticker._thread.is_alive()
    assert len(counting.ticked) == 1
