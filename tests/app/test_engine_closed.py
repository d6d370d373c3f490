"""A server that was closed holds nothing of its folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from trunkline.ambient import RealAmbient
from trunkline.app.config import Config
from trunkline.app.engine import open_engine


def held(folder: Path) -> list[str]:
    """Files below a folder that this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [path for path in found if path.startswith(f"{folder}/")]


def test_a_closed_server_holds_no_file_and_leaves_no_folder_of_its_own(tmp_path: Path) -> None:
    engine = open_engine(Config(data=tmp_path / "data"), RealAmbient())
    engine.start(("127.0.0.1", 0))
    assert held(tmp_path)
    engine.stop()
    engine.close()
    assert held(tmp_path) == []
    assert list((tmp_path / "data/blobs/.tmp").iterdir()) == []
