"""A pipeline system in which everything that can go wrong does, in an order that a seed draws, on virtual time.

The controller, claims, leases, planning, files and all rows are the real ones; bytes and rows are in memory. Workers
are scripted: they die, hang past their lease, report twice, and come back when their range is somebody else's. The
place that output is sent to breaks off. The server is killed at any transaction; clocks are set; people write, stop,
update, delete. After each step what must hold does, and in the end every job is what it should be.
"""

from __future__ import annotations

from unittest.mock import patch

from simulated_deeds import DEEDS, OF_SPOUTS, Spouting
from simulated_world import EDGES, NAMES, OPEN, SETTLED, SLOW_WORK_S, Hand, Tree, expected_of

from trunkline.catalog.work import jobs as job_rows
from trunkline.errors import Aborted
from trunkline.model.jobs import JobState
from trunkline.model.names import Job
from trunkline.model.specs import PipelineSpec
from trunkline.pfs import outputs
from trunkline.pps.egress import pushing
from trunkline.testing.inline import Killed


class Story(Spouting):
    """What happens from one seed. `trace` says it, in words without ids: the same seed tells the same."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.trace: list[str] = [self.shape]
        self.ended: dict[int, tuple] = {}

    # --- the frame

    def play(self, steps: int, *, rest: bool = True, mend: bool = True) -> list[str]:
        """Let things happen, and look at everything after each.

        rest: then they come to rest, and each job must have ended as it should. mend: before that, what is wrong with
        the data is put right, and the last job has to succeed.
        """
        try:
            with patch.object(pushing, "send", self.receive):
                for _ in range(steps):
                    self.step()
                if rest:
                    self.rest(mend)
                    self.look_back(mend)
        except BaseException as error:
            error.add_note("\n".join(self.trace))
            raise
        finally:
            self.world.files.store.close()
            assert self.world.kept is not None
            self.world.kept.forget()
        return self.trace

    def step(self) -> None:
        """One thing happens."""
        possible = {**DEEDS, **(OF_SPOUTS if self.shape == "spouting" else {})}
        deeds, weights = zip(*possible.items(), strict=True)
        deed = self.chance.choices(deeds, weights)[0]
        try:
            said = deed(self)
        except Killed:
            self.world.die()
            said = "and the server died of it"
            for _ in range(2):
                self.hire()
        self.trace.append(f"{deed.__name__} {said}: {self.digest()}")
        self.look()

    # --- what must hold

    def look(self) -> None:
        """After each step: rows are in one place each, counters add up, and what has ended stays as it ended."""
        for row in self.world.rows(LEDGER):
            seq, phase, gen, total, counted, open_, placed = row
            if phase not in ("running", "waiting", "assembling"):
                continue
            assert total == counted, f"job {seq}: {total} datums, {counted} counted"
            ranges = self.world.rows(RANGES.format(seq, gen))
            assert [first for first, _, _ in ranges] == [0, *(last for _, last, _ in ranges)][: len(ranges)], ranges
            assert (ranges[-1][1] if ranges else 0) == placed, f"job {seq}: {ranges} of {placed}"
            assert sum(last - first for first, last, held in ranges if held) == open_, f"job {seq}: {ranges}"
        if self.shape == "served":
            serving = self.world.rows("SELECT DISTINCT job FROM claims WHERE NOT finish")
            assert len(serving) < 2, f"jobs {serving} of one service run at the same time"
        ended = {row[0]: row for row in self.world.rows(ENDED)}
        for seq, row in self.ended.items():
            assert seq not in ended or ended[seq] == row, f"job {seq} had ended as {row}, now {ended[seq]}"
        self.ended = ended

    def rest(self, mend: bool) -> None:
        """No more faults: everybody else is gone, one good worker stays, and what is wrong with the data is mended."""
        assert self.world.kept is not None
        self.reachable = 1.0
        self.world.die()
        if self.stopped():
            self.pause()
        if self.shape == "spouting" and self.head() == OPEN:
            self.finish()
        self._come_to_rest()
        if not mend:
            return
        self.world.put(dict.fromkeys(NAMES) | {"/z": b"z"})
        self._come_to_rest()

    def _come_to_rest(self) -> None:
        """A good worker does what is left. Ticks come first, so that nobody else holds anything."""
        good = Hand(self.world, f"good{self.hired}")
        for _ in range(SETTLED):
            if not self.world.rows("SELECT 1 FROM jobs WHERE phase <> 'ended' LIMIT 1"):
                return
            if self.serve() or self._does(good):
                continue
            self.world.clock.advance(SLOW_WORK_S)  # work that failed is tried again later
            self.world.pps.leases.tick()
        raise AssertionError("jobs do not end")

    def _does(self, good: Hand) -> bool:
        if good.handed is None and not self.world.rows("SELECT 1 FROM claims LIMIT 1"):
            return False
        try:
            return good.work()
        except Aborted:
            return True

    def look_back(self, mended: bool) -> None:
        """Each job ended in the state it should, with the bytes it should; the last one well."""
        told = self.world.jobs("edges")
        assert not mended or told[0].state is JobState.SUCCESS, told[0]
        for job in told:
            if job.state is JobState.SUCCESS:
                done = job.data_processed + job.data_skipped + job.data_recovered + job.data_failed
                assert job.data_total == done, job
                self._look_at_output(job.output_commit.id, self.spec(job.version))
            else:
                assert job.reason, job
        self.world.check()

    def _look_at_output(self, job: str, spec: PipelineSpec) -> None:
        world = self.world
        row = world.files.catalog.read(lambda tx: job_rows.find_job(tx, Job(EDGES, job)))
        assert row is not None
        if world.rows(f"SELECT forgotten_us FROM commits WHERE seq = {row.output_commit}")[0][0] is not None:
            return
        inputs = world.files.catalog.read(
            lambda tx: {
                one.commit.repo.name: outputs.content_filesets(tx, one.seq)
                for one in outputs.inputs_of(tx, row.output_commit)
                if one.commit.repo.type == "user"
            }
        )
        trees = {name: self._tree(filesets) for name, filesets in inputs.items()}
        found = self._tree(world.files.catalog.read(lambda tx: outputs.content_filesets(tx, row.output_commit)))
        expected = expected_of(spec, trees)
        if spec.service is not None and not found and row.seq != world.rows("SELECT max(seq) FROM jobs")[0][0]:
            return  # newer data came while no worker had it
        assert found == expected, f"job {row.seq} wrote {found} and not {expected}"
        if spec.egress is not None:
            sent = self.outside.get(row.output_commit)
            assert sent == found, f"job {row.seq} sent {sent} and not {found}"

    def _tree(self, filesets: object) -> Tree:
        view = self.world.files.view(tuple(filesets))  # type: ignore[arg-type, call-overload]
        return {one.path: one.bytes() for one in view.contents("/")}


LEDGER = (
    "SELECT seq, phase, gen, total, processed + failed + recovered + skipped + open + undecided, open, placed FROM jobs"
)
RANGES = (
    "SELECT first, last, 0 FROM reports WHERE job = {0} AND gen = {1} "
    "UNION ALL SELECT done, last, 1 FROM claims WHERE job = {0} AND gen = {1} ORDER BY 1, 2"
)
ENDED = (
    "SELECT seq, state, total, processed, failed, recovered, skipped, reason, finished_us FROM jobs "
    "WHERE phase = 'ended'"
)
