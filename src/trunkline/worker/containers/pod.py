"""The container with the user's code in the worker's own pod: the kubelet starts it, and its shim comes to us."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from trunkline.ambient import Ambient
from trunkline.errors import Unavailable
from trunkline.worker.containers.housing import ContainerGroup
from trunkline.worker.launch import SOCKET_NAME, Launched, Sandbox, Scratch, greet, listen
from trunkline.worker.ports import Step
from trunkline.worker.runner import AgentRunner, Command, Exited

COMES_BACK_S = 600.0
"""How long code that has ended with its container is waited for: the kubelet starts it ever later, but not so late."""
_SAY_S = 5.0
_LOOK_S = 0.5


class PodHome:
    """Where the shim lives: a container that is not ours to look at."""

    def end(self) -> int:
        """As `Home.end`: the kubelet sees to it."""
        return 1

    def complaint(self) -> str:
        """As `Home.complaint`."""
        return "its container ended; if it has a memory limit, that may have been exceeded"


class PodRunner(AgentRunner):
    """A runner whose agent is the shim beside us. A user by number is the container's own already."""

    def run(self, command: Command, on_output: Callable[[int, bytes], None]) -> Exited:
        """As `Runner.run`."""
        return super().run(replace(command, user=_by_name(command.user)), on_output)

    def fix(self, folder: str, user: str, trees: Sequence[str]) -> str:
        """As `Runner.fix`."""
        return super().fix(folder, _by_name(user), trees)


def _by_name(user: str) -> str:
    name, _, group = user.partition(":")
    return "" if name.isdigit() and (not group or group.isdigit()) else user


class Pod:
    """Fills `Contained` for a worker in a pod."""

    def __init__(self, scratch: Scratch, ambient: Ambient, tell: Callable[[str], None]) -> None:
        self._scratch = scratch
        self._ambient = ambient
        self._tell = tell
        self._runner: PodRunner | None = None
        self._closed = threading.Event()

    def wait(self) -> None:
        """Until the code's container is there, however long its image takes. Raises Unavailable when closed."""
        while self._runner is None:
            with contextlib.suppress(Unavailable):
                self._runner = self._open(self._tell)
            if self._closed.is_set():
                raise Unavailable("the worker ends")

    def runner(self, step: Step, tell: Callable[[str], None], whose: str = "") -> PodRunner:
        """As `Contained.runner`: the only one there is."""
        if self._runner is not None and not self._runner.alive:
            self._runner.close()
            self._runner = None
        if self._runner is None:
            self._runner = self._open(tell)
        return self._runner

    def kill(self) -> None:
        """As `Contained.kill`."""
        runner = self._runner
        if runner is not None:
            runner.kill()

    def idle(self) -> None:
        """As `Contained.idle`: the container is the pod's, and stays."""

    def retire(self, whose: str) -> None:
        """As `Contained.retire`: its pods are deleted with their containers."""

    def close(self) -> None:
        """As `Contained.close`."""
        self._closed.set()
        if self._runner is not None:
            self._runner.close()

    def _open(self, tell: Callable[[str], None]) -> PodRunner:
        sandbox = Sandbox(group=ContainerGroup())
        return PodRunner(self._scratch, sandbox, lambda scratch, _: self._meet(scratch, tell))

    def _meet(self, scratch: Scratch, tell: Callable[[str], None]) -> Launched:
        with listen(scratch.staging) as listener:
            try:
                connection = self._accept(listener, tell)
                boot, running, folder = greet(connection)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(scratch.staging / SOCKET_NAME)
        if folder >= 0:  # nobody asked for one
            os.close(folder)
        return Launched(PodHome(), connection, boot, running)

    def _accept(self, listener: socket.socket, tell: Callable[[str], None]) -> socket.socket:
        since_s, told = self._ambient.ticks_s(), False
        listener.settimeout(_LOOK_S)
        while True:
            try:
                connection = listener.accept()[0]
            except TimeoutError:
                waited_s = self._ambient.ticks_s() - since_s
                if self._closed.is_set() or waited_s > COMES_BACK_S:
                    raise Unavailable(f"the code's container did not start within {COMES_BACK_S:g} s") from None
                if waited_s > _SAY_S and not told:
                    told = True
                    tell("the code's container is waited for")
                continue
            connection.settimeout(None)
            return connection
