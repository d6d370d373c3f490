"""RESULTS.md, from what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kept import Kept, Record
from measure import GROUPS, Figure, Line, Row

BUSY_CORES = 0.3
"""What other programs may use before a row counts as taken on a busy machine."""

HEADING = """# Measured

Written by `make bench`. Figures are the median of the runs (smallest to largest); memory is the most that a process
held at once. Ours and what stands beside it were measured turn about in the same run. How a row is taken: its function
in `bench/rows/`, which names every command.

"""


def number(value: float, unit: str) -> str:
    """A value with its unit, as a person reads it."""
    match unit:
        case "s":
            return f"{value:.0f} s" if value >= 100 else f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"
        case "B" | "B/s":
            return f"{value / (1 << 20):,.0f} MiB{unit[1:]}"
        case "/s":
            return f"{value:,.0f}/s"
        case _:
            return f"{value:.3g} {unit}"


def shown(figure: Figure) -> str:
    """Median and spread of a figure, in words."""
    median, low, high = figure.spread()
    spread = f" ({number(low, figure.unit)} to {number(high, figure.unit)})" if len(figure.values) > 1 else ""
    return number(median, figure.unit) + spread


def verdict(line: Line, figures: dict[str, Figure]) -> tuple[str, str]:
    """The goal in words, and how far the median is from it: 1 is the goal, less is better than it."""
    ours = figures[line.ours]
    median = ours.spread()[0]
    if line.factor:
        peer = figures.get(line.beside[0])
        plus = f" + {line.plus_s:g} s" if line.plus_s else ""
        words = f"{line.factor:g} × {line.beside[0]}{plus}"
        if peer is None:
            return words, "unknown"
        bound = line.factor * peer.spread()[0] + line.plus_s
        return f"{words} = {number(bound, ours.unit)}", f"{median / bound:.2f} × the goal"
    if not line.goal:
        return "", ""
    share = line.goal / median if ours.more_is_better else median / line.goal
    return number(line.goal, ours.unit), f"{share:.2f} × the goal"


def table(rows: Sequence[Row], records: dict[str, Record]) -> list[str]:
    """A line for each line of the rows that were measured."""
    lines = ["| work | ours | beside | goal | how far | memory |", "|---|---|---|---|---|---|"]
    for row in rows:
        record = records.get(row.name)
        if record is not None:
            lines += [_line(line, record, first=line is row.lines[0]) for line in row.lines]
    return lines if len(lines) > 2 else []


def _line(line: Line, record: Record, first: bool) -> str:
    figures = record.figures
    if line.ours not in figures:
        why = record.absent.get(line.ours) or (f"failed: {record.failed}" if record.failed else "not measured")
        return f"| {line.title} | {line.ours}: {_cell(why)} | | | | |"
    beside = "<br>".join(
        f"{name}: {shown(figures[name]) if name in figures else _cell(record.absent.get(name, 'not measured'))}"
        for name in line.beside
    )
    memory = "<br>".join(
        f"{name.removeprefix('memory of ')}: {shown(figure)}"
        for name, figure in figures.items()
        if first and name.startswith("memory of ")
    )
    goal, far = verdict(line, figures)
    return f"| {line.title} | {line.ours}: **{shown(figures[line.ours])}** | {beside} | {goal} | {far} | {memory} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def taken(rows: Sequence[Row], records: dict[str, Record]) -> list[str]:
    """How each row was taken; the commonest commit is named once, rows of another name theirs."""
    known = [(row, records[row.name]) for row in rows if row.name in records]
    if not known:
        return []
    usual = Counter(record.commit for _, record in known).most_common(1)[0][0]
    place = Counter(record.files_on for _, record in known).most_common(1)[0][0]
    lines = [
        f"At commit {usual} with files on {place}, where nothing else is said.",
        "",
        "| row | runs | took | when | |",
        "|---|---|---|---|---|",
    ]
    for row, record in known:
        said = [] if record.commit == usual else [f"at commit {record.commit}"]
        if record.files_on != place:
            said.append(f"files on {record.files_on}")
        if record.others_cores > BUSY_CORES:
            said.append(f"busy: other programs used {record.others_cores:.1f} cores")
        if record.failed:
            said.append(f"failed: {record.failed}")
        lines.append(
            f"| {row.name} | {record.runs} | {record.took_s:.0f} s | {record.date} | {_cell('; '.join(said))} |"
        )
    return lines


def page(rows: Sequence[Row], kept: Kept, notes: Path) -> str:
    """The whole page. notes: what a person wrote about the figures; its words come last."""
    text = HEADING + "".join(f"* {line}\n" for line in kept.facts)
    for group, title in GROUPS.items():
        lines = table([row for row in rows if row.group == group], kept.records)
        if lines:
            text += f"\n## {title}\n\n" + "\n".join(lines) + "\n"
    if (notes.parent / "curves.svg").exists():
        text += "\n## How it grows\n\n![Seconds by number of files](curves.svg)\n"
    text += "\n## How the rows were taken\n\n" + "\n".join(taken(rows, kept.records)) + "\n"
    return text + ("\n" + notes.read_text() if notes.exists() else "")
