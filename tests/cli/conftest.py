"""A command line to type, a scripted server behind it, and a clock that stands still."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cli_things import NOW_US

from trunkline.ambient import SimulatedAmbient
from trunkline.cli.entry import run
from trunkline.cli.session import Session
from trunkline.testing.scripted import ScriptedServer


@dataclass
class Result:
    """What a command line came to."""

    status: int
    out: str
    err: str


Pachctl = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The config file that commands use; not there at first."""
    return tmp_path / "settings" / "config.json"


@pytest.fixture
def context(server: ScriptedServer, config: Path) -> dict[str, Any]:
    """A config file whose active context is the scripted server."""
    document = {
        "user_id": "u",
        "v2": {"active_context": "test", "contexts": {"test": {"pachd_address": server.address}}},
    }
    config.parent.mkdir()
    config.write_text(json.dumps(document))
    return document


@pytest.fixture
def pachctl(
    config: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Pachctl:
    """Run one command line in this process."""

    def typed(*args: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        environ = {"PACH_CONFIG": str(config), "HOME": str(tmp_path / "home")}
        session = Session(environ, SimulatedAmbient(start_us=NOW_US))
        status = run([str(arg) for arg in args], session)
        session.close()
        out, err = capfdbinary.readouterr()
        return Result(status, out.decode(), err.decode())

    return typed
