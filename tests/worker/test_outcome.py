"""Verdicts and their reasons, as a table."""

from __future__ import annotations

import pytest

from trunkline.worker.outcome import Attempt, Verdict, describe, judge
from trunkline.worker.ports import State, Step
from trunkline.worker.runner import Exited

OK, ONE, THREE = (Exited(code=code) for code in (0, 1, 3))
KILLED, OOM = Exited(signal=9), Exited(signal=9, out_of_memory=True)
LATE = Exited(signal=9, timed_out=True)
MISSING = Exited(not_started='command "nope" not found; looked in /bin')
LINK = "/pfs/out/x is a link to y, which does not exist"
FAILED, SUCCESS, RECOVERED = State.FAILED, State.SUCCESS, State.RECOVERED
ONCE, TWICE = {"datum_tries": 1}, {"datum_tries": 2}
CATCH = {"datum_tries": 1, "err_cmd": ("x",)}
ACCEPT = {"accept_return_code": frozenset({3})}
DIED = "the worker died while running this datum"


@pytest.mark.parametrize(
    ("spec", "attempts", "state", "reason"),
    [
        ({}, [Attempt(OK)], SUCCESS, ""),
        (ACCEPT, [Attempt(THREE)], SUCCESS, ""),
        ({}, [Attempt(ONE), Attempt(ONE), Attempt(OK)], SUCCESS, ""),
        (ONCE, [Attempt(ONE)], FAILED, "exit 1"),
        ({}, [Attempt(ONE)] * 3, FAILED, "exit 1 after 3 tries"),
        (ONCE, [Attempt(THREE, tail=("bad input", "giving up"))], FAILED, "exit 3; last lines: bad input ⏎ giving up"),
        (ONCE, [Attempt(KILLED)], FAILED, "killed by signal 9 (SIGKILL)"),
        (ONCE, [Attempt(OOM)], FAILED, "killed by signal 9 (SIGKILL): the machine ran out of memory"),
        ({**ONCE, "timeout_us": 5_000_000}, [Attempt(LATE)], FAILED, "timed out after 5s"),
        ({**ONCE, "timeout_us": 5_430_000_000}, [Attempt(LATE)], FAILED, "timed out after 1h30m30s"),
        ({}, [Attempt(MISSING)] * 3, FAILED, 'command "nope" not found; looked in /bin'),
        (ONCE, [Attempt(OK, complaint=LINK)], FAILED, LINK),
        (CATCH, [Attempt(ONE, OK)], RECOVERED, "recovered by err_cmd: exit 1"),
        (CATCH, [Attempt(ONE, THREE)], FAILED, "exit 1; err_cmd: exit 3"),
        ({**CATCH, **ACCEPT}, [Attempt(ONE, THREE)], RECOVERED, "recovered by err_cmd: exit 1"),
        ({**CATCH, **TWICE}, [Attempt(ONE, OK), Attempt(ONE, ONE)], FAILED, "exit 1 after 2 tries; err_cmd: exit 1"),
        (ONCE, [Attempt(None, complaint="it hung up")], FAILED, DIED + " (it hung up)"),
        (TWICE, [Attempt(ONE), Attempt(None, OK, "gone")], FAILED, DIED + " after 2 tries (gone)"),
    ],
)  # fmt: skip
def test_verdicts(spec: dict[str, object], attempts: list[Attempt], state: State, reason: str) -> None:
    assert judge(Step(("cmd",), **spec), attempts) == Verdict(state, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "attempt", [Attempt(ONE), Attempt(KILLED, OK), Attempt(MISSING), Attempt(None), Attempt(OK, complaint="x")]
)
def test_what_fails_is_tried_again_up_to_the_bound(attempt: Attempt) -> None:
    step = Step(("cmd",), datum_tries=3)
    assert judge(step, [attempt]) is None
    assert judge(step, [attempt] * 2) is None
    assert judge(step, [attempt] * 3) is not None


def test_deaths_of_workers_count_as_tries() -> None:
    step = Step(("cmd",), datum_tries=3, err_cmd=("true",))
    assert judge(step, [], deaths=2) is None
    assert judge(step, [], deaths=3) == Verdict(FAILED, "the worker died 3 times while running this datum")
    assert judge(step, [Attempt(ONE)], deaths=2) == Verdict(FAILED, "exit 1 after 3 tries")
    assert judge(step, [Attempt(OK)], deaths=2) == Verdict(SUCCESS, "")


def test_a_long_tail_is_cut() -> None:
    verdict = judge(Step(("cmd",), datum_tries=1), [Attempt(ONE, tail=("x" * 5000,))])
    assert verdict is not None
    assert len(verdict.reason) < 700


def test_no_reason_has_a_zero_byte() -> None:
    """Which no text of a database may have."""
    attempt = Attempt(Exited(code=1), tail=("half\0word",))
    verdict = judge(Step(("x",), datum_tries=1), [attempt])
    assert verdict is not None
    assert verdict.reason == "exit 1; last lines: half␀word"
    assert describe(Step(("x",)), attempt) == verdict.reason
