"""The page of tags and merges, typed into a shell beside a real server; and what it says of refusals."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from trunkline.testing.serving import PachdProcess

PAGE = Path(__file__).parent.parent.parent / "docs" / "versions.md"


def test_every_line_of_the_page_works(tmp_path: Path) -> None:
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    with PachdProcess(tmp_path, ["--workers", "0"]) as pachd:
        env = {**pachd.client_env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

        def typed(lines: str, status: int = 0) -> tuple[str, str]:
            command = ["bash", "-euo", "pipefail", "-c", lines]
            done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, check=False, text=True)
            assert done.returncode == status, done.stderr
            return done.stdout, done.stderr

        tagging, merging = blocks
        said, _ = typed(tagging)
        assert "\none\n" in said
        assert re.search(r"^default\s+data\s+v1\s+[0-9a-f]{32}\s.*as it was sent$", said, re.M)
        said, noted = typed(merging)
        assert said.startswith("Would merge: 1 files added, 0 changed, 0 deleted.\n")
        assert noted == "Merged: 1 files added, 0 changed, 0 deleted.\n"
        assert "draft" in typed("pachctl list file data@master")[0]
        assert re.search(r"^Tags\W+v1$", typed("pachctl inspect commit data@v1")[0], re.M)
        _, refused = typed("pachctl squash commitV2 data@v1", 1)
        assert "the tag v1 keeps it; delete that first with `pachctl delete tag data@v1" in refused
        assert "nothing to merge" in typed("pachctl merge branch data@feature data@master")[1]
        typed("echo x | pachctl put file data@master:/draft -f -; echo y | pachctl put file data@feature:/draft -f -")
        listed, refused = typed("pachctl merge branch data@feature into data@master", 1)
        assert re.fullmatch(r"PATH\s+OURS\s+THEIRS\n/draft\s+changed\s+changed\n", listed)
        assert "1 conflict is left, so that nothing was written" in refused
        typed("pachctl merge branch data@feature into data@master --union")
        assert typed("pachctl get file data@master:/draft")[0] == "x\ny\n"
        typed("pachctl delete tag data@v1 && pachctl fsck")
