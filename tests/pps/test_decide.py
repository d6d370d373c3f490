"""The job machine against every order of events: no news is lost, no row runs twice, every job ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.model.jobs import JobState
from trunkline.pps import events as ev
from trunkline.pps.decide import JobCore, Phase, decide, fits
from trunkline.pps.events import Do, Ending, Instruction, JobEvent, Work

ROWS = 4


@dataclass
class Row:
    """One job of the world, and what became of its rows."""

    core: JobCore
    rows: dict[int, str] = field(default_factory=dict)  # row -> run, skip, undecided
    placed: list[int] = field(default_factory=list)
    claims: list[list[int]] = field(default_factory=list)
    slow: dict[Work, Do] = field(default_factory=dict)
    reported: list[int] = field(default_factory=list)
    table: bool = False
    assembled_on: int | None = None


class World:
    """Jobs of one pipeline, each the child of the one before, driven as the catalog and the controller would."""

    def __init__(self, count: int) -> None:
        self.jobs = {seq: Row(JobCore()) for seq in range(1, count + 1)}

    def feed(self, seq: int, event: JobEvent) -> bool:
        """As `machine.feed`."""
        waiting = [(seq, event)]
        answer = None
        while waiting:
            key, what = waiting.pop(0)
            row = self.jobs[key]
            fit = fits(row.core, what)
            answer = fit if answer is None else answer
            row.core, told = decide(row.core, what)
            for instruction in told:
                waiting += self.obey(key, row, instruction)
            self.check(row)
        return bool(answer)

    def obey(self, seq: int, row: Row, instruction: Instruction) -> list[tuple[int, JobEvent]]:
        """The quick instructions, and the slow ones put by."""
        children = [key for key, other in self.jobs.items() if other.core.base == seq and not other.core.over]
        match instruction:
            case ev.ChooseBase(gen, older_than):
                return [(seq, self.choose(seq, gen, older_than))]
            case ev.Open(first, last):
                row.claims.append(list(range(first, last)))
            case ev.CloseClaims():
                row.claims.clear()
            case ev.SetAside(row=position):
                row.reported.append(position)
                row.claims = [[p for p in claim if p != position] for claim in row.claims]
            case ev.TellPlanned():
                return [(key, ev.BasePlanned(seq)) for key in children]
            case ev.TellEnded(ending):
                return [(key, ev.BaseEnded(seq, ending)) for key in children]
            case Do(work=work):
                row.slow[work] = instruction
        return []

    def choose(self, seq: int, gen: int, older_than: int | None) -> ev.BaseChosen:
        """As `machine._choose_base`."""
        for key in range(min(seq, older_than or seq) - 1, 0, -1):
            other = self.jobs[key]
            if other.core.over and other.core.state is JobState.SUCCESS:
                return ev.BaseChosen(gen, key, True, Ending.GOOD)
            if not other.core.over and other.core.phase is not Phase.INPUTS:
                return ev.BaseChosen(gen, key, other.table)
        return ev.BaseChosen(gen, None)

    def check(self, row: Row) -> None:
        """What must always hold of a job."""
        core = row.core
        assert core.open >= 0
        assert core.undecided >= 0
        if core.phase in (Phase.RUNNING, Phase.WAITING):
            assert core.open == sum(len(claim) for claim in row.claims)
            assert (
                core.total == core.processed + core.failed + core.recovered + core.skipped + core.open + core.undecided
            )
        if core.phase is Phase.RUNNING and not core.open:
            assert core.settling

    def work(self, seq: int, work: Work, split: int) -> None:
        """Obey a slow instruction, as it stands when its time comes."""
        row = self.jobs[seq]
        do = row.slow.pop(work, None)
        if do is None:
            return
        base = self.jobs[do.base] if do.base is not None else None
        ended = base is not None and base.core.over
        match work:
            case Work.PLAN:
                known = split if base is not None else 0
                good = base is not None and base.core.state is JobState.SUCCESS
                kinds = ["skip" if good else "undecided"] * known + ["run"] * (ROWS - known)
                event = ev.Planned(do.gen, kinds.count("run"), kinds.count("undecided"), kinds.count("skip"))
                if fits(row.core, event):
                    row.rows = dict(enumerate(kinds))
                    row.placed = [key for key, kind in row.rows.items() if kind == "run"]
                    row.reported.clear()
                    row.table = True
                self.feed(seq, event)
            case Work.SETTLE:
                left = [key for key, kind in row.rows.items() if kind == "undecided"]
                known = 0 if base is None else min(split, len(left))
                good = base is not None and base.core.state is JobState.SUCCESS
                skip = left[:known] if ended and good else []
                run = left[known:] if base is not None and not ended else left[len(skip) :]
                settled = ev.Settled(do.gen, do.base, len(run), len(skip))
                if fits(row.core, settled):
                    assert not set(run) & set(row.placed), "a row was placed twice"
                    row.placed += run
                    row.rows.update(dict.fromkeys(run, "run") | dict.fromkeys(skip, "skip"))
                self.feed(seq, settled)
            case Work.ASSEMBLE:
                row.assembled_on = do.base
                self.feed(seq, ev.Assembled(do.gen))
            case Work.FINISH:
                self.feed(seq, ev.CommitFinished(do.error))


STEPS = st.tuples(
    st.sampled_from(["inputs", "slow", "range", "lost", "stop", "restart", "fail", "ours"]),
    st.integers(1, 4),
    st.integers(0, ROWS),
)


def step(world: World, kind: str, seq: int, number: int) -> None:
    """One thing that may happen."""
    row = world.jobs.get(seq)
    if row is None:
        return
    gen = row.core.gen
    if kind == "inputs":
        world.feed(seq, ev.InputsReady())
    elif kind == "slow" and row.slow:
        world.work(seq, sorted(row.slow, key=lambda work: work.value)[number % len(row.slow)], number)
    elif kind in ("range", "fail"):
        claim = next((claim for claim in row.claims if claim), None)
        if claim:
            done, claim[:] = claim[: max(1, number)], claim[max(1, number) :]
            row.reported += done
            world.feed(seq, ev.RangeDone(gen, len(done), failed=1 if kind == "fail" else 0))
    elif kind == "lost":
        claim = next((claim for claim in row.claims if claim), None)
        if claim:
            world.feed(seq, ev.RangeLost(gen, "c", claim[0], number, 3, "killed"))
    elif kind == "stop" and number < 2:
        world.feed(seq, ev.Stop("stopped", failed=number == 1))
    elif kind == "restart":
        world.feed(seq, ev.Restarted())
    elif kind == "ours" and row.slow:
        do = row.slow[sorted(row.slow, key=lambda work: work.value)[0]]
        world.feed(seq, ev.WorkFailed(do.gen, do.work, "disk full"))


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60), st.integers(1, 4))
def test_any_order_of_events_ends_and_runs_each_row_once(steps: list[tuple[str, int, int]], count: int) -> None:
    world = World(count)
    for seq in world.jobs:
        world.feed(seq, ev.Seen())
    for kind, seq, number in steps:
        step(world, kind, seq, number)
    for _ in range(60):  # let everything that waits happen
        for seq in list(world.jobs):
            for kind in ("inputs", "slow", "range"):
                step(world, kind, seq, 2)
    for row in world.jobs.values():
        assert row.core.over, row.core
        assert len(row.reported) == len(set(row.reported))
        if row.core.state is JobState.SUCCESS:
            assert "undecided" not in row.rows.values()
            assert len(row.reported) == len(row.placed)
            skipped = [key for key, kind in row.rows.items() if kind == "skip"]
            base = row.assembled_on
            assert not skipped or (base is not None and world.jobs[base].core.state is JobState.SUCCESS)


def test_a_base_that_ended_before_the_answer_is_stored_is_not_waited_for() -> None:
    world = World(2)
    for seq in (1, 2):
        world.feed(seq, ev.Seen())
    world.feed(1, ev.InputsReady())
    world.feed(1, ev.Stop("stopped"))
    world.feed(2, ev.InputsReady())
    assert world.jobs[2].core.base == 1
    world.work(1, Work.FINISH, 0)
    assert world.jobs[2].core.base is None
    assert world.jobs[2].core.phase is Phase.PLANNING


def test_a_job_without_ready_inputs_is_passed_over() -> None:
    world = World(2)
    for seq in (1, 2):
        world.feed(seq, ev.Seen())
    world.feed(2, ev.InputsReady())
    assert world.jobs[2].core.phase is Phase.PLANNING
    assert world.jobs[2].core.base is None
