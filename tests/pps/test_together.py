"""All threads at once: controller, finisher, workers that die, people that edit, stop and update."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pps_world import Failed, Inputs, Worker, World, glob

from trunkline.ambient import RealAmbient, chance
from trunkline.errors import Aborted
from trunkline.pfs.finisher import Finisher
from trunkline.pps import claims, jobs


def code(inputs: Inputs) -> dict[str, bytes]:
    """A copy; bad bytes fail."""
    if b"bad" in inputs["data"].values():
        raise Failed("bad bytes")
    return dict(inputs["data"])


class Pool:
    """Worker threads; each range may be its last."""

    def __init__(self, world: World, count: int, seed: int, deadly: bool) -> None:
        self.world, self.deadly = world, deadly
        self.ended = threading.Event()
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self.run, args=(number, seed)) for number in range(count)]

    def __enter__(self) -> Pool:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()
        assert not self.errors

    def run(self, number: int, seed: int) -> None:
        dice, life, seen = chance(seed * 100 + number), 0, 0
        worker = Worker(self.world, f"w{number}.{life}")
        while not self.ended.is_set():
            try:
                if not worker.work(dice.randrange(1, 4)):
                    seen = self.world.files.catalog.wake.wait(seen, 0.05)
                if self.deadly and dice.random() < 0.1:
                    name, life = worker.name, life + 1
                    self.world.files.catalog.transact(
                        lambda tx, name=name: claims.worker_gone(tx, name, "it was killed", counts=False)
                    )
                    worker = Worker(self.world, f"w{number}.{life}")
            except Aborted:
                worker.handed = None
            except BaseException as error:
                self.errors.append(error)
                return


def deeds(world: World, seed: int, count: int) -> None:
    """What people do meanwhile."""
    dice = chance(seed)
    for number in range(count):
        kind = dice.choice(["put", "put", "put", "stop", "update"])
        if kind == "put":
            names = dice.sample([f"/{n}" for n in range(12)], 3)
            world.put({name: dice.choice([b"%d" % number, b"bad", None, b"same"]) for name in names})
        elif kind == "stop":
            job = world.last("edges").job
            world.files.catalog.transact(lambda tx, job=job: jobs.stop_job(tx, job))
        else:
            world.pipeline("edges", code, glob("/*"), update=True, reprocess=dice.random() < 0.2)
        world.files.catalog.wake.wait(world.files.catalog.wake.seq, dice.random() * 0.1)


def settle(world: World, name: str) -> None:
    """Wait until every job of a pipeline has ended."""
    seen = 0
    for _ in range(2000):
        found = world.jobs(name)
        if found and all(job.state.terminal and job.finished_us for job in found):
            return
        seen = world.files.catalog.wake.wait(seen, 0.1)
    raise AssertionError(f"{name} does not end: {world.last(name)}")


def live(folder: Path, seed: int, count: int) -> None:
    """One life of everything, compared in the end with the same data run from scratch."""
    world = World(folder, ambient=RealAmbient())
    world.repo()
    finisher = Finisher(world.files)
    finisher.start()
    world.controller.start()
    try:
        with Pool(world, 3, seed, deadly=True):
            world.pipeline("edges", code, glob("/*"))
            deeds(world, seed, count)
            settle(world, "edges")
            world.put({**dict.fromkeys([f"/{n}" for n in range(12)]), "/a": b"1", "/b": b"2", "/c": b"same"})
            world.put({"/d": b"4"})
            settle(world, "edges")
            assert world.last("edges").state.value == "SUCCESS", world.last("edges").reason
            world.pipeline("anew", code, glob("/*"))
            settle(world, "anew")
        assert world.content("edges") == world.content("anew")
    finally:
        world.controller.stop()
        finisher.stop()
        world.files.catalog.wake.set(world.files.catalog.wake.seq + 1)
        world.controller.join(60)
        finisher.join(60)
        world.close()


def test_everything_at_once_ends_as_if_it_were_done_alone(tmp_path: Path) -> None:
    live(tmp_path, 1, 12)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_everything_at_once_at_length(tmp_path: Path, seed: int) -> None:
    live(tmp_path, seed, 60)
