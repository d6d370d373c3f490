"""`make soak`: run the tests marked `soak` again and again, each round from the next seed, and keep what came out.

SEED=1 is the first round's seed, MINUTES=20 how long new rounds are begun, and how long workers are killed and stopped
in each; TESTS=tests which tests they are of. Writes soak/RESULT.md: a line for each test with its last run, so that a
run of a few leaves the lines of the others.
A failed round ends it: its seed replays it (`SEED=n MINUTES=0 make soak`).
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "soak" / "RESULT.md"
TESTS = (os.environ.get("TESTS") or "tests").split()
HEAD = "| test | seeds | result | time | what it did | commit | date |"
FAILED = "**failed**"


@dataclass(frozen=True)
class Ran:
    """What one test gave in one round, all its parameters together. figures: what it says of itself."""

    test: str
    seed: int
    result: str
    seconds: float
    figures: str = ""


@dataclass(frozen=True)
class Line:
    """A line of the table."""

    test: str
    seeds: str
    result: str
    time: str
    figures: str
    commit: str
    date: str

    @property
    def text(self) -> str:
        """As it is written."""
        return (
            f"| {' | '.join((self.test, self.seeds, self.result, self.time, self.figures, self.commit, self.date))} |"
        )


def play(seed: int) -> tuple[list[Ran], int]:
    """Run all soak tests from one seed, their output on this terminal; and pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.xml"
        command = [sys.executable, "-m", "pytest", "-m", "soak", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
        status = subprocess.run(
            [*command, "--timeout", "1800", f"--junitxml={told}", "-o", "junit_family=xunit1", *TESTS],
            cwd=ROOT,
            env=os.environ | {"TRUNKLINE_SOAK_SEED": str(seed)},
            check=False,
        ).returncode
        return (read(told, seed) if told.exists() else []), status


def read(told: Path, seed: int) -> list[Ran]:
    """What a JUnit file says of each test."""
    cases: dict[str, list[ElementTree.Element]] = {}
    for case in ElementTree.parse(told).iter("testcase"):
        module = case.get("classname", "").removeprefix("tests.").replace(".", "/")
        name = case.get("name", "").partition("[")[0]
        cases.setdefault(f"{module}: {name.removeprefix('test_').replace('_', ' ')}", []).append(case)
    return [_ran(test, seed, several) for test, several in cases.items()]


def _ran(test: str, seed: int, cases: Sequence[ElementTree.Element]) -> Ran:
    bad = any(case.find(kind) is not None for case in cases for kind in ("failure", "error"))
    skipped = all(case.find("skipped") is not None for case in cases)
    said = [each.get("value", "") for case in cases for each in case.iter("property") if each.get("name") == "figures"]
    seconds = sum(float(case.get("time", 0)) for case in cases)
    return Ran(test, seed, FAILED if bad else "skipped" if skipped else "passed", seconds, "; ".join(said))


def lines_of(rounds: Iterable[Ran], commit: str, date: str) -> list[Line]:
    """A line for each test, of all its rounds."""
    by_test: dict[str, list[Ran]] = {}
    for ran in rounds:
        by_test.setdefault(ran.test, []).append(ran)
    made = []
    for test, several in by_test.items():
        seeds = sorted(each.seed for each in several)
        bad = next((each for each in several if each.result == FAILED), None)
        result = f"{FAILED} at seed {bad.seed}" if bad else several[-1].result
        span = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        seconds = sum(each.seconds for each in several)
        made.append(Line(test, span, result, f"{seconds:.0f} s", several[-1].figures, commit, date))
    return made


def former(page: str) -> list[Line]:
    """The lines that a page has."""
    cells = [[each.strip() for each in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    return [Line(*each) for each in cells if len(each) == HEAD.count("|") - 1 and each[0] != "test"]


def report(lines: Iterable[Line], before: Iterable[Line]) -> str:
    """The page that is kept: these, and the others' last ones."""
    table = {line.test: line for line in before} | {line.test: line for line in lines}
    failed = [line.test for line in table.values() if FAILED in line.result]
    verdict = f"Failed: {'; '.join(failed)}." if failed else "Nothing failed."
    return "\n".join(
        [
            "# The last long runs",
            "",
            f"Written by `make soak`, Python {platform.python_version()}, {os.cpu_count()} cores. {verdict}",
            "",
            HEAD,
            "|" + "---|" * (HEAD.count("|") - 1),
            *(line.text for _, line in sorted(table.items())),
            "",
        ]
    )


def told_by_git(*words: str) -> str:
    """What git says; nothing where there is no git."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def main() -> int:
    """Play rounds until the time is up or one fails."""
    seed = int(os.environ.get("SEED") or 1)
    end = time.monotonic() + 60 * float(os.environ.get("MINUTES") or 20)
    commit = told_by_git("rev-parse", "--short", "HEAD")
    # The page that is being written changes nothing that is tested.
    commit += "-dirty" if told_by_git("status", "--porcelain", "-uno", "--", ".", f":!{PAGE.relative_to(ROOT)}") else ""
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    before = former(PAGE.read_text()) if PAGE.exists() else []
    rounds: list[Ran] = []
    status = 0
    while not rounds or (time.monotonic() < end and not status):
        ran, status = play(seed)
        rounds, seed = [*rounds, *ran], seed + 1
        PAGE.write_text(report(lines_of(rounds, commit, date), before))
        if not ran:
            break
    print(PAGE.read_text())
    return status


if __name__ == "__main__":
    sys.exit(main())
