"""pachyderm-sdk 2.12.2, in an environment of its own, does the example through the wire."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.engines
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "opencv"


@pytest.fixture(scope="session")
def sdk_python() -> str:
    """The interpreter of the environment that holds the public client."""
    python = os.environ.get("TRUNKLINE_SDK_PYTHON")
    if not python:
        pytest.skip("TRUNKLINE_SDK_PYTHON is not set: make test-engines makes an environment with pachyderm-sdk")
    return python


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's six photographs."""
    spec = importlib.util.spec_from_file_location("photographs", EXAMPLE / "photographs.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("photographs")
    module.fetch(folder)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PachdProcess]:
    """A pachd that knows the example's image."""
    with PachdProcess(tmp_path / "server") as pachd:
        requirements = ("--python", "3", "--requirements", str(EXAMPLE / "requirements.txt"))
        pachd.pachctl("create", "image", "opencv:1.0", str(EXAMPLE / "image"), *requirements)
        yield pachd


def test_the_example_runs_through_the_public_client(
    sdk_python: str, photographs: Path, server: PachdProcess, tmp_path: Path
) -> None:
    host, port = server.address.split(":")
    command = [sdk_python, str(EXAMPLE / "sdk.py"), host, port, str(photographs), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    jobs = re.findall(r"^(\w+): JOB_SUCCESS processed (\d+) skipped (\d+)$", done.stdout, re.M)
    assert sorted(jobs[:2]) == [("edges", "4", "0"), ("montage", "1", "0")]
    assert sorted(jobs[2:]) == [("edges", "2", "4"), ("montage", "1", "0")]
    assert len(re.findall(r"^/\w+\.png: [1-9]\d* bytes$", done.stdout, re.M)) == 6
    assert (tmp_path / "montage.png").read_bytes().startswith(b"\x89PNG")
