"""`make soak`: run the tests marked `soak` again and again, each round from the next seed, and keep what came out.

SEED=1 is the first round's seed, MINUTES=20 how long new rounds are begun, and how long workers are killed and stopped
in each; TESTS=tests which tests they are of. Writes soak/RESULT.md.
A failed round ends it: its seed replays it (`SEED=n MINUTES=0 make soak`).
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = (os.environ.get("TESTS") or "tests").split()
CLOSING = re.compile(r"(\d+) (passed|failed|skipped|errors?)\b")


@dataclass(frozen=True)
class Round:
    """What one seed gave."""

    seed: int
    counts: dict[str, int]
    seconds: float
    status: int

    def row(self) -> str:
        """A line of the table."""
        said = ", ".join(f"{number} {what}" for what, number in self.counts.items())
        return f"| {self.seed} | {said} | {self.seconds:.0f} s |"


def play(seed: int) -> Round:
    """Run all soak tests from one seed, their output on this terminal."""
    command = [sys.executable, "-m", "pytest", "-m", "soak", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
    start = time.monotonic()
    with subprocess.Popen(
        [*command, "--timeout", "1800", *TESTS],
        cwd=ROOT,
        env=os.environ | {"TRUNKLINE_SOAK_SEED": str(seed)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - asked for above
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line if CLOSING.search(line) else last
    counts = {what: int(number) for number, what in CLOSING.findall(last)}
    return Round(seed, counts, time.monotonic() - start, process.returncode)


def report(rounds: list[Round]) -> str:
    """The page that is kept."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    failed = [each for each in rounds if each.status]
    minutes = sum(each.seconds for each in rounds) / 60
    verdict = f"Seed {failed[0].seed} failed." if failed else "Nothing failed."
    lines = [
        "# The last long run",
        "",
        f"Written by `make soak` at commit {commit}, Python {platform.python_version()}, {os.cpu_count()} cores: "
        f"{len(rounds)} rounds in {minutes:.0f} minutes, of {' '.join(TESTS)}. {verdict}",
        "",
        "| seed | tests | time |",
        "|---|---|---|",
        *(each.row() for each in rounds),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Play rounds until the time is up or one fails."""
    seed = int(os.environ.get("SEED") or 1)
    end = time.monotonic() + 60 * float(os.environ.get("MINUTES") or 20)
    rounds: list[Round] = []
    while not rounds or (time.monotonic() < end and not rounds[-1].status):
        rounds.append(play(seed + len(rounds)))
        (ROOT / "soak" / "RESULT.md").write_text(report(rounds))
    print(report(rounds))
    return rounds[-1].status


if __name__ == "__main__":
    sys.exit(main())
