"""What a server brings along when it starts: nothing that only few of them ever need."""

from __future__ import annotations

import subprocess
import sys

SELDOM = (
    "alembic",  # only where tables change
    "pymysql",
    "snowflake",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.postgresql",
    "trunkline.storage.databases",
)


def test_a_server_starts_without_what_is_seldom_needed() -> None:
    program = f"""
import sys
import trunkline.app.engine, trunkline.app.server
print(*sorted(name for name in sys.modules if name.startswith({SELDOM!r})))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
