"""What runs code in containers: in those of an engine here, or in the one of our own pod."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trunkline.worker.ports import Step
from trunkline.worker.runner import Runner


class Contained(Protocol):
    """Runners whose agent is the shim of a container. All but `kill` from one thread."""

    def runner(self, step: Step, tell: Callable[[str], None], whose: str = "") -> Runner:
        """A living runner for what `step` runs. Raises FailedPrecondition, Unavailable.

        tell: of what takes long. whose: the pipeline that the step is of.
        """
        ...

    def kill(self) -> None:
        """End what runs. From any thread."""
        ...

    def idle(self) -> None:
        """There is nothing to run, for now."""
        ...

    def retire(self, whose: str) -> None:
        """A pipeline was stopped, updated or deleted."""
        ...

    def close(self) -> None:
        """End all of them."""
        ...
