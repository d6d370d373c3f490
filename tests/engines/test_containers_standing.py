"""Services, spouts, buckets and volumes in memory, in containers."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from dockers import make_python_image, remove_image

from trunkline.testing.serving import PachdProcess, documents

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
from whole import Site

pytestmark = [pytest.mark.engines, pytest.mark.containers, pytest.mark.timeout(300)]
NAME = f"localhost/trunkline-standing:{os.getpid()}"
CLIENT = ("trunkline", "grpc", "google", "click", "yaml", "_yaml", "blake3", "rich", "typing_extensions.py")
"""What `pip install trunkline` brings, as far as `pachctl put file` uses it."""
PUT = "python3 -c 'from trunkline.cli import main; main()' put file $PPS_PIPELINE_NAME@master:/$n -f /tmp/data"
BUCKET = (
    "curl -sSf --aws-sigv4 aws:amz:us-east-1:s3 -H x-amz-content-sha256:UNSIGNED-PAYLOAD "
    '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" $S3_ENDPOINT'
)
INNER = 8080


@pytest.fixture(scope="module")
def site(engine_at: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    make_python_image(engine_at, NAME, CLIENT, ("curl", "df"))
    flags = ("--workers", "1", "--containers", engine_at)
    with PachdProcess(tmp_path_factory.mktemp("pachd"), flags) as server:
        yield Site(server)
    remove_image(engine_at, NAME)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(site: Site, look: Callable[[], Any]) -> Any:
    """What `look` answers once that is something."""
    for _ in range(600):
        if found := look():
            return found
        site.server.must_live()
        site.server.pause(0.1)
    raise AssertionError(f"it does not come about; the server says:\n{site.server.last_words()}")


def answer(port: int, path: str) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as page:
            return str(page.read().decode())
    except (URLError, OSError):
        return ""


def test_a_service_answers_on_a_port_of_this_machine_and_starts_again_with_newer_data(site: Site) -> None:
    ports = [free_port(), free_port()]
    whole = {"pfs": {"repo": "web-in", "name": "in", "glob": "/"}}
    site.pachctl("create", "repo", "web-in")
    site.put("web-in", a="one" * 100_000)
    code = {"image": NAME, "cmd": ["sh", "-c", f"cd /pfs/in && exec python3 -m http.server --bind 127.0.0.1 {INNER}"]}
    for name, outer in zip(("web", "twin"), ports, strict=True):  # with the same port inside
        service = {"internal_port": INNER, "external_port": outer, "type": "ClusterIP"}
        site.create(name, code, service=service, input=whole)
    for outer in ports:
        assert until(site, lambda outer=outer: answer(outer, "a")) == "one" * 100_000
    site.put("web-in", b="two")
    assert until(site, lambda: answer(ports[0], "b")) == "two"
    taken = {"pipeline": {"name": "third"}, "transform": code, "input": whole}
    taken["service"] = {"internal_port": INNER, "external_port": ports[0], "type": "ClusterIP"}
    refused = site.refused("create", "pipeline", "-f", "-", stdin=json.dumps(taken).encode())
    assert f"port {ports[0]} belongs to pipeline default/web already" in refused
    for name, outer in zip(("web", "twin"), ports, strict=True):
        site.pachctl("delete", "pipeline", name)
        until(site, lambda outer=outer: not answer(outer, "a"))


def test_a_spout_puts_files_with_a_client_of_its_image(site: Site) -> None:
    script = f"for n in 1 2; do echo $n > /tmp/data; {PUT} || exit 1; done; sleep 600"
    body = {"pipeline": {"name": "spout"}, "transform": {"image": NAME, "cmd": ["sh", "-c", script]}, "spout": {}}
    site.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    site.create("behind", {"image": NAME, "cmd": ["sh"], "stdin": ["cp /pfs/in/* /pfs/out"]}, **reads("spout"))

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


def test_code_reads_and_writes_buckets(site: Site) -> None:
    site.pachctl("create", "repo", "fruit")
    site.put("fruit", apple="red")
    script = f"{BUCKET}/in/apple > /tmp/a && {BUCKET}/out/pie -T /tmp/a && head -c 3000000 /dev/zero > /tmp/b"
    script += f" && {BUCKET}/out/big -T /tmp/b"
    site.create("bake", {"image": NAME, "cmd": ["sh", "-c", script]}, **reads("fruit", glob="/", s3=True), s3_out=True)
    assert site.counts("bake") == ("success", 1, 0)
    assert site.pachctl("get", "file", "bake@master:/pie") == "red"
    assert int(next(documents(site.pachctl("inspect", "file", "bake@master:/big", "--raw")))["size_bytes"]) == 3_000_000


def test_what_code_writes_lies_in_memory_where_the_spec_says_so(site: Site) -> None:
    site.pachctl("create", "repo", "soft")
    site.put("soft", a="1", b="2")
    script = "set -e; test $(df --output=fstype /pfs/out | tail -n 1) = tmpfs; cp /pfs/in/* /pfs/out/"
    transform = {"image": NAME, "cmd": ["sh", "-c", script], "memory_volume": True}
    site.create("light", transform, **reads("soft"))
    assert site.counts("light") == ("success", 2, 0), site.job("light")
    assert site.tree("light") == {"/a": "1", "/b": "2"}
    full = transform | {"cmd": ["sh", "-c", "head -c 40000000 /dev/zero > /pfs/out/x"]}
    limits = {"resource_limits": {"memory": "32Mi"}, "datum_tries": 1}
    site.create("light", full, "--reprocess", verb="update", **reads("soft"), **limits)
    job = site.job("light")
    assert job["state"] == "JOB_FAILURE"
    assert "/pfs lies in memory and its 32Mi are full" in job["reason"] or "memory limit 32Mi" in job["reason"]
    other = transform | {"user": "daemon"}
    site.create("light", other, "--reprocess", verb="update", **reads("soft"))
    assert site.counts("light") == ("success", 2, 0), site.job("light")
