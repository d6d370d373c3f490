"""A container engine for tests, and images made of this machine's own files, since none can be pulled."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

PROGRAMS = (
    *(
        "sh",
        "cat",
        "chmod",
        "cmp",
        "cp",
        "echo",
        "env",
        "false",
        "grep",
        "head",
        "id",
        "ln",
        "ls",
        "mkdir",
        "mv",
        "nohup",
    ),
    *("printf", "pwd", "rm", "seq", "setsid", "sleep", "sort", "tail", "test", "touch", "tr", "true", "wc"),
)
PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/sh\n"
GROUPS = "root:x:0:\ndaemon:x:1:\n"


def engine_url() -> str:
    """The engine's socket, as DOCKER_HOST tells."""
    url = os.environ.get("DOCKER_HOST", "")
    if not url:
        pytest.skip("no container engine: DOCKER_HOST is not set")
    return url


def make_image(
    url: str,
    name: str,
    changes: Sequence[str] = (),
    files: dict[str, str] | None = None,
    programs: Sequence[str] = (),
) -> str:
    """An image with a shell and small programs, under `name`; its digest. changes: as lines of a Dockerfile.

    programs: more of this machine's.
    """
    import docker

    api = docker.APIClient(base_url=url, version="auto")
    repository, _, tag = name.rpartition(":")
    api.import_image_from_data(
        _archive(files or {}, (*PROGRAMS, *programs)), repository=repository, tag=tag, changes=list(changes)
    )
    return str(api.inspect_image(name)["Id"]).removeprefix("sha256:")


def remove_image(url: str, name: str) -> None:
    """Take it away again."""
    import docker

    docker.APIClient(base_url=url, version="auto").remove_image(name, force=True)


def _archive(files: dict[str, str], programs: Sequence[str]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for folder in ("tmp", "root", "usr", "proc", "dev", "sys", "etc"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        for path in sorted(_needed(programs)):
            archive.add(os.path.realpath(path), path.lstrip("/"), recursive=False)
        for name, text in {"etc/passwd": PASSWD, "etc/group": GROUPS, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644 if name.startswith("etc/") else 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return whole.getvalue()


def _needed(programs: Sequence[str]) -> Iterable[str]:
    """The programs as /bin/NAME or where they lie, with the libraries they are linked to."""
    found = set()
    for name in programs:
        path = shutil.which(name, path="/usr/bin:/bin")
        if path is None:
            pytest.skip(f"this machine has no {name} to make an image of")
        found.add(path)
        if name == "sh":
            found.add("/bin/sh")
        told = subprocess.run(["ldd", path], check=False, capture_output=True, text=True).stdout
        found |= {word for word in told.split() if word.startswith("/")}
    return [path for path in found if Path(path).exists()]
