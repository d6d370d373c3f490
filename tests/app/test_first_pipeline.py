"""The page of the first pipeline, typed line by line into a shell beside a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from trunkline.testing.serving import PachdProcess, documents

PAGE = Path(__file__).parent.parent.parent / "docs" / "first-pipeline.md"
STEPS = 5


README = PAGE.parent.parent / "README.md"


def test_what_the_first_page_shows_beside_its_tour_works(tmp_path: Path) -> None:
    """The tour itself needs packages of the network; here is what it has made by then, and what follows."""
    blocks = re.findall(r"^```console\n(.*?)^```", README.read_text(), re.M | re.S)
    follows = [block for block in blocks if "pachctl why" in block or "pachctl start transaction" in block]
    assert len(follows) == 2
    with PachdProcess(tmp_path, ["--workers", "1"]) as pachd:
        pachd.pachctl("create", "repo", "images")
        pachd.pachctl("put", "file", "images@master:/cat.png", stdin=b"a cat")
        pachd.pachctl("create", "pipeline", "-f", str(README.parent / "examples/opencv/edges.json"))
        env = {**pachd.client_env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        run = ["bash", "-euo", "pipefail", "-c"]
        said = [
            subprocess.run([*run, block], cwd=README.parent, env=env, capture_output=True, check=True).stdout.decode()
            for block in follows
        ]
    assert "would run" in said[0]
    assert "images@" in said[0]
    assert "owner=ann" in said[1]


def test_every_line_of_the_page_works(tmp_path: Path) -> None:
    page = PAGE.read_text()
    assert len(re.findall(r"^## \d\. ", page, re.M)) == STEPS
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.M | re.S)
    folder = tmp_path / "empty"
    folder.mkdir()
    with PachdProcess(tmp_path, ["--workers", "1"]) as pachd:
        env = {**pachd.client_env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        said = [
            subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                cwd=folder,
                env=env,
                capture_output=True,
                check=True,
            ).stdout.decode()
            for block in blocks
        ]
    assert said[2].splitlines()[-1] == "3"
    after, _, before = said[3].partition("{")
    assert after.splitlines()[-1] == "3 words"
    info = next(documents("{" + before))
    assert (info["version"], info["details"]["transform"]["image"]) == ("1", "count:1.0")
