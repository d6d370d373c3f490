"""Whole lives of jobs as dialogues: events in, job and instructions out. A new case is a new file, or a new line."""

from __future__ import annotations

import ast
from dataclasses import fields
from enum import Enum
from pathlib import Path

import pytest

from trunkline.pps import events as ev
from trunkline.pps.decide import JobCore, decide
from trunkline.pps.events import Do, Ending, Instruction, JobEvent, Work

HERE = Path(__file__).parent / "transcripts"
WORDS = {**{one.name: one for one in Ending}, **{one.name: one for one in Work}}


def parse(line: str) -> JobEvent:
    """`Planned(gen=1, run=2)` as an event."""
    call = ast.parse(line.strip(), mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Name)
    values = {each.arg: value(each.value) for each in call.keywords}
    event: JobEvent = getattr(ev, call.func.id)(**values)
    return event


def value(node: ast.expr) -> object:
    """A literal, or the name of an ending or of some work."""
    return WORDS[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node)


def text(instruction: Instruction) -> str:
    """An instruction as the transcripts show it: its name, and what is not as usual."""
    name = type(instruction).__name__
    words = []
    for each in fields(instruction):
        held = getattr(instruction, each.name)
        if isinstance(instruction, Do) and each.name == "work":
            name = f"Do {held.value}"
        elif held != each.default:
            words.append(f"{each.name}={held.value if isinstance(held, Enum) else held}")
    return f"{name}({', '.join(words)})"


def shown(job: JobCore, told: list[Instruction]) -> str:
    """A job's state and counts, then what it asks for."""
    counts = " ".join(
        f"{name}={getattr(job, name)}"
        for name in ("open", "undecided", "processed", "failed", "recovered", "skipped", "total")
        if getattr(job, name)
    )
    head = f"{job.state.value}/{job.phase.value}" + (f" {counts}" if counts else "")
    if job.reason:
        head += f' "{job.reason}"'
    return "\n".join([f"  {head}", *(f"  ! {text(one)}" for one in told)])


def replay(script: str) -> str:
    """The transcript that its events really give."""
    lines: list[str] = []
    job = JobCore()
    for line in script.splitlines():
        if line.startswith("  "):
            continue
        lines.append(line)
        if line == "egress":
            job = JobCore(egress=True)
        elif line and not line.startswith("#"):
            job, told = decide(job, parse(line))
            lines.append(shown(job, told))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", sorted(HERE.glob("*.txt")), ids=lambda path: path.stem)
def test_a_transcript_holds(path: Path) -> None:
    assert replay(path.read_text()) == path.read_text()


def test_there_are_transcripts() -> None:
    assert len(list(HERE.glob("*.txt"))) >= 14
