"""The keeper of images: what a name stands for is found once, before the first datum runs, and said while it is not."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from pps_world import World, copy, glob

from trunkline.catalog.work import pipelines as pipeline_rows
from trunkline.catalog.work.pipelines import PipelineRow
from trunkline.errors import FailedPrecondition
from trunkline.model.names import Pipeline
from trunkline.model.specs import Resources, Transform
from trunkline.model.specs.spec import Gpu
from trunkline.pps import pipelines
from trunkline.pps.images.keeper import Found, Keeper, credentials_in
from trunkline.pps.images.resolving import Rules
from trunkline.pps.images.where import image_of
from trunkline.pps.secrets import changes


@dataclass(frozen=True)
class Image:
    digest: str
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""


@dataclass
class FakeEngine:
    """Has some images, and can pull some."""

    has: dict[str, Image] = field(default_factory=dict)
    registry: dict[str, Image] = field(default_factory=dict)
    pulled: list[tuple[str, Mapping[str, str] | None]] = field(default_factory=list)
    gpus: int = 0

    def look(self, image: str) -> Found | None:
        return self.has.get(image)

    def pull(self, image: str, credentials: Mapping[str, str] | None = None) -> Found:
        self.pulled.append((image, credentials))
        if image not in self.registry:
            raise FailedPrecondition(f'image "{image}" cannot be pulled: manifest unknown')
        return self.registry[image]

    def check_gpus(self, digest: str, kind: str, count: int) -> None:
        if count > self.gpus:
            raise FailedPrecondition(f"{self.gpus} of {count} {kind}")


A = Image("a" * 64, {"LANG": "C"}, "/work")


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def keeper(world: World, engine: FakeEngine) -> Keeper:
    return Keeper(world.files, world.pps.vault, engine, print)


def make(world: World, image: str = "mine:1", **more: object) -> None:
    world.put({"/a": b"1"})
    transform = Transform(image=image, cmd=("run", "edges"), **more)  # type: ignore[arg-type]
    world.pipeline("edges", copy, glob("/*"), transform=transform, rules=Rules(engine="Docker 20.10"))


def row(world: World) -> PipelineRow:
    found = world.files.catalog.read(lambda tx: pipeline_rows.find_pipeline(tx, Pipeline("default", "edges")))
    assert found is not None
    return found


def digest(world: World) -> str:
    known = row(world)
    version = world.files.catalog.read(lambda tx: pipeline_rows.get_version(tx, known.key, known.version))
    assert version is not None
    return version.image_digest


def test_nothing_runs_before_the_image_is_known(world: World, engine: FakeEngine, keeper: Keeper) -> None:
    make(world)
    world.pump()
    assert (row(world).state, row(world).reason) == ("RUNNING", "its image is being looked for")
    assert world.counts("edges") == "RUNNING 0+0/1"
    engine.has["mine:1"] = A
    assert keeper.step()
    assert (row(world).state, row(world).reason, digest(world)) == ("RUNNING", "", A.digest)
    world.pump()
    assert world.content("edges") == {"/a": b"1"}
    assert not keeper.step()


def test_what_the_image_says_reaches_the_code(world: World, engine: FakeEngine, keeper: Keeper) -> None:
    make(world)
    engine.has["mine:1"] = A
    keeper.step()
    known = row(world)
    version = world.files.catalog.read(lambda tx: pipeline_rows.get_version(tx, known.key, 1))
    assert version is not None
    found = world.files.catalog.read(lambda tx: image_of(tx, version))
    assert found is not None
    assert (found.digest, found.spec.env, found.spec.working_dir) == (A.digest, A.env, "/work")


def test_an_image_that_is_not_there_is_pulled_and_a_refusal_is_said(
    world: World, engine: FakeEngine, keeper: Keeper
) -> None:
    make(world)
    assert not keeper.step()
    told = 'its code cannot run: image "mine:1" cannot be pulled: manifest unknown'
    assert (row(world).state, row(world).reason) == ("CRASHING", told)
    keeper.step()
    assert len(engine.pulled) == 1, "not again at once"
    engine.registry["mine:1"] = A
    world.clock.advance(6)
    assert keeper.step()
    assert (row(world).state, row(world).reason, digest(world)) == ("RUNNING", "", A.digest)


def test_gpus_that_no_container_is_given_are_said(world: World, engine: FakeEngine, keeper: Keeper) -> None:
    engine.has["mine:1"] = A
    limits = Resources(gpu=Gpu("nvidia.com/gpu", 2))
    world.put({"/a": b"1"})
    transform = Transform(image="mine:1", cmd=("run", "edges"))
    rules = Rules(engine="Docker 20.10")
    world.pipeline("edges", copy, glob("/*"), transform=transform, rules=rules, resource_limits=limits)
    assert not keeper.step()
    assert (row(world).state, row(world).reason) == ("CRASHING", "its code cannot run: 0 of 2 nvidia.com/gpu")
    engine.gpus = 2
    world.clock.advance(6)
    assert keeper.step()
    world.pump()
    assert world.content("edges") == {"/a": b"1"}


def test_a_tag_that_moves_changes_nothing_until_the_pipeline_is_updated(
    world: World, engine: FakeEngine, keeper: Keeper
) -> None:
    make(world)
    engine.has["mine:1"] = A
    keeper.step()
    engine.has["mine:1"] = Image("b" * 64)
    assert not keeper.step()
    assert digest(world) == A.digest
    known = row(world)
    spec = world.files.catalog.read(lambda tx: pipelines.current_spec(tx, known))
    rules = Rules(engine="Docker 20.10")
    world.files.change(lambda change: pipelines.create_pipeline(change, spec, "{}", update=True, rules=rules))
    assert keeper.step()
    assert digest(world) == "b" * 64


def test_a_stopped_pipeline_is_left_alone(world: World, engine: FakeEngine, keeper: Keeper) -> None:
    make(world)
    world.files.change(lambda change: pipelines.stop_pipeline(change, Pipeline("default", "edges")))
    assert not keeper.step()
    assert not engine.pulled
    world.files.change(lambda change: pipelines.start_pipeline(change, Pipeline("default", "edges")))
    engine.has["mine:1"] = A
    assert keeper.step()


def test_an_image_is_pulled_with_the_secret_that_the_spec_names(
    world: World, engine: FakeEngine, keeper: Keeper
) -> None:
    auth = base64.b64encode(b"me:word").decode()
    login = json.dumps({"auths": {"here:5000": {"auth": auth}}}).encode()
    data = {".dockerconfigjson": base64.b64encode(login).decode()}
    secret = {"kind": "Secret", "metadata": {"name": "registry"}, "data": data}
    changes.create_secret(world.files.catalog, world.pps.vault, json.dumps(secret).encode())
    make(world, "here:5000/mine:1", image_pull_secrets=("missing", "registry"))
    engine.registry["here:5000/mine:1"] = A
    assert keeper.step()
    assert engine.pulled == [("here:5000/mine:1", {"username": "me", "password": "word"})]
    assert "word" not in row(world).reason


def test_credentials_are_read_as_docker_login_writes_them() -> None:
    auth = base64.b64encode(b"me:word:with:colons").decode()
    document = {"auths": {"https://index.docker.io/v1/": {"auth": auth}, "r:5000": {"username": "u", "password": "p"}}}
    whole = json.dumps(document).encode()
    assert credentials_in(whole, "index.docker.io") == {"username": "me", "password": "word:with:colons"}
    assert credentials_in(whole, "r:5000") == {"username": "u", "password": "p"}
    assert credentials_in(whole, "elsewhere") is None
    for damaged in (b"", b"[]", b'{"auths": 7}', b'{"auths": {"r": 7}}', b'{"auths": {"r": {"auth": "%%"}}}'):
        assert credentials_in(damaged, "r") is None
