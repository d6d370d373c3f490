"""pachd where namespaces are refused: it says what to type, or runs code with a real /pfs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from trunkline.testing.refusals import NO_MOUNTS, NO_NAMESPACES, own_root, works
from trunkline.testing.serving import NotServing, PachdProcess


def programs(folder: Path, prefix: tuple[str, ...]) -> Path:
    """A folder with `pachctl`, and a `pachd` that runs in the world of `prefix`."""
    beside = Path(sys.executable).parent
    folder.mkdir()
    (folder / "pachctl").symlink_to(beside / "pachctl")
    (folder / "pachd").write_text(f'#!/bin/sh\nexec {shlex.join([*prefix, str(beside / "pachd")])} "$@"\n')
    (folder / "pachd").chmod(0o755)
    return folder


WORLDS = [NO_NAMESPACES, NO_MOUNTS] if os.getuid() == 0 else [NO_NAMESPACES]


@pytest.mark.parametrize("prefix", WORLDS, ids=["no namespaces", "no mounts"][: len(WORLDS)])
def test_it_says_what_to_type_and_ends(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    if not works(prefix):
        pytest.skip("this machine does not let us refuse namespaces to ourselves")
    server = PachdProcess(tmp_path, ["--runner", "process"], programs(tmp_path / "bin", prefix))
    with pytest.raises(NotServing) as told:
        server.start()
    assert "pachd ended, status 1" in str(told.value)
    assert "pachd: user code cannot be run here: cannot make namespaces: " in str(told.value)
    assert "\nTo allow it" in str(told.value)


@pytest.mark.skipif(os.getuid() != 0, reason="a real /pfs is for root")
def test_as_root_without_mounts_a_pipeline_runs_with_a_real_pfs(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    prefix = own_root(tmp_path / "root")
    if not works(prefix):
        pytest.skip("no such namespace can be made here")
    spec = {
        "pipeline": {"name": "copy"},
        "input": {"pfs": {"repo": "in", "glob": "/*"}},
        "transform": {"image": "tool:1", "cmd": ["/tools-of-ours/copy"]},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    tool = tmp_path / "image" / "tools-of-ours" / "copy"
    tool.parent.mkdir(parents=True)
    tool.write_text('#!/bin/sh\ncp "$in" /pfs/out/\n')
    tool.chmod(0o755)
    with PachdProcess(tmp_path, ["--workers", "2"], programs(tmp_path / "bin", prefix)) as server:
        server.pachctl("create", "image", "tool:1", str(tmp_path / "image"))
        server.pachctl("create", "repo", "in")
        server.pachctl("put", "file", "in@master:/a", stdin=b"content")
        server.pachctl("create", "pipeline", "-f", str(tmp_path / "spec.json"))
        server.pachctl("wait", "commit", "copy@master")
        assert server.pachctl("get", "file", "copy@master:/a") == "content"
    assert not Path("/pfs/in").is_symlink()
    assert not Path("/tools-of-ours").exists()
