"""Fields of a spec that no other test shows at work, on a real server with real workers."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole import Site

from trunkline.testing.engines.ports import free_port
from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(180)
COPY = {"cmd": ["sh"], "stdin": ["cp -rL $(ls -d /pfs/*/* | grep -v ^/pfs/out) /pfs/out"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("pachd"), ("--workers", "1", "--gpus", "0")) as server:
        yield Site(server)


def jobs(site: Site, pipeline: str) -> int:
    return len(list(documents(site.pachctl("list", "job", "-p", pipeline, "--raw"))))


def test_an_input_may_read_another_branch(site: Site) -> None:
    site.pachctl("create", "repo", "branched")
    site.put("branched", on="master")
    site.pachctl("put", "file", "branched@dev:/on", stdin=b"dev")
    site.create("dev", COPY, input={"pfs": {"repo": "branched", "branch": "dev", "glob": "/*"}})
    assert site.counts("dev") == ("success", 1, 0)
    assert site.tree("dev") == {"/on": "dev"}
    site.put("branched", on="master again")
    assert jobs(site, "dev") == 1


def test_an_input_that_starts_no_job_is_seen_by_the_next(site: Site) -> None:
    for repo in ("loud", "quiet"):
        site.pachctl("create", "repo", repo)
        site.put(repo, **{repo: "1"})
    quiet = {"pfs": {"repo": "quiet", "glob": "/", "propagation_spec": {"never": True}}}
    site.create("heard", COPY, input={"cross": [{"pfs": {"repo": "loud", "glob": "/"}}, quiet]})
    assert site.counts("heard") == ("success", 1, 0)
    site.put("quiet", quiet="2")
    assert jobs(site, "heard") == 1
    site.put("loud", loud="2")
    assert site.counts("heard") == ("success", 1, 0)
    assert jobs(site, "heard") == 2
    assert site.tree("heard") == {"/loud": "2", "/quiet": "2"}


def test_what_has_no_effect_here_is_kept_and_shown(site: Site) -> None:
    """Fields for people, for other tools and for other servers; and bounds that this job does not come near."""
    site.pachctl("create", "repo", "plain")
    site.put("plain", a="1")
    more: dict[str, Any] = {
        "description": "copies",
        "datum_set_spec": {"number": "2", "size_bytes": "4096"},
        "resource_limits": {
            "cpu": 1.0,
            "memory": "1Gi",
            "disk": "1Gi",
            "gpu": {"type": "nvidia.com/gpu", "number": "1"},
        },
    }
    transform = COPY | {"debug": True, "dockerfile": "docker/copies"}
    site.create("kept", transform, input={"pfs": {"repo": "plain", "glob": "/*", "reference": True}}, **more)
    assert site.counts("kept") == ("success", 1, 0)
    (info,) = documents(site.pachctl("inspect", "pipeline", "kept", "--raw"))
    shown = {name: info["details"][name] for name in more}
    assert shown == more
    assert {name: info["details"]["transform"][name] for name in ("debug", "dockerfile")} == {
        "debug": True,
        "dockerfile": "docker/copies",
    }
    assert json.loads(info["user_spec_json"])["input"]["pfs"]["reference"] is True
    assert "copies" in site.pachctl("list", "pipeline")


def test_rows_reach_a_database_as_the_spec_says(site: Site, tmp_path: Path) -> None:
    place = tmp_path / "rows.db"
    with sqlite3.connect(place) as database:
        database.execute("create table days (note text, total integer)")
    site.pachctl("create", "repo", "rows")
    secret = {"kind": "Secret", "apiVersion": "v1", "type": "Opaque", "metadata": {"name": "db"}}
    data = {"password": base64.b64encode(b"hidden").decode()}
    site.pachctl("create", "secret", "-f", "-", stdin=json.dumps(secret | {"data": data}).encode())
    wanted = {
        "url": f"sqlite:///{place}",
        "file_format": {"type": "CSV", "columns": ["total", "note"]},
        "secret": {"name": "db", "key": "password"},
    }
    code = {"cmd": ["sh"], "stdin": ["mkdir /pfs/out/days; cp /pfs/rows/* /pfs/out/days"]}
    rows = {"pfs": {"repo": "rows", "glob": "/*"}}
    site.create("tables", code, input=rows, egress={"sql_database": wanted})
    site.put("rows", a="total,note\n1,x\n", b="note,total\ny,2\n")
    assert site.counts("tables") == ("success", 2, 0)
    assert sorted(database.execute("select note, total from days")) == [("x", 1), ("y", 2)]
    database.close()
    unknown = wanted | {"secret": {"name": "db", "key": "nothing"}}
    body = {"pipeline": {"name": "no"}, "transform": COPY, "input": rows, "egress": {"sql_database": unknown}}
    assert "nothing" in site.refused("create", "pipeline", stdin=json.dumps(body).encode())


def test_what_code_writes_lies_in_memory_where_the_spec_says_so(site: Site) -> None:
    site.pachctl("create", "repo", "light")
    site.put("light", a="1")
    code = {"cmd": ["sh"], "stdin": ["stat -f -c %T /pfs/out > /pfs/out/kind"]}
    whole = {"pfs": {"repo": "light", "glob": "/"}}
    for name, where in (("memory", {"memory_volume": True}), ("disk", {})):
        site.create(name, code | where, input=whole, resource_limits={"memory": "64Mi"})
        assert site.counts(name) == ("success", 1, 0)
    assert site.tree("memory")["/kind"].strip() == "tmpfs"
    assert "not used" not in site.notes("inspect", "pipeline", "memory")


def sent(site: Site, command: str, spec: dict[str, Any]) -> str:
    """What `pachctl create pipeline` and its like print about a document."""
    return site.pachctl(*command.split(), "pipeline", "-f", "-", stdin=json.dumps(spec).encode())


def of_input(name: str, repo: str, **more: Any) -> dict[str, Any]:
    return {"pipeline": {"name": name}, "transform": COPY, "input": {"pfs": {"repo": repo, "glob": "/*"}}, **more}


def test_the_same_salt_runs_nothing_again_and_another_one_everything(site: Site) -> None:
    site.pachctl("create", "repo", "salted-in")
    site.put("salted-in", a="1", b="2")
    sent(site, "create", of_input("salted", "salted-in", salt="sea"))
    assert site.counts("salted") == ("success", 2, 0)
    for salt, counts in (("sea", (0, 2)), ("rock", (2, 0)), ("rock", (0, 2)), ("sea", (2, 0))):
        sent(site, "update", of_input("salted", "salted-in", salt=salt))
        assert site.counts("salted") == ("success", *counts), salt
    (info,) = documents(site.pachctl("inspect", "pipeline", "salted", "--raw"))
    assert info["details"]["salt"] == "sea"
    sent(site, "update", of_input("salted", "salted-in"))
    assert site.counts("salted") == ("success", 0, 2), "an update keeps the salt"


def test_a_document_that_says_update_replaces_a_pipeline_and_one_that_says_reprocess_runs_all_again(
    site: Site,
) -> None:
    site.pachctl("create", "repo", "replaced-in")
    site.put("replaced-in", a="1")
    spec = of_input("replaced", "replaced-in")
    sent(site, "create", spec | {"update": True})
    assert site.counts("replaced") == ("success", 1, 0), "what is not there is made"
    assert "already exists" in site.refused("create", "pipeline", "-f", "-", stdin=json.dumps(spec).encode())
    shown = sent(site, "create", spec | {"update": True, "dry_run": True, "description": "only looked at"})
    assert "only looked at" in shown
    three = [of_input(name, "replaced-in", dry_run=name == "dry") for name in ("one", "dry", "two")]
    shown = site.pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(three).encode())
    assert '"dry"' in shown
    listed = site.pachctl("list", "pipeline").split()
    assert {"one", "two"} <= {*listed}
    assert not {"dry", "only"} & {*listed}, "a dry run changes nothing, also beside others"
    sent(site, "create", spec | {"update": True, "description": "newer"})
    assert site.counts("replaced") == ("success", 0, 1)
    sent(site, "create", spec | {"update": True, "reprocess": True})
    assert site.counts("replaced") == ("success", 1, 0)
    sent(site, "update", spec)
    assert site.counts("replaced") == ("success", 0, 1), "reprocess was about one call and is not kept"
    (info,) = documents(site.pachctl("inspect", "pipeline", "replaced", "--raw"))
    assert int(info["version"]) == 4


def test_ticks_lie_in_the_project_that_the_cron_input_names(site: Site) -> None:
    site.pachctl("create", "project", "clocks")
    ticks = {"cron": {"name": "tick", "spec": "@yearly", "project": "clocks"}}
    site.create("ticking", {"cmd": ["sh"], "stdin": ["ls /pfs/tick > /pfs/out/ticks"]}, input=ticks)
    site.pachctl("run", "cron", "ticking")
    (tick,) = documents(site.pachctl("list", "file", "ticking_tick@master", "--project", "clocks", "--raw"))
    assert site.counts("ticking") == ("success", 1, 0)
    assert site.tree("ticking") == {"/ticks": tick["file"]["path"].removeprefix("/") + "\n"}
    assert "ticking_tick" not in site.pachctl("list", "repo")
    assert "ticking_tick" in site.pachctl("list", "repo", "--project", "clocks")
    site.pachctl("delete", "pipeline", "ticking")
    assert "ticking_tick" not in site.pachctl("list", "repo", "--project", "clocks")


def test_an_input_with_all_waits_for_each_condition_of_its_trigger(site: Site) -> None:
    site.pachctl("create", "repo", "slow")
    for name, every in (("any", False), ("each", True)):
        trigger = {"size": "1KB", "commits": 2, "all": every}
        site.create(name, COPY, input={"pfs": {"repo": "slow", "glob": "/*", "trigger": trigger}})
    site.put("slow", big="x" * 2000)
    assert (jobs(site, "any"), jobs(site, "each")) == (2, 1)
    site.put("slow", small="y")
    assert (jobs(site, "any"), jobs(site, "each")) == (2, 2)
    assert site.counts("each") == ("success", 2, 0)
    assert "Size(1KB) and Commits(2)" in site.pachctl("inspect", "branch", "slow@each-trigger-1")


def test_an_input_runs_not_more_often_than_its_rate_limit_spec(site: Site) -> None:
    site.pachctl("create", "repo", "often")
    for name, limit in (("soon", "@every 1s"), ("late", "@yearly")):
        trigger = {"rate_limit_spec": limit}
        site.create(name, COPY, input={"pfs": {"repo": "often", "glob": "/*", "trigger": trigger}})
    for number in range(100):  # each takes a while, so that a second is over soon
        site.put("often", a=str(number))
        if jobs(site, "soon") > 1:
            break
    assert (jobs(site, "soon"), jobs(site, "late")) == (2, 1)
    assert site.tree("soon") == {"/a": str(number)}
    assert "Rate Limit(@yearly)" in site.pachctl("inspect", "branch", "often@late-trigger-1")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize(
    ("user", "ids"),
    [("daemon:nogroup", "1:65534"), ("1:sys", "1:3"), ("12345", "12345:12345"), ("12345:54", "12345:54")],
)
def test_code_runs_as_the_user_and_the_group_that_the_spec_names(site: Site, user: str, ids: str) -> None:
    name = f"user-{ids.replace(':', '-')}"
    repo = f"{name}-in"
    site.pachctl("create", "repo", repo)
    site.put(repo, a="1")
    code = {"cmd": ["sh"], "stdin": ["umask 077; echo $(id -u):$(id -g) > /pfs/out/who; cp /pfs/in/a /pfs/out"]}
    site.create(name, code | {"user": user})
    assert site.counts(name) == ("success", 1, 0)
    assert site.tree(name) == {"/a": "1", "/who": f"{ids}\n"}


def test_a_user_that_is_not_there_is_the_reason(site: Site) -> None:
    site.pachctl("create", "repo", "nobody-in")
    site.put("nobody-in", a="1")
    site.create("nobody", COPY | {"user": "daemon:nosuchgroup"}, datum_tries=1)
    job = site.job("nobody")
    assert job["state"] == "JOB_FAILURE"
    assert 'no group "nosuchgroup"' in job["reason"]


def test_the_address_and_the_kind_of_a_service_are_kept_and_said_to_be_for_kubernetes(site: Site) -> None:
    site.pachctl("create", "repo", "served-in")
    site.put("served-in", a="1")
    whole = {"pfs": {"repo": "served-in", "glob": "/"}}
    idle = {"cmd": ["sleep", "1000"]}
    for name, given, kind, said in (
        ("plain-port", {}, "NodePort", ()),
        ("own-address", {"ip": "10.0.0.7", "type": "ClusterIP"}, "ClusterIP", ("service.ip",)),
        ("balanced", {"ip": "10.0.0.8", "type": "LoadBalancer"}, "LoadBalancer", ("service.ip", "service.type")),
    ):
        site.create(name, idle, input=whole, service={"internal_port": free_port(), **given})
        (info,) = documents(site.pachctl("inspect", "pipeline", name, "--raw"))
        shown = info["details"]["service"]
        assert (shown["type"], shown.get("ip")) == (kind, given.get("ip"))
        told = site.notes("inspect", "pipeline", name)
        assert [one for one in ("service.ip", "service.type") if one in told] == list(said)
        site.pachctl("delete", "pipeline", name)
    wrong = {"pipeline": {"name": "no"}, "transform": idle, "input": whole}
    wrong["service"] = {"internal_port": 8080, "type": "Balanced"}
    told = site.refused("create", "pipeline", "-f", "-", stdin=json.dumps(wrong).encode())
    assert "service.type" in told
    assert "expected one of ClusterIP, NodePort, LoadBalancer" in told


def test_a_spec_commit_changes_nothing(site: Site) -> None:
    """It is what an old dump of another server says about a version; each server names its versions itself."""
    site.pachctl("create", "repo", "dumped-in")
    site.put("dumped-in", a="1")
    project = {"name": "default"}
    repo = {"name": "dumped", "type": "spec", "project": project}
    branch = {"repo": repo, "name": "master"}
    given = {"repo": repo, "branch": branch, "id": "0123456789abcdef0123456789abcdef"}
    for verb, version in (("create", 1), ("update", 2)):
        site.create("dumped", COPY, input={"pfs": {"repo": "dumped-in", "glob": "/*"}}, spec_commit=given, verb=verb)
        (info,) = documents(site.pachctl("inspect", "pipeline", "dumped", "--raw"))
        assert int(info["version"]) == version
        assert info["spec_commit"]["id"] != given["id"]
        assert "specCommit" not in info["effective_spec_json"]
        site.pachctl("inspect", "commit", f"dumped.spec@{info['spec_commit']['id']}")
    assert site.counts("dumped") == ("success", 0, 1)
