"""Both public clients, each in an environment of its own, run tests that touch every function they have."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.testing.serving import PachdProcess

pytestmark = pytest.mark.engines
CLIENTS = Path(__file__).parent.parent / "clients"
WITHOUT_A_TEST = {
    "sdk": {},
    "pp": {"pfs": {"find_commits"}},  # it sends its request to FinishCommit
}
"""Functions that need a part that this server does not have, or that fail in the client itself."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server of its own, whose user code finds the clients too."""
    pythons = (os.environ.get(f"TRUNKLINE_{each}_PYTHON") for each in ("SDK", "PP"))
    shown = [flag for python in pythons if python for flag in ("--expose", str(Path(python).parents[1]))]
    with PachdProcess(tmp_path / "server", shown) as pachd:
        yield pachd.address


@pytest.mark.parametrize("client", ["sdk", "pp"])
def test_every_function_of_a_public_client(client: str, address: str, tmp_path: Path) -> None:
    python = os.environ.get(f"TRUNKLINE_{client.upper()}_PYTHON")
    if not python:
        pytest.skip("make test-engines makes the environments of the public clients")
    touched = tmp_path / "touched.json"
    folder = CLIENTS / client
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "--timeout", "120", "--rootdir", folder, "-p", "no:cacheprovider", folder],
        env=os.environ | {"TRUNKLINE_ADDRESS": address, "TRUNKLINE_TOUCHED": str(touched)},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    missed = {group: set(names) for group, names in json.loads(touched.read_text()).items() if names}
    assert missed == WITHOUT_A_TEST[client]
