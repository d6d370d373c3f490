"""The matrix of whole pipelines once more, in containers and in pods: only where code runs is different."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dockers import MORE, engine_url, make_image, remove_image
from pods import FREE, TOOLS, pod_site

from trunkline.testing.serving import PachdProcess, documents

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
import test_fields_whole
import test_inputs_whole
import test_pipelines_whole
import test_secrets_whole
from whole import Site

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]
NAME = f"localhost/trunkline-matrix:{os.getpid()}"
ELSEWHERE = {
    "test_what_code_finds_around_it": "an image's own files may be written to, see test_containers_whole",
    "test_a_datum_with_lazy_inputs_is_replayed": "here where its image is, see below",
}

FIELDS = (
    test_fields_whole.test_an_input_may_read_another_branch,
    test_fields_whole.test_an_input_that_starts_no_job_is_seen_by_the_next,
    test_secrets_whole.test_code_is_given_its_secrets_and_nothing_else_shows_them,
)
"""Of the fields of a spec those that the runner of the code has a hand in."""

globals().update({test.__name__: test for test in FIELDS})
for module in (test_pipelines_whole, test_inputs_whole):
    globals().update(
        {name: test for name, test in vars(module).items() if name.startswith("test_") and name not in ELSEWHERE}
    )


@contextlib.contextmanager
def containers(folder: Path, told_by: str = "DOCKER_HOST") -> Iterator[tuple[Site, dict[str, Any]]]:
    """A server with an engine, and what its specs say."""
    url = engine_url(told_by)
    make_image(url, NAME, programs=MORE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", url)  # where `pachctl replay` looks for the image
        with PachdProcess(folder, ("--workers", "2", "--containers", url)) as server:
            yield Site(server), {"transform": {"image": NAME}}
    remove_image(url, NAME)


@contextlib.contextmanager
def pods(folder: Path) -> Iterator[tuple[Site, dict[str, Any]]]:
    """A server with a cluster, and what its specs say."""
    with pod_site(folder) as site:
        yield site, {"transform": {"image": TOOLS}, **FREE}


CONTAINERS = [
    pytest.param(containers, marks=pytest.mark.containers, id="docker"),
    pytest.param(
        partial(containers, told_by="TRUNKLINE_PODMAN"), marks=[pytest.mark.containers, pytest.mark.podman], id="podman"
    ),
]
RUNNERS = [*CONTAINERS, pytest.param(pods, marks=pytest.mark.kubernetes, id="pods")]


@pytest.fixture(scope="module", params=RUNNERS)
def one_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that gives each spec the image."""
    with request.param(tmp_path_factory.mktemp("pachd")) as (site, told):
        site.pachctl(
            *("update", "defaults", "--cluster", "-f", "-"), stdin=json.dumps({"createPipelineRequest": told}).encode()
        )
        for repo in ("stores", "purchases", "returns"):
            site.pachctl("create", "repo", repo)
            site.put(repo, **getattr(test_inputs_whole, repo.upper()))
        yield site


@pytest.fixture
def site(one_site: Site) -> Iterator[Site]:
    """The same, without what the last test ran."""
    yield one_site
    made = list(documents(one_site.pachctl("list", "pipeline", "-A", "--raw")))
    assert {each["details"]["transform"]["image"] for each in made} <= {NAME, TOOLS}
    one_site.pachctl("delete", "pipeline", "--all", "--force")


@pytest.mark.parametrize("one_site", CONTAINERS, indirect=True)
def test_a_datum_is_replayed_in_its_image(site: Site) -> None:
    test_inputs_whole.test_a_datum_with_lazy_inputs_is_replayed(site)
