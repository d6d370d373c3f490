"""Code in pods of a Kubernetes cluster, beside the same code as processes, and beside a pod that nobody manages."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import engines
from measure import Bench, Line, Row
from rows.datums import files, must_process, with_files
from trunkline.fleet.kubernetes.access import find_access
from trunkline.fleet.kubernetes.api import KINDS, PODS, HttpCluster
from trunkline.fleet.kubernetes.names import OWNER
from trunkline.testing.serving import PachdProcess

IMAGE = "localhost/tools:1"
WORKER_IMAGE = "localhost/trunkline:test"
WORKERS = 2
PATIENCE_S = 120
IN_PODS, STORED, ON_DISK = "in pods", "as processes, bytes on the same S3 server", "as processes, bytes on the disk"
SHARES: dict[str, Any] = {"resource_requests": {"cpu": 0.4}, "sidecar_resource_requests": {"cpu": 0.4}}
"""Two such pods fit a node of two processors; one that asks for nothing gets what all others leave."""


@contextmanager
def cluster_or_absent(bench: Bench, figure: str) -> Iterator[bool]:
    """Whether there is a cluster, for as long as this lasts; without any, `figure` says what is missing."""
    with ExitStack() as stack:
        try:
            stack.enter_context(engines.cluster())
        except engines.Missing as error:
            bench.absent[figure] = str(error)
            yield False
            return
        yield True


@contextmanager
def server_of_pods(bench: Bench) -> Iterator[PachdProcess]:
    """A fresh server whose workers are pods; bytes lie on an S3 server that they reach too. Nothing is left behind."""
    host = os.environ["TRUNKLINE_PODS_HOST"]
    with engines.object_store(bench.scratch("weed"), host):
        flags = ("--insecure", "--fleet", "kubernetes", "--worker-image", WORKER_IMAGE, "--listen", f"{host}:0")
        flags += ("--kubeconfig", os.environ["KUBECONFIG"], "--storage", "s3://pods/bench")
        with bench.server(*flags) as server:
            yield server
            server.pachctl("delete", "pipeline", "--all", "--force")
            cluster = HttpCluster(find_access({}, os.environ["KUBECONFIG"]))
            must(lambda: not any(cluster.list(kind, OWNER).items for kind in KINDS), "what was deleted to go")


def thousand_in_pods(bench: Bench) -> None:
    """Run `cp` once for each of 1,000 files, in pods and as processes, their workers warm.

    Pods have their bytes on an S3 server, and so have the processes that they are held against; others have the disk.
    """
    with cluster_or_absent(bench, IN_PODS) as found:
        if not found:
            return
        count = bench.sized(1000)
        work = files(bench, count)
        flags = ("--workers", f"{WORKERS}", "--containers", "off")
        with server_of_pods(bench) as pods, ExitStack() as stack:
            stored = PachdProcess(bench.scratch("stored"), (*flags, "--storage", "s3://processes/bench"))
            servers = {IN_PODS: pods, STORED: stored, ON_DISK: PachdProcess(bench.scratch("plain"), flags)}
            for server in (stored, servers[ON_DISK]):
                stack.enter_context(server)
            for run in range(-1, bench.runs):
                for path in (work / "in").iterdir():
                    path.write_text(f"{run} {path.name}")
                for kind, server in servers.items():
                    run_all(bench, server, kind, work / "in", run)
                    must_process(server, "copy", count)
        shutil.rmtree(work)


def run_all(bench: Bench, server: PachdProcess, kind: str, folder: Path, run: int) -> None:
    """Every datum of a pipeline whose workers stay from one run to the next; the first one, -1, warms them."""
    if run < 0:
        with_files(server, "in", spec_of("copy", "in"), folder)
        server.pachctl("finish", "commit", "in@master")
        server.pachctl("wait", "commit", "copy@master")
        return
    server.pachctl("start", "commit", "in@master")
    server.pachctl("put", "file", "-r", "in@master:/", "-f", str(folder))
    with bench.timed(kind):
        server.pachctl("finish", "commit", "in@master")
        server.pachctl("wait", "commit", "copy@master")


def first_pod(bench: Bench) -> None:
    """From `create pipeline` to the output of its first datum, beside a pod of the same image that runs `cp` once."""
    with cluster_or_absent(bench, "create pipeline to output") as found:
        if found:
            first_in_pods(bench)


def first_in_pods(bench: Bench) -> None:
    """As `first_pod`, in the cluster that there is."""
    cluster = HttpCluster(find_access({}, os.environ["KUBECONFIG"]))
    work = files(bench, 1)
    for run in range(bench.runs):
        with server_of_pods(bench) as server:
            server.pachctl("create", "repo", "in")
            server.pachctl("put", "file", "-r", "in@master:/", "-f", str(work / "in"))
            text = json.dumps(spec_of("first", "in")).encode()
            with bench.timed("create pipeline to output"):
                server.pachctl("create", "pipeline", "-f", "-", stdin=text)
                server.pachctl("wait", "commit", "first@master")
            must_process(server, "first", 1)
        with bench.timed("a bare pod, to its end"):
            bare_pod(cluster, f"trunkline-bench-{os.getpid()}-{run}")
    shutil.rmtree(work)


def bare_pod(cluster: HttpCluster, name: str) -> None:
    """What `kubectl run --restart=Never` makes, until it has succeeded; it is deleted then."""
    container: dict[str, Any] = {"name": "one", "image": IMAGE, "imagePullPolicy": "IfNotPresent"}
    container |= {"command": ["cp", "/usr/bin/cp", "/copy"]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    made = cluster.create(PODS, {"metadata": {"name": name, "labels": {"bench": name}}, "spec": spec})
    try:
        must(lambda: phase(cluster, name) in ("Succeeded", "Failed"), f"pod {name} to end")
        if phase(cluster, name) != "Succeeded":
            raise RuntimeError(f"pod {name} failed")
    finally:
        cluster.delete(PODS, name, made["metadata"]["uid"])


def phase(cluster: HttpCluster, name: str) -> str:
    """How far a pod has come."""
    (pod,) = cluster.list(PODS, f"bench={name}").items
    return str(pod.get("status", {}).get("phase"))


def must(true: Any, what: str) -> None:
    """Wait for something. Raises RuntimeError."""
    end = time.perf_counter() + PATIENCE_S
    while not true():
        if time.perf_counter() > end:
            raise RuntimeError(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.05)


def spec_of(name: str, repo: str) -> dict[str, Any]:
    """A pipeline that copies each file."""
    return {
        "pipeline": {"name": name},
        "transform": {"image": IMAGE, "cmd": ["cp", "-rL", f"/pfs/{repo}/.", "/pfs/out/"]},
        "input": {"pfs": {"repo": repo, "glob": "/*"}},
        "parallelism_spec": {"constant": WORKERS},
        **SHARES,
    }


ROWS = (
    Row(
        "pods",
        "pps",
        thousand_in_pods,
        (Line("1,000 datums of cp in pods, warm", IN_PODS, (STORED, ON_DISK), factor=1.3),),
        runs=3,
    ),
    Row(
        "first-pod",
        "pps",
        first_pod,
        (
            Line(
                "from create pipeline to the first datum's output",
                "create pipeline to output",
                ("a bare pod, to its end",),
            ),
        ),
        runs=3,
    ),
)
