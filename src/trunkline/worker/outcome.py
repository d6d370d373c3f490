"""What becomes of a datum after its attempts, and why, in words a user can act on. Pure."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.worker.ports import State, Step
from trunkline.worker.runner import Exited

_TAIL_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. `ended`: of cmd; None if the worker's agent died. `err`: of err_cmd, if it ran.

    complaint: what was wrong with its output, or with the agent; "" if nothing. tail: the last lines it wrote.
    note: what else there is to say, of an end that was not good above all: that there was no room.
    """

    ended: Exited | None
    err: Exited | None = None
    complaint: str = ""
    tail: tuple[str, ...] = ()
    note: str = ""


@dataclass
class Timing:
    """When a datum began, where its time went, in seconds, and what its code used. fed_bytes: of lazy inputs."""

    began_us: int
    process_s: float = 0.0
    upload_s: float = 0.0
    cpu_us: int = 0
    memory_bytes: int = 0
    fed_bytes: int = 0

    def add(self, ended: Exited) -> None:
        """Count what an execution used."""
        self.cpu_us += ended.user_us + ended.system_us
        self.memory_bytes = max(self.memory_bytes, ended.max_rss_bytes)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The datum's state and the reason for it."""

    state: State
    reason: str


def accepted(step: Step, ended: Exited) -> bool:
    """Whether a command ended well: code 0 or one of `accept_return_code`, by itself and in time."""
    return ended.code is not None and (ended.code == 0 or ended.code in step.accept_return_code)


def judge(step: Step, attempts: Sequence[Attempt], deaths: int = 0) -> Verdict | None:
    """The verdict after these attempts; None: try once more.

    deaths: attempts that already took a worker with them, counted like any other; err_cmd does not run for those.
    """
    tries = len(attempts) + deaths
    last = attempts[-1] if attempts else None
    if last and last.ended and accepted(step, last.ended) and not last.complaint:
        return Verdict(State.SUCCESS, "")
    if tries < max(1, step.datum_tries):
        return None
    if last is None:
        return Verdict(State.FAILED, f"the worker died {_times(deaths)} while running this datum")
    reason = _plain(_reason(step, last, tries))
    if last.err and accepted(step, last.err) and last.ended:
        return Verdict(State.RECOVERED, f"recovered by err_cmd: {reason}")
    return Verdict(State.FAILED, reason)


def _reason(step: Step, last: Attempt, tries: int) -> str:
    after = f" after {tries} tries" if tries > 1 else ""
    if last.ended is None:
        return f"the worker died while running this datum{after} ({last.complaint})"
    if last.ended.not_started is not None:
        return last.ended.not_started
    if last.complaint and accepted(step, last.ended):
        return last.complaint
    if last.ended.timed_out and tries > 1:
        after = f" in the last of {tries} tries"
    text = _end(step, last.ended) + after + (f"; {last.note}" if last.note else "")
    if last.err and not accepted(step, last.err):
        text += f"; err_cmd: {last.err.not_started or _end(step, last.err)}"
    if last.tail:
        text += "; last lines: " + " ⏎ ".join(last.tail)[-_TAIL_CHARACTERS:]
    return text


def doubts(last: Attempt) -> list[str]:
    """What the log is to say of an attempt that went well: code often does not notice that a disk is full."""
    return [f"{last.note}; the code ended well all the same, and its output may be cut off"] if last.note else []


def describe(step: Step, last: Attempt) -> str:
    """How an attempt ended, with its last lines."""
    return _plain(_reason(step, last, 1) if last.ended is None or last.ended.code != 0 else _clean_end(last))


def _plain(text: str) -> str:
    """What code writes may hold zero bytes, which no text of a database may."""
    return text.replace("\0", "␀")


def _clean_end(last: Attempt) -> str:
    return "exit 0" + ("; last lines: " + " ⏎ ".join(last.tail)[-_TAIL_CHARACTERS:] if last.tail else "")


def _end(step: Step, ended: Exited) -> str:
    if ended.timed_out:
        return f"timed out after {_span(step.timeout_us)}"
    if ended.over_memory:
        return f"memory limit {step.limits.memory} exceeded"
    if ended.signal == signal.SIGXFSZ and step.limits.disk_bytes:
        return f"disk limit {step.limits.disk} exceeded"
    if ended.signal is not None:
        memory = ": the machine ran out of memory" if ended.out_of_memory else ""
        return f"killed by {signal_words(ended.signal)}{memory}"
    return f"exit {ended.code}"


def signal_words(number: int) -> str:
    """A signal, as `signal 9 (SIGKILL)`."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    return f"signal {number} ({name})"


def _span(us: int) -> str:
    """As a spec would write it: 90000000 is 1m30s."""
    seconds = us / 1e6
    if seconds < 60:
        return f"{seconds:g}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") + (f"{rest}s" if rest else "")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
