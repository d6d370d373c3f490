"""A whole `pachd` killed with SIGKILL, again and again, while files go in and jobs run; then everything is counted."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.ambient import chance
from trunkline.testing.serving import PachdProcess, documents

FILES_A_COMMIT = 6
CODE_S = 0.05
PIPELINE = "copy"
SPEC = {
    "pipeline": {"name": PIPELINE},
    "transform": {"cmd": ["sh"], "stdin": [f"sleep {CODE_S}", "cp -rL /pfs/in/. /pfs/out/"]},
    "input": {"pfs": {"repo": "in", "glob": "/*"}},
}


@dataclass
class Killing:
    """One story: `kills` times, a commit begins, and at an instant that `seed` picks everything is killed."""

    server: PachdProcess
    folder: Path
    seed: int
    acknowledged: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.chance = chance(self.seed)

    def play(self, kills: int) -> None:
        """Raises AssertionError if something was lost, invented, or counted twice."""
        self.server.pachctl("create", "repo", "in")
        self.server.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(SPEC).encode())
        for turn in range(kills):
            self.put_and_kill(turn)
        self.put(kills)
        self.check()

    def files(self, turn: int) -> list[Path]:
        """New files for one commit."""
        folder = self.folder / str(turn)
        folder.mkdir()
        for index in range(FILES_A_COMMIT):
            (folder / f"t{turn}-{index}").write_bytes(self.chance.randbytes(self.chance.choice((10, 5000, 2_000_000))))
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
