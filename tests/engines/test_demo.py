"""`make demo`, as a person runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.testing.refusals import own_root

pytestmark = pytest.mark.engines
ROOT = Path(__file__).parent.parent.parent
WORLDS = ["this machine", "no namespaces, a real /pfs"] if os.getuid() == 0 else ["this machine"]


@pytest.mark.parametrize("world", WORLDS)
def test_the_demo_shows_what_it_promises(world: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    prefix = () if world == "this machine" else own_root(tmp_path / "root")
    checkout = tmp_path / "a checkout"  # with a space
    shutil.copytree(ROOT / "examples", checkout / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    config = tmp_path / "config.json"
    env = {key: value for key, value in os.environ.items() if key != "KEEP"} | {"PACH_CONFIG": str(config)}
    done = subprocess.run(
        [*prefix, sys.executable, str(checkout / "examples/opencv/demo.py")],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The second commit drew 2 photographs and took over 4 drawings made before." in done.stdout
    assert "demo-out/second/montage.png" in done.stdout
    assert len(list((checkout / "demo-out/first/edges").glob("*.png"))) == 4
    assert len(list((checkout / "demo-out/second/edges").glob("*.png"))) == 6
    for name in ("first", "second"):
        assert (checkout / "demo-out" / name / "montage.png").read_bytes().startswith(b"\x89PNG")
    assert not config.exists()
    running = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(checkout).encode() in read(path)]
    assert not running


def read(path: Path) -> bytes:
    """A process's command line; empty if it ended meanwhile."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
