"""Google's and Azure's stores: URLs lead where they say, and the blob store keeps its promises there."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from trunkline.ambient import SimulatedAmbient
from trunkline.errors import FailedPrecondition, NotFound, PermissionDenied
from trunkline.storage.blobs import BlobStore, open_blobs
from trunkline.storage.objects import fetch, listed, open_place, write
from trunkline.testing.clouds import AzureCloud, GoogleCloud
from trunkline.testing.clouds.serving import Answer, Asked, Cloud
from trunkline.testing.contracts.blobs import BlobStoreContract

PAGE = 2
_PLACES = itertools.count()
_KEYS = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"),
    *("GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN", "GOOGLE_BASE_URL"),
)


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleCloud]:
    with GoogleCloud(PAGE) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def azure() -> Iterator[AzureCloud]:
    with AzureCloud(PAGE) as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def keys(azure: AzureCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those of the servers here."""
    for name in _KEYS:
        monkeypatch.delenv(name, raising=False)
    for name, value in azure.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["gs", "az"])
def cloud(request: pytest.FixtureRequest) -> tuple[str, Cloud]:
    """A scheme, and the server for it."""
    scheme: str = request.param
    return scheme, request.getfixturevalue({"gs": "google", "az": "azure"}[scheme])


def url(cloud: tuple[str, Cloud], path: str) -> str:
    return f"{cloud[0]}://box/{path}?endpoint={cloud[1].endpoint}"


class TestCloudBlobs(BlobStoreContract):
    @pytest.fixture
    def store(self, cloud: tuple[str, Cloud]) -> BlobStore:
        return open_blobs(url(cloud, f"place/{next(_PLACES)}"))


def test_a_place_belongs_to_one_server(cloud: tuple[str, Cloud]) -> None:
    place = url(cloud, f"claimed/{next(_PLACES)}")
    open_blobs(place, "one")
    open_blobs(place, "one")
    with pytest.raises(FailedPrecondition, match="belongs to another server"):
        open_blobs(place, "two")


class S3Cloud(Cloud):
    """A server for s3:// URLs that only deletes, as many objects at once as it is told."""

    def answer(self, asked: Asked) -> Answer:
        """See `Cloud.answer`."""
        match asked.method:
            case "POST":
                keys = [one.text for one in ElementTree.fromstring(asked.body).iter() if one.tag.endswith("Key")]
                for key in keys:
                    self.objects.pop(f"{asked.path.strip('/')}/{key}", None)
                told = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
                return Answer(200, f"<DeleteResult>{told}</DeleteResult>".encode())
            case _:
                return Answer(400)


def test_a_thousand_blobs_go_in_one_request_of_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    names = [f"chunks/{number}.1" for number in range(1500)]
    with S3Cloud() as cloud:
        cloud.objects = {f"box/here/{name}": b"x" for name in names}
        open_blobs(f"s3://box/here?endpoint={cloud.endpoint}").delete_all(names)
        assert cloud.objects == {}
        assert cloud.asked == ["POST", "POST"]


def test_256_blobs_go_in_one_request_of_azures(azure: AzureCloud) -> None:
    names = [f"chunks/{number}.1" for number in range(500)]
    azure.objects |= {f"box/bulk/{name}": b"x" for name in names}
    before = len(azure.asked)
    open_blobs(f"az://box/bulk?endpoint={azure.endpoint}").delete_all(names)
    assert azure.asked[before:] == ["POST"] * 2
    assert not [name for name in azure.objects if name.startswith("box/bulk/")]


@pytest.mark.parametrize("name", ["a b", "ü", "a#b", "a%b", "a*b", "a?b", "a+b", "a[1]", "~x", "a&b<c"])
def test_names_of_objects_come_back_as_they_are(cloud: tuple[str, Cloud], name: str) -> None:
    ambient = SimulatedAmbient()
    folder = f"odd/{next(_PLACES)}"
    write(open_place(url(cloud, folder)).below(name), lambda: b"data", ambient)
    found = list(listed(url(cloud, folder)))
    assert [one.path for one in found] == [name]
    assert b"".join(fetch(found[0].place, ambient)) == b"data"
    assert cloud[1].objects[f"box/{folder}/{name}"] == b"data"


def test_a_big_object_is_sent_in_parts(cloud: tuple[str, Cloud]) -> None:
    data = bytes(range(256)) * 4096
    place = open_place(url(cloud, f"big/{next(_PLACES)}"))
    write(place, lambda: iter([data] * 20), SimulatedAmbient())
    before = len(cloud[1].asked)
    assert b"".join(fetch(place, SimulatedAmbient())) == data * 20
    assert len(cloud[1].asked) > before
    write(place, lambda: b"new", SimulatedAmbient())
    assert b"".join(fetch(place, SimulatedAmbient())) == b"new"
    with pytest.raises(NotFound):
        b"".join(fetch(url(cloud, "big/none"), SimulatedAmbient()))


def test_a_bucket_that_is_not_there_is_said_and_no_blob_is_missing(cloud: tuple[str, Cloud]) -> None:
    place, words = f"{cloud[0]}://gone/x?endpoint={cloud[1].endpoint}", "there is no such bucket; make it"
    cloud[1].gone.add("gone")
    with pytest.raises(FailedPrecondition, match=words):
        open_blobs(place, "one")
    blobs = open_blobs(place)
    for ask in (lambda: blobs.get("a"), lambda: list(blobs.names())):
        with pytest.raises(FailedPrecondition, match=words):
            ask()
    for read in (lambda: b"".join(fetch(place, SimulatedAmbient())), lambda: list(listed(place))):
        with pytest.raises(NotFound, match=words):
            read()


def test_keys_of_google_are_used_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    with GoogleCloud(token="secret") as cloud:
        place = f"gs://box/x?endpoint={cloud.endpoint}"
        with pytest.raises(PermissionDenied, match="give pachd keys that may"):
            open_blobs(place, "one")
        monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "secret")
        open_blobs(place, "one")
        assert cloud.objects == {"box/x/owner": b"one"}


def test_a_key_of_google_stays_beside_an_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key.json"
    with GoogleCloud() as cloud:
        said = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        key.write_text(json.dumps({**said, "gcs_base_url": "http://127.0.0.1:1", "disable_oauth": True}))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(key))
        open_blobs(f"gs://box/x?endpoint={cloud.endpoint}", "one")
        assert cloud.objects == {"box/x/owner": b"one"}


def test_wrong_keys_of_azure_are_said(azure: AzureCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmc=")
    with pytest.raises(PermissionDenied, match="give pachd keys that may"):
        open_blobs(f"az://box/x?endpoint={azure.endpoint}", "one")
