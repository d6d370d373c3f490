"""Log lines of a claim: cut from what the code writes, gathered into segments, never more than a limit per datum."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable

from trunkline.ambient import Ambient
from trunkline.errors import TrunklineError
from trunkline.worker.ports import LogSegment

MAX_LINE_BYTES = 64 << 10
SEGMENT_BYTES = 64 << 10
SEGMENT_S = 1.0
DATUM_LIMIT_BYTES = 16 << 20
_TAIL_LINES = 5
_TAIL_LINE_CHARACTERS = 200

USER, SYSTEM = True, False


class Lines:
    """Cuts the streams of one datum into lines; past `limit_bytes` it goes on counting and keeps nothing.

    mask: what is kept of a line.
    """

    def __init__(
        self,
        emit: Callable[[str], None],
        limit_bytes: int = DATUM_LIMIT_BYTES,
        mask: Callable[[str], str] = lambda line: line,
    ) -> None:
        self._emit = emit
        self._mask = mask
        self._limit_bytes = limit_bytes
        self._parts: dict[int, bytearray] = {}
        self._taken = 0
        self.dropped_bytes = 0
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def feed(self, stream: int, data: bytes) -> None:
        """Bytes of one stream, as they come."""
        part = self._parts.setdefault(stream, bytearray())
        part += data
        if b"\n" in data or len(part) >= MAX_LINE_BYTES:
            *whole, rest = bytes(part).split(b"\n")
            for line in whole:
                self._line(line)
            while len(rest) >= MAX_LINE_BYTES:
                self._line(rest[:MAX_LINE_BYTES])
                rest = rest[MAX_LINE_BYTES:]
            self._parts[stream] = bytearray(rest)

    def end(self) -> None:
        """What has no line end yet is a line."""
        for part in self._parts.values():
            if part:
                self._line(bytes(part))
        self._parts.clear()
        if self.dropped_bytes:
            self._emit(f"… {self.dropped_bytes:,} more bytes of output are not kept: the limit per datum is reached")

    def tail(self) -> tuple[str, ...]:
        """The last lines that say something."""
        return tuple(self._tail)

    def _line(self, line: bytes) -> None:
        while len(line) > MAX_LINE_BYTES:
            self._line(line[:MAX_LINE_BYTES])
            line = line[MAX_LINE_BYTES:]
        text = self._mask(line.rstrip(b"\r").decode(errors="replace"))
        if text.strip():
            self._tail.append(text.strip()[-_TAIL_LINE_CHARACTERS:])
        if self._taken + len(line) > self._limit_bytes:
            self.dropped_bytes += len(line) + 1
            return
        self._taken += len(line) + 1
        self._emit(text)


class Journal:
    """Lines of one claim on their way out. `write` is handed a segment when it is old or large enough.

    tell: takes sentences for the operator, where lines are lost. Safe for several threads.
    A line: `ts` (µs), `datum` ("" for the worker's own), `user` (whether the code wrote it), `message`.
    """

    def __init__(
        self,
        claim: str,
        ambient: Ambient,
        write: Callable[[LogSegment], None],
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._claim = claim
        self._tell = tell
        self._ambient = ambient
        self._write = write
        self._lock = threading.Lock()
        self._out = threading.Lock()  # one segment after the other; never taken while the other is held
        self._lost = 0
        self._lines: list[str] = []
        self._size = 0
        self._first_us = 0
        self._last_us = 0
        self._since_s = 0.0

    def user(self, datum: str, message: str) -> None:
        """A line that the code wrote."""
        self._add(datum, USER, message)

    def system(self, message: str, datum: str = "") -> None:
        """A line of the worker's own."""
        self._add(datum, SYSTEM, message)

    def flush(self, old_only: bool = False) -> None:
        """Hand out what there is; with `old_only`, if it waited long enough."""
        self._hand_out(lambda: not old_only or self._ambient.ticks_s() - self._since_s >= SEGMENT_S)

    def _hand_out(self, wanted: Callable[[], bool]) -> None:
        """Write what there is, if `wanted`. What cannot be written is counted: code must not wait for its log."""
        with self._out:
            with self._lock:
                if not self._lines or not wanted():
                    return
                segment = self._cut()
            try:
                self._write(segment)
            except TrunklineError as error:
                self._lost += segment.lines
                self._tell(f"{self._lost} log lines of claim {self._claim} are lost: {error}")

    def _add(self, datum: str, user: bool, message: str) -> None:
        now_us = self._ambient.now_us()
        line = json.dumps({"ts": now_us, "datum": datum, "user": user, "message": message}, ensure_ascii=False)
        with self._lock:
            if not self._lines:
                self._first_us, self._since_s = now_us, self._ambient.ticks_s()
            self._lines.append(line)
            self._last_us = now_us
            self._size += len(line) + 1
            full = self._size >= SEGMENT_BYTES
        if full:
            self._hand_out(lambda: self._size >= SEGMENT_BYTES)

    def _cut(self) -> LogSegment:
        data = "".join(f"{line}\n" for line in self._lines).encode(errors="replace")
        segment = LogSegment(self._claim, self._first_us, self._last_us, len(self._lines), data)
        self._lines, self._size = [], 0
        return segment
