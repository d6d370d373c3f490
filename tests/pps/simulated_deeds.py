"""What can happen in a simulated story, and how often it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pps_world import cross, glob
from simulated_world import BYTES, DATA, EDGES, HOUR_S, NAMES, OPEN, SETTLED, Cast, Hand

from trunkline.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import MASTER, Branch, Repo
from trunkline.model.specs import PipelineSpec, Spout, Transform
from trunkline.model.specs.spec import Own
from trunkline.pfs.finisher import finish_one
from trunkline.pfs.graph import commits, removal
from trunkline.pps import claims, jobs, pipelines
from trunkline.pps.claims import LEASE_TICKS, Renewal, Report
from trunkline.pps.standing import states


class Deeds(Cast):
    """One method each; it answers in words what came of it."""

    # --- what workers do

    def _someone(self) -> Hand:
        return self.chance.choice(self.workers)

    def work(self) -> str:
        """A worker does what a good one does: takes a range, runs some of it, and says so."""
        hand = self._someone()
        if hand.held is not None:
            return self.come_back(hand)
        if hand.handed is None:
            return f"{hand.name} {self._claim(hand)}"
        if self._run(hand, self.chance.choice((1, 2, None))):
            return self.come_back(hand)
        return f"{hand.name} finds its input deleted"

    def _run(self, hand: Hand, count: int | None) -> bool:
        """Let a worker run something; false where its input has been deleted, and then its claim must have been."""
        try:
            hand.held = hand.prepare(count)
        except Aborted:
            assert hand.handed is not None
            claim = hand.handed.leased.claim.id
            assert not self.world.rows(f"SELECT 1 FROM claims WHERE id = '{claim}' AND worker = '{hand.name}'")
            hand.handed = None
            return False
        return True

    def hang(self) -> str:
        """A worker has run something, and nobody hears of it until it comes back."""
        hand = self._someone()
        if hand.handed is None or hand.held is not None:
            return f"{hand.name} has nothing"
        return f"{hand.name} {self._run(hand, self.chance.choice((1, None)))}"

    def _claim(self, hand: Hand) -> str:
        try:
            return "claims" if hand.claim() else "finds nothing"
        except Aborted:
            self.workers.remove(hand)
            self.hire()
            return "has lost its session"

    def come_back(self, hand: Hand | None = None) -> str:
        """A worker sends what it has held back, however late."""
        hand = hand or self._someone()
        if hand.held is None:
            return f"{hand.name} has nothing"
        report, hand.held = hand.held, None
        hand.sent = report
        said = self._send(hand, report)
        assert "yet" not in said
        return f"{hand.name} {said}"

    def twice(self) -> str:
        """A worker that did not hear the answer says the same again: that must not count."""
        hand = self._someone()
        if hand.sent is None:
            return f"{hand.name} has said nothing"
        before = self.digest()
        try:
            said = self._send(hand, hand.sent, again=True)
        finally:
            hand.handed = None
        assert self.digest() == before, said
        return f"{hand.name} {said}"

    def _send(self, hand: Hand, report: Report, *, again: bool = False) -> str:
        """Send a report; it counts exactly where the claim is this worker's, its session open, and its range right."""
        row = self._row_of(report)
        before, counts = self.digest(), row is not None and row[2] < report.done <= row[3]
        try:
            hand.send(report)
        except (Aborted, InvalidArgument):
            if counts:
                raise
            hand.handed = None
            return "is refused" if self.digest() == before else "is refused, and yet something happened"
        if not counts:
            assert row is not None
            assert report.done > row[3]
            hand.handed = None
            return "went too far"
        assert not again
        assert row is not None
        rows = {(row[0], row[1], position) for position in range(row[2], report.done)}
        assert not rows & self.counted, "a row counts twice"
        self.counted |= rows
        return f"reports to {report.done}"

    def _row_of(self, report: Report) -> tuple | None:
        """Job, generation, done and end of the claim that a report is of, if it is still its worker's."""
        found = self.world.rows(
            "SELECT c.job, c.gen, c.done, c.last FROM claims c JOIN sessions s ON s.gen = c.session AND s.open "
            f"WHERE c.id = '{report.claim}' AND c.worker = '{report.worker}' AND c.fence = {report.fence} "
            f"AND s.gen = {report.gen}"
        )
        return found[0] if found else None

    def renew(self) -> str:
        """A worker gives a sign of life, and says which datum it runs."""
        hand = self._someone()
        if hand.handed is None:
            return f"{hand.name} has nothing"
        claim = hand.handed.leased.claim
        row = self.chance.choice((None, min(hand.at, claim.last - 1)))
        told = self.world.pps.leases.renew(hand.name, hand.session.gen, [Renewal(claim.id, claim.fence, row)])
        return f"{hand.name} at {row}, hears {[type(one).__name__ for one in told]}"

    def vanish(self) -> str:
        """A worker ends, and whoever watches it says so: by itself, or because we ended it."""
        hand = self.workers.pop(self.chance.randrange(len(self.workers)))
        counts = self.chance.random() < 0.5
        self.world.files.catalog.transact(lambda tx: claims.worker_gone(tx, hand.name, "killed", counts=counts))
        return f"{hand.name} {'to blame' if counts else ''}, {self.hire()} comes"

    def give_back(self) -> str:
        """A worker can do nothing with its range, or with what it has run of it; nothing counts, and it is no death."""
        hand = self._someone()
        if hand.handed is None:
            return f"{hand.name} has nothing"
        claim, hand.handed, hand.held = hand.handed.leased.claim, None, None
        deaths = self.world.rows("SELECT count(*) FROM datum_deaths")
        try:
            self.world.files.catalog.transact(
                lambda tx: claims.give_back(tx, hand.name, claim.id, claim.fence, "the disk is full")
            )
        except Aborted:
            return f"{hand.name} is refused"
        assert self.world.rows("SELECT count(*) FROM datum_deaths") == deaths
        assert not self.world.rows(f"SELECT 1 FROM claims WHERE id = '{claim.id}' AND worker IS NOT NULL")
        return f"{hand.name} {claim.job}"

    # --- what time does

    def tick(self) -> str:
        """A second passes for leases; sometimes more than one lasts."""
        count = self.chance.choice((1, 1, 1, LEASE_TICKS + 2))
        for _ in range(count):
            self.world.clock.advance(1)
            self.world.pps.leases.tick()
        return str(count)

    def clock(self) -> str:
        """The clock is set, by an hour; or time passes."""
        seconds = self.chance.choice((-HOUR_S, HOUR_S, 2.0, 30.0))
        (self.world.clock.step if abs(seconds) == HOUR_S else self.world.clock.advance)(seconds)
        return str(seconds)

    # --- what the server does

    def hear(self) -> str:
        """News, one piece of slow work, or one commit finished."""
        controller, files = self.world.controller, self.world.files
        what = self.chance.randrange(5)
        if what == 0:
            return f"news {not controller._listen()}"
        if what < 3:
            return f"labour {not controller._labour()}"
        if what == 3:
            return f"sends {not controller._labour(sends=True)}"
        seqs = [row[0] for row in self.world.rows("SELECT seq FROM commits WHERE state = 'FINISHING' ORDER BY seq")]
        for seq in seqs[:1]:
            finish_one(files, seq)
        return f"finish {seqs[:1]}"

    def server(self) -> str:
        """All that the server has to do is done."""
        for _ in range(SETTLED):
            if not self.serve():
                return "is at rest"
        raise AssertionError("the server does not come to rest")

    def kill(self) -> str:
        """The server will be killed soon, before or after it commits something."""
        at, after = self.chance.randrange(1, 9), self.chance.random() < 0.5
        assert self.world.kept is not None
        self.world.kept.kill_at(at, after=after)
        return f"at {at} {after}"

    # --- what people do

    def put(self) -> str:
        """Some files change."""
        changed = {self.chance.choice(NAMES): self.chance.choice(BYTES) for _ in range(self.chance.randrange(1, 4))}
        self.world.put(changed)
        return str(changed)

    def put_beside(self) -> str:
        """The other repo changes."""
        self.world.put({"/s": self.chance.choice((b"s", b"t"))}, "side")
        return ""

    def stop_job(self) -> str:
        """The newest job is stopped."""
        found = self.world.jobs("edges")[:1]
        for one in found:
            self.world.files.catalog.transact(lambda tx, job=one.job: jobs.stop_job(tx, job))
        return str(len(found))

    def delete_job(self) -> str:
        """Some job is deleted."""
        found = self.world.jobs("edges")
        if not found:
            return "none"
        at = self.chance.randrange(len(found))
        self.world.files.catalog.transact(lambda tx: jobs.delete_job(tx, found[at].job))
        return f"the last but {at}"

    def update(self) -> str:
        """The pipeline has a new version: another glob, another failing, or all anew."""
        spec = self.spec()
        pattern = "/" if spec.service else self.chance.choice(("/*", "/*", "/", "/**/*"))
        reprocess = self.chance.random() < 0.3
        side = self.chance.random() < 0.3
        new = replace(
            spec,
            input=cross(glob(pattern), glob("/", "side")) if side else glob(pattern),
            own=Own(on_failure=self.chance.choice(("fail", "skip"))),
            every_job=self.chance.random() < 0.1,
        )
        self.world.files.change(
            lambda change: pipelines.create_pipeline(change, new, "{}", update=True, reprocess=reprocess)
        )
        return f"{pattern} {side} {new.own.on_failure} {reprocess} {new.every_job}"

    def pause(self) -> str:
        """The pipeline is stopped, or started if it is."""
        act = pipelines.start_pipeline if self.stopped() else pipelines.stop_pipeline
        self.world.files.change(lambda change: act(change, EDGES))
        return act.__name__

    def rewrite(self) -> str:
        """Something is taken out of history, where that is allowed."""
        kind = self.chance.choice(("squash", "drop", "forget"))
        ref = f"master{'^' * self.chance.randrange(3)}"

        def work(change: object) -> None:
            if kind == "forget":
                removal.forget_commit(change, Repo("default", "edges"), ref)  # type: ignore[arg-type]
            else:
                act = removal.squash_commit if kind == "squash" else removal.drop_commit
                act(change, Repo("default", "data"), ref, recursive=True)  # type: ignore[arg-type]

        try:
            self.world.files.change(work)
        except (FailedPrecondition, NotFound) as error:
            return f"{kind} {ref} is refused: {type(error).__name__}"
        return f"{kind} {ref}"

    def another(self) -> str:
        """One more worker comes."""
        return self.hire()


class Spouting(Deeds):
    """What a spout does where the files come from one, and what becomes of it."""

    def begin(self) -> str:
        """Its code begins a commit, and writes some of it."""
        if self.head() == OPEN:
            return "has begun one"
        self.world.files.change(lambda change: commits.start_commit(change, Branch(DATA.output, MASTER)))
        self.world.put({"/a": self.chance.choice(BYTES[:3])})
        return ""

    def finish(self) -> str:
        """Its code finishes the commit."""
        if self.head() != OPEN:
            return "has begun none"
        self.world.files.change(lambda change: commits.finish_commit(change.tx, DATA.output, MASTER))
        return ""

    def runs(self) -> str:
        """Its worker says how it does. A commit that is open when the code ends is closed, and failed."""
        running = self.chance.random() < 0.3
        stopped = self.stopped(DATA)
        self.world.files.catalog.transact(lambda tx: states.tell(tx, DATA, 0, running=running, reason="exit 3"))
        assert running or stopped or self.head() != OPEN
        return str(running)

    def pause_spout(self) -> str:
        """It is stopped, or started if it is; what it has begun and not finished has failed."""
        act = pipelines.start_pipeline if self.stopped(DATA) else pipelines.stop_pipeline
        self.world.files.change(lambda change: act(change, DATA))
        assert act is pipelines.start_pipeline or self.head() != OPEN
        return act.__name__

    def update_spout(self) -> str:
        """It has other code."""
        spec = PipelineSpec(DATA, Transform(cmd=("run", str(self.chance.random()))), None, spout=Spout())
        self.world.files.change(lambda change: pipelines.create_pipeline(change, spec, "{}", update=True))
        return ""


OF_SPOUTS: dict[Callable[[Spouting], object], int] = {
    Spouting.begin: 8,
    Spouting.finish: 8,
    Spouting.runs: 5,
    Spouting.pause_spout: 2,
    Spouting.update_spout: 2,
}
DEEDS: dict[Callable[[Deeds], object], int] = {
    Deeds.work: 24,
    Deeds.hang: 4,
    Deeds.come_back: 4,
    Deeds.twice: 3,
    Deeds.renew: 5,
    Deeds.vanish: 3,
    Deeds.give_back: 2,
    Deeds.another: 1,
    Deeds.tick: 5,
    Deeds.clock: 2,
    Deeds.hear: 12,
    Deeds.server: 10,
    Deeds.kill: 3,
    Deeds.put: 6,
    Deeds.put_beside: 1,
    Deeds.stop_job: 1,
    Deeds.delete_job: 1,
    Deeds.update: 2,
    Deeds.pause: 1,
    Deeds.rewrite: 2,
}
