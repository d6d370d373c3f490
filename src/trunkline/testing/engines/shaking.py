"""Two servers on one PostgreSQL and one object store, and something fails in each job; each must end right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trunkline.ambient import chance
from trunkline.testing.engines.postgres import Postgres
from trunkline.testing.engines.proxy import Proxy
from trunkline.testing.serving import PachdProcess, documents

FILES = 4
"""So many are put for each job; each is a datum."""
CODE_S = 1.0
"""So long each datum takes: whatever goes wrong within `SOON_S` meets its job."""
SOON_S = 1.5
PIPELINE = "copy"
SPEC = {
    "pipeline": {"name": PIPELINE},
    "transform": {"cmd": ["sh"], "stdin": [f"sleep {CODE_S}", "cp -rL /pfs/in/. /pfs/out/"]},
    "input": {"pfs": {"repo": "in", "glob": "/*"}},
    "datum_tries": 20,
}
LOOK_S = 0.2
PATIENCE = 900
"""Looks until something must have happened."""
BAD_S = 4.0
REFUSED = 5
"""A store that is down has turned away so many requests before it is up again."""


@dataclass
class Shaking:
    """One story. url: of the database that both servers use."""

    servers: Sequence[PachdProcess]
    postgres: Postgres
    url: str
    store: Proxy
    seed: int
    files: dict[str, bytes] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = chance(self.seed)
        self.harms: dict[str, Callable[[], None]] = {
            "postgres killed": lambda: self._database(self.postgres.kill_hard),
            "postgres restarted": lambda: self._database(self.postgres.stop),
            "leader killed": self._kill_leader,
            "leader stopped past its lease": self._stop_leader,
            "store down": self._store_down,
            "store failing at times": self._store_fails,
            "store slow": self._store_slow,
        }

    def play(self, jobs: int) -> None:
        """So many jobs, with each harm in turn, in an order that the seed draws. Raises AssertionError."""
        self.servers[0].pachctl("create", "repo", "in")
        self.servers[0].pachctl("create", "pipeline", "-f", "-", stdin=json.dumps(SPEC).encode())
        waiting: list[str] = []
        for turn in range(jobs):
            if not waiting:
                waiting = self.chance.sample(sorted(self.harms), len(self.harms))
            harm = waiting.pop()
            self.put(turn)
            self.servers[0].pause(self.chance.uniform(0, SOON_S))
            self.harms[harm]()
            self.done[harm] = self.done.get(harm, 0) + 1
        self.check(jobs)

    def put(self, turn: int) -> None:
        """New files, in one commit, by one of the servers; again until that is acknowledged."""
        files = {f"t{turn}-{index}": self.chance.randbytes(self.chance.choice((10, 300_000))) for index in range(FILES)}
        folder = self.servers[0].folder / "put" / f"t{turn}"
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        self.files |= files

        def acknowledged() -> bool:
            try:
                self.chance.choice(self.servers).pachctl("put", "file", "-r", "in@master:/", "-f", str(folder))
            except subprocess.CalledProcessError:
                return False
            return True

        self.until(acknowledged)

    def check(self, jobs: int) -> None:
        """Each job ended well, and what it wrote is what was put. With all well again."""
        one = self.servers[0]
        self.until(lambda: self._settled(one))
        told = list(documents(one.pachctl("list", "job", "-p", PIPELINE, "--raw")))
        assert len(told) >= jobs
        assert {job["state"] for job in told} == {"JOB_SUCCESS"}, told
        processed = int(told[0].get("data_processed", 0)) + int(told[0].get("data_skipped", 0))
        assert processed == len(self.files), told[0]
        for server in self.servers:
            folder = server.folder / "got"
            server.pachctl("get", "file", "-r", f"{PIPELINE}@master:/", "-o", str(folder))
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == self.files
            assert "No errors found" in server.pachctl("fsck")

    def _settled(self, server: PachdProcess) -> bool:
        try:
            server.pachctl("wait", "commit", f"{PIPELINE}@master")
        except subprocess.CalledProcessError:
            return False
        return True

    # --- what goes wrong

    def _database(self, ends: Callable[[], None]) -> None:
        ends()
        self.servers[0].pause(self.chance.uniform(0, 2))
        self.postgres.start()
        self.until(lambda: self.leader()[0] > 0)

    def _kill_leader(self) -> None:
        first = self._leading()
        first.kill()
        first.pause(self.chance.uniform(0, 12))  # before or after the other has taken over
        first.start(fresh=False)

    def _stop_leader(self) -> None:
        first = self._leading()
        term = self.leader()[0]
        os.killpg(first.pid, signal.SIGSTOP)
        try:
            self.until(lambda: self.leader()[0] > term)
        finally:
            os.killpg(first.pid, signal.SIGCONT)
        self.until(lambda: "another server leads now" in first.log.read_text())

    def _store_down(self) -> None:
        refused = self.store.failed
        self.store.fail_every = 1
        self.servers[0].pause(BAD_S)
        self.until(lambda: self.store.failed >= refused + REFUSED)  # the job cannot end before
        self.store.well()

    def _store_fails(self) -> None:
        self.store.fail_every = 3
        self.servers[0].pause(BAD_S)
        self.store.well()

    def _store_slow(self) -> None:
        self.store.delay_s = 0.7
        self.servers[0].pause(BAD_S)
        self.store.well()

    # --- who leads

    def leader(self) -> tuple[int, str]:
        """Epoch and holder of the present term."""
        import psycopg

        with psycopg.connect(self.url) as connection:
            return connection.execute("SELECT epoch, holder FROM leader").fetchone() or (0, "")

    def _leading(self) -> PachdProcess:
        found: list[PachdProcess] = []

        def known() -> bool:
            epoch, holder = self.leader()
            found[:] = [
                one
                for one in self.servers
                if json.loads((one.data / "identity.json").read_text())["deployment_id"] == holder
                and f"this server leads now, in term {epoch}\n" in one.log.read_text()  # and was not killed since
            ]
            return bool(found)

        self.until(known)
        return found[0]

    def until(self, what: Callable[[], bool]) -> None:
        """Wait until this is true."""
        for _ in range(PATIENCE):
            if what():
                return
            self.servers[0].pause(LOOK_S)
        raise AssertionError("\n\n".join(one.last_words() for one in self.servers))
