"""Images as archives that any engine or cluster loads, made of this machine's own files, since none can be pulled."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from dockers import CLIENT, MORE, PROGRAMS, archive_of, python_archive

from trunkline.worker.shim.program import SOURCES, program

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_LEFT_OUT = ("mypy", "mypyc", "PIL", "pillow", "boto", "hypothesis", "ruff", "pytest", "_pytest", "grpc_tools", "pip")
_NOT_NEEDED = ("test", "idlelib", "tkinter", "ensurepip", "site-packages", "tests")
HOME = "/opt/python"
PROGRAMS_OF_OURS = "/opt/trunkline/bin"
VARIABLES = (
    f"PATH={PROGRAMS_OF_OURS}:{HOME}/bin:/bin",
    "HOME=/tmp",
    "TRUNKLINE_DATA=/data",
    "PYTHONDONTWRITEBYTECODE=1",
)
OURS: dict[str, object] = {
    "Env": VARIABLES,
    "User": "1000:1000",
    "Entrypoint": ["pachd"],
    "ExposedPorts": {"30650/tcp": {}, "30600/tcp": {}},
}
"""What the image of Trunkline says of itself, as deploy/image/Dockerfile has it; a test compares."""
_PACHD = f"#!{HOME}/bin/python3\nfrom trunkline.__main__ import main\n\nmain()\n"
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt",)
"""Without any, no client of an object store can be made, not even one that needs none."""


def save(
    target: Path, name: str, layer: bytes | Path, config: dict[str, object] | None = None, machine: str = ""
) -> None:
    """Write an image of one layer, a tar, under `name` into the archive `target`. machine: that it is for; ours."""
    data = layer.read_bytes() if isinstance(layer, Path) else layer
    digest = hashlib.sha256(data).hexdigest()
    told = {
        "architecture": machine or _MACHINES[platform.machine()],
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    image = json.dumps(told).encode()
    file = f"{hashlib.sha256(image).hexdigest()}.json"
    manifest = [{"Config": file, "RepoTags": [name], "Layers": [f"{digest}.tar"]}]
    with tarfile.open(target, "w") as archive:
        for path, content in ((file, image), ("manifest.json", json.dumps(manifest).encode()), (f"{digest}.tar", data)):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def save_worker(target: Path, name: str) -> None:
    """The image of Trunkline, with the Python and the packages that run these tests."""
    layer = target.with_suffix(".layer")
    libraries = Path(next(path for path in sys.path if path.endswith("site-packages")))
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    with tarfile.open(layer, "w") as archive:
        _folders(archive, ("tmp", "proc", "dev", "sys", "etc", "bin", "worker", "data"))
        archive.add(Path(sys.executable).resolve(), f"opt/python/bin/{version}")
        for link in ("python3", "python"):
            _link(archive, f"opt/python/bin/{link}", version)
        _link(archive, "bin/python3", f"{HOME}/bin/python3")
        _text(archive, f"{PROGRAMS_OF_OURS.lstrip('/')}/pachd", _PACHD, 0o755)
        archive.add(base / "lib" / version, f"opt/python/lib/{version}", filter=_lean)
        for path in sorted(libraries.iterdir()):
            if not path.name.startswith(_LEFT_OUT) and "mypyc" not in path.name and not path.name.endswith(".pth"):
                archive.add(path, f"opt/python/lib/{version}/site-packages/{path.name}", filter=_lean)
        package = f"opt/python/lib/{version}/site-packages/trunkline"
        archive.add(SOURCES.parents[1], package, filter=_lean)
        archive.add(program(), f"{package}/worker/shim/bin/shim-{platform.machine()}")
        objects = [Path(sys.executable), *libraries.rglob("*.so*"), *(base / "lib" / version).rglob("*.so")]
        for linked in sorted(_linked(objects)):
            archive.add(Path(linked).resolve(), linked.lstrip("/"))
        for authorities in CERTIFICATES:
            if Path(authorities).exists():
                archive.add(Path(authorities).resolve(), authorities.lstrip("/"))
        _text(archive, "etc/passwd", "root:x:0:0::/:/bin/sh\ntrunkline:x:1000:1000::/tmp:/bin/sh\n")
    # Where a distribution's own Python does not look by itself.
    where = f"PYTHONPATH={HOME}/lib/{version}/site-packages"
    save(target, name, layer, OURS | {"Env": [*VARIABLES, where]})
    layer.unlink()


def _lean(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.mode |= 0o444 | (0o111 if entry.isdir() else 0)
    return None if Path(entry.name).name in _NOT_NEEDED and "trunkline/testing" not in entry.name else entry


def _linked(objects: Sequence[Path]) -> Iterable[str]:
    """The system's libraries that these programs and libraries are linked to."""
    told = subprocess.run(["ldd", *map(str, objects)], check=False, capture_output=True, text=True).stdout
    words = {word for word in told.split() if word.startswith("/") and not word.endswith(":")}
    return [path for path in words if "site-packages" not in path and Path(path).exists()]


def _folders(archive: tarfile.TarFile, names: Sequence[str]) -> None:
    for name in names:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
        entry.uid = entry.gid = 1000 if name == "data" else 0
        archive.addfile(entry)


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry)


def _text(archive: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text), mode
    archive.addfile(entry, io.BytesIO(text.encode()))


def main() -> None:
    """`archives.py FOLDER`: what the tests of pods need, for a cluster to load."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    save_worker(folder / "worker.tar", "localhost/trunkline:test")
    told: dict[str, object] = {"WorkingDir": "/usr", "Env": ["COLOUR=red", "PATH=/usr/bin:/bin"]}
    save(folder / "tools.tar", "localhost/tools:1", archive_of({}, (*PROGRAMS, *MORE)), told)
    python, variables = python_archive(CLIENT, ("curl", "df"))
    save(folder / "python.tar", "localhost/python:1", python, {"Env": ["PATH=/usr/bin:/bin", *variables]})
    # Holds the namespaces of a pod; clusters of our own can fetch none.
    save(folder / "pause.tar", "localhost/pause:1", archive_of({}, ("sleep",)), {"Entrypoint": ["sleep", "infinity"]})


if __name__ == "__main__":
    main()
