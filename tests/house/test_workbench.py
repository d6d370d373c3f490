"""make, its scripts and the pinned versions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent


def pins() -> dict[str, str]:
    """The versions of constraints.txt, by normalised name."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
    return dict(line.split("==") for line in lines)


def test_everything_we_ask_for_is_pinned_to_a_version_that_will_do() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["server"], *extras["dev"]]:
        need = Requirement(line)
        name = re.sub(r"[-_.]+", "-", need.name).lower()
        assert name in pins(), f"{name} is not in constraints.txt: make pins"
        assert need.specifier.contains(pins()[name], prereleases=True), f"{line}, yet {pins()[name]} is pinned"


def test_every_public_target_explains_itself() -> None:
    text = (ROOT / "Makefile").read_text()
    asked = {"demo", "test", "test-engines", "soak", "bench", "check", "proto", "test-fresh", "clean", "help"}
    explained = set(re.findall(r"^([a-z-]+):.*## \S", text, re.M))
    assert asked <= explained
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert explained == set(re.findall(r"make ([a-z-]+) ", shown))


def bare_path(folder: Path, **scripts: str) -> dict[str, str]:
    """An environment whose PATH holds only the least that the scripts use, and `scripts`."""
    folder.mkdir()
    for name in ("bash", "cat", "cksum", "dirname", "env", "rm", "sleep", "uname"):
        (folder / name).symlink_to(next(p for d in ("/usr/bin", "/bin") if (p := Path(d, name)).exists()))
    for name, body in scripts.items():
        (folder / name).write_text(f"#!{folder}/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder), "HOME": os.environ.get("HOME", "/")}


def make_venv(env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run tools/venv.sh for a folder outside the checkout."""
    target = os.path.relpath(folder, ROOT)
    return subprocess.run(
        [ROOT / "tools/venv.sh", target, "server"], env=env, capture_output=True, text=True, check=False
    )


def test_without_python_the_line_to_type_is_printed(tmp_path: Path) -> None:
    done = make_venv(bare_path(tmp_path / "bin"), tmp_path / "venv")
    assert done.returncode == 1
    assert "    apt install python3 python3-venv\n" in done.stderr
    assert "sudo" not in done.stderr


def test_an_old_python_counts_as_none(tmp_path: Path) -> None:
    done = make_venv(bare_path(tmp_path / "bin", python3="exit 1"), tmp_path / "venv")
    assert "Python 3.11 or newer is missing" in done.stderr


def test_a_python_without_venv_is_named(tmp_path: Path) -> None:
    script = 'case "$*" in *ensurepip*) exit 1 ;; *) exit 0 ;; esac'
    done = make_venv(bare_path(tmp_path / "bin", python3=script), tmp_path / "venv")
    assert done.returncode == 1
    assert "    apt install python3-venv\n" in done.stderr


def test_a_folder_that_is_no_environment_is_not_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/dear.txt").write_text("keep me")
    script = 'case "$*" in *"-m venv"*) exit 1 ;; *) exit 0 ;; esac'
    make_venv(bare_path(tmp_path / "bin", python3=script), tmp_path / "venv")
    assert (tmp_path / "venv/dear.txt").read_text() == "keep me"


@pytest.mark.parametrize(("flags", "status"), [((), 0), (("--skips-fail",), 1)])
def test_a_skip_can_be_made_a_failure(tmp_path: Path, flags: tuple[str, ...], status: int) -> None:
    (tmp_path / "test_one.py").write_text("import pytest\n\ndef test_it():\n    pytest.skip('no engine here')\n")
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-c", "/dev/null", "--rootdir", str(tmp_path), "-ra"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "tests"), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        [*command, *flags, str(tmp_path)], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout
    assert "no engine here" in done.stdout


DRAWS = """
from hypothesis import given, strategies as st
import loaded

@given(st.lists(st.integers() | st.text()))
def test_drawn(drawn):
    print("drawn", ascii(drawn))
"""


def drawn(folder: Path, constants: str, **env: str) -> list[str]:
    """What a test tries beside a module with these constants."""
    folder.mkdir()
    (folder / "loaded.py").write_text(constants)
    (folder / "test_draws.py").write_text(DRAWS)
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-c", "/dev/null", "--rootdir", str(folder), "-s"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(folder)],
        env={name: value for name, value in os.environ.items() if name not in ("CI", "TRUNKLINE_SOAK_SEED")}
        | {"PYTHONPATH": str(ROOT / "tests"), "PYTEST_ADDOPTS": ""} | env,
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if "drawn [" in line]


def test_random_tests_try_the_same_each_time_unless_they_are_to_search(tmp_path: Path) -> None:
    """Whatever modules are loaded: which tests a process runs before is chance."""
    many = ", ".join(f"{number}, 'word{number}'" for number in range(7_000_000, 7_000_400))
    first, second = drawn(tmp_path / "one", "", CI="true"), drawn(tmp_path / "two", f"NUMBERS = [{many}]")
    assert len(first) >= 100
    assert first == second
    assert drawn(tmp_path / "three", "", TRUNKLINE_SOAK_SEED="1") != first


def test_ci_runs_what_it_should() -> None:
    script = (ROOT / ".ci/run").read_text()
    loop = re.search(r"^for target in (.+); do$", script, re.M)
    assert loop is not None
    assert loop[1].split() == ["format", "lint", "types", "contracts", "test", "test-engines"]
    assert os.access(ROOT / ".ci/run", os.X_OK)
