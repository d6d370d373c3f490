"""What a worker needs of the world, and the words it says it with. `app` fills the ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from trunkline.ambient import Micros
from trunkline.model.names import Job, Pipeline


@dataclass(frozen=True, slots=True)
class Element:
    """One file or directory of a datum: `path` (cleaned) in a commit of an input repo, shown as /pfs/<input><path>.

    hash: of its content, b"" if unknown; equal (path, hash) is equal content. empty_files: names without content.
    lazy: content is read when code opens a file; not where empty_files is set.
    s3: it is the whole commit, read through `Buckets`, and does not lie in /pfs. modified_us: when that was finished.
    """

    input: str
    project: str
    repo: str
    branch: str
    commit: str
    path: str
    hash: bytes = b""
    size_bytes: int = 0
    join_on: str = ""
    group_by: str = ""
    empty_files: bool = False
    is_dir: bool = False
    repo_type: str = "user"
    lazy: bool = False
    s3: bool = False
    modified_us: Micros = 0


@dataclass(frozen=True, slots=True)
class Datum:
    """Row `row` of the job's datum table. `deaths`: attempts on which a worker died before."""

    row: int
    id: str
    elements: tuple[Element, ...]
    deaths: int = 0


@dataclass(frozen=True)
class Image:
    """Where code runs: a registered folder by `digest`, with its variables; digest "": the host's own files.

    python, requirements: of the virtual environment to put first on PATH; both "": none.
    contained: in a container of an image that the engine has under this digest.
    """

    digest: str = ""
    name: str = ""
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = ""
    user: str = ""
    python: str = ""
    requirements: str = ""
    contained: bool = False


@dataclass(frozen=True)
class SecretFolder:
    """A secret as files, shown in the folder `path`."""

    path: str
    files: tuple[tuple[str, bytes], ...] = field(repr=False)


@dataclass(frozen=True)
class Limits:
    """What the code of a datum may use at most; 0: no limit. cpu: processors. memory, disk: as the spec has them.

    gpus: how many it is given; 0: none where it runs in a container, else all of this machine's.
    """

    memory_bytes: int = 0
    cpu: float = 0.0
    disk_bytes: int = 0
    memory: str = ""
    disk: str = ""
    gpus: int = 0


@dataclass(frozen=True)
class Step:
    """What a job runs for each datum; names and meaning as in a spec's `transform`. `timeout_us`: 0 for none.

    standing: it runs for ever. batching: it is started once and asks for its datums. batch_on: and goes on with those
    of the job's next claim. memory_volume: /pfs in memory.
    s3_out: what it puts into the bucket `out` is output too.
    """

    cmd: tuple[str, ...]
    stdin: tuple[str, ...] = ()
    err_cmd: tuple[str, ...] = ()
    err_stdin: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    accept_return_code: frozenset[int] = frozenset()
    working_dir: str = ""
    user: str = ""
    datum_tries: int = 3
    timeout_us: int = 0
    writable_inputs: bool = False
    image: Image = Image()
    code: str = ""
    secret_env: dict[str, bytes] = field(default_factory=dict, repr=False)
    secrets: tuple[SecretFolder, ...] = ()
    standing: bool = False
    batching: bool = False
    batch_on: bool = False
    limits: Limits = Limits()
    memory_volume: bool = False
    s3_out: bool = False


@dataclass(frozen=True)
class Claim:
    """A leased range of a job's datums: rows [first, last), renewed within `lease_us`."""

    id: str
    fence: int
    job: Job
    step: Step
    datums: Sequence[Datum]
    first: int
    last: int
    lease_us: int
    output_commit: str = ""
    spec_commit: str = ""


class State(Enum):
    """How a datum ended."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    RECOVERED = "RECOVERED"


@dataclass(frozen=True, slots=True)
class Result:
    """One datum's end: why (a sentence, "" on success), how often it was tried, and what it took. Times in µs.

    cpu_us: of all processes of all its tries; memory_bytes: the most that one of them held. 0: not known.
    """

    row: int
    id: str
    state: State
    reason: str
    tries: int
    began_us: int
    download_us: int = 0
    process_us: int = 0
    upload_us: int = 0
    download_bytes: int = 0
    upload_bytes: int = 0
    files: int = 0
    cpu_us: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop working on `claim`: nothing more of it is wanted."""

    claim: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restart:
    """End the running datums `rows` of `claim` and run them again."""

    claim: str
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """End the code of `claim`, which would run for ever, and report what it wrote."""

    claim: str


@dataclass(frozen=True, slots=True)
class Wake:
    """There may be something to claim."""


@dataclass(frozen=True, slots=True)
class Shorten:
    """Begin nothing of `claim` from row `last` on: another worker has that now. What runs already goes on."""

    claim: str
    last: int


@dataclass(frozen=True, slots=True)
class Retire:
    """`pipeline` was stopped, updated or deleted: what is kept ready for its code alone may go at once."""

    pipeline: Pipeline


Order = Cancel | Restart | Finish | Shorten | Wake | Retire


@dataclass(frozen=True, slots=True)
class LogSegment:
    """Some log lines of one claim, in the order written: JSON, one object a line (docs/formats/logs.md)."""

    claim: str
    first_us: int
    last_us: int
    lines: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Fetched:
    """A regular file of element number `element`, `path` in its repo; `data` its bytes, whole or in pieces.

    Of a lazy element `data` is in pieces, and reads anything only when it is iterated, any number of times until the
    claim ends.
    """

    element: int
    path: str
    data: bytes | Iterable[bytes]


class Content(Protocol):
    """Reads inputs."""

    def fetch(self, elements: Sequence[Element]) -> Iterator[Fetched]:
        """Every regular file of every element, in any order: many small ones that lie together cost one read.

        Raises TrunklineError: NOT_FOUND, DATA_LOSS for good; UNAVAILABLE to try again later.
        """
        ...


class Output(Protocol):
    """Takes in what datums wrote; sealed once, as one part of a report. Used by one thread at a time."""

    def put(self, path: str, data: bytes | Iterable[bytes], datum: str) -> int:
        """Add a file at the cleaned `path`, tagged with `datum`. Returns its size in bytes."""
        ...

    def copy(self, path: str, element: Element, source: str, datum: str) -> int:
        """Add the input file `source` of `element` by reference. Returns its size in bytes."""
        ...

    def discard(self, datum: str) -> None:
        """Forget what was put for `datum`."""
        ...

    def seal(self, results: Sequence[Result]) -> object:
        """Write it out durably, with the records of its datums. The answer goes into `Server.report`."""
        ...


class Buckets(Protocol):
    """Shows code what it reads and writes through S3: buckets on a port of this machine, for it alone.

    Used by one thread at a time.
    """

    def begin(self, claim: Claim) -> Mapping[str, str]:
        """The variables of this claim's code; {} where it has no buckets. Raises OSError where no port can be had."""
        ...

    def show(self, datum: Datum) -> None:
        """The buckets are this datum's from now on, `out` empty."""
        ...

    def take(self) -> Sequence[tuple[str, bytes]]:
        """What was put into `out`, which takes no more: paths in the repo, each with a file of ours to read.

        A path that comes several times in a row is one file of as many parts.
        """
        ...

    def clear(self) -> None:
        """Forget what was put into `out`."""
        ...

    def end(self) -> None:
        """The claim is over: nobody is let in any more."""
        ...


class NoBuckets:
    """Fills `Buckets` for claims that have none."""

    def begin(self, claim: Claim) -> Mapping[str, str]:
        """No variables."""
        return {}

    def show(self, datum: Datum) -> None:
        """Nothing."""

    def take(self) -> Sequence[tuple[str, bytes]]:
        """Nothing."""
        return ()

    def clear(self) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class Storage(Content, Protocol):
    """Both directions."""

    def output(self, claim: Claim) -> Output:
        """A fresh one for the next part of `claim`."""
        ...

    def write_segment(self, segment: LogSegment) -> None:
        """Keep log lines and tell the server where. Raises TrunklineError."""
        ...


class Server(Protocol):
    """The calls of `trunkline.worker.v1` that a loop makes. All may raise TrunklineError; UNAVAILABLE passes."""

    def claim(self) -> Claim | None:
        """Lease a range of datums. None: nothing to do before a `Wake`."""
        ...

    def renew(self, claim: Claim, row: int) -> Sequence[Order]:
        """Keep a claim; `row` is in progress (-1: none), so that a death can be laid at its door."""
        ...

    def report(self, claim: Claim, done: int, sealed: object, results: Sequence[Result]) -> tuple[int, int]:
        """Rows before `done` are finished; `sealed` and `results` are those since the last report.

        Returns the range that is still this worker's. Raises Aborted when the claim is somebody else's now.
        """
        ...

    def give_back(self, claim: Claim, reason: str) -> None:
        """Nothing comes of what is left of a claim, and no code is to blame: it is free again after a pause.

        reason: what cannot be done and why, for people. Raises Aborted when the claim is somebody else's now.
        """
        ...

    def watch(self) -> Iterator[Order]:
        """Orders as they come. Ends when the connection does."""
        ...
