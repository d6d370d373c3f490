"""What is said about one field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Field:
    """meaning: sentences in Markdown; example: a value as JSON has it; default: what holds without it, "" for nothing.

    kubernetes: only a Kubernetes cluster acts on it; elsewhere it is checked, kept and shown.
    """

    meaning: str
    example: Any
    default: str = ""
    kubernetes: bool = False
