"""Pipelines in containers, as a user has them: same spec and same bytes as with processes, and clear reasons."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dockers import make_image, remove_image

from trunkline.ambient import RealAmbient
from trunkline.testing.serving import PachdProcess, documents
from trunkline.worker.containers.engine import OURS, WORKER, Engine
from trunkline.worker.containers.housing import WARM_S

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
from whole import Site

pytestmark = [pytest.mark.engines, pytest.mark.containers, pytest.mark.timeout(300)]
NAME = f"localhost/trunkline-whole:{os.getpid()}"
SECRETS = Path("/dev/shm")
UPPER = "for f in $(ls /pfs/in); do tr a-z A-Z < /pfs/in/$f > /pfs/out/$f; done"


@pytest.fixture(scope="module")
def engine(engine_at: str) -> Engine:
    return Engine(engine_at)


@pytest.fixture(scope="module")
def digest(engine: Engine) -> Iterator[str]:
    yield make_image(engine.url, NAME, ["ENV COLOUR=red", "WORKDIR /usr"])
    remove_image(engine.url, NAME)


@pytest.fixture(scope="module")
def site(engine: Engine, digest: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pachd")
    with PachdProcess(folder, ("--workers", "2", "--containers", engine.url)) as server:
        yield Site(server)
    assert ours(engine) == {}, "nothing is left of a server that was told to end"


def ours(engine: Engine) -> dict[str, dict[str, str]]:
    """Containers of any server of ours, with their labels."""
    with engine._api() as api:
        return {one["Id"]: one["Labels"] for one in api.containers(all=True, filters={"label": [OURS]})}


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")


def inspected(site: Site, name: str) -> dict[str, Any]:
    return next(documents(site.pachctl("inspect", "pipeline", name, "--raw")))


def reason(site: Site, name: str, wanted: str) -> str:
    """The pipeline's reason, once it is in state `wanted`; or the test fails."""
    ambient = RealAmbient()
    for _ in range(600):
        found = inspected(site, name)
        if found["state"] == wanted:
            return str(found.get("reason", ""))
        ambient.sleep(0.1)
    raise AssertionError(json.dumps(found, indent=1))


def test_a_pipeline_runs_in_a_container_and_makes_the_same_bytes_as_a_process(site: Site, digest: str) -> None:
    site.pachctl("create", "repo", "both-in")
    site.put("both-in", a="aa", b="bb")
    both = {"input": {"pfs": {"repo": "both-in", "name": "in", "glob": "/*"}}}
    site.create("boxed", {"image": NAME, "cmd": ["sh"], "stdin": [UPPER]}, **both)
    site.create("plain", {"image": NAME, "cmd": ["sh"], "stdin": [UPPER]}, **both, trunkline={"runner": "process"})
    words = [site.server.program("pachctl"), "inspect", "pipeline", "boxed"]
    shown = subprocess.run(words, env=site.server.client_env, capture_output=True, text=True, check=True).stderr
    assert f'pipeline default/boxed runs in a container of image "{NAME}" (' in shown
    assert site.counts("boxed") == ("success", 2, 0)
    assert site.counts("plain") == ("success", 2, 0)
    assert site.tree("boxed") == site.tree("plain") == {"/a": "AA", "/b": "BB"}
    files = [
        next(documents(site.pachctl("inspect", "file", f"{name}@master:/", "--raw"))) for name in ("boxed", "plain")
    ]
    assert files[0]["hash"] == files[1]["hash"]
    site.put("both-in", c="cc")
    assert site.counts("boxed") == ("success", 1, 2)
    datum = next(documents(site.pachctl("list", "datum", f"boxed@{site.job('boxed')['job']['id']}", "--raw")))
    assert datum["image_id"] == digest


def test_code_has_what_the_image_says_and_what_the_spec_says(site: Site) -> None:
    site.pachctl("create", "repo", "env-in")
    site.put("env-in", a="x")
    script = "echo $COLOUR $SIZE $PWD $in $PACH_JOB_ID; id -u; ls -d /pfs/in/a; hostname 2>/dev/null; exit 0"
    site.create("env", {"image": NAME, "cmd": ["sh", "-c", f"{{ {script}; }} > /pfs/out/told"], "env": {"SIZE": "xl"}})
    job = site.job("env")
    assert site.tree("env")["/told"] == f"red xl /usr /pfs/in/a {job['job']['id']}\n0\n/pfs/in/a\n"
    for user, who in (("daemon", "1:1"), ("1", "1:1"), ("1234", "1234:0"), ("1234:7", "1234:7")):
        other = {"image": NAME, "cmd": ["sh", "-c", "echo $(id -u):$(id -g) > /pfs/out/told; pwd >> /pfs/out/told"]}
        site.create("env", {**other, "user": user, "working_dir": "/tmp"}, "--reprocess", verb="update")
        assert site.counts("env") == ("success", 1, 0)
        assert site.tree("env")["/told"] == f"{who}\n/tmp\n"


def test_a_failing_datum_says_what_happened(site: Site) -> None:
    site.pachctl("create", "repo", "bad-in")
    site.put("bad-in", a="x")
    site.create("bad", {"image": NAME, "cmd": ["sh", "-c", "echo out of luck >&2; exit 3"]}, datum_tries=1)
    job = site.job("bad")
    assert job["state"] == "JOB_FAILURE"
    assert "exit 3" in job["reason"] or "exited with 3" in job["reason"], job["reason"]
    assert "out of luck" in site.pachctl("logs", "-p", "bad")
    greedy = {"image": NAME, "cmd": ["sh", "-c", "x=0123456789; while :; do x=$x$x; done"]}
    site.create("bad", greedy, verb="update", datum_tries=1, resource_limits={"memory": "64Mi"})
    job = site.job("bad")
    assert "memory limit 64Mi exceeded" in job["reason"], job["reason"]


def test_an_image_that_nobody_has_is_said_within_seconds(site: Site) -> None:
    site.pachctl("create", "repo", "gone-in")
    site.put("gone-in", a="x")
    site.create("gone", {"image": "localhost:1/nothing/here:2", "cmd": ["true"]})
    told = reason(site, "gone", "PIPELINE_CRASHING")
    assert told.startswith('its code cannot run: image "localhost:1/nothing/here:2" cannot be pulled: ')
    site.create("gone", {"image": NAME, "cmd": ["sh"], "stdin": [UPPER]}, verb="update")
    assert site.counts("gone") == ("success", 1, 0)


def test_a_container_that_is_killed_is_said_within_seconds(site: Site, engine: Engine) -> None:
    """As the kernel kills it where the machine's memory is full."""
    site.pachctl("create", "repo", "dies-in")
    site.put("dies-in", a="x")
    before = set(ours(engine))
    code = {"image": NAME, "cmd": ["sh", "-c", "echo up; sleep 600"], "env": {"A": "dies"}}
    site.create("dies", code, datum_tries=1, resource_limits={"memory": "48Mi"})
    while "up" not in site.pachctl("logs", "-p", "dies"):
        site.server.pause(0.1)
    (key,) = set(ours(engine)) - before
    with engine._api() as api:
        api.kill(key, "SIGKILL")
    for _ in range(600):
        (job,) = documents(site.pachctl("list", "job", "-p", "dies", "--raw"))
        if job["state"] == "JOB_FAILURE":
            break
        site.server.pause(0.1)
    words = (
        "the worker died while running this datum (the agent was lost: its container was killed by signal 9 (SIGKILL))"
    )
    assert words in job["reason"]
    assert words in inspected(site, "dies")["details"]["recent_error"]
    assert words in " ".join(site.pachctl("inspect", "pipeline", "dies").split())
    site.pachctl("delete", "pipeline", "dies")


def test_a_killed_worker_leaves_nothing_while_the_server_lives(site: Site, engine: Engine) -> None:
    site.pachctl("create", "repo", "slow-in")
    site.put("slow-in", a="x")
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "key"}, "data": {"word": "b3Vycw=="}}
    site.pachctl("create", "secret", "-f", "-", stdin=json.dumps(secret).encode())
    code = {"image": NAME, "cmd": ["sh", "-c", "sleep 2; cp /keys/word /pfs/out"]}
    former = {*ours(engine), *SECRETS.glob("trunkline-*")}
    site.create("slow", {**code, "secrets": [{"name": "key", "mount_path": "/keys"}]})
    ambient = RealAmbient()
    while not (begun := ours(engine).keys() - former):
        ambient.sleep(0.05)
    shown = set(SECRETS.glob("trunkline-*")) - former
    assert shown
    name = ours(engine)[begun.pop()][WORKER]
    (victim,) = (pid for pid in site.server.family() if f'"name":"{name}"' in command_line(pid))
    os.kill(victim, signal.SIGKILL)
    while any(labels[WORKER] == name for labels in ours(engine).values()) or any(path.exists() for path in shown):
        ambient.sleep(0.05)
    assert site.counts("slow") == ("success", 1, 0)
    assert site.tree("slow") == {"/word": "ours"}


def test_a_killed_server_leaves_containers_that_the_next_one_removes(
    engine: Engine, digest: str, tmp_path: Path
) -> None:
    server = PachdProcess(tmp_path, ("--workers", "1", "--containers", engine.url))
    with server:
        site = Site(server)
        site.pachctl("create", "repo", "long-in")
        site.put("long-in", a="x")
        site.create("long", {"image": NAME, "cmd": ["sh", "-c", "sleep 1; cp /pfs/in/a /pfs/out"]})
        ambient = RealAmbient()
        while not ours(engine):
            ambient.sleep(0.05)
        server.kill()
        server.start(fresh=False)
        assert site.counts("long") == ("success", 1, 0)
        assert site.tree("long") == {"/a": "x"}


@pytest.mark.parametrize("verb", ["stop", "update", "delete"])
def test_containers_go_with_their_pipeline(site: Site, engine: Engine, verb: str) -> None:
    before = set(ours(engine))
    site.pachctl("create", "repo", f"{verb}-in")
    site.put(f"{verb}-in", a="aa")
    site.create(verb, {"image": NAME, "cmd": ["sh"], "stdin": [UPPER], "env": {"A": verb}}, resource_limits={"cpu": 1})
    assert site.counts(verb) == ("success", 1, 0)
    begun = set(ours(engine)) - before
    assert begun
    ambient = RealAmbient()
    end_s = ambient.ticks_s() + WARM_S / 2
    if verb == "update":  # no worker has anything to do for the new version: all datums were done before
        site.create(verb, {"image": NAME, "cmd": ["sh"], "stdin": [UPPER]}, verb="update", resource_limits={"cpu": 2})
    else:
        site.pachctl(verb, "pipeline", verb)
    while set(ours(engine)) & begun:
        assert ambient.ticks_s() < end_s
        ambient.sleep(0.1)
