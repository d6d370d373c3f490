"""What keeps code from running in containers: each is the pipeline's state and reason within seconds, in words."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import save
from dockers import archive_of, make_image, remove_image
from test_containers_whole import ours, reason

from trunkline.testing.serving import PachdProcess
from trunkline.worker.containers.engine import Engine, EngineFailed

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
from whole import Site

pytestmark = [pytest.mark.engines, pytest.mark.containers, pytest.mark.timeout(300)]
NAME = f"localhost/trunkline-troubles:{os.getpid()}"
FOREIGN = f"localhost/trunkline-foreign:{os.getpid()}"
COPY = {"image": NAME, "cmd": ["sh"], "stdin": ["cp /pfs/in/* /pfs/out"]}
GPU = {"resource_limits": {"gpu": {"type": "nvidia.com/gpu", "number": 1}}}


@pytest.fixture(scope="module")
def engine(engine_at: str) -> Engine:
    return Engine(engine_at)


@pytest.fixture(scope="module")
def digest(engine: Engine) -> Iterator[str]:
    yield make_image(engine.url, NAME)
    remove_image(engine.url, NAME)


@pytest.fixture(scope="module")
def site(engine: Engine, digest: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    before = all_of(engine)
    flags = ("--workers", "1", "--containers", engine.url)
    with PachdProcess(tmp_path_factory.mktemp("pachd"), flags) as server:
        yield Site(server)
        server.pachctl("delete", "all", stdin=b"yes\n")
    assert all_of(engine) == before, "the engine is as it was"


def all_of(engine: Engine) -> list[set[str]]:
    """Everything that an engine holds."""
    with engine._api() as api:
        volumes = {each["Name"] for each in api.volumes()["Volumes"] or ()}
        networks = {each["Id"] for each in api.networks()}
        return [
            {each["Id"] for each in api.images()},
            {each["Id"] for each in api.containers(all=True)},
            volumes,
            networks,
        ]


def has_gpu(engine: Engine, digest: str) -> bool:
    try:
        engine.check_gpus(digest, "nvidia.com/gpu", 1)
    except EngineFailed:
        return False
    return True


def test_an_image_for_another_kind_of_machine(site: Site, engine: Engine, tmp_path: Path) -> None:
    machine = "amd64" if platform.machine() == "aarch64" else "arm64"
    save(tmp_path / "foreign.tar", FOREIGN, archive_of({}, ("true",)), machine=machine)
    with engine._api() as api, (tmp_path / "foreign.tar").open("rb") as archive:
        list(api.load_image(archive))
    try:
        site.pachctl("create", "repo", "foreign-in")
        site.put("foreign-in", a="x")
        site.create("foreign", COPY | {"image": FOREIGN})
        told = reason(site, "foreign", "PIPELINE_CRASHING")
        assert told.startswith(f'its code cannot run: image "{FOREIGN}" is made for {machine}, and this engine runs ')
    finally:
        remove_image(engine.url, FOREIGN)


def test_gpus_of_an_engine_that_has_none(site: Site, engine: Engine, digest: str) -> None:
    site.pachctl("create", "repo", "gpu-in")
    site.put("gpu-in", a="x")
    site.create("gpu", COPY, **GPU)
    if has_gpu(engine, digest):
        assert site.counts("gpu") == ("success", 1, 0)
        return
    told = reason(site, "gpu", "PIPELINE_CRASHING")
    assert "GPU" in told
    assert "leave out resource_limits.gpu" in told
    others = {"resource_limits": {"gpu": {"type": "example.com/gpu", "number": 1}}}
    site.create("others", COPY, input={"pfs": {"repo": "gpu-in", "name": "in", "glob": "/*"}}, **others)
    assert '"nvidia.com/gpu" alone' in reason(site, "others", "PIPELINE_CRASHING")
    site.create("gpu", COPY, verb="update")
    assert site.counts("gpu") == ("success", 1, 0)


@pytest.mark.parametrize("engine_at", ["DOCKER_HOST"], indirect=True, ids=str.lower)
@pytest.mark.parametrize(("limits", "words"), [({"cpu": 5000}, "CPUs"), ({"memory": "1Mi"}, "memory limit")])
def test_resources_that_no_container_can_have(site: Site, limits: dict[str, object], words: str) -> None:
    """The engine says so, and so does the job."""
    name = "huge" if "cpu" in limits else "tiny"
    site.pachctl("create", "repo", f"{name}-in")
    site.put(f"{name}-in", a="x")
    site.create(name, COPY, resource_limits=limits)
    job = site.job(name)
    assert job["state"] == "JOB_FAILURE"
    assert "refuses: " in job["reason"]
    assert words in job["reason"]


def test_an_engine_that_comes_later(engine: Engine, digest: str, tmp_path: Path) -> None:
    before = ours(engine)
    socket = tmp_path / "engine.sock"
    with PachdProcess(tmp_path, ("--workers", "1", "--containers", f"unix://{socket}")) as server:
        site = Site(server)
        site.pachctl("create", "repo", "early-in")
        site.put("early-in", a="x")
        site.create("early", COPY)
        told = reason(site, "early", "PIPELINE_CRASHING")
        assert told == (
            f"its code cannot run: the container engine at unix://{socket} does not answer: no such file or directory; "
            "is it running?"
        )
        socket.symlink_to(engine.url.removeprefix("unix://"))
        assert site.counts("early") == ("success", 1, 0)
        assert site.tree("early") == {"/a": "x"}
    assert ours(engine).keys() <= before.keys()
