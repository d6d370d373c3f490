"""Local images on this machine: folders under a digest, and virtual environments built for them, each made once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from trunkline.ambient import Ambient
from trunkline.errors import FailedPrecondition, NotFound, TrunklineError
from trunkline.worker.launch import HOME_INSIDE, STAGING_INSIDE, VENV_INSIDE, AgentLost, Sandbox, Scratch
from trunkline.worker.ports import Image, SecretFolder
from trunkline.worker.rungs import LaidImage
from trunkline.worker.runner import AgentRunner, Command, Runner

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TRIES = 3
_RETRY_S = 2.0
_INSTALL_LIMIT_US = 1_800_000_000
_TAIL = 8
_FAILED_S = 60.0
_LOOK_S = 0.05
_PIP_PREFIXES = (
    "PIP_",
    "UV_",
    "SSL_CERT",
    "REQUESTS_CA",
    "CURL_CA",
    "HTTP",
    "http",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
)


def _unheard(sentence: str) -> None:
    """For who does not want to hear it."""


class ImageFailed(FailedPrecondition):
    """An image cannot be made ready; the message says what failed and its last lines."""


@dataclass(frozen=True)
class ImageFile:
    """One entry of an image: `path` relative to its root. `link`: target of a symbolic link, or "". mode: 9 bits."""

    path: str
    data: bytes = b""
    mode: int = 0o644
    link: str = ""


class ImageSource(Protocol):
    """Where the content of registered images comes from."""

    def files(self, digest: str) -> Iterator[ImageFile]:
        """Everything in the image. Raises NotFound when no image has this digest."""
        ...


class Images:
    """A cache of images in `folder`, shared by the workers of a machine: whoever comes first makes, others wait."""

    def __init__(self, folder: Path, source: ImageSource, ambient: Ambient) -> None:
        self._folder = folder
        self._source = source
        self._ambient = ambient
        self._building: Runner | None = None
        self._interrupted = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        self.laid = LaidImage(folder / "laid.json")

    def root(self, image: Image) -> str:
        """The folder whose entries are to appear at `/`; "" for the host's own files. Raises TrunklineError."""
        if not image.digest:
            return ""
        target = self._folder / _safe(image.digest) / "root"
        with self._making(target) as partial:
            if partial:
                partial.mkdir()
                try:
                    for file in self._source.files(image.digest):
                        self._go_on()
                        _extract(partial, file)
                except NotFound as error:
                    raise ImageFailed(f'image "{image.name}" is not registered here any more: {error}') from None
        return str(target)

    def venv(self, image: Image, scratch: Scratch, sandbox: Sandbox, tell: Callable[[str], None] = _unheard) -> str:
        """The virtual environment that `image` asks for, built inside the namespace at its final path; "" for none.

        Raises ImageFailed with the installer's last lines.
        """
        if not image.python and not image.requirements:
            return ""
        text = f"{image.digest}\0{image.python}\0{image.requirements}"
        target = self._folder / "venvs" / hashlib.sha256(text.encode()).hexdigest()[:32]
        with self._making(target) as partial:
            if partial:
                self._build(image, partial, scratch, replace(sandbox, image=self.root(image)), tell)
        return str(target)

    def interrupt(self) -> None:
        """Have what is being made, or waited for, end with AgentLost. From any thread; later calls begin anew."""
        self._interrupted.set()
        building = self._building
        if building is not None:
            building.kill()

    def _go_on(self) -> None:
        if self._interrupted.is_set():
            raise AgentLost("making an image was called off")

    @contextlib.contextmanager
    def _making(self, target: Path) -> Iterator[Path | None]:
        """A place to make `target` at, which is put in its own place at the end; None if it is there already."""
        if target.exists():
            yield None
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        self._interrupted.clear()
        with open(target.parent / f".{target.name}.lock", "wb") as lock:
            while not _taken(lock):
                self._go_on()
                self._ambient.sleep(_LOOK_S)
            if target.exists():
                yield None
                return
            partial = target.parent / f".{target.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            try:
                yield partial
                os.rename(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def _build(
        self, image: Image, folder: Path, scratch: Scratch, sandbox: Sandbox, tell: Callable[[str], None]
    ) -> None:
        folder.mkdir()
        requirements = scratch.staging / "requirements.txt"
        requirements.unlink(missing_ok=True)
        requirements.write_text(image.requirements, encoding="utf-8")
        if not sandbox.namespaces:
            self.laid.lay(sandbox.image, "", building=True)
        python = f"python{image.python}" if image.python and image.python[0].isdigit() else image.python or "python3"
        runner = self._building = AgentRunner(scratch, replace(sandbox, venv=str(folder), venv_writable=True))
        try:
            wanted = bool(image.requirements.strip())
            make = [python, "-m", "venv", *([] if wanted else ["--without-pip"]), VENV_INSIDE]
            tell(f'image "{image.name}": making an environment with {python}; this happens once')
            self._step(runner, image, f"making an environment with {python}", make, 1)
            if wanted:
                install = [f"{VENV_INSIDE}/bin/python", "-m", "pip", "install", "--disable-pip-version-check"]
                staging = STAGING_INSIDE if sandbox.namespaces else str(scratch.staging)
                install += ["--no-input", "--no-cache-dir", "-r", f"{staging}/requirements.txt"]
                tell(f'image "{image.name}": installing its requirements')
                self._step(runner, image, "installing its requirements", install, _TRIES)
            if not sandbox.namespaces:
                shutil.copytree(self.laid.venv_place, folder, symlinks=True, dirs_exist_ok=True)
        finally:
            self._building = None
            runner.close()

    def _step(self, runner: Runner, image: Image, what: str, argv: Sequence[str], tries: int) -> None:
        """One command, tried up to `tries` times, since a registry may be away for a moment."""
        env = {name: value for name, value in os.environ.items() if name.startswith(_PIP_PREFIXES)}
        env |= {"PATH": os.environ.get("PATH", _PATH), "HOME": HOME_INSIDE}
        written = bytearray()
        for left in range(tries - 1, -1, -1):
            written.clear()
            ended = runner.run(Command(argv, env, limit_us=_INSTALL_LIMIT_US), lambda _, data: written.extend(data))
            if ended.code == 0:
                return
            self._go_on()
            if left and ended.code is not None:
                self._ambient.sleep(_RETRY_S)
                continue
            lines = [line for line in written.decode(errors="replace").splitlines() if line.strip()][-_TAIL:]
            end = ended.not_started or (f"exit {ended.code}" if ended.code is not None else f"signal {ended.signal}")
            raise ImageFailed(f'image "{image.name}": {what} failed: {end}' + "".join(f"\n  {line}" for line in lines))


class Housing:
    """Opens runners for claims' images, keeps the last few warm, and forgets those that died."""

    def __init__(
        self,
        scratch: Scratch,
        sandbox: Sandbox,
        images: Images,
        ambient: Ambient,
        start: Callable[[Scratch, Sandbox], Runner] = AgentRunner,
        keep: int = 4,
    ) -> None:
        self._scratch = scratch
        self._sandbox = sandbox
        self._images = images
        self._start = start
        self._keep = keep
        self._open: dict[tuple[str, str, tuple[SecretFolder, ...], str], Runner] = {}
        self._current: Runner | None = None
        self._asked: tuple[object, ...] = ()  # what the current one was opened for, as each datum asks again
        self._ambient = ambient
        self._failed: dict[str, tuple[float, FailedPrecondition | None]] = {}

    def runner(
        self,
        image: Image,
        tell: Callable[[str], None] = _unheard,
        secrets: tuple[SecretFolder, ...] = (),
        volume: str = "",
    ) -> Runner:
        """A living runner that shows `image` and `secrets`. Raises FailedPrecondition, the same one again for a while.

        tell: takes a sentence for each step that takes long. volume: as in `Sandbox`; without namespaces there is none.
        """
        asked = (image, secrets, volume)
        if self._current is not None and asked == self._asked and self._current.alive:
            return self._current
        self._asked = ()
        wanted = " ".join([image.name, image.digest, *(one.path for one in secrets)])
        since_s, error = self._failed.get(wanted, (0.0, None))
        if error and self._ambient.ticks_s() - since_s < _FAILED_S:
            raise error
        try:
            runner = self._runner(image, tell, secrets, volume if self._sandbox.namespaces else "")
        except FailedPrecondition as failed:
            self._failed[wanted] = (self._ambient.ticks_s(), failed)
            raise
        self._asked = asked
        return runner

    def _runner(
        self, image: Image, tell: Callable[[str], None], secrets: tuple[SecretFolder, ...], volume: str
    ) -> Runner:
        root, venv = self._images.root(image), self._images.venv(image, self._scratch, self._sandbox, tell)
        key = (root, venv, secrets, volume)
        if not self._sandbox.namespaces:
            if secrets:
                raise FailedPrecondition(
                    f"the secret at {secrets[0].path} cannot be shown as files on this machine, which allows no "
                    "namespaces; name a key and an env_var in the spec instead"
                )
            self._images.laid.lay(root, venv)
        runner = self._open.pop(key, None)
        if runner is not None and not runner.alive:
            runner.close()
            runner = None
        if runner is None:
            sandbox = replace(self._sandbox, image=root, venv=venv, secrets=secrets, volume=volume)
            runner = self._start(self._scratch, sandbox)
        self._open[key] = runner  # the last used is last
        while len(self._open) > self._keep:
            self._open.pop(next(iter(self._open))).close()
        self._current = runner
        return runner

    def kill(self) -> None:
        """End what runs. From any thread."""
        self._images.interrupt()
        current = self._current
        if current is not None:
            current.kill()

    def close(self) -> None:
        """End all agents."""
        for runner in self._open.values():
            with contextlib.suppress(TrunklineError):
                runner.close()
        self._open.clear()
        if not self._sandbox.namespaces:
            self._images.laid.clear()


def _taken(lock: BinaryIO) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _safe(digest: str) -> str:
    """A digest as the name of a folder."""
    return "".join(letter if letter.isalnum() else "-" for letter in digest)[:80]


def _extract(root: Path, file: ImageFile) -> None:
    """Write one entry below `root`; a path that leads out of it is refused."""
    parts = [part for part in file.path.split("/") if part]
    if ".." in parts or not parts:
        raise ImageFailed(f'image entry "{file.path}" is not a path below the image\'s root')
    here = root
    for part in parts[:-1]:
        here = here / part
        if here.is_symlink():
            raise ImageFailed(f'image entry "{file.path}" lies below a link')
        here.mkdir(exist_ok=True)
    target = here / parts[-1]
    if file.link:
        target.symlink_to(file.link)
    elif file.path.endswith("/"):
        target.mkdir(exist_ok=True)
    else:
        target.write_bytes(file.data)
        target.chmod((file.mode & 0o777) | 0o444)
