"""What happened to the workers of this machine, for who asks as one asks a cluster for its events."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field

from trunkline.ambient import Ambient, Micros

KEPT = 1000


@dataclass
class Happened:
    """The last events, oldest first."""

    ambient: Ambient
    _events: deque[tuple[Micros, str]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def note(self, kind: str, reason: str, worker: str, message: str, about: str = "") -> None:
        """Something happened. kind: Normal or Warning; reason: a word for it. about: no worker, as `pod/edges-v1-x`."""
        now_us = self.ambient.now_us()
        event = {
            "lastTimestampUs": now_us,
            "type": kind,
            "reason": reason,
            "object": about or (f"worker/{worker}" if worker else "pool"),
            "message": message,
        }
        self._events.append((now_us, json.dumps(event, ensure_ascii=False)))

    def since(self, moment_us: Micros) -> list[str]:
        """Events from an instant on, as JSON texts."""
        return [text for at_us, text in list(self._events) if at_us >= moment_us]
