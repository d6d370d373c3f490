"""The matrix of whole pipelines once more, with every spec's code in a container: only where code runs is different."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dockers import MORE, make_image, remove_image

from trunkline.testing.serving import PachdProcess, documents

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
import test_inputs_whole
import test_pipelines_whole
from whole import Site

pytestmark = [pytest.mark.engines, pytest.mark.containers, pytest.mark.timeout(300)]
NAME = f"localhost/trunkline-matrix:{os.getpid()}"
ELSEWHERE = {
    "test_what_code_finds_around_it": "an image's own files may be written to, see test_containers_whole",
}

for module in (test_pipelines_whole, test_inputs_whole):
    globals().update(
        {name: test for name, test in vars(module).items() if name.startswith("test_") and name not in ELSEWHERE}
    )


@pytest.fixture(scope="module")
def site(engine_at: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that gives each spec the image."""
    make_image(engine_at, NAME, programs=MORE)
    flags = ("--workers", "2", "--containers", engine_at)
    with PachdProcess(tmp_path_factory.mktemp("pachd"), flags) as server:
        site = Site(server)
        defaults = {"createPipelineRequest": {"transform": {"image": NAME}}}
        site.pachctl("update", "defaults", "--cluster", "-f", "-", stdin=json.dumps(defaults).encode())
        for repo in ("stores", "purchases", "returns"):
            site.pachctl("create", "repo", repo)
            site.put(repo, **getattr(test_inputs_whole, repo.upper()))
        yield site
        made = list(documents(site.pachctl("list", "pipeline", "-A", "--raw")))
        assert made
        assert {each["details"]["transform"]["image"] for each in made} == {NAME}
    remove_image(engine_at, NAME)
