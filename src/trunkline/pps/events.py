"""What a job can be told, and what it can ask for. Plain values; the rules are in `decide`.

Results of slow work carry the generation `gen` that asked for it: a job that was stopped meanwhile has another one, and
ignores them. Counts are of rows of the job's datum table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

JobKey = int
"""A job's number in the catalog; older jobs have lower ones."""


class Ending(Enum):
    """How a base job ended: with content that others may build on, or not (failed, killed, removed)."""

    GOOD = "good"
    BAD = "bad"


class Work(Enum):
    """The slow instructions, by name."""

    PLAN = "plan"
    SETTLE = "settle"
    ASSEMBLE = "assemble"
    EGRESS = "egress"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Seen:
    """The controller has taken notice of the job."""


@dataclass(frozen=True, slots=True)
class InputsReady:
    """Every input commit is finished without error."""


@dataclass(frozen=True, slots=True)
class InputsFailed:
    """Some input commits have errors. names: what went wrong upstream, for people."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BaseChosen:
    """The answer to `ChooseBase`, as true in the transaction that stores it. base None: build on nothing."""

    gen: int
    base: JobKey | None
    planned: bool = False
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class BasePlanned:
    """A job has its datum table; those that wait for it as their base may plan."""

    base: JobKey


@dataclass(frozen=True, slots=True)
class BaseEnded:
    """A job that others have as base has ended."""

    base: JobKey
    ending: Ending


@dataclass(frozen=True, slots=True)
class Planned:
    """The datum table stands."""

    gen: int
    run: int
    undecided: int = 0
    skipped: int = 0
    adopted: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """Undecided rows were decided against `base`."""

    gen: int
    base: JobKey | None
    run: int
    skipped: int = 0
    adopted: int = 0


@dataclass(frozen=True, slots=True)
class WorkFailed:
    """An instruction of ours could not be obeyed: an error of the system, not of user code.

    lasting: what was asked for can never be done, so there is no use in trying again.
    """

    gen: int
    work: Work
    why: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class RangeDone:
    """A prefix of a claim was reported and adopted. done counts all rows in it, the failed and recovered ones too."""

    gen: int
    done: int
    failed: int = 0
    recovered: int = 0
    first_failed: str = ""


@dataclass(frozen=True, slots=True)
class RangeLost:
    """A worker died or fell silent. row: the datum that ran then, or None; deaths: of that row, this included."""

    gen: int
    claim: str
    row: int | None
    deaths: int
    tries: int
    why: str


@dataclass(frozen=True, slots=True)
class RangeGivenBack:
    """A worker can do nothing with a claim, and no code is to blame. why: for people.

    waits: ranges of the job are held back already: this is the same trouble, heard of from one more worker.
    """

    gen: int
    claim: str
    why: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Assembled:
    """The output is complete. error: why it cannot be the content of a good commit, or empty.

    to: where it is to be sent, for people; empty when it is not.
    """

    gen: int
    error: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class EgressDone:
    """The output was sent."""

    gen: int


@dataclass(frozen=True, slots=True)
class EgressHeld:
    """An older job of the pipeline, so named, has to be done first: what was sent last must be the newest."""

    gen: int
    older: str


@dataclass(frozen=True, slots=True)
class EgressFailed:
    """A try to send the output failed. to: where; why: for people."""

    gen: int
    to: str
    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A person, an update or a deletion ends the job. reason: for people. failed: it is to count as failed."""

    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Deadline:
    """The job's time is up."""

    reason: str


@dataclass(frozen=True, slots=True)
class CommitGone:
    """The job's output commit was dropped."""


@dataclass(frozen=True, slots=True)
class CommitFinished:
    """The output commit is finished. error: its error, or empty."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class Restarted:
    """The controller has started again and may have lost what it was doing."""


JobEvent = (
    Seen
    | InputsReady
    | InputsFailed
    | BaseChosen
    | BasePlanned
    | BaseEnded
    | Planned
    | Settled
    | WorkFailed
    | RangeDone
    | RangeLost
    | RangeGivenBack
    | Assembled
    | EgressDone
    | EgressHeld
    | EgressFailed
    | Stop
    | Deadline
    | CommitGone
    | CommitFinished
    | Restarted
)


@dataclass(frozen=True, slots=True)
class CheckInputs:
    """Look whether the input commits are finished, in this transaction."""


@dataclass(frozen=True, slots=True)
class ChooseBase:
    """Find the nearest job to build on, in this transaction. older_than: only before that one."""

    gen: int
    older_than: JobKey | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """Let workers claim these rows: positions [first, last) of the job's order of running."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Reopen:
    """Let another worker claim the rest of a lost claim; halve: two of them, since nobody knows which datum kills."""

    claim: str
    halve: bool


@dataclass(frozen=True, slots=True)
class HoldBack:
    """Let another worker claim the rest of a claim, and whatever of the job nobody has, so many seconds from now."""

    claim: str
    seconds: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """Record the datum at this row as FAILED, since it ends its workers, and reopen the rest of its claim."""

    claim: str
    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class CloseClaims:
    """Nothing more of this job may be claimed or reported; tell the workers."""

    reason: str


@dataclass(frozen=True, slots=True)
class TellPlanned:
    """Send BasePlanned to every open job whose base this is."""


@dataclass(frozen=True, slots=True)
class TellEnded:
    """Send BaseEnded to every open job whose base this is."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Do:
    """Slow work, obeyed outside the transaction and struck out when its result is in.

    gen: the result must carry it. base: the job to plan, settle or assemble against. error: for FINISH, the error that
    the commits get. delay_s: wait this long first, after a failure.
    """

    work: Work
    gen: int
    base: JobKey | None = None
    error: str = ""
    delay_s: float = 0.0


Instruction = (
    CheckInputs | ChooseBase | Open | Reopen | HoldBack | SetAside | CloseClaims | TellPlanned | TellEnded | Do
)
