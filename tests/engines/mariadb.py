"""MariaDB as a test has it: a server of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest

from trunkline.ambient import RealAmbient
from trunkline.storage.databases import Layout, open_database, write_rows
from trunkline.testing.engines.ports import free_port

PASSWORD = "not-a-secret"
SQL = Path("/usr/share/mysql")


class File:
    """Stands for a file of a commit."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path, self.data = path, data

    def read(self, offset: int) -> Iterator[bytes]:
        """Its bytes."""
        return iter([self.data[offset:]])


class Server:
    """MariaDB on a port of its own; as lax as one can be told to be."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
        if program is None:
            pytest.skip("mariadbd is not there: make test-engines brings it")
        self.port = free_port()
        data = folder / "data"
        data.mkdir()
        self._common = [program, "--no-defaults", f"--datadir={data}", "--innodb-flush-log-at-trx-commit=0"]
        self._common += ["--user=root"] if os.getuid() == 0 else []
        scripts = ("mysql_system_tables", "mysql_performance_tables", "mysql_system_tables_data")
        begin = "create database mysql;\nuse mysql;\nset @auth_root_socket=null;\n"
        user = f"create user tester@'%' identified by '{PASSWORD}';\ngrant all on *.* to tester@'%';\n"
        made = begin + "".join((SQL / f"{name}.sql").read_text() for name in scripts)
        made += f"create database tests default charset utf8mb4;\nflush privileges;\n{user}"
        subprocess.run([*self._common, "--bootstrap"], input=made.encode(), check=True, capture_output=True)
        self.log = folder / "log"
        self.process = self._start(folder)

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        lax = ["--sql-mode=", "--default-time-zone=+05:00", "--local-infile=0"]
        place = [f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={folder / 's'}"]
        with self.log.open("wb") as log:
            process = subprocess.Popen([*self._common, *place, *lax], stdout=log, stderr=log)
        for _ in range(300):
            with suppress(pymysql.err.OperationalError):
                self.connect().close()
                return process
            if process.poll() is not None:
                break
            RealAmbient().sleep(0.1)
        process.kill()
        raise RuntimeError(f"mariadbd did not start: {self.log.read_text()[-2000:]}")

    def end(self) -> None:
        """No server any more."""
        self.process.terminate()
        self.process.wait(30)

    @property
    def url(self) -> str:
        """Where tables are."""
        return f"mysql://tester@127.0.0.1:{self.port}/tests"

    def connect(self) -> pymysql.Connection[Any]:
        """A session of its own."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="tester", password=PASSWORD, database="tests", autocommit=True
        )

    def run(self, *commands: str) -> list[Any]:
        """Commands, and what the last one answers."""
        with self.connect() as connection, connection.cursor() as cursor:
            for command in commands:
                cursor.execute(command)
            return list(cursor.fetchall())

    def write(self, layout: Layout, *files: tuple[str, bytes], wanted: Any = lambda: True) -> dict[str, int]:
        """Files into their tables."""
        contents = [File(path, data) for path, data in files]
        return write_rows(open_database(self.url, PASSWORD), contents, layout, wanted)  # type: ignore[arg-type]
