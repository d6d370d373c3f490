"""What was measured so far, kept in results.json row by row."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from measure import Figure


@dataclass
class Record:
    """One row as it was measured. others_cores: how much of the machine other programs used just before and after.
    files_on: what the measured files lay on."""

    commit: str
    date: str
    scale: float
    runs: int
    took_s: float
    others_cores: float
    figures: dict[str, Figure] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failed: str = ""
    files_on: str = ""

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Record:
        """From what `asdict` made of one."""
        figures = {name: Figure(**figure) for name, figure in fields["figures"].items()}
        return cls(**(fields | {"figures": figures}))


@dataclass
class Kept:
    """The file with all records, and facts about the machine that hold for them."""

    path: Path
    facts: list[str] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path) -> Kept:
        """What the file holds; nothing if there is none."""
        if not path.exists():
            return cls(path)
        known = json.loads(path.read_text())
        return cls(path, known["facts"], {name: Record.of(fields) for name, fields in known["rows"].items()})

    def keep(self, name: str, record: Record) -> None:
        """Add a record in place of the former one, and write the file. It is whole at every instant."""
        self.records[name] = record
        rows = {each: asdict(self.records[each]) for each in sorted(self.records)}
        text = json.dumps({"facts": self.facts, "rows": rows}, indent=1, ensure_ascii=False)
        part = self.path.with_suffix(".part")
        part.write_text(text + "\n")
        os.replace(part, self.path)
