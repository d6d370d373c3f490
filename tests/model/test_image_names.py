"""Names of container images, taken apart and put together for a push."""

from __future__ import annotations

import pytest

from trunkline.model.image_names import ImageName, parse_image, pushed_name

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "name", "host"),
    [
        ("ubuntu", ImageName("", "ubuntu"), "index.docker.io"),
        ("ann/opencv:1", ImageName("", "ann/opencv", "1"), "index.docker.io"),
        ("docker.io/ann/opencv:1", ImageName("", "ann/opencv", "1"), "index.docker.io"),
        ("localhost/x", ImageName("localhost", "x"), "localhost"),
        ("localhost:5000/x", ImageName("localhost:5000", "x"), "localhost:5000"),
        ("localhost:5000/x:1", ImageName("localhost:5000", "x", "1"), "localhost:5000"),
        (f"ghcr.io/a/b:1@{DIGEST}", ImageName("ghcr.io", "a/b", "1", DIGEST), "ghcr.io"),
        (f"a/b@{DIGEST}", ImageName("", "a/b", "", DIGEST), "index.docker.io"),
        (DIGEST, ImageName("", "sha256", "0" * 64), "index.docker.io"),
    ],
)
def test_a_name_is_taken_apart(text: str, name: ImageName, host: str) -> None:
    assert parse_image(text) == name
    assert name.host == host


@pytest.mark.parametrize("text", ["ubuntu", f"localhost:5000/x:1@{DIGEST}", "ghcr.io/a/b:v2", f"a/b@{DIGEST}"])
def test_a_name_is_put_together_as_it_was(text: str) -> None:
    assert str(parse_image(text)) == text


@pytest.mark.parametrize(
    ("image", "registry", "username", "pushed"),
    [
        ("opencv:1.0", "localhost:5000", "", "localhost:5000/opencv:new"),
        ("opencv:1.0", "localhost:5000", "ann", "localhost:5000/opencv:new"),
        ("opencv:1.0", "", "ann", "ann/opencv:new"),
        ("team/opencv:1.0", "", "ann", "team/opencv:new"),
        ("opencv:1.0", "index.docker.io", "ann", "ann/opencv:new"),
        ("opencv:1.0", "https://index.docker.io/v1/", "ann", "ann/opencv:new"),
        ("opencv", "", "", "opencv:new"),
        ("ghcr.io/team/x:3", "", "", "ghcr.io/team/x:new"),
        ("ghcr.io/team/x:3", "localhost:5000", "", "localhost:5000/team/x:new"),
        ("x:3", "localhost:5000/team/", "", "localhost:5000/team/x:new"),
        ("team/x:3", "localhost:5000/team", "", "localhost:5000/team/x:new"),
        (f"ghcr.io/x:3@{DIGEST}", "", "", "ghcr.io/x:new"),
    ],
)
def test_the_name_under_which_an_image_is_pushed(image: str, registry: str, username: str, pushed: str) -> None:
    assert str(pushed_name(parse_image(image), registry, username, "new")) == pushed


@pytest.mark.parametrize(
    ("image", "floats"),
    [
        ("x", True),
        ("x:latest", True),
        ("localhost:5000/x", True),
        ("x:Nightly", True),
        ("x:1.0", False),
        ("x:latest-2024", False),
        (f"x:latest@{DIGEST}", False),
    ],
)
def test_which_tags_move(image: str, floats: bool) -> None:
    assert parse_image(image).floats is floats
