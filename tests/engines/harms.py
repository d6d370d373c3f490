"""Harm done to pods and their node while jobs run; then every job is looked at."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pods import FREE, TOOLS, pods_of
from whole import Site

from trunkline.ambient import RealAmbient, chance
from trunkline.fleet.kubernetes.api import PODS, HttpCluster
from trunkline.testing.serving import documents

STORAGE = b"trunkline.app.pods.main"
SHIM = b"/.shim/shim"
HARMS = ("delete a pod", "kill a worker", "kill a shim", "leave in peace")
FILES = 4
BETWEEN_S = (0.2, 3.0)


def processes(pod: str, word: bytes) -> Iterator[int]:
    """Ids, as this machine numbers them, of a pod's processes with this word in their command line."""
    names = {b"PPS_POD_NAME=" + pod.encode(), b"HOSTNAME=" + pod.encode()}
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0") if folder.name.isdigit() else []
            if word in command and names & set((folder / "environ").read_bytes().split(b"\0")):
                yield int(folder.name)
        except OSError:  # it has ended
            continue


def kill(pod: str, word: bytes) -> None:
    """At once; nothing, if there is none."""
    for process in processes(pod, word):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def kubelet(node: int) -> int:
    """The kubelet's process in the node whose first process this is. Raises LookupError."""
    home = os.readlink(f"/proc/{node}/ns/pid")
    for folder in Path("/proc").iterdir():
        try:
            named = folder.name.isdigit() and (folder / "comm").read_text() == "kubelet\n"
            if named and os.readlink(folder / "ns/pid") == home:
                return int(folder.name)
        except OSError:
            continue
    raise LookupError("the node has no kubelet")


@dataclass
class Story:
    """Commits go in, their jobs run in two pods, and something is done to these at instants that `seed` picks."""

    site: Site
    cluster: HttpCluster
    seed: int
    files: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)

    def play(self, harms: Sequence[str]) -> None:
        """Once each; then every job must have ended well, with all files. Raises AssertionError."""
        draw, ambient = chance(self.seed), RealAmbient()
        self.site.pachctl("create", "repo", "harmed-in")
        code = {"image": TOOLS, "cmd": ["sh", "-c", "sleep 0.3; cp /pfs/in/* /pfs/out/"]}
        self.site.create("harmed", code, **FREE, parallelism_spec={"constant": 2})
        for turn, harm in enumerate(harms):
            made = {f"{turn:03}-{number}": f"{turn}{number}" for number in range(FILES)}
            self.site.put("harmed-in", **made)
            self.files |= set(made)
            ambient.sleep(draw.uniform(*BETWEEN_S))
            pods = pods_of(self.cluster, "harmed")
            if pods:
                self.harm(harm, pods[draw.randrange(len(pods))]["metadata"])
        self.check(len(harms))

    def harm(self, what: str, pod: Any) -> None:
        """Do it to a pod, by its metadata."""
        self.done.append(what)
        if what == "delete a pod":
            self.cluster.delete(PODS, pod["name"], pod["uid"])
        elif what == "kill a worker":
            kill(pod["name"], STORAGE)
        elif what == "kill a shim":
            kill(pod["name"], SHIM)

    def check(self, jobs: int) -> None:
        """Every commit has had a job, and each ended well."""
        self.site.counts("harmed")
        told = list(documents(self.site.pachctl("list", "job", "-p", "harmed", "--raw")))
        ended = [one for one in told if one["state"] != "JOB_CREATED"]
        assert {one["state"] for one in ended} == {"JOB_SUCCESS"}, [one.get("reason") for one in ended]
        assert len(ended) >= jobs
        assert sum(int(one.get("data_processed", 0)) for one in ended) == len(self.files)
        assert set(self.site.tree("harmed")) == {f"/{name}" for name in self.files}
