"""The folders below examples/, as a person runs them: each script against a real server, and what it prints."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.timeout(240)

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
ALONE = {"opencv"}
"""Needs packages and photographs of the network; `make demo` and tests/engines run it."""


@pytest.fixture(scope="module")
def pachd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PachdProcess]:
    folder = tmp_path_factory.mktemp("examples")
    beside = str(folder.parent)  # below /tmp, which is a worker's own otherwise
    with PachdProcess(folder, ("--workers", "2", "--expose", beside)) as server:
        yield server


def run(pachd: PachdProcess, name: str, tmp_path: Path) -> list[str]:
    """What the script of an example prints, in a project of its own; in a copy of its folder."""
    project = f"example-{name}"
    pachd.pachctl("create", "project", project)
    pachd.pachctl("config", "update", "context", "--project", project)
    folder = tmp_path / "with a space" / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    env = {**pachd.client_env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", str(folder / "run.sh")], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + pachd.last_words()
    assert "rror" not in done.stderr
    assert "ubuntu" not in done.stderr  # no spec names an image that is not there
    return done.stdout.splitlines()


def test_word_count(pachd: PachdProcess, tmp_path: Path) -> None:
    lines = run(pachd, "word-count", tmp_path)
    assert [line for line in lines if line.isdigit()] == ["2", "4"]
    assert [re.findall(r"\d \+ \d / \d+", line) for line in lines if " / " in line] == [["6 + 3 / 9"], ["5 + 0 / 5"]]
    assert [line.split() for line in lines if "txt" in line] == [["2B", "/ship/one.txt"], ["2B", "/ship/two.txt"]]


@pytest.mark.skipif(find_spec("_gojsonnet") is None, reason="needs gojsonnet")
def test_stores(pachd: PachdProcess, tmp_path: Path) -> None:
    lines = run(pachd, "stores", tmp_path)
    assert [
        len([line for line in lines if kind in line and "unknown" in line]) for kind in ("purchases", "returns")
    ] == [3, 2]
    returned = lines[lines.index("Harbour: 25") + 1 : -3]
    assert [line for line in returned if line][1::2] == [
        "Hilltop: nothing",
        "Harbour: 5",
        "Market: nothing",
        "nobody: 9",
    ]
    assert lines[-3:] == ["-9", "20", "42"]


def test_flowers(pachd: PachdProcess, tmp_path: Path) -> None:
    lines = run(pachd, "flowers", tmp_path)
    assert lines.index("model-9-1 knew 28") + 1 == lines.index("daisy")
    assert sum(".json" in line for line in lines) == 4
    assert [re.findall(r"\d \+ \d / \d+", line) for line in lines if " / " in line] == [["1 + 1 / 2"], ["1 + 0 / 1"]]
    assert lines[-1] == "tulip"
    assert "Completed transaction with 6 requests" in "".join(lines)


def test_housing(pachd: PachdProcess, tmp_path: Path) -> None:
    lines = run(pachd, "housing", tmp_path)
    shown = [re.findall(r"\d \+ \d / \d+", line) for line in lines if " / " in line]
    assert shown == [["0 + 0 / 0"], ["2 + 0 / 2"], ["0 + 0 / 0"]]
    assert any(line.startswith("regression-trigger-1 ") and "master on Size(1K)" in line for line in lines)
    north, west = (json.loads(line) for line in lines if line.startswith("{"))
    for found in (north, west):
        assert 15 < found["room"] < 25
        assert 2.5 < found["square metre"] < 3.5


def test_spout(pachd: PachdProcess, tmp_path: Path) -> None:
    lines = run(pachd, "spout", tmp_path)
    assert lines[-1] == "6000"
    assert ["1000B", "/1"] in [line.split() for line in lines]


@pytest.mark.skipif(find_spec("_gojsonnet") is None, reason="needs gojsonnet")
def test_sql_ingest(pachd: PachdProcess, tmp_path: Path) -> None:
    lines = run(pachd, "sql-ingest", tmp_path)
    first = [
        "id,day,what,price,note",
        "1,2026-01-02,lamp,19.5,left at the door",
        '2,2026-01-02,"chair, ""high""",80.25,""',
        "3,2026-01-03,table,240.0,",
    ]
    assert [line for line in lines if "," in line] == [
        *first,
        *first,
        "100,2026-01-04,cup,4.5,",
        "101,2026-01-04,cup,4.5,",
    ]


def test_every_example_has_its_page_and_its_test() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")} >= (
        folders - ALONE
    )
    for name in folders:
        assert (EXAMPLES / name / "README.md").exists()


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/run.sh")))
def test_what_a_page_types_is_in_its_script(name: str) -> None:
    if name in ALONE:
        return
    blocks = re.findall(r"^```console\n(.*?)^```", (EXAMPLES / name / "README.md").read_text(), re.M | re.S)
    assert blocks
    typed = {line for block in blocks for line in block.splitlines()}
    assert typed <= set((EXAMPLES / name / "run.sh").read_text().splitlines())
