"""Services, spouts, buckets, volumes in memory and code that asks for its datums, in containers and in pods."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from dockers import CLIENT, engine_url, make_python_image, remove_image
from pods import FREE, pod_site, real_cluster

from trunkline.fleet.kubernetes.api import SERVICES
from trunkline.testing.engines.ports import free_port
from trunkline.testing.serving import PachdProcess, documents

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
from whole import Site

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]
NAME = f"localhost/trunkline-standing:{os.getpid()}"
PACHCTL = "python3 -c 'from trunkline.cli import main; main()'"
PUT = f"{PACHCTL} put file $PPS_PIPELINE_NAME@master:/$n -f /tmp/data"
BUCKET = (
    "curl -sSf --aws-sigv4 aws:amz:us-east-1:s3 -H x-amz-content-sha256:UNSIGNED-PAYLOAD "
    '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" $S3_ENDPOINT'
)
INNER = 8080


class Runner:
    """A server, the image that its specs name, what they say besides, and where the ports of services are."""

    def __init__(self, site: Site, image: str, bind: str = "127.0.0.1", **told: Any) -> None:
        self.site, self.image, self.bind, self.told = site, image, bind, told

    def host(self, pipeline: str) -> str:
        """Where a service's outer port is."""
        return "127.0.0.1"


class Pods(Runner):
    """A server with pods."""

    def host(self, pipeline: str) -> str:
        """Of its Service, which this machine reaches."""
        found = real_cluster().list(SERVICES, f"pipelineName={pipeline}").items
        return str(found[0]["spec"]["clusterIP"]) if found else ""


@contextlib.contextmanager
def containers(folder: Path, told_by: str = "DOCKER_HOST") -> Iterator[Runner]:
    url = engine_url(told_by)
    make_python_image(url, NAME, CLIENT, ("curl", "df"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", url)  # where `pachctl replay` looks for the image
        with PachdProcess(folder, ("--workers", "1", "--containers", url)) as server:
            yield Runner(Site(server), NAME)
    remove_image(url, NAME)


@contextlib.contextmanager
def pods(folder: Path) -> Iterator[Runner]:
    with pod_site(folder) as site:
        yield Pods(site, "localhost/python:1", "0.0.0.0", **FREE)


CONTAINERS = [
    pytest.param(containers, marks=pytest.mark.containers, id="docker"),
    pytest.param(
        partial(containers, told_by="TRUNKLINE_PODMAN"), marks=[pytest.mark.containers, pytest.mark.podman], id="podman"
    ),
]


@pytest.fixture(scope="module", params=[*CONTAINERS, pytest.param(pods, marks=pytest.mark.kubernetes, id="pods")])
def runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with request.param(tmp_path_factory.mktemp("pachd")) as runner:
        yield runner


@pytest.fixture
def site(runner: Runner) -> Site:
    return runner.site


def until(site: Site, look: Callable[[], Any]) -> Any:
    """What `look` answers once that is something."""
    for _ in range(600):
        if found := look():
            return found
        site.server.must_live()
        site.server.pause(0.1)
    raise AssertionError(f"it does not come about; the server says:\n{site.server.last_words()}")


def answer(host: str, port: int, path: str) -> str:
    try:
        with urlopen(f"http://{host}:{port}/{path}", timeout=60) as page:
            return str(page.read().decode())
    except (URLError, OSError):
        return ""


WEB = {"pfs": {"repo": "web-in", "name": "in", "glob": "/"}}


def serving(runner: Runner) -> dict[str, Any]:
    run = f"cd /pfs/in && exec python3 -m http.server --bind {runner.bind} {INNER}"
    return {"image": runner.image, "cmd": ["sh", "-c", run]}


def test_a_service_answers_on_its_port_and_starts_again_with_newer_data(runner: Runner) -> None:
    site, ports = runner.site, [free_port(), free_port()]
    site.pachctl("create", "repo", "web-in")
    site.put("web-in", a="one" * 100_000)
    names = {"web": ports[0], "twin": ports[1]}  # with the same port inside
    for name, outer in names.items():
        service = {"internal_port": INNER, "external_port": outer, "type": "ClusterIP"}
        site.create(name, serving(runner), service=service, input=WEB, **runner.told)
    hosts = {}
    for name, outer in names.items():
        hosts[name] = until(site, lambda name=name: runner.host(name))
        assert until(site, lambda name=name, outer=outer: answer(hosts[name], outer, "a")) == "one" * 100_000
    site.put("web-in", b="two")
    assert until(site, lambda: answer(hosts["web"], ports[0], "b")) == "two"
    for name, outer in names.items():
        site.pachctl("delete", "pipeline", name)
        until(site, lambda name=name, outer=outer: not answer(hosts[name], outer, "a"))
    site.pachctl("delete", "repo", "web-in")


@pytest.mark.parametrize("runner", CONTAINERS, indirect=True)
def test_a_port_of_this_machine_that_another_service_has_is_refused(runner: Runner) -> None:
    site, outer = runner.site, free_port()
    site.pachctl("create", "repo", "web-in")
    service = {"internal_port": INNER, "external_port": outer, "type": "ClusterIP"}
    site.create("web", serving(runner), service=service, input=WEB)
    taken = {"pipeline": {"name": "third"}, "transform": serving(runner), "input": WEB, "service": service}
    refused = site.refused("create", "pipeline", "-f", "-", stdin=json.dumps(taken).encode())
    assert f"port {outer} belongs to pipeline default/web already" in refused
    site.pachctl("delete", "pipeline", "web")
    site.pachctl("delete", "repo", "web-in")


def test_a_spout_puts_files_with_a_client_of_its_image(runner: Runner, site: Site) -> None:
    script = f"for n in 1 2; do echo $n > /tmp/data; {PUT} || exit 1; done; sleep 600"
    code = {"image": runner.image, "cmd": ["sh", "-c", script]}
    body = {"pipeline": {"name": "spout"}, "transform": code, "spout": {}, **runner.told}
    site.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    copies = {"image": runner.image, "cmd": ["sh"], "stdin": ["cp /pfs/in/* /pfs/out"]}
    site.create("behind", copies, **reads("spout"), **runner.told)

    def arrived() -> list[str]:
        site.pachctl("wait", "commit", "behind@master")
        return list(site.tree("behind"))

    until(site, lambda: arrived() == ["/1", "/2"])
    shown = next(documents(site.pachctl("inspect", "pipeline", "spout", "--raw")))
    assert (shown["type"], shown["state"]) == ("PIPELINE_TYPE_SPOUT", "PIPELINE_RUNNING")
    site.pachctl("delete", "pipeline", "behind")
    site.pachctl("delete", "pipeline", "spout")


def reads(repo: str, **more: Any) -> dict[str, Any]:
    return {"input": {"pfs": {"repo": repo, "name": "in", "glob": "/*", **more}}}


def test_code_reads_and_writes_buckets(runner: Runner, site: Site) -> None:
    site.pachctl("create", "repo", "fruit")
    site.put("fruit", apple="red")
    script = f"{BUCKET}/in/apple > /tmp/a && {BUCKET}/out/pie -T /tmp/a && head -c 3000000 /dev/zero > /tmp/b"
    script += f" && {BUCKET}/out/big -T /tmp/b"
    code = {"image": runner.image, "cmd": ["sh", "-c", script]}
    site.create("bake", code, **reads("fruit", glob="/", s3=True), s3_out=True, **runner.told)
    assert site.counts("bake") == ("success", 1, 0)
    assert site.pachctl("get", "file", "bake@master:/pie") == "red"
    assert int(next(documents(site.pachctl("inspect", "file", "bake@master:/big", "--raw")))["size_bytes"]) == 3_000_000


def test_what_code_writes_lies_in_memory_where_the_spec_says_so(runner: Runner, site: Site) -> None:
    site.pachctl("create", "repo", "soft")
    site.put("soft", a="1", b="2")
    script = "set -e; test $(df --output=fstype /pfs/out | tail -n 1) = tmpfs; cp /pfs/in/* /pfs/out/"
    transform = {"image": runner.image, "cmd": ["sh", "-c", script], "memory_volume": True}
    site.create("light", transform, **reads("soft"), **runner.told)
    assert site.counts("light") == ("success", 2, 0), site.job("light")
    assert site.tree("light") == {"/a": "1", "/b": "2"}
    full = transform | {"cmd": ["sh", "-c", "head -c 40000000 /dev/zero > /pfs/out/x"]}
    limits = {"resource_limits": {"memory": "32Mi"}, "datum_tries": 1}
    site.create("light", full, "--reprocess", verb="update", **reads("soft"), **runner.told, **limits)
    job = site.job("light")
    assert job["state"] == "JOB_FAILURE"
    assert "/pfs lies in memory and its 32Mi are full" in job["reason"] or "memory limit 32Mi" in job["reason"]
    other = transform | {"user": "daemon"}
    site.create("light", other, "--reprocess", verb="update", **reads("soft"), **runner.told)
    assert site.counts("light") == ("success", 2, 0), site.job("light")


HIDDEN = "s3cr3t-of-ours"
BATCH = f"""
echo started >> /tmp/starts; echo "logging in with $WORD"
while {PACHCTL} next datum; do
    . /pfs/.env
    n=${{in##*/}}
    {{ cat /keys/word; echo " $WORD"; cat $in; wc -l < /tmp/starts; grep -c $WORD /pfs/.env; }} > /pfs/out/$n
done
"""


def test_code_that_asks_for_its_datums_has_its_secrets_with_each(runner: Runner, site: Site) -> None:
    secret = {"kind": "Secret", "metadata": {"name": "key"}, "stringData": {"word": HIDDEN}}
    site.pachctl("create", "secret", "-f", "-", stdin=json.dumps(secret).encode())
    site.pachctl("create", "repo", "asked")
    site.put("asked", **{f"f{number}": f"{number}\n" for number in range(5)})
    mounts = [{"name": "key", "mount_path": "/keys"}, {"name": "key", "env_var": "WORD", "key": "word"}]
    code = {"image": runner.image, "cmd": ["sh", "-c", BATCH], "datum_batching": True, "secrets": mounts}
    site.create("asks", code, **reads("asked"), **runner.told)
    assert site.counts("asks") == ("success", 5, 0), site.job("asks")
    found = site.tree("asks")
    assert found == {f"/f{number}": f"{HIDDEN} {HIDDEN}\n{number}\n1\n0\n" for number in range(5)}
    told = site.pachctl("logs", "--pipeline", "asks")
    assert "logging in with ***" in told
    assert HIDDEN not in told
    site.put("asked", f5="5\n")
    assert site.counts("asks") == ("success", 1, 5)
    site.pachctl("delete", "pipeline", "asks")
    assert HIDDEN not in site.server.log.read_text(errors="replace")


@pytest.mark.parametrize("runner", CONTAINERS, indirect=True)
def test_a_datum_that_was_asked_for_is_replayed(runner: Runner, site: Site) -> None:
    site.pachctl("create", "repo", "more")
    site.put("more", a="a\n", b="b\n")
    code = f"while {PACHCTL} next datum; do . /pfs/.env; tr a-z A-Z < $in > /pfs/out/${{in##*/}}; done"
    step = {"image": runner.image, "cmd": ["sh"], "stdin": [code], "datum_batching": True}
    site.create("upper", step, **reads("more"), **runner.told)
    assert site.counts("upper") == ("success", 2, 0), site.job("upper")
    for one in documents(site.pachctl("list", "datum", "upper", "--raw")):
        said = site.pachctl("replay", "upper", one["datum"]["id"])
        assert "the output is the recorded one" in said
