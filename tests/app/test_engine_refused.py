"""A container engine whose socket the server's user may not use."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from whole import Site

from trunkline.testing.serving import PachdProcess, documents

NOBODY = 65534
RIGHTS = "-dac_override,-dac_read_search"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """`pachd` of a user who may not do everything: root without that right, or whoever runs this."""
    real = Path(sys.executable).parent
    if os.getuid() != 0:
        return real
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed")
    folder = tmp_path / "programs"
    folder.mkdir()
    words = f"exec {setpriv} --bounding-set={RIGHTS} --inh-caps={RIGHTS} {real / 'pachd'}"
    (folder / "pachd").write_text(f'#!/bin/sh\n{words} "$@"\n')
    (folder / "pachd").chmod(0o755)
    (folder / "pachctl").symlink_to(real / "pachctl")
    return folder


@pytest.fixture(params=["socket", "folder"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A socket that others may not use, or that lies where others may not look."""
    folder = tmp_path / "engine"
    folder.mkdir()
    path = folder / "docker.sock"
    shut = path if request.param == "socket" else folder
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        if os.getuid() == 0:
            os.chown(shut, NOBODY, NOBODY)
        shut.chmod(0)
        yield path
        shut.chmod(0o700)


def test_it_is_said_with_what_to_do(programs: Path, path: Path, tmp_path: Path) -> None:
    flags = ("--workers", "1", "--containers", f"unix://{path}")
    with PachdProcess(tmp_path / "server", flags, programs=programs) as server:
        site = Site(server)
        site.pachctl("create", "repo", "boxed-in")
        site.create("boxed", {"image": "localhost/any:1", "cmd": ["true"]})
        for _ in range(600):
            found = next(documents(site.pachctl("inspect", "pipeline", "boxed", "--raw")))
            if found["state"] == "PIPELINE_CRASHING":
                break
            server.pause(0.1)
        assert found["state"] == "PIPELINE_CRASHING", found
        assert found["reason"] == (
            f"its code cannot run: this user may not use the container engine at {path}: permission denied; type "
            "`sudo usermod -aG docker $USER`, log in again, and start pachd again"
        )
