"""Waiting for committed events as coroutines."""

from __future__ import annotations

import asyncio
import threading

from trunkline.api.rpc.events import KEPT, Events
from trunkline.catalog.engine import Wake, thing


def test_what_happens_between_look_and_wait_is_not_lost() -> None:
    async def run() -> int:
        wake = Wake(5)
        events = Events(wake, asyncio.get_running_loop())
        seen = events.seq
        wake.set(6)  # after the look, before the wait
        return await asyncio.wait_for(events.after(seen), 30)

    assert asyncio.run(run()) == 6


def test_everybody_who_waits_is_woken_by_another_thread() -> None:
    async def run() -> list[int]:
        wake = Wake(0)
        events = Events(wake, asyncio.get_running_loop())
        waiting = [asyncio.ensure_future(events.after(0)) for _ in range(1000)]
        await asyncio.sleep(0)
        thread = threading.Thread(target=wake.set, args=(3,))
        thread.start()
        found = await asyncio.wait_for(asyncio.gather(*waiting), 30)
        thread.join()
        return found

    assert set(asyncio.run(run())) == {3}


def test_one_who_leaves_takes_nobody_along() -> None:
    async def run() -> int:
        wake = Wake(0)
        events = Events(wake, asyncio.get_running_loop())
        leaving, staying = asyncio.ensure_future(events.after(0)), asyncio.ensure_future(events.after(0))
        await asyncio.sleep(0)
        leaving.cancel()
        wake.set(1)
        return await asyncio.wait_for(staying, 30)

    assert asyncio.run(run()) == 1


def test_who_waits_for_one_thing_is_woken_by_nothing_else() -> None:
    async def run() -> list[int]:
        wake = Wake(0)
        events = Events(wake, asyncio.get_running_loop())
        one = asyncio.ensure_future(events.after(0, thing("commit", 7)))
        some = asyncio.ensure_future(events.after(0, "commit", "job"))
        await asyncio.sleep(0)
        wake.set(1, {"log"})
        wake.set(2, {"commit", thing("commit", 8)})
        found = [await asyncio.wait_for(some, 30)]
        assert not one.done()
        wake.set(3, {"commit", thing("commit", 7)})
        found.append(await asyncio.wait_for(one, 30))
        found.append(await asyncio.wait_for(events.after(2, thing("commit", 7)), 30))  # it was before the wait
        leaving = asyncio.ensure_future(events.after(3, thing("commit", 7)))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert not events._waiting
        return found

    assert asyncio.run(run()) == [2, 3, 3]


def test_what_nobody_remembers_is_looked_at_again() -> None:
    async def run() -> int:
        wake = Wake(0)
        events = Events(wake, asyncio.get_running_loop())
        for seq in range(1, KEPT + 2):
            wake.set(seq, {"log"})
        await asyncio.sleep(0)
        return await asyncio.wait_for(events.after(0, "commit"), 30)

    assert asyncio.run(run()) == KEPT + 1


def test_a_closed_loop_is_told_nothing() -> None:
    wake = Wake(0)
    loop = asyncio.new_event_loop()
    events = Events(wake, loop)
    loop.close()
    wake.set(1)
    events.close()
    wake.set(2)
    assert events.seq == 0


def test_who_wakes_together_looks_once() -> None:
    looks: list[int] = []

    async def look() -> int:
        looks.append(1)
        await asyncio.sleep(0)
        return len(looks)

    async def run() -> tuple[list[int], int, int]:
        events = Events(Wake(0), asyncio.get_running_loop())
        together = await asyncio.gather(*(events.look(0, "a", look) for _ in range(100)))
        other = await events.look(0, "b", look)
        later = await events.look(1, "a", look)
        return together, other, later

    assert asyncio.run(run()) == ([1] * 100, 2, 3)


def test_a_look_that_fails_fails_for_all_who_share_it() -> None:
    async def look() -> int:
        await asyncio.sleep(0)
        raise KeyError("gone")

    async def run() -> list[int | BaseException]:
        events = Events(Wake(0), asyncio.get_running_loop())
        return await asyncio.gather(*(events.look(0, "a", look) for _ in range(3)), return_exceptions=True)

    assert [type(one) for one in asyncio.run(run())] == [KeyError] * 3
