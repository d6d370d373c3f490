"""The container engine of this machine as a workbench: it builds images, and pushes them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trunkline.errors import FailedPrecondition, NotFound
from trunkline.model.image_names import ImageName
from trunkline.worker.containers.engine import Engine, EngineFailed, socket_url

_BUILD_S = 3600
_PUSH_S = 3600

Progress = Callable[[str, str, int, int], None]
"""Told of each step of a layer: its id, what is done, bytes done, and bytes in all (0: nobody knows)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build. folder: the context, all of which the engine gets but for what its .dockerignore names."""

    dockerfile: Path

    @property
    def folder(self) -> Path:
        """Where the Dockerfile lies."""
        return self.dockerfile.parent


def find_recipe(told: str, beside: Path) -> Recipe:
    """The Dockerfile that a spec names, or that lies in the folder which it names. Raises NotFound.

    beside: the folder that a relative path starts from.
    """
    path = beside / told
    if path.is_dir():
        path = path / "Dockerfile"
    if not path.is_file():
        raise NotFound(f'there is no Dockerfile at "{path}", which transform.dockerfile names')
    return Recipe(path.resolve())


class Workbench(Engine):
    """An engine, and what only people who make images ask of it."""

    def build(self, recipe: Recipe, name: str, arguments: Mapping[str, str], say: Callable[[str], None]) -> None:
        """Build an image and name it. say: takes what the build prints. Raises EngineFailed with the complaint."""
        with self._api(_BUILD_S) as api:
            told = api.build(
                path=str(recipe.folder),
                dockerfile=recipe.dockerfile.name,
                tag=name,
                buildargs=dict(arguments),
                rm=True,
                forcerm=True,
                timeout=_BUILD_S,
                decode=True,
            )
            for line in _lines(told, f'image "{name}" cannot be built from {recipe.dockerfile}'):
                if text := line.get("stream"):
                    say(str(text))

    def push(self, image: str, target: ImageName, credentials: Mapping[str, str], progress: Progress) -> str:
        """Push an image under a name; the digest under which the registry has it now, as `sha256:…`.

        Raises NotFound (the engine has no such image), EngineFailed with the registry's complaint.
        """
        import docker.errors

        digest = ""
        with self._api(_PUSH_S) as api:
            try:
                api.tag(image, target.repository, target.tag, force=True)
            except docker.errors.ImageNotFound:
                raise NotFound(
                    f'image "{image}" is not in the container engine at {self.url}; build it first, with --build or '
                    f"`docker build -t {image} FOLDER`"
                ) from None
            try:
                told = api.push(target.repository, target.tag, stream=True, auth_config=dict(credentials), decode=True)
                for line in _lines(told, f'image "{image}" cannot be pushed to {target.host}'):
                    detail = line.get("progressDetail") or {}
                    if line.get("id"):
                        at, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
                        progress(str(line["id"]), str(line.get("status", "")), at, total)
                    digest = str((line.get("aux") or {}).get("Digest") or digest)
            except BaseException as error:
                with contextlib.suppress(docker.errors.APIError):
                    api.remove_image(str(target), noprune=True)  # a name that nobody will know
                if isinstance(error, EngineFailed):
                    raise EngineFailed(f"{error}{_advice(str(error), target.host)}") from None
                raise
            if not digest:
                digest = _known_digest(api.inspect_image(str(target)), target)
        return digest


def open_workbench(url: str) -> Workbench:
    """The engine at `url`. Raises FailedPrecondition where there is none, or nothing to speak with it."""
    if not url:
        raise FailedPrecondition(
            "no container engine was found here, and images are built and pushed by one: start Docker or Podman, or "
            "set DOCKER_HOST"
        )
    try:
        import docker as _docker  # noqa: F401
    except ImportError:
        raise FailedPrecondition(
            "pachctl speaks with container engines by the Python package `docker`, which is not installed here: type "
            "`pip install docker`"
        ) from None
    return Workbench(url)


def _lines(told: Iterator[dict[str, Any]], failure: str) -> Iterator[dict[str, Any]]:
    """What an engine tells of its work, line by line. Raises EngineFailed when it says that it failed."""
    for line in told:
        if "error" in line:
            raise EngineFailed(f"{failure}: {' '.join(str(line['error']).split())}")
        yield line


def _advice(complaint: str, host: str) -> str:
    words = complaint.lower()
    if not any(word in words for word in ("denied", "unauthorized", "authentication required", "no basic auth")):
        return ""
    return f"; log in with `docker login {host}`, or name a user by --username"


def _known_digest(told: Mapping[str, Any], target: ImageName) -> str:
    """Where an engine does not tell it while it pushes, as Podman: what it noted with the image."""
    for name in told.get("RepoDigests") or ():
        repository, _, digest = str(name).partition("@")
        if repository in (target.repository, f"docker.io/{target.repository}"):
            return digest
    raise EngineFailed(f'image "{target}" was pushed, but the engine does not say under which digest')


__all__ = ["Progress", "Recipe", "Workbench", "find_recipe", "open_workbench", "socket_url"]
