"""A container engine by its API socket: what images it has, and containers of ours in it."""

from __future__ import annotations

import json
import platform
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from trunkline.errors import FailedPrecondition, NotFound, TrunklineError, Unavailable
from trunkline.model.image_names import parse_image
from trunkline.worker.launch import PFS_INSIDE
from trunkline.worker.shim.program import machine_of

OURS = "trunkline.server"
"""The label of every container of ours; its value says of which server."""
WORKER = "trunkline.worker"
"""The label that says for which worker it is."""
RUN = "trunkline.run"
"""The label that says of which start of the server it is, since names of workers begin anew with each."""

_SOCKETS = ("/var/run/docker.sock", "/run/podman/podman.sock")
NVIDIA = "nvidia.com/gpu"
_NOWHERE = "/.trunkline/nothing"
"""A program of no image: an engine that complains of it has found all that it needs before."""
_DENIED = "permission denied"
_ANSWER_S = 60
_PULL_S = 3600
_REMOVALS = 3


class EngineFailed(FailedPrecondition):
    """The engine refuses something, and would again. The message says what, and what to do."""


class EngineAway(Unavailable):
    """The engine does not answer, or has no room. It may come back."""


@dataclass(frozen=True, slots=True)
class HeldImage:
    """An image that the engine has. digest: of its configuration, in hex; it changes with any change of the image."""

    digest: str
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A container to begin. mounts: (of this machine, inside, writable). user "": as the image says.

    volume: size of a file system in memory at /pfs, as an option of tmpfs; "" for none. memory_bytes, cpu, gpus:
    limits; 0 for none. labels: beside those that say whose it is. forgotten: the engine removes it as soon as it ends,
    with what it knows of why.
    """

    image: str
    digest: str
    argv: Sequence[str]
    mounts: Sequence[tuple[str, str, bool]]
    user: str = ""
    volume: str = ""
    memory_bytes: int = 0
    cpu: float = 0.0
    gpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    forgotten: bool = False


def socket_url(environ: Mapping[str, str], runtime: str = "") -> str:
    """Where an engine would be: DOCKER_HOST, or the first usual socket where this user is answered; "" for none.

    runtime: the user's folder for sockets, where Podman without root has its own.
    """
    if environ.get("DOCKER_HOST"):
        return environ["DOCKER_HOST"]
    runtime = runtime or environ.get("XDG_RUNTIME_DIR", "")
    own = [f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock"] if runtime else []
    for path in (*_SOCKETS, *own):
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(path)
            return f"unix://{path}"
        except OSError:
            continue
    return ""


class Engine:
    """One engine. Connects when first used, and again after it was away."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: Any = None

    def name(self) -> str:
        """Its kind and version, as `Docker 20.10.24`. Raises EngineAway, EngineFailed."""
        with self._api() as api:
            told = api.version()
        parts = [part.get("Name", "") for part in told.get("Components") or ()]
        kind = "Podman" if any("podman" in part.lower() for part in parts) else "Docker"
        return f"{kind} {told.get('Version', '')}".strip()

    def look(self, image: str) -> HeldImage | None:
        """An image by name, or by `sha256:` and digest; None: the engine does not have it."""
        import docker.errors

        with self._api() as api:
            try:
                told = api.inspect_image(_asked(image))
            except docker.errors.ImageNotFound:
                return None
            mine = api.version().get("Arch", "")
        try:
            held = _held(told)
        except FailedPrecondition as error:
            raise EngineFailed(f'image "{image}" cannot be run: {error}') from None
        if _machine(mine) != held.machine:
            raise EngineFailed(
                f'image "{image}" is made for {told.get("Architecture")}, and this engine runs {mine}; name one '
                f"for {mine}"
            )
        return held

    def pull(self, image: str, credentials: Mapping[str, str] | None = None) -> HeldImage:
        """Fetch an image from its registry. credentials: username and password. Raises EngineFailed with the reason."""
        import docker.errors

        name = parse_image(image)
        with self._api(_PULL_S) as api:
            try:
                tag = name.digest or name.tag or "latest"
                said = api.pull(name.repository, tag=tag, auth_config=dict(credentials) if credentials else None)
            except docker.errors.APIError as error:
                raise EngineFailed(f'image "{image}" cannot be pulled: {_told(error)}') from None
        if complaint := _complaint(said):
            raise EngineFailed(f'image "{image}" cannot be pulled: {complaint}')
        held = self.look(image)
        if held is None:
            raise EngineFailed(f'image "{image}" was pulled, but the engine does not have it under that name')
        return held

    def begin(self, wanted: Wanted, server: str, worker: str) -> Container:
        """Create and start a container. Raises EngineFailed, EngineAway, NotFound (the image is gone)."""
        import docker.errors

        with self._api() as api:
            host = api.create_host_config(
                binds=[f"{here}:{inside}:{'rw' if writable else 'ro'}" for here, inside, writable in wanted.mounts],
                tmpfs={PFS_INSIDE: f"rw,exec,mode=1777,size={wanted.volume}"} if wanted.volume else None,
                mem_limit=wanted.memory_bytes or None,
                memswap_limit=wanted.memory_bytes or None,
                nano_cpus=int(wanted.cpu * 1e9) or None,
                device_requests=_gpus(wanted.gpus),
                auto_remove=wanted.forgotten,
                log_config={"type": "json-file", "config": {"max-size": "1m", "max-file": "1"}},
            )
            labels = {**wanted.labels, OURS: server, WORKER: worker}
            try:
                made = api.create_container(
                    f"sha256:{wanted.digest}",
                    entrypoint=list(wanted.argv),
                    command=[],
                    user=wanted.user or None,
                    labels=labels,
                    host_config=host,
                    working_dir="/",
                )
            except docker.errors.ImageNotFound:
                raise NotFound(f'image "{wanted.image}" ({wanted.digest[:12]}) is not in the engine any more') from None
            container = Container(self, made["Id"])
            try:
                api.start(container.id)
            except docker.errors.APIError as error:
                container.remove()
                raise _failure(f'a container of image "{wanted.image}" cannot be started', error) from None
        return container

    def check_gpus(self, digest: str, kind: str, count: int) -> None:
        """Try whether a container is given GPUs here. kind: as specs name it. Raises EngineFailed with the reason."""
        if kind != NVIDIA:
            raise EngineFailed(f'of GPUs, a container engine is asked for "{NVIDIA}" alone, and the spec says "{kind}"')
        import docker.errors

        with self._api() as api:
            host = api.create_host_config(device_requests=_gpus(count))
            made = api.create_container(f"sha256:{digest}", entrypoint=[_NOWHERE], command=[], host_config=host)
            container = Container(self, made["Id"])
            try:
                heard = api.inspect_container(container.id)["HostConfig"].get("DeviceRequests")
                if not heard:
                    raise EngineFailed(
                        f"the container engine at {self.url} takes no request for GPUs; use Docker, or leave out "
                        "resource_limits.gpu"
                    )
                api.start(container.id)
                complaint = ""
            except docker.errors.APIError as error:
                told = _told(error)
                complaint = "" if _NOWHERE in told else told
            finally:
                container.remove()
        if complaint:
            raise EngineFailed(
                f"the container engine gives its containers no GPU: {complaint}; install NVIDIA's driver and container "
                "toolkit on its machine, or leave out resource_limits.gpu"
            )

    def leftovers(self, server: str, worker: str = "") -> list[Container]:
        """Containers of a server, or of one of its workers, running or not."""
        labels = [f"{OURS}={server}", *([f"{WORKER}={worker}"] if worker else [])]
        with self._api() as api:
            found = api.containers(all=True, filters={"label": labels})
        return [Container(self, one["Id"], one.get("Labels") or {}) for one in found]

    @contextmanager
    def _api(self, timeout_s: int = _ANSWER_S) -> Iterator[Any]:
        """The client; what goes wrong with it becomes an error of ours."""
        import docker
        import docker.errors
        import requests

        try:
            if self._client is None:
                self._client = docker.APIClient(base_url=self.url, version="auto", timeout=_ANSWER_S)
            self._client.timeout = timeout_s
            yield self._client
        except TrunklineError:
            raise
        except docker.errors.APIError as error:
            raise _failure(f"the container engine at {self.url} refuses", error) from None
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            self._client = None
            raise EngineAway(_away(self.url, error)) from None


class Container:
    """A container of ours."""

    def __init__(self, engine: Engine, key: str, labels: Mapping[str, str] | None = None) -> None:
        self._engine = engine
        self.id = key
        self.labels = dict(labels or {})

    def state(self) -> Mapping[str, Any]:
        """What the engine says of it: Running, ExitCode, OOMKilled, Error. Empty: it is gone."""
        import docker.errors

        with self._engine._api() as api:
            try:
                found: Mapping[str, Any] = api.inspect_container(self.id)["State"]
            except docker.errors.APIError as error:
                if _is_gone(error):
                    return {}
                raise
            return found

    def last_line(self) -> str:
        """What it wrote last to its standard error."""
        import docker.errors

        with self._engine._api() as api:
            try:
                text: bytes = api.logs(self.id, stdout=False, stderr=True, tail=1)
            except docker.errors.APIError as error:
                if _is_gone(error):
                    return ""
                raise
        return text.decode(errors="replace").strip()

    def remove(self) -> None:
        """End it and all that runs in it, and remove it. One that is gone is fine.

        Podman refuses it for one that ends by itself between its look and its kill: it is asked again then.
        """
        import docker.errors

        with self._engine._api() as api:
            for attempt in range(_REMOVALS):
                try:
                    api.remove_container(self.id, force=True, v=True)
                    return
                except docker.errors.APIError as error:
                    if _is_gone(error):
                        return
                    if attempt == _REMOVALS - 1:
                        raise


def _asked(image: str) -> str:
    """The name to look for: a digest says more than the tag beside it, and not every engine takes both."""
    name = parse_image(image)
    return str(replace(name, tag="")) if name.digest and name.path else image


def _held(told: Mapping[str, Any]) -> HeldImage:
    config = told.get("Config") or {}
    env = dict(each.partition("=")[::2] for each in config.get("Env") or ())
    return HeldImage(
        digest=str(told["Id"]).removeprefix("sha256:"),
        env=env,
        working_dir=config.get("WorkingDir") or "",
        machine=_machine(told.get("Architecture", "")),
    )


def _machine(name: str) -> str:
    return machine_of(name or platform.machine())


def _gpus(count: int) -> list[Any] | None:
    if not count:
        return None
    from docker.types import DeviceRequest

    return [DeviceRequest(count=count, capabilities=[["gpu"]])]


def _failure(what: str, error: Any) -> TrunklineError:
    """The error for a refusal. A full disk passes, when somebody makes room."""
    told = _told(error)
    return EngineAway(f"{what}: {told}") if "no space left" in told.lower() else EngineFailed(f"{what}: {told}")


def _is_gone(error: Any) -> bool:
    """Whether a container is not there, or goes just now, which Podman calls an error of its own."""
    words = _told(error).lower()
    return error.status_code == 404 or "no such container" in words or "already in progress" in words


def _complaint(said: str) -> str:
    """What went wrong after the answer had begun, as each pull of Podman's does; "" if nothing did."""
    for line in said.splitlines():
        with suppress(ValueError):
            told = json.loads(line)
            if isinstance(told, dict) and told.get("error"):
                return " ".join(str(told["error"]).split())
    return ""


def _told(error: Any) -> str:
    """The engine's own words, in one line."""
    return " ".join(str(getattr(error, "explanation", "") or error).split())


def _away(url: str, error: Exception) -> str:
    path, why = url.removeprefix("unix://"), _brief(error)
    if url.startswith("unix://") and why == _DENIED:
        return (
            f"this user may not use the container engine at {path}: permission denied; type `sudo usermod -aG docker "
            "$USER`, log in again, and start pachd again"
        )
    return f"the container engine at {url} does not answer: {why}; is it running?"


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split())
    for words in ("No such file or directory", "Connection refused", "timed out", "Permission denied"):
        if words in text:
            return words.lower()
    return text[:300]
