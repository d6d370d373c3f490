"""How long the programs take to be of use."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

from measure import Bench, Line, Row


def client_start(bench: Bench) -> None:
    """`pachctl`, beside the Python that runs it."""
    with bench.server() as server:
        for _ in range(bench.runs):
            with bench.timed("pachctl version --client-only"):
                server.pachctl("version", "--client-only")
            with bench.timed("pachctl list repo"):
                server.pachctl("list", "repo")
            with bench.timed("python -c pass"):
                subprocess.run([server.program("python"), "-c", "pass"], check=True)


def server_start(bench: Bench) -> None:
    """`pachd`, up to the line that says that it serves."""
    with bench.server() as server:
        pachd = server.program("pachd")
    for _ in range(bench.runs):
        for name in ("pachd, empty data, to serving", "pachd, former data, to serving"):
            command = [pachd, "--data", str(bench.folder / "pachd"), "--listen", "127.0.0.1:0"]
            os.sync()
            start = time.perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
                assert process.stdout is not None  # noqa: S101 - asked for one line above
                for line in process.stdout:
                    if b"pachd is serving on" in line:
                        bench.note(name, time.perf_counter() - start)
                        break
                start = time.perf_counter()
                process.terminate()
                process.communicate()
                bench.note("SIGTERM to its end", time.perf_counter() - start)
        shutil.rmtree(bench.folder / "pachd")


ROWS = (
    Row(
        "client-start",
        "start",
        client_start,
        (
            Line(
                "start of the client",
                "pachctl version --client-only",
                ("python -c pass", "pachctl list repo"),
                goal=0.1,
            ),
        ),
        runs=15,
    ),
    Row(
        "server-start",
        "start",
        server_start,
        (
            Line(
                "start of the server",
                "pachd, empty data, to serving",
                ("pachd, former data, to serving", "SIGTERM to its end"),
                goal=1.0,
            ),
        ),
    ),
)
