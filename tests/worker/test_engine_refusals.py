"""What an engine refuses passes, or does not."""

from __future__ import annotations

import docker.errors
import pytest
import requests

from trunkline.worker.containers.engine import Container, Engine, EngineAway, EngineFailed, _complaint, _failure


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("failed to create overlay: mkdir /x: no space left on device", EngineAway),
        ("unable to find user nobody: no matching entries", EngineFailed),
    ],
)
def test_a_full_disk_passes_and_a_wrong_spec_does_not(told: str, kind: type[Exception]) -> None:
    error = type("APIError", (Exception,), {"explanation": told})()
    assert type(_failure("it refuses", error)) is kind


def test_what_goes_wrong_in_the_middle_of_a_pull_is_found() -> None:
    assert _complaint('{"status":"Pulling"}\n{"error":"denied:\\n no"}\nnot JSON\n') == "denied: no"
    assert _complaint('{"status":"Pulling"}\n[]\n') == ""


class Refusing:
    """A client of an engine that refuses to remove a container, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0

    def remove_container(self, key: str, *, force: bool, v: bool) -> None:
        assert (key, force, v) == ("c1", True, True)
        self.asked += 1
        if self.asked <= self.times:
            told = requests.Response()
            told.status_code = 500
            raise docker.errors.APIError("500", told, "sending SIGKILL to c1: container state improper: stopped")


def container_of(client: Refusing) -> Container:
    engine = Engine("unix:///nowhere.sock")
    engine._client = client
    return Container(engine, "c1")


def test_a_container_that_ends_while_it_is_removed_is_removed_all_the_same() -> None:
    client = Refusing(times=1)
    container_of(client).remove()
    assert client.asked == 2


def test_a_removal_that_is_always_refused_is_said() -> None:
    client = Refusing(times=100)
    with pytest.raises(EngineFailed, match="container state improper"):
        container_of(client).remove()
    assert client.asked < 10
