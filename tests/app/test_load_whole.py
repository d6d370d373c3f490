"""A load test of pipelines, on a server with workers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from trunkline.testing.serving import PachdProcess


def test_pipelines_give_what_they_read(tmp_path: Path) -> None:
    (tmp_path / "load.yaml").write_text("{commits: 2, files: 4, deletes: 1, folders: 2, maxBytes: 3000}")
    (tmp_path / "wrong").write_text("not json")
    with PachdProcess(tmp_path / "server", ("--workers", "2")) as pachd:
        told = pachd.pachctl("run", "pps-load-test", str(tmp_path / "load.yaml"), "-s", "5")
        assert told.startswith("state_id: ")
        pipelines = pachd.pachctl("list", "pipeline")
        assert pipelines.count("running / success") == 2
        assert "failure" not in pachd.pachctl("list", "job")
        with pytest.raises(subprocess.CalledProcessError):
            pachd.pachctl("run", "pps-load-test", "--pod-patch", str(tmp_path / "wrong"))
