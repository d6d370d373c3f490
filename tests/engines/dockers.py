"""A container engine for tests, and images made of this machine's own files, since none can be pulled."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
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
MORE = (
    *("bash", "awk", "basename", "cut", "date", "dirname", "find", "mkfifo", "mktemp", "paste", "sed", "uniq", "xargs"),
)
"""Programs that the matrix of pipelines needs besides."""
CLIENT = ("trunkline", "grpc", "google", "click", "yaml", "_yaml", "blake3", "rich", "typing_extensions.py")
"""What `pip install trunkline` brings, as far as `pachctl put file` uses it."""
PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/sh\n"
GROUPS = "root:x:0:\ndaemon:x:1:\n"


def engine_url(told_by: str = "DOCKER_HOST") -> str:
    """The engine's socket, as a variable of the environment tells."""
    url = os.environ.get(told_by, "")
    if not url:
        pytest.skip(f"no container engine: {told_by} is not set")
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
    return _import(url, name, archive_of(files or {}, (*PROGRAMS, *programs)), changes)


def make_python_image(
    url: str,
    name: str,
    packages: Sequence[str] = (),
    programs: Sequence[str] = (),
    linked: Sequence[str] = (),
    files: dict[str, str] | None = None,
) -> None:
    """An image as `make_image` makes it, with this machine's Python 3 in it, and packages of this environment.

    packages: the folders' names. programs: more of this machine's. linked: packages that will be installed there, and
    need libraries of a system.
    """
    archive, variables = python_archive(packages, programs, linked, files)
    _import(url, name, archive, [f"ENV {one}" for one in variables])


def python_archive(
    packages: Sequence[str] = (),
    programs: Sequence[str] = (),
    linked: Sequence[str] = (),
    files: dict[str, str] | None = None,
) -> tuple[bytes, list[str]]:
    """The files of such an image, and variables that it needs."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = Path(sys.base_prefix) / "lib" / version
    site = "/packages"
    whole = io.BytesIO(archive_of(files or {}, (*PROGRAMS, *programs)))
    with tarfile.open(fileobj=whole, mode="a") as archive:
        found = [_package(package) for package in packages]
        modules = [module for each in (*found, *map(_package, linked)) for module in each.rglob("*.so")]
        _add_python(archive, library, modules)
        for each in found:
            archive.add(each, f"{site}/{each.name}".lstrip("/"), filter=_wanted)
    return whole.getvalue(), [f"PYTHONPATH={site}", f"PYTHONHOME={sys.base_prefix}"]


def _import(url: str, name: str, archive: bytes, changes: Sequence[str]) -> str:
    """Tagged afterwards, since Podman 4 forgets the tag that is given with an archive. The image's digest."""
    import docker

    api = docker.APIClient(base_url=url, version="auto")
    told = api.import_image_from_data(archive, changes=list(changes))
    digest = str(json.loads(told.splitlines()[-1])["status"])
    repository, _, tag = name.rpartition(":")
    api.tag(digest, repository, tag)
    return digest.removeprefix("sha256:")


def _package(name: str) -> Path:
    """Where the package or module is that code which imports it gets, whatever else of its name lies about."""
    found = importlib.util.find_spec(name.removesuffix(".py"))
    assert found is not None, f"{name} is not installed"
    folders = found.submodule_search_locations
    return Path(next(iter(folders))) if folders else Path(str(found.origin))


def _add_python(archive: tarfile.TarFile, library: Path, more: Sequence[Path]) -> None:
    """The interpreter with its modules, and the libraries that these and `more` are linked to."""
    python = os.path.realpath(sys.executable)
    linked = [python, *(str(each) for each in sorted([*(library / "lib-dynload").glob("*.so"), *more]))]
    told = subprocess.run(["ldd", *linked], check=False, capture_output=True, text=True).stdout
    system = ("/lib", "/usr/lib", sys.base_prefix)  # and none that a package brings with it
    libraries = {word for word in told.split() if word.startswith(system) and not word.endswith(":")}
    for path in sorted(libraries - {f"/{name}" for name in archive.getnames()}):
        archive.add(os.path.realpath(path), path.lstrip("/"), recursive=False)
    archive.add(python, "usr/bin/python3", recursive=False)
    archive.add(library, str(library).lstrip("/"), filter=_wanted)


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    left = {
        "__pycache__",
        "test",
        "tests",
        "idlelib",
        "lib2to3",
        "tkinter",
        "ensurepip",
        "dist-packages",
        "site-packages",
        "EXTERNALLY-MANAGED",  # what Debian says of its own Python, and not of one in an image
    }
    return None if os.path.basename(entry.name) in left else entry


def remove_image(url: str, name: str) -> None:
    """Take it away again."""
    import docker

    docker.APIClient(base_url=url, version="auto").remove_image(name, force=True)


def archive_of(files: dict[str, str], programs: Sequence[str]) -> bytes:
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
