"""A whole `pachd` and its workers killed and stopped while files go in and jobs run; then everything is counted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.ambient import RealAmbient, chance
from trunkline.pps.claims import LEASE_TICKS
from trunkline.testing.serving import PachdProcess, documents

FILES_A_COMMIT = 6
CODE_S = 0.05
PIPELINE = "copy"
SPEC = {
    "pipeline": {"name": PIPELINE},
    "transform": {"cmd": ["sh"], "stdin": [f"sleep {CODE_S}", "cp -rL /pfs/in/. /pfs/out/"]},
    "input": {"pfs": {"repo": "in", "glob": "/*"}},
}

HARM = ("kill a worker", "stop a worker", "stop a worker", "kill all", "leave in peace")
BETWEEN_S = (0.2, 3.0)
PAST_LEASE_S = LEASE_TICKS + 3.0


@dataclass
class Killing:
    """One story: `kills` times, a commit begins, and at an instant that `seed` picks everything is killed."""

    server: PachdProcess
    folder: Path
    seed: int
    acknowledged: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)
    sizes: tuple[int, ...] = (10, 5000, 2_000_000)

    def __post_init__(self) -> None:
        self.chance = chance(self.seed)

    def play(self, kills: int) -> None:
        """Raises AssertionError if something was lost, invented, or counted twice."""
        self.prepare()
        for turn in range(kills):
            self.put_and_kill(turn)
        self.put(kills)
        self.check()

    def prepare(self, **more: int) -> None:
        """The repo and the pipeline. more: further fields of its spec."""
        self.server.pachctl("create", "repo", "in")
        self.server.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(SPEC | more).encode())

    def files(self, turn: int) -> list[Path]:
        """New files for one commit."""
        folder = self.folder / str(turn)
        folder.mkdir()
        for index in range(FILES_A_COMMIT):
            (folder / f"t{turn}-{index}").write_bytes(self.chance.randbytes(self.chance.choice(self.sizes)))
        return sorted(folder.iterdir())

    def words(self, paths: list[Path]) -> list[str]:
        """The command that puts them in one commit."""
        return ["put", "file", "in@master", *(word for path in paths for word in ("-f", str(path)))]

    def put(self, turn: int) -> None:
        """A commit that nothing disturbs."""
        paths = self.files(turn)
        self.server.pachctl(*self.words(paths))
        self.acknowledged |= {path.name for path in paths}
        self.tried |= {path.name for path in paths}

    def put_and_kill(self, turn: int) -> None:
        """A commit, and a SIGKILL for everything some time after it began; then a new start on the same data."""
        paths = self.files(turn)
        self.tried |= {path.name for path in paths}
        command = [self.server.program("pachctl"), *self.words(paths)]
        with subprocess.Popen(
            command, env=self.server.client_env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as putting:
            self.server.pause(self.chance.uniform(0.1, 2.0))
            self.server.kill()
            if putting.wait(30) == 0:
                self.acknowledged |= {path.name for path in paths}
        self.server.start(fresh=False)

    def check(self) -> None:
        """What was acknowledged is there; a commit is there whole or not at all; the output is what it should be."""
        self.server.pachctl("wait", "commit", f"{PIPELINE}@master")
        there = self.hashes("in")
        assert self.acknowledged <= there.keys(), f"lost: {self.acknowledged - there.keys()}"
        assert there.keys() <= self.tried
        turns = [name.split("-")[0] for name in there]
        assert all(turns.count(turn) == FILES_A_COMMIT for turn in turns), f"half a commit: {sorted(there)}"
        assert self.hashes(PIPELINE) == there
        assert self.server.pachctl("fsck").strip() == "No errors found."
        for job in documents(self.server.pachctl("list", "job", "-p", PIPELINE, "--raw")):
            counts = [int(job.get(f"data_{each}", 0)) for each in ("processed", "skipped", "failed", "recovered")]
            assert job["state"] == "JOB_SUCCESS", job
            assert sum(counts) == int(job.get("data_total", 0)), job
        for path in self.folder.glob("*/*"):
            if path.name in there:
                got = self.folder / "got"
                self.server.pachctl("get", "file", f"{PIPELINE}@master:/{path.name}", "-o", str(got))
                assert got.read_bytes() == path.read_bytes()
                got.unlink()

    def hashes(self, repo: str) -> dict[str, str]:
        """The files of a repo's master: name and content hash."""
        listed = documents(self.server.pachctl("list", "file", f"{repo}@master:/", "--raw"))
        return {each["file"]["path"].strip("/"): each["hash"] for each in listed}


@dataclass
class Harming(Killing):
    """One story of some minutes: commits all the time, and at instants that `seed` picks somebody is harmed.

    A worker that is stopped goes on after its lease is over, and says what it has: that comes too late.
    """

    done: dict[str, int] = field(default_factory=dict)
    late: int = 0

    def play_for(self, minutes: float) -> None:
        """Raises AssertionError if something was lost, invented, or counted twice."""
        self.prepare(datum_tries=50)  # who is killed at random may well be killed three times over one datum
        clock, turn = RealAmbient(), 0
        end_s = clock.ticks_s() + 60 * minutes
        while clock.ticks_s() < end_s:
            harm = self.chance.choice(HARM)
            self.done[harm] = self.done.get(harm, 0) + 1
            if harm == "kill all":
                self.put_and_kill(turn)
            else:
                self.put(turn)
                self.server.pause(self.chance.uniform(*BETWEEN_S))
                self.harm(harm)
            turn += 1
        self.put(turn)
        self.check()

    def harm(self, what: str) -> None:
        """Do it to one worker, if there is one that lives."""
        workers = self.workers()
        if what == "leave in peace" or not workers:
            return
        victim = self.chance.choice(workers)
        with contextlib.suppress(ProcessLookupError):
            if what == "kill a worker":
                os.kill(victim, signal.SIGKILL)
                return
            os.kill(victim, signal.SIGSTOP)
            try:
                self.server.pause(PAST_LEASE_S)
            finally:
                os.kill(victim, signal.SIGCONT)
            self.late += 1

    def workers(self) -> list[int]:
        """The processes of the workers that live now."""
        found = []
        for pid in self.server.family():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"trunkline.app.worker" in words:
                    found.append(pid)
        return sorted(found)
