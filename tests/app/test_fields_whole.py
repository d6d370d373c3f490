"""Fields of a spec that no other test shows at work, on a real server with real workers."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole import Site

from trunkline.testing.serving import PachdProcess, documents

pytestmark = pytest.mark.timeout(180)
COPY = {"cmd": ["sh"], "stdin": ["cp -rL $(ls -d /pfs/*/* | grep -v ^/pfs/out) /pfs/out"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with PachdProcess(tmp_path_factory.mktemp("pachd"), ("--workers", "1")) as server:
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
    service = {"internalPort": 8080, "type": "ClusterIP", "ip": "10.0.0.1"}
    whole = {"pfs": {"repo": "plain", "glob": "/"}}
    spec = {"pipeline": {"name": "served"}, "transform": COPY, "service": service, "input": whole}
    assert "10.0.0.1" in site.pachctl("create", "pipeline", "--dry-run", stdin=json.dumps(spec).encode())


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
    assert "not used" not in site.pachctl("inspect", "pipeline", "memory")
