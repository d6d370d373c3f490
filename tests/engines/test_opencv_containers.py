"""The example of edges and montages from its Dockerfile: built and pushed, run in containers, and as processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dockers import engine_url, make_python_image, remove_image
from registries import registry

from trunkline.testing.serving import PachdProcess, documents

pytestmark = [pytest.mark.engines, pytest.mark.containers, pytest.mark.timeout(600)]
EXAMPLE = Path(__file__).parents[2] / "examples" / "opencv"
BASE = f"localhost/trunkline-python:{os.getpid()}"
PHOTOGRAPHS = {"astronaut": (200, 160), "coffee": (120, 240)}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    make_python_image(engine_url(), BASE, ("pip",), linked=("numpy", "PIL"))
    yield BASE
    remove_image(engine_url(), BASE)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example's folder, and in it wheels, since a build has no network here."""
    folder = tmp_path / "opencv"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    wanted = ["-r", str(folder / "requirements.txt"), "-d", str(folder / "wheels")]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
    subprocess.run([*pip, *wanted], check=True)
    for name in ("edges", "montage"):
        spec = json.loads((folder / f"{name}.json").read_text())
        spec["transform"]["dockerfile"] = "Dockerfile"
        (folder / f"{name}.json").write_text(json.dumps(spec))
    return folder


def photograph(name: str) -> bytes:
    """A picture with shapes in it, the same each time."""
    from io import BytesIO

    from PIL import Image, ImageDraw

    width, height = PHOTOGRAPHS[name]
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((width // 4, height // 4, width // 2, height // 2), fill=(200, 60, 20))
    draw.rectangle((width // 2, height // 2, width - 9, height - 9), fill=(20, 60, 200))
    written = BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


def hashes(server: PachdProcess) -> dict[str, str]:
    """Of the output of both pipelines, once they are through."""
    found = {}
    for name in ("edges", "montage"):
        server.pachctl("wait", "commit", f"{name}@master")
        job = next(documents(server.pachctl("list", "job", "-p", name, "--raw")))
        assert job["state"] == "JOB_SUCCESS", job.get("reason", "") + server.pachctl("logs", "-p", name)
        found[name] = next(documents(server.pachctl("inspect", "file", f"{name}@master:/", "--raw")))["hash"]
    return found


def pictures(server: PachdProcess) -> None:
    server.pachctl("create", "repo", "images")
    for name in PHOTOGRAPHS:
        server.pachctl("put", "file", f"images@master:/{name}.png", "-f", "-", stdin=photograph(name))


def push(server: PachdProcess, spec: Path, base: str, address: str) -> None:
    """Build its image, push it, create the pipeline."""
    words = ("--build", "--build-arg", f"BASE={base}", "--build-arg", "WHEELS=wheels", "-p", "-r", address)
    done = subprocess.run(
        [server.program("pachctl"), "create", "pipeline", *words, "-f", str(spec)],
        env=server.client_env | {"DOCKER_HOST": engine_url()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def as_processes(folder: Path, example: Path) -> dict[str, str]:
    """The hashes of what both pipelines make as plain processes."""
    with PachdProcess(folder, ("--workers", "1", "--containers", "off")) as server:
        pictures(server)
        requirements = str(example / "requirements.txt")
        image = str(example / "image")
        server.pachctl("create", "image", "opencv:1.0", image, "--python", "3", "--requirements", requirements)
        for name in ("edges", "montage"):
            server.pachctl("create", "pipeline", "-f", str(example / f"{name}.json"))
        return hashes(server)


def test_the_example_gives_the_same_hashes_in_containers_and_as_processes(
    base: str, example: Path, tmp_path: Path
) -> None:
    with PachdProcess(tmp_path / "boxed", ("--workers", "1", "--containers", engine_url())) as server:
        pictures(server)
        with registry(engine_url(), "example", 5007) as address:
            for name in ("edges", "montage"):
                push(server, example / f"{name}.json", base, address)
            shown = next(documents(server.pachctl("inspect", "pipeline", "edges", "--raw")))
            assert shown["details"]["transform"]["image"].startswith(f"{address}/opencv:")
            boxed = hashes(server)
    assert as_processes(tmp_path / "plain", example) == boxed
