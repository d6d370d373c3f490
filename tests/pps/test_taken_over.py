"""The tail of a slow worker's range is given to an idle one: whoever is done with it first counts."""

from __future__ import annotations

import pytest
from leased import files, renewal, rows, start, woken
from pps_world import Worker, World

from trunkline.catalog import outbox
from trunkline.errors import Aborted
from trunkline.pps.claims import Cancel
from trunkline.pps.machine import COMMAND_TOPIC


def test_an_idle_worker_takes_the_tail_of_a_slow_one(world: World) -> None:
    start(world, 8)
    slow, idle = world.worker, Worker(world, "w2")
    assert slow.claim()
    assert not idle.claim()
    assert not woken(world)
    world.clock.advance(2)
    assert woken(world)
    assert idle.claim()
    assert [(row.first, row.last, row.worker) for row in rows(world)] == [(0, 4, "w1"), (4, 8, "w2")]
    idle.work()
    while slow.work(1):
        pass
    world.pump()
    assert world.content("edges") == files(8)
    assert world.counts("edges") == "SUCCESS 8+0/8"


@pytest.mark.parametrize(("reported", "ran_twice"), [(0, 0), (1, 4)])
def test_who_is_done_first_with_what_another_took_over_counts(world: World, reported: int, ran_twice: int) -> None:
    """Unless some of it is reported: then all of that report is refused, and what it was left with is run again."""
    start(world, 8)
    slow, idle = world.worker, Worker(world, "w2")
    assert slow.claim()
    world.clock.advance(2)
    assert idle.claim()
    if reported:
        idle.work(reported)
    slow.work()  # all eight, though half of them are the other's by now
    assert world.last("edges").data_processed == (reported or 8)
    if reported:
        idle.work()
    else:
        with pytest.raises(Aborted, match="closed"):
            idle.work()
    world.pump()
    assert world.counts("edges") == "SUCCESS 8+0/8"
    assert world.content("edges") == files(8)
    assert len(slow.ran) == 8 + ran_twice


def test_who_took_over_more_than_was_finished_first_leaves_the_rest_to_others(world: World) -> None:
    start(world, 8)
    slow, idle = world.worker, Worker(world, "w2")
    assert slow.claim()
    world.clock.advance(2)
    assert idle.claim()
    late = slow.prepare(6)  # two of the four that the other has by now
    slow.send(late)
    assert [(row.first, row.last, row.worker) for row in rows(world)] == [(6, 8, None)]
    commands = world.pps.leases.renew("w2", idle.session.gen, [renewal(idle)])
    assert [type(one) for one in commands] == [Cancel]
    idle.handed = None
    idle.work()
    world.pump()
    assert world.counts("edges") == "SUCCESS 8+0/8"
    assert world.content("edges") == files(8)


def test_who_loses_a_tail_is_told_to_begin_nothing_of_it(world: World) -> None:
    start(world, 8)
    assert world.worker.claim()
    world.clock.advance(2)
    seen = world.files.catalog.read(outbox.newest)
    assert Worker(world, "w2").claim()
    (told,) = world.files.catalog.read(lambda tx: outbox.read_after(tx, seen, 10, [COMMAND_TOPIC]))
    assert told.payload == {"worker": "w1", "claim": rows(world)[0].id, "last": 4}
