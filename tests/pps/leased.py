"""Verbs for tests of leases: jobs with datums to run, and what of them is leased to whom."""

from __future__ import annotations

from pps_world import Worker, World, copy, glob

from trunkline.catalog import outbox
from trunkline.catalog.work import claims as claim_rows
from trunkline.pps.claims import Renewal
from trunkline.pps.machine import CLAIMS_TOPIC


def files(count: int) -> dict[str, bytes]:
    """Some files, one datum each."""
    return {f"/{number:03}": b"%d" % number for number in range(count)}


def start(world: World, count: int, name: str = "edges", **more: object) -> None:
    """A pipeline with some datums to run."""
    if name == "edges":
        world.put(files(count))
    world.pipeline(name, copy, glob("/*"), **more)
    world.pump(work=False)


def rows(world: World) -> list[claim_rows.ClaimRow]:
    """All claims."""
    return world.files.catalog.read(claim_rows.all_claims)


def renewal(worker: Worker, row: int | None = None) -> Renewal:
    """What a worker says while it works."""
    assert worker.handed is not None
    claim = worker.handed.leased.claim
    return Renewal(claim.id, claim.fence, row)


def woken(world: World) -> bool:
    """Whether a tick of the leader says that there may be something to claim."""
    seen = world.files.catalog.read(outbox.newest)
    tick(world)
    return bool(world.files.catalog.read(lambda tx: outbox.read_after(tx, seen, 10, [CLAIMS_TOPIC])))


def tick(world: World, count: int = 1) -> None:
    """Let the leader's time pass."""
    for _ in range(count):
        world.pps.leases.tick()
