"""Services and spouts on a real server: ports that answer, newer data, commits of their own, ends that are told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from test_pipelines_whole import Site

from trunkline.testing.engines.ports import free_port
from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(240)

SERVE = "ls /pfs/in > /pfs/out/seen; cd /pfs/in && exec python3 -m http.server --bind 127.0.0.1 {port}"
SPOUT = """
n=0
while true; do
    n=$((n+1))
    head -c 1000 /dev/urandom > /tmp/data; pachctl put file $PPS_PIPELINE_NAME@master:/$n-1K -f /tmp/data
    test $n -lt 3 || sleep 1000
done
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("standing"), ["--workers", "1"]) as server:
        yield Site(server)


def until(site: Site, look: Callable[[], Any]) -> Any:
    """What `look` answers once that is something."""
    for _ in range(900):
        if found := look():
            return found
        site.server.must_live()
        site.server.pause(0.1)
    raise AssertionError(f"it does not come about; the server says:\n{site.server.last_words()}")


def pipeline(site: Site, name: str) -> dict[str, Any]:
    return next(documents(site.pachctl("inspect", "pipeline", name, "--raw")))


def answer(port: int, path: str) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as page:
            return str(page.read().decode())
    except (URLError, OSError):
        return ""


def test_a_service_answers_on_its_port_and_starts_again_with_newer_data(site: Site) -> None:
    inner, outer = free_port(), free_port()
    site.pachctl("create", "repo", "web-in")
    site.put("web-in", a="one")
    code = SERVE.format(port=inner)
    service = {"internal_port": inner, "external_port": outer, "type": "ClusterIP"}
    whole = {"pfs": {"repo": "web-in", "name": "in", "glob": "/"}}
    site.create("web", {"cmd": ["sh"], "stdin": [code]}, service=service, input=whole)
    assert until(site, lambda: answer(outer, "a")) == "one"
    assert answer(inner, "a") == "one"
    shown = pipeline(site, "web")
    assert (shown["type"], shown["state"]) == ("PIPELINE_TYPE_SERVICE", "PIPELINE_RUNNING")
    assert "web.meta" not in site.pachctl("list", "repo", "--all")
    site.put("web-in", b="two")
    assert until(site, lambda: answer(outer, "b")) == "two"
    jobs = list(documents(site.pachctl("list", "job", "-p", "web", "--raw")))
    until(site, lambda: "JOB_SUCCESS" in site.pachctl("inspect", "job", f"web@{jobs[1]['job']['id']}", "--raw"))
    first = f"web@{jobs[1]['job']['id']}"
    assert site.pachctl("get", "file", f"{first}:/seen").split() == ["a"]
    told = site.refused("create", "pipeline", "-f", "-", stdin=json.dumps(another(inner)).encode())
    assert f"port {inner} belongs to pipeline" in told
    site.pachctl("stop", "pipeline", "web")
    until(site, lambda: not answer(outer, "a"))
    site.pachctl("delete", "pipeline", "web")


def another(port: int) -> dict[str, Any]:
    return {
        "pipeline": {"name": "other"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "web-in", "glob": "/"}},
        "service": {"internal_port": port, "type": "ClusterIP"},
    }


def test_a_service_whose_code_ends_says_why_and_is_started_again(site: Site) -> None:
    site.pachctl("create", "repo", "shy-in")
    site.put("shy-in", a="1")
    service = {"internal_port": free_port(), "type": "ClusterIP"}
    site.create("shy", {"cmd": ["sh"], "stdin": ["echo cannot open the thing >&2; exit 3"]}, service=service)
    shown = until(site, lambda: (one := pipeline(site, "shy"))["state"] == "PIPELINE_CRASHING" and one)
    assert "exit 3; last lines: cannot open the thing" in shown["reason"]
    site.pachctl("delete", "pipeline", "shy")


@pytest.mark.parametrize("gone", ["branch", "repo"])
def test_a_service_that_has_failed_ends_at_once(site: Site, gone: str) -> None:
    """What it reads was deleted, and nothing happens to the pipeline itself."""
    name, port = f"lost-{gone}", free_port()
    site.pachctl("create", "repo", f"{name}-in")
    site.put(f"{name}-in", a="one")
    service = {"internal_port": port, "type": "ClusterIP"}
    whole = {"pfs": {"repo": f"{name}-in", "name": "in", "glob": "/"}}
    site.create(name, {"cmd": ["sh"], "stdin": [SERVE.format(port=port)]}, service=service, input=whole)
    assert until(site, lambda: answer(port, "a")) == "one"
    what = {"branch": ("branch", f"{name}-in@master"), "repo": ("repo", f"{name}-in")}[gone]
    site.pachctl("delete", *what, "--force")
    assert pipeline(site, name)["state"] == "PIPELINE_FAILURE"
    until(site, lambda: not answer(port, "a"))
    site.pachctl("delete", "pipeline", name)


def test_a_spout_makes_commits_that_pipelines_behind_it_process(site: Site) -> None:
    """In shape as the example spout101: a spout, a processor of its files, a reducer of all."""
    body = {"pipeline": {"name": "spout"}, "transform": {"cmd": ["sh"], "stdin": [SPOUT]}, "spout": {}}
    site.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    assert pipeline(site, "spout")["type"] == "PIPELINE_TYPE_SPOUT"
    each = {"pfs": {"repo": "spout", "name": "in", "glob": "/*"}}
    size = 'for f in /pfs/in/*; do wc -c < "$f" > "/pfs/out/$(basename "$f")"; done'
    site.create("processor", {"cmd": ["sh"], "stdin": [size]}, input=each)
    summing = "cat /pfs/in/* | awk '{ s += $1 } END { print s }' > /pfs/out/sum"
    all_ = {"pfs": {"repo": "processor", "name": "in", "glob": "/"}}
    site.create("reducer", {"cmd": ["sh"], "stdin": [summing]}, input=all_)

    def summed() -> str:
        try:
            return site.server.pachctl("get", "file", "reducer@master:/sum").strip()
        except subprocess.CalledProcessError:  # not yet
            return ""

    until(site, lambda: summed() == "3000")
    assert not list(documents(site.pachctl("list", "job", "-p", "spout", "--raw")))
    assert pipeline(site, "spout")["state"] == "PIPELINE_RUNNING"
    site.pachctl("stop", "pipeline", "spout")
    assert pipeline(site, "spout")["state"] == "PIPELINE_PAUSED"
    site.pachctl("start", "pipeline", "spout")
    until(site, lambda: len(list(documents(site.pachctl("list", "commit", "spout@master", "--raw")))) > 4)
    changed = another(free_port()) | {"pipeline": {"name": "spout"}}
    refused = site.refused("update", "pipeline", "-f", "-", stdin=json.dumps(changed).encode())
    assert "is a spout and cannot become a service" in refused
    for name in ("reducer", "processor", "spout"):
        site.pachctl("delete", "pipeline", name)


def test_a_spout_may_serve_a_port(site: Site) -> None:
    inner, outer = free_port(), free_port()
    code = f"mkdir -p /tmp/page; echo hello > /tmp/page/a; cd /tmp/page; {SERVE.partition('&& ')[2].format(port=inner)}"
    service = {"internal_port": inner, "external_port": outer, "type": "ClusterIP"}
    body = {"pipeline": {"name": "hook"}, "transform": {"cmd": ["sh"], "stdin": [code]}, "spout": {"service": service}}
    site.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    assert until(site, lambda: answer(outer, "a")) == "hello\n"
    assert pipeline(site, "hook")["type"] == "PIPELINE_TYPE_SPOUT"
    site.pachctl("delete", "pipeline", "hook")
    until(site, lambda: not answer(outer, "a"))


def test_a_commit_that_a_spout_left_open_is_closed_with_an_error(site: Site) -> None:
    code = "pachctl start commit leaves@master; echo out of luck; exit 1"
    body = {"pipeline": {"name": "leaves"}, "transform": {"cmd": ["sh"], "stdin": [code]}, "spout": {}}
    site.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(body).encode())
    shown = until(site, lambda: (one := pipeline(site, "leaves"))["state"] == "PIPELINE_CRASHING" and one)
    assert "out of luck" in shown["reason"]

    def errors() -> list[str]:
        commits = documents(site.pachctl("list", "commit", "leaves@master", "--raw"))
        return [one["error"] for one in commits if one.get("error")]

    assert "the code ended before it finished this commit: exit 1" in until(site, errors)[0]
    assert "out of luck" in until(site, lambda: site.pachctl("logs", "--pipeline", "leaves"))
    site.pachctl("delete", "pipeline", "leaves")
