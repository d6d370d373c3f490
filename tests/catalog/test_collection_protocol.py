"""The collection protocol on real rows: the traces that lose data without a safeguard, and random orders of steps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.world import World, Writer
from trunkline.ambient import chance
from trunkline.catalog.collection import cycle
from trunkline.testing.catalogs import open_catalog

PUT = "w0 open | w0 looks | w0 insert row"
CYCLE = "gc lists | gc dooms | gc condemns | gc notes | gc ends"
TRACES = {
    "unique": f"{PUT} | w0 expires | {CYCLE} | w1 open | gc lists | gc dooms | w1 looks | w1 insert row | w1 seals"
    " | w1 adopts | gc condemns | gc notes | gc ends | blob delete | w2 open | blob delete again",
    "mark2": f"{PUT} | gc lists | w0 seals | w0 adopts | w0 ends | gc dooms | gc condemns | gc notes | gc ends"
    " | gc lists | gc dooms",
    "wait": f"{PUT} | w0 seals | w0 adopts | w0 ends | commit is deleted | w1 open | w1 looks | {CYCLE}"
    " | gc lists | w1 seals | w1 adopts | gc dooms",
    "sweep": "w0 open | w0 looks | sweep | w0 insert row | w0 seals | w0 adopts",
    "hold": f"{PUT} | gc lists | w0 seals | w0 adopts | w0 ends | gc dooms | gc condemns | gc notes | gc ends | w1 open"
    " | w1 copies | commit is deleted | gc lists | w1 seals | w1 adopts | gc dooms",
    "pin": f"{PUT} | w0 seals | w0 adopts | w0 ends | reader starts | commit is deleted | {CYCLE} | {CYCLE}"
    " | blob delete",
    "refreshtx": f"{PUT} | w0 seals | w0 adopts | w0 ends | w1 open | w1 looks | commit is deleted | {CYCLE}"
    " | w1 refreshes | gc lists | w1 seals | w1 adopts | gc dooms",
}


def play(world: World, trace: str) -> list[str]:
    """Do the steps; answers what is wrong at the first moment when something is."""
    for step in trace.split(" | "):
        world.do(step)
        if world.wrong():
            return world.wrong()
    return []


@pytest.mark.parametrize("safeguard", TRACES)
def test_a_trace_that_loses_data_without_its_safeguard(tmp_path: Path, safeguard: str):
    with open_catalog(tmp_path / "with") as catalog:
        assert play(World(catalog), TRACES[safeguard]) == []
    with open_catalog(tmp_path / "without") as catalog:
        assert play(World(catalog, off=safeguard), TRACES[safeguard]) != []


RARE = ["reader starts", "reader starts", "reader ends", "blob delete again", "sweep", "sweep", "w0 expires", "gc dies"]
NEXT_OF_GC = {
    "rest": "lists",
    "over": "lists",
    "marked": "dooms",
    "doomed": "condemns",
    "condemned": "notes",
    "noted": "ends",
}


def walk(world: World, seed: int, length: int) -> list[str]:
    """Steps of all actors in a random order, each going on with its work; stops where something is wrong."""
    order = chance(seed)
    actors = ["w0", "w1", "gc", "blob", "commit", "rare"]
    # Other paces in each walk, so that some sessions sleep through whole cycles.
    paces = [order.random() ** 3 for _ in actors[:2]] + [2.0] + [order.random() ** 2 for _ in actors[3:]]
    done: list[str] = []
    for _ in range(length):
        (actor,) = order.choices(actors, paces)
        match actor:
            case "gc":
                step = f"gc {NEXT_OF_GC[world.phase]}"
            case "blob":
                step = "blob delete"
            case "commit":
                step = "commit is deleted"
            case "rare":
                step = order.choice(RARE)
            case _:
                step = f"{actor} {next_of(world.writers.get(int(actor[1])), order.random())}"
        if world.do(step):
            done.append(step)
            if world.wrong():
                break
    return done


def next_of(writer: Writer | None, luck: float) -> str:
    """What a session does next."""
    if writer is None or writer.state == "ended":
        return "open"
    if writer.state == "adopted":
        return "ends"
    if writer.sealed:
        return "adopts"
    if writer.ref is not None:
        return "seals" if luck < 0.7 else "refreshes"
    if writer.put:
        return "insert row"
    return "looks" if luck < 0.6 else "copies"


@pytest.mark.parametrize("seed", range(12))
def test_no_order_of_steps_loses_anything_and_all_can_be_freed(tmp_path: Path, seed: int):
    with open_catalog(tmp_path, rehearse=False) as catalog:
        world = World(catalog)
        done = walk(world, seed, 100)
        assert not world.wrong(), " | ".join(done)
        world.free_all()
        assert catalog.read(lambda tx: cycle.list_chunks(tx, None, 10)) == []
        assert world.blobs == set()
        assert catalog.read(lambda tx: cycle.list_deletable(tx, 10)) == ([], [])


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_no_order_of_steps_loses_anything_for_long(tmp_path: Path, record_property: Callable[[str, object], None]):
    first = int(os.environ.get("TRUNKLINE_SOAK_SEED", "1")) * 1_000_000
    for seed in range(first, first + 300):
        with open_catalog(tmp_path / str(seed), rehearse=False) as catalog:
            world = World(catalog)
            done = walk(world, seed, 400)
            assert not world.wrong(), f"seed {seed}: {' | '.join(done)}"
            world.free_all()
            assert world.blobs == set()
    record_property("figures", "300 orders of 400 steps")
