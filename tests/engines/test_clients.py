"""Both public clients, each in an environment of its own, run tests that touch every function they have."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from trunkline.testing.serving import PachdProcess
from trunkline.testing.tls.certificates import HERE, make

pytestmark = pytest.mark.engines
CLIENTS = Path(__file__).parent.parent / "clients"
WITHOUT_A_TEST = {
    "sdk": {},
    "pp": {"pfs": {"find_commits"}},  # it sends its request to FinishCommit
}
"""Functions that need a part that this server does not have, or that fail in the client itself."""


@pytest.fixture
def shown() -> list[str]:
    """Flags by which user code finds the clients too."""
    pythons = (os.environ.get(f"TRUNKLINE_{each}_PYTHON") for each in ("SDK", "PP"))
    return [flag for python in pythons if python for flag in ("--expose", str(Path(python).parents[1]))]


@pytest.fixture
def address(tmp_path: Path, shown: list[str]) -> Iterator[str]:
    """A server of its own."""
    with PachdProcess(tmp_path / "server", shown) as pachd:
        yield pachd.address


def run(client: str, modules: Sequence[str], told: Mapping[str, str]) -> None:
    """Tests of a client, in its own environment; no modules: all."""
    python = os.environ.get(f"TRUNKLINE_{client.upper()}_PYTHON")
    if not python:
        pytest.skip("make test-engines makes the environments of the public clients")
    folder = CLIENTS / client
    asked = [str(folder / f"test_{client}_{name}.py") for name in modules] or [str(folder)]
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "--timeout", "120", "--rootdir", folder, "-p", "no:cacheprovider", *asked],
        env=os.environ | told,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]


@pytest.mark.parametrize(("client", "modules"), [("sdk", ("tls", "files", "references")), ("pp", ("tls", "files"))])
def test_a_public_client_speaks_tls(client: str, modules: tuple[str, ...], shown: list[str], tmp_path: Path) -> None:
    tls = make(*HERE).write(tmp_path)
    with PachdProcess(tmp_path / "server", shown, tls=tls) as pachd:
        # What content by reference is fetched with looks at the third of these.
        roots = dict.fromkeys(("TRUNKLINE_ROOTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(tls[0]))
        run(
            client,
            modules,
            {**roots, "TRUNKLINE_ADDRESS": pachd.address, "PACH_CONFIG": pachd.client_env["PACH_CONFIG"]},
        )


@pytest.mark.parametrize("client", ["sdk", "pp"])
def test_every_function_of_a_public_client(client: str, address: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched.json"
    run(client, (), {"TRUNKLINE_ADDRESS": address, "TRUNKLINE_TOUCHED": str(touched)})
    missed = {group: set(names) for group, names in json.loads(touched.read_text()).items() if names}
    assert missed == WITHOUT_A_TEST[client]
