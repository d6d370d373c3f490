"""A registry for tests, on a port of 127.0.0.1 as the engine sees it: it runs in a container of that engine."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockers import make_image, remove_image

from trunkline.ambient import RealAmbient

USER, PASSWORD = "ann", "open sesame"
_HASH = "$2b$04$hKYokNomLycjScJpnH.1Iu0BBbdenxvBS5WpMWpbKnBOgEH/0hIEi"  # of that password


@contextmanager
def registry(url: str, name: str, port: int, locked: bool = False, folder: Path | None = None) -> Iterator[str]:
    """Its address. locked: it wants the password of `USER`. folder: of this machine, where it keeps its images."""
    import docker

    image = f"localhost/trunkline-registry-{name}:{os.getpid()}"
    settings = _settings("/images" if folder else "/tmp", port)
    if locked:
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": "/etc/passwords"}}
    files = {"etc/registry.yml": json.dumps(settings), "etc/passwords": f"{USER}:{_HASH}\n"}
    make_image(url, image, files=files, programs=("docker-registry",))
    api = docker.APIClient(base_url=url, version="auto")
    made = api.create_container(
        image,
        command=["docker-registry", "serve", "/etc/registry.yml"],
        environment={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
        host_config=api.create_host_config(network_mode="host", binds=[f"{folder}:/images"] if folder else None),
    )
    try:
        api.start(made["Id"])
        _until_it_listens(api, made["Id"])
        yield f"localhost:{port}"
    finally:
        api.remove_container(made["Id"], force=True, v=True)
        remove_image(url, image)


@contextmanager
def served(process: str, folder: Path, port: int) -> Iterator[None]:
    """The images of `folder` again, on a port of 127.0.0.1 as that process sees it: whose network is another one."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump(_settings(str(folder), port), file)
        file.flush()
        within = ["nsenter", "-t", process, "-n", "docker-registry", "serve", file.name]
        environ = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
        serving = subprocess.Popen(within, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ)
        try:
            yield
        finally:
            serving.kill()
            serving.wait()


def _settings(folder: str, port: int) -> dict[str, object]:
    return {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": folder}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of no use to anybody"},
    }


def _until_it_listens(api: object, container: str) -> None:
    ambient = RealAmbient()
    for _ in range(600):
        said = api.logs(container).decode(errors="replace")  # type: ignore[attr-defined]
        if "listening on" in said:
            return
        if not api.inspect_container(container)["State"]["Running"]:  # type: ignore[attr-defined]
            break
        ambient.sleep(0.05)
    raise AssertionError(f"the registry does not listen:\n{said}")
