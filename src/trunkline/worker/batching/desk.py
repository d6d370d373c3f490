"""Where code asks for its next datum, and the loop of the worker answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trunkline.ambient import Ambient
from trunkline.errors import FailedPrecondition
from trunkline.worker.batching.asking import Asking, Line


@dataclass(eq=False)
class Ask:
    """One request for the next datum. error: what went wrong with the last one, or "". line: that of the socket."""

    error: str
    line: Line | None = None
    env: Mapping[str, str] | None = None
    dropped: bool = False


class Desk:
    """One process asks at a time: by `next`, from any thread, or at the socket, where the loop hears it itself."""

    def __init__(self, ambient: Ambient) -> None:
        self._ambient = ambient
        self._changed = threading.Condition()
        self._asking: Asking | None = None  # there while code may ask
        self._pending: Ask | None = None
        self._stirred = False

    def next(self, error: str) -> Mapping[str, str]:
        """The variables of the next datum, once there is one. Raises FailedPrecondition where nobody is served."""
        ask = Ask(error)
        with self._changed:
            if self._asking is None:
                raise FailedPrecondition("no code asks for datums here: that is for pipelines with datum_batching")
            if self._pending is not None:
                raise FailedPrecondition("this code asks for its next datum already, and gets one at a time")
            self._pending = ask
            self._asking.ring()
            self._changed.wait_for(lambda: ask.env is not None or ask.dropped)
        if ask.env is None:
            raise FailedPrecondition("the code that asked for its next datum was ended")
        return ask.env

    @property
    def asked(self) -> bool:
        """Whether somebody waits for a datum."""
        with self._changed:
            return self._pending is not None

    def open(self, folder: Path) -> None:
        """Code starts that may ask, at a socket in `folder` too. Raises OSError."""
        with self._changed:
            self._asking, self._stirred = Asking(folder), False

    def close(self) -> None:
        """The code has ended; who waits is sent away."""
        with self._changed:
            if self._pending is not None:
                self._pending.dropped = True
            asking, self._pending, self._asking = self._asking, None, None
            self._changed.notify_all()
            if asking is not None:
                asking.close()

    def stir(self) -> None:
        """Wake `wait` up: the code has ended."""
        with self._changed:
            self._stirred = True
            if self._asking is not None:
                self._asking.ring()

    def wait(self, timeout_s: float | None) -> Ask | None:
        """Until the code asks, ends, or the time is up; what it asks, which stays until it is answered."""
        until_s = None if timeout_s is None else self._ambient.ticks_s() + timeout_s
        while True:
            with self._changed:
                asking = self._asking
                if self._pending is not None or self._stirred or asking is None:
                    return self._pending
            left_s = None if until_s is None else until_s - self._ambient.ticks_s()
            if left_s is not None and left_s <= 0:
                return None
            line = asking.wait(left_s)
            with self._changed:
                if line is not None and self._pending is None:
                    self._pending = Ask(line.error, line)

    def answer(self, ask: Ask, env: Mapping[str, str]) -> bool:
        """Give the code its next datum. False: whoever asked at the socket is gone, and has not got it."""
        with self._changed:
            self._pending = None
            if ask.line is not None:
                return ask.line.answer(env)
            ask.env = env
            self._changed.notify_all()
            return True
