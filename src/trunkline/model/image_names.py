"""Names of container images: `REGISTRY/PATH:TAG@DIGEST`, of which only the path must be there."""

from __future__ import annotations

from dataclasses import dataclass, replace

INDEX_PATH = "/index"
"""The list of entries of a local image, as JSON, within its file sets; the files lie below `FILES_PATH`."""
FILES_PATH = "/files"

DOCKER_HUB = "index.docker.io"
"""The registry of names that name none."""
_HUB = frozenset({DOCKER_HUB, "docker.io", "registry-1.docker.io", "registry.hub.docker.com"})

FLOATING = frozenset(
    {
        *("latest", "current", "stable", "edge", "nightly", "head", "main", "master", "trunk"),
        *("dev", "devel", "develop", "test", "testing", "staging", "prod", "production"),
    }
)
"""Tags that by custom stand for whatever was built last."""


@dataclass(frozen=True, slots=True)
class ImageName:
    """One name, taken apart. registry: a host with its port; "" for Docker Hub. digest: with its `sha256:`."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"

    @property
    def repository(self) -> str:
        """The name without tag and digest."""
        return f"{self.registry}/{self.path}" if self.registry else self.path

    @property
    def host(self) -> str:
        """The registry, named even where it is the customary one."""
        return self.registry or DOCKER_HUB

    @property
    def floats(self) -> bool:
        """Whether it may stand for other content tomorrow, by the custom of those who build images."""
        return not self.digest and (self.tag or "latest").lower() in FLOATING


def parse_image(text: str) -> ImageName:
    """Take a name apart. What comes before the first slash is a registry if it looks like a host."""
    rest, _, digest = text.partition("@")
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:  # no colon, or that of a port
        head, tag = rest, ""
    first, slash, path = head.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return ImageName("" if first in _HUB else first, path, tag, digest)
    return ImageName("", head, tag, digest)


def pushed_name(image: ImageName, registry: str, username: str, tag: str) -> ImageName:
    """Under which name an image is pushed. registry: a host, perhaps with a path or as a URL; "": the image's own.

    username: on Docker Hub, whose names begin with one, of an image that names nobody.
    """
    place = registry.partition("://")[2] if "://" in registry else registry
    host, _, folder = place.strip("/").partition("/")
    if folder in ("v1", "v2"):  # as `docker login` writes addresses
        folder = ""
    target = replace(image, tag=tag, digest="")
    if host:
        target = replace(target, registry="" if host in _HUB else host)
    if folder and not target.path.startswith(f"{folder}/"):
        target = replace(target, path=f"{folder}/{target.path}")
    if not target.registry and "/" not in target.path and username:
        target = replace(target, path=f"{username}/{target.path}")
    return target
