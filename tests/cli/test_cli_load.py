"""`pachctl run pfs-load-test` and `pps-load-test`."""

from __future__ import annotations

from trunkline.wire.gen import debug_v2_pb2 as debug
from trunkline.wire.gen import pfs_v2_pb2 as pfs
from trunkline.wire.gen import pps_v2_pb2 as pps


def test_files(pachctl, server, context, tmp_path):
    (tmp_path / "spec").write_text("commits: 1\n")
    server.script["debug.RunPFSLoadTest"] = debug.RunPFSLoadTestResponse(spec="commits: 1\n", seed=3, state_id="a")
    done = pachctl("run", "pfs-load-test", tmp_path / "spec", "-b", "r@b", "-s", "3", "--state-id", "a")
    assert done.out == "spec:\n  commits: 1\nseed: '3'\nstate_id: a\n"
    asked = server.only("debug.RunPFSLoadTest").request
    branch = pfs.Branch(name="b", repo=asked.branch.repo)
    assert asked == debug.RunPFSLoadTestRequest(spec="commits: 1\n", seed=3, state_id="a", branch=branch)
    server.script["debug.RunPFSLoadTest"] = debug.RunPFSLoadTestResponse(error="/a is missing")
    wrong = pachctl("run", "pfs-load-test")
    assert (wrong.status, "found something wrong: /a is missing" in wrong.err) == (1, True)


def test_pipelines(pachctl, server, context, tmp_path):
    (tmp_path / "dag").write_text("pipelines: []")
    server.script["pps.RunLoadTest"] = pps.RunLoadTestResponse(state_id="a")
    assert pachctl("run", "pps-load-test", "-d", tmp_path / "dag", "-p", "2").out == "state_id: a\n"
    assert server.only("pps.RunLoadTest").request == pps.RunLoadTestRequest(dag_spec="pipelines: []", parallelism=2)
    assert "cannot read" in pachctl("run", "pps-load-test", tmp_path / "none").err
