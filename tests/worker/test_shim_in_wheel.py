"""The wheel brings the shim for each kind of machine, and what is installed from it finds them without a compiler."""

from __future__ import annotations

import ensurepip
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from trunkline.worker.shim.program import MACHINES, SOURCES, NoShim, program

pytestmark = pytest.mark.engines
ROOT = Path(__file__).resolve().parents[2]
BROUGHT = ("pyproject.toml", "README.md", "LICENSE", ".gitignore")
LOOK = """
import os, sys
from trunkline.worker.shim.program import MACHINES, program
for machine in MACHINES:
    found = program(machine)
    print(machine, found, os.access(found, os.X_OK))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, as tools/wheel.sh does it."""
    folder = tmp_path_factory.mktemp("source")
    for name in BROUGHT:
        shutil.copy(ROOT / name, folder / name)
    caches = shutil.ignore_patterns("__pycache__", "bin")
    shutil.copytree(ROOT / "src", folder / "src", ignore=caches)
    shutil.copytree(ROOT / "deploy", folder / "deploy", ignore=caches)
    shipped = folder / SOURCES.relative_to(ROOT) / "bin"
    shipped.mkdir()
    for machine in MACHINES:
        try:
            shutil.copy(program(machine), shipped / f"shim-{machine}")
        except NoShim as error:
            pytest.skip(str(error))
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    made = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    (found,) = (folder / "dist").glob("trunkline-*.whl")
    return found


def pip() -> list[str]:
    """A command, from where the standard library has it: our own environment may have been made without."""
    places = (Path(str(ensurepip.__file__)).parent / "_bundled", Path("/usr/share/python-wheels"))
    found = [str(each) for place in places for each in place.glob("pip-*.whl")]
    return [sys.executable, f"{found[0]}/pip"] if found else [sys.executable, "-m", "pip"]


def test_it_holds_a_small_program_for_each_kind_of_machine(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {Path(each.filename).name: each for each in archive.infolist() if "/worker/shim/bin/" in each.filename}
        assert held.keys() == {f"shim-{machine}" for machine in MACHINES}
        for each in held.values():
            assert each.file_size < 100_000
            assert each.external_attr >> 16 & 0o111 == 0o111
            assert archive.read(each)[:4] == b"\x7fELF"


def test_what_is_installed_from_it_finds_them(wheel: Path, tmp_path: Path) -> None:
    """Without packages of others, and without a folder where anything could be compiled."""
    home = tmp_path / "environment"
    words = [*pip(), "install", "-q", "--no-index", "--no-deps", "--disable-pip-version-check", "--target", home, wheel]
    subprocess.run(words, check=True)
    bare = {"PATH": "/nowhere", "XDG_CACHE_HOME": "/proc/nowhere", "PYTHONPATH": str(home)}
    words = [sys.executable, "-S", "-c", LOOK]
    told = subprocess.run(words, env=bare, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    lines = [line.split() for line in told.stdout.splitlines()]
    assert [(machine, able) for machine, _, able in lines] == [(machine, "True") for machine in MACHINES]
    for machine, path, _ in lines:
        assert Path(path).is_relative_to(home)
        assert Path(path).read_bytes() == program(machine).read_bytes()
        assert os.stat(path).st_mode & 0o005 == 0o005, "the code of a container may be any user's"
