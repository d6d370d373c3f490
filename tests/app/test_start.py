"""What a server and a worker bring along when they start: nothing that only few of them ever need."""

from __future__ import annotations

import subprocess
import sys

SELDOM = (
    "alembic",  # only where tables change
    "cryptography",  # secrets
    "pymysql",
    "snowflake",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.postgresql",
    "trunkline.app.worker",  # all that a worker needs
    "trunkline.fleet.kubernetes.api",
    "trunkline.pfs.fsck",
    "trunkline.storage.databases",
    "urllib.request",
    "urllib3",
    "yaml",
)


def test_a_server_starts_without_what_is_seldom_needed() -> None:
    program = f"""
import sys
import trunkline.app.engine, trunkline.app.server
print(*sorted(name for name in sys.modules if name.startswith({SELDOM!r})))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


SERVERS = ("sqlalchemy", "trunkline.catalog", "trunkline.pfs", "trunkline.pps", "trunkline.fleet.kubernetes.api")
"""What only a server needs. The first datum of a pod waits until its worker has started."""


def test_a_worker_starts_without_what_a_server_needs() -> None:
    program = f"""
import sys
import trunkline.app.worker, trunkline.app.pods.main
print(*sorted(name for name in sys.modules if name.startswith({SERVERS!r})))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


MOST = 1100
"""Modules, of the standard library too. Each takes about a millisecond when a server starts; look what brings more:
`python -X importtime -c "import trunkline.app.engine, trunkline.app.server"`."""


def test_a_server_starts_with_few_modules() -> None:
    program = "import sys; import trunkline.app.engine, trunkline.app.server; print(len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(done.stdout) < MOST
