"""Pipelines in pods of a real cluster, as a user has them: same spec and same bytes as with processes."""

from __future__ import annotations

from pathlib import Path

import pods
import pytest
from pods import FREE, TOOLS, pods_of, until
from whole import Site

from trunkline.fleet.kubernetes.api import PODS, HttpCluster
from trunkline.fleet.kubernetes.troubles import ready
from trunkline.testing.serving import PachdProcess, documents

cluster, site = pods.cluster, pods.site
pytestmark = [pytest.mark.engines, pytest.mark.kubernetes, pytest.mark.timeout(600)]
UPPER = "for f in $(ls /pfs/in); do tr a-z A-Z < /pfs/in/$f > /pfs/out/$f; done"


def reason(site: Site, name: str, words: str) -> None:
    def said() -> bool:
        found = next(documents(site.pachctl("inspect", "pipeline", name, "--raw")))
        return found["state"] == "PIPELINE_CRASHING" and words in found.get("reason", "")

    until(said)


def test_a_pipeline_runs_in_pods_and_makes_the_same_bytes_as_a_process(site: Site, tmp_path: Path) -> None:
    both = {"input": {"pfs": {"repo": "both-in", "name": "in", "glob": "/*"}}}
    transform = {"image": TOOLS, "cmd": ["sh"], "stdin": [UPPER]}
    hashes = []
    with PachdProcess(tmp_path, ("--workers", "1", "--containers", "off")) as other:
        for one in (site, Site(other)):
            one.pachctl("create", "repo", "both-in")
            one.put("both-in", a="aa", b="bb")
            one.create("boxed", transform, **both, **FREE)
            assert one.counts("boxed") == ("success", 2, 0)
            assert one.tree("boxed") == {"/a": "AA", "/b": "BB"}
            hashes.append(next(documents(one.pachctl("inspect", "file", "boxed@master:/", "--raw")))["hash"])
    assert hashes[0] == hashes[1]
    site.put("both-in", c="cc")
    assert site.counts("boxed") == ("success", 1, 2)
    at = f"boxed@{site.job('boxed')['job']['id']}"
    images = {one["image_id"] for one in documents(site.pachctl("list", "datum", at, "--raw"))}
    assert len(images) == 1
    assert len(images.pop()) == 64


def test_code_has_what_the_image_says_and_what_the_spec_says(site: Site) -> None:
    site.pachctl("create", "repo", "env-in")
    site.put("env-in", a="x")
    script = "echo $COLOUR $SIZE $PWD $in; id -u; mkdir /pfs/out/d; echo x > /pfs/out/d/x; chmod -R go-rwx /pfs/out/d"
    told = {"image": TOOLS, "cmd": ["sh", "-c", f"{{ {script}; }} > /pfs/out/told"], "env": {"SIZE": "xl"}}
    site.create("env", told, **FREE)
    assert site.counts("env") == ("success", 1, 0)
    assert site.tree("env") == {"/told": "red xl /usr /pfs/in/a\n0\n", "/d/x": "x\n"}
    for user, who in (("daemon", "1:1"), ("1", "1:1"), ("1234", "1234:0"), ("1234:7", "1234:7")):
        other = {"image": TOOLS, "cmd": ["sh", "-c", "echo $(id -u):$(id -g) > /pfs/out/told; pwd >> /pfs/out/told"]}
        site.create("env", {**other, "user": user, "working_dir": "/tmp"}, "--reprocess", verb="update", **FREE)
        assert site.counts("env") == ("success", 1, 0)
        assert site.tree("env") == {"/told": f"{who}\n/tmp\n"}


def test_an_image_that_nobody_has_is_said(site: Site) -> None:
    site.pachctl("create", "repo", "gone-in")
    site.put("gone-in", a="x")
    site.create("gone", {"image": "localhost:1/nothing/here:2", "cmd": ["true"]}, **FREE)
    reason(site, "gone", "cannot be pulled")
    site.create("gone", {"image": TOOLS, "cmd": ["sh"], "stdin": [UPPER]}, verb="update", **FREE)
    assert site.counts("gone") == ("success", 1, 0)


def test_a_pod_that_is_deleted_costs_only_what_it_was_doing(site: Site, cluster: HttpCluster) -> None:
    site.pachctl("create", "repo", "lost-in")
    site.put("lost-in", **{f"f{number:02}": "x" for number in range(12)})
    slow = "sleep 1; cp /pfs/in/* /pfs/out/"
    site.create("lost", {"image": TOOLS, "cmd": ["sh", "-c", slow]}, **FREE, parallelism_spec={"constant": 2})

    until(lambda: sum(map(ready, pods_of(cluster, "lost"))) == 2)
    victim = pods_of(cluster, "lost")[0]["metadata"]
    cluster.delete(PODS, victim["name"], victim["uid"])
    assert site.counts("lost") == ("success", 12, 0)
    assert len(site.tree("lost")) == 12
    assert victim["name"] in site.pachctl("kube-events")


def test_pods_follow_the_work_down_to_none(site: Site, cluster: HttpCluster) -> None:
    site.pachctl("create", "repo", "idle-in")
    slow = {"image": TOOLS, "cmd": ["sh"], "stdin": ["sleep 2", UPPER]}
    site.create("idle", slow, **FREE, autoscaling=True, parallelism_spec={"constant": 2})
    until(lambda: cluster.list(PODS, "pipelineName=idle").items == [])
    site.put("idle-in", **{f"f{number}": "x" for number in range(8)})
    until(lambda: len(pods_of(cluster, "idle")) == 2)
    assert site.counts("idle") == ("success", 8, 0)
    until(lambda: cluster.list(PODS, "pipelineName=idle").items == [])


def test_secrets_reach_the_code_and_the_servers_own_do_not(site: Site) -> None:
    site.pachctl(
        "create", "secret", "-f", "-", stdin=b'{"kind":"Secret","metadata":{"name":"s"},"stringData":{"k":"v"}}'
    )
    site.pachctl("create", "repo", "kept-in")
    site.put("kept-in", a="x")
    mounts = [{"name": "s", "mount_path": "/keys"}, {"name": "s", "env_var": "K", "key": "k"}]
    script = "{ cat /keys/k; echo $K; env | grep -c -e TOKEN -e AWS; } > /pfs/out/told; exit 0"
    site.create("kept", {"image": TOOLS, "cmd": ["sh", "-c", script], "secrets": mounts}, **FREE)
    assert site.counts("kept") == ("success", 1, 0)
    assert site.tree("kept")["/told"].splitlines()[:2] == ["vv", "0"]


def test_a_spec_that_asks_for_the_node_is_refused(site: Site) -> None:
    site.pachctl("create", "repo", "bad-in")
    spec = b'{"pipeline":{"name":"bad"},"transform":{"cmd":["x"]},"input":{"pfs":{"repo":"bad-in","glob":"/"}},'
    told = site.refused("create", "pipeline", "-f", "-", stdin=spec + b'"pod_spec":"{\\"hostNetwork\\":true}"}')
    assert "sets hostNetwork, which this server does not allow" in told
