"""Runners in containers: one warm container for each kind of code that a worker runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trunkline.ambient import Ambient
from trunkline.errors import FailedPrecondition, NotFound, TrunklineError
from trunkline.worker.containers.engine import RUN, Container, Engine, EngineFailed, Wanted
from trunkline.worker.containers.leftovers import MEMORY, forget_secrets, remove_leftovers, secret_folder
from trunkline.worker.containers.ports import Ports, name_of
from trunkline.worker.launch import PFS_INSIDE, SOCKET_NAME, STAGING_INSIDE, Launched, Sandbox, Scratch, greet, listen
from trunkline.worker.limits.groups import Group
from trunkline.worker.limits.volumes import volume_of
from trunkline.worker.outcome import signal_words
from trunkline.worker.ports import Limits, SecretFolder, Step
from trunkline.worker.runner import AgentRunner, Command, Exited
from trunkline.worker.shim.program import program
from trunkline.worker.standing.forward import Doorway

SHIM_INSIDE = "/.shim"
PORTS_INSIDE = "/.ports"
_START_S = 30.0
_FAILED_S = 20.0
_LOOKS, _LOOK_S = 20, 0.05
_KEEP = 4
WARM_S = 60.0
"""How long a container is kept after its last datum, by a worker that has nothing to do."""


class ContainerGroup(Group):
    """A container is a control group already, and its engine has set the limits."""

    @property
    def limits(self) -> frozenset[str]:
        """All that an engine holds code to."""
        return frozenset({"memory", "cpu"})

    def set(self, limits: Limits) -> None:
        """Nothing: they are the container's from its start."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes one container different from another."""

    image: str
    digest: str
    user: str
    limits: Limits
    secrets: tuple[SecretFolder, ...]
    volume: str = ""

    @staticmethod
    def of(step: Step) -> Kind:
        """The container that a step needs."""
        return Kind(step.image.name, step.image.digest, step.user, step.limits, step.secrets, volume_of(step))


class ContainerHome:
    """Where a shim lives: a container."""

    def __init__(self, container: Container, shown: Path | None, ambient: Ambient) -> None:
        self._container = container
        self._ambient = ambient
        self._shown = shown  # the folder with its secrets
        self._complaint = ""

    def end(self) -> int:
        """As `Home.end`: it is removed, whatever runs in it."""
        status = 0
        try:
            state = self._ended()
            if not state:
                self._complaint, status = "its container is gone", 1
            elif not state.get("Running"):
                status = int(state.get("ExitCode") or 0)
                self._complaint = _why(state) or self._container.last_line()
            self._container.remove()
        except TrunklineError as error:  # what is left is removed when the worker, or the server, starts again
            self._complaint, status = str(error), 1
        if self._shown is not None:
            shutil.rmtree(self._shown, ignore_errors=True)
        return status

    def _ended(self) -> Mapping[str, Any]:
        """Its state, once the engine has noticed its end, which it does a moment after the shim's connection broke."""
        state = self._container.state()
        for _ in range(_LOOKS):
            if not state.get("Running"):
                break
            self._ambient.sleep(_LOOK_S)
            state = self._container.state()
        return state

    def complaint(self) -> str:
        """As `Home.complaint`."""
        return self._complaint


class ContainerRunner(AgentRunner):
    """A runner whose agent is the shim of a container. The container's own user runs everything."""

    def run(self, command: Command, on_output: Callable[[int, bytes], None]) -> Exited:
        """As `Runner.run`."""
        return super().run(replace(command, user=""), on_output)

    def fix(self, folder: str, user: str, trees: Sequence[str]) -> str:
        """As `Runner.fix`."""
        return super().fix(folder, "", trees)


class Containers:
    """Opens runners in containers, keeps the last few warm, and forgets those that died.

    ports: of 127.0.0.1 inside, and where each leads to. doorway: leads to a port of the code's. run: the start of the
    server that the worker is of; "": none, and so nobody will ask why a container ended, or look for what is left.
    """

    def __init__(
        self,
        engine: Engine,
        scratch: Scratch,
        server: str,
        worker: str,
        ambient: Ambient,
        ports: Mapping[int, tuple[str, int]] | None = None,
        doorway: Doorway | None = None,
        run: str = "",
    ) -> None:
        self._engine = engine
        self._doorway = doorway
        self._scratch = scratch
        self._whose = (server, worker)
        self._run = run
        self._ambient = ambient
        self._ports = Ports(scratch.folder / "ports", ports or {})
        self._open: dict[Kind, ContainerRunner] = {}
        self._rests_s: dict[Kind, float] = {}  # since when nothing was asked of an open one
        self._users: dict[Kind, set[str]] = {}  # the pipelines that an open one has run code of
        self._current: ContainerRunner | None = None
        self._failed: dict[Kind, tuple[float, FailedPrecondition]] = {}
        self._clean = False

    def runner(self, step: Step, tell: Callable[[str], None], whose: str = "") -> ContainerRunner:
        """A living runner for what `step` runs. Raises FailedPrecondition, the same one again for a while; Unavailable.

        tell: takes a sentence for each step that takes long. whose: the pipeline that the step is of.
        """
        kind = Kind.of(step)
        since_s, error = self._failed.get(kind, (0.0, None))
        if error and self._ambient.ticks_s() - since_s < _FAILED_S:
            raise error
        runner = self._open.pop(kind, None)
        if runner is not None and not runner.alive:
            runner.close()
            runner = None
        if runner is None:
            try:
                runner = self._begin(kind, tell)
            except FailedPrecondition as failed:
                self._failed[kind] = (self._ambient.ticks_s(), failed)
                raise
        self._open[kind] = runner  # the last used is last
        self._rests_s.pop(kind, None)
        self._users.setdefault(kind, set()).add(whose)
        self._leave(whose, kind)
        while len(self._open) > _KEEP:
            self._remove(next(iter(self._open)))
        self._current = runner
        return runner

    def kill(self) -> None:
        """End what runs. From any thread."""
        current = self._current
        if current is not None:
            current.kill()

    def idle(self) -> None:
        """The worker has nothing to do: remove containers for which that has been so for long."""
        now_s = self._ambient.ticks_s()
        for kind in list(self._open):
            if now_s - self._rests_s.setdefault(kind, now_s) >= WARM_S:
                self._remove(kind)

    def retire(self, whose: str) -> None:
        """A pipeline was stopped, updated or deleted: remove the containers that have run code of no other."""
        self._leave(whose)

    def _leave(self, whose: str, stays: Kind | None = None) -> None:
        """A pipeline needs none of the containers that it has used but `stays`: another is of an earlier version."""
        if not whose:
            return
        for kind in [kind for kind, users in self._users.items() if whose in users and kind != stays]:
            self._users[kind].discard(whose)
            if not self._users[kind]:
                self._remove(kind)

    def _remove(self, kind: Kind) -> None:
        self._rests_s.pop(kind, None)
        self._users.pop(kind, None)
        runner = self._open.pop(kind, None)
        if runner is not None:
            runner.close()

    def close(self) -> None:
        """Remove all containers."""
        for runner in self._open.values():
            with contextlib.suppress(TrunklineError):
                runner.close()
        self._open.clear()
        self._users.clear()
        self._ports.close()

    def _begin(self, kind: Kind, tell: Callable[[str], None]) -> ContainerRunner:
        if not self._clean:  # of what this worker left when it was killed
            remove_leftovers(self._engine, *self._whose, tell=tell)
            forget_secrets(*self._whose)
            self._clean = True
        sandbox = Sandbox(group=ContainerGroup())
        try:
            return ContainerRunner(self._scratch, sandbox, lambda scratch, _: self._launch(kind, scratch))
        except NotFound:
            tell(f'image "{kind.image}" is not in the container engine any more: pulling it again')
            held = self._engine.pull(kind.image)
            if held.digest != kind.digest:
                raise EngineFailed(
                    f'image "{kind.image}" was {kind.digest[:12]} when the pipeline was made and is {held.digest[:12]} '
                    "now; update the pipeline to run its code in that"
                ) from None
            return ContainerRunner(self._scratch, sandbox, lambda scratch, _: self._launch(kind, scratch))

    def _launch(self, kind: Kind, scratch: Scratch) -> Launched:
        """Begin a container and wait for its shim's greeting."""
        shown, mounts = self._secrets(kind)
        relays = [each for port in self._ports.inside for each in ("--relay", f"{port}={PORTS_INSIDE}/{name_of(port)}")]
        more = ["--volume", PFS_INSIDE] if kind.volume else []
        if self._doorway is not None:
            more += ["--inward", str(self._doorway.inner)]
        mounts += [
            *([] if kind.volume else [(str(scratch.pfs), PFS_INSIDE, True)]),
            (str(scratch.staging), STAGING_INSIDE, False),
            (str(program()), SHIM_INSIDE, False),
            (str(scratch.folder / "ports"), PORTS_INSIDE, False),
        ]
        wanted = Wanted(
            image=kind.image,
            digest=kind.digest,
            argv=[SHIM_INSIDE, *relays, *more, f"{STAGING_INSIDE}/{SOCKET_NAME}"],
            mounts=mounts,
            user=kind.user,
            volume=kind.volume,
            memory_bytes=kind.limits.memory_bytes,
            cpu=kind.limits.cpu,
            gpus=kind.limits.gpus,
            labels={RUN: self._run} if self._run else {},
            forgotten=not self._run,
        )
        home = None
        with listen(scratch.staging) as listener:
            try:
                home = ContainerHome(self._engine.begin(wanted, *self._whose), shown, self._ambient)
                connection = self._accept(listener, kind, home)
                listening = self._doorway.descriptor if self._doorway is not None else -1
                boot, running, volume = greet(connection, listening)
            except BaseException:
                if home is not None:
                    home.end()
                elif shown is not None:
                    shutil.rmtree(shown, ignore_errors=True)
                raise
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(scratch.staging / SOCKET_NAME)
        return Launched(home, connection, boot, running, volume)

    def _accept(self, listener: socket.socket, kind: Kind, home: ContainerHome) -> socket.socket:
        """The shim's connection; a container that ends before that says why."""
        until_s = self._ambient.ticks_s() + _START_S
        listener.settimeout(0.2)
        while True:
            try:
                connection = listener.accept()[0]
            except TimeoutError:
                state = home._container.state()
                if not state.get("Running"):
                    told = _why(state) or home._container.last_line() or "it ended at once"
                    raise EngineFailed(f'a container of image "{kind.image}" does not run: {told}') from None
                if self._ambient.ticks_s() > until_s:
                    raise EngineFailed(
                        f'a container of image "{kind.image}" did not answer within {_START_S:.0f} s'
                    ) from None
                continue
            connection.settimeout(None)
            return connection

    def _secrets(self, kind: Kind) -> tuple[Path | None, list[tuple[str, str, bool]]]:
        """The secrets as files in memory, to be mounted."""
        if not kind.secrets:
            return None, []
        if not MEMORY.is_dir():
            raise EngineFailed(
                "secrets cannot be shown as files here: this machine has no /dev/shm to keep them in memory"
            )
        top = secret_folder(*self._whose, self._ambient.new_id())
        top.mkdir(mode=0o700)
        mounts = []
        for number, secret in enumerate(kind.secrets):
            folder = top / str(number)
            folder.mkdir()
            for name, data in secret.files:
                (folder / name).write_bytes(data)
                (folder / name).chmod(0o444)
            mounts.append((str(folder), secret.path, False))
        return top, mounts


def _why(state: Mapping[str, Any]) -> str:
    """Why a container ended, in words; "" if the engine does not say."""
    if state.get("OOMKilled"):
        return "its memory limit was exceeded, and the kernel killed the container"
    if state.get("Error"):
        return str(state["Error"])
    code = int(state.get("ExitCode") or 0)
    return f"its container was killed by {signal_words(code - 128)}" if code > 128 else ""
