"""Where code asks for its next datum, and the loop of the worker answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.errors import FailedPrecondition


@dataclass(eq=False)
class Ask:
    """One request for the next datum. error: what went wrong with the last one, or ""."""

    error: str
    env: Mapping[str, str] | None = None
    dropped: bool = False


class Desk:
    """One process asks at a time. Safe for several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = False
        self._pending: Ask | None = None
        self._stirred = False

    def next(self, error: str) -> Mapping[str, str]:
        """The variables of the next datum, once there is one. Raises FailedPrecondition where nobody is served."""
        ask = Ask(error)
        with self._changed:
            if not self._open:
                raise FailedPrecondition("no code asks for datums here: that is for pipelines with datum_batching")
            if self._pending is not None:
                raise FailedPrecondition("this code asks for its next datum already, and gets one at a time")
            self._pending = ask
            self._changed.notify_all()
            self._changed.wait_for(lambda: ask.env is not None or ask.dropped)
        if ask.env is None:
            raise FailedPrecondition("the code that asked for its next datum was ended")
        return ask.env

    @property
    def asked(self) -> bool:
        """Whether somebody waits for a datum."""
        with self._changed:
            return self._pending is not None

    def open(self) -> None:
        """Code starts that may ask."""
        with self._changed:
            self._open, self._stirred = True, False

    def close(self) -> None:
        """The code has ended; who waits is sent away."""
        with self._changed:
            if self._pending is not None:
                self._pending.dropped = True
            self._pending, self._open = None, False
            self._changed.notify_all()

    def stir(self) -> None:
        """Wake `wait` up: the code has ended."""
        with self._changed:
            self._stirred = True
            self._changed.notify_all()

    def wait(self, timeout_s: float | None) -> Ask | None:
        """Until the code asks, ends, or the time is up; what it asks, which stays until it is answered."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending is not None or self._stirred, timeout_s)
            return self._pending

    def answer(self, ask: Ask, env: Mapping[str, str]) -> None:
        """Give the code its next datum."""
        with self._changed:
            ask.env = env
            self._pending = None
            self._changed.notify_all()
