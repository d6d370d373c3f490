"""Two servers on one PostgreSQL and one S3 server, while one after another fails: each job ends right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trunkline.testing.engines.postgres import Postgres, drop_schema
from trunkline.testing.engines.proxy import Proxy
from trunkline.testing.engines.shaking import Shaking
from trunkline.testing.seaweed import Seaweed
from trunkline.testing.serving import PachdProcess

LONG = 50


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """An S3 server behind a proxy, to which every s3:// URL leads."""
    weed = os.environ.get("TRUNKLINE_WEED")
    if not weed:
        pytest.skip("TRUNKLINE_WEED is not set: make test-engines installs SeaweedFS")
    with Seaweed(weed, tmp_path_factory.mktemp("weed")) as server, Proxy(server.endpoint) as proxy:
        for name, value in (server.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def story(pg: Postgres, store: Proxy, tmp_path: Path) -> Iterator[Shaking]:
    """Both servers, and what is to go wrong."""
    url = pg.schema(str(tmp_path))
    flags = ["--database", url, "--storage", "s3://shaken/here", "--workers", "1"]
    with PachdProcess(tmp_path / "one", flags) as one, PachdProcess(tmp_path / "two", flags) as two:
        yield Shaking((one, two), pg, url, store, seed=int(os.environ.get("TRUNKLINE_SOAK_SEED") or 5))
    drop_schema(url)


@pytest.mark.engines
@pytest.mark.timeout(900)
def test_each_job_ends_right_whatever_fails_in_it(story: Shaking) -> None:
    story.play(jobs=len(story.harms))
    assert sorted(story.done) == sorted(story.harms)
    assert story.store.failed > 5


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_fifty_jobs_end_right_whatever_fails_in_them(
    story: Shaking, record_property: Callable[[str, object], None]
) -> None:
    story.play(LONG)
    said = (f"{what}: {count}" for what, count in sorted(story.done.items()))
    record_property("figures", f"{', '.join(said)}; {len(story.files)} files, each a datum")
