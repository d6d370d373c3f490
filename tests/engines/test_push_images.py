"""Images from the command line: built, pushed to a registry with and without a password, and pinned in the spec."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dockers import engine_url, make_image, remove_image
from registries import PASSWORD, USER, registry

from trunkline.testing.serving import PachdProcess, documents

pytestmark = [pytest.mark.engines, pytest.mark.containers, pytest.mark.timeout(300)]
NAME = f"trunkline-push-{os.getpid()}:1"
PINNED = re.compile(rf"localhost:\d+/(ann/)?{NAME.partition(':')[0]}:[0-9a-f]{{32}}@sha256:[0-9a-f]{{64}}")
DOCKERFILE = f"""FROM {NAME}
ARG WORD=nothing
COPY . /seen/
RUN echo $WORD > /word
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PachdProcess]:
    make_image(engine_url(), NAME)
    flags = ("--workers", "1", "--containers", engine_url())
    with PachdProcess(tmp_path_factory.mktemp("pachd"), flags) as server:
        server.pachctl("create", "repo", "in")
        server.pachctl("put", "file", "in@master:/a", "-f", "-", stdin=b"x")
        yield server
    remove_all(f"*{NAME.partition(':')[0]}*")


@pytest.fixture(scope="module")
def open_registry() -> Iterator[str]:
    with registry(engine_url(), "open", 5005) as address:
        yield address


@pytest.fixture(scope="module")
def locked_registry() -> Iterator[str]:
    with registry(engine_url(), "locked", 5006, locked=True) as address:
        yield address


def remove_all(pattern: str) -> None:
    import docker

    for image in docker.APIClient(base_url=engine_url(), version="auto").images(filters={"reference": pattern}):
        remove_image(engine_url(), image["Id"])


def spec_of(name: str, image: str = NAME, cmd: str = "cp /pfs/in/* /pfs/out/", **more: Any) -> str:
    transform = {"image": image, "cmd": ["sh"], "stdin": [cmd], **more}
    return json.dumps(
        {"pipeline": {"name": name}, "transform": transform, "input": {"pfs": {"repo": "in", "glob": "/*"}}}
    )


def push(
    server: PachdProcess, home: Path, *words: str, spec: str = "-", stdin: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """`pachctl … --push-images`, by a person whose home is `home`."""
    return subprocess.run(
        [server.program("pachctl"), *words, "-f", spec],
        env=server.client_env | {"HOME": str(home), "DOCKER_HOST": engine_url(), **env},
        input=stdin,
        capture_output=True,
        text=True,
        start_new_session=True,  # no terminal to ask on
        check=False,
    )


def image_of(server: PachdProcess, pipeline: str) -> str:
    return str(
        next(documents(server.pachctl("inspect", "pipeline", pipeline, "--raw")))["details"]["transform"]["image"]
    )


def result_of(server: PachdProcess, pipeline: str, path: str) -> str:
    server.pachctl("wait", "commit", f"{pipeline}@master")
    return server.pachctl("get", "file", f"{pipeline}@master:{path}")


def log_in(home: Path, address: str, password: str = PASSWORD) -> None:
    """As `docker login` does without a credential helper."""
    (home / ".docker").mkdir()
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))


def test_an_image_is_pushed_and_the_spec_pinned_to_it(server: PachdProcess, open_registry: str, tmp_path: Path) -> None:
    done = push(server, tmp_path, "create", "pipeline", "-p", "-r", open_registry, stdin=spec_of("pushed"))
    assert done.returncode == 0, done.stderr
    first = image_of(server, "pushed")
    assert PINNED.fullmatch(first)
    assert done.stderr == f"Pushed {NAME} as {first}\n"
    assert result_of(server, "pushed", "/a") == "x"
    done = push(server, tmp_path, "update", "pipeline", "-p", "-r", open_registry, stdin=spec_of("pushed"))
    assert done.returncode == 0, done.stderr
    second = image_of(server, "pushed")
    assert second.partition(":")[2].partition("@")[0] != first.partition(":")[2].partition("@")[0], "a tag of its own"
    assert second.partition("@")[2] == first.partition("@")[2], "of the same content"


def test_what_was_pushed_is_pulled_by_its_digest(server: PachdProcess, open_registry: str, tmp_path: Path) -> None:
    own = NAME.replace(":1", "-pulled:1")
    make_image(engine_url(), own, files={"etc/motd": "pulled\n"})
    idle = spec_of("first", own).replace('"/*"', '"/none*"')
    done = push(server, tmp_path, "create", "pipeline", "-p", "-r", open_registry, stdin=idle)
    assert done.returncode == 0, done.stderr
    pinned = image_of(server, "first")
    remove_all(f"*{own.partition(':')[0]}*")
    server.pachctl("create", "pipeline", "-f", "-", stdin=spec_of("pulled", pinned, "cp /etc/motd /pfs/out").encode())
    assert result_of(server, "pulled", "/motd") == "pulled\n"


def test_a_registry_that_wants_a_password_has_it_from_docker_login(
    server: PachdProcess, locked_registry: str, tmp_path: Path
) -> None:
    words = ("update", "pipeline", "-p", "-r", locked_registry)
    refused = push(server, tmp_path, *words, stdin=spec_of("locked"))
    assert refused.returncode == 1
    assert f"cannot be pushed to {locked_registry}" in refused.stderr
    assert f"log in with `docker login {locked_registry}`, or name a user by --username" in refused.stderr
    assert "locked" not in server.pachctl("list", "pipeline")
    (tmp_path / "a").mkdir()
    log_in(tmp_path / "a", locked_registry)
    done = push(server, tmp_path / "a", *words, stdin=spec_of("locked"))
    assert done.returncode == 0, done.stderr
    assert PINNED.fullmatch(image_of(server, "locked"))
    (tmp_path / "b").mkdir()
    log_in(tmp_path / "b", locked_registry, "wrong word")
    refused = push(server, tmp_path / "b", *words, stdin=spec_of("locked"))
    assert refused.returncode == 1
    assert "wrong word" not in refused.stderr + server.log.read_text()


def test_a_secret_that_the_spec_names_opens_a_registry(
    server: PachdProcess, locked_registry: str, tmp_path: Path
) -> None:
    own = NAME.replace(":1", "-secret:1")
    make_image(engine_url(), own, files={"etc/motd": "opened\n"})
    log_in(tmp_path, locked_registry)
    idle = spec_of("closed", own).replace('"/*"', '"/none*"')
    done = push(server, tmp_path, "create", "pipeline", "-p", "-r", locked_registry, stdin=idle)
    assert done.returncode == 0, done.stderr
    pinned = image_of(server, "closed")
    remove_all(f"*{own.partition(':')[0]}*")
    script = "cp /etc/motd /pfs/out"
    server.pachctl("create", "pipeline", "-f", "-", stdin=spec_of("opened", pinned, script).encode())
    for _ in range(600):
        found = next(documents(server.pachctl("inspect", "pipeline", "opened", "--raw")))
        if found["state"] == "PIPELINE_CRASHING":
            break
        server.pause(0.1)
    assert f'image "{pinned}" cannot be pulled: ' in found["reason"]
    login = (tmp_path / ".docker/config.json").read_text()
    secret = {"kind": "Secret", "metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson"}
    secret["stringData"] = {".dockerconfigjson": login}
    server.pachctl("create", "secret", "-f", "-", stdin=json.dumps(secret).encode())
    more = spec_of("opened", pinned, script, image_pull_secrets=["login"])
    server.pachctl("update", "pipeline", "-f", "-", stdin=more.encode())
    assert result_of(server, "opened", "/motd") == "opened\n"
    assert PASSWORD not in server.log.read_text()


def test_a_credential_helper_is_asked(server: PachdProcess, locked_registry: str, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(json.dumps({"credHelpers": {locked_registry: "safe"}}))
    helper = tmp_path / "docker-credential-safe"
    answer = json.dumps({"ServerURL": locked_registry, "Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\necho '{answer}'\n")
    helper.chmod(0o755)
    words = ("create", "pipeline", "-p", "-r", locked_registry)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = push(server, tmp_path, *words, stdin=spec_of("helped"), PATH=path)
    assert done.returncode == 0, done.stderr
    assert PINNED.fullmatch(image_of(server, "helped"))


def test_a_password_is_asked_for_on_the_terminal_and_never_shown(
    server: PachdProcess, locked_registry: str, tmp_path: Path
) -> None:
    words = ("create", "pipeline", "-p", "-r", locked_registry, "-u", USER)
    refused = push(server, tmp_path, *words, stdin=spec_of("asked"))
    assert refused.returncode == 1
    assert f"Password of {USER} at {locked_registry} is wanted, and there is no terminal to ask on" in refused.stderr
    spec = tmp_path / "spec.json"
    spec.write_text(spec_of("asked"))
    env = server.client_env | {"HOME": str(tmp_path), "DOCKER_HOST": engine_url()}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(server.program("pachctl"), ["pachctl", *words, "-v", "-f", str(spec)], env)
    seen, typed = b"", False
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # how a terminal ends
            break
        seen += data
        if not typed and b"Password of" in seen and seen.rstrip().endswith(b":"):
            os.write(terminal, f"{PASSWORD}\n".encode())
            typed = True
        if not data:
            break
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen.decode()
    assert PASSWORD.encode() not in seen
    assert PASSWORD not in server.log.read_text()
    assert b"Pushing" in seen, "bars on a terminal"
    assert PINNED.fullmatch(image_of(server, "asked"))


def test_a_dockerfile_is_built_first_without_what_its_dockerignore_names(
    server: PachdProcess, open_registry: str, tmp_path: Path
) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / ".dockerignore").write_text("*.secret\n")
    (folder / "kept").write_text("kept")
    (folder / "own.secret").write_text("hidden")
    built = NAME.replace(":1", ":built")
    spec = tmp_path / "spec.json"
    spec.write_text(spec_of("built", built, "ls /seen > /pfs/out/seen; cat /word >> /pfs/out/seen", dockerfile="code"))
    words = ("create", "pipeline", "--build", "--build-arg", "WORD=told", "-p", "-r", open_registry)
    done = push(server, tmp_path, *words, spec=str(spec))
    assert done.returncode == 0, done.stderr
    assert f"Building {built} from {folder}/Dockerfile" in done.stderr
    assert PINNED.fullmatch(image_of(server, "built"))
    assert result_of(server, "built", "/seen") == "Dockerfile\nkept\ntold\n"
    (folder / "Dockerfile").write_text(f"FROM {NAME}\nRUN echo no luck; exit 3\n")
    failed = push(server, tmp_path, "update", "pipeline", "--build", spec=str(spec))
    assert failed.returncode == 1
    assert f'image "{built}" cannot be built from {folder}/Dockerfile: ' in failed.stderr
    assert "returned a non-zero code: 3" in failed.stderr
    assert "no luck" in failed.stderr


def test_what_cannot_be_pushed_changes_nothing(server: PachdProcess, open_registry: str, tmp_path: Path) -> None:
    import docker

    words = ("create", "pipeline", "-p")
    gone = push(server, tmp_path, *words, "-r", open_registry, stdin=spec_of("no", "localhost/nothing:1"))
    assert 'image "localhost/nothing:1" is not in the container engine' in gone.stderr
    hub = push(server, tmp_path, *words, stdin=spec_of("no", NAME))
    assert "would go to Docker Hub, where names begin with who pushes them; give --username NAME" in hub.stderr
    pinned = push(server, tmp_path, *words, stdin=spec_of("no", f"{NAME}@sha256:{'0' * 64}"))
    assert "is pinned to a digest already" in pinned.stderr
    away = push(server, tmp_path, *words, "-r", "localhost:1", stdin=spec_of("no"))
    assert "cannot be pushed to localhost:1: " in away.stderr
    api = docker.APIClient(base_url=engine_url(), version="auto")
    assert api.images("localhost:1/*") == [], "a name that nobody will know"
    engine = push(
        server, tmp_path, *words, "-r", open_registry, stdin=spec_of("no"), DOCKER_HOST=f"unix://{tmp_path}/no.sock"
    )
    assert "does not answer: no such file or directory; is it running?" in engine.stderr
    unread = push(server, tmp_path, *words, "-r", open_registry, stdin=spec_of("no").replace('"in"', '"nowhere"'))
    assert "nowhere" in unread.stderr, "what the server refuses is not pushed"
    for done in (gone, hub, pinned, away, engine, unread):
        assert done.returncode == 1
        assert "Pushed" not in done.stderr
    assert "no" not in [line.split()[1] for line in server.pachctl("list", "pipeline").splitlines()]


def test_a_tag_that_moves_is_warned_of(server: PachdProcess, tmp_path: Path) -> None:
    floating = NAME.replace(":1", ":latest")
    make_image(engine_url(), floating)
    done = push(server, tmp_path, "create", "pipeline", stdin=spec_of("moves", floating))
    assert done.returncode == 0, done.stderr
    assert f'image "{floating}": the tag "latest" moves with every build.' in done.stderr
    assert "--push-images" in done.stderr
    quiet = push(server, tmp_path, "create", "pipeline", stdin=spec_of("stays"))
    assert (quiet.returncode, quiet.stderr) == (0, "")
