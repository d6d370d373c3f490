"""A cluster in one process, on virtual time: the real controller, leases and rows, and workers that only pretend.

`python bench/workers.py FOLDER WORKERS DATUMS` prints a JSON object: CPU seconds, how many decisions, memory. A
decision is a range that is leased, a report that is taken, or a step of the controller. Leases are renewed and ticks
counted as often as with real workers, and their CPU counts; that of the pretence does not.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "pps"))

from pps_world import Worker, World, glob  # type: ignore[import-not-found] # noqa: E402 - found by the line above

from trunkline.catalog import outbox  # noqa: E402
from trunkline.catalog.work.claims import ClaimRow  # noqa: E402
from trunkline.errors import Aborted  # noqa: E402
from trunkline.model.jobs import DatumState, JobState  # noqa: E402
from trunkline.model.results import CODE, results  # noqa: E402
from trunkline.pfs.finisher import finish_waiting  # noqa: E402
from trunkline.pps.claims import Renewal, Report  # noqa: E402
from trunkline.pps.machine import COMMAND_TOPIC  # noqa: E402

DATUM_S = 4
"""How long a datum takes, by virtual time. Each is reported by itself, and leases are renewed each second."""
PATIENCE_S = 3600


class Cluster:
    """One job, and workers that take part in it until it has ended."""

    def __init__(self, folder: Path, workers: int, datums: int) -> None:
        self.world = World(folder)
        self.chance = random.Random(1)
        self.decisions, self.renewals, self.cpu_s = 0, 0, 0.0
        self.world.repo("data")
        self.world.put({f"/f{number:06}": b"x" for number in range(datums)})
        finish_waiting(self.world.files)
        self.world.pipeline("pretend", lambda _inputs: {}, glob("/*"))
        self.workers = [Worker(self.world, f"w{number}") for number in range(workers)]
        self.rows: dict[str, tuple[int, int]] = {}
        self.heard = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """What happens here is the server's."""
        start = time.process_time()
        yield
        self.cpu_s += time.process_time() - start

    def play(self) -> int:
        """Virtual seconds until the job has ended well."""
        for second in range(PATIENCE_S):
            with self.counted():
                while self.world.controller.step() or finish_waiting(self.world.files):
                    self.decisions += 1
            if self.world.last("pretend").state is JobState.SUCCESS:
                return second
            self.hear()
            for number, worker in enumerate(self.workers):
                self.turn(worker, ends=(second + number) % DATUM_S == 0)
            self.world.clock.advance(1)
            with self.counted():
                self.world.pps.leases.tick()
        raise RuntimeError("the job does not end")

    def hear(self) -> None:
        """What the server has told workers since: where their ranges end by now."""
        told = self.world.files.catalog.read(lambda tx: outbox.read_after(tx, self.heard, 100_000, [COMMAND_TOPIC]))
        for event in told:
            self.heard = event.seq
            row, _ = self.rows.get(event.payload["claim"], (0, 0))
            self.rows[event.payload["claim"]] = (row, int(event.payload.get("last", row)))

    def turn(self, worker: Worker, *, ends: bool) -> None:
        """What a worker does in one second. ends: a datum."""
        if worker.handed is not None and ends:
            self.tell(worker, worker.handed.leased.claim)
        if worker.handed is None:
            with self.counted():
                found = worker.claim(workers=len(self.workers))
            if found and worker.handed is not None:
                claim = worker.handed.leased.claim
                self.rows[claim.id] = claim.done, claim.last
                self.decisions += 1
        kept = []
        if worker.handed is not None:
            claim = worker.handed.leased.claim
            kept.append(Renewal(claim.id, claim.fence, self.rows[claim.id][0]))
        with self.counted():
            self.world.pps.leases.renew(worker.name, worker.session.gen, kept)
        self.renewals += 1

    def tell(self, worker: Worker, claim: ClaimRow) -> None:
        """Report that one more datum of a range went well, without any output."""
        row, last = self.rows[claim.id]
        good = {"row": row, "tries": 1, "process_us": 5, "state": CODE[DatumState.SUCCESS]}
        done = min(row + 1, last)
        report = Report(worker.name, worker.session.gen, claim.id, claim.fence, done, (), results([good][: done - row]))
        self.rows[claim.id] = done, last
        try:
            with self.counted():
                worker.send(report)
            self.decisions += 1
        except Aborted:
            worker.handed = None
        if done >= last:
            worker.handed = None


def main() -> None:
    """Play, and print."""
    cluster = Cluster(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    virtual_s = cluster.play()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told = {
        "decisions": cluster.decisions,
        "renewals": cluster.renewals,
        "cpu_s": cluster.cpu_s,
        "peak_bytes": peak,
        "virtual_s": virtual_s,
    }
    print(json.dumps(told))
    cluster.world.close()


if __name__ == "__main__":
    main()
